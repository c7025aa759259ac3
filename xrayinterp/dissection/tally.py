"""Tallies: integer counts of where regions and masks meet, per patient or group of patients; merging is addition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import Code, XrayInterpError
from .cells import Words
from .masks import Masks
from .regions import Regions

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """Pixel counts of G patients (or groups of patients), U units and C concepts, all int64.

    `patients` (G names, sorted); `inter` (G, U, C) pixels in region and mask; `area` (G, U) pixels in the region;
    `cover` (G, C) pixels in the mask; `shown` (G, C) films that show the concept; `films` (G,); `pixels` of one film.
    """

    patients: tuple[str, ...]
    inter: Counts
    area: Counts
    cover: Counts
    shown: Counts
    films: Counts
    pixels: int

    def total(self, chosen: npt.NDArray[np.bool_] | None = None) -> tuple[Counts, Counts, Counts]:
        """Sums over all patients, or over those `chosen` (G,): inter (U, C), area (U,), cover (C,)."""
        part = slice(None) if chosen is None else chosen
        return self.inter[part].sum(0), self.area[part].sum(0), self.cover[part].sum(0)


def tally(regions: Regions, masks: Masks, patients: Sequence[str]) -> Tally:
    """Count regions against the masks of the same films, film n belonging to `patients[n]`."""
    names, group = by_patient(patients)
    shape = (len(names), regions.units)
    key = group[regions.film] * regions.units + regions.unit

    def by_key(kept: slice | npt.NDArray[np.intp], words: Words) -> Counts:
        counts = np.bincount(key[kept], weights=np.bitwise_count(words), minlength=shape[0] * shape[1])
        return counts.astype(np.int64).reshape(shape)

    kept, met = masks.at(regions.film.astype(np.int64) * regions.cells + regions.cell)
    inter = np.stack([by_key(kept, regions.words[kept] & column) for column in met.T], axis=-1)
    covered = masks.covered()
    cover, shown = np.zeros((2, len(names), masks.concepts), dtype=np.int64)
    np.add.at(cover, group, covered)
    np.add.at(shown, group, covered > 0)
    films = np.bincount(group, minlength=len(names))
    return Tally(names, inter, by_key(slice(None), regions.words), cover, shown, films, 64 * math.prod(regions.grid))


def by_patient(patients: Sequence[str]) -> tuple[tuple[str, ...], Counts]:
    """The patients' names, sorted, and the number of each film's patient."""
    names = tuple(sorted(set(patients)))
    number = {name: i for i, name in enumerate(names)}
    return names, np.array([number[name] for name in patients], dtype=np.int64)


def merge(a: Tally, b: Tally) -> Tally:
    """Counts of two sets of films under the same thresholds together: exact, and the same in any order.

    Raises:
        XrayInterpError: `bad-option` where units, concepts or grids differ.
    """
    if a.inter.shape[1:] != b.inter.shape[1:] or a.pixels != b.pixels:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"Tallies of {a.inter.shape[1:]} and {b.inter.shape[1:]} units and concepts on {a.pixels} and {b.pixels} "
            "pixels a film cannot be added.",
            "Merge tallies of the same layer and the same concepts only.",
        )
    names = tuple(sorted({*a.patients, *b.patients}))
    number = {name: i for i, name in enumerate(names)}

    def add(x: Counts, y: Counts) -> Counts:
        out = np.zeros((len(names), *x.shape[1:]), dtype=np.int64)
        out[[number[n] for n in a.patients]] += x
        out[[number[n] for n in b.patients]] += y
        return out

    return Tally(
        names,
        add(a.inter, b.inter),
        add(a.area, b.area),
        add(a.cover, b.cover),
        add(a.shown, b.shown),
        add(a.films, b.films),
        a.pixels,
    )
