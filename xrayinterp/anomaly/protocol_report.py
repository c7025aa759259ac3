"""What was measured, told: tables as Markdown and every figure as Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..evaluation.tables import markdown
from ..paths import whole_file
from .protocol import ALL, METRICS, Outcome
from .protocol_answers import ALPHA, SEEDS
from .protocol_detectors import STEPS, learned_from
from .protocol_lines import Line, lines, told
from .protocol_questions import asked, at_a_glance, experts_compared

if TYPE_CHECKING:
    from .protocol_conduct import Plan
    from .protocol_store import Cell, Cells


def write(planned: Plan, cells: Cells, out: Path, failed: Mapping[Cell, str] = MappingProxyType({})) -> None:
    """Write OUT/report.md and OUT/figures.parquet; `failed` says why cells could not be measured."""
    found = lines(planned, cells)
    with whole_file(out / "report.md") as partial:
        partial.write_text("\n".join(report(planned, found, cells, failed)) + "\n", encoding="utf-8")
    table = pa.Table.from_pylist([_row(line) for line in found], schema=_SCHEMA)
    with whole_file(out / "figures.parquet") as partial:
        pq.write_table(table, partial, compression="zstd")


def report(
    planned: Plan, found: Sequence[Line], cells: Cells, failed: Mapping[Cell, str] = MappingProxyType({})
) -> list[str]:
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
    if failed:
        out += ["", "## Could not be measured", ""]
        out += [f"- `{cell.detector}` on {cell.task}, seed {cell.seed}: {why}" for cell, why in failed.items()]
    glance = at_a_glance(found)
    if glance:
        out += [
            "",
            "## At a glance",
            "",
            *glance,
            "",
            "Each is the largest of so many figures on these very images, which flatters the side that has more of "
            "them: no interval and no verdict.",
        ]
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        of = [line for line in found if line.place.family == family.name]
        if of:
            out += ["", f"## {family.title[:1].upper()}{family.title[1:]}", ""]
            steps = round(STEPS * planned.effort_of(family))
            out += [
                f"Images of {planned.size(family)} pixels; cloners learned for about {steps} steps.",
                "",
                *_family(of),
            ]
    questions = [*asked(found), *experts_compared(found)]
    if questions:
        out += ["", "## Questions", "", _RULE, "", *questions]
    return [*out, "", "## Detectors and what they cost", "", *_cost(planned, cells)]


_RULE = (
    "First less second, on the same images; seeds averaged. Better or worse: Holm's p over the comparisons under one "
    f"question is below {ALPHA}, the interval leaves out 0 and all seeds agree; below {SEEDS} seeds there is no "
    "verdict. What was or may have been trained on the test films is left out."
)


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
    head = ["detector", *(["map"] if views else []), *(f"{name} ({line.count})" for name, line in heads.items())]
    body = [
        [
            f"`{detector}`{_mark(next(iter(row.values())))}",
            *([view] if views else []),
            *(told(row[name]) if name in row else "" for name in heads),
        ]
        for (detector, view), row in cells.items()
    ]
    return markdown(head, body)


def _mark(line: Line) -> str:
    return {"no": "", "yes": " (saw the test films)", "unknown": " (may have seen the test films)"}[line.seen]


def _cost(planned: Plan, cells: Cells) -> list[str]:
    measured: dict[tuple[str, str], list[Outcome]] = {}
    for family, _, named, cell in planned.cells():
        if (outcome := cells.outcome(cell)) is not None:
            measured.setdefault((family.name, named.name), []).append(outcome)
    body = []
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        for named in planned.detectors:
            known = measured.get((family.name, named.name), [])
            if known:
                fit = np.median([one.fit_seconds for one in known])
                score = np.median([one.seconds_per_thousand for one in known])
                words = [named.method.title, learned_from(named.expert), family.seen_by(named.weights)]
                body.append([family.name, f"`{named.name}`", *words, f"{fit:.1f}", f"{score:.1f}"])
    head = [
        "tasks",
        "detector",
        "",
        "its expert learned from",
        "saw the test films",
        "seconds to fit",
        "seconds for 1000 images",
    ]
    return markdown(head, body)


_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("family", "task", "trial", "metric", "view", "group", "detector", "seen")),
        *((name, pa.int64()) for name in ("seeds", "images", "patients")),
        *((name, pa.float64()) for name in ("value", "low", "high", "lowest_seed", "highest_seed")),
    ]
)


def _row(line: Line) -> dict[str, Any]:
    low, high = line.interval
    return {
        **vars(line.place),
        "detector": line.detector,
        "seen": line.seen,
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
