"""A unit in the words of the page."""

from __future__ import annotations

from ..anatomy import Anatomy
from ..report.words import place, readable
from ..semantics import UnitShare
from ..semantics_earlier import LayerUnit


def unit_words(unit: UnitShare | LayerUnit, anatomy: Anatomy | None = None) -> str:
    """A unit as a sentence: number, what it is like and how well, where it contributes most."""
    like = "no concept" if unit.concept is None else f"{readable(unit.concept).lower()}-like"
    parts = [f"Unit {unit.unit}", like]
    if unit.iou is not None:
        most = "" if unit.ceiling is None else f" of at most {unit.ceiling:.2f}"
        parts.append(f"IoU {unit.iou:.2f}{most}")
    return " · ".join([*parts, place(unit.peak, anatomy)])
