"""Two models, or two atlases, beside each other: the same concepts, and only the differences that can be told."""

from __future__ import annotations

import streamlit as st

from ..dissection.inventory import LayerInventory
from ..errors import XrayInterpError
from ..report.atlas_words import comparable, differences, layer_title, reservations
from ..report.words import plain, readable
from . import page, services
from .atlas_shelf import WIDTH, Row, Shown, kept_of, layer_picker, on_shelf
from .charts import chart
from .figures_atlas import beside_figure
from .state import Case

HOW = (
    "A difference is told where only one model has units for a concept, some of them beyond chance over all units, or "
    "where the intervals of the best units do not meet. Counts alone are not compared in words: two trainings of one "
    "model differ by some units as well."
)


def beside_view(case: Case, shown: Shown, row: Row) -> None:
    """The atlas on screen and another one, layer by layer."""
    choices = _others(case, shown)
    if not choices:
        page.line("No other atlas is here. Open an atlas file above, or make one with `xrayinterp dissect`.")
        return
    with row:
        other = _pick(case, choices)
        layer = layer_picker(case.look, shown)
    second = next((one for one in other.survey.layers if one.layer == layer.layer), other.survey.layers[-1])
    names = _names(shown, other)
    if said := _cautions(shown, other, layer, second, names):
        page.cautions(said)
    left, right = st.columns([3, 2], gap="medium")
    with left, st.container(border=True, key="atlas-beside"):
        page.heading("Detectors of each concept in both")
        page.legend([("deep", names[0]), ("hatch", names[1]), ("tick", "by IoU alone on other patients' outlines")])
        _figure(layer, second, names, f"{shown.key}-{other.key}")
    with right, st.container(border=True, key="atlas-told"):
        page.heading("What can be told apart")
        told = differences(layer, second, names) if comparable(shown.atlas, other.atlas) else []
        if told:
            page.bullets(told)
        else:
            page.line("Nothing, with these films.")
        page.line(HOW)
    with st.expander("Both as a table"):
        page.table(*_table(layer, second, names))


def _others(case: Case, shown: Shown) -> dict[str, Shown]:
    """Every other atlas: of the same probe set first."""
    every = dict(on_shelf(case))
    for entry in services.models():
        if entry.available and entry.name != case.model:
            kept = services.attempt(lambda name=entry.name: kept_of(name))  # type: ignore[misc]
            every |= {} if isinstance(kept, XrayInterpError) else {one.key: one for one in kept}
    every.pop(shown.key, None)
    return dict(sorted(every.items(), key=lambda item: item[1].atlas.probe != shown.atlas.probe))


def _pick(case: Case, choices: dict[str, Shown]) -> Shown:
    look = case.look
    if look.other not in choices:
        look.other = next(iter(choices))
    key = f"other-{look.atlas}-{len(choices)}-{look.moves}"

    def choose() -> None:
        look.other = st.session_state[key]

    st.selectbox(
        "Beside it", list(choices), index=list(choices).index(look.other), key=key, on_change=choose, width=WIDTH,
        format_func=lambda name: f"{choices[name].owner or choices[name].atlas.model} · {choices[name].title}",
    )  # fmt: skip
    return choices[look.other]


def _names(first: Shown, second: Shown) -> tuple[str, str]:
    """Names that tell the two apart."""
    names = first.owner or first.atlas.model, second.owner or second.atlas.model
    if names[0] != names[1]:
        return names
    return f"{names[0]} ({first.atlas.probe})", f"{names[1]} ({_where(second, first)})"


def _where(one: Shown, other: Shown) -> str:
    return one.file.file if one.file and one.atlas.probe == other.atlas.probe else one.atlas.probe


def _cautions(
    shown: Shown, other: Shown, first: LayerInventory, second: LayerInventory, names: tuple[str, str]
) -> list[str]:
    said = reservations(shown.atlas, other.atlas, names)
    if first.layer != second.layer:
        said.append(f"Different layers: {layer_title(first.layer)} beside {layer_title(second.layer)}.")
    return said


def _figure(first: LayerInventory, second: LayerInventory, names: tuple[str, str], key: str) -> None:
    pairs = [(line, second.line(line.found.concept)) for line in first.lines]
    words = "; ".join(f"{readable(a.found.concept)} {a.found.counted}, {b.found.counted}" for a, b in pairs if b)
    chart(
        beside_figure(first, second), key=f"beside-{key}-{first.layer}",
        alt=f"Bar chart of detectors of each concept in {names[0]} and {names[1]}: {words}.",
    )  # fmt: skip


def _table(
    first: LayerInventory, second: LayerInventory, names: tuple[str, str]
) -> tuple[list[str], list[list[str]], str]:
    columns = ["Concept", *(f"{what}, {name}" for what in ("Detectors", "Best IoU", "95 %") for name in names)]
    rows = []
    for line in first.lines:
        other = second.line(line.found.concept)
        if other is None:
            continue
        both = (line.found, other.found)
        cells = [one.counted for one in both] + [plain(one.best_iou, 3) for one in both]
        cells += [f"{plain(one.best_low, 3)} to {plain(one.best_high, 3)}" for one in both]
        rows.append([readable(line.found.concept), *cells])
    return columns, rows, f"Detectors of each concept in {names[0]} and {names[1]}"
