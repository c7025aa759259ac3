"""A Plotly figure as a chart whose lines can be picked, with the figures in words and as a table beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from .figures_parts import CONFIG


def chart(figure: go.Figure, *, key: str, alt: str, on_pick: Callable[[str], None] | None = None) -> None:
    """Draw `figure` as it is (Streamlit's own theme would recolour it); a click hands the line's name to `on_pick`."""
    if on_pick is None:
        st.plotly_chart(figure, theme=None, config=CONFIG, key=key, alt=alt)
        return
    st.plotly_chart(
        figure, theme=None, config=CONFIG, key=key, alt=alt, selection_mode="points",
        on_select=lambda: _picked(st.session_state.get(key), on_pick),
    )  # fmt: skip


def _picked(state: Any, on_pick: Callable[[str], None]) -> None:
    """The name behind a click; a click that deselects says nothing."""
    points = state["selection"]["points"] if state else []
    if points and (named := points[0].get("customdata")):
        on_pick(named if isinstance(named, str) else str(named[0]))
