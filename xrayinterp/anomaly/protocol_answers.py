"""Two detectors on the same images: their difference, and what may be concluded from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..evaluation.statistics import holm
from .protocol_lines import Floats, Line, interval, plain

SEEDS = 3
"""With fewer of a detector nothing is concluded."""
ALPHA = 0.05
NONE = "—"
"""Of too few seeds."""


@dataclass(frozen=True)
class Answer:
    """First minus second on one trial and metric, the mean over seeds, with its 95 % interval over patients.

    `by_seed` are the differences of the seeds that both have; () where a side has fewer than SEEDS, and nothing is
    concluded. `p` is of no difference: two-sided, normal, the error that of the resamples; `p_holm` after Holm's rule
    over all comparisons under one question, NaN before.
    """

    place: str
    metric: str
    expert: str
    difference: float
    low: float
    high: float
    by_seed: tuple[float, ...] = ()
    p: float = np.nan
    p_holm: float = np.nan

    @property
    def told(self) -> str:
        """As text: "+.021 (−.004 to +.046)"."""
        return f"{signed(self.difference)} ({signed(self.low)} to {signed(self.high)})"

    @property
    def verdict(self) -> str:
        """Better or worse where Holm's p < .05, the interval leaves out 0 and all seeds agree, else "not told apart".

        NONE where there are too few seeds.
        """
        if not self.by_seed:
            return NONE
        for name, sign in (("better", 1), ("worse", -1)):
            agree = all(sign * one > 0 for one in (*self.by_seed, self.low, self.high))
            if agree and self.p_holm < ALPHA:
                return name
        return "not told apart"

    @property
    def adjusted(self) -> str:
        """The adjusted p as text."""
        return NONE if not np.isfinite(self.p_holm) else "< .001" if self.p_holm < 0.001 else plain(self.p_holm)


def compared(first: Line, second: Line) -> Answer:
    """First minus second; see `judged`."""
    apart = np.asarray(first.draws) - np.asarray(second.draws)
    difference = first.value - second.value
    found = (difference, *interval(apart), by_seed(first, second), _p(difference, apart))
    return Answer(where(first), first.place.metric, method_of(first)[1], *found)


def judged(found: Sequence[Answer]) -> list[Answer]:
    """The comparisons under one question, p adjusted for their number; those of too few seeds do not count."""
    adjusted = holm(np.array([one.p if one.by_seed else np.nan for one in found]))
    return [replace(one, p_holm=float(p)) for one, p in zip(found, adjusted, strict=True)]


def by_seed(first: Line, second: Line) -> tuple[float, ...]:
    """Differences of the seeds that both have, a detector without seeds beside each; () where they are too few."""
    shared = [seed for seed in first.seeds or second.seeds if seed in (second.seeds or first.seeds)]
    if len(shared) < SEEDS and (first.seeds or second.seeds):
        return ()
    pairs = [(_of_seed(first, seed), _of_seed(second, seed)) for seed in shared or (0,)]
    return tuple(a - b for a, b in pairs)


def _of_seed(line: Line, seed: int) -> float:
    return line.values[line.seeds.index(seed) if line.seeds else 0]


def _p(difference: float, draws: Floats) -> float:
    """Of no difference, two-sided, by a normal distribution as wide as the draws; 1 where there is none."""
    known = draws[np.isfinite(draws)]
    if len(known) < 2 or not difference:
        return 1.0
    error = float(known.std(ddof=1))
    return math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else 0.0


def in_words(comparisons: Sequence[Answer]) -> str:
    """What the comparisons come to."""
    counts = {verdict: sum(one.verdict == verdict for one in comparisons) for verdict in ("better", "worse")}
    better, worse = counts["better"], counts["worse"]
    concluded = sum(one.verdict != NONE for one in comparisons)
    if not concluded:
        return f"Nothing is concluded from fewer than {SEEDS} seeds."
    told = f"better in {better}, worse in {worse}, not told apart in {concluded - better - worse}"
    start = (
        "Cannot be told" if not better and not worse
        else "Yes" if not worse and 2 * better > concluded
        else "No, the reverse" if 2 * worse > concluded
        else "Sometimes" if better
        else "No"
    )  # fmt: skip
    return f"{start}: of {concluded} comparisons {told}."


def method_of(line: Line) -> tuple[str, str]:
    """Method and expert of a line's detector."""
    method, _, expert = line.detector.partition("@")
    return method, expert


def where(line: Line) -> str:
    """Task, or family, and trial as text."""
    of, every = line.tasks
    some = f" ({of} of {every} tasks)" if of < every and not line.place.task else ""
    return f"{line.place.task or line.place.family}{some}, {line.place.trial}"


def signed(value: float) -> str:
    """A difference as text: "+.021", "−.004", ".000", "–" where there is none."""
    told = plain(abs(value))
    return "–" if not np.isfinite(value) else told if told == ".000" else f"{'+' if value > 0 else '−'}{told}"
