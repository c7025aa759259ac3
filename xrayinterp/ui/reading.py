"""A film is open: film and map at the left, findings and what they are made of at the right."""

from __future__ import annotations

import streamlit as st

from ..errors import XrayInterpError
from ..explanation import Explanation
from ..imaging.radiograph import Radiograph
from . import beside, page, services
from .beside import asked_of
from .export import export_panel
from .film_panel import film_panel
from .findings import findings_panel
from .layer_panel import layer_work, outlined
from .measuring import Measurement
from .methods_panel import method_of
from .semantics_panel import semantics_panel
from .shell import models_link
from .state import Case
from .trust_panel import trust_panel


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
            models_link()
        return
    explanation, coming = outcome
    layer = layer_work(case, explanation)
    with left:
        trust = film_panel(case, radiograph, outlined(explanation, layer), coming)
    with right:
        findings_panel(case, explanation)
        semantics_panel(case, explanation, layer)
        export_panel(case, explanation, layer)
    if trust is not None:
        with trust:  # last: measuring competes with drawing the page
            trust_panel(case, explanation)


def _explained(
    case: Case, radiograph: Radiograph
) -> tuple[Explanation, Measurement[Explanation] | None] | XrayInterpError:
    """The explanation, and where its map takes long and is not there yet, the work on it."""
    method, model = method_of(case), case.model or ""

    def explain(*methods: str) -> Explanation:
        return services.explained(radiograph, model, case.finding, methods, case.fit)

    def work() -> tuple[Explanation, Measurement[Explanation] | None]:
        if not services.is_slow(method):
            return explain(method), None
        bare = explain()
        coming = beside.explaining(asked_of(bare), method)
        return (coming.results[0], None) if coming.results else (bare, coming)

    with st.spinner("Reading the film"):
        outcome = services.attempt(work)
        if isinstance(outcome, XrayInterpError) and not services.is_slow(method):
            bare = services.attempt(explain)  # the map failed, or all did
            if not isinstance(bare, XrayInterpError):
                page.problem(outcome)
                return bare, None
        return outcome
