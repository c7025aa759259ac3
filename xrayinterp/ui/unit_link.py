"""A unit in a list, as the way to its card on the page Concepts."""

from __future__ import annotations

import re

import streamlit as st

from ..report.words import signed
from ..semantics import UnitShare


def unit_link(unit: UnitShare, layer: str, words: str, amount: float) -> None:
    """A sentence with a signed figure at its end, orange where it supports, blue where it opposes; a click leads on."""
    asked = {"unit": str(unit.unit), "layer": layer} | ({"probe": unit.probe} if unit.probe else {})
    colour = "orange" if amount >= 0 else "blue"
    st.page_link(
        "xrayinterp/ui/pages/concepts.py", label=f"{_literal(words)} · :{colour}[{signed(amount)}]", query_params=asked
    )


def _literal(text: str) -> str:
    """The text with every sign of Markdown taken for itself."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~:<>$&])", r"\\\1", text)
