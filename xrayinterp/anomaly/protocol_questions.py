"""Questions that compare two detectors, or two ways of maps, on the same images: differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..evaluation.tables import markdown
from .protocol import ALL, METRICS
from .protocol_lines import Line, interval, plain

DISTILLED = "distillation"
BASELINES = ("nearest", "gaussian", "reconstruction")
"""Methods that are told nothing but which images are normal."""
APART = ("centre", "weak")
"""A control, and a model that was told more."""
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
    """First minus second on one trial and metric, the mean over seeds, with its 95 % interval over patients."""

    place: str
    metric: str
    expert: str
    difference: float
    low: float
    high: float

    @property
    def told(self) -> str:
        """As text: "+.021 (−.004 to +.046)"."""
        return f"{signed(self.difference)} ({signed(self.low)} to {signed(self.high)})"

    @property
    def verdict(self) -> str:
        """Whether the interval leaves out 0: "better", "worse", or else "not told apart"."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not told apart"


def answers(question: Question, found: Sequence[Line]) -> list[Answer]:
    """All comparisons of a question that a run allows, on the groups of all anomalies."""
    kept = overall(found)
    pairs = [(first, second) for first in kept if _is(first, question.first) for second in kept]
    return [_answer(first, second) for first, second in pairs if _beside(first, second, question.second)]


def overall(found: Sequence[Line]) -> list[Line]:
    """Lines of all anomalies together; of families of several tasks their means."""
    whole = {line.place.family for line in found if not line.place.task}
    return [
        line for line in found if line.place.group == ALL and (not line.place.task or line.place.family not in whole)
    ]


def experts_compared(found: Sequence[Line]) -> list[str]:
    """Lines: each method with one expert less the same with another."""
    kept = [line for line in overall(found) if _method(line)[0] in (DISTILLED, *BASELINES) and _method(line)[1]]
    body = []
    for first, second in combinations(kept, 2):
        if first.place == second.place and _method(first)[0] == _method(second)[0]:
            one = _answer(first, second)
            names = f"{one.expert} less {_method(second)[1]}"
            told = [names, one.told, one.verdict]
            body.append([one.place, METRICS[one.metric], _method(first)[0], first.place.view, *told])
    if not body:
        return []
    head = ["on", "metric", "method", "map", "experts", "difference", ""]
    return ["### Does it matter what the expert learned?", "", *markdown(head, body), ""]


def at_a_glance(found: Sequence[Line]) -> list[str]:
    """Lines: on every trial the best form of distillation beside the best baseline that was told nothing."""
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
            one = _answer(first, second)
            body.append([one.place, METRICS[one.metric], _named(first), _named(second), one.told, one.verdict])
    head = ["on", "metric", "best distillation", "best baseline", "difference", ""]
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
    told = f"better in {better}, worse in {worse}, not told apart in {len(comparisons) - better - worse}"
    start = (
        "Cannot be told" if not better and not worse
        else "Yes" if not worse and 2 * better > len(comparisons)
        else "No, the reverse" if not better and 2 * worse > len(comparisons)
        else "Sometimes" if better
        else "No"
    )  # fmt: skip
    return f"{start}: of {len(comparisons)} comparisons {told}."


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
    low, high = interval(np.asarray(first.draws) - np.asarray(second.draws))
    place = f"{first.place.family}, {first.place.trial}"
    return Answer(place, first.place.metric, _method(first)[1], first.value - second.value, low, high)


def _table(comparisons: Sequence[Answer]) -> list[str]:
    body = [[one.place, METRICS[one.metric], one.expert, one.told, one.verdict] for one in comparisons]
    return markdown(["on", "metric", "expert", "difference", ""], body)


def signed(value: float) -> str:
    """A difference as text: "+.021", "−.004", ".000", "–" where there is none."""
    told = plain(abs(value))
    return "–" if not np.isfinite(value) else told if told == ".000" else f"{'+' if value > 0 else '−'}{told}"
