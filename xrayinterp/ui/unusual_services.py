"""The caches behind maps of unusualness; what comes of a film stays in its session, as in `services`."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import streamlit as st

from ..imaging.radiograph import Radiograph
from . import services

if TYPE_CHECKING:
    from ..evaluation.lamps import Reading
    from .unusual import UnusualMap


@st.cache_resource(show_spinner=False)
def _maps_alone() -> Lock:
    """The detector is shared by all sessions; whoever makes maps with it holds this."""
    return Lock()


@st.cache_resource(scope="session", max_entries=24, ttl=3600, show_spinner=False)
def _unusual(sha256: str, recipe: str, detector: str, way: str, _radiograph: Radiograph) -> UnusualMap:
    from .unusual import made

    with _maps_alone():
        return made(_radiograph, way)


def unusual(radiograph: Radiograph, way: str) -> UnusualMap:
    """Where a film is unusual, by one way of localisation.

    Raises:
        XrayInterpError: where this installation has no detector, or a damaged one.
    """
    found = services.normality(radiograph).unusualness
    return _unusual(radiograph.sha256, radiograph.recipe, (found and found.sha256) or "", way, _radiograph=radiograph)


@st.cache_resource(scope="session", max_entries=24, ttl=3600, show_spinner=False)
def _unusual_lamp(sha256: str, recipe: str, way: str, _radiograph: Radiograph) -> Reading:
    from ..anomaly.normality import known_detector
    from ..anomaly.sensitivity import follows_weights

    with _maps_alone():
        return follows_weights(known_detector(), _radiograph, way=way)


def unusual_lamp(radiograph: Radiograph, way: str) -> Reading:
    """Whether the map of unusualness follows what its cloner learned."""
    return _unusual_lamp(radiograph.sha256, radiograph.recipe, way, _radiograph=radiograph)


def forget() -> None:
    """Drop what this session keeps of its films."""
    for cache in (_unusual, _unusual_lamp):
        cache.clear()
