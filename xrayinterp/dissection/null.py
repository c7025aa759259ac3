"""What chance gives: the same regions against the masks of other patients' films."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import Code, XrayInterpError
from .cells import Words
from .regions import Regions
from .statistics import Floats, iou
from .tally import Tally

Donors = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]
Tick = Callable[[], None]


def reassign(patients: npt.NDArray[np.int64], rng: np.random.Generator) -> Donors:
    """For every film the film whose masks it is given: a permutation in which no patient keeps their own.

    Films of one patient stay together as far as group sizes allow, since films of a patient are not independent.

    Args:
        patients: (N,) number of each film's patient.

    Raises:
        XrayInterpError: `bad-option` where one patient has more than half of the films, so that no such permutation is.
    """
    if 2 * np.bincount(patients).max() > len(patients):
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"One patient has more than half of the {len(patients)} films: their masks cannot all go to others.",
            "Use probe films of more patients.",
        )
    recipients, donors = _by_patient(patients, rng), _by_patient(patients, rng)
    for k in np.flatnonzero(patients[recipients] == patients[donors]):
        own = patients[recipients[k]]
        if patients[donors[k]] != own:  # mended by an earlier swap
            continue
        free = np.flatnonzero((patients[recipients] != own) & (patients[donors] != own))
        other = rng.choice(free)
        donors[[k, other]] = donors[[other, k]]
    out = np.empty_like(donors)
    out[recipients] = donors
    return out


def permuted_iou(
    regions: Regions, masks: Words, counts: Tally, patients: Sequence[str], n: int, seed: int, tick: Tick
) -> Floats:
    """IoU of every unit with every concept for n reassignments of whole films' masks: (n, U, C)."""
    group = np.unique(np.asarray(patients), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    _, area, cover = counts.total()
    meeting = _Meeting.of(regions, masks, np.ones(regions.films, dtype=bool))
    out = np.empty((n, regions.units, len(masks)))
    for draw in range(n):
        out[draw] = iou(meeting.count(reassign(group, rng)), area, cover)
        tick()
    return out


def permuted_iou_among_positives(
    regions: Regions, masks: Words, counts: Tally, patients: Sequence[str], n: int, seed: int, tick: Tick
) -> Floats:
    """As `permuted_iou`, with each concept's masks reassigned only among the films that show it: (n, U, C).

    It asks whether a unit knows *where* a concept is, not merely on which films. A concept that cannot be reassigned
    (no film, or a patient with more than half of its films) is NaN throughout.
    """
    group = np.unique(np.asarray(patients), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    _, area, cover = counts.total()
    shows = (masks != 0).any(-1)
    possible = [c for c, s in enumerate(shows) if s.any() and 2 * np.bincount(group[s]).max() <= s.sum()]
    meetings = {c: _Meeting.of(regions, masks[c : c + 1], shows[c]) for c in possible}
    out = np.full((n, regions.units, len(masks)), np.nan)
    for draw in range(n):
        for concept, meeting in meetings.items():
            films = np.flatnonzero(shows[concept])
            donors = np.arange(len(group))
            donors[films] = films[reassign(group[films], rng)]
            out[draw, :, concept] = iou(meeting.count(donors), area, cover[concept : concept + 1])[:, 0]
        tick()
    return out


@dataclass(frozen=True)
class _Meeting:
    """Regions (K cells) and masks laid out for counting their common pixels under many reassignments.

    `words`, `unit`, `film`, `cell` (K,) of the regions; `table` (N * cells, C) of the masks; `present` (N * cells,)
    tells where any concept is: most cells have none, and are left out at once.
    """

    words: Words
    unit: Index
    film: Index
    cell: Index
    table: Words
    present: npt.NDArray[np.bool_]
    cells: int
    units: int

    @classmethod
    def of(cls, regions: Regions, masks: Words, films: npt.NDArray[np.bool_]) -> _Meeting:
        """Prepare the regions on `films` (N,) and the masks (C, N, cells)."""
        kept = np.flatnonzero(films[regions.film])
        unit, film, cell = (column[kept].astype(np.intp) for column in (regions.unit, regions.film, regions.cell))
        table = np.ascontiguousarray(masks.reshape(len(masks), -1).T)
        present = np.asarray(table.any(1))
        return cls(regions.words[kept], unit, film, cell, table, present, regions.cells, regions.units)

    def count(self, donors: Donors) -> npt.NDArray[np.int64]:
        """Pixels in each unit's region and in each concept's mask, film n wearing the masks of `donors[n]`: (U, C)."""
        where = (donors * self.cells)[self.film] + self.cell
        kept = np.flatnonzero(self.present[where])
        met = np.bitwise_count(self.words[kept, None] & self.table[where[kept]])
        unit = self.unit[kept]
        sums = [np.bincount(unit, weights=column, minlength=self.units) for column in met.T]
        return np.stack(sums, axis=1).astype(np.int64)


def _by_patient(patients: npt.NDArray[np.int64], rng: np.random.Generator) -> Donors:
    """Films ordered patient by patient, patients and the films of each in random order."""
    shuffled = rng.permutation(len(patients))
    rank = rng.permutation(int(patients.max()) + 1)
    return shuffled[np.argsort(rank[patients[shuffled]], kind="stable")]
