"""Work beside the page, on the page: drawn as it comes, stopped on request, drawn in full once it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import streamlit as st

from . import beside, page
from .measuring import Measurement

EVERY = 0.5
"""Seconds between two looks."""


def watched(
    work: Measurement[Any], draw: Callable[[], None], *, key: str, whole: bool = True, every: float = EVERY
) -> None:
    """Call `draw` now and, while `work` runs, every so many seconds; `whole` draws the whole page again once it ended.

    Without `whole` the looks go on until the page is drawn for another reason: a page that draws itself anew takes
    clicks away.
    """
    begun = work.state in ("running", "done")  # quick work is done before it is looked at for the first time

    @st.fragment(run_every=every if work.state == "running" else None, key=key)
    def part() -> None:
        ended = work.state != "running"
        draw()
        if whole and begun and ended:
            st.rerun()

    part()


def stop_button(*works: Measurement[Any], key: str) -> None:
    """A button that ends the first of these works, where it runs, and keeps the others from beginning."""
    if works[0].state == "running":
        st.button("Stop", key=key, on_click=_each, args=(Measurement.decline, works))


def _each(do: Callable[[Measurement[Any]], None], works: Iterable[Measurement[Any]]) -> None:
    for work in works:
        do(work)


def in_turn(queue: Sequence[tuple[str, Measurement[Any]]]) -> None:
    """Work beside the page, one thing after the other: what is under way by name, and what went wrong with any."""
    for error in [work.error for _, work in queue if work.error is not None]:
        page.problem(error)
    declined = {name: work for name, work in queue if work.declined}
    if declined:
        with st.container(horizontal=True, vertical_alignment="center", key="declined"):
            page.line(f"Stopped before it was done: {'; '.join(declined)}.", narrow=True)
            st.button("Continue", key="continue-work", on_click=_each, args=(Measurement.allow, declined.values()))
    waiting = [(name, work) for name, work in queue if work.state != "done" and not work.declined and not work.error]
    if not waiting:
        beside.yield_to(None)
        return
    name, work = waiting[0]
    beside.begin(work)
    rest = f"; {len(waiting) - 1} more to do" if waiting[1:] else ""

    def draw() -> None:
        with st.container(horizontal=True, vertical_alignment="center", key="coming"):
            page.line(f"Under way: {name}{rest}. The page can be used meanwhile.", narrow=True)
            stop_button(*(one for _, one in waiting), key="stop-work")

    watched(work, draw, key="coming-work")
