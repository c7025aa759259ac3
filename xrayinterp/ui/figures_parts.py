"""What figures of lines are put together from: scales, bars, ticks, labels and the layout. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

TEXT, MUTED, QUIET = "#d5dbe1", "#9aa5b0", "#7f8a95"
TRACK, BAND, NEUTRAL, UNNAMED = "#222a32", "#414c57", "#8a95a1", "#66717d"
SELECTED, CLEAR = "rgba(79,179,191,0.16)", "rgba(0,0,0,0)"
ROW = 32
"""Height of a line in pixels."""
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "responsive": True}


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` drawn between two shares of the panel's width; what lies beyond ends at the edge."""

    left: float
    right: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Where a value lies, as a share of the width."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)


def pointed(names: Sequence[str], selected: str, hover: Sequence[str]) -> go.Bar:
    """Bars as wide as the panel, clear but for the selected line: they take the pointer for the whole line."""
    count = len(names)
    return go.Bar(
        x=[1] * count, y=list(range(count)), base=0, orientation="h", width=0.96, customdata=list(names),
        hovertext=list(hover), hovertemplate="%{hovertext}<extra></extra>", hoverlabel={"align": "left"},
        marker={"color": [SELECTED if name == selected else CLEAR for name in names], "cornerradius": 4},
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
    )  # fmt: skip


def bars_of(spans: Sequence[tuple[float, float, float]], colour: str | Sequence[str], width: float = 0.3) -> go.Bar:
    """Bars from start to end in rows: (row, start, end)."""
    return go.Bar(
        y=[y for y, _, _ in spans], base=[start for _, start, _ in spans], x=[end - start for _, start, end in spans],
        orientation="h", width=width, hoverinfo="skip", marker={"color": colour, "line": {"width": 0}},
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
    )  # fmt: skip


def tick(y: float, x: float, colour: str, reach: float = 0.27) -> dict[str, Any]:
    """A short vertical line at x, `reach` of a line's height up and down."""
    line = {"color": colour, "width": 2}
    return {"type": "line", "x0": x, "x1": x, "y0": y - reach, "y1": y + reach, "line": line}


def label_at(y: float, text: str, colour: str) -> dict[str, Any]:
    """Words at the left end of a line."""
    place = {"x": 0.012, "xref": "paper", "xanchor": "left", "y": y, "yanchor": "middle", "showarrow": False}
    return {**place, "text": text, "align": "left", "font": {"color": colour, "size": 15}}


def value_at(y: float, text: str, colour: str) -> dict[str, Any]:
    """A figure at the right end of a line."""
    return {**label_at(y, text, colour), "x": 0.988, "xanchor": "right", "align": "right"}


def two_tone(label: str, note: str) -> str:
    """A label with a smaller note under it."""
    small = f'<br><span style="font-size:12px;color:{MUTED}">{escape(note)}</span>' if note else ""
    return escape(label) + small


def laid_out(figure: go.Figure, rows: int, shapes: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Lines one below the other, as tall as they need."""
    hidden = {"visible": False, "fixedrange": True}
    return figure.update_layout(
        barmode="overlay",
        shapes=[dict(shape) for shape in shapes],
        xaxis={**hidden, "range": [0, 1]},
        yaxis={**hidden, "range": [rows - 0.5, -0.5]},
        **layout(ROW * max(rows, 1)),
    )


def layout(height: int) -> dict[str, Any]:
    """The layout of every figure of lines."""
    return {
        "height": height,
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "showlegend": False,
        "dragmode": False,
        "clickmode": "event+select",
        "hovermode": "closest",
        "font": {"family": "Inter, sans-serif", "size": 15, "color": TEXT},
        "hoverlabel": {
            "bgcolor": "#1a2129",
            "bordercolor": "#414c57",
            "font": {"family": "Inter, sans-serif", "size": 13, "color": TEXT},
        },
    }
