"""The film, the map on demand, the choice of method, and what must be kept in mind with both."""

from __future__ import annotations

import streamlit as st

from ..errors import Code
from ..explanation import Explanation
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..report.words import cautions
from ..report.words import method as method_words
from . import page, services
from .film import marks_of, viewer_message
from .state import Case
from .viewer_component import film_viewer


def film_panel(case: Case, radiograph: Radiograph, explanation: Explanation | None) -> None:
    """The viewer, and below it the map's method, the model's own view of the film, and cautions."""
    square = frame(*radiograph.shape, case.fit)
    region = None
    if explanation is not None and case.concept is not None and case.concept in explanation.regions:
        region = case.concept, explanation.regions[case.concept]
    message = viewer_message(
        radiograph,
        square,
        saliency=explanation.maps[0] if explanation else None,
        finding=explanation.finding if explanation else None,
        region=region,
        marks=marks_of(case.note.side, radiograph.source.orientation),
    )
    with st.container(key="film"):
        film_viewer(message, key="viewer")
        if explanation is not None:
            _methods(case, explanation)
        _cautions(radiograph, explanation)


def _methods(case: Case, explanation: Explanation) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="methods"):
        chosen = st.segmented_control(
            "Map method", services.methods(), default=case.method, key="method", format_func=method_words,
            required=True, label_visibility="collapsed",
        )  # fmt: skip
        if chosen and chosen != case.method:
            case.method = chosen
            st.rerun()
        with st.popover("Model view"):
            size = explanation.model_view.shape[0]
            page.line(f"Exactly what the model saw: {size}×{size} values of grey.")
            st.image(
                explanation.model_view, width=448, clamp=True, output_format="PNG",
                alt=f"The film as the model saw it, {size} by {size} pixels.",
            )  # fmt: skip


def _cautions(radiograph: Radiograph, explanation: Explanation | None) -> None:
    warnings = radiograph.warnings if explanation is None else explanation.warnings
    said = [warned.message for warned in warnings if warned.code is not Code.VIEW_UNKNOWN]  # asked above the film
    said += cautions(explanation) if explanation else ()
    if said:
        page.cautions(dict.fromkeys(said))
    if explanation is not None:
        with st.expander("Limits of this model"):
            page.bullets(explanation.card.limits)
