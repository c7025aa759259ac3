"""Exact thresholds, the value above which a unit counts as firing, from counts that films add to in any order.

With M pixels in all films and a tail of .01, the threshold is the (floor(.01 M) + 1)-th largest pixel: the smallest
value that at most one pixel in a hundred exceeds. Ties make the exceeding share smaller, never larger.

The search narrows a bracket with counts alone: a census of a sixteenth of the pixels guesses it, a census of all in it
proves or widens it, and what lies in the one bin that holds the threshold is sorted. Counts are integers that add up,
so films may lie on any number of machines, and no film's maps are ever held together with another's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .cells import PIXELS, Bool, Cells, Float, in_parts, pack, pixels, rounded_down

TAIL = Fraction(1, 100)
BINS = 1024
SAMPLED_BINS = 4096
SAMPLE = (9, 14, 49, 54)
"""Four of a cell's 64 pixels, which stand for all in a first guess."""
EVERY = 2
"""Of every so many cells one is looked at for a first guess."""
SAMPLED = len(SAMPLE) / PIXELS / EVERY
"""Share of the pixels that a first guess counts."""
SLACK = 1e-3
"""Share of a bin's width by which rounding may move its edges, with much to spare."""
SORTED = 1 << 16
"""Pixels of a unit that are sorted rather than counted further."""

Doubles = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]


class Definition(StrEnum):
    """Which pixels the quantile is taken over; figures of the two are never to be mixed."""

    KHAKZAR2021 = "khakzar2021"  # pixels of the bilinearly upsampled maps of all films
    BAU2017 = "bau2017"  # values of the native maps of all films


def exceeding(pixels: int, tail: Fraction = TAIL) -> int:
    """How many of so many pixels may exceed a threshold."""
    return math.floor(tail * pixels)


@dataclass(frozen=True)
class Window:
    """A closed interval of each unit's values, `low` to `high` (U,), cut into `bins` of equal width."""

    low: Doubles
    high: Doubles
    bins: int = BINS

    def bin(self, values: Doubles, unit: Ints) -> Ints:
        """Bin of values (K,) of units (K,) that lie in the window: 0 to bins - 1, never falling as they rise."""
        return np.minimum((values - self.low[unit]) * self._scale[unit], self.bins - 1).astype(np.int64)

    def around(self, chosen: Ints) -> Window:
        """A window that holds all of bin `chosen` (U,) of each unit and little more; nothing where it is -1."""
        asked = chosen >= 0
        low, high = (np.where(asked, side, 0.0) for side in (self.low, self.high))
        width = (high - low) / self.bins
        first = np.nextafter(low + (chosen - SLACK) * width, -np.inf)
        last = np.nextafter(low + (chosen + 1 + SLACK) * width, np.inf)
        low, high = np.maximum(low, first), np.minimum(high, last)
        return Window(np.where(asked, low, np.inf), np.where(asked, high, np.inf), self.bins)

    @cached_property
    def _scale(self) -> Doubles:
        with np.errstate(invalid="ignore"):
            width = self.high - self.low
        return np.divide(self.bins, width, out=np.zeros_like(width), where=width > 0)


@dataclass(frozen=True)
class Found:
    """What lies in one bin of each unit's window: `least` and `most` (U,), and its `values` with their `unit` (K,).

    Values are listed for the units that were asked for one by one only; `least` is inf where nothing was found.
    """

    least: Doubles
    most: Doubles
    unit: npt.NDArray[np.int64]
    values: Doubles

    @classmethod
    def together(cls, parts: Iterable[Found]) -> Found:
        """What several sets of films found, as one."""
        columns = zip(*((p.least, p.most, p.unit, p.values) for p in parts), strict=True)
        least, most, unit, values = columns
        return cls(np.min(least, 0), np.max(most, 0), np.concatenate(unit), np.concatenate(values))


class Source(Protocol):
    """Pixels of U units on some films that can be counted; the films may lie anywhere."""

    def census(self, window: Window, *, sampled: bool = False) -> Counts:
        """Pixels in each bin of the window, and above it: (U, bins + 1)."""

    def found(self, window: Window, chosen: npt.NDArray[np.int64], listed: Bool) -> Found:
        """What lies in bin `chosen` (U,) of the window (-1: nothing is asked), value by value where `listed` (U,)."""


@dataclass(frozen=True)
class Stream:
    """Pixels of a list of cells that is read from start to end each time; `picture` (cells, 64) tells which count."""

    parts: Iterable[Cells]
    picture: Bool

    def census(self, window: Window, *, sampled: bool = False) -> Counts:
        """See `Source.census`."""
        units, width = len(window.low), window.bins + 1
        out = np.zeros((units, width), dtype=np.int64)
        at = list(SAMPLE) if sampled else slice(None)
        counted = self.picture[:, at]
        share = counted.sum(1)
        for part in self.parts:
            full, reaching = _sides(part[::EVERY] if sampled else part, window)
            out[:, -1] += _by_unit(full.unit, share[full.cell], units)
            keys = []
            for some in in_parts(reaching):
                values, on = pixels(some.corners, at), counted[some.cell]
                above = (values > window.high[some.unit, None]) & on
                out[:, -1] += _by_unit(some.unit, _set(above), units)
                unit, kept = _chosen(some, values, on & ~above & (values >= window.low[some.unit, None]))
                keys.append(unit * width + window.bin(kept, unit))
            if keys:
                out += np.bincount(np.concatenate(keys), minlength=out.size).reshape(out.shape)
        return out

    def found(self, window: Window, chosen: npt.NDArray[np.int64], listed: Bool) -> Found:
        """See `Source.found`."""
        bin_ = window.around(chosen)

        def drawn() -> Iterator[tuple[Ints, Doubles]]:
            for part in self.parts:
                for some in in_parts(_sides(part, bin_)[1]):
                    values = pixels(some.corners)
                    inside = (values >= bin_.low[some.unit, None]) & (values <= bin_.high[some.unit, None])
                    yield _chosen(some, values, inside & self.picture[some.cell])

        return found_in(drawn(), window, chosen, listed)


def _sides(part: Cells, window: Window) -> tuple[Cells, Cells]:
    """The cells that lie above the window with all their pixels, and those that reach into it."""
    low, high = (rounded_down(side) for side in (window.low, window.high))
    asked = np.isfinite(window.low)
    if not asked.all():
        part = part[np.flatnonzero(asked[part.unit])]
    full = part.lowest > high[part.unit]
    reaching = ~full & (part.highest >= low[part.unit])
    return part[np.flatnonzero(full)], part[np.flatnonzero(reaching)]


def _chosen(some: Cells, values: Doubles, chosen: Bool) -> tuple[Ints, Doubles]:
    """Those pixels (K, P) of cells that are chosen, and their units."""
    at = np.flatnonzero(chosen)
    return some.unit[at // chosen.shape[1]].astype(np.int64), values.ravel()[at]


def _set(bits: Bool) -> npt.NDArray[np.integer]:
    """How many of each row's bits are set."""
    return np.bitwise_count(pack(bits)) if bits.shape[1] == PIXELS else bits.sum(1)


def _by_unit(unit: npt.NDArray[np.integer], counts: npt.NDArray[np.integer], units: int) -> Counts:
    return np.bincount(unit, weights=counts, minlength=units).astype(np.int64)


def found_in(drawn: Iterable[tuple[Ints, Doubles]], window: Window, chosen: Ints, listed: Bool) -> Found:
    """What of a stream of units and values (K,) inside a window lies in the bins asked for."""
    least, most = np.full(len(chosen), np.inf), np.full(len(chosen), -np.inf)
    units, kept = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    for unit, values in drawn:
        here = window.bin(values, unit) == chosen[unit]
        own, value = unit[here], values[here]
        np.minimum.at(least, own, value)
        np.maximum.at(most, own, value)
        units.append(own[listed[own]])
        kept.append(value[listed[own]])
    return Found(least, most, np.concatenate(units), np.concatenate(kept))


@dataclass(frozen=True)
class Listed:
    """Single values of units, (K,) each, as a source: the native maps of `bau2017`."""

    parts: Iterable[tuple[npt.NDArray[np.integer], Float]]

    def census(self, window: Window, *, sampled: bool = False) -> Counts:
        """See `Source.census`; a sample is everything."""
        units, width = len(window.low), window.bins + 1
        out = np.zeros((units, width), dtype=np.int64)
        for unit, values in self._drawn():
            out[:, -1] += np.bincount(unit[values > window.high[unit]], minlength=units)
            own, kept = _inside(unit, values, window)
            out += np.bincount(own * width + window.bin(kept, own), minlength=out.size).reshape(out.shape)
        return out

    def found(self, window: Window, chosen: npt.NDArray[np.int64], listed: Bool) -> Found:
        """See `Source.found`."""
        asked = Window(np.where(chosen < 0, np.inf, window.low), np.where(chosen < 0, np.inf, window.high), window.bins)
        return found_in((_inside(*one, asked) for one in self._drawn()), window, chosen, listed)

    def _drawn(self) -> Iterator[tuple[Ints, Doubles]]:
        return ((unit.astype(np.int64), values.astype(np.float64)) for unit, values in self.parts)


def _inside(unit: Ints, values: Doubles, window: Window) -> tuple[Ints, Doubles]:
    kept = (values >= window.low[unit]) & (values <= window.high[unit])
    return unit[kept], values[kept]


def search(source: Source, rank: int, floor: Doubles, top: Doubles, sample: float) -> tuple[Doubles, Bool]:
    """The `rank`-th largest pixel of each unit, and where it cannot be known because it is not above `floor`.

    Args:
        source: all pixels above `floor` (U,), perhaps with some at or below it.
        top: (U,) at least the largest pixel.
        sample: share of the pixels that a sampled census counts.

    Returns:
        Thresholds (U,), `floor` where fewer than `rank` pixels lie above it; and where that is so (U,).
    """
    units = np.arange(len(floor))
    window = _guess(source.census(Window(floor, top, SAMPLED_BINS), sampled=True), floor, top, rank * sample)
    answer, short, open_ = floor.copy(), np.zeros(len(floor), dtype=bool), np.ones(len(floor), dtype=bool)
    while open_.any():
        counts = source.census(window)
        above, reach = counts[:, -1], counts.sum(1)
        cumulative = above[:, None] + counts[:, -2::-1].cumsum(1)  # of the bins from the highest down
        bin_ = window.bins - 1 - (cumulative >= rank).argmax(1)
        higher = open_ & (above >= rank)
        lower = open_ & (reach < rank)
        hit = open_ & ~higher & ~lower
        within = counts[units, bin_]
        found = source.found(window, np.where(hit, bin_, -1), hit & (within <= SORTED))
        exact, values = _ranked(found, rank - cumulative[units, window.bins - 1 - bin_] + within)
        tied = hit & (found.least == found.most)
        answer = np.where(exact, values, np.where(tied, found.least, answer))
        short |= lower & (window.low <= floor)
        open_ &= ~(exact | tied | short)
        window = Window(
            _closed(open_, np.where(higher, window.high, np.where(lower, floor, found.least))),
            _closed(open_, np.where(higher, top, np.where(lower, window.low, found.most))),
        )
    return answer, short


def _guess(counts: Counts, floor: Doubles, top: Doubles, rank: float) -> Window:
    """The stretch where a sample puts the threshold, wide enough that it is seldom elsewhere."""
    edges = floor[:, None] + (top - floor)[:, None] * np.arange(SAMPLED_BINS + 1) / SAMPLED_BINS
    cumulative = counts[:, -2::-1].cumsum(1)
    margin = 0.05 * rank + 4 * math.sqrt(rank)
    units = np.arange(len(floor))
    above = (cumulative >= max(rank - margin, 1)).argmax(1)
    below = np.where(cumulative[:, -1] >= rank + margin, (cumulative >= rank + margin).argmax(1), SAMPLED_BINS - 1)
    high = np.where(cumulative[:, -1] >= max(rank - margin, 1), edges[units, SAMPLED_BINS - above], top)
    return Window(edges[units, SAMPLED_BINS - 1 - below], high)


def _ranked(found: Found, rank: Counts) -> tuple[Bool, Doubles]:
    """Where values were listed, and the `rank`-th largest (from 1) of each such unit."""
    order = np.lexsort((-found.values, found.unit))
    unit, values = found.unit[order], found.values[order]
    sizes = np.bincount(unit, minlength=len(rank))
    listed = sizes > 0
    at = np.where(listed, np.concatenate([[0], sizes.cumsum()[:-1]]) + rank - 1, 0)
    return listed, values[at] if len(values) else np.zeros(len(rank))


def _closed(open_: Bool, values: Doubles) -> Doubles:
    """A window that holds nothing where the search is over."""
    return np.where(open_, values, np.inf)
