"""What workers are asked: each job is about one shard, is small to send, and answers with integers that add up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .device import tally_on
from .masks import Masks
from .null import meetings, meetings_among_positives
from .plan import ConceptSet, Plan
from .regions import regions_of
from .shard import Again, Floats, Shard, Tick, load_array, save_arrays
from .tally import Tally, tally
from .thresholds import Counts, Found, Window


class Job(Protocol):
    """One piece of work on a plan; `films` says how much it is."""

    def films(self, plan: Plan) -> int:
        """How many films it goes through."""

    def __call__(self, plan: Plan, tick: Tick) -> Any:
        """Do it; `tick` is told of films done where that takes long."""


@dataclass(frozen=True)
class Where:
    """A concept set and a layer of a plan, and which reading of the films to use."""

    set: int
    layer: str
    generation: int = 0

    def of(self, plan: Plan) -> ConceptSet:
        """The concept set itself."""
        return plan.sets[self.set]

    def grid(self, plan: Plan) -> int:
        """Side of the layer's maps."""
        return dict(plan.layers)[self.layer].grid


@dataclass(frozen=True)
class _OnShard:
    shard: int

    def films(self, plan: Plan) -> int:
        return len(plan.of(self.shard))


@dataclass(frozen=True)
class Read(_OnShard):
    """Run the model over a shard's films; see `Shard.read`."""

    again: Again | None = None

    def __call__(self, plan: Plan, tick: Tick) -> int:
        """Bytes that the shard's files take."""
        shard = Shard(plan, self.shard)
        shard.read(tick, self.again)
        return sum(path.stat().st_size for path in shard.folder.iterdir())


@dataclass(frozen=True)
class Census(_OnShard):
    """Count a shard's pixels in a window's bins."""

    where: Where
    window: Window
    sampled: bool

    def __call__(self, plan: Plan, tick: Tick) -> Counts:
        """See `Source.census`."""
        source = Shard(plan, self.shard).source(self.where.of(plan), self.where.layer, self.where.generation)
        return source.census(self.window, sampled=self.sampled)


@dataclass(frozen=True)
class Find(_OnShard):
    """Look into one bin of a window."""

    where: Where
    window: Window
    chosen: npt.NDArray[np.int64]
    listed: npt.NDArray[np.bool_]

    def __call__(self, plan: Plan, tick: Tick) -> Found:
        """See `Source.found`."""
        source = Shard(plan, self.shard).source(self.where.of(plan), self.where.layer, self.where.generation)
        return source.found(self.window, self.chosen, self.listed)


@dataclass(frozen=True)
class Count(_OnShard):
    """Count a shard's regions against its own masks."""

    where: Where
    thresholds: Floats

    def __call__(self, plan: Plan, tick: Tick) -> Tally:
        """The shard's tally."""
        shard, which = Shard(plan, self.shard), self.where.of(plan)
        grid = self.where.grid(plan)
        device = plan.accelerator
        own, _ = shard.members(which)
        groups = [plan.groups[i] for i in shard.numbers[own]]
        masks, square = shard.masks(which, grid), (grid, grid)
        if device is not None:
            there = shard.cells_on(device, which, self.where.layer, self.where.generation)
            return tally_on(there, self.thresholds, square, masks, groups, device)
        cells = shard.cells(which, self.where.layer, self.where.generation)
        return tally(regions_of(cells, self.thresholds, square), masks, groups)


@dataclass(frozen=True)
class Permute(_OnShard):
    """Count a shard's regions against other films' masks: for all films, or concept by concept among its own.

    The answer is kept in the shard's folder, since this is what takes longest after the forwards.
    """

    where: Where
    thresholds: Floats
    donors: npt.NDArray[np.int32] | Mapping[int, npt.NDArray[np.int32]]

    def films(self, plan: Plan) -> int:
        """One for each reassignment."""
        return len(next(iter(self.donors.values())) if isinstance(self.donors, Mapping) else self.donors)

    def __call__(self, plan: Plan, tick: Tick) -> Counts:
        """Pixels met, (n, U, C)."""
        shard, which = Shard(plan, self.shard), self.where.of(plan)
        kept = shard.folder / f"{which.name}.{self.where.layer}.{self._key()}.npz"
        if kept.is_file():
            return load_array(kept, "inter")
        grid = self.where.grid(plan)
        cells = shard.cells(which, self.where.layer, self.where.generation)
        regions = regions_of(cells, self.thresholds, (grid, grid))
        masks = masks_of(plan, self.where.set, grid)
        _, places = shard.members(which)

        def beat() -> None:
            tick(1)

        if isinstance(self.donors, Mapping):
            inter = meetings_among_positives(regions, masks, {c: d[:, places] for c, d in self.donors.items()}, beat)
        else:
            inter = meetings(regions, masks, self.donors[:, places], beat)
        save_arrays(kept, {"inter": inter})
        return inter

    def _key(self) -> str:
        state = hashlib.sha256(self.thresholds.tobytes())
        parts = self.donors.items() if isinstance(self.donors, Mapping) else [("all", self.donors)]
        for name, donors in parts:
            state.update(f"{name}{donors.shape}".encode() + donors.tobytes())
        return state.hexdigest()[:16]


@dataclass(frozen=True)
class Mean:
    """Sums of every unit's map over the normal films `start` to `stop`, averaged over positions: one array a layer."""

    start: int
    stop: int

    def films(self, plan: Plan) -> int:
        """The normal films."""
        return self.stop - self.start

    def __call__(self, plan: Plan, tick: Tick) -> list[Floats]:
        """The sums."""
        films = plan.normal[self.start : self.stop]
        sums = [np.zeros(layer.units) for _, layer in plan.layers]
        for part, maps, _ in plan.normal_reader.batches(films, [layer for _, layer in plan.layers], lambda _: None):
            for total, read in zip(sums, maps, strict=True):
                total += read.double().mean((2, 3)).sum(0).cpu().numpy()
            tick(len(part))
        return sums


@lru_cache(maxsize=4)
def _masks(path: Path, modified: int) -> Masks:
    """The masks of a file, once for every state of it."""
    return Masks(load_array(path, "row"), load_array(path, "words"), int(load_array(path, "cells")))


def masks_of(plan: Plan, number: int, grid: int) -> Masks:
    """Masks of all films of a concept set, in the set's order, on a grid: what `save_masks` kept."""
    path = plan.folder / f"masks-{number}-{grid}.npz"
    return _masks(path, path.stat().st_mtime_ns)


def save_masks(plan: Plan, number: int, grid: int, masks: Masks) -> None:
    """Keep the masks of a concept set where every worker finds them."""
    told: dict[str, npt.NDArray[Any]] = {"row": masks.row, "words": masks.words, "cells": np.array(masks.cells)}
    save_arrays(plan.folder / f"masks-{number}-{grid}.npz", told)
