"""What a logit is made of at an earlier layer: two measures side by side, and where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from ..dissection.ablation import Baseline
from ..explanation import Explanation
from ..report import layer_words
from ..report.words import signed
from ..semantics import LAYER
from ..semantics_earlier import LayerAttribution, LayerConcept, LayerMeasures
from . import beside, page, services
from .charts import chart
from .concept_chooser import concept_chooser, outline
from .figures_pairs import pair_reach, pairs_figure
from .measuring import Measurement
from .state import Case
from .unit_words import unit_words
from .watching import stop_button, watched

QUICK = 0.5
"""Seconds the page waits for an earlier layer before it is shown without."""
UNITS = 12
"""Single units listed, strongest first."""


def layer_work(case: Case, explanation: Explanation) -> Measurement[LayerAttribution] | None:
    """The work on the earlier layer that is chosen, begun; None at the last layer, where the split is at hand."""
    if case.layer not in services.named_layers(explanation.model)[1:]:
        case.layer = None
    if case.layer is None:
        beside.alongside(None)
        return None
    work = beside.at_layer(beside.asked_of(explanation), case.layer)
    if work.state != "failed" and not work.declined:
        beside.alongside(work)
        work.wait(QUICK)
    return work


def outlined(explanation: Explanation, layer: Measurement[LayerAttribution] | None) -> Explanation:
    """The explanation with the regions of the layer on screen, as far as they are known."""
    if layer is None:
        return explanation
    return replace(explanation, regions=layer.results[0].regions if layer.results else {})


def layer_chooser(case: Case) -> None:
    """The last layer and, where their units bear names, earlier ones."""
    layers = services.named_layers(case.model or "")
    if len(layers) < 2:
        return
    chosen = case.layer or LAYER
    key = f"layer-{case.model}-{chosen}"  # a new key forgets a choice made elsewhere

    def choose() -> None:
        wanted = st.session_state[key]
        case.layer = None if wanted == LAYER else wanted
        case.picks += 1

    st.segmented_control(
        "Layer", layers, default=chosen, key=key, on_change=choose, required=True, label_visibility="collapsed",
        format_func=lambda name: f"{layer_words.layer_name(name)}{' (exact)' if name == LAYER else ''}",
    )  # fmt: skip


def layer_panel(case: Case, explanation: Explanation, work: Measurement[LayerAttribution]) -> None:
    """Both measures of the chosen layer, or how far the work on them is."""
    if work.results:
        _measured(case, explanation, work.results[0])
        return

    def draw() -> None:
        with st.container(horizontal=True, vertical_alignment="center", key="layer-coming"):
            if work.state == "running":
                page.line("Units are being taken out, one set after the other. The page can be used meanwhile.")
            elif work.error is not None:
                page.problem(work.error)
            else:
                page.line("Stopped before it was done.")
            stop_button(work, key="stop-layer")
            if work.state in ("stopped", "failed") and st.button("Measure", key="start-layer"):
                beside.alongside(work)
                st.rerun()

    watched(work, draw, key="layer-work")


def _measured(case: Case, explanation: Explanation, found: LayerAttribution) -> None:
    measures = _against(case, found)
    page.line(f"{layer_words.baseline_line(measures)} {layer_words.LEGEND}")
    _bars(case, measures)
    page.line(layer_words.agreement_line(measures), "caution" if layer_words.disputed(measures) else "quiet")
    page.line(layer_words.residual_line(measures))
    concept_chooser(case, explanation, [c.concept for c in measures.concepts if c.concept], found.regions)
    _units(case, measures)
    with st.expander("Both measures as a table"):
        page.table(
            ("Concept", layer_words.GRADIENT, layer_words.ABLATION, "Difference", "Of the first, firing"),
            [
                (
                    layer_words.units_like(row),
                    *(signed(v, 3) for v in (row.gradient, row.ablation, row.difference, row.above)),
                )
                for row in (*measures.concepts, measures.unlabelled)
            ],
            f"What concepts give at {found.layer}",
        )


def _against(case: Case, found: LayerAttribution) -> LayerMeasures:
    if len(found.measures) > 1:
        case.from_zero = st.toggle("From zero", value=case.from_zero, key="from-zero")
    return found.against(Baseline.ZERO if case.from_zero else Baseline.NORMAL_MEAN)


def _bars(case: Case, measures: LayerMeasures) -> None:
    rows = (*measures.concepts, measures.unlabelled)
    figure = pairs_figure(rows, case.concept, pair_reach(rows))
    key = f"pairs-{case.layer}-{case.picks}"
    chart(figure, key=key, alt=_alt(rows), on_pick=lambda concept: outline(case, concept))


def _units(case: Case, measures: LayerMeasures) -> None:
    units = [unit for unit in measures.units if case.concept in (None, unit.concept)][:UNITS]
    if not units:
        return
    with st.expander(f"Units taken out one by one ({len(units)} of {len(measures.units)} shown)"):
        page.table(
            ("Unit", layer_words.GRADIENT, layer_words.ABLATION),
            [(unit_words(unit), signed(unit.gradient, 3), signed(unit.ablation, 3)) for unit in units],
            "Single units by both measures",
        )


def _alt(rows: Sequence[LayerConcept]) -> str:
    words = ", ".join(
        f"{layer_words.units_like(row)} {signed(row.gradient)} by gradient times activation and {signed(row.ablation)} "
        "by ablation"
        for row in rows
    )
    return f"Bar chart of what supports (positive) and opposes (negative) the finding, by two measures: {words}."
