"""How unusual a film is as Plotly figures: its place among reference films, and what gives the score. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from ..report.words import plain
from .figures_lines import GRID
from .figures_parts import BAND, MUTED, QUIET, TEXT, TRACK, Scale, bars_of, label_at, laid_out, layout, tick, value_at

if TYPE_CHECKING:  # figures are wanted before torch is there
    from ..anomaly.model import PointScore
    from ..anomaly.reference import Reference

_Row = tuple[str, float, tuple[float, ...] | None]

BINS = 40
ACCENT = "#4fb3bf"


def histogram_figure(scores: npt.NDArray[np.float64], score: float, *, height: int = 170) -> go.Figure:
    """How many reference films have which score, and a line where this film is."""
    low, high = float(min(scores.min(), score)), float(max(scores.max(), score))
    counts, edges = np.histogram(scores, bins=BINS, range=(low, high if high > low else low + 1))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2, y=counts, width=float(np.diff(edges).mean()) * 0.92, marker={"color": BAND},
            hovertemplate="%{y} films<br>score %{x:.3g}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_vline(x=score, line={"color": "#ffffff", "width": 2})
    figure.add_annotation(
        x=score, y=1.0, yref="paper", yanchor="bottom", text="this film", showarrow=False,
        font={"size": 13, "color": TEXT},
    )  # fmt: skip
    axis = {"tickfont": {"size": 13, "color": MUTED}, "zeroline": False, "fixedrange": True, "gridcolor": GRID}
    return figure.update_layout(
        **layout(height)
        | {
            "margin": {"l": 44, "r": 8, "t": 22, "b": 40},
            "bargap": 0,
            "xaxis": {**axis, "title": {"text": "score", "font": {"size": 13, "color": MUTED}}, "showgrid": False},
            "yaxis": {**axis, "title": {"text": "films", "font": {"size": 13, "color": MUTED}}, "nticks": 4},
        }
    )


def points_figure(points: Sequence[PointScore], reference: Reference | None) -> go.Figure:
    """A bar a critical point and term; the reference films' middle half as a pale band, their 5 and 95 % as ticks."""
    rows = rows_of(points, reference)
    reach = max([abs(value) for _, value, _ in rows] + [five[-1] for *_, five in rows if five] + [1e-12])
    low = min([0.0, *(value for _, value, _ in rows)])
    at = Scale(0.42, 0.84, low, 1.04 * reach)
    figure = go.Figure(bars_of([(y, at(low), at(1.04 * reach)) for y in range(len(rows))], TRACK))
    spreads = [(y, five) for y, (*_, five) in enumerate(rows) if five]
    figure.add_trace(bars_of([(y, at(five[1]), at(five[3])) for y, five in spreads], BAND, 0.5))
    figure.add_trace(bars_of([(y, at(0.0), at(value)) for y, (_, value, _) in enumerate(rows)], ACCENT, 0.22))
    for y, (name, value, _) in enumerate(rows):
        figure.add_annotation(label_at(y, escape(name), TEXT))
        figure.add_annotation(value_at(y, plain(value, 3), TEXT))
    ends = [tick(y, at(five[i]), QUIET, 0.2) for y, five in spreads for i in (0, 4)]
    return laid_out(
        figure, len(rows), [*ends, *(tick(y, at(value), "#ffffff") for y, (_, value, _) in enumerate(rows))]
    )


def rows_of(points: Sequence[PointScore], reference: Reference | None) -> list[_Row]:
    """A row a critical point and term: what it is, what it gives this film, and QUANTILES of the reference films."""
    return [row for number, point in enumerate(points) for row in _rows(number, point, reference)]


def point_name(layer: str) -> str:
    """A critical point as words: "features.transition2.relu" is "Block 2"."""
    digits = "".join(c for c in layer if c.isdigit())
    if layer.endswith("norm5"):
        return "Last block"
    return f"Block {digits}" if "transition" in layer else f"Layer {layer}"


def _rows(number: int, point: PointScore, reference: Reference | None) -> list[_Row]:
    name = point_name(point.layer)
    value = reference.value[number] if reference else None
    direction = reference.direction[number] if reference else None
    return [(f"{name}, values", point.value, value), (f"{name}, direction", point.direction, direction)]
