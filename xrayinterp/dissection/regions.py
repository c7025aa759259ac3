"""Regions: where each unit fires on each film, as a sparse list of 64-pixel words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .cells import Float, Words, corners, inside, pack
from .thresholds import Definition, threshold

_CHUNK = 1 << 15
_UNITS = 32  # units read at a time from maps that may lie on disk


@dataclass(frozen=True)
class Regions:
    """Pixels above threshold of U units on N films: K non-empty cells, each (unit, film, cell) with its 64 pixels.

    `thresholds` (U,) float64; `unit`, `film`, `cell` (K,) int32, sorted by unit, then film; `words` (K,) uint64;
    `grid` (h, w) of the native maps, so there are (h + 1)(w + 1) cells a film.
    """

    thresholds: npt.NDArray[np.float64]
    films: int
    grid: tuple[int, int]
    unit: npt.NDArray[np.int32]
    film: npt.NDArray[np.int32]
    cell: npt.NDArray[np.int32]
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


def find_regions(maps: Float, definition: Definition) -> Regions:
    """Thresholds over all films and the regions above them, exactly, for maps (N, U, h, w)."""
    height, width = maps.shape[2:]
    words_inside = pack(inside(height, width))
    levels = np.empty(maps.shape[1])
    parts = []
    for unit, values in _by_unit(maps):
        levels[unit] = threshold(values, definition)
        film, cell, words = _region(values, levels[unit], words_inside)
        parts.append((np.full(len(film), unit), film, cell, words))
    *places, found = (np.concatenate(column) for column in zip(*parts, strict=True))
    units, films, cells = (column.astype(np.int32) for column in places)
    return Regions(levels, len(maps), (height, width), units, films, cells, found)


def _region(values: Float, level: float, words_inside: Words) -> tuple[npt.NDArray[np.int64], ...]:
    """Non-empty cells of one unit: film, cell, word."""
    cells = corners(values)
    film, cell = np.nonzero(cells.highest > level)
    words = words_inside[cell].copy()
    mixed = np.flatnonzero(cells.lowest[film, cell] <= level)
    for start in range(0, len(mixed), _CHUNK):
        part = mixed[start : start + _CHUNK]
        words[part] &= pack(cells.pixels(film[part], cell[part]) > level)
    kept = words != 0
    return film[kept], cell[kept], words[kept]


def _by_unit(maps: Float) -> Iterator[tuple[int, Float]]:
    for start in range(0, maps.shape[1], _UNITS):
        block = np.ascontiguousarray(maps[:, start : start + _UNITS].swapaxes(0, 1))
        for offset, values in enumerate(block):
            yield start + offset, values
