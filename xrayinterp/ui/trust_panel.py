"""The trust strip beside the map: five lamps, each lit as soon as it is measured, none in the way of a click."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from ..evaluation.lamps import LAMPS, UNDER_THE_STRIP, Lamp, LampWorth, Reading
from ..explanation import Explanation
from ..report.trust_words import common_reason, cut_offs, judge_line, reference_line, share, state_line
from ..report.words import method as method_words
from . import beside, page, services
from .beside import asked_of
from .measuring import Measurement
from .state import Case
from .watching import watched


def trust_panel(case: Case, explanation: Explanation) -> None:
    """Lamps of the map on screen, with what they mean one click away and a line that is always there."""
    method = explanation.maps[0].method
    work = beside.trusted(asked_of(explanation), method)
    if services.is_trusted_unasked(method) and not work.declined and work.state in ("waiting", "stopped"):
        beside.begin(work)
    with st.container(key="trust"):
        with st.container(horizontal=True, vertical_alignment="center", key="trust-head"):
            page.heading("How far this map can be trusted, measured on this film")
            with st.popover("What the lamps mean"):
                _definitions(services.standing_of(case.model).worth)
        watched(work, lambda: _strip(work, method), key="trust-strip", whole=False)
        page.line(UNDER_THE_STRIP)


ROOM = "Spearman's rho 0.00 with maps of other films, as by chance; measured over as many of these films as there are."
"""As long as what a lamp says: keeps its place free while it is measured, so that nothing below moves under a hand."""


def _strip(work: Measurement[Reading], method: str) -> None:
    readings = work.results
    reason = common_reason(readings) if len(readings) == len(LAMPS) else None
    known = {reading.lamp: reading for reading in readings}
    cards = "".join(_card(lamp, known.get(lamp.name), work.state, brief=reason is not None) for lamp in LAMPS.values())
    done = f"{len(readings)} of {len(LAMPS)} lamps measured." if work.state == "running" else "Lamps measured."
    st.html(f'<p class="xi-status" role="status">{escape(done)}</p>')
    st.html(
        f'<ul class="xi-lamps" aria-label="Trust strip" aria-busy="{str(work.state == "running").lower()}">{cards}</ul>'
    )
    if reason is not None:
        page.line(reason)
    if work.error is not None:
        page.problem(work.error)
    _controls(work, method)


def _controls(work: Measurement[Reading], method: str) -> None:
    if work.state == "running":
        with st.container(horizontal=True, vertical_alignment="center"):
            page.line(f"Measuring lamp {len(work.results) + 1} of {len(LAMPS)}; the page can be used meanwhile.")
            st.button("Stop measuring", key="trust-stop", on_click=work.decline)
    elif work.state == "done":
        with st.container(key="trust-done"):  # as high as the row with the button, for the same reason as `ROOM`
            page.line(f"Measured on this film: about {services.cost_of_trust(method):.0f} runs of the model.")
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            cost = (
                ""
                if services.is_trusted_unasked(method)
                else f" It takes about {services.cost_of_trust(method):.0f} runs."
            )
            page.line(f"{method_words(method)} was not measured on this film.{cost}")
            if st.button("Measure", key="trust-start"):
                beside.begin(work)
                st.rerun()


def _card(lamp: Lamp, reading: Reading | None, work: str, *, brief: bool) -> str:
    state = None if reading is None else reading.state
    waiting = "Measuring" if work == "running" else "Not measured"
    said = waiting if reading is None else state_line(reading)
    rest = f'<p class="xi-lamp-room" aria-hidden="true">{ROOM}</p>' if reading is None and work == "running" else ""
    if reading is not None and not brief:
        rest = f"{_bar(lamp, reading)}<p class='xi-lamp-words'>{escape(reading.words)}</p>"
    return (
        f'<li class="xi-lamp xi-lamp-{state or "waiting"}"><p class="xi-lamp-title">{escape(lamp.title)}</p>'
        f'<p class="xi-lamp-state">{escape(said)}</p>{rest}</li>'
    )


def lamp_card(reading: Reading) -> str:
    """One lamp that has been read, as HTML."""
    return _card(LAMPS[reading.lamp], reading, "done", brief=False)


def _bar(lamp: Lamp, reading: Reading) -> str:
    """The value from 0 to 1, the stretch where the lamp is good, and a tick at the reference."""
    if reading.value is None:
        return ""
    left, width = (lamp.good, 1 - lamp.good) if lamp.direction == "higher" else (0.0, lamp.good)
    marks = [_mark("band", left, width), _mark("value", 0.0, share(reading.value))]
    if reading.reference is not None:
        marks.append(_mark("tick", share(reading.reference)))
    reference = reference_line(reading)
    note = f'<p class="xi-lamp-reference">{escape(reference)}</p>' if reference else ""
    return f'<div class="xi-lamp-bar" aria-hidden="true">{"".join(marks)}</div>{note}'


def _mark(kind: str, left: float, width: float | None = None) -> str:
    wide = "" if width is None else f";width:{100 * width:.1f}%"
    return f'<i class="{kind}" style="left:{100 * left:.1f}%{wide}"></i>'


def _definitions(worth: Sequence[LampWorth]) -> None:
    page.line("Bars run from 0 to 1; the paler stretch is where the lamp is good, the white tick the reference.")
    page.facts(
        [
            (lamp.title, " ".join(filter(None, (lamp.question, lamp.measure, cut_offs(lamp), judge_line(lamp, worth)))))
            for lamp in LAMPS.values()
        ]
    )
