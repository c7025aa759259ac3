"""From counts to figures: IoU and what it could be at most, patient intervals, cross-fitting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .tally import Counts, Tally

Floats = npt.NDArray[np.float64]
_CELLS = 1 << 22  # resampled figures held at a time: 32 MiB


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike) -> Floats:
    """Part / whole, 0 where whole is 0 (so an IoU is never NaN)."""
    top, bottom = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    out: Floats = np.divide(top, bottom, out=np.zeros(top.shape), where=bottom > 0)
    return out


def iou(inter: npt.NDArray[np.generic], area: npt.NDArray[np.generic], cover: npt.NDArray[np.generic]) -> Floats:
    """Intersection over union: inter (..., U, C), area (..., U), cover (..., C) -> (..., U, C)."""
    covers = np.asarray(cover)[..., None, :]
    union = np.asarray(area)[..., None] + covers - np.asarray(inter)
    return ratio(np.asarray(inter), union)


def ceiling(area: Counts, cover: Counts) -> Floats:
    """The highest IoU that the areas allow, reached by nested sets: (U,), (C,) -> (U, C)."""
    return ratio(np.minimum(area[:, None], cover), np.maximum(area[:, None], cover))


@dataclass(frozen=True)
class Bootstrap:
    """95 % percentile intervals over resampled patients.

    `low`, `high` (U, C) bound the IoU; `gap_low` (U, C) is the lower bound of the first concept's IoU minus this one's.
    """

    low: Floats
    high: Floats
    gap_low: Floats


def bootstrap(counts: Tally, first: Counts, resamples: int, seed: int) -> Bootstrap:
    """Resample whole patients, with thresholds and the choice of the `first` concept (U,) of each unit held."""
    patients, units, concepts = counts.inter.shape
    weights = np.random.default_rng(seed).multinomial(patients, np.full(patients, 1 / patients), size=resamples)
    times = weights.astype(np.float64)  # sums of integers below 2**53: exact, whatever the order of summation
    cover = times @ counts.cover
    out = np.empty((3, units, concepts))
    step = max(1, _CELLS // (resamples * concepts))
    for start in range(0, units, step):
        part = slice(start, start + step)
        flat = counts.inter[:, part].reshape(patients, -1)
        drawn = iou((times @ flat).reshape(resamples, -1, concepts), times @ counts.area[:, part], cover)
        best = np.take_along_axis(drawn, first[None, part, None], axis=2)
        out[:2, part] = np.percentile(drawn, (2.5, 97.5), axis=0)
        out[2, part] = np.percentile(best - drawn, 2.5, axis=0)
    return Bootstrap(*out)


@dataclass(frozen=True)
class CrossFit:
    """`iou` (U,): the concept chosen on one half of the patients, measured on the other, averaged both ways.

    `agrees` (U,): both halves chose the same concept.
    """

    iou: Floats
    agrees: npt.NDArray[np.bool_]


def cross_fit(counts: Tally, offset: Floats, seed: int) -> CrossFit:
    """Split the patients at random into halves and let each choose for the other.

    Args:
        offset: (U, C), subtracted from an IoU before concepts are compared (see `labels.Scores`).
    """
    order = np.random.default_rng(seed).permutation(len(counts.patients))
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[: len(order) // 2]] = True
    halves = [iou(*counts.total(half)) for half in (chosen, ~chosen)]
    choices = [(half - offset).argmax(1) for half in halves]
    units = np.arange(len(offset))
    crossed = (halves[1][units, choices[0]] + halves[0][units, choices[1]]) / 2
    return CrossFit(crossed, choices[0] == choices[1])
