"""What every page about a film begins with: the mark, the toolbar, and the door to films where none is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from ..anomaly.gate_record import WARNING
from ..imaging.radiograph import Radiograph
from ..report.words import readable
from . import page, services
from .gate_panel import held_back, shown_anyway
from .opening import welcome
from .state import Case, current
from .toolbar import model_picker, toolbar

if TYPE_CHECKING:
    from ..explanation import Explanation


def film_on_screen() -> tuple[Case, Radiograph] | None:
    """The session's case and its film, or None after asking for one; whatever a film needs is imported by then.

    None too where the film does not look like a chest film, until the reader asks for its scores.
    """
    case = current()
    page.begin(research_only=bool(case.film and case.model and services.describe(case.model).card.research_only))
    preparing = services.warm()
    radiograph = case.radiograph
    if radiograph is None:
        welcome(case)
        return None
    toolbar(case)
    preparing.join()  # two threads that import the same packages may see them half made
    if held_back(case, radiograph):
        return None
    if WARNING in radiograph.warnings:
        shown_anyway(case)
    return case, radiograph


def model_on_screen() -> Case:
    """The session's case on a page about models rather than films, with the model picker where films have theirs."""
    case = current()
    page.begin(research_only=bool(case.model and services.describe(case.model).card.research_only))
    with st.container(horizontal=True, vertical_alignment="center", key="toolbar"):
        model_picker(case)
    return case


def without_maps(case: Case, radiograph: Radiograph) -> Explanation | None:
    """The film explained but for its maps, or None after telling what went wrong and where weights are to be had."""
    with st.spinner("Reading the film"):
        made = page.told(
            services.attempt(lambda: services.explained(radiograph, case.model or "", case.finding, (), case.fit))
        )
    if made is None:
        models_link()
    return made


def models_link() -> None:
    """The way to the page where weights are fetched."""
    st.page_link("xrayinterp/ui/pages/models.py", label="Models: fetch or import weights")


def finding_picker(case: Case, findings: tuple[str, ...], chosen: str) -> None:
    """The finding that this page and the page Read explain."""
    key = f"finding-{case.model}-{case.sha256}-{chosen}"
    st.selectbox(
        "Finding", findings, index=findings.index(chosen), key=key, format_func=readable,
        on_change=lambda: case.choose(st.session_state[key]),
    )  # fmt: skip
