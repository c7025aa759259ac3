"""Model cards: data, licence, what was measured, limits; fetching and importing weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from ..dissection.unit_facts import UnitFacts, unit_facts_for
from ..errors import XrayInterpError
from ..models.card import FindingMetrics, OperatingPoint
from ..models.registry import ModelEntry
from ..report.unit_words import CONCEPT_COLUMNS, concept_caption, concept_rows, unit_lines
from ..report.words import readable
from . import page, services

ABSENT = "–"


def model_card(entry: ModelEntry) -> None:
    """One model: in short, then measured figures and limits folded."""
    card = entry.card
    with st.container(border=True, key=f"card-{entry.name}"):
        page.card_head(card.title, entry.name, available=entry.available, research_only=card.research_only)
        page.line(card.summary)
        page.facts(_facts(entry))
        if not entry.available:
            _absent(entry)
        if card.figures:
            page.table(("Figure", "With 95 % interval"), card.figures, f"What was measured of {entry.name} as a whole")
        if entry.task == "findings":
            with st.expander("Measured, finding by finding"):
                _metrics(entry)
        if (facts := unit_facts_for(entry)) is not None:
            with st.expander("Units: concepts and shortcuts"):
                _units(facts)
        with st.expander("Limits"):
            page.bullets(card.limits or ("None are stated.",))


def import_panel() -> None:
    """Weights from a file at hand, where the machine is offline or the model is the user's own."""
    with st.container(border=True, key="card-import"):
        page.heading("Import weights from a file")
        page.line(
            "A torchxrayvision checkpoint as published, or a safetensors file that says what network it holds. "
            "A checkpoint that names anything but a network is refused, and nothing of it runs."
        )
        file = st.file_uploader("Weights", key="weights-file", label_visibility="collapsed")
        name = st.text_input("Model name (optional)", key="weights-name", help="Else told by the file's name.")
        if st.button("Import", disabled=file is None, key="weights-import") and file is not None:
            _import(file.name, file.getvalue(), name.strip() or None)


def _facts(entry: ModelEntry) -> list[tuple[str, str]]:
    card = entry.card
    return [
        ("Weights", entry.hash_note),
        ("Trained on", card.data),
        ("Tested on", card.tested_on or "Not measured here."),
        ("Licence", card.licence),
        ("SHA-256", card.sha256 or "recorded at the first fetch" if entry.remote else card.sha256 or ABSENT),
    ]


def _absent(entry: ModelEntry) -> None:
    if entry.remote is None:
        page.line("The weights are not in this installation. `make embedded` trains them anew.", "caution")
        return
    if st.button(f"Fetch {entry.name}", key=f"fetch-{entry.name}", help=entry.url):
        _fetch(entry.name)


def _fetch(name: str) -> None:
    """Fetch with progress. A click on Cancel, as on anything else, ends this run of the page and the fetch with it."""
    place = st.empty()
    with place.container():
        bar = st.progress(0.0, f"Fetching {name}")
        st.button("Cancel", key=f"cancel-{name}", help="What has arrived is kept: the next fetch goes on from there.")

    def show(file: str, done: int, total: int | None) -> None:
        share = min(done / total, 1.0) if total else 0.0
        bar.progress(share, f"{file}: {done / 1e6:.1f} MB{f' of {total / 1e6:.1f}' if total else ''}")

    try:
        services.fetch(name, show)
    except XrayInterpError as error:
        place.empty()
        page.problem(error)
    else:
        st.rerun()


def _metrics(entry: ModelEntry) -> None:
    if not entry.findings:
        page.line("Nothing is known of its outputs until its weights are here.")
        return
    rows = [
        _metric_row(finding, entry.metrics.get(finding), entry.operating_points.get(finding))
        for finding in entry.findings
    ]
    columns = ("Output", "AUROC (95 % interval)", "Positive patients", "Sensitivity", "Specificity", "Assessed")
    page.table(columns, rows, f"Measured figures of {entry.name}")


def _units(facts: UnitFacts) -> None:
    page.facts(unit_lines(facts))
    if rows := concept_rows(facts):
        page.table(CONCEPT_COLUMNS, rows, concept_caption(facts))


def _metric_row(finding: str, metrics: FindingMetrics | None, point: OperatingPoint | None) -> tuple[str, ...]:
    auroc = metrics.auroc if metrics else None
    return (
        readable(finding),
        f"{auroc.value:.2f} ({auroc.low:.2f}–{auroc.high:.2f})" if auroc else "not measured here",
        ABSENT if metrics is None or metrics.patients is None else str(metrics.patients),
        ABSENT if point is None or point.sensitivity is None else f"{point.sensitivity:.0%}",
        ABSENT if point is None or point.specificity is None else f"{point.specificity:.0%}",
        ABSENT if metrics is None or auroc is None else "yes" if metrics.assessed else "not reliably",
    )


def _import(file_name: str, data: bytes, name: str | None) -> None:
    """Import an uploaded file under its own name, which tells a published checkpoint's model."""
    with tempfile.TemporaryDirectory(prefix="xrayinterp-") as folder:
        path = Path(folder) / Path(file_name).name
        path.write_bytes(data)
        try:
            kept = services.import_weights(path, name)
        except XrayInterpError as error:
            page.problem(error)
        else:
            page.line(f"Imported as {kept.stem}. It can be chosen on the page Read.", "strong")
