"""What was measured, told: tables as Markdown and every figure as Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ..evaluation.tables import markdown
from .protocol import ALL, Measured, Outcome

if TYPE_CHECKING:
    from .protocol_conduct import Plan
    from .protocol_store import Cells

Floats = npt.NDArray[np.floating]
METRICS = {"auroc": "AUROC of images", "pixel-auroc": "AUROC of pixels", "pro": "per-region overlap (FPR to .3)"}


@dataclass(frozen=True)
class Place:
    """What a figure is of; `task` is "" for the mean over a family's tasks, `view` the way maps were made."""

    family: str
    task: str
    trial: str
    metric: str
    view: str
    group: str


@dataclass(frozen=True, eq=False)
class Line:
    """A figure of a detector: mean over seeds with its 95 % interval over patients.

    `values` one a seed; `draws` (B,) of their mean, on the same resamples for all detectors.
    """

    place: Place
    detector: str
    values: tuple[float, ...]
    images: int
    patients: int
    draws: Floats

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return float(np.mean(self.values))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % over patients."""
        return interval(self.draws)


def interval(draws: Floats) -> tuple[float, float]:
    """The middle 95 % of draws; NaN where there is none."""
    known = draws[np.isfinite(draws)]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)


def lines(planned: Plan, cells: Cells) -> list[Line]:
    """All figures of what is measured, of each task and, of families of several, of their mean.

    Of a detector only seeds count with which all tasks of the family are measured.
    """
    out: list[Line] = []
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        parts = [part for of, part in planned.tasks if of is family]
        for named in planned.detectors:
            if named.method.films and not family.films:
                continue
            seeds = range(planned.seeds if named.method.seeded else 1)
            found = [[cells.outcome(planned.cell(family, part, named, seed)) for part in parts] for seed in seeds]
            whole = [[o for o in row if o is not None] for row in found if None not in row]
            if whole:
                out += _of_detector(family.name, parts, named.name, whole)
    return out


def _of_detector(family: str, parts: Sequence[str], detector: str, rows: Sequence[Sequence[Outcome]]) -> list[Line]:
    single = [
        line for i, part in enumerate(parts) for line in _over_seeds(family, part, detector, [row[i] for row in rows])
    ]
    if len(parts) == 1:
        return single
    grouped: dict[Place, list[Line]] = {}
    for line in single:
        at = line.place
        if at.group == ALL:
            grouped.setdefault(Place(family, "", at.trial, at.metric, at.view, ALL), []).append(line)
    means = [
        Line(
            place,
            detector,
            tuple(np.mean([line.values for line in of], axis=0).tolist()),
            sum(line.images for line in of),
            max(line.patients for line in of),
            np.nanmean([line.draws for line in of], axis=0),
        )
        for place, of in grouped.items()
    ]
    return means + single


def _over_seeds(family: str, task: str, detector: str, outcomes: Sequence[Outcome]) -> list[Line]:
    of: dict[Place, list[Measured]] = {}
    for outcome in outcomes:
        for one in outcome.figures:
            of.setdefault(Place(family, task, one.trial, one.metric, one.view, one.group), []).append(one)
    return [
        Line(
            place,
            detector,
            tuple(one.value for one in found),
            found[0].images,
            found[0].patients,
            np.mean([one.draws for one in found], axis=0),
        )
        for place, found in of.items()
    ]


def write(planned: Plan, cells: Cells, out: Path) -> None:
    """Write OUT/report.md and OUT/figures.parquet."""
    out.mkdir(parents=True, exist_ok=True)
    found = lines(planned, cells)
    _replace(out / "report.md", "\n".join(report(planned, found, cells)) + "\n")
    partial = out / ".figures.parquet.partial"
    pq.write_table(pa.Table.from_pylist([_row(line) for line in found], schema=_SCHEMA), partial, compression="zstd")
    partial.replace(out / "figures.parquet")


def report(planned: Plan, found: Sequence[Line], cells: Cells) -> list[str]:
    """Lines of the report."""
    missing = sum(not cells.file(cell).is_file() for *_, cell in planned.cells())
    out = [
        "# Anomaly detection",
        "",
        f"Detectors learn from normal images alone. Means over {planned.seeds} seeds with 95 % intervals over patients "
        f"(images, where there are none), all detectors on the same {_resamples(found)} resamples. Higher is better; a "
        "map without information has .50 AUROC and .15 per-region overlap.",
    ]
    if missing:
        out += ["", f"**{missing} of {len(planned.cells())} are not measured yet.**"]
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        of = [line for line in found if line.place.family == family.name]
        if of:
            out += ["", f"## {family.title[:1].upper()}{family.title[1:]}", ""]
            out += [f"Images of {planned.size(family)} pixels.", "", *_family(of)]
    return [*out, "", "## Cost", "", *_cost(planned, cells)]


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


def told(line: Line) -> str:
    """A figure as text: ".912 (.890 to .931)"."""
    low, high = line.interval
    return f"{_plain(line.value)} ({_plain(low)} to {_plain(high)})"


def _plain(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.2f}"


def _cost(planned: Plan, cells: Cells) -> list[str]:
    body = []
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        for named in planned.detectors:
            found = [cells.outcome(cell) for of, _, name, cell in planned.cells() if of is family and name == named]
            known = [one for one in found if one is not None]
            if known:
                fit = np.median([one.fit_seconds for one in known])
                score = np.median([one.seconds_per_thousand for one in known])
                body.append([family.name, f"`{named.name}`", named.method.title, f"{fit:.1f}", f"{score:.1f}"])
    return markdown(["tasks", "detector", "", "seconds to fit", "seconds for 1000 images"], body)


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


def _replace(file: Path, text: str) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
