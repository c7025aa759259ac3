"""The film viewer, the grid of films and a pulse as Streamlit components: local files, no build step, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import streamlit as st

_FILES = Path(__file__).with_name("viewer")
_BEATS = count()


@cache
def _source(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def film_viewer(message: Mapping[str, Any], *, key: str) -> None:
    """Draw what `film.viewer_message` says; window, zoom and overlay live in the browser and cost no rerun."""
    _component("viewer")(key=key, data=dict(message))


def film_grid(message: Mapping[str, Any], *, key: str) -> None:
    """Draw what `grid.grid_message` says; zoom and place are one for all films, in the browser and without a rerun."""
    _component("grid")(key=key, data=dict(message))


def pulse(seconds: float | None, *, key: str) -> None:
    """Draw the fragment that this is called in again after so many seconds; None ends it.

    Unlike a fragment that runs every so often, it stops without the whole page being drawn again.
    """
    # registered at each call: a registration at import would belong to the first server of the process only
    component = st.components.v2.component("xrayinterp.pulse", js=_source("pulse.js"))
    component(key=key, data={"seconds": seconds, "beat": next(_BEATS)}, on_beat_change=lambda: None)


def _component(name: str) -> Callable[..., Any]:
    script = _source("common.js") + _source(f"{name}.js")
    component: Callable[..., Any] = st.components.v2.component(
        f"xrayinterp.film_{name}", html=_source(f"{name}.html"), css=_source(f"{name}.css"), js=script
    )
    return component
