"""Two arms compared over seeds and patients, and what may be said of it: the rule that writes the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from ..evaluation.statistics import holm
from .measures import Measure
from .store import Result

Floats = npt.NDArray[np.float64]
Reading = Literal["detectors", "by IoU alone", "permuted", "both halves", "concepts", "measure"]
Verdict = Literal["more", "less", "alike", "cannot be told"]

RESAMPLES = 1000
LEAST_SEEDS = 3
"""With fewer seeds nothing is said."""
MAX_P = 0.05


@dataclass(frozen=True)
class Quantity:
    """What is read off a run: detectors of a layer, or a measure.

    `kind`: "detectors", "by IoU alone", "permuted" (by IoU alone on permuted masks), "both halves", "concepts" (how
    many have a detector), all of `layer` on `probe`, or "measure", called `name`. `margin` is the difference below
    which two arms count as alike.
    """

    kind: Reading
    name: str
    margin: float
    probe: str = ""
    layer: str = "last"
    digits: int = 1

    def of(self, result: Result) -> float | None:
        """Its value in a finished run; None where the run does not have it."""
        if self.kind == "measure":
            measure = result.measures.get(self.name)
            return None if measure is None or not np.isfinite(measure.value) else measure.value
        line = result.line(self.probe, self.layer)
        if line is None:
            return None
        counts = {
            "detectors": line.detectors,
            "by IoU alone": line.by_iou_alone,
            "permuted": line.permuted,
            "both halves": line.both_halves,
            "concepts": line.unique_concepts,
        }
        return float(counts[self.kind])


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a quantity of an arm."""

    arm: str
    quantity: Quantity


@dataclass(frozen=True)
class Contrast:
    """A question with two sides, and what to say for each outcome; the first side is the one that is asked about."""

    asks: str
    first: Side
    second: Side
    words: Mapping[Verdict, str]


@dataclass(frozen=True)
class Finding:
    """A contrast answered.

    `difference` is first minus second, mean over `seeds`, with its 95 % interval; `p` two-sided, `adjusted` by Holm
    over the study's contrasts. `over` says what the interval covers.
    """

    contrast: Contrast
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    seeds: int
    over: str
    adjusted: float = float("nan")

    @property
    def verdict(self) -> Verdict:
        """What may be said.

        "more" or "less" where the adjusted p is at most .05, "alike" where the whole interval lies within the margin,
        else, and with fewer than three seeds, "cannot be told". A difference that is certain but lies within the
        margin is "alike".
        """
        margin = self.contrast.first.quantity.margin
        if self.seeds < LEAST_SEEDS or not np.isfinite(self.difference):
            return "cannot be told"
        if -margin <= self.low and self.high <= margin:
            return "alike"
        if self.adjusted <= MAX_P:
            return "more" if self.difference > 0 else "less"
        return "cannot be told"

    @property
    def sentence(self) -> str:
        """The answer with its figures."""
        digits = self.contrast.first.quantity.digits
        words = self.contrast.words.get(self.verdict) or _DEFAULT[self.verdict]

        def told(value: float) -> str:
            return rounded(value, digits)

        interval = ""
        if np.isfinite(self.low) and np.isfinite(self.high):
            interval = f", 95 % interval {told(self.low)} to {told(self.high)} over {self.over}"
        difference = rounded(self.difference, digits, sign="+")
        return (
            f"**{words}** ({told(self.first)} against {told(self.second)}: difference {difference}{interval}, "
            f"{self.seeds} {'seed' if self.seeds == 1 else 'seeds'})."
        )


def rounded(value: float, digits: int, *, sign: str = "") -> str:
    """A number to so many digits; what rounds to zero has no minus."""
    text = f"{value:.{digits}f}"
    positive = text.removeprefix("-")
    text = positive if float(text) == 0 else text
    return f"+{text}" if sign and not text.startswith("-") else text


_DEFAULT: Mapping[Verdict, str] = {
    "more": "Yes, more",
    "less": "No, fewer",
    "alike": "No difference that matters",
    "cannot be told": "This cannot be told from these runs",
}


def findings(contrasts: Sequence[Contrast], runs: Mapping[str, Mapping[int, Result]]) -> list[Finding]:
    """All contrasts answered that have a run on both sides, their p adjusted together.

    Args:
        runs: results by arm and seed.
    """
    found = [answer for contrast in contrasts if (answer := compare(contrast, runs)) is not None]
    adjusted = holm(np.array([one.p for one in found])) if found else np.array([])
    return [Finding(**{**vars(one), "adjusted": float(p)}) for one, p in zip(found, adjusted, strict=True)]


def compare(contrast: Contrast, runs: Mapping[str, Mapping[int, Result]]) -> Finding | None:
    """One contrast over the seeds that both sides have, paired by seed; None without any."""
    one, other = contrast.first, contrast.second
    pairs = [
        (result, runs[other.arm][seed])
        for seed, result in sorted(runs.get(one.arm, {}).items())
        if seed in runs.get(other.arm, {})
    ]
    values = [(one.quantity.of(a), other.quantity.of(b)) for a, b in pairs]
    kept = [(a, b, x, y) for (a, b), (x, y) in zip(pairs, values, strict=True) if x is not None and y is not None]
    if not kept:
        return None
    first, second = (np.array([row[i] for row in kept], dtype=np.float64) for i in (2, 3))
    resampling = _resampling(one.quantity, other.quantity, [(a, b) for a, b, _, _ in kept])
    low, high, p = over_seeds(first - second) if resampling is None else resampling(first - second)
    over = "seeds" if resampling is None else "seeds and patients"
    return Finding(
        contrast, float(first.mean()), float(second.mean()), float((first - second).mean()), low, high, p, len(kept),
        over,
    )  # fmt: skip


def over_seeds(differences: Floats) -> tuple[float, float, float]:
    """Student's 95 % interval and two-sided p of the mean of paired differences (S,); NaN with one.

    Differences that are all alike have no spread to judge by: the interval is a point, p is 1 at 0 and 0 elsewhere.
    """
    n = len(differences)
    if n < 2:
        return float("nan"), float("nan"), float("nan")
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / np.sqrt(n)
    if error == 0:
        return mean, mean, 1.0 if mean == 0 else 0.0
    half = float(stats.t.ppf(0.975, n - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return mean - half, mean + half, p


def over_seeds_and_patients(draws: Floats, seed: int = 0) -> tuple[float, float, float]:
    """Percentile 95 % interval and two-sided p of a mean over seeds, seeds and patients drawn again.

    Args:
        draws: (S, B) paired differences of each seed under the same B draws of patients.
        seed: of the draws of seeds.
    """
    seeds, count = draws.shape
    rows = np.random.default_rng(seed).integers(0, seeds, (seeds, count))
    means = np.take_along_axis(draws, rows, 0).mean(0)
    known = means[np.isfinite(means)]
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    tail = min((known <= 0).sum(), (known >= 0).sum())
    return float(low), float(high), float(min(1.0, 2 * (1 + tail) / (1 + len(known))))


def _resampling(
    one: Quantity, other: Quantity, pairs: Sequence[tuple[Result, Result]]
) -> Callable[[Floats], tuple[float, float, float]] | None:
    """How to resample patients where both sides are measures on the same films, else None."""
    if one.kind != "measure" or other.kind != "measure" or len(pairs) < 2:
        return None
    measures = [(a.measures[one.name], b.measures[other.name]) for a, b in pairs]
    if not all(_same_films(a, b) for a, b in measures):
        return None
    draws = np.stack([a.resampled(RESAMPLES) - b.resampled(RESAMPLES) for a, b in measures])
    return lambda _: over_seeds_and_patients(draws)


def _same_films(one: Measure, other: Measure) -> bool:
    return one.kind == other.kind and np.array_equal(one.patients, other.patients)
