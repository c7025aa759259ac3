"""The inventory of a model: detectors of each concept at each layer beside chance, and the best unit of each."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from ..dissection.inventory import ConceptLine, LayerInventory
from ..dissection.unit_index import Sought
from ..report.atlas_words import caveats, headline, layer_title
from ..report.words import plain, readable
from . import page
from .atlas_shelf import Row, Shown, layer_picker
from .charts import chart
from .figures_atlas import Fit, fits_figure, inventory_figure, ordered
from .state import Case

COLUMNS = (
    "Concept", "Detectors", "Beyond chance over all units", "In the right place", "By IoU alone",
    "The same by chance", "Best unit", "Its IoU", "95 % over patients", "At most", "Films", "Patients",
)  # fmt: skip


def inventory_view(case: Case, shown: Shown, row: Row) -> None:
    """Counts at the left, the best unit of each concept at the right; either leads to the units behind it."""
    layers = shown.survey.layers
    with row:
        layer = layer_picker(case.look, shown)
    page.line(headline(layer), "strong")
    page.line(" ".join(caveats(layer)))
    left, right = st.columns([3, 2], gap="medium")
    with left, st.container(border=True, key="atlas-counts"):
        page.heading("Detectors of each concept")
        page.legend(
            [
                ("fill", "detectors"),
                ("deep", "of them beyond chance over all units"),
                ("tick", "by IoU alone on other patients' outlines"),
            ]
        )
        chart(
            inventory_figure(layers, None), key=f"inventory-{shown.key}-{case.look.moves}", alt=_counts_alt(layers),
            on_pick=lambda cell: list_units(case, cell),
        )  # fmt: skip
        page.line("Click a bar to list the units behind it.")
    with right, st.container(border=True, key="atlas-fits"):
        page.heading(f"Best unit of each concept, {layer_title(layer.layer).lower()}")
        page.legend(
            [("dot", "IoU and 95 % interval"), ("tick", "where chance ends"), ("track", "what the areas allow")]
        )
        lines = _best(layer)
        chart(
            fits_figure([Fit.best(line) for line in lines]), key=f"fits-{shown.key}-{layer.layer}-{case.look.moves}",
            alt=_fits_alt(lines), on_pick=lambda concept: _open(case, layer, concept),
        )  # fmt: skip
        page.line("Grey: no detector. Click a line for the unit.")
    with st.expander(f"{layer_title(layer.layer)} as a table"):
        page.table(COLUMNS, [_row(line) for line in layer.lines], f"Detectors of each concept at {layer.layer}")


def _best(layer: LayerInventory) -> list[ConceptLine]:
    """Lines of concepts that a unit could reach, in the order of the counts."""
    lines = [line for name in ordered([layer]) if (line := layer.line(name)) is not None]
    return [line for line in lines if line.found.detectable]


def list_units(case: Case, cell: str) -> None:
    """Show the units behind a bar, which is named by layer and concept."""
    layer, _, concept = cell.partition("\t")
    case.look.go(view="units", layer=layer, unit=None, sought=Sought(layer=layer, concept=concept, labelled=True))


def _open(case: Case, layer: LayerInventory, concept: str) -> None:
    line = layer.line(concept)
    if line is not None:
        case.look.go(
            view="units",
            layer=layer.layer,
            unit=line.found.best_unit,
            sought=Sought(layer=layer.layer, concept=concept),
        )


def _row(line: ConceptLine) -> tuple[str, ...]:
    found = line.found
    return (
        readable(found.concept), found.counted, _count(line.family_wise), _count(line.among_positives),
        str(found.by_iou_alone), "–" if line.expected is None else plain(line.expected, 1), str(found.best_unit),
        plain(found.best_iou, 3), f"{plain(found.best_low, 3)} to {plain(found.best_high, 3)}",
        plain(found.best_ceiling), str(found.films), str(found.patients),
    )  # fmt: skip


def _count(value: int | None) -> str:
    return "–" if value is None else str(value)


def _counts_alt(layers: Sequence[LayerInventory]) -> str:
    told = []
    for layer in layers:
        counts = ", ".join(f"{readable(one.found.concept)} {one.found.counted}" for one in layer.lines)
        told.append(f"{layer_title(layer.layer)}: {counts}")
    return f"Bar chart of detectors of each concept. {'; '.join(told)}."


def _fits_alt(lines: Sequence[ConceptLine]) -> str:
    words = (f"{readable(l.found.concept)} {l.found.best_iou:.2f}, chance {l.null_high:.2f}" for l in lines)  # noqa: E741
    return f"Dot chart of the best unit's IoU for each concept: {'; '.join(words)}."
