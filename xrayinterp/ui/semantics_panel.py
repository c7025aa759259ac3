"""The panel "What the Effusion logit is made of": concepts, the unnamed rest, and the units behind them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ..explanation import Explanation
from ..report.charts import ShareBar, reach, share_bars, share_label
from ..report.words import place, plain, readable, signed, small
from ..semantics import ConceptShare, SemanticAttribution, UnitShare
from . import page
from .charts import chart
from .figures import shares_figure
from .state import Case
from .unit_link import unit_link

CONCEPTS = 8
"""Concepts drawn at once; weaker ones are folded."""
UNITS = 12
"""Units listed, strongest first."""


def semantics_panel(case: Case, explanation: Explanation) -> None:
    """The logit split over concepts; a concept can be outlined on the film, its units are folded below."""
    semantic = explanation.semantic
    with st.container(border=True, key="semantics"):
        page.heading(f"What the {readable(explanation.finding)} {_raw(explanation)} is made of")
        from_zero = _baseline(case, semantic)
        if semantic.advice:
            page.line(semantic.advice, "caution")
        bars = share_bars(semantic, from_zero=from_zero)
        _bars(case, bars)
        _total(semantic, _raw(explanation), from_zero)
        _concepts(case, explanation)
        _units(case, semantic, from_zero)
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
            on_pick=lambda concept: _outline(case, concept),
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


def _outline(case: Case, concept: str) -> None:
    case.concept = None if concept == case.concept else concept
    case.picks += 1


def _concepts(case: Case, explanation: Explanation) -> None:
    names = [concept.concept for concept in explanation.semantic.concepts]
    if not names:
        return
    key = f"concept-{explanation.finding}-{case.sha256}-{case.concept}"

    def choose() -> None:
        case.concept = st.session_state[key] or None
        case.picks += 1

    st.selectbox(
        "Outline on the film", ["", *names], index=names.index(case.concept) + 1 if case.concept in names else 0,
        key=key, on_change=choose, label_visibility="collapsed",
        format_func=lambda name: f"Outlined: {readable(name)}-like units" if name else "Outline a concept on the film",
    )  # fmt: skip
    region = explanation.regions.get(case.concept or "")
    if case.concept and (region is None or not region.any()):
        page.line(f"{readable(case.concept)}-like units fire nowhere on this film.")


def _units(case: Case, semantic: SemanticAttribution, from_zero: bool) -> None:
    units = [unit for concept in semantic.concepts for unit in concept.units if case.concept in (None, concept.concept)]
    units += [] if case.concept else semantic.rest
    units = sorted(units, key=lambda unit: abs(_amount(unit, from_zero=from_zero)), reverse=True)[:UNITS]
    whose = f"{readable(case.concept)}-like units" if case.concept else "Strongest units"
    with st.expander(f"{whose} ({len(units)})", expanded=case.concept is not None):
        for unit in units:
            unit_link(unit, semantic.layer, unit_words(unit), _amount(unit, from_zero=from_zero))


def unit_words(unit: UnitShare) -> str:
    """A unit as a sentence: number, what it is like and how well, where it contributes most."""
    like = "no concept" if unit.concept is None else f"{readable(unit.concept).lower()}-like"
    parts = [f"Unit {unit.unit}", like]
    if unit.iou is not None:
        most = "" if unit.ceiling is None else f" of at most {unit.ceiling:.2f}"
        parts.append(f"IoU {unit.iou:.2f}{most}")
    return " · ".join([*parts, place(unit.peak)])


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
