"""The page Anomaly: the film and where it is unusual at the left, how unusual and against what at the right."""

from __future__ import annotations

import streamlit as st

from ..anomaly.model import AnomalyModel
from ..anomaly.normality import Unusualness, detector, known_reference
from ..errors import XrayInterpError
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..report.normality_words import CAUTIONS, FLAGS, METHODS, NO_SIGN, interval_line, place
from ..report.words import percent, small
from . import page, services, unusual_services
from .anomaly_card import normal_card
from .charts import chart
from .figures_anomaly import histogram_figure, point_name, points_figure
from .film import viewer_message
from .state import Case
from .unusual import UnusualMap
from .unusual_trust import unusual_trust
from .viewer_component import film_viewer


def anomaly(case: Case, radiograph: Radiograph) -> None:
    """Everything that is known of how unusual the film is."""
    model = page.told(services.attempt(detector))
    if model is None:
        page.line("This installation has no detector of unusualness.")
        return
    known = page.told(services.attempt(lambda: services.normality(radiograph)))
    found = None if known is None else known.unusualness
    with st.container(key="anomaly"):
        left, right = st.columns([3, 2], gap="medium")
    with left:
        _where(case, radiograph)
    with right:
        if found is not None:
            _how_unusual(model, found)
            _breakdown(model, found)
        normal_card(model)


def _where(case: Case, radiograph: Radiograph) -> None:
    with st.spinner("Making the map"):
        made = services.attempt(lambda: unusual_services.unusual(radiograph, case.fit, case.way))
    layer = None
    if not isinstance(made, XrayInterpError):
        layer = made.layer(asked=f"{case.sha256} {case.fit} anomaly", share=case.share / 100)
    film_viewer(viewer_message(radiograph, frame(*radiograph.shape, case.fit), layer=layer), key="anomaly-viewer")
    _controls(case)
    if isinstance(made, XrayInterpError):
        page.problem(made)
        return
    _told(case, made)
    unusual_trust(case, radiograph, case.way)


def _controls(case: Case) -> None:
    def choose() -> None:
        case.way = st.session_state["way"]

    def set_off() -> None:
        case.share = st.session_state["share"]

    with st.container(horizontal=True, vertical_alignment="bottom", key="ways"):
        st.segmented_control(
            "How the map is made", list(METHODS), default=case.way, key="way", on_change=choose, required=True,
            format_func=METHODS.__getitem__, label_visibility="collapsed",
        )  # fmt: skip
        st.slider(
            "Outline from, in per cent of the scale",
            5,
            100,
            case.share,
            5,
            key="share",
            on_change=set_off,
            format="%d %%",
        )


def _told(case: Case, made: UnusualMap) -> None:
    area = float(made.set_off(case.share / 100).mean())
    scale = (
        f"One scale for all films: it ends at {small(made.limit)}; the maps of 95 % of reference films stay below."
        if made.common
        else f"The scale is this film's own and ends at {small(made.limit)}: nothing was measured to compare films by."
    )
    outlined = (
        f"Outlined, after an opening: {percent(area, 1)} of what the detector saw."
        if area
        else "Nothing on this film reaches that share: a lower one shows where it departs most."
    )
    page.line(f"{outlined} {scale}")
    page.line(FLAGS)
    if made.way in CAUTIONS:
        page.line(CAUTIONS[made.way], "caution")


def _how_unusual(model: AnomalyModel, found: Unusualness) -> None:
    with st.container(border=True, key="card-unusual"):
        page.heading("How unusual")
        page.line(place(found.percentile), "strong")
        page.line(f"{NO_SIGN} {interval_line(found.percentile)}.")
        scores = model.calibration.scores
        chart(
            histogram_figure(scores, found.score), key="histogram",
            alt=f"Histogram of the scores of {len(scores)} reference films; this film scores {small(found.score)}, "
            f"at percentile {found.percentile.value:.0f}.",
        )  # fmt: skip
        page.line(
            f"Bars: {len(scores)} reference films that were held out. Line: this film, score {small(found.score)}."
        )


def _breakdown(model: AnomalyModel, found: Unusualness) -> None:
    with st.container(border=True, key="card-points"):
        page.heading("What gives the score")
        page.line("By critical point, from input to output: how far values and direction of the features are off.")
        reference = known_reference()
        rows = points_figure(found.points, reference)
        words = "; ".join(
            f"{point_name(p.layer)}: values {small(p.value)}, direction {small(p.direction)}" for p in found.points
        )
        chart(rows, key="points", alt=f"What each critical point gives the score: {words}.")
        if reference is not None:
            page.line(f"Pale bands: the middle half of {reference.films} reference films; thin lines: 5 to 95 %.")
        with st.expander("As a table"):
            page.table(
                ("Critical point", "Values", "Direction"),
                [(point_name(p.layer), f"{p.value:.3g}", f"{p.direction:.3g}") for p in found.points],
                "What each critical point gives the score",
            )
