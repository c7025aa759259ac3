"""Questions that compare two detectors, or two ways of maps, on the same images: differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ..evaluation.tables import markdown
from .protocol import ALL, METRICS
from .protocol_answers import Answer, compared, in_words, judged, method_of, signed, where
from .protocol_lines import Line, plain

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


def answers(question: Question, found: Sequence[Line]) -> list[Answer]:
    """All comparisons of a question that a run allows, on the groups of all anomalies."""
    kept = overall(found)
    pairs = [(first, second) for first in kept if _is(first, question.first) for second in kept]
    return judged([compared(first, second) for first, second in pairs if _beside(first, second, question.second)])


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
    kept = [line for line in overall(found) if method_of(line)[0] in (DISTILLED, *BASELINES) and method_of(line)[1]]
    pairs = [
        (first, second)
        for first, second in combinations(kept, 2)
        if first.place == second.place and method_of(first)[0] == method_of(second)[0]
    ]
    if not pairs:
        return []
    body = []
    for (first, second), one in zip(pairs, judged([compared(*pair) for pair in pairs]), strict=True):
        told = [f"{one.expert} less {method_of(second)[1]}", one.told, one.adjusted, one.verdict]
        body.append([one.place, METRICS[one.metric], method_of(first)[0], first.place.view, *told])
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
        rivals = [line for line in of if method_of(line)[0] in BASELINES]
        forms = [line for line in of if method_of(line)[0] not in (*BASELINES, *APART)]
        if rivals and forms:
            first, second = (max(side, key=lambda line: line.value) for side in (forms, rivals))
            best = [_named(first), str(len(forms)), _named(second), str(len(rivals))]
            body.append([where(first), METRICS[first.place.metric], *best, signed(first.value - second.value)])
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


def _named(line: Line) -> str:
    view = f", {line.place.view}" if line.place.view else ""
    return f"`{line.detector}`{view} {plain(line.value)}"


def _is(line: Line, side: Side) -> bool:
    return method_of(line)[0] == side[0] and line.place.view in ("", side[1])


def _beside(first: Line, second: Line, side: Side) -> bool:
    """Whether `second` is that side of the comparison, on the same images and with the same expert if it has one."""
    a, b = first.place, second.place
    same = (a.family, a.task, a.trial, a.metric) == (b.family, b.task, b.trial, b.metric)
    itself = (first.detector, a.view) == (second.detector, b.view)
    return same and not itself and _is(second, side) and method_of(second)[1] in ("", method_of(first)[1])


def _table(comparisons: Sequence[Answer]) -> list[str]:
    body = [[one.place, METRICS[one.metric], one.expert, one.told, one.adjusted, one.verdict] for one in comparisons]
    return markdown(["on", "metric", "expert", "difference", "p", ""], body)
