"""Figures of detectors over seeds and tasks, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..concepts.manifests import Seen
from .protocol import ALL, Measured, Outcome
from .protocol_store import Cells

if TYPE_CHECKING:
    from .protocol_conduct import Plan
    from .protocol_detectors import NamedDetector
    from .protocol_family import Family

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

    `values` one a seed of `seeds`, which are () where no seed changes the detector; `draws` (B,) of their mean, on the
    same resamples for all detectors. `images` and `patients` are None of a mean over tasks, which share them; `tasks`
    says over how many of how many that is. `seen`: whether the detector's weights were fitted to images of the trial.
    """

    place: Place
    detector: str
    values: tuple[float, ...]
    images: int | None
    patients: int | None
    draws: Floats
    seeds: tuple[int, ...] = ()
    tasks: tuple[int, int] = (1, 1)
    seen: Seen = "no"

    @property
    def count(self) -> str:
        """What the figure is over: "251" images, "mean of 2 of 10"."""
        of, all_ = self.tasks
        return str(self.images) if self.images is not None else f"mean of {of}{'' if of == all_ else f' of {all_}'}"

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

    Of a detector only seeds count with which all tasks asked of the family are measured.
    """
    out: list[Line] = []
    for family in dict.fromkeys(family for family, _ in planned.tasks):
        parts = [part for of, part in planned.tasks if of is family]
        every = len(family.parts(planned.loading)) if len(parts) > 1 else 1
        for named in planned.detectors:
            if family.films or not named.method.films:
                single = _measured(planned, cells, family, parts, named)
                out += [*(_means(single, every) if every > 1 else []), *single]
    return out


def _measured(planned: Plan, cells: Cells, family: Family, parts: Sequence[str], named: NamedDetector) -> list[Line]:
    seeds = range(planned.seeds if named.method.seeded else 1)
    found = {seed: [cells.outcome(planned.cell(family, part, named, seed)) for part in parts] for seed in seeds}
    whole = {seed: [o for o in row if o is not None] for seed, row in found.items() if None not in row}
    if not whole:
        return []
    known, seen = tuple(whole) if named.method.seeded else (), family.seen_by(named.weights)
    single = _each(family.name, parts, named.name, list(whole.values()))
    return [replace(line, seeds=known, seen=seen) for line in single]


def _each(family: str, parts: Sequence[str], detector: str, rows: Sequence[Sequence[Outcome]]) -> list[Line]:
    return [
        line for i, part in enumerate(parts) for line in _over_seeds(family, part, detector, [row[i] for row in rows])
    ]


def _means(single: Sequence[Line], every: int) -> list[Line]:
    """Means of a detector's figures over tasks, of which the family has `every`."""
    grouped: dict[Place, list[Line]] = {}
    for line in single:
        at = line.place
        if at.group == ALL:
            grouped.setdefault(replace(at, task=""), []).append(line)
    return [
        replace(
            of[0],
            place=place,
            values=tuple(np.mean([line.values for line in of], axis=0).tolist()),
            images=None,
            patients=None,
            draws=np.nanmean([line.draws for line in of], axis=0),
            tasks=(len(of), every),
        )
        for place, of in grouped.items()
    ]


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
