"""The one lamp that a map of unusualness can be held to: whether it follows what its cloner learned."""

from __future__ import annotations

import streamlit as st

from ..anomaly.shelf import UNUSUALNESS, USUAL_WAY
from ..errors import XrayInterpError
from ..evaluation.lamps import LAMPS, UNDER_THE_STRIP, MapTrust
from ..imaging.radiograph import Radiograph
from ..report.trust_words import cut_offs
from . import page, services, unusual_services
from .state import Case
from .trust_panel import lamp_card


def unusual_trust(case: Case, radiograph: Radiograph, way: str) -> None:
    """The lamp, measured on this film when asked for; the others ask of a finding, and this map knows none."""
    key = _key(case, way)
    with st.container(key="unusual-trust"):
        if not st.session_state.get(key):
            asked = "Measure whether this map follows what was learned (four maps)"
            # by callback: a run that another one interrupts would lose the click
            st.button(asked, key=f"measure-{key}", on_click=st.session_state.__setitem__, args=(key, True))
            return
        with st.spinner("Measuring"):
            reading = page.told(services.attempt(lambda: unusual_services.unusual_lamp(radiograph, way)))
        if reading is not None:
            st.html(f'<ul class="xi-lamps" aria-label="Trust in this map">{lamp_card(reading)}</ul>')
            page.line(f"{cut_offs(LAMPS[reading.lamp])} {UNDER_THE_STRIP}")


def measured_unusual(case: Case, radiograph: Radiograph) -> tuple[MapTrust, ...]:
    """The lamp of the usual map where this session measured it, for exports."""
    if not st.session_state.get(_key(case, USUAL_WAY)):
        return ()
    reading = services.attempt(lambda: unusual_services.unusual_lamp(radiograph, USUAL_WAY))
    return () if isinstance(reading, XrayInterpError) else (MapTrust(UNUSUALNESS, (reading,)),)


def _key(case: Case, way: str) -> str:
    return f"lamp-{case.sha256}-{way}"
