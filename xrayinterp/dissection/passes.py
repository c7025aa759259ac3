"""The passes over all shards: read, thresholds, counts, chance; what shards answer is added up here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from .cells import PIXELS
from .engines import Running
from .jobs import Census, Count, Find, Job, Mean, Permute, Read, Where, masks_of, save_masks
from .masks import joined_masks
from .plan import Plan
from .shard import Again, Floats, Shard
from .tally import Tally, merge
from .thresholds import SAMPLED, Counts, Definition, Found, Window, exceeding, search

CHUNK = 64
"""Normal films a job, whatever the number of shards: their sums are added in one order."""


@dataclass(frozen=True)
class Effort:
    """What a dissection took: films read, bytes kept on disk, layers `again` read in a second forward of all films."""

    films: int
    bytes: int
    again: tuple[str, ...]


@dataclass
class Passes:
    """A plan being carried out by a running engine; every method asks all shards and adds their answers up."""

    plan: Plan
    running: Running
    bars: Bars
    effort: Effort = field(default_factory=lambda: Effort(0, 0, ()))
    _generation: dict[str, int] = field(default_factory=dict)

    def read(self) -> None:
        """One forward a film; then every set's masks on every grid, where all workers find them."""
        plan = self.plan
        plan.claim()
        jobs = [Read(shard) for shard in plan.filled]
        kept = sum(self._ask("reading films", jobs))
        self.effort = Effort(len(plan.films), kept, ())
        for number, which in enumerate(plan.sets):
            for grid in {layer.grid for _, layer in plan.layers}:
                shards = [Shard(plan, shard) for shard in plan.filled]
                parts = [(shard.masks(which, grid), shard.members(which)[1]) for shard in shards]
                masks, films = zip(*parts, strict=True)
                save_masks(plan, number, grid, joined_masks(masks, films, len(which.members)))

    def means(self) -> dict[str, Floats]:
        """Mean over the normal films of every unit, (units,) by layer; empty without such films."""
        plan = self.plan
        total = len(plan.normal)
        if total == 0:
            return {}
        jobs = [Mean(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
        parts = self._ask("reading normal films", jobs)
        return {name: sum(part[i] for part in parts) / total for i, (name, _) in enumerate(plan.layers)}

    def thresholds(self, number: int, layer: str) -> tuple[Where, Floats]:
        """Exact thresholds (units,) of a layer on a concept set, and where they may be counted."""
        where = Where(number, layer, self._generation.get(layer, 0))
        floor, top = self._about(where)
        rank, sample = self._rank(where)
        answer, short = search(_Everywhere(self, where), rank, floor, top, sample)
        if not (short & (floor > 0)).any():
            return where, answer
        if where.generation == 0:
            self._reread(layer, np.where(short, 0.0, floor))
            return self.thresholds(number, layer)
        self._reread(layer, np.zeros(len(floor)))
        return self.thresholds(number, layer)

    def counts(self, where: Where, thresholds: Floats) -> Tally:
        """Regions against masks, by patient."""
        jobs = [Count(shard, where, thresholds) for shard in self._shards(where)]
        parts: list[Tally] = self._ask(f"{where.layer}: counting", jobs)
        return reduce(merge, parts)

    def permuted(self, where: Where, thresholds: Floats, donors: npt.NDArray[np.int32]) -> Counts:
        """Pixels met when every film wears the masks of `donors` (n, films): (n, U, C)."""
        jobs = [Permute(shard, where, thresholds, donors) for shard in self._shards(where)]
        parts: list[Counts] = self._ask(f"{where.layer}: permuting masks", jobs)
        return _sum(parts)

    def among_positives(
        self, where: Where, thresholds: Floats, donors: Mapping[int, npt.NDArray[np.int32]], n: int
    ) -> Counts:
        """The same among each concept's own films: (n, U, C), -1 for concepts without donors."""
        shape = (n, len(thresholds), len(where.of(self.plan).concepts))
        if not donors:
            return np.full(shape, -1, dtype=np.int64)
        jobs = [Permute(shard, where, thresholds, dict(donors)) for shard in self._shards(where)]
        parts: list[Counts] = self._ask(f"{where.layer}: permuting among positives", jobs)
        absent = np.isin(np.arange(shape[2]), list(donors), invert=True)
        return np.where(absent, -1, _sum(parts))

    def shows(self, where: Where) -> npt.NDArray[np.bool_]:
        """Which film shows which concept, (films, concepts)."""
        return np.asarray(masks_of(self.plan, where.set, where.grid(self.plan)).covered() > 0)

    def strongest(self, where: Where, count: int) -> npt.NDArray[np.int64]:
        """The films on which each unit's map is highest in the mean, strongest first: places in the set, (units, k).

        Shards are gone through one by one, so that never more than one shard's means are held.
        """
        which = where.of(self.plan)
        units = dict(self.plan.layers)[where.layer].units
        means: npt.NDArray[Any] = np.empty((0, units))
        places: npt.NDArray[Any] = np.empty((0, units), dtype=np.int64)
        for number in self._shards(where):
            shard = Shard(self.plan, number)
            own, place = shard.members(which)
            new = shard.pooled(where.layer)[own]
            means = np.concatenate([means, new])
            places = np.concatenate([places, np.broadcast_to(place[:, None], new.shape)])
            order = np.lexsort((places, -means), axis=0)[:count]  # of equal means the first film in the set's order
            means, places = np.take_along_axis(means, order, 0), np.take_along_axis(places, order, 0)
        return places.T

    def _shards(self, where: Where) -> list[int]:
        """Shards with films of a concept set."""
        return sorted(set(self.plan.shard_of[where.of(self.plan).members].tolist()))

    def _about(self, where: Where) -> tuple[Floats, Floats]:
        """Above which level every shard has kept its cells, and the largest value of all."""
        told = [Shard(self.plan, shard).about(where.layer, where.generation) for shard in self.plan.filled]
        floors, tops = zip(*told, strict=True)
        return np.max(floors, 0), np.max(tops, 0)

    def _rank(self, where: Where) -> tuple[int, float]:
        """Which pixel in order of size is the threshold, and the share of pixels that a sample counts."""
        values = len(where.of(self.plan).members) * where.grid(self.plan) ** 2
        if self.plan.definition is Definition.BAU2017:
            return exceeding(values) + 1, 1.0
        return exceeding(values * PIXELS) + 1, SAMPLED

    def _reread(self, layer: str, floors: Floats) -> None:
        """A second forward for one layer, keeping all above `floors`."""
        self._generation[layer] = self._generation.get(layer, 0) + 1
        again = Again(layer, self._generation[layer], floors)
        jobs = [Read(shard, again) for shard in self.plan.filled]
        kept = sum(self._ask(f"{layer}: reading films again", jobs))
        self.effort = Effort(self.effort.films, kept, (*self.effort.again, layer))

    def _ask(self, what: str, jobs: Sequence[Job]) -> list[Any]:
        tick = self.bars.add(what, sum(job.films(self.plan) for job in jobs))
        return self.running.run(jobs, tick)


@dataclass(frozen=True)
class _Everywhere:
    """The pixels of all shards as one source: counts are added, what is found is put together."""

    passes: Passes
    where: Where

    def census(self, window: Window, *, sampled: bool = False) -> Counts:
        jobs = [Census(shard, self.where, window, sampled) for shard in self._shards]
        parts: list[Counts] = self.passes.running.run(jobs, _unseen)
        return _sum(parts)

    def found(self, window: Window, chosen: npt.NDArray[np.int64], listed: npt.NDArray[np.bool_]) -> Found:
        jobs = [Find(shard, self.where, window, chosen, listed) for shard in self._shards]
        return Found.together(self.passes.running.run(jobs, _unseen))

    @property
    def _shards(self) -> list[int]:
        return self.passes._shards(self.where)


class Bars:
    """Progress on stderr: what is under way, films a second, time left; gone when it ends."""

    def __init__(self, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True, disable=not shown,
        )  # fmt: skip

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def add(self, what: str, films: int) -> Callable[[int], None]:
        """A new line; returns what is to be told of films done."""
        task = self._progress.add_task(what, total=films)
        return lambda done: self._progress.advance(task, done)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Films a second."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} films/s")


def _sum(parts: Sequence[Counts]) -> Counts:
    total: Counts = np.sum(parts, axis=0)
    return total


def _unseen(films: int) -> None:
    """Searching for thresholds is too quick for a line of its own."""
