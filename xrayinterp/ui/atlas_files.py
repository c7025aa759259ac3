"""Atlases from files: opened for the session, shown whosever they are, stored only when asked for."""

from __future__ import annotations

import hashlib

import streamlit as st

from ..errors import XrayInterpError
from . import atlas_services, page, services
from .atlas_shelf import Shown
from .services import Upload
from .state import Case, OpenedAtlas

MOST = 8
"""Atlases from files that a session holds."""


def atlas_uploader(case: Case) -> None:
    """Take one Parquet file; what became of it is told on the page."""
    page.line("A Parquet file as `xrayinterp dissect` writes it. It is looked through, and forgotten with the session.")
    file = st.file_uploader("Atlas file", key=f"atlas-file-{case.uploads}", label_visibility="collapsed")
    if file is not None:
        _take(case, Upload(file.name, file.getvalue()))


def refused(case: Case) -> None:
    """Why the last file was not opened."""
    if case.look.refused is not None:
        name, error = case.look.refused
        page.refusal(name, str(error), error.code)
    elif case.look.said:
        page.line(case.look.said, "strong")


def about_file(case: Case, shown: Shown) -> None:
    """Where an atlas from a file comes from, and what can be done with it."""
    if shown.file is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="atlas-of-file"):
        if shown.owner is None:
            page.line(
                f"Of a model not here: {shown.atlas.model}, weights {(shown.atlas.model_sha256 or 'not told')[:12]}. "
                "It can be looked at; nothing can be said of what the model uses its units for.",
                "caution", narrow=True,
            )  # fmt: skip
        else:
            page.line(f"Made of the weights of {shown.owner}, kept for this session only.", narrow=True)
            st.button(
                f"Keep for {shown.owner}", on_click=_keep, args=(case, shown.file, shown.owner), key="keep-atlas",
                help="Stores it among your atlases, in the place of one of the same probe set; Read then uses it.",
            )  # fmt: skip
        st.button("Close the file", on_click=_close, args=(case, shown.file), key="close-atlas")


def _take(case: Case, file: Upload) -> None:
    """Open a file, or note why not; either way the uploader forgets it."""
    case.uploads += 1
    case.look.said, case.look.refused = "", None
    with st.spinner("Looking through the file"):
        outcome = services.attempt(lambda: atlas_services.receive_atlas(file))
    if isinstance(outcome, XrayInterpError):
        case.look.refused = file.name, outcome
    else:
        key = hashlib.sha256(file.data).hexdigest()
        others = [one for one in case.atlases if one.key != key]
        case.atlases = [*others, OpenedAtlas(key, file.name, outcome)][-MOST:]
        case.look.go(atlas=key, layer=None, unit=None)
    st.rerun()


def _keep(case: Case, opened: OpenedAtlas, model: str) -> None:
    outcome = services.attempt(lambda: atlas_services.keep_atlas(opened.atlas, model))
    if isinstance(outcome, XrayInterpError):
        case.look.refused = opened.file, outcome
        return
    _close(case, opened)
    case.look.said = f"Kept for {model} as {outcome.name}."
    if model == case.model:
        case.look.go(atlas=f"{model}/{opened.atlas.probe}")


def _close(case: Case, opened: OpenedAtlas) -> None:
    case.atlases = [one for one in case.atlases if one.key != opened.key]
    case.look.said, case.look.refused = "", None
    case.look.go(atlas=None, unit=None)
