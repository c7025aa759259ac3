"""A film that does not look like a frontal chest radiograph: it is shown, its scores wait for the reader."""

from __future__ import annotations

import streamlit as st

from ..anomaly import gate_record
from ..anomaly.gate_record import WARNING
from ..errors import XrayInterpError
from ..imaging.radiograph import Radiograph
from ..report.normality_words import NOT_A_CHEST
from ..report.words import plain
from . import page, services
from .state import Case, Notes


def is_held_back(case: Case, radiograph: Radiograph) -> bool:
    """Whether this film's scores are kept behind a button."""
    return WARNING in radiograph.warnings and not case.notes.get(radiograph.sha256, Notes()).shown


def held_back(case: Case, radiograph: Radiograph) -> bool:
    """`is_held_back`; then the film is drawn with the reason beside it."""
    if not is_held_back(case, radiograph):
        return False
    from .film_panel import film_panel  # imports what a film needs

    with st.container(key="desk"):
        left, right = st.columns([3, 2], gap="medium")
    with left:
        film_panel(case, radiograph, None)
    with right, st.container(border=True, key="gate"):
        _reason(case, radiograph)
    return True


def shown_anyway(case: Case) -> None:
    """What stays above a stopped film whose scores are shown, and the way back."""
    with st.container(horizontal=True, vertical_alignment="center", key="shown-anyway"):
        page.line(WARNING.message, "caution")
        st.button("Hide scores", key=f"hide-scores-{case.sha256}", on_click=case.say, kwargs={"shown": False})


def _reason(case: Case, radiograph: Radiograph) -> None:
    st.html(f'<div class="xi-gate" role="alert"><h2>{NOT_A_CHEST}</h2></div>')
    page.line(
        "A model gives scores to any picture. Unless this is a chest film they mean nothing: they wait for your word."
    )
    page.line("If it is one, check that it is upright, that bone is white, and that both lungs are in the picture.")
    st.button("Show anyway", key=f"show-anyway-{case.sha256}", on_click=case.say, kwargs={"shown": True})
    card = gate_record.card()
    if card is not None:
        with st.expander("What was compared"):
            judged = services.attempt(lambda: services.normality(radiograph))
            if not isinstance(judged, XrayInterpError) and judged.gate is not None:
                page.line(
                    f"Score {plain(judged.gate.score, 2)}; films above {plain(judged.gate.threshold, 2)} are stopped."
                )
            page.paragraphs([card.data])
            page.bullets(card.limits)
