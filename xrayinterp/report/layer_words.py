"""The words for an attribution at an earlier layer: what is compared, where the measures part, what is left over."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..semantics import LAYER
from ..semantics_earlier import LayerConcept, LayerMeasures
from .words import percent, plain, readable, signed

GRADIENT, ABLATION = "Gradient × activation", "Ablation"
MEASURES = (
    "Gradient × activation is what the units give to first order; ablation takes them out and runs the model on from "
    "there. At an earlier layer neither adds up to the output."
)
LEGEND = (
    "Filled bars: gradient × activation, the first order. Outlined bars: ablation, the units taken out and the model "
    "run on from there. At an earlier layer neither adds up to the output."
)
VISIBLE = 0.005
"""A share below this is written as 0.00: its sign is not talked about."""


def layer_name(layer: str) -> str:
    """A layer as words: "denseblock3" becomes "Block 3"."""
    if layer == LAYER:
        return "Last layer"
    block = re.fullmatch(r"denseblock(\d+)", layer)
    return f"Block {block[1]}" if block else readable(layer)


def units_like(concept: LayerConcept) -> str:
    """What a row is called: "Effusion-like"."""
    return "No concept" if concept.concept is None else f"{readable(concept.concept)}-like"


def baseline_line(measures: LayerMeasures) -> str:
    """What units are compared with, and held at when they are taken out."""
    if measures.described is None:
        return "From zero: units are taken out by silencing them."
    return f"Against {measures.described}: units are taken out by holding them at their mean there."


def disputed(measures: LayerMeasures) -> list[LayerConcept]:
    """Concepts of which the measures disagree about the sign, where both are large enough to be written."""
    return [c for c in measures.opposed if min(abs(c.gradient), abs(c.ablation)) >= VISIBLE]


def agreement_line(measures: LayerMeasures) -> str:
    """On which concepts the two measures disagree about the sign, and how alike they rank single units."""
    said = disputed(measures)
    names = _joined([units_like(concept) for concept in said])
    signs = (
        f"The two measures disagree on the sign for {names} units."
        if said
        else "The two measures agree on the sign for every concept that moves the output."
    )
    if measures.rank_correlation is None:
        return signs
    alike = plain(measures.rank_correlation, 3)
    return f"{signs} Over {len(measures.units)} single units their rank correlation is {alike}."


def residual_line(measures: LayerMeasures) -> str:
    """What gradient x activation of the whole layer leaves unexplained, and why it may."""
    total = measures.total
    share = "" if measures.unexplained is None else f" ({percent(measures.unexplained)} of the larger)"
    return (
        f"By gradient × activation all units together give {signed(total.gradient)}, by ablation "
        f"{signed(total.ablation)}. The difference, {signed(total.difference)}{share}, is not explained: the network "
        "above is not linear and has biases, so nothing makes the two equal."
    )


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
