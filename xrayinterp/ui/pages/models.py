"""Models: what each one is worth, where its weights are, and how to get them."""

from __future__ import annotations

import streamlit as st

from xrayinterp.ui import page, services
from xrayinterp.ui.cards import import_panel, model_card

page.begin()
page.heading("Models", 1)
page.line("Every model that can read a film here, what it was trained and tested on, and what it cannot see.")
columns = st.columns(2, gap="medium")
for number, entry in enumerate(services.models()):
    with columns[number % 2]:
        model_card(entry)
with columns[0]:
    import_panel()
