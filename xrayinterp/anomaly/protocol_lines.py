"""Figures of detectors over seeds and tasks, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .protocol import ALL, Measured, Outcome
from .protocol_store import Cells

if TYPE_CHECKING:
    from .protocol_conduct import Plan

Floats = npt.NDArray[np.floating]


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


def told(line: Line) -> str:
    """A figure as text: ".912 (.890 to .931)"."""
    low, high = line.interval
    return f"{plain(line.value)} ({plain(low)} to {plain(high)})"


def plain(value: float) -> str:
    """Three decimals without the nought before them: ".912", "1.000"."""
    return f"{value:.3f}".removeprefix("0")
