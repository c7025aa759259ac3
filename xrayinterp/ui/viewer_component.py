"""The film viewer as a Streamlit component: three local files, no build step, nothing from the network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

_FILES = Path(__file__).with_name("viewer")


@cache
def _source(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def film_viewer(message: Mapping[str, Any], *, key: str) -> None:
    """Draw what `film.viewer_message` says; window, zoom and overlay live in the browser and cost no rerun."""
    # registered at each call: a registration at import would belong to the first server of the process only
    component = st.components.v2.component(
        "xrayinterp.film_viewer", html=_source("viewer.html"), css=_source("viewer.css"), js=_source("viewer.js")
    )
    component(key=key, data=dict(message))
