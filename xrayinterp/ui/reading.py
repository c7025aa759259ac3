"""A film is open: film and map at the left, findings and what they are made of at the right."""

from __future__ import annotations

import streamlit as st

from ..errors import XrayInterpError
from ..explanation import Explanation
from ..imaging.radiograph import Radiograph
from . import page, services
from .export import export_panel
from .film_panel import film_panel
from .findings import findings_panel
from .semantics_panel import semantics_panel
from .state import Case


def reading(case: Case, radiograph: Radiograph) -> None:
    """Explain and show; where the model cannot be had, the film is still there to be looked at."""
    outcome = _explained(case, radiograph)
    with st.container(key="desk"):
        left, right = st.columns([3, 2], gap="medium")
    if isinstance(outcome, XrayInterpError):
        with left:
            film_panel(case, radiograph, None)
        with right:
            page.problem(outcome)
            st.page_link("xrayinterp/ui/pages/models.py", label="Models: fetch or import weights")
        return
    with left:
        film_panel(case, radiograph, outcome)
    with right:
        findings_panel(case, outcome)
        semantics_panel(case, outcome)
        export_panel(case, outcome)


def _explained(case: Case, radiograph: Radiograph) -> Explanation | XrayInterpError:
    with st.spinner("Reading the film"):
        return services.attempt(radiograph, case.model or "", case.finding, case.method, case.fit)
