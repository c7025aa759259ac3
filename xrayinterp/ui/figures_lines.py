"""Curves, matrices and columns as Plotly figures, for the pages Compare and Pathways. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ..report.colours import SUPPORTS, cividis
from ..report.words import plain
from .figures_parts import CLEAR, MUTED, QUIET, TEXT

STYLES: Sequence[tuple[str, str, str]] = (
    ("#4fb3bf", "solid", "circle"),
    (SUPPORTS, "dash", "diamond"),
    ("#c9a3e8", "dot", "square"),
    ("#8fc97a", "dashdot", "triangle-up"),
    ("#e8795f", "longdash", "x"),
    ("#9aa5b0", "longdashdot", "cross"),
    ("#d9b64e", "solid", "star"),
)
"""Colour, dash and marker of one curve after the other: no two are told apart by colour alone."""
GRID = "#222a32"


@dataclass(frozen=True)
class Curve:
    """One line: its name and its points; a point without a y is a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Axis:
    """A title, and a range where it is fixed; `percent` writes shares as per cent, `log` spreads decades."""

    title: str
    range: tuple[float, float] | None = None
    percent: bool = False
    log: bool = False


def curves_figure(
    curves: Sequence[Curve], x: Axis, y: Axis, *, mark: float | None = None, height: int = 280
) -> go.Figure:
    """Curves with their names at the top; `mark` draws a vertical line where the reader stands."""
    figure = go.Figure()
    for number, curve in enumerate(curves):
        colour, dash, symbol = STYLES[number % len(STYLES)]
        figure.add_trace(
            go.Scatter(
                x=[point[0] for point in curve.points], y=[point[1] for point in curve.points], name=escape(curve.name),
                mode="lines+markers", line={"color": colour, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 7, "color": colour},
                hovertemplate=f"{escape(curve.name)}<br>%{{x}}: %{{y:.3g}}<extra></extra>",
            )
        )  # fmt: skip
    if mark is not None:
        figure.add_vline(x=mark, line={"color": TEXT, "width": 1, "dash": "dot"})
    return figure.update_layout(
        xaxis=_axis(x), yaxis=_axis(y), showlegend=len(curves) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 13, "color": TEXT}},
        **_layout(height),
    )  # fmt: skip


def columns_figure(names: Sequence[str], values: Sequence[float], y: Axis, *, height: int = 240) -> go.Figure:
    """A column a name, from the left: how something is spread over a network from input to output."""
    figure = go.Figure(
        go.Bar(
            x=list(range(len(names))), y=list(values), marker={"color": STYLES[0][0], "line": {"width": 0}},
            customdata=[escape(name) for name in names], hovertemplate="%{customdata}<br>%{y:.3g}<extra></extra>",
        )
    )  # fmt: skip
    for x, anchor, text in ((0, "left", "input"), (1, "right", "output")):
        figure.add_annotation(
            x=x, xref="paper", xanchor=anchor, y=0, yref="paper", yanchor="top", text=text, showarrow=False,
            font={"size": 13, "color": MUTED},
        )  # fmt: skip
    hidden = {"showticklabels": False, "showgrid": False}
    layout = _layout(height) | {"margin": {"l": 8, "r": 12, "t": 8, "b": 24}}
    return figure.update_layout(xaxis=_axis(Axis("")) | hidden, yaxis=_axis(y), bargap=0.15, **layout)


def matrix_figure(names: Sequence[str], values: Sequence[Sequence[float]]) -> go.Figure:
    """A square matrix of shares in cividis, each written in its cell."""
    table = np.array(values, dtype=float)
    ramp = [[step / 8, "rgb({},{},{})".format(*(int(c) for c in cividis(np.array(step / 8))))] for step in range(9)]
    figure = go.Figure(
        go.Heatmap(
            z=table, x=list(names), y=list(names), zmin=0, zmax=1, colorscale=ramp, showscale=False, xgap=2, ygap=2,
            hovertemplate="%{y} and %{x}: %{z:.3f}<extra></extra>",
        )
    )  # fmt: skip
    for row, line in enumerate(table):
        for column, value in enumerate(line):
            font = {"size": 13, "color": "#0b0e11" if value > 0.5 else "#ffffff"}
            figure.add_annotation(x=names[column], y=names[row], text=plain(float(value)), showarrow=False, font=font)
    axis = {"tickfont": {"size": 13, "color": TEXT}, "showgrid": False, "fixedrange": True, "zeroline": False}
    height = 60 + 44 * max(len(names), 1)
    return figure.update_layout(
        xaxis={**axis, "side": "top", "automargin": True}, yaxis={**axis, "autorange": "reversed", "automargin": True},
        **_layout(height),
    )  # fmt: skip


def _axis(axis: Axis) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "title": {"text": escape(axis.title), "font": {"size": 13, "color": MUTED}, "standoff": 8},
        "tickfont": {"size": 13, "color": MUTED},
        "gridcolor": GRID,
        "zerolinecolor": QUIET,
        "linecolor": GRID,
        "fixedrange": True,
        "automargin": True,
    }
    if axis.log:
        settings |= {"type": "log", "exponentformat": "power", "dtick": 1}
    if axis.range is not None:
        settings["range"] = list(axis.range)
    if axis.percent:
        settings["tickformat"] = ".0%"
    return settings


def _layout(height: int) -> dict[str, Any]:
    font = {"family": "Inter, sans-serif", "size": 14, "color": TEXT}
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 34, "b": 8},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "dragmode": False,
        "hovermode": "closest",
        "font": font,
        "hoverlabel": {"bgcolor": "#1a2129", "bordercolor": "#414c57", "font": {**font, "size": 13}},
    }
