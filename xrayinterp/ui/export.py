"""What leaves the page: the PDF, the JSON document, the map as a picture, and the reader's own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from ..evaluation.lamps import MapTrust, Reading
from ..explanation import Explanation
from ..report import normality_words
from ..report.document import to_document
from ..report.pdf import render_pdf
from ..report.plates import map_picture
from ..report.words import method as method_words
from ..semantics_earlier import LayerAttribution
from . import beside, page
from .beside import asked_of
from .measuring import Measurement
from .state import Case
from .unusual_trust import measured_unusual

REFERENCE, COMMENT = 80, 600
"""Longest entries in characters."""
PATIENCE = 20.0
"""Seconds that an export waits for a strip which is being measured."""


def export_panel(case: Case, explanation: Explanation, layer: Measurement[LayerAttribution] | None = None) -> None:
    """Reference, comment and the downloads, which are made when asked for and hold no file name."""
    with st.container(border=True, key="export"):
        _words(case)
        said, strips = case.note.spoken(), _strips(explanation)
        unusual = measured_unusual(case, explanation.radiograph)

        def spoken() -> Explanation:
            """With what the page has measured by the moment of the click."""
            layers = layer.results if layer is not None else ()
            return replace(explanation, reader=said, trust=(*measured(strips), *unusual), layers=layers)

        stem = f"xrayinterp-{explanation.radiograph.sha256[:8]}-{explanation.model}-{explanation.finding}".lower()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                "Export PDF",
                lambda: render_pdf(spoken()),
                f"{stem}.pdf",
                "application/pdf",
                type="primary",
                on_click="ignore",
                key="export-pdf",
            )
            st.download_button(
                "JSON",
                lambda: to_document(spoken()).to_json(),
                f"{stem}.json",
                "application/json",
                on_click="ignore",
                key="export-json",
            )
            if explanation.maps:
                st.download_button(
                    f"Map as PNG: {method_words(explanation.maps[0].method)}" if case.unusual else "Map as PNG",
                    lambda: map_picture(explanation, explanation.maps[0]),
                    f"{stem}.png",
                    "image/png",
                    on_click="ignore",
                    key="export-map",
                )
        _unusualness(explanation)


def _unusualness(explanation: Explanation) -> None:
    """How unusual the film is, which is no finding; more of it is a page of its own."""
    known = explanation.normality
    if known is None or known.unusualness is None:
        return
    with st.container(key="unusualness"):
        page.line(f"Unusualness: {normality_words.percentile_line(known.unusualness)}")
        st.page_link("xrayinterp/ui/pages/anomaly.py", label="Where, and against what")


def measured(strips: Mapping[str, Measurement[Reading]]) -> tuple[MapTrust, ...]:
    """Those strips, by method, that have been measured to the end; one under way is waited for."""
    for work in strips.values():
        if work.state == "running":
            work.wait(PATIENCE)
    return tuple(MapTrust(method, work.results) for method, work in strips.items() if work.state == "done")


def _strips(explanation: Explanation) -> dict[str, Measurement[Reading]]:
    """The trust strip of each of the explanation's maps, measured or not."""
    asked = asked_of(explanation)
    return {saliency.method: beside.trusted(asked, saliency.method) for saliency in explanation.maps}


def _words(case: Case) -> None:
    reference, comment = f"reference-{case.sha256}", f"comment-{case.sha256}"
    with st.expander("Reader's reference and comment", expanded=bool(case.note.reference or case.note.comment)):
        st.text_input(
            "Reference", case.note.reference, max_chars=REFERENCE, key=reference,
            help="Printed in the report. Do not enter names.",
            on_change=lambda: case.say(reference=st.session_state[reference]),
        )  # fmt: skip
        st.text_area(
            "Comment", case.note.comment, max_chars=COMMENT, key=comment, height=90,
            on_change=lambda: case.say(comment=st.session_state[comment]),
        )  # fmt: skip
