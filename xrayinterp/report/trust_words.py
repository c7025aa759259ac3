"""The words of the trust strip that page and print share: states, values, references, what a lamp asks and where."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.lamps import Lamp, LampWorth, Outcome, Reading, State
from .words import percent, plain

STATES: dict[State, str] = {
    "good": "Good",
    "doubtful": "Doubtful",
    "bad": "Poor",
    "not-measurable": "Not measurable",
    "by-construction": "By construction",
}
_SHARES = frozenset({"faithful", "covered-by-concepts"})
"""Lamps whose values are shares, told in per cent; the others are rank correlations."""
_REFERENCES = {
    "follows-weights": "unrelated maps",
    "follows-finding": "this finding on {films}",
    "stable": "unrelated maps",
    "faithful": "chance",
    "covered-by-concepts": "also where they do not fire",
}


def figure(lamp: str, value: float) -> str:
    """A lamp's value as text, in per cent where it is a share."""
    return percent(value) if lamp in _SHARES else plain(value)


def state_line(reading: Reading) -> str:
    """State and value: "Good · 0.11"."""
    word = STATES[reading.state]
    return word if reading.value is None else f"{word} · {figure(reading.lamp, reading.value)}"


def reference_line(reading: Reading) -> str:
    """What the value is to be held against: "unrelated maps 0.50"; empty where there is nothing."""
    if reading.reference is None:
        return ""
    what = _REFERENCES[reading.lamp].format(films=reading.details.get("films_described", "other films"))
    return f"{what} {figure(reading.lamp, reading.reference)}"


def cut_offs(lamp: Lamp) -> str:
    """Which way is better, and where the lamp turns."""
    good, bad = figure(lamp.name, lamp.good), figure(lamp.name, lamp.bad)
    if lamp.direction == "higher":
        return f"Higher is better: good from {good}, poor up to {bad}, by convention."
    return f"Lower is better: good up to {good}, poor from {bad}, by convention."


_OUTCOMES: dict[Outcome, str] = {
    "pointing": "maps whose peak lies in the outline",
    "planted": "maps whose peak lies on a planted cause",
    "correct": "right predictions",
}


def judge_line(lamp: Lamp, worth: Sequence[LampWorth]) -> str:
    """What the lamp was measured to tell, of maps of all methods together; empty where that was not measured."""
    told = [
        f"{_OUTCOMES[one.outcome]} {one.auroc.value:.2f} ({one.auroc.low:.2f} to {one.auroc.high:.2f})"
        for one in sorted(worth, key=lambda one: list(_OUTCOMES).index(one.outcome))
        if one.lamp == lamp.name and one.method is None and one.auroc is not None
    ]
    return (
        f"How well it tells them from the others (AUROC, 0.5 is no better than chance): {'; '.join(told)}."
        if told
        else ""
    )


def share(value: float) -> float:
    """A value's place on a bar from 0 to 1."""
    return min(max(value, 0.0), 1.0)


def common_reason(readings: tuple[Reading, ...]) -> str | None:
    """The one reason why nothing is measurable, where it is the same for every lamp."""
    reasons = {reading.words for reading in readings}
    none = all(reading.state == "not-measurable" for reading in readings)
    return reasons.pop() if none and len(reasons) == 1 else None
