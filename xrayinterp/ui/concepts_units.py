"""The unit browser: units searched by concept, fit, layer, use and shortcut, sorted, and one of them in full."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import streamlit as st

from ..dissection.unit_facts import UnitFacts
from ..dissection.unit_index import UnitEntry, found, shortcuts_of, used_for
from ..report.atlas_words import layer_title, unit_title
from ..report.unit_words import SHORTCUTS
from ..report.words import readable
from . import page
from .atlas_shelf import Row, Shown
from .concepts_card import unit_card
from .state import Case, Look

ORDERS: dict[str, tuple[str, Callable[[UnitEntry], tuple[Any, ...]]]] = {
    "iou": ("IoU, highest first", lambda one: (-one.best.iou,)),
    "share": ("IoU as a share of what is possible", lambda one: (-one.best.share_of_ceiling,)),
    "precision": ("Precision, highest first", lambda one: (-one.best.precision,)),
    "chance": ("Least likely by chance", lambda one: (one.best.null_p, one.family_p or 1.0, -one.best.iou)),
    "concept": ("Concept", lambda one: (not one.labels, one.best.concept, -one.best.iou)),
    "unit": ("Layer and number", lambda one: ()),
    "use": ("How much they move the output", lambda one: ()),
}
HEIGHT = 560
"""Of the list in pixels: some sixteen rows; only rows in view are drawn."""
CSV = (
    "layer", "unit", "label", "joint", "closest", "iou", "ci_low", "ci_high", "null_high", "null_p", "family_p",
    "positives_p", "ceiling", "precision", "threshold", "area", "shortcuts",
)  # fmt: skip


def units_view(case: Case, shown: Shown, row: Row) -> None:
    """Search and list at the left, the chosen unit at the right."""
    look, facts = case.look, shown.facts
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _search(look, shown, facts)
        entries = in_order(look, found(shown.survey.units, look.sought, facts), facts)
        _listed(look, shown, entries, facts)
    entry = _chosen(look, shown, entries)
    with right:
        if entry is None:
            page.line("No unit fits the search.")
        else:
            unit_card(case, shown, entry)


def _search(look: Look, shown: Shown, facts: UnitFacts | None) -> None:
    sought, layers = look.sought, [layer.layer for layer in shown.survey.layers]
    concepts = [line.found.concept for line in shown.survey.layers[-1].lines]
    columns = st.columns([1.3, 1.1, 1.5, 1.3], vertical_alignment="bottom")
    with columns[0]:
        _choice(look, "concept", "Concept", ["", *concepts], lambda name: readable(name) if name else "Any")
    with columns[1]:
        _choice(look, "layer", "Layer", ["", *layers], lambda name: layer_title(name) if name else "Any")
    with columns[2]:
        if facts:
            _choice(
                look, "finding", "Used for", ["", *facts.findings], lambda name: readable(name) if name else "Anything"
            )
    with columns[3]:
        _order(look)
    with st.container(horizontal=True, vertical_alignment="bottom", key="unit-checks"):
        key = f"least-{look.moves}"
        st.number_input(
            "IoU at least", 0.0, 1.0, sought.least_iou, 0.01, key=key, width=150, format="%.2f",
            on_change=lambda: _seek(look, least_iou=st.session_state[key]),
        )  # fmt: skip
        _check(look, "labelled", "Detectors only")
        if facts:
            _check(look, "shortcuts", "Fires on shortcuts", "Side markers, leads, borders or text pasted on films.")


def _choice(look: Look, field: str, label: str, options: list[str], words: Callable[[str], str]) -> None:
    now = getattr(look.sought, field) or ""
    key = f"sought-{field}-{len(options)}-{look.moves}"
    st.selectbox(
        label, options, index=options.index(now) if now in options else 0, key=key, format_func=words,
        on_change=lambda: _seek(look, **{field: st.session_state[key] or None}),
    )  # fmt: skip


def _check(look: Look, field: str, label: str, told: str | None = None) -> None:
    key = f"sought-{field}-{look.moves}"
    st.checkbox(
        label, getattr(look.sought, field), key=key, help=told,
        on_change=lambda: _seek(look, **{field: st.session_state[key]}),
    )  # fmt: skip


def _seek(look: Look, **changes: Any) -> None:
    look.sought = replace(look.sought, **changes)
    look.unit = None
    if "finding" in changes:  # whoever asks what an output uses wants the most used first
        look.go(order="use" if changes["finding"] else "iou")


def in_order(look: Look, entries: list[UnitEntry], facts: UnitFacts | None) -> list[UnitEntry]:
    """Units as the reader wants them sorted; equal ones by layer and number."""
    if look.order == "use":
        used = used_for(facts, look.sought.finding)
        return sorted(entries, key=lambda one: -abs(used.get(one.unit, 0.0)))
    return sorted(entries, key=ORDERS[look.order][1])


def _order(look: Look) -> None:
    orders = [name for name in ORDERS if name != "use" or look.sought.finding]
    look.order = look.order if look.order in orders else "iou"
    key = f"order-{len(orders)}-{look.moves}"

    def choose() -> None:
        look.order = st.session_state[key]

    st.selectbox(
        "Sorted by", orders, index=orders.index(look.order), key=key, on_change=choose,
        format_func=lambda name: ORDERS[name][0],
    )  # fmt: skip


def _listed(look: Look, shown: Shown, entries: Sequence[UnitEntry], facts: UnitFacts | None) -> None:
    """The list, whose columns sort by a click on their heads, the same as a choice, and as CSV."""
    of = len(shown.survey.units)
    page.line(f"{len(entries)} of {of} units. A click on a line opens the unit, one on a column's head sorts by it.")
    if not entries:
        return
    rows = [(one.layer, one.unit) for one in entries]
    key = f"units-{shown.key}-{hash((tuple(rows), look.moves))}"

    def pick() -> None:
        picked = st.session_state[key]["selection"]
        line = next(iter(picked["rows"]), None) if picked["rows"] else next((c[0] for c in picked["cells"]), None)
        if line is not None:
            look.layer, look.unit = rows[line]

    st.dataframe(
        _table(entries, facts), key=key, height=min(HEIGHT, 37 * len(entries) + 40), hide_index=True,
        on_select=pick, selection_mode=["single-row", "single-cell"], column_config=_COLUMNS, placeholder="–",
        alt=f"List of {len(entries)} units with their concepts and figures; the choice below it opens one.",
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom", key="unit-choice"):
        _pick(look, entries)
        st.download_button(
            "List as CSV", lambda: to_csv(entries, facts), f"units-{shown.atlas.model}-{shown.atlas.probe}.csv",
            "text/csv", on_click="ignore", key="units-csv",
        )  # fmt: skip


_WIDTHS = {"IoU": 58, "from": 58, "to": 58, "chance": 70, "at most": 74, "precision": 84}
_COLUMNS = {
    "Unit": st.column_config.NumberColumn("Unit", width=58),
    **{name: st.column_config.NumberColumn(name, format="%.2f", width=width) for name, width in _WIDTHS.items()},
}


def _table(entries: Sequence[UnitEntry], facts: UnitFacts | None) -> pa.Table:
    pasted = shortcuts_of(facts)
    at = facts.layer if facts else None
    columns: dict[str, list[Any]] = {
        "Unit": [one.unit for one in entries],
        "Layer": [layer_title(one.layer) for one in entries],
        "Concept": [" / ".join(map(readable, one.labels)) or None for one in entries],
        "IoU": [one.best.iou for one in entries],
        "from": [one.best.ci_low for one in entries],
        "to": [one.best.ci_high for one in entries],
        "chance": [one.best.null_high for one in entries],
        "at most": [one.best.ceiling for one in entries],
        "precision": [one.best.precision for one in entries],
    }
    if len(set(columns["Layer"])) == 1:
        del columns["Layer"]
    if facts:
        told = [pasted.get(one.unit, ()) if one.layer == at else () for one in entries]
        columns["Shortcut"] = [", ".join(SHORTCUTS.get(name, name) for name in names) or None for names in told]
    return pa.table(columns)


def _pick(look: Look, entries: Sequence[UnitEntry]) -> None:
    """The same list as a choice, for the keyboard and for those who know the number."""
    options = [(one.layer, one.unit) for one in entries]
    words = {(one.layer, one.unit): f"{unit_title(one)}, {layer_title(one.layer).lower()}" for one in entries}
    now = (look.layer or "", look.unit)
    key = f"unit-{now}-{hash(tuple(options))}"

    def choose() -> None:
        look.layer, look.unit = st.session_state[key]

    st.selectbox(
        "Unit", options, index=options.index(now) if now in options else 0, key=key, on_change=choose,
        format_func=words.__getitem__, width=420,
    )  # fmt: skip


def _chosen(look: Look, shown: Shown, entries: Sequence[UnitEntry]) -> UnitEntry | None:
    """The unit on screen, whether or not it is in the list; else the first of the list."""
    every = {(one.layer, one.unit): one for one in shown.survey.units}
    asked = every.get((look.layer or "", -1 if look.unit is None else look.unit))
    return asked or (entries[0] if entries else None)


def to_csv(entries: Sequence[UnitEntry], facts: UnitFacts | None) -> str:
    """Units with all digits, one a row."""
    pasted = shortcuts_of(facts)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV)
    for one in entries:
        row = one.best
        names = pasted.get(one.unit, ()) if facts and facts.layer == one.layer else ()
        label, joint = (one.labels[0] if one.labels else ""), ";".join(one.labels[1:])
        figures = (
            row.iou, row.ci_low, row.ci_high, row.null_high, row.null_p, one.family_p, one.positives_p, row.ceiling,
            row.precision, row.threshold, row.area,
        )  # fmt: skip
        writer.writerow([one.layer, one.unit, label, joint, row.concept, *figures, ";".join(names)])
    return out.getvalue()
