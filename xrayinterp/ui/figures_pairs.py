"""Two measures of the same thing as pairs of bars, one line a concept. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from ..report.colours import OPPOSES, SUPPORTS
from ..report.layer_words import ABLATION, GRADIENT, units_like
from ..report.words import signed
from ..semantics_earlier import LayerConcept
from .figures_parts import CLEAR, MUTED, QUIET, TEXT, UNNAMED, Scale, label_at, laid_out, pointed, value_at

LINE = 44
"""Height of a line in pixels."""
THICK, APART = 0.24, 0.16
"""Height of a bar and distance of its middle from the line's, in lines."""


def pair_reach(rows: Sequence[LayerConcept]) -> float:
    """The largest size of any measure, in logits; 1 for an empty chart."""
    return max((abs(v) for row in rows for v in (row.gradient, row.ablation)), default=0.0) or 1.0


def pairs_figure(rows: Sequence[LayerConcept], selected: str | None, reach: float) -> go.Figure:
    """Above, filled: gradient x activation. Below, outlined: ablation. Orange supports, blue opposes.

    `reach` is the end of the scale in logits. `customdata` of the first trace holds the concept, empty for the rest.
    """
    figure = go.Figure(pointed([row.concept or "" for row in rows], selected or "\0", [_hover(row) for row in rows]))
    at = Scale(0.39, 0.86, -1.04 * reach, 1.04 * reach)
    for shift, filled in ((-APART, True), (APART, False)):
        values = [row.gradient if filled else row.ablation for row in rows]
        colours = [UNNAMED if row.concept is None else _colour(v) for row, v in zip(rows, values, strict=True)]
        figure.add_trace(_bars([y + shift for y in range(len(rows))], [at(v) - at(0.0) for v in values], at(0.0),
                               colours, filled=filled))  # fmt: skip
    for y, row in enumerate(rows):
        colour = MUTED if row.concept is None else TEXT
        figure.add_annotation(label_at(y, escape(units_like(row)), colour))
        figures = f"{signed(row.gradient)}<br><span style='color:{MUTED}'>{signed(row.ablation)}</span>"
        figure.add_annotation(value_at(y, figures, colour))
    zero = {"type": "line", "x0": at(0.0), "x1": at(0.0), "y0": -0.5, "y1": len(rows) - 0.5}
    laid_out(figure, len(rows), [{**zero, "line": {"color": QUIET, "width": 1}}])
    return figure.update_layout(height=LINE * max(len(rows), 1))


def _bars(
    ys: Sequence[float], lengths: Sequence[float], base: float, colours: Sequence[str], *, filled: bool
) -> go.Bar:
    marker: dict[str, Any] = {"color": colours if filled else CLEAR, "line": {"color": colours, "width": 1.5}}
    return go.Bar(
        y=list(ys), x=list(lengths), base=base, orientation="h", width=THICK, hoverinfo="skip", marker=marker,
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
    )  # fmt: skip


def _colour(measured: float) -> str:
    return SUPPORTS if measured >= 0 else OPPOSES


def _hover(row: LayerConcept) -> str:
    parts = [f"<b>{escape(units_like(row))}</b> · {len(row.units)} units", f"{GRADIENT} {signed(row.gradient, 3)}",
             f"{ABLATION} {signed(row.ablation, 3)}"]  # fmt: skip
    return "<br>".join(parts if row.same_sign else [*parts, "the two disagree on the sign"])
