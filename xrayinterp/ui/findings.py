"""The findings panel: which finding is explained, and how each stands to its operating point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from ..explanation import Explanation, Severity
from ..report.words import plain, readable
from . import page
from .charts import chart
from .figures import findings_figure, severity_figure, total_figure
from .rows import FindingRow, arrange
from .state import Case


def findings_panel(case: Case, explanation: Explanation) -> None:
    """Findings, or zone scores, with the one that is explained marked; a click or the list chooses another."""
    with st.container(border=True, key="findings"):
        head, picker = st.columns([1, 1.2], vertical_alignment="center")
        with head:
            page.heading("Severity" if explanation.severity else "Findings")
        with picker:
            _picker(case, explanation)
        if explanation.severity is not None:
            _severity(explanation.severity)
        else:
            _findings(case, explanation)


def _picker(case: Case, explanation: Explanation) -> None:
    names = [prediction.finding for prediction in explanation.predictions]
    key = f"finding-{explanation.model}-{case.sha256}-{explanation.finding}"

    def choose() -> None:
        case.choose(st.session_state[key])
        case.picks += 1

    st.selectbox(
        "Finding to explain", names, index=names.index(explanation.finding), key=key, on_change=choose,
        format_func=lambda name: f"Explain: {readable(name)}", label_visibility="collapsed",
    )  # fmt: skip


def _findings(case: Case, explanation: Explanation) -> None:
    groups = arrange(explanation.predictions, explanation.finding)
    selected = explanation.finding
    draw = partial(_rows, case, selected)
    draw(groups.listed, "listed")
    if groups.below:
        with st.expander(f"{len(groups.below)} more below their operating points"):
            draw(groups.below, "below")
    if groups.unassessed:
        with st.expander(f"{len(groups.unassessed)} not reliably assessed"):
            page.line(
                "Too few patients or too low an AUROC stand behind these: they can be explained but are never flagged."
            )
            draw(groups.unassessed, "unassessed")
    with st.expander("Findings as a table"):
        everything = [*groups.listed, *groups.below, *groups.unassessed]
        cells = [
            (row.label, row.value, row.state, "; ".join((*row.detail, row.note)).rstrip("; ")) for row in everything
        ]
        page.table(
            ("Finding", "Over operating point", "Verdict", "Measured"), cells, "Findings against their operating points"
        )
    page.line("Bars show logit minus operating point (white tick); the paler band is “not sure”. Not probabilities.")


def _rows(case: Case, selected: str, rows: Sequence[FindingRow], group: str) -> None:
    words = ", ".join(f"{row.label} {row.value} ({row.state})" for row in rows)
    chart(
        findings_figure(rows, selected), key=f"findings-{group}-{case.picks}",
        alt=f"Bar chart of findings, logit minus operating point: {words}.", on_pick=case.choose,
    )  # fmt: skip


def _severity(severity: Severity) -> None:
    low, high = severity.interval or (None, None)
    interval = "" if low is None or high is None else f", 95 % interval {plain(low, 1)} to {plain(high, 1)}"
    page.line(f"Global {plain(severity.total, 1)} of 18{interval}", "strong")
    chart(total_figure(severity), key="severity-total", alt=f"Global score {severity.total:.1f} of 18{interval}.")
    words = ", ".join(f"zone {zone} {value:.1f}" for zone, value in severity.zones.items())
    chart(severity_figure(severity), key="severity-zones", alt=f"Zone scores from 0 to 3: {words}.")
    page.line("Zones A to C lie at image left from top to bottom, D to F at image right; each scores 0 to 3.")
    with st.expander("Zones as a table"):
        page.table(("Zone", "Score"), [(z, plain(v)) for z, v in severity.zones.items()], "Zone scores, 0 to 3")
