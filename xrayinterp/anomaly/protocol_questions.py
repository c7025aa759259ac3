"""Questions that compare two detectors, or two ways of maps, on the same images: differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..evaluation.statistics import holm
from ..evaluation.tables import markdown
from .protocol import ALL, METRICS
from .protocol_lines import Line, interval, plain

DISTILLED = "distillation"
BASELINES = ("nearest", "gaussian", "reconstruction")
"""Methods that are told nothing but which images are normal."""
APART = ("centre", "weak")
"""A control, and a model that was told more."""
SEEDS = 3
"""With fewer of a detector nothing is concluded."""
ALPHA = 0.05
NONE = "—"
Side = tuple[str, str]
"""A method and the way its maps are made."""


@dataclass(frozen=True)
class Question:
    """Is `first` better than `second`, both reading the same expert?"""

    text: str
    first: Side
    second: Side


QUESTIONS = (
    Question("Do all critical points beat the last alone?", ("distillation", "gradient"), ("last-layer", "gradient")),
    Question("Does direction alone beat value alone?", ("direction", "gradient"), ("value", "gradient")),
    Question("Do both terms beat direction alone?", ("distillation", "gradient"), ("direction", "gradient")),
    Question("Do both terms beat value alone?", ("distillation", "gradient"), ("value", "gradient")),
    Question(
        "Does the gradient localise better than the plain difference of features?",
        ("distillation", "gradient"), ("distillation", "difference"),
    ),
    Question(
        "Does guided backpropagation localise better than the gradient?",
        ("distillation", "guided"), ("distillation", "gradient"),
    ),
    Question(
        "Does SmoothGrad localise better than the gradient?",
        ("distillation", "smoothgrad"), ("distillation", "gradient"),
    ),
    Question("Do standardised terms beat the plain sum?", ("standardised", "gradient"), ("distillation", "gradient")),
    Question(
        "Do directions at every position beat those of whole maps?",
        ("position", "difference"), ("distillation", "difference"),
    ),
    Question("Does a cloner of equal size beat the small one?", ("equal", "gradient"), ("distillation", "gradient")),
    Question("Does the distillation beat the nearest patch?", ("distillation", "gradient"), ("nearest", "own")),
    Question("Does the distillation beat a Gaussian per position?", ("distillation", "gradient"), ("gaussian", "own")),
    Question("Does the distillation beat an autoencoder?", ("distillation", "gradient"), ("reconstruction", "own")),
    Question(
        "Does the changed distillation beat the nearest patch?",
        ("position-standardised", "difference"), ("nearest", "own"),
    ),
    Question(
        "Does the changed distillation beat a Gaussian per position?",
        ("position-standardised", "difference"), ("gaussian", "own"),
    ),
    Question("Do its maps find more than a blob in the middle?", ("distillation", "gradient"), ("centre", "own")),
    Question("Does the distillation reach the supervised model?", ("distillation", "gradient"), ("weak", "own")),
)  # fmt: skip
"""What is asked of every run, as far as it has both sides."""


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


def answers(question: Question, found: Sequence[Line]) -> list[Answer]:
    """All comparisons of a question that a run allows, on the groups of all anomalies."""
    kept = overall(found)
    pairs = [(first, second) for first in kept if _is(first, question.first) for second in kept]
    return judged([_answer(first, second) for first, second in pairs if _beside(first, second, question.second)])


def judged(found: Sequence[Answer]) -> list[Answer]:
    """The comparisons under one question, p adjusted for their number; those of too few seeds do not count."""
    adjusted = holm(np.array([one.p if one.by_seed else np.nan for one in found]))
    return [replace(one, p_holm=float(p)) for one, p in zip(found, adjusted, strict=True)]


def overall(found: Sequence[Line]) -> list[Line]:
    """Lines of all anomalies together; of families of several tasks their means.

    What learned from the images it is tested on, or may have, is left out.
    """
    whole = {line.place.family for line in found if not line.place.task}
    return [
        line
        for line in found
        if line.seen == "no" and line.place.group == ALL and (not line.place.task or line.place.family not in whole)
    ]


def experts_compared(found: Sequence[Line]) -> list[str]:
    """Lines: each method with one expert less the same with another."""
    kept = [line for line in overall(found) if _method(line)[0] in (DISTILLED, *BASELINES) and _method(line)[1]]
    pairs = [
        (first, second)
        for first, second in combinations(kept, 2)
        if first.place == second.place and _method(first)[0] == _method(second)[0]
    ]
    if not pairs:
        return []
    body = []
    for (first, second), one in zip(pairs, judged([_answer(*pair) for pair in pairs]), strict=True):
        told = [f"{one.expert} less {_method(second)[1]}", one.told, one.adjusted, one.verdict]
        body.append([one.place, METRICS[one.metric], _method(first)[0], first.place.view, *told])
    head = ["on", "metric", "method", "map", "experts", "difference", "p", ""]
    return ["### Does it matter what the expert learned?", "", *markdown(head, body), ""]


def at_a_glance(found: Sequence[Line]) -> list[str]:
    """Lines: on every trial the best form of distillation beside the best baseline that was told nothing.

    Both were chosen on these very figures, so there is neither interval nor verdict; the table says of how many.
    """
    places: dict[tuple[str, str, str, str], list[Line]] = {}
    for line in overall(found):
        at = line.place
        places.setdefault((at.family, at.task, at.trial, at.metric), []).append(line)
    body = []
    for of in places.values():
        rivals = [line for line in of if _method(line)[0] in BASELINES]
        forms = [line for line in of if _method(line)[0] not in (*BASELINES, *APART)]
        if rivals and forms:
            first, second = (max(side, key=lambda line: line.value) for side in (forms, rivals))
            best = [_named(first), str(len(forms)), _named(second), str(len(rivals))]
            body.append([_where(first), METRICS[first.place.metric], *best, signed(first.value - second.value)])
    head = ["on", "metric", "best distillation", "of", "best baseline", "of", "difference"]
    return markdown(head, body) if body else []


def asked(found: Sequence[Line]) -> list[str]:
    """Lines: every question that can be answered, a sentence, and a table of the comparisons."""
    out: list[str] = []
    for question in QUESTIONS:
        comparisons = answers(question, found)
        if comparisons:
            out += [f"### {question.text}", "", in_words(comparisons), "", *_table(comparisons), ""]
    return out


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


def _named(line: Line) -> str:
    view = f", {line.place.view}" if line.place.view else ""
    return f"`{line.detector}`{view} {plain(line.value)}"


def _is(line: Line, side: Side) -> bool:
    return _method(line)[0] == side[0] and line.place.view in ("", side[1])


def _beside(first: Line, second: Line, side: Side) -> bool:
    """Whether `second` is that side of the comparison, on the same images and with the same expert if it has one."""
    a, b = first.place, second.place
    same = (a.family, a.task, a.trial, a.metric) == (b.family, b.task, b.trial, b.metric)
    itself = (first.detector, a.view) == (second.detector, b.view)
    return same and not itself and _is(second, side) and _method(second)[1] in ("", _method(first)[1])


def _method(line: Line) -> tuple[str, str]:
    method, _, expert = line.detector.partition("@")
    return method, expert


def _answer(first: Line, second: Line) -> Answer:
    apart = np.asarray(first.draws) - np.asarray(second.draws)
    difference = first.value - second.value
    found = (difference, *interval(apart), by_seed(first, second), _p(difference, apart))
    return Answer(_where(first), first.place.metric, _method(first)[1], *found)


def by_seed(first: Line, second: Line) -> tuple[float, ...]:
    """Differences of the seeds that both have, a detector without seeds beside each; () where they are too few."""
    shared = [seed for seed in first.seeds or second.seeds if seed in (second.seeds or first.seeds)]
    if len(shared) < SEEDS and (first.seeds or second.seeds):
        return ()
    pairs = [(_of_seed(first, seed), _of_seed(second, seed)) for seed in shared or (0,)]
    return tuple(a - b for a, b in pairs)


def _of_seed(line: Line, seed: int) -> float:
    return line.values[line.seeds.index(seed) if line.seeds else 0]


def _p(difference: float, draws: np.ndarray) -> float:
    """Of no difference, two-sided, by a normal distribution as wide as the draws; 1 where there is none."""
    known = draws[np.isfinite(draws)]
    if len(known) < 2 or not difference:
        return 1.0
    error = float(known.std(ddof=1))
    return math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else 0.0


def _where(line: Line) -> str:
    of, every = line.tasks
    some = f" ({of} of {every} tasks)" if of < every and not line.place.task else ""
    return f"{line.place.task or line.place.family}{some}, {line.place.trial}"


def _table(comparisons: Sequence[Answer]) -> list[str]:
    body = [[one.place, METRICS[one.metric], one.expert, one.told, one.adjusted, one.verdict] for one in comparisons]
    return markdown(["on", "metric", "expert", "difference", "p", ""], body)


def signed(value: float) -> str:
    """A difference as text: "+.021", "−.004", ".000", "–" where there is none."""
    told = plain(abs(value))
    return "–" if not np.isfinite(value) else told if told == ".000" else f"{'+' if value > 0 else '−'}{told}"
