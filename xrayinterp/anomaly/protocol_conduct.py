"""Every detector on every task with every seed: what is not measured yet is measured, and the report written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from ..errors import XrayInterpError
from .protocol import RESAMPLES, Outcome, Task, examine
from .protocol_detectors import NamedDetector, Setup
from .protocol_family import Family, Loading
from .protocol_identity import Identity, changes, identified, recorded, weights_name
from .protocol_report import write
from .protocol_store import Cell, Cells
from .protocol_tasks import tasks_named


@dataclass(frozen=True)
class Plan:
    """What is measured: tasks and detectors, `seeds` 0 to seeds - 1, how images are read, and how hard is trained.

    `resamples` of patients are behind every interval; `identity` says which images and weights these are, and is empty
    until they are known (`identified`, `recorded`).
    """

    tasks: tuple[tuple[Family, str], ...]
    detectors: tuple[NamedDetector, ...]
    seeds: int
    loading: Loading = field(default_factory=Loading)
    effort: float = 1.0
    resamples: int = RESAMPLES
    identity: Identity = field(default_factory=Identity)

    def cell(self, family: Family, part: str, named: NamedDetector, seed: int) -> Cell:
        """Where one of them lies: its key changes with all that its result depends on."""
        size, seed = self.size(family), seed if named.method.seeded else 0
        settings = (
            ("size", size),
            ("limit", self.loading.limit),
            ("effort", self.effort_of(family)),
            ("resamples", self.resamples),
            ("images", self.identity.images.get(self.images_name(family, part))),
            ("weights", self.identity.weights.get(weights_name(named.weights, seed))),
            ("views", tuple(named.method.views(size))),
            ("version", named.method.version),
        )
        return Cell(part, named.name, seed, settings)

    def images_name(self, family: Family, part: str) -> str:
        """What a task's images are known by."""
        return f"{part} {self.size(family)} {self.loading.limit or 'all'}"

    def size(self, family: Family) -> int:
        """Side of a family's images in pixels."""
        return self.loading.size or family.size

    def effort_of(self, family: Family) -> float:
        """Factor on the steps of training on a family's images."""
        return self.effort * family.effort

    def cells(self) -> list[tuple[Family, str, NamedDetector, Cell]]:
        """All that is measured, whole seeds first, each once."""
        found = {
            self.cell(family, part, named, seed): (family, part, named)
            for seed in range(self.seeds)
            for family, part in self.tasks
            for named in self.detectors
            if family.films or not named.method.films
        }
        return [(family, part, named, cell) for cell, (family, part, named) in found.items()]


def plan(
    tasks: Sequence[str], detectors: Sequence[NamedDetector], seeds: int, loading: Loading, effort: float = 1.0
) -> Plan:
    """A plan of task names; see `tasks_named`."""
    return Plan(tuple(tasks_named(tasks, loading)), tuple(detectors), seeds, loading, effort)


def conduct(
    planned: Plan,
    out: Path,
    *,
    device: str = "cpu",
    budget: float | None = None,
    told: Callable[[str], None] = lambda _: None,
    tick: Callable[[], None] = lambda: None,
) -> Missing:
    """Measure what is not measured yet, then write OUT/report.md and OUT/figures.parquet of all that is.

    A detector that cannot be made or measured is told of, and the others go on.

    Args:
        planned: what is asked.
        out: results, one file a task, detector and seed below OUT/cells; several processes may share it.
        device: where to compute.
        budget: seconds after which nothing more is begun.
        told: gets one line a measured cell, and one a cell that could not be.
        tick: called after each cell, measured now or before.

    Returns:
        How many cells are still missing.

    Raises:
        XrayInterpError: where no task can be read, the first one's reason.
    """
    cells, begun = Cells(out / "cells"), time.monotonic()
    loaded = lru_cache(maxsize=1)(lambda family, part: family.load(part, planned.loading))
    before = recorded(planned, out).identity
    planned, lost = identified(planned, out, loaded, budget)
    for change in changes(before, planned.identity):
        told(change)
    failed: dict[Cell, str] = {}
    for family, part, named, cell in planned.cells():
        late = budget is not None and time.monotonic() - begun > budget
        if not late and not cells.file(cell).is_file():
            setup = partial(
                Setup,
                named.expert,
                planned.size(family),
                seed=cell.seed,
                device=device,
                effort=planned.effort_of(family),
            )
            measured = partial(_measure, partial(loaded, family, part), named, setup, planned.resamples)
            known = lost.get(planned.images_name(family, part)) or lost.get(weights_name(named.weights, cell.seed))
            trouble = known or _tried(cells, cell, measured, told)
            if trouble:
                failed[cell] = trouble
                told(f"{_name(cell)} failed: {trouble}")
        tick()
    write(planned, cells, out, failed)
    left = [
        cell for *_, cell in planned.cells() if not cells.file(cell).is_file()
    ]  # another process may have succeeded
    unable = sum(cell in failed for cell in left)
    return Missing(unable, len(left) - unable)


@dataclass(frozen=True)
class Missing:
    """Cells that are not measured: `failed`, or `waiting`, in work elsewhere or not begun for the budget's sake."""

    failed: int
    waiting: int

    @property
    def all(self) -> int:
        """Both."""
        return self.failed + self.waiting


def _tried(cells: Cells, cell: Cell, measured: Callable[[], Outcome], told: Callable[[str], None]) -> str:
    """Measure a cell; why that could not be, "" where it could or another process is at it."""
    try:
        if cells.carry_out(cell, measured):
            told(_line(cell, cells.outcome(cell)))
    except XrayInterpError as error:
        return f"{error.message} {error.hint}".strip()
    except (RuntimeError, MemoryError) as error:  # torch's own, memory that gave out among them
        return f"{type(error).__name__}: {error}"
    return ""


def _measure(load: Callable[[], Task], named: NamedDetector, setup: Callable[..., Setup], resamples: int) -> Outcome:
    task = load()
    detector = named.method.make(setup(normals=len(task.train)))
    return examine(task, detector, named.method.views(task.train.shape[-1]), resamples=resamples)


def _line(cell: Cell, outcome: Outcome | None) -> str:
    return _name(cell) + ("" if outcome is None else f": fitted in {outcome.fit_seconds:.0f} s")


def _name(cell: Cell) -> str:
    return f"{cell.task} {cell.detector} seed {cell.seed}"
