"""The page Compare: one film seen by several methods, two findings, a network losing its weights, two films."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import streamlit as st

from ..explanation import Explanation
from ..imaging.radiograph import Radiograph
from . import page
from .compare_depth import depth_view
from .compare_films import films_view
from .compare_findings import findings_view
from .compare_methods import methods_view
from .shell import without_maps
from .state import Case

View = Literal["methods", "findings", "depth", "films"]
VIEWS: dict[View, str] = {
    "methods": "Methods",
    "findings": "Two findings",
    "depth": "Randomised network",
    "films": "Two films",
}
_DRAW: dict[View, Callable[[Case, Radiograph, Explanation], None]] = {
    "methods": methods_view,
    "findings": findings_view,
    "depth": depth_view,
    "films": films_view,
}


def comparing(case: Case, radiograph: Radiograph) -> None:
    """What is compared is chosen at the top; film, model and finding are those of the page Read."""
    outcome = without_maps(case, radiograph)
    if outcome is None:
        return
    with st.container(key="compare"):
        with st.container(horizontal=True, vertical_alignment="center", key="compare-head"):
            page.heading("Compare", 1)
            view = _choice(case)
        _DRAW[view](case, radiograph, outcome)


def _choice(case: Case) -> View:
    views: list[View] = list(VIEWS)
    chosen: View | None = st.segmented_control(
        "What to compare", views, default=case.comparing if case.comparing in views else views[0], key="comparing",
        format_func=VIEWS.__getitem__, required=True, label_visibility="collapsed",
    )  # fmt: skip
    case.comparing = chosen or views[0]
    return chosen or views[0]
