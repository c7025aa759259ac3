"""Does the map change with the finding? Two findings of one film, and what lies between their maps."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from ..evaluation.lamps import LAMPS
from ..evaluation.similarity import BY_MAGNITUDE, similarity
from ..explanation import Explanation, SaliencyMap
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..report.words import method as method_words
from ..report.words import plain, readable, structure_only
from . import page, services
from .grid import SCALES, Cell, Film, Scale, grid_message
from .methods_panel import method_of
from .shell import finding_picker
from .state import Case
from .viewer_component import film_grid

_SCALES: tuple[Scale, ...] = ("common", "own", "rank")


def findings_view(case: Case, radiograph: Radiograph, explanation: Explanation) -> None:
    """Both maps on one scale, their difference, and how alike they are in words."""
    findings = tuple(p.finding for p in explanation.predictions)
    columns = st.columns([1, 1, 1, 1], vertical_alignment="bottom")
    with columns[0]:
        finding_picker(case, findings, explanation.finding)
    with columns[1]:
        other = _other(case, explanation, findings)
    with columns[2]:
        method = quick_method(case)
    with columns[3]:
        scale: Scale = st.selectbox("Colour", _SCALES, key="findings-scale", format_func=SCALES.__getitem__)
    maps = page.told(
        services.attempt(
            lambda: [
                services.mapped(radiograph, case.model or "", name, method, case.fit)
                for name in (explanation.finding, other)
            ]
        )
    )
    if maps is None:
        return
    first, second = maps
    _words(case, method, explanation.finding, other, first, second)
    logits = {p.finding: p.logit for p in explanation.predictions}
    names = readable(explanation.finding), readable(other)
    cells = [
        Cell(names[0], first, f"logit {plain(logits[explanation.finding])}"),
        Cell(names[1], second, f"logit {plain(logits[other])}"),
        Cell(
            f"{names[0]} minus {names[1].lower()}",
            _difference(first, second),
            "difference, cell by cell",
            ends=("more for the second", "more for the first"),
        ),
    ]
    film = Film(radiograph, frame(*radiograph.shape, case.fit))
    film_grid(grid_message([film], cells, how=scale, columns=3), key="findings-grid")


def quick_method(case: Case) -> str:
    """A picker of the methods that need no waiting; the map of the page Read first, where it is one of them."""
    quick = [name for name in services.methods() if not services.is_slow(name)]
    chosen = method_of(case) if method_of(case) in quick else services.standing_of(case.model).default
    key = f"quick-method-{case.model}-{chosen}"

    def choose() -> None:
        case.method = st.session_state[key]

    picked: str = st.selectbox(
        "Method", quick, index=quick.index(chosen), key=key, format_func=method_words, on_change=choose
    )
    return picked


def _other(case: Case, explanation: Explanation, findings: tuple[str, ...]) -> str:
    rest = [name for name in findings if name != explanation.finding]
    by_logit = {p.finding: p.logit for p in explanation.predictions}
    first = case.against if case.against in rest else max(rest, key=by_logit.__getitem__)
    key = f"against-{case.model}-{case.sha256}-{explanation.finding}"
    picked: str = st.selectbox("Beside it", rest, index=rest.index(first), key=key, format_func=readable)
    case.against = picked
    return picked


def _difference(first: SaliencyMap, second: SaliencyMap) -> SaliencyMap:
    return replace(first, values=first.values - second.values, signed=True)


def _words(case: Case, method: str, finding: str, other: str, first: SaliencyMap, second: SaliencyMap) -> None:
    """How alike the two maps are, and whether that is to be expected of the method."""
    found = similarity(first.values, second.values)
    alike = found.spearman_abs if method in BY_MAGNITUDE else found.spearman
    page.line(f"{change_in_words(alike)}: {readable(finding)} and {readable(other).lower()}.", "strong")
    faults = services.standing_of(case.model).fails.get(method)
    if faults:
        page.line(f"{method_words(method)}. {structure_only(faults)}", "caution")
    page.line(
        "A map that follows the finding changes with it, unless both findings lie in the same place. "
        "A method whose maps never change shows what is on the film, not what speaks for the finding."
    )


def change_in_words(alike: float | None) -> str:
    """Whether a map changes between two findings, by the cut-offs of the lamp that asks this of all findings."""
    if alike is None:
        return "Not measurable, one map is the same everywhere"
    said = {"good": "The map changes", "doubtful": "The map changes somewhat", "bad": "The map hardly changes"}
    return f"{said[LAMPS['follows-finding'].state(alike)]} (rank correlation {plain(alike)})"
