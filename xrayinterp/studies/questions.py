"""What a study is made of: arms, quantities, contrasts in words, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .contrasts import Contrast, Quantity, Side, Verdict
from .dissected import COVID, NIH
from .plan import Run

Kind = Literal["arm", "before training", "null", "upper line", "mistake"]


@dataclass(frozen=True)
class Arm:
    """A run of every seed, by a name; `kind` says what it stands for."""

    name: str
    run: Run
    kind: Kind = "arm"


@dataclass(frozen=True)
class Panel:
    """A panel of the figure: one quantity over all arms that have it."""

    title: str
    quantity: Quantity
    better: Literal["more", "less"]


@dataclass(frozen=True)
class Headline:
    """A sentence at the head of the answer, made from the verdicts of some of the study's contrasts, by position.

    "learned": yes if all of them are "more", not told if any cannot be, else no. "changed": each verdict in words.
    """

    subject: str
    rule: Literal["learned", "changed"]
    contrasts: tuple[int, ...]

    def said(self, verdicts: Sequence[Verdict | None], contrasts: Sequence[Contrast]) -> str:
        """The sentence; None among the verdicts is a contrast without runs."""
        chosen = [verdicts[i] or "cannot be told" for i in self.contrasts]
        if self.rule == "changed":
            parts = [
                _CHANGED[v].format(contrasts[i].first.quantity.name)
                for i, v in zip(self.contrasts, chosen, strict=True)
            ]
            return f"{self.subject}: {', '.join(parts)}."
        if all(verdict == "more" for verdict in chosen):
            return f"{self.subject}: yes, beyond shuffled targets and beyond what was there before training."
        if "cannot be told" in chosen:
            return f"{self.subject}: cannot be told from these runs."
        return f"{self.subject}: no, not beyond both shuffled targets and what was there before training."


_CHANGED: Mapping[Verdict, str] = {
    "more": "{} higher",
    "less": "{} lower",
    "alike": "{} alike",
    "cannot be told": "{} not to be told apart",
}


@dataclass(frozen=True)
class Study:
    """A question of the paper: arms, contrasts that answer it, mistakes shown both ways, limits of the data."""

    name: str
    title: str
    question: str
    arms: tuple[Arm, ...]
    contrasts: tuple[Contrast, ...]
    panels: tuple[Panel, ...]
    limits: tuple[str, ...]
    headlines: tuple[Headline, ...]
    mistakes: tuple[Contrast, ...] = ()

    def arm(self, name: str) -> Arm:
        """An arm by name."""
        return next(arm for arm in self.arms if arm.name == name)


DETECTORS = Quantity("detectors", "detectors", 3.0, NIH)
ALONE = Quantity("by IoU alone", "units with IoU > .04", 3.0, NIH)
PERMUTED = Quantity("permuted", "the same on permuted masks", 3.0, NIH)
CONCEPTS = Quantity("concepts", "concepts with a detector", 1.0, NIH)
COVID_DETECTORS = Quantity("detectors", "detectors", 3.0, COVID)
AUROC_FINDINGS = Quantity("measure", "AUROC, 14 findings", 0.02, digits=3)
AUROC_RARE = Quantity("measure", "AUROC, rare findings", 0.02, digits=3)
RECALL = Quantity("measure", "recall at .5, 14 findings", 0.02, digits=3)
AUROC_HEALTHY = Quantity("measure", "AUROC, healthy", 0.02, digits=3)
ERROR = Quantity("measure", "error of severity", 0.3, digits=2)
READOUT = Quantity("measure", "AUROC, linear readout", 0.02, digits=3)

UNTRAINED = Arm("untrained", Run("untrained"), "before training")
SELF = Run("self-supervised")
FOURTEEN = Run("findings")
FEWER: Mapping[Verdict, str] = {
    "more": "Yes, more",
    "less": "No, fewer",
    "alike": "About as many",
    "cannot be told": "Cannot be told from these runs",
}
SMALLER_ERROR: Mapping[Verdict, str] = {
    "more": "No, its error is larger",
    "less": "Yes, its error is smaller",
    "alike": "No difference that matters",
    "cannot be told": "Cannot be told from these runs",
}
HIGHER: Mapping[Verdict, str] = {
    "more": "Yes, higher",
    "less": "No, lower",
    "alike": "No difference that matters",
    "cannot be told": "Cannot be told from these runs",
}


def more(asks: str, first: str, second: str, quantity: Quantity = DETECTORS) -> Contrast:
    """One quantity of two arms."""
    words = FEWER if quantity.kind != "measure" else SMALLER_ERROR if quantity is ERROR else HIGHER
    return Contrast(asks, Side(first, quantity), Side(second, quantity), words)


def within(asks: str, arm: str, first: Quantity, second: Quantity, words: Mapping[Verdict, str]) -> Contrast:
    """Two quantities of one arm."""
    return Contrast(asks, Side(arm, first), Side(arm, second), words)


def beyond_chance(arm: str) -> Contrast:
    """The count of the paper against the same count on masks of other patients."""
    asks = f"{arm}: do more units pass IoU > .04 than on permuted masks?"
    return within(asks, arm, ALONE, PERMUTED, FEWER)


SMALL = (
    "Networks of {weights} weights at {size} pixels on {nih_train} NIH films: counts of detectors of larger networks "
    "on full data sets may differ in size and in order.",
    "Intervals of detector counts cover seeds, on one set of films with masks; intervals of AUROC and of errors cover "
    "seeds and patients. {seeds} seeds are few: only large differences can be told.",
    "Concepts under the ceiling of IoU .04 (marked undetectable) could not be found by any unit, whatever was learned.",
)
SCORED_FEW = (
    "{scored} scored films of {scored_patients} patients: errors are cross-validated over patients, and small "
    "differences are lost in them.",
)
