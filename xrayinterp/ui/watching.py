"""Work beside the page, on the page: drawn as it comes, stopped on request, drawn in full once it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from . import beside, page
from .measuring import Measurement
from .viewer_component import pulse

EVERY = 0.5
"""Seconds between two looks."""


def watched(work: Measurement[Any], draw: Callable[[], None], *, key: str, whole: bool = True) -> None:
    """Call `draw` now and, while `work` runs, twice a second; `whole` draws the whole page again once it ended."""
    running = work.state == "running"

    @st.fragment(key=key)
    def part() -> None:
        ended = work.state != "running"
        draw()
        if whole and running and ended:
            st.rerun()
        with st.container(key=f"pulse-{key}"):
            pulse(None if ended else EVERY, key=f"beat-{key}")

    part()


def stop_button(work: Measurement[Any], *, key: str) -> None:
    """A button that ends the work, where it runs."""
    if work.state == "running":
        st.button("Stop", key=key, on_click=lambda: work.stop(declined=True))


def in_turn(queue: Sequence[tuple[str, Measurement[Any]]]) -> None:
    """Work beside the page, one thing after the other: what is under way in words, and what went wrong with any."""
    for error in [work.error for _, work in queue if work.error is not None]:
        page.problem(error)
    declined = [words for words, work in queue if work.declined]
    if declined:
        page.line(f"Stopped: {'; '.join(words[:1].lower() + words[1:] for words in declined)}.")
    waiting = [(words, work) for words, work in queue if work.state != "done" and not work.declined and not work.error]
    if not waiting:
        beside.yield_to(None)
        return
    words, work = waiting[0]
    beside.begin(work)
    rest = f"; {len(waiting) - 1} more to do" if waiting[1:] else ""

    def draw() -> None:
        with st.container(horizontal=True, vertical_alignment="center", key="coming"):
            page.line(f"{words}{rest}. The page can be used meanwhile.")
            stop_button(work, key="stop-work")

    watched(work, draw, key="coming-work")
