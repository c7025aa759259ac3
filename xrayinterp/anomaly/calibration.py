"""What a score is worth: its percentile among held-out normals, with an interval. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from ..errors import Code, XrayInterpError

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95
FEWEST = 20
"""Held-out normals from which on percentiles go without a warning; of these, an interval takes up to half the scale."""


@dataclass(frozen=True)
class Percentile:
    """Percentile of a score among held-out normals, 0 to 100, with a 95 % interval for the percentile among all such.

    50 is the middle of the normals; 100 is above every one that was held out.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of held-out normals, ascending, and whose they are: patients as numbers, each film its own without."""

    scores: Floats
    patients: npt.NDArray[np.int64]

    @classmethod
    def of(cls, scores: npt.ArrayLike, patients: Sequence[object] | None = None) -> Calibration:
        """From scores (N,) in any order and, where known, the patient of each.

        Raises:
            XrayInterpError: `bad-data` for none, for scores that are not finite, or another number of patients.
        """
        values = np.asarray(scores, dtype=np.float64)
        owners = list(range(len(values))) if patients is None else [str(patient) for patient in patients]
        if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or len(owners) != len(values):
            raise XrayInterpError(
                Code.BAD_DATA,
                f"Scores of shape {values.shape} of {len(owners)} patients cannot be calibrated on.",
                "Give one finite score a held-out normal image, and one patient each.",
            )
        order = np.argsort(values, kind="stable")
        numbers = np.unique(np.asarray(owners), return_inverse=True)[1]
        return cls(values[order], numbers[order].astype(np.int64))

    def percentile(self, score: float) -> Percentile:
        """Where a score lies among the held-out normals; those equal to it count half.

        The interval is that of a binomial share (Clopper & Pearson 1934) of as many independent films as the patients
        leave (Korn & Graubard 1998).

        Raises:
            XrayInterpError: `weights-corrupt` for a score that is not finite, which no sound detector gives.
        """
        if not np.isfinite(score):
            raise XrayInterpError(
                Code.WEIGHTS_CORRUPT, f"The detector gives a score of {score}.", "Get or fit the detector again."
            )
        below = (self.scores < score) + 0.5 * (self.scores == score)
        share = float(below.mean())
        low, high = _interval(share, self._independent(below))
        return Percentile(100 * share, 100 * low, 100 * high)

    def threshold(self, share: float) -> float:
        """The least held-out score that at most a `share` of the held-out normals exceeds."""
        count = len(self.scores)
        above = int(Fraction(str(float(share))) * count)  # as the share is written: 0.7 of 10 are 7
        return float(self.scores[min(max(count - 1 - above, 0), count - 1)])

    @property
    def reservation(self) -> str:
        """Why percentiles are to be read with care; empty where they need not be."""
        count = len(self.scores)
        if count >= FEWEST:
            return ""
        middle = self.percentile(float(self.scores[count // 2]))
        return (
            f"Percentiles are among {count} held-out normals, fewer than {FEWEST}: in the middle of them, the interval "
            f"is {middle.low:.0f} to {middle.high:.0f}."
        )

    def _independent(self, below: Floats) -> float:
        """How many independent films would tell the share as well: n over the design effect of the patients."""
        n, share = len(below), below.mean()
        sums = np.bincount(self.patients, weights=below - share)
        count = len(sums)
        plain = share * (1 - share) / n
        if count < 2 or plain == 0:
            return float(count)
        effect = (sums**2).sum() * count / (count - 1) / n**2 / plain
        return float(np.clip(n / max(effect, 1e-12), 1, n))


def _interval(share: float, n: float) -> tuple[float, float]:
    hits, rest = share * n, (1 - share) * n
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, rest + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, rest)) if rest > 0 else 1.0
    return low, high
