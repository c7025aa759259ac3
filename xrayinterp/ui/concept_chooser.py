"""Choosing the concept whose region is outlined on the film, from a chart or a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import streamlit as st

from ..explanation import Explanation
from ..report.words import readable
from . import page
from .state import Case


def outline(case: Case, concept: str) -> None:
    """Outline a concept that was picked; picked again, take the outline off."""
    case.concept = None if concept == case.concept else concept
    case.picks += 1


def concept_chooser(
    case: Case,
    explanation: Explanation,
    names: Sequence[str],
    regions: Mapping[str, npt.NDArray[np.float32]],
    where: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """The list of concepts, and in words `where` the chosen one's units fire; one that is not listed is let go."""
    if case.concept not in names:
        case.concept = None
    if not names:
        return
    key = f"concept-{explanation.finding}-{case.sha256}-{case.layer}-{case.concept}"

    def choose() -> None:
        case.concept = st.session_state[key] or None
        case.picks += 1

    st.selectbox(
        "Outline on the film", ["", *names], index=names.index(case.concept) + 1 if case.concept in names else 0,
        key=key, on_change=choose, label_visibility="collapsed",
        format_func=lambda name: f"Outlined: {readable(name)}-like units" if name else "Outline a concept on the film",
    )  # fmt: skip
    region = regions.get(case.concept or "")
    if case.concept and (region is None or not region.any()):
        page.line(f"{readable(case.concept)}-like units fire nowhere on this film.")
    elif case.concept and case.concept in where:
        page.line(f"{readable(case.concept)}-like units fire here: {where[case.concept]}.")
