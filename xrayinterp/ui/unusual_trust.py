"""The one lamp that a map of unusualness can be held to: whether it follows what its cloner learned."""

from __future__ import annotations

import streamlit as st

from ..imaging.radiograph import Radiograph
from . import page, services, unusual_services
from .state import Case
from .trust_panel import lamp_card


def unusual_trust(case: Case, radiograph: Radiograph, way: str) -> None:
    """The lamp, measured on this film when asked for; the others ask of a finding, and this map knows none."""
    key = f"lamp-{case.sha256}-{way}-{case.fit}"
    with st.container(key="unusual-trust"):
        if not st.session_state.get(key):
            if not st.button("Measure whether this map follows what was learned", key=f"measure-{key}"):
                return
            st.session_state[key] = True
            st.rerun()
        with st.spinner("Measuring"):
            reading = page.told(services.attempt(lambda: unusual_services.unusual_lamp(radiograph, case.fit, way)))
        if reading is not None:
            st.html(f'<ul class="xi-lamps" aria-label="Trust in this map">{lamp_card(reading)}</ul>')
