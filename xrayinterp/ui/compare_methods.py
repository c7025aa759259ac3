"""One film and one finding through several methods, on one scale, zoomed together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from ..evaluation.lamps import Reading
from ..explanation import Explanation, SaliencyMap
from ..imaging.geometry import frame
from ..imaging.radiograph import Radiograph
from ..report.trust_words import common_reason, state_line
from ..report.words import STRUCTURE, grid, strongest
from ..report.words import method as method_words
from . import beside, page, services
from .beside import asked_of
from .grid import SCALES, Cell, Film, Scale, grid_message
from .measuring import Measurement
from .methods_panel import method_of
from .shell import finding_picker
from .state import Case
from .viewer_component import film_grid
from .watching import in_turn

COMPANIONS = ("gradient", "fullgrad", "guided_backprop", "edges")
"""Methods shown at first beside the model's own three: one of each kind, and one that cannot know the finding."""
_SCALES: tuple[Scale, ...] = ("rank", "own")


def methods_view(case: Case, radiograph: Radiograph, explanation: Explanation) -> None:
    """The grid, what is chosen for it, and the same as a table."""
    chosen, scale, ranking = _controls(case, explanation)
    asked = asked_of(explanation)
    slow = {m: beside.explaining(asked, m) for m in chosen if services.is_slow(m)}
    quick = [method for method in chosen if method not in slow]
    judging = beside.faithful(asked, quick) if ranking and quick else None
    _beside(slow, judging)
    maps = {}
    with st.spinner("Making the maps"):
        for name in quick:
            made = services.attempt(partial(services.mapped, radiograph, asked.model, asked.finding, name, case.fit))
            if (saliency := page.told(made)) is not None:
                maps[name] = saliency
    maps |= {method: work.results[0].maps[0] for method, work in slow.items() if work.results}
    readings = dict(zip(quick, judging.results, strict=True)) if judging and judging.state == "done" else {}
    if ranking:
        _unranked(readings, slow)
    order = sorted((method for method in chosen if method in maps), key=lambda method: -_value(readings.get(method)))
    if not order:
        page.line("Choose methods above.")
        return
    cells = [_cell(case, method, maps[method], readings.get(method)) for method in order]
    film = Film(radiograph, frame(*radiograph.shape, case.fit))
    film_grid(grid_message([film], cells, how=scale, columns=min(4, max(3, len(cells)))), key="methods-grid")
    with st.expander("Maps as a table"):
        page.table(
            ("Method", "Map", "Where it is strongest", "Standing"),
            [(cell.title, cell.note, strongest(maps[m]), cell.caution) for m, cell in zip(order, cells, strict=True)],
            "Maps of this film and finding by method",
        )


def _controls(case: Case, explanation: Explanation) -> tuple[list[str], Scale, bool]:
    everything = services.methods()
    known = services.standing_of(case.model)
    first = dict.fromkeys((known.default, *known.further, *COMPANIONS))
    chosen = case.compared if case.compared is not None else tuple(name for name in first if name in everything)
    left, middle, right, last = st.columns([1, 2.4, 1, 0.9], vertical_alignment="bottom")
    with left:
        finding_picker(case, tuple(p.finding for p in explanation.predictions), explanation.finding)
    with middle:
        picked: list[str] = st.multiselect(
            "Methods", everything, default=chosen, key="compared", format_func=_listed, placeholder="Add a method"
        )
        if tuple(picked) != chosen:
            case.compared = tuple(picked)
    with right:
        scale: Scale = st.selectbox(
            "Colour", _SCALES, key="methods-scale", format_func=SCALES.__getitem__,
            help="Methods have units of their own. By rank, the same colour is the same rank of a cell within its map.",
        )  # fmt: skip
    with last:
        ranking: bool = st.toggle(
            "Sort by faithfulness", value=True, key="methods-ranking",
            help="Measures, on this film, how much the score depends on what each map marks, and puts the best first.",
        )  # fmt: skip
    return picked, scale, ranking


def _listed(method: str) -> str:
    return f"{method_words(method)} (slow)" if services.is_slow(method) else method_words(method)


def _cell(case: Case, method: str, saliency: SaliencyMap, reading: Reading | None) -> Cell:
    notes = [grid(saliency)]
    if reading is not None:
        notes.append(f"faithful: {state_line(reading).lower()}")
    return Cell(
        title=method_words(method),
        saliency=saliency,
        note=" · ".join(notes),
        caution=STRUCTURE if method in services.standing_of(case.model).fails else "",
        marked=method == method_of(case),
    )


def _unranked(readings: Mapping[str, Reading], slow: Mapping[str, Any]) -> None:
    """Why maps are not sorted by what was measured."""
    reason = common_reason(tuple(readings.values())) if readings else None
    if reason is not None:
        page.line(f"In the order chosen. {reason}")
    elif slow:
        page.line("Maps that take long are not measured here: they come last.")


def _value(reading: Reading | None) -> float:
    """What maps are sorted by; what was not measured comes last, in the order chosen."""
    return -1.0 if reading is None or reading.value is None else reading.value


def _beside(slow: Mapping[str, Measurement[Explanation]], judging: Measurement[Reading] | None) -> None:
    """What takes long: slow maps, then the lamp that the others are sorted by."""
    queue: list[tuple[str, Measurement[Any]]] = [(f"map by {method_words(m)}", work) for m, work in slow.items()]
    if judging is not None:
        queue.append(("faithfulness of the maps", judging))
    in_turn(queue)
