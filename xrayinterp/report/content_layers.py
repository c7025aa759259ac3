"""What a printed report says of an earlier layer: both measures by concept, where they part, what is unexplained."""

from __future__ import annotations

from typing import Any

from ..semantics_earlier import LayerAttribution, LayerConcept, LayerMeasures
from . import layer_words, words


def table(found: LayerAttribution, measures: LayerMeasures) -> dict[str, Any]:
    """One table a layer and baseline, with the sentences under it."""
    against = "from zero" if measures.described is None else "against normal films"
    return {
        "title": f"{layer_words.layer_name(found.layer)}, {against}: what concepts give there",
        "against": layer_words.baseline_line(measures),
        "rows": [_row(concept) for concept in (*measures.concepts, measures.unlabelled)],
        "lines": [layer_words.agreement_line(measures), layer_words.residual_line(measures)],
        "note": f"Layer {found.layer}. {found.advice or layer_words.MEASURES}",
    }


def _row(concept: LayerConcept) -> list[str]:
    return [
        f"{layer_words.units_like(concept)} ({len(concept.units)})",
        words.signed(concept.gradient),
        words.signed(concept.ablation),
        words.signed(concept.difference),
        words.signed(concept.above),
        "agree" if concept.same_sign else "differ",
    ]
