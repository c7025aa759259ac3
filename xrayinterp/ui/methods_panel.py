"""Which map is drawn: the model's default and two more at hand, every other method folded under "Research maps"."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from ..evaluation.standing import Standing
from ..report.words import STRUCTURE, family, structure_only
from ..report.words import method as method_words
from . import page, services
from .state import Case

COLUMNS = 4


def method_of(case: Case) -> str:
    """The method whose map is drawn: the reader's choice, else the model's default."""
    return case.method or services.standing_of(case.model).default


def method_chooser(case: Case) -> None:
    """Three maps at hand, and what was measured of them; research maps are folded below."""
    known, chosen = services.standing_of(case.model), method_of(case)
    at_hand = (known.default, *known.further)
    drawn = None if case.unusual or chosen not in at_hand else chosen
    key = f"method-{case.model}-{chosen}-{case.unusual}"  # a new key forgets a choice made elsewhere

    def choose() -> None:
        case.draw(st.session_state[key])

    st.segmented_control(
        "Map method", at_hand, default=drawn, key=key, on_change=choose,
        format_func=method_words, required=True, label_visibility="collapsed",
    )  # fmt: skip


def research_maps(case: Case) -> None:
    """Every other method by family; those that ignore the finding or the weights say so under their name."""
    known, chosen = services.standing_of(case.model), method_of(case)
    others = [name for name in services.methods() if name not in (known.default, *known.further)]
    which = f" · {method_words(chosen)} is chosen" if chosen in others else ""
    with st.expander(f"Research maps ({len(others)}){which}"):
        page.line(f"For research, not for reading. {known.described}")
        families = groupby(sorted(others, key=services.family_of), key=services.family_of)
        groups = [(name, list(members)) for name, members in families]
        for column, shelf in zip(st.columns(COLUMNS, gap="medium"), _shelves(groups), strict=True):
            with column:
                for name, members in shelf:
                    _family(case, known, name, members)


def standing_caution(case: Case) -> str | None:
    """What must be said where the chosen method was measured to ignore the finding or the weights."""
    method = method_of(case)
    faults = services.standing_of(case.model).fails.get(method)
    return f"{method_words(method)}. {structure_only(faults)}" if faults else None


def _family(case: Case, known: Standing, name: str, members: Sequence[str]) -> None:
    chosen = method_of(case)
    drawn = None if case.unusual or chosen not in members else members.index(chosen)
    key = f"research-{name}-{case.model}-{chosen}-{case.unusual}"

    def choose() -> None:
        case.draw(st.session_state[key])

    st.radio(
        family(name), members, index=drawn, key=key, on_change=choose,
        format_func=method_words, captions=[_caption(known, member) for member in members],
    )  # fmt: skip


def _caption(known: Standing, method: str) -> str:
    slow = f"Slow: about {services.cost_of(method):.0f} runs of the model" if services.is_slow(method) else ""
    return " · ".join(part for part in (STRUCTURE if method in known.fails else "", slow) if part)


def _shelves(groups: Sequence[tuple[str, list[str]]]) -> list[list[tuple[str, list[str]]]]:
    """Families over `COLUMNS` columns, the longest first onto the shortest column."""
    shelves: list[list[tuple[str, list[str]]]] = [[] for _ in range(COLUMNS)]
    for group in sorted(groups, key=lambda group: -len(group[1])):
        min(shelves, key=lambda shelf: sum(len(members) + 1 for _, members in shelf)).append(group)
    return shelves
