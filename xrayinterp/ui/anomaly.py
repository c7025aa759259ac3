"""The page Anomaly: the film and where it is unusual at the left, how unusual and against what at the right."""

from __future__ import annotations

import streamlit as st

from ..anomaly.gate_record import WARNING
from ..anomaly.model import AnomalyModel
from ..anomaly.normality import Unusualness, detector, known_reference
from ..errors import XrayInterpError
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..report.normality_words import CAUTIONS, FLAGS, METHODS, WORTH, interval_line, no_sign, place
from ..report.words import percent, plain, small
from . import page, services, unusual_services
from .anomaly_card import normal_card
from .charts import chart
from .figures_anomaly import histogram_figure, point_name, points_figure, rows_of
from .film import marks_of, viewer_message
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
    _controls(case)
    with st.spinner("Making the map"):
        made = services.attempt(lambda: unusual_services.unusual(radiograph, case.way))
    layer = None
    if not isinstance(made, XrayInterpError):
        layer = made.layer(asked=f"{case.sha256} anomaly", share=case.share / 100)
    marks = marks_of(case.note.side, radiograph.source.orientation)
    message = viewer_message(radiograph, frame(*radiograph.shape), marks=marks, layer=layer)
    film_viewer(message, key="anomaly-viewer")
    if case.fit == "pad":
        page.line("The detector sees the centre square, as of its reference films, however the model sees the film.")
    if said := [warned.message for warned in radiograph.warnings if warned != WARNING]:
        page.cautions(dict.fromkeys(said))
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
        f"One scale for all films, from {small(made.floor)} to {small(made.limit)}: half of a usual map lies below its "
        f"beginning, and of 95 % of {made.reference} reference films all but the brightest 0.5 % below its end."
        if made.reference
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
        page.line(f"{no_sign(found.percentile)} {interval_line(found.percentile)}.")
        if model.text is not None:
            page.line(WORTH)
        page.line(f"It looks at features of {model.record.expert.name}; the model chosen above plays no part.")
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
        page.line(
            "By critical point, a layer where features are compared, from input to output: how far their values and "
            f"their direction are off. Together they are the score, {plain(found.score, 3)}."
        )
        reference = known_reference()
        rows = points_figure(found.points, reference)
        words = "; ".join(
            f"{point_name(p.layer)}: values {small(p.value)}, direction {small(p.direction)}" for p in found.points
        )
        chart(rows, key="points", alt=f"What each critical point gives the score: {words}.")
        if reference is not None:
            page.line(f"Pale bands: the middle half of {reference.films} reference films; grey ticks: 5 and 95 %.")
        with st.expander("As a table"):
            page.table(
                ("Critical point", "This film", "Reference, 5 %", "50 %", "95 %"),
                [
                    (name, plain(value, 3), *(plain(five[i], 3) if five else "" for i in (0, 2, 4)))
                    for name, value, five in rows_of(found.points, reference)
                ],
                "What each critical point gives the score",
            )
