"""The film viewer and the grid of films as Streamlit components: local files, no build step, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    _component("viewer")(key=key, data=dict(message))


def film_grid(message: Mapping[str, Any], *, key: str) -> None:
    """Draw what `grid.grid_message` says; zoom and place are one for all films, in the browser and without a rerun."""
    _component("grid")(key=key, data=dict(message))


def _component(name: str) -> Callable[..., Any]:
    script = _source("common.js") + _source(f"{name}.js")
    # registered at each call: a registration at import would belong to the first server of the process only
    component: Callable[..., Any] = st.components.v2.component(
        f"xrayinterp.film_{name}", html=_source(f"{name}.html"), css=_source(f"{name}.css"), js=script
    )
    return component
