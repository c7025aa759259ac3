"""Who is a detector: the rule that turns figures and chance into labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .statistics import Bootstrap, Floats

MIN_IOU = 0.04
MAX_P = 0.05

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scores:
    """How units and concepts compare with chance.

    A concept's score is its IoU; for anatomy, which every film shows at about the same place, the IoU with the film's
    own masks minus the mean IoU with other films' masks (`offset`, (U, C), 0 for the rest). `best` (U,) is the concept
    of highest score. `null_p` (U,) and `family_p` (U,) are permutation p-values of that score, against the maximum over
    concepts and over units and concepts; `null_high` and `family_high` (U, C) the IoU to exceed at the 5 % level.
    """

    offset: Floats
    best: npt.NDArray[np.int64]
    null_p: Floats
    family_p: Floats
    null_high: Floats
    family_high: Floats


def score(observed: Floats, permuted: Floats, anatomy: Bools) -> Scores:
    """Judge IoUs (U, C) by those of permuted masks (n, U, C); NaN concepts of the latter are left out.

    p = (1 + number of permutations at least as good) / (n + 1), so it is never 0.
    """
    usable = ~np.isnan(permuted).any((0, 1))
    everything = np.concatenate([observed[None], permuted])
    offset = np.where(anatomy & usable, everything.mean(0), 0.0)
    judged = np.where(usable, observed - offset, -np.inf)
    chance = np.where(usable, permuted - offset, -np.inf).max(2)
    top = judged.max(1)
    family = chance.max(1)
    n = len(permuted)
    return Scores(
        offset,
        judged.argmax(1),
        (1 + (chance >= top).sum(0)) / (n + 1),
        (1 + (family[:, None] >= top).sum(0)) / (n + 1),
        _level(chance)[:, None] + offset,
        _level(family) + offset,
    )


def label(observed: Floats, scores: Scores, boot: Bootstrap, thresholds: Floats) -> Bools:
    """Which concepts each unit detects, (U, C).

    The best concept counts if IoU > .04 and null_p <= .05; another one too if it exceeds .04 and `null_high` itself and
    the patients' interval of the difference between the two IoUs holds 0. A unit whose threshold is 0 fires nowhere, or
    on so few pixels that any activity counts: it is never labelled.
    """
    units = np.arange(len(observed))
    passes = (observed > MIN_IOU) & (observed > scores.null_high) & (boot.gap_low <= 0)
    passes[units, scores.best] = observed[units, scores.best] > MIN_IOU
    alive = (thresholds > 0) & (scores.null_p <= MAX_P) & passes[units, scores.best]
    detects: Bools = passes & alive[:, None]
    return detects


@dataclass(frozen=True)
class ChanceDetectors:
    """How many units a mere IoU > .04 calls detectors on permuted masks: mean and maximum over permutations.

    `by_concept` (C,) is the mean for each concept, a unit counting for its best one; `share` of the units in the mean.
    """

    mean: float
    highest: int
    share: float
    by_concept: Floats


def chance_detectors(permuted: Floats) -> ChanceDetectors:
    """Count detectors by IoU alone in every permutation (n, U, C)."""
    draws, units, concepts = permuted.shape
    best = permuted.argmax(2)
    counted = permuted.max(2) > MIN_IOU
    per_draw = counted.sum(1)
    by_concept = np.bincount(best[counted], minlength=concepts)
    return ChanceDetectors(
        float(per_draw.mean()),
        int(per_draw.max()),
        float(per_draw.mean()) / units,
        by_concept / draws,
    )


def _level(chance: Floats) -> Floats:
    """The smallest value that p <= .05 demands to be exceeded: (n, ...) -> (...).

    With k = floor(.05 (n + 1)) - 1 permutations allowed at or above a score, it must exceed the (k + 1)-th largest.
    """
    n = len(chance)
    allowed = int(np.floor(MAX_P * (n + 1) + 1e-9)) - 1
    level: Floats = np.sort(chance, axis=0)[n - 1 - allowed]
    return level
