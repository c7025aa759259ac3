"""What was measured, told: tables as Markdown and every figure as Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..evaluation.tables import markdown
from ..paths import whole_file
from .protocol import ALL, METRICS
from .protocol_detectors import learned_from
from .protocol_lines import Line, lines, told
from .protocol_questions import asked, at_a_glance, experts_compared

if TYPE_CHECKING:
    from .protocol_conduct import Plan
    from .protocol_store import Cells


def write(planned: Plan, cells: Cells, out: Path) -> None:
    """Write OUT/report.md and OUT/figures.parquet."""
    found = lines(planned, cells)
    with whole_file(out / "report.md") as partial:
        partial.write_text("\n".join(report(planned, found, cells)) + "\n", encoding="utf-8")
    table = pa.Table.from_pylist([_row(line) for line in found], schema=_SCHEMA)
    with whole_file(out / "figures.parquet") as partial:
        pq.write_table(table, partial, compression="zstd")


def report(planned: Plan, found: Sequence[Line], cells: Cells) -> list[str]:
    """Lines of the report."""
    missing = sum(not cells.file(cell).is_file() for *_, cell in planned.cells())
    out = [
        "# Anomaly detection",
        "",
        f"Detectors learn from normal images alone. Means over seeds ({planned.seeds}) with 95 % intervals over "
        f"patients (images, where there are none), all detectors on the same {_resamples(found)} resamples. Higher is "
        "better; a map without information has .50 AUROC and .15 per-region overlap.",
    ]
    if missing:
        out += ["", f"**{missing} of {len(planned.cells())} are not measured yet.**"]
    glance = at_a_glance(found)
    if glance:
        out += [
            "",
            "## At a glance",
            "",
            *glance,
            "",
            "Each is the best of its side on these images, which flatters both.",
        ]
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        of = [line for line in found if line.place.family == family.name]
        if of:
            out += ["", f"## {family.title[:1].upper()}{family.title[1:]}", ""]
            out += [f"Images of {planned.size(family)} pixels.", "", *_family(of)]
    questions = [*asked(found), *experts_compared(found)]
    if questions:
        out += ["", "## Questions", "", "First less second, on the same images; seeds averaged.", "", *questions]
    return [*out, "", "## Detectors and what they cost", "", *_cost(planned, cells)]


def _family(of: Sequence[Line]) -> list[str]:
    out: list[str] = []
    whole = [line for line in of if not line.place.task] or list(of)
    keys = dict.fromkeys((line.place.trial, line.place.metric) for line in whole)
    for trial, metric in keys:
        here = [line for line in whole if (line.place.trial, line.place.metric) == (trial, metric)]
        out += [f"### {trial}: {METRICS[metric]}", "", *table(here, [line.place.group for line in here]), ""]
    parts = [line for line in of if line.place.task and line.place.group == ALL] if whole[0].place.task == "" else []
    if parts:
        out += ["### Each in turn", "", *table(parts, [line.place.task for line in parts]), ""]
    return out


def table(of: Sequence[Line], columns: Iterable[str]) -> list[str]:
    """Lines of a table: a row a detector and way of maps, a column a name; `columns` names that of each line."""
    cells: dict[tuple[str, str], dict[str, Line]] = {}
    heads: dict[str, Line] = {}
    for line, column in zip(of, columns, strict=True):
        cells.setdefault((line.detector, line.place.view), {})[column] = line
        heads.setdefault(column, line)
    views = len({view for _, view in cells}) > 1
    head = ["detector", *(["map"] if views else []), *(f"{name} ({line.images})" for name, line in heads.items())]
    body = [
        [f"`{detector}`", *([view] if views else []), *(told(row[name]) if name in row else "" for name in heads)]
        for (detector, view), row in cells.items()
    ]
    return markdown(head, body)


def _cost(planned: Plan, cells: Cells) -> list[str]:
    body = []
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        for named in planned.detectors:
            found = [cells.outcome(cell) for of, _, name, cell in planned.cells() if of is family and name == named]
            known = [one for one in found if one is not None]
            if known:
                fit = np.median([one.fit_seconds for one in known])
                score = np.median([one.seconds_per_thousand for one in known])
                words = [named.method.title, learned_from(named.expert)]
                body.append([family.name, f"`{named.name}`", *words, f"{fit:.1f}", f"{score:.1f}"])
    head = ["tasks", "detector", "", "its expert learned from", "seconds to fit", "seconds for 1000 images"]
    return markdown(head, body)


_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("family", "task", "trial", "metric", "view", "group", "detector")),
        *((name, pa.int64()) for name in ("seeds", "images", "patients")),
        *((name, pa.float64()) for name in ("value", "low", "high", "lowest_seed", "highest_seed")),
    ]
)


def _row(line: Line) -> dict[str, Any]:
    low, high = line.interval
    return {
        **vars(line.place),
        "detector": line.detector,
        "seeds": len(line.values),
        "images": line.images,
        "patients": line.patients,
        "value": line.value,
        "low": low,
        "high": high,
        "lowest_seed": min(line.values),
        "highest_seed": max(line.values),
    }


def _resamples(found: Sequence[Line]) -> int:
    return len(found[0].draws) if found else 0
