"""The bar above the film: which film, which model, and what the reader says of view and side."""

from __future__ import annotations

import streamlit as st

from ..batch import Film
from ..imaging.geometry import Fit
from ..imaging.radiograph import Radiograph, View
from ..models.registry import DEFAULT_MODEL, ModelEntry
from ..report.words import short_view
from . import page, services
from .gate_panel import is_held_back
from .opening import open_films, verdicts
from .state import SIDES, Case, Side

VIEWS: dict[View, str] = {"PA": "PA", "AP": "AP", "unknown": "Not known"}
FITS: dict[Fit, str] = {"crop": "Centre square", "pad": "Whole film, padded"}


def toolbar(case: Case) -> None:
    """Model, film, view and side, and the door to more films."""
    with st.container(horizontal=True, vertical_alignment="center", key="toolbar"):
        model_picker(case)
        _film(case)
        with st.popover("View and side"):
            _view(case)
        with st.popover("Open films"):
            open_films(case)
            verdicts(case)
    radiograph = case.radiograph
    if radiograph is not None and radiograph.view_from == "missing" and not is_held_back(case, radiograph):
        _ask(case)


def model_picker(case: Case) -> None:
    """Choose among all models; one without weights is offered and says so."""
    entries = {entry.name: entry for entry in services.models()}
    if case.model not in entries:
        case.model = DEFAULT_MODEL if DEFAULT_MODEL in entries else next(iter(entries))

    def choose() -> None:
        case.model = st.session_state["model"]
        case.finding = case.concept = None
        case.picks += 1

    st.selectbox(
        "Model", list(entries), index=list(entries).index(case.model), key="model", on_change=choose,
        format_func=lambda name: _model_words(entries[name]), label_visibility="collapsed",
    )  # fmt: skip


def _model_words(entry: ModelEntry) -> str:
    missing = "" if entry.available else " (weights not here)"
    return f"Model: {entry.name} · {entry.card.title}{missing}"


def _film(case: Case) -> None:
    films = {film.sha256 or "": film for film in case.films}
    key = f"film-{case.sha256}-{len(films)}-{case.note.view}"  # a new key shows the view just confirmed
    st.selectbox(
        "Film", list(films), index=list(films).index(case.sha256 or ""), key=key,
        on_change=lambda: case.show(st.session_state[key]),
        format_func=lambda sha256: _film_words(films[sha256], case), label_visibility="collapsed",
    )  # fmt: skip


def _film_words(film: Film, case: Case) -> str:
    radiograph = case.seen(film.sha256)
    return film.file if radiograph is None else f"{film.file} · {short_view(radiograph)}"


def _view(case: Case) -> None:
    radiograph: Radiograph | None = case.radiograph
    if radiograph is None:
        return
    keys = {name: f"{name}-{case.sha256}" for name in ("view", "side", "fit")}
    st.radio(
        "View of this film", list(VIEWS), index=list(VIEWS).index(radiograph.view), key=keys["view"], horizontal=True,
        format_func=VIEWS.__getitem__, on_change=lambda: case.say(view=st.session_state[keys["view"]]),
    )  # fmt: skip
    sides: list[Side] = list(SIDES)
    st.radio(
        "Sides", sides, index=sides.index(case.note.side), key=keys["side"], format_func=SIDES.__getitem__,
        on_change=lambda: case.say(side=st.session_state[keys["side"]]),
    )  # fmt: skip
    fits: list[Fit] = list(FITS)

    def refit() -> None:
        case.fit = st.session_state[keys["fit"]]

    st.radio(
        "What the model sees", fits, index=fits.index(case.fit), key=keys["fit"], format_func=FITS.__getitem__,
        on_change=refit, horizontal=True,
    )  # fmt: skip


def _ask(case: Case) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="ask-view"):
        page.line("The file does not say how this film was taken. Is it PA or AP?", "caution", narrow=True)
        for view in ("PA", "AP", "unknown"):
            st.button(
                VIEWS[view], key=f"ask-{view}-{case.sha256}", on_click=case.say, kwargs={"view": view},
            )  # fmt: skip
