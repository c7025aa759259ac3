"""Opening films: dropped files, built-in synthetic films, public examples; each file with its verdict."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

import streamlit as st

from ..batch import Film, Row, write_csv
from ..errors import Code, XrayInterpError
from . import page, services
from .services import Upload
from .state import MAX_FILMS, Case


def open_films(case: Case) -> None:
    """The uploader and the examples; what is opened comes on screen at once."""
    files = st.file_uploader(
        "Chest radiographs: DICOM, PNG or JPEG",
        accept_multiple_files=True,
        key=f"upload-{case.uploads}",
        help="Files are read on this machine and kept in memory only for this session.",
    )
    if files:
        _take(case, [Upload(file.name, file.getvalue()) for file in files])
    _examples(case)


def welcome(case: Case) -> None:
    """Nothing is open yet."""
    _, middle, _ = st.columns([1, 3, 1])
    with middle, st.container(key="welcome"):
        page.heading("Open a chest radiograph", 1)
        page.line("It is read on this machine, leaves it nowhere, and is forgotten when the session ends.")
        refusal(case)
        open_films(case)
        verdicts(case)


def verdicts(case: Case) -> None:
    """What became of each file, as a table and as CSV."""
    if not case.opened:
        return
    counts = Counter("refused" if film.radiograph is None else film.verdict for film in case.opened)
    words = " · ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    with st.expander(
        f"Files of this session: {words}", expanded=case.film is None or len(case.opened) > len(case.films)
    ):
        page.table(
            ("File", "Verdict", "Message"),
            [(film.file, film.verdict, film.message or "Read without reservations.") for film in case.opened],
            "Verdict on each file",
        )
        with st.container(horizontal=True):
            st.download_button(
                "Verdicts as CSV", _csv(case.opened), "verdicts.csv", "text/csv", on_click="ignore", key="verdicts-csv"
            )
            st.button("Close all films", on_click=_close, args=(case,), key="close-all")


def _close(case: Case) -> None:
    case.close()
    services.forget()


def refusal(case: Case) -> None:
    """The last file's refusal in full, where no film could be opened."""
    last = case.opened[-1] if case.opened else None
    if last is not None and last.radiograph is None:
        page.refusal(last.file, last.message, last.verdict)


def _take(case: Case, files: Sequence[Upload]) -> None:
    """Read files, keep what is needed of them and forget their bytes with the uploader that holds them."""
    room = MAX_FILMS - len(case.opened)
    films: list[Film] = []
    bar = st.progress(0.0, "Reading")
    for number, file in enumerate(files[:room]):
        bar.progress((number + 1) / len(files), f"Reading {number + 1} of {len(files)}")
        films.append(services.read(file))
    films += [Film(file.name, None, Code.TOO_LARGE, _full()) for file in files[room:]]
    case.add(films)
    case.uploads += 1
    st.rerun()


def _full() -> str:
    return (
        f"Not opened: a session keeps {MAX_FILMS} films. Close films first, or use `xrayinterp predict` for a folder."
    )


def _examples(case: Case) -> None:
    page.line("Or open an example:")
    with st.container(horizontal=True):
        chosen = [title for title in services.example_titles() if st.button(title, key=f"example-{title}")]
        fetch = st.button("Fetch public examples", key="fetch-examples", help="Three public radiographs, about 2 MB.")
    if chosen:
        _take(case, [services.example(chosen[0])])
    if fetch:
        _fetch(case)


def _fetch(case: Case) -> None:
    try:
        with st.spinner("Fetching public examples"):
            films = services.public_examples()
    except XrayInterpError as error:
        page.problem(error)
        return
    _take(case, films)


def _csv(films: Sequence[Film]) -> str:
    out = io.StringIO()
    write_csv((Row(film.file, film.sha256, film.verdict, film.message) for film in films), (), out)
    return out.getvalue()
