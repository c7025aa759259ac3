"""An atlas as Plotly figures: detectors by concept and layer, how well units fit, what they drive, two models. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from ..dissection.atlas import AtlasRow
from ..dissection.inventory import ConceptLine, LayerInventory
from ..models.card import Interval
from ..report.atlas_words import layer_title
from ..report.colours import OPPOSES, SUPPORTS
from ..report.words import plain, readable, signed
from .figures_parts import (
    CLEAR,
    MUTED,
    QUIET,
    ROW,
    SELECTED,
    TEXT,
    TRACK,
    UNNAMED,
    Scale,
    bars_of,
    label_at,
    laid_out,
    pointed,
    tick,
    value_at,
)  # fmt: skip

ACCENT, PALE = "#4fb3bf", "#2f6c74"
"""Units that stand against all units and concepts at once, and those that stand against their own chance only."""
NULL = "#ffffff"
LABELS = 0.23
"""Share of the width that holds the concepts' names."""
MOST_FINDINGS = 6
FIT_LEGEND = (("dot", "IoU and 95 % interval"), ("tick", "where chance ends"), ("track", "what the areas allow"))
"""The marks of `fits_figure`, for `page.legend`."""

Cell = tuple[str, str]
"""A layer and a concept."""


@dataclass(frozen=True)
class Fit:
    """How well one unit fits one concept, as a line: IoU with interval, what chance gives and what areas allow.

    `note` follows the label where the pointer rests.
    """

    name: str
    label: str
    iou: float
    low: float
    high: float
    null: float
    ceiling: float
    strong: bool
    note: str = ""

    @classmethod
    def of(cls, row: AtlasRow) -> Fit:
        """One row of an atlas."""
        return cls(
            row.concept, readable(row.concept), row.iou, row.ci_low, row.ci_high, row.null_high, row.ceiling, row.label
        )

    @classmethod
    def best(cls, line: ConceptLine) -> Fit:
        """A concept's best unit."""
        found = line.found
        return cls(
            found.concept, readable(found.concept), found.best_iou, found.best_low, found.best_high, line.null_high,
            found.best_ceiling, found.detectors > 0, f", unit {found.best_unit}",
        )  # fmt: skip


def ordered(layers: Sequence[LayerInventory]) -> list[str]:
    """Concepts with the most detectors first, then the rest, then those that no unit of any layer could reach."""
    names = dict.fromkeys(line.found.concept for layer in layers for line in layer.lines)

    def rank(name: str) -> tuple[bool, int, int, str]:
        lines = [line.found for layer in layers if (line := layer.line(name)) is not None]
        counts = [one.detectors for one in lines]
        return not any(one.detectable for one in lines), -counts[-1], -sum(counts), name

    return sorted(names, key=rank)


def inventory_figure(layers: Sequence[LayerInventory], selected: Cell | None) -> go.Figure:
    """A line a concept, a column a layer: a bar of detectors, its dark part family-wise, a tick where chance would be.

    `customdata` of the first trace holds "layer<tab>concept" of each cell.
    """
    concepts = ordered(layers)
    cells = [(y, x, layer.line(concept)) for y, concept in enumerate(concepts) for x, layer in enumerate(layers)]
    known = [(y, x, line) for y, x, line in cells if line is not None]
    most = max([1.0, *(max(line.found.detectors, line.expected or 0.0) for _, _, line in known)])
    columns = [_column(x, len(layers), most) for x in range(len(layers))]
    figure = go.Figure(_cells(known, layers, columns, selected))
    shown = [(y, x, line) for y, x, line in known if line.found.detectable]
    figure.add_trace(bars_of([(y, columns[x](0), columns[x].right) for y, x, _ in shown], TRACK, 0.34))
    figure.add_trace(
        bars_of([(y, columns[x](0), columns[x](line.found.detectors)) for y, x, line in shown], PALE, 0.34)
    )
    strict = [(y, columns[x](0), columns[x](line.family_wise or 0)) for y, x, line in shown]
    figure.add_trace(bars_of(strict, ACCENT, 0.34))
    for y, concept in enumerate(concepts):
        possible = any(line.found.detectable for row, _, line in known if row == y)
        figure.add_annotation(label_at(y, escape(readable(concept)), TEXT if possible else QUIET))
    for y, x, line in known:
        figure.add_annotation(_count(y, columns[x], line))
    for x, layer in enumerate(layers):
        figure.add_annotation(_header(columns[x], layer))
    ticks = [tick(y, columns[x](line.expected), NULL) for y, x, line in shown if line.expected is not None]
    laid_out(figure, len(concepts), ticks)
    return figure.update_layout(height=ROW * (len(concepts) + 1) + 12, yaxis={"range": [len(concepts) - 0.5, -1.88]})


def fits_figure(fits: Sequence[Fit], selected: str = "\0") -> go.Figure:
    """A dot at the IoU with its interval as a line, a tick where chance ends, a track as far as the areas allow.

    `customdata` of the first trace holds the concept.
    """
    figure = go.Figure(pointed([fit.name for fit in fits], selected, [_fit_hover(fit) for fit in fits]))
    reach = max([0.05, *(max(fit.high, fit.null, fit.iou) for fit in fits)]) * 1.08
    at = Scale(0.40, 0.76, 0.0, reach)
    figure.add_trace(bars_of([(y, at(0), at(fit.ceiling)) for y, fit in enumerate(fits)], TRACK, 0.34))
    figure.add_trace(
        bars_of([(y, at(f.low), at(f.high)) for y, f in enumerate(fits)], [_fit_colour(f) for f in fits], 0.1)
    )
    figure.add_trace(
        go.Scatter(
            x=[at(fit.iou) for fit in fits], y=list(range(len(fits))), mode="markers", hoverinfo="skip",
            marker={"size": 11, "color": [_fit_colour(fit) for fit in fits], "line": {"width": 0}},
        )
    )  # fmt: skip
    for y, fit in enumerate(fits):
        colour = TEXT if fit.strong else MUTED
        figure.add_annotation(label_at(y, escape(fit.label), colour))
        figure.add_annotation(value_at(y, f"{fit.iou:.2f} of {fit.ceiling:.2f}", colour))
    return laid_out(figure, len(fits), [tick(y, at(fit.null), NULL) for y, fit in enumerate(fits)])


def drives_figure(moved: Sequence[tuple[str, Interval]]) -> go.Figure:
    """A bar an output with its interval as a thin line: orange where the unit raises it, blue where it lowers it."""
    names = [name for name, _ in moved]
    hover = [f"<b>{escape(readable(n))}</b><br>{signed(v.value, 3)} ({_between(v, 3)})" for n, v in moved]
    figure = go.Figure(pointed(names, "\0", hover))
    most = max([1e-9, *(max(abs(v.low), abs(v.high), abs(v.value)) for _, v in moved)])
    at = Scale(0.36, 0.80, -1.04 * most, 1.04 * most)
    colours = [SUPPORTS if v.value >= 0 else OPPOSES for _, v in moved]
    figure.add_trace(bars_of([(y, at(0), at(v.value)) for y, (_, v) in enumerate(moved)], colours))
    figure.add_trace(bars_of([(y, at(v.low), at(v.high)) for y, (_, v) in enumerate(moved)], TEXT, 0.06))
    for y, (name, v) in enumerate(moved):
        figure.add_annotation(label_at(y, escape(readable(name)), TEXT))
        figure.add_annotation(value_at(y, signed(v.value, 3), TEXT))
    zero = {"type": "line", "x0": at(0.0), "x1": at(0.0), "y0": -0.5, "y1": len(moved) - 0.5}
    return laid_out(figure, len(moved), [{**zero, "line": {"color": QUIET, "width": 1}}])


def beside_figure(first: LayerInventory, second: LayerInventory, selected: str = "\0") -> go.Figure:
    """Two bars a concept, the first plain, the second hatched, each with a tick where chance would be."""
    concepts = [name for name in ordered([first, second]) if first.line(name) and second.line(name)]
    pairs = [(y, first.line(name), second.line(name)) for y, name in enumerate(concepts)]
    known = [(y, a, b) for y, a, b in pairs if a is not None and b is not None]
    counts = [max(line.found.detectors, line.expected or 0.0) for _, a, b in known for line in (a, b)]
    at = Scale(0.30, 0.86, 0.0, max([1.0, *counts]))
    figure = go.Figure(pointed(concepts, selected, [_pair_hover(a, b) for _, a, b in known]))
    ticks = []
    for offset, colour, hatched, lines in (
        (-0.17, ACCENT, False, [(y, a) for y, a, _ in known]),
        (0.17, SUPPORTS, True, [(y, b) for y, _, b in known]),
    ):
        shown = [(y + offset, line) for y, line in lines if line.found.detectable]
        trace = bars_of([(y, at(0), at(line.found.detectors)) for y, line in shown], colour, 0.26)
        if hatched:
            trace.marker.pattern = {"shape": "/", "fgcolor": colour, "bgcolor": "#1a2026", "size": 5, "solidity": 0.55}
        figure.add_trace(trace)
        ticks += [tick(y, at(line.expected), NULL, 0.15) for y, line in shown if line.expected is not None]
    for y, a, b in known:
        possible = a.found.detectable or b.found.detectable
        figure.add_annotation(label_at(y, escape(readable(a.found.concept)), TEXT if possible else QUIET))
        figure.add_annotation(value_at(y, f"{_short(a)} · {_short(b)}", TEXT if possible else QUIET))
    return laid_out(figure, len(concepts), ticks)


def _column(number: int, count: int, most: float) -> Scale:
    width = (1 - LABELS) / count
    left = LABELS + number * width
    return Scale(left + 0.02 / count, left + 0.74 * width, 0.0, most)


def _cells(
    known: Sequence[tuple[int, int, ConceptLine]],
    layers: Sequence[LayerInventory],
    columns: Sequence[Scale],
    selected: Cell | None,
) -> go.Bar:
    """Clear bars over every cell, which take the pointer."""
    width = (1 - LABELS) / max(len(columns), 1)
    cells = [(layers[x].layer, line.found.concept) for _, x, line in known]
    trace = bars_of([(y, LABELS + x * width, LABELS + (x + 1) * width) for y, x, _ in known], CLEAR, 0.94)
    hover = [_cell_hover(layers[x], line) for _, x, line in known]
    return trace.update(
        customdata=["\t".join(cell) for cell in cells], hovertext=hover, hovertemplate="%{hovertext}<extra></extra>",
        hoverinfo=None, marker={"color": [SELECTED if cell == selected else CLEAR for cell in cells]},
    )  # fmt: skip


def _count(y: int, column: Scale, line: ConceptLine) -> dict[str, object]:
    text, colour = str(line.found.detectors), TEXT if line.found.detectors else MUTED
    if not line.found.detectable:
        text, colour = "undetectable", QUIET
    x = column.left if not line.found.detectable else column.right + 0.012
    return {**label_at(y, text, colour), "x": x}


def _header(column: Scale, layer: LayerInventory) -> dict[str, object]:
    text = f"{escape(layer_title(layer.layer))}<br>{layer.detectors} of {layer.units} units"
    return {**label_at(-1.1, text, MUTED), "x": column.left, "font": {"color": MUTED, "size": 13}}


def _cell_hover(layer: LayerInventory, line: ConceptLine) -> str:
    found = line.found
    lines = [f"<b>{escape(readable(found.concept))}</b>, {escape(layer_title(layer.layer).lower())}"]
    if not found.detectable:
        return "<br>".join([*lines, f"undetectable with this probe: no unit could exceed {found.highest_ceiling:.2f}"])
    lines.append(f"{found.detectors} detectors, {found.by_iou_alone} by IoU alone")
    if line.expected is not None:
        lines.append(f"on other patients' masks {plain(line.expected, 1)} by IoU alone")
    if line.family_wise is not None:
        lines.append(f"{line.family_wise} beyond chance over all units and concepts")
    if line.among_positives is not None:
        lines.append(f"{line.among_positives} in the right place among films that show it")
    return "<br>".join([*lines, f"{found.films} films of {found.patients} patients show it"])


def _fit_hover(fit: Fit) -> str:
    return (
        f"<b>{escape(fit.label)}</b>{escape(fit.note)}<br>IoU {fit.iou:.3f} (95 % {fit.low:.3f} to {fit.high:.3f})"
        f"<br>chance ends at {fit.null:.3f}<br>at most {fit.ceiling:.2f} with these areas"
    )


def _fit_colour(fit: Fit) -> str:
    return ACCENT if fit.strong else UNNAMED


def _between(interval: Interval, digits: int) -> str:
    return f"{signed(interval.low, digits)} to {signed(interval.high, digits)}"


def _short(line: ConceptLine) -> str:
    return str(line.found.detectors) if line.found.detectable else "–"


def _pair_hover(first: ConceptLine, second: ConceptLine) -> str:
    lines = [f"<b>{escape(readable(first.found.concept))}</b>"]
    for name, line in (("first", first), ("second", second)):
        f = line.found
        lines.append(f"{name}: {f.counted}, best IoU {f.best_iou:.3f} ({f.best_low:.3f} to {f.best_high:.3f})")
    return "<br>".join(lines)
