"""Read: one film, what the model says of it, and what that is made of."""

from __future__ import annotations

import streamlit as st

from xrayinterp.ui import page, services
from xrayinterp.ui.opening import open_films, refusal, verdicts
from xrayinterp.ui.state import Case, current
from xrayinterp.ui.toolbar import toolbar


def welcome(case: Case) -> None:
    """Nothing is open yet."""
    _, middle, _ = st.columns([1, 3, 1])
    with middle, st.container(key="welcome"):
        page.heading("Open a chest radiograph", 1)
        page.line("It is read on this machine, leaves it nowhere, and is forgotten when the session ends.")
        refusal(case)
        open_films(case)
        verdicts(case)


case = current()
page.begin(research_only=bool(case.film and case.model and services.describe(case.model).card.research_only))
preparing = services.warm()
if case.radiograph is None:
    welcome(case)
else:
    toolbar(case)
    preparing.join()  # two threads that import the same packages may see them half made
    from xrayinterp.ui.reading import reading

    reading(case, case.radiograph)
