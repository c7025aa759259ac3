"""The films a unit answers most strongly, cut out around where it fires; the films are read only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from ..dissection.unit_index import UnitEntry
from ..errors import Code, XrayInterpError
from . import atlas_services, beside, page, services
from .atlas_shelf import Shown
from .figures_exemplars import exemplar_picture
from .state import Case
from .watching import in_turn, stop_button, watched

if TYPE_CHECKING:
    from ..dissection.exemplars import Exemplar
    from .exemplar_work import FilmsRead
    from .measuring import Measurement


def exemplars_panel(case: Case, shown: Shown, entry: UnitEntry) -> None:
    """Pictures where the films and the model are at hand, else names, else why there are none."""
    page.heading("Where it fires most", 3)
    missing = _missing(shown)
    if missing:
        if entry.best.exemplars:
            page.line(f"Strongest films: {', '.join(entry.best.exemplars)}.")
        page.line(missing)
        return
    names = entry.best.exemplars or _read(case, shown, entry)
    if names:
        _pictures(shown, entry, names)


def _missing(shown: Shown) -> str:
    """Why no picture can be made; empty where it can."""
    if shown.owner is None:
        return "The model is not here, so where the unit fires cannot be drawn."
    if not services.describe(shown.owner).available:
        return f"The weights of {shown.owner} are not here, so where the unit fires cannot be drawn."
    probes = services.attempt(lambda: atlas_services.probed(shown.atlas))
    if not isinstance(probes, XrayInterpError):
        return "" if probes.films else "The films of this probe set are not on this machine."
    if probes.code is Code.DATA_MISSING:
        return f"No pictures: the films of {shown.atlas.probe} are not on this machine. {probes.hint}"
    return str(probes)


def _read(case: Case, shown: Shown, entry: UnitEntry) -> Sequence[str]:
    """The strongest films, found by one reading of all of them, which is asked for with a button."""
    count = len(atlas_services.probed(shown.atlas).films)
    key = f"{shown.key}/{entry.layer}"
    if key not in case.look.readings:
        page.line(f"The atlas names no films. Finding the strongest takes one reading of {count} films for all units.")
        st.button("Find the strongest films", key="find-films", on_click=case.look.readings.add, args=(key,))
        return ()
    work = beside.films_of_units(shown.owner or "", shown.atlas, entry.layer)
    if work.state == "done":
        found = work.results[-1].strongest
        return found[entry.unit] if entry.unit < len(found) else ()
    if work.error is not None:
        page.problem(work.error)
        return ()
    if work.declined:
        page.line("Stopped before all films were read.")
        st.button("Continue", key="continue-films", on_click=work.allow)
        return ()
    beside.begin(work)
    watched(work, lambda: _progress(work, count), key="films-read", every=2.0)
    return ()


def _progress(work: Measurement[FilmsRead], count: int) -> None:
    done = work.results[-1].done if work.results else 0
    st.progress(done / max(count, 1), f"Read {done} of {count} films. The page can be used meanwhile.")
    stop_button(work, key="stop-films")


def _pictures(shown: Shown, entry: UnitEntry, names: Sequence[str]) -> None:
    work = beside.regions_of_unit(shown.owner or "", shown.atlas, entry.layer, entry.unit, names)
    if work.state != "done":
        in_turn([("where this unit fires", work)])
        return
    drawn = [one for one in work.results if one.crop is not None]
    if not drawn:
        page.line(f"Strongest films: {', '.join(names)}. None of them is on this machine.")
        return
    with st.container(horizontal=True, key="exemplars"):
        for one in drawn:
            picture = exemplar_picture(one)
            st.image(picture, width=picture.shape[1], caption=one.film, alt=_alt(one, entry))
    page.line("The films of highest mean response, cut out around the largest region where the unit fires (outlined).")
    if shown.atlas.provenance.get("out_of_fold"):
        page.line(
            "The atlas was made with models of which each had not seen the film; these pictures are of the final model."
        )


def _alt(one: Exemplar, entry: UnitEntry) -> str:
    if not one.contours:
        return f"Film {one.film} in whole: unit {entry.unit} fires nowhere on it."
    return f"Part of film {one.film} around where unit {entry.unit} fires, its region outlined."
