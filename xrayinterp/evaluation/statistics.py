"""Figures over data sets: patients are resampled, never films, and many comparisons are paid for by Holm's rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..models.card import Interval
from ..training.measure import Scored, auroc_interval, patient_weights

Floats = npt.NDArray[np.floating]

RESAMPLES = 2000
FLIPS = 9999
_ROWS = 500  # resamples held at a time


def mean_interval(
    values: Floats, patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """Mean over films with a 95 % percentile interval over patients.

    Args:
        values: (N,), one a film; NaN where nothing was measurable: such films count neither way.
        patients: (N,) names.
        resamples: patients are drawn with replacement this often, all films of a patient together.
        seed: of the draws.

    Returns:
        None where no film was measurable.
    """
    known, names = _measured(values, patients)
    if not len(known):
        return None
    weights = patient_weights(names, resamples, seed)
    low, high = np.quantile(weights @ known / weights.sum(1), [0.025, 0.975])
    return Interval(float(known.mean()), float(low), float(high))


def auroc_over_patients(
    scores: Floats, outcomes: Floats, patients: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval | None:
    """How well a measure tells films with an outcome from those without: AUROC, 95 % interval over patients.

    Args:
        scores: (N,), NaN where not measurable.
        outcomes: (N,) of 0 and 1.
        patients: (N,) names.
        resamples: as for `mean_interval`.
        seed: as for `mean_interval`.

    Returns:
        None where the measurable films are all of one class.
    """
    keep = np.isfinite(scores)
    data = Scored(np.asarray(outcomes), np.asarray(scores), patients).only(keep)
    return auroc_interval(data, resamples=resamples, seed=seed) if keep.any() else None


def sign_flip_p(differences: Floats, patients: Sequence[str], *, flips: int = FLIPS, seed: int = 0) -> float:
    """Two-sided p of the hypothesis that paired differences (N,) are symmetric about 0, patients being independent.

    All differences of a patient change sign together (Fisher's randomisation test); the observed arrangement is
    counted among the `flips` drawn, so p is never 0. NaN where no difference is known.
    """
    known, names = _measured(differences, patients)
    if not len(known):
        return float("nan")
    _, owner = np.unique(np.asarray(names), return_inverse=True)
    sums = np.bincount(owner, weights=known)
    rng = np.random.default_rng(seed)
    observed = abs(sums.sum()) * (1 - 1e-12)  # sums in another order may differ in the last bit
    reached = 0
    for start in range(0, flips, _ROWS):
        signs = rng.integers(0, 2, (min(_ROWS, flips - start), len(sums))) * 2 - 1
        reached += int((np.abs(signs @ sums) >= observed).sum())
    return (1 + reached) / (1 + flips)


def holm(p: Floats) -> npt.NDArray[np.float64]:
    """The p values (K,) adjusted for K comparisons by Holm's step-down rule, in the same order.

    NaN, a comparison that was not made, stays NaN and does not count. Source: Holm 1979, Scand. J. Statist. 6.
    """
    given = np.asarray(p, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    order = np.argsort(given, kind="stable")
    order = order[np.isfinite(given[order])]
    factors = np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1)
    return out


def _measured(values: Floats, patients: Sequence[str]) -> tuple[npt.NDArray[np.float64], list[str]]:
    numbers = np.asarray(values, dtype=np.float64)
    keep = np.isfinite(numbers)
    return numbers[keep], [patient for patient, here in zip(patients, keep, strict=True) if here]
