"""Two films of one patient: how each logit changed, and which concepts it changed by."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ..errors import XrayInterpError
from ..explanation import Explanation
from ..imaging.geometry import Fit, frame
from ..imaging.radiograph import Radiograph
from ..report.charts import change_bars, reach, share_label
from ..report.normality_words import NOT_A_CHEST
from ..report.words import plain, readable, short_view, signed, small
from ..semantics import Change, change
from . import page, services
from .charts import chart
from .compare_findings import quick_method
from .figures import changes_figure, shares_figure
from .gate_panel import is_held_back
from .grid import SCALES, Cell, Film, Scale, grid_message
from .shell import finding_picker
from .state import Case
from .viewer_component import film_grid

UNITS = 8
"""Units listed, by how much they changed."""
_SCALES: tuple[Scale, ...] = ("common", "own", "rank")


def films_view(case: Case, radiograph: Radiograph, explanation: Explanation) -> None:
    """An earlier and a later film, and the change between them."""
    if len(case.films) < 2:
        page.line("Open a second film of this patient with “Open films” above; it is compared with the one on screen.")
        return
    columns = st.columns([1, 1, 0.8, 0.8, 0.9], vertical_alignment="bottom")
    with columns[0]:
        before = _film(case, "Earlier film", "before", radiograph, at_first=1)
    with columns[1]:
        after = _film(case, "Later film", "after", radiograph, at_first=0)
    with columns[2]:
        finding_picker(case, tuple(p.finding for p in explanation.predictions), explanation.finding)
    with columns[3]:
        method = quick_method(case)
    with columns[4]:
        scale: Scale = st.selectbox("Colour", _SCALES, key="films-scale", format_func=SCALES.__getitem__)
    if before.sha256 == after.sha256:
        page.line("Choose two different films.", "caution")
        return
    if any(is_held_back(case, film) for film in (before, after)):
        page.line(f"One of these films waits. {NOT_A_CHEST}: bring it on screen and choose “Show anyway”.", "caution")
        return
    page.cautions(reservations(before, after, case.fit))
    changes = services.attempt(lambda: _changes(case, before, after))
    if isinstance(changes, XrayInterpError):
        page.problem(changes)
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _pictures(case, before, after, explanation.finding, method, scale)
    with right:
        _figures(case, changes, explanation.finding)


def reservations(before: Radiograph, after: Radiograph, fit: Fit) -> list[str]:
    """What besides the patient may have changed between two films."""
    said = ["Names are not kept: whether both films are of one patient, only you can tell."]
    if before.view != after.view:
        said.append(
            f"The views differ (earlier: {short_view(before)}; later: {short_view(after)}): heart size and mediastinum "
            "change with the view alone."
        )
    elif before.view == "unknown":
        said.append("The view of neither film is known: a change from PA to AP alone changes the heart's size.")
    if before.recipe != after.recipe:
        said.append(f"The films were read by different recipes ({before.recipe}; {after.recipe}).")
    if before.source.kind != after.source.kind:
        kinds = f"{before.source.kind.upper()}, {after.source.kind.upper()}"
        said.append(f"The files are of different kinds ({kinds}): their grey values may not mean the same.")
    shapes = [film.shape[0] / film.shape[1] for film in (before, after)]
    if fit == "crop" and abs(shapes[0] - shapes[1]) > 0.1:
        said.append("The films have different proportions: the model saw a different share of each.")
    return said


def _film(case: Case, label: str, name: str, radiograph: Radiograph, *, at_first: int) -> Radiograph:
    """One of the session's films, with its view as the reader confirmed it."""
    films = {film.sha256 or "": film for film in case.films}
    order = [radiograph.sha256, *(sha256 for sha256 in films if sha256 != radiograph.sha256)]
    picked: str = st.selectbox(
        label, order, index=at_first, key=f"{name}-{radiograph.sha256}-{len(films)}",
        format_func=lambda sha256: films[sha256].file,
    )  # fmt: skip
    found = case.seen(picked)
    return radiograph if found is None else found


def _changes(case: Case, before: Radiograph, after: Radiograph) -> list[Change]:
    pairs = (services.splits(film, case.model or "", case.fit) for film in (before, after))
    return [change(first, second) for first, second in zip(*pairs, strict=True)]


def _pictures(case: Case, before: Radiograph, after: Radiograph, finding: str, method: str, scale: Scale) -> None:
    films = [Film(film, frame(*film.shape, case.fit)) for film in (before, after)]
    maps = page.told(
        services.attempt(
            lambda: [services.mapped(film.radiograph, case.model or "", finding, method, case.fit) for film in films]
        )
    )
    if maps is None:
        return
    titles = f"Earlier · {readable(finding)}", f"Later · {readable(finding)}"
    cells = [
        Cell(title, saliency, film=number, note=short_view(films[number].radiograph))
        for number, (title, saliency) in enumerate(zip(titles, maps, strict=True))
    ]
    film_grid(grid_message(films, cells, how=scale, columns=2), key="films-grid")


def _figures(case: Case, changes: Sequence[Change], finding: str) -> None:
    ranked = sorted(changes, key=lambda part: abs(part.total), reverse=True)
    with st.container(border=True, key="changes"):
        page.heading("Change of each logit")
        rows = [(part.finding, part.total) for part in ranked]
        words = ", ".join(f"{readable(name)} {signed(value)}" for name, value in rows)
        chart(
            changes_figure(rows, finding), key=f"changes-{case.picks}",
            alt=f"Bar chart of the change of each logit from the earlier to the later film: {words}.",
            on_pick=case.choose,
        )  # fmt: skip
    with st.container(border=True, key="change-split"):
        _split(next(part for part in changes if part.finding == finding))
    with st.expander("Every change, split over concepts, as a table"):
        _table(ranked)


def _split(part: Change) -> None:
    bars = change_bars(part)
    page.heading(f"What changed in {readable(part.finding).lower()}")
    page.line("Later minus earlier · solid: where units fire · hatched: elsewhere")
    words = ", ".join(f"{share_label(bar)} {signed(bar.value)}" for bar in bars)
    chart(
        shares_figure(bars, None, reach(bars)), key=f"split-{part.finding}",
        alt=f"Bar chart of the concepts the change is made of: {words}.",
    )  # fmt: skip
    text = f"logit {plain(part.before)} to {plain(part.after)}; parts sum to it within {small(part.residual)}"
    page.total("Rose by" if part.total >= 0 else "Fell by", text, part.total)
    units = [(unit, concept.concept, value) for concept in part.concepts for unit, value in concept.units]
    units.sort(key=lambda entry: abs(entry[2]), reverse=True)
    if units:
        with st.expander(f"Units that changed most ({min(UNITS, len(units))})"):
            page.units([(f"Unit {u} · {readable(c).lower()}-like", value) for u, c, value in units[:UNITS]])


def _table(changes: Sequence[Change]) -> None:
    concepts = sorted({part.concept for change_ in changes for part in change_.concepts})
    rows = []
    for change_ in changes:
        by_concept = {part.concept: part.change for part in change_.concepts}
        cells = [*(by_concept.get(name, 0.0) for name in concepts), change_.unlabelled, change_.total]
        rows.append((readable(change_.finding), *(signed(value) for value in cells)))
    columns = ("Finding", *(f"{readable(name)}-like" for name in concepts), "No concept", "Change of the logit")
    page.table(columns, rows, "Change of each logit split over concepts; a row's parts sum to its last column")
