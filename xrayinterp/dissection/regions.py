"""Regions: where each unit fires on each film, as a sparse list of 64-pixel words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .cells import PIXELS, Cells, Int, Words, cells_above, in_parts, inside, pack, pixels
from .thresholds import SAMPLED, Definition, Listed, Source, Stream, exceeding, search


@dataclass(frozen=True)
class Regions:
    """Pixels above threshold of U units: K non-empty cells, each (unit, film, cell) with its 64 pixels.

    `thresholds` (U,) float64; `unit`, `film`, `cell` (K,) int32; `words` (K,) uint64; `grid` (h, w) of the native maps,
    so there are (h + 1)(w + 1) cells a film.
    """

    thresholds: npt.NDArray[np.float64]
    grid: tuple[int, int]
    unit: Int
    film: Int
    cell: Int
    words: Words

    @property
    def units(self) -> int:
        """Number of units, silent ones included."""
        return len(self.thresholds)

    @property
    def cells(self) -> int:
        """Cells a film."""
        return (self.grid[0] + 1) * (self.grid[1] + 1)

    def areas(self) -> npt.NDArray[np.int64]:
        """Pixels above threshold of every unit, (U,)."""
        counts = np.bitwise_count(self.words)
        return np.bincount(self.unit, weights=counts, minlength=self.units).astype(np.int64)

    def without(self, kept: npt.NDArray[np.bool_]) -> Regions:
        """Only the cells `kept` (K,)."""
        return Regions(self.thresholds, self.grid, self.unit[kept], self.film[kept], self.cell[kept], self.words[kept])


def regions_of(parts: Iterable[Cells], thresholds: npt.NDArray[np.float64], grid: tuple[int, int]) -> Regions:
    """The regions above thresholds (U,) that a list of cells holds, exactly; no other cell may reach above."""
    on_picture = pack(inside(*grid))
    kept, words = [], []
    for part in parts:
        level = thresholds[part.unit]
        some = part[part.highest > level]
        found = on_picture[some.cell]
        mixed = np.flatnonzero(some.lowest <= thresholds[some.unit])
        parted = some[mixed]
        fires = [pack(pixels(few.corners) > thresholds[few.unit, None]) for few in in_parts(parted)]
        if fires:
            found[mixed] &= np.concatenate(fires)
        kept.append(some[found != 0])
        words.append(found[found != 0])
    unit, film, cell = (
        np.concatenate([np.empty(0, dtype=np.int32), *(getattr(c, name) for c in kept)])
        for name in ("unit", "film", "cell")
    )
    return Regions(thresholds, grid, unit, film, cell, np.concatenate([np.empty(0, dtype=np.uint64), *words]))


def find_regions(maps: npt.NDArray[np.float32], definition: Definition) -> Regions:
    """Thresholds over maps (N, U, h, w) in memory and the regions above them, exactly."""
    films, units, height, width = maps.shape
    floor = np.broadcast_to(maps.min((0, 2, 3)), units).astype(np.float64)
    cells = cells_above(maps, floor, np.arange(films, dtype=np.int32))
    source: Source = Stream([cells], inside(height, width))
    size, sample = films * height * width * PIXELS, SAMPLED
    if definition is Definition.BAU2017:
        values = maps.swapaxes(0, 1).reshape(-1)
        source = Listed([(np.repeat(np.arange(units), films * height * width), values)])
        size, sample = films * height * width, 1.0
    top = maps.max((0, 2, 3)).astype(np.float64)
    thresholds, _ = search(source, exceeding(size) + 1, floor, top, sample)
    return regions_of([cells], thresholds, (height, width))
