"""What a printed report says of concepts and units: rows of the concept chart, sum checks, the strongest units."""

from __future__ import annotations

from typing import Any

from ..anatomy import Anatomy
from ..semantics import SemanticAttribution, strength
from . import charts, words

TOP_UNITS = 10


def shares(semantic: SemanticAttribution) -> dict[str, Any]:
    """Rows of the concept chart with their sum checks, and what they are taken against."""
    bars = charts.share_bars(semantic)
    reach = charts.reach(bars)
    against = semantic.reference_logit is not None
    return {
        "against": semantic.reference_described if against else None,
        "rows": [_share(bar, reach) for bar in bars],
        "sums": _sums(semantic),
        "layer": semantic.layer,
        "probes": ", ".join(semantic.probes),
        "advice": semantic.advice,
    }


def _share(bar: charts.ShareBar, reach: float) -> dict[str, Any]:
    return {
        "label": charts.share_label(bar),
        "kind": bar.kind,
        "units": str(bar.units) if bar.kind == "concept" else "",
        "value": words.signed(bar.value),
        "contribution": words.signed(bar.contribution),
        "above": words.signed(bar.above) if bar.kind != "bias" else "",
        "tick": bar.value / reach,
        "spans": [
            {"from": min(s.start, s.end) / reach, "to": max(s.start, s.end) / reach, "solid": s.solid}
            for s in bar.spans
        ],
    }  # fmt: skip


def _sums(semantic: SemanticAttribution) -> list[str]:
    named = sum(concept.contribution for concept in semantic.concepts)
    lines = [
        f"From zero: concepts {words.signed(named)}, no concept {words.signed(semantic.unlabelled)}, bias "
        f"{words.signed(semantic.bias)}; together the logit, {words.signed(semantic.logit)} (checked, relative error "
        f"{words.small(semantic.residual)})."
    ]
    if semantic.reference_logit is not None and semantic.unlabelled_contrast is not None:
        named = sum(concept.contrast or 0.0 for concept in semantic.concepts)
        error = words.small(semantic.contrast_residual or 0.0)
        difference = words.signed(semantic.logit - semantic.reference_logit)
        lines.append(
            f"Against normal films: concepts {words.signed(named)}, no concept "
            f"{words.signed(semantic.unlabelled_contrast)}; together {difference}, which is the "
            f"logit minus the mean logit of normal films, {words.signed(semantic.reference_logit)} "
            f"(checked, relative error {error})."
        )
    return lines


def units(semantic: SemanticAttribution, anatomy: Anatomy | None = None) -> list[list[str]]:
    """The strongest units, named or not, as rows of text: what each is, where it peaks, how good its name is."""
    strongest = [unit for concept in semantic.concepts for unit in concept.units] + list(semantic.rest)
    strongest.sort(key=strength, reverse=True)
    return [
        [
            str(unit.unit),
            f"{words.readable(unit.concept)}-like" if unit.concept else "no concept",
            words.place(unit.peak, anatomy),
            "" if unit.iou is None else f"{unit.iou:.2f}" + ("" if unit.ceiling is None else f" of {unit.ceiling:.2f}"),
            "" if unit.precision is None else f"{unit.precision:.2f}",
            "" if unit.contrast is None else words.signed(unit.contrast),
            words.signed(unit.contribution),
        ]
        for unit in strongest[:TOP_UNITS]
    ]
