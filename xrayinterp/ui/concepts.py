"""The page Concepts: what a model's units answer to, unit by unit, and beside another model."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ..errors import XrayInterpError
from ..report.atlas_words import IOU_EXPLAINED
from . import page, services
from .atlas_files import about_file, atlas_uploader, refused
from .atlas_shelf import WIDTH, Row, Shown, kept_of, on_shelf
from .concepts_beside import beside_view
from .concepts_inventory import inventory_view
from .concepts_units import units_view
from .state import Case, Look

VIEWS = {"inventory": "Inventory", "units": "Units", "beside": "Two models"}
_DRAW: dict[str, Callable[[Case, Shown, Row], None]] = {
    "inventory": inventory_view,
    "units": units_view,
    "beside": beside_view,
}


def concepts(case: Case) -> None:
    """What is looked at is chosen at the top; the model is that of the page Read."""
    if case.look.model != case.model:
        case.look = Look(model=case.model, view=case.look.view, moves=case.look.moves + 1)
    _arrive(case)
    with st.container(key="concepts"):
        with st.container(horizontal=True, vertical_alignment="center", key="concepts-head"):
            page.heading("Concepts", 1)
            _view(case.look)
            with st.popover("What the figures mean"):
                page.paragraphs(IOU_EXPLAINED)
            with st.popover("Open an atlas file"):
                atlas_uploader(case)
        refused(case)
        shelf = page.told(services.attempt(lambda: on_shelf(case)))
        if not shelf:
            if shelf is not None:
                _none(case)
            return
        row = st.container(horizontal=True, vertical_alignment="bottom", key="concepts-choice")
        with row:
            shown = _atlas(case, shelf)
        about_file(case, shown)
        _DRAW[case.look.view](case, shown, row)


def _arrive(case: Case) -> None:
    """Take up what a link asked for: a unit of the model on screen, by layer and number."""
    asked = st.query_params.to_dict()
    unit = asked.get("unit", "")
    if not unit.isdecimal():
        return
    st.query_params.clear()
    kept = services.attempt(lambda: kept_of(case.model or ""))  # a file that is none is told of where it is shown
    own = [] if isinstance(kept, XrayInterpError) else kept
    key = next((one.key for one in own if one.atlas.probe == asked.get("probe")), case.look.atlas)
    case.look.go(view="units", layer=asked.get("layer"), unit=int(unit), atlas=key)


def _view(look: Look) -> None:
    key = f"concepts-view-{look.moves}"

    def choose() -> None:
        look.view = st.session_state[key] or look.view

    st.segmented_control(
        "What to show", list(VIEWS), default=look.view, key=key, format_func=VIEWS.__getitem__, required=True,
        label_visibility="collapsed", on_change=choose,
    )  # fmt: skip


def _none(case: Case) -> None:
    page.line("No atlas of this model is here: nobody has looked at which of its units answers to which concept.")
    page.line(f"Make one with `xrayinterp dissect --model {case.model}`, or open an atlas file above.")


def _atlas(case: Case, shelf: dict[str, Shown]) -> Shown:
    """The atlas on screen, chosen where there are several."""
    look = case.look
    if look.atlas not in shelf:
        look.atlas, look.layer = next(iter(shelf)), None if look.unit is None else look.layer
    key = f"atlas-{look.model}-{len(shelf)}-{look.moves}"

    def choose() -> None:
        look.go(atlas=st.session_state[key], unit=None)

    st.selectbox(
        "Films whose outlines were used", list(shelf), index=list(shelf).index(look.atlas), key=key, on_change=choose,
        format_func=lambda name: shelf[name].title, width=WIDTH,
    )  # fmt: skip
    return shelf[look.atlas]
