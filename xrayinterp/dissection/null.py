"""What chance gives: the same regions against the masks of other patients' films."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import Code, XrayInterpError
from .masks import Masks
from .regions import Regions

Counts = npt.NDArray[np.int64]
Donors = npt.NDArray[np.int32]
Order = npt.NDArray[np.int64]
Tick = Callable[[], None]


def reassign(patients: npt.NDArray[np.int64], rng: np.random.Generator) -> Order:
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


def reassignments(patients: Sequence[str], n: int, seed: int) -> Donors:
    """`n` reassignments of whole films' masks: (n, N), the film whose masks each film is given."""
    group = np.unique(np.asarray(patients), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    return np.stack([reassign(group, rng) for _ in range(n)]).astype(np.int32)


def reassignments_among_positives(
    patients: Sequence[str], shows: npt.NDArray[np.bool_], n: int, seed: int
) -> dict[int, Donors]:
    """`n` reassignments of each concept's masks among the films that show it: (n, N) by number of the concept.

    It asks whether a unit knows *where* a concept is, not merely on which films. Films without the concept are given
    -1. A concept that cannot be reassigned (no film, or a patient with more than half of its films) is left out.

    Args:
        shows: (N, C), which film shows which concept.
    """
    group = np.unique(np.asarray(patients), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    possible = [c for c, s in enumerate(shows.T) if s.any() and 2 * np.bincount(group[s]).max() <= s.sum()]
    out = {c: np.full((n, len(group)), -1, dtype=np.int32) for c in possible}
    for draw in range(n):
        for concept, donors in out.items():
            films = np.flatnonzero(shows[:, concept])
            donors[draw, films] = films[reassign(group[films], rng)]
    return out


def meetings(regions: Regions, masks: Masks, donors: Donors, tick: Tick) -> Counts:
    """Pixels in each unit's region and in each concept's mask, film by film in the masks of its donor: (n, U, C).

    Args:
        regions: of some films, numbered from 0.
        masks: of all films that may give.
        donors: (n, films), for each film of the regions the film of the masks whose masks it is given.
    """
    unit, film, cell = (column.astype(np.int64) for column in (regions.unit, regions.film, regions.cell))
    out = np.empty((len(donors), regions.units * masks.concepts), dtype=np.int64)
    for draw, giving in enumerate(donors.astype(np.int64) * regions.cells):
        kept, met = masks.at(giving[film] + cell)
        met &= regions.words[kept, None]
        row, concept = np.nonzero(met)
        key = unit[kept[row]] * masks.concepts + concept
        counts = np.bitwise_count(met[row, concept])
        out[draw] = np.bincount(key, weights=counts, minlength=out.shape[1])
        tick()
    return out.reshape(len(donors), regions.units, masks.concepts)


def meetings_among_positives(regions: Regions, masks: Masks, donors: Mapping[int, Donors], tick: Tick) -> Counts:
    """As `meetings`, for reassignments of each concept among its own films: (n, U, C), -1 for concepts without any."""
    n = len(next(iter(donors.values()))) if donors else 0
    out = np.full((n, regions.units, masks.concepts), -1, dtype=np.int64)
    shown = {c: regions.without(giving[0][regions.film] >= 0) for c, giving in donors.items()}
    column = {c: Masks(masks.row, masks.words[:, c : c + 1], masks.cells) for c in donors}
    for draw in range(n):
        for c, giving in donors.items():
            out[draw, :, c] = meetings(shown[c], column[c], giving[draw : draw + 1], lambda: None)[0, :, 0]
        tick()
    return out


def _by_patient(patients: npt.NDArray[np.int64], rng: np.random.Generator) -> Order:
    """Films ordered patient by patient, patients and the films of each in random order."""
    shuffled = rng.permutation(len(patients))
    rank = rng.permutation(int(patients.max()) + 1)
    return shuffled[np.argsort(rank[patients[shuffled]], kind="stable")]
