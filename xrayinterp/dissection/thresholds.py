"""Exact thresholds: the value above which a unit counts as firing.

With M pixels in all films and a tail of .01, the threshold is the (floor(.01 M) + 1)-th largest pixel: the smallest
value that at most one pixel in a hundred exceeds. Ties make the exceeding share smaller, never larger.
"""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from .cells import FACTOR, Bool, Corners, Float, corners, inside

TAIL = Fraction(1, 100)
_CHUNK = 1 << 15  # cells evaluated at a time: 16 MiB
_GUESS = Fraction(8, 5)  # upsampling lowers peaks: the pixels' tail lies near this multiple of the map's


class Definition(StrEnum):
    """Which pixels the quantile is taken over; figures of the two are never to be mixed."""

    KHAKZAR2021 = "khakzar2021"  # pixels of the bilinearly upsampled maps of all films
    BAU2017 = "bau2017"  # values of the native maps of all films


def threshold(maps: Float, definition: Definition, tail: Fraction = TAIL) -> float:
    """The threshold of one unit over its maps (N, h, w), exact under `definition`."""
    if definition is Definition.BAU2017:
        return _largest(maps, math.floor(tail * maps.size) + 1)
    return _upsampled(maps, tail)


def exceeding(pixels: int, tail: Fraction = TAIL) -> int:
    """How many of so many pixels may exceed a threshold."""
    return math.floor(tail * pixels)


def _upsampled(maps: Float, tail: Fraction) -> float:
    """Guess a level from the native tail; it is certified if enough pixels lie above it, else lowered.

    All pixels above the level lie in cells that have a corner above it, so their order is known exactly.
    """
    rank = exceeding(maps.size * FACTOR * FACTOR, tail) + 1
    on_picture = inside(*maps.shape[1:])
    cells = corners(maps)
    highest, least = cells.highest, float(maps.min())
    candidates = math.ceil(_GUESS * tail * maps.size) + 1
    while True:
        level = _largest(maps, min(candidates, maps.size))
        above = _pixels_above(cells, highest, on_picture, level)
        if len(above) >= rank:
            return float(np.partition(above, len(above) - rank)[len(above) - rank])
        if level == least:  # no pixel lies below the lowest corner, so all others are equal to it
            return least
        candidates *= 2


def _pixels_above(cells: Corners, highest: Float, on_picture: Bool, level: float) -> npt.NDArray[np.float64]:
    film, cell = np.nonzero(highest > level)
    kept = []
    for start in range(0, len(film), _CHUNK):
        part = slice(start, start + _CHUNK)
        pixels = cells.pixels(film[part], cell[part])
        kept.append(pixels[(pixels > level) & on_picture[cell[part]]])
    return np.concatenate(kept) if kept else np.empty(0)


def _largest(values: Float, rank: int) -> float:
    flat = values.ravel()
    return float(np.partition(flat, flat.size - rank)[flat.size - rank])
