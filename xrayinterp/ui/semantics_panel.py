"""The panel "What the Effusion logit is made of": concepts, the unnamed rest, and the units behind them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ..explanation import Explanation
from ..report.charts import ShareBar, reach, share_bars, share_label
from ..report.words import plain, readable, signed, small
from ..semantics import ConceptShare, SemanticAttribution, UnitShare
from ..semantics_earlier import LayerAttribution
from . import page
from .charts import chart
from .concept_chooser import concept_chooser, outline
from .figures import shares_figure
from .layer_panel import layer_chooser, layer_panel
from .measuring import Measurement
from .state import Case
from .unit_link import unit_link
from .unit_words import unit_words

CONCEPTS = 8
"""Concepts drawn at once; weaker ones are folded."""
UNITS = 12
"""Units listed, strongest first."""


def semantics_panel(case: Case, explanation: Explanation, layer: Measurement[LayerAttribution] | None = None) -> None:
    """The logit split over concepts; a concept can be outlined on the film, its units are folded below.

    `layer` is the work on an earlier layer where one is chosen.
    """
    semantic = explanation.semantic
    with st.container(border=True, key="semantics"):
        page.heading(f"What the {readable(explanation.finding)} {_raw(explanation)} is made of")
        layer_chooser(case)
        if layer is not None:
            layer_panel(case, explanation, layer)
            return
        from_zero = _baseline(case, semantic)
        if semantic.advice:
            page.line(semantic.advice, "caution")
        bars = share_bars(semantic, from_zero=from_zero)
        _bars(case, bars)
        _total(semantic, _raw(explanation), from_zero)
        where = {} if explanation.anatomy is None else explanation.anatomy.concepts
        concept_chooser(case, explanation, [c.concept for c in semantic.concepts], explanation.regions, where)
        _units(case, explanation, from_zero)
        with st.expander("Split as a table"):
            page.table(
                ("Concept", "Share", "of it where units fire"),
                [(share_label(bar), signed(bar.value, 3), signed(bar.above, 3)) for bar in bars],
                f"Parts of the {_raw(explanation)}",
            )


def _bars(case: Case, bars: Sequence[ShareBar]) -> None:
    """The strongest concepts and what bears no name; weaker concepts are folded, on the same scale."""
    named = sorted((bar for bar in bars if bar.kind == "concept"), key=lambda bar: abs(bar.value), reverse=True)
    shown = [*named[:CONCEPTS], *(bar for bar in bars if bar.kind != "concept")]
    limit = reach(bars)

    def draw(group: Sequence[ShareBar], name: str) -> None:
        chart(
            shares_figure(group, case.concept, limit), key=f"shares-{name}-{case.picks}", alt=_alt(group),
            on_pick=lambda concept: outline(case, concept),
        )  # fmt: skip

    draw(shown, "strong")
    if weaker := named[CONCEPTS:]:
        with st.expander(f"{len(weaker)} weaker concepts, together {signed(sum(bar.value for bar in weaker))}"):
            draw(weaker, "weak")


def _amount(share: ConceptShare | UnitShare, *, from_zero: bool) -> float:
    return share.contribution if from_zero or share.contrast is None else share.contrast


def _raw(explanation: Explanation) -> str:
    """What the model's raw output is called."""
    return "score" if explanation.task == "severity" else "logit"


def _baseline(case: Case, semantic: SemanticAttribution) -> bool:
    words, toggle = st.columns([2.4, 1], vertical_alignment="center")
    with toggle:
        if semantic.reference_logit is None:
            from_zero = True
        else:
            case.from_zero = st.toggle("From zero", value=case.from_zero, key="from-zero")
            from_zero = case.from_zero
    with words:
        against = "from zero" if from_zero else f"against {semantic.reference_described or 'films without findings'}"
        elsewhere = "elsewhere" if from_zero else "elsewhere, less what those films give"
        page.line(f"{against[:1].upper()}{against[1:]} · solid: where units fire · hatched: {elsewhere}")
    return from_zero


def _units(case: Case, explanation: Explanation, from_zero: bool) -> None:
    semantic, anatomy = explanation.semantic, explanation.anatomy
    units = [unit for concept in semantic.concepts for unit in concept.units if case.concept in (None, concept.concept)]
    units += [] if case.concept else semantic.rest
    units = sorted(units, key=lambda unit: abs(_amount(unit, from_zero=from_zero)), reverse=True)[:UNITS]
    whose = f"{readable(case.concept)}-like units" if case.concept else "Strongest units"
    with st.expander(f"{whose} ({len(units)})", expanded=case.concept is not None):
        for unit in units:
            unit_link(unit, semantic.layer, unit_words(unit, anatomy), _amount(unit, from_zero=from_zero))


def _total(semantic: SemanticAttribution, raw: str, from_zero: bool) -> None:
    if from_zero or semantic.reference_logit is None:
        text = f"concepts + no concept + bias; parts sum to it within {small(semantic.residual)}"
        page.total(raw.capitalize(), text, semantic.logit)
    else:
        excess = semantic.logit - semantic.reference_logit
        text = (
            f"{raw} {plain(semantic.logit)}, films without findings {plain(semantic.reference_logit)}; "
            f"parts sum to it within {small(semantic.contrast_residual or 0.0)}"
        )
        page.total(f"{'Above' if excess >= 0 else 'Below'} normal films", text, excess)


def _alt(bars: Sequence[ShareBar]) -> str:
    words = ", ".join(f"{share_label(bar)} {signed(bar.value)}" for bar in bars)
    return f"Bar chart of what supports (positive) and opposes (negative) the finding: {words}."
