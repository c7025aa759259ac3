"""What leaves the page: the PDF, the JSON document, and the reader's own words in both."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from ..explanation import Explanation
from ..report.document import to_document
from ..report.pdf import render_pdf
from .state import Case

REFERENCE, COMMENT = 80, 600
"""Longest entries in characters."""


def export_panel(case: Case, explanation: Explanation) -> None:
    """Reference, comment and the two downloads; both are made when asked for and hold no file name."""
    with st.container(border=True, key="export"):
        _words(case)
        spoken = replace(explanation, reader=case.note.spoken())
        stem = f"xrayinterp-{explanation.radiograph.sha256[:8]}-{explanation.model}-{explanation.finding}".lower()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                "Export PDF",
                lambda: render_pdf(spoken),
                f"{stem}.pdf",
                "application/pdf",
                type="primary",
                on_click="ignore",
                key="export-pdf",
            )
            st.download_button(
                "JSON",
                lambda: to_document(spoken).to_json(),
                f"{stem}.json",
                "application/json",
                on_click="ignore",
                key="export-json",
            )


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
