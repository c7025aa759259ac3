"""The film, the map on demand, the choice of method, and what must be kept in mind with both."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from ..anomaly.gate_record import WARNING
from ..anomaly.shelf import USUAL_WAY
from ..errors import Code
from ..explanation import Explanation
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..models import segmenter
from ..report import anatomy_words
from ..report.normality_words import CAUTIONS, NO_SIGN
from ..report.words import method as method_words
from . import beside, page, services, unusual_services
from .film import Layer, marks_of, viewer_message
from .measuring import Measurement
from .methods_panel import method_chooser, method_of, research_maps, standing_caution
from .state import Case
from .unusual_trust import unusual_trust
from .viewer_component import film_viewer
from .watching import stop_button, watched

ON_SCREEN = f"Unusualness: where the film is unlike films without findings. It is about no single finding. {NO_SIGN}"


def film_panel(
    case: Case,
    radiograph: Radiograph,
    explanation: Explanation | None,
    coming: Measurement[Explanation] | None = None,
) -> DeltaGenerator | None:
    """The viewer, and below it the map's method, the model's own view of the film, and cautions.

    `coming` is the work on a map that takes long and is not there yet; the film is shown without one meanwhile.

    Returns:
        The place for the trust strip, where there is a map to trust.
    """
    square = frame(*radiograph.shape, case.fit)
    region = None
    if explanation is not None and case.concept is not None and case.concept in explanation.regions:
        region = case.concept, explanation.regions[case.concept]
    layer = _unusual(case, radiograph) if explanation is not None and case.unusual else None
    message = viewer_message(
        radiograph,
        square,
        saliency=explanation.maps[0] if explanation and explanation.maps else None,
        finding=explanation.finding if explanation else None,
        region=region,
        marks=marks_of(case.note.side, radiograph.source.orientation),
        anatomy=explanation.anatomy if explanation else None,
        layer=layer,
    )
    with st.container(key="film"):
        film_viewer(message, key="viewer")
        if coming is not None:
            _coming(case, coming)
        if explanation is not None:
            _anatomy(explanation, ON_SCREEN if layer is not None else None)
            _methods(case, explanation)
        _cautions(case, radiograph, explanation)
        trust = None
        if explanation is not None:
            if layer is not None:
                page.line(CAUTIONS[USUAL_WAY], "caution")
                unusual_trust(case, radiograph, USUAL_WAY)
            elif explanation.maps:
                trust = st.container()
            research_maps(case)
            _limits(explanation)
    return trust


def _unusual(case: Case, radiograph: Radiograph) -> Layer | None:
    """The map of unusualness, made when it is asked for."""
    with st.spinner("Making the map of unusualness"):
        made = page.told(services.attempt(lambda: unusual_services.unusual(radiograph, USUAL_WAY)))
    return None if made is None else made.layer(asked=radiograph.sha256)


def _coming(case: Case, work: Measurement[Explanation]) -> None:
    """A map in the making; a click on anything else ends it."""
    method = method_of(case)
    if not work.declined and work.state != "failed":
        beside.begin(work)

    def draw() -> None:
        with st.container(horizontal=True, vertical_alignment="center", key="coming"):
            if work.state == "running":
                about = f"about {services.cost_of(method):.0f} runs of the model"
                page.line(f"{method_words(method)} is being made ({about}). The film can be read meanwhile.")
            elif work.error is not None:
                page.problem(work.error)
            else:
                page.line(f"{method_words(method)} was stopped: there is no map.")
            stop_button(work, key="stop-map")
            if work.state in ("stopped", "failed") and st.button("Make the map", key="start-map"):
                beside.begin(work)
                st.rerun()

    watched(work, draw, key="coming-map")


def _anatomy(explanation: Explanation, instead: str | None) -> None:
    """Where the map lies on the chest, or what is drawn instead, and the width of the heart with its caveat."""
    anatomy = explanation.anatomy
    place = anatomy.of(explanation.maps[0].method) if anatomy and explanation.maps else None
    words = instead or (anatomy_words.brief_line(place) if place else None)
    said = [("Map", words)] if words else []
    said += [("Anatomy", " ".join(anatomy_words.lines(explanation)))] if anatomy else []
    if said:
        with st.container(key="anatomy"):
            page.facts(said)


def _methods(case: Case, explanation: Explanation) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="methods"):
        method_chooser(case)
        if explanation.normality is not None and explanation.normality.unusualness is not None:
            _unusual_toggle(case)
        with st.popover("Model view"):
            size = explanation.model_view.shape[0]
            page.line(f"Exactly what the model saw: {size}×{size} values of grey.")
            st.image(
                explanation.model_view, width=448, clamp=True, output_format="PNG",
                alt=f"The film as the model saw it, {size} by {size} pixels.",
            )  # fmt: skip


def _unusual_toggle(case: Case) -> None:
    key = f"unusual-{case.sha256}"
    st.session_state[key] = case.unusual  # choosing a method puts it out

    def choose() -> None:
        case.unusual = st.session_state[key]

    st.toggle(
        "Unusualness", key=key, on_change=choose,
        help="Draws where the film is unlike films without findings, in the place of the map. It knows no finding.",
    )  # fmt: skip


def _cautions(case: Case, radiograph: Radiograph, explanation: Explanation | None) -> None:
    warnings = radiograph.warnings if explanation is None else explanation.warnings
    asked = radiograph.view_from == "missing"  # above the film, as is what the gate says
    told = {WARNING.code, Code.VIEW_UNKNOWN if asked else WARNING.code}
    said = [warned.message for warned in warnings if warned.code not in told]
    structure = standing_caution(case) if explanation else None
    said += [structure] if structure else []
    if said:
        page.cautions(dict.fromkeys(said))


def _limits(explanation: Explanation) -> None:
    with st.expander("Limits of this model"):
        page.bullets(explanation.card.limits)
        if explanation.anatomy is not None:
            page.line("Limits of the segmenter of lungs and heart")
            page.bullets(segmenter.card().limits)
