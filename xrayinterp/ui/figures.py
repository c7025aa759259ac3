"""Rows to Plotly figures: findings against their operating points, what a logit is made of, severity by zone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ..explanation import Severity
from ..report.charts import ShareBar, share_label
from ..report.colours import OPPOSES, SUPPORTS, cividis
from ..report.words import plain, readable, signed
from .rows import FindingRow

TEXT, MUTED, QUIET = "#d5dbe1", "#9aa5b0", "#7f8a95"
TRACK, BAND, NEUTRAL, UNNAMED = "#222a32", "#414c57", "#8a95a1", "#66717d"
SELECTED, CLEAR = "rgba(79,179,191,0.16)", "rgba(0,0,0,0)"
ROW = 32
"""Height of a line in pixels."""
CONFIG = {"displayModeBar": False, "scrollZoom": False, "doubleClick": False, "responsive": True}
_LUNG: Mapping[int, Sequence[tuple[float, float]]] = {
    0: ((0.30, 0.08), (0.38, 0.16), (0.42, 0.40), (0.44, 0.97), (0.11, 0.97), (0.16, 0.45), (0.22, 0.18)),
    1: ((0.11, 1.03), (0.44, 1.03), (0.44, 1.97), (0.05, 1.97)),
    2: ((0.05, 2.03), (0.44, 2.03), (0.42, 2.55), (0.30, 2.50), (0.16, 2.62), (0.03, 2.95)),
}
"""Outline of the three zones of the lung at image left, x in [0, 0.5] and y in [0, 3]; the other lung mirrors it."""
ZONES: Mapping[str, tuple[int, bool]] = {
    "A": (0, False), "B": (1, False), "C": (2, False), "D": (0, True), "E": (1, True), "F": (2, True),
}  # fmt: skip
"""Brixia zones: third from the top, and whether it lies at image right."""


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` drawn between two shares of the panel's width; what lies beyond ends at the edge."""

    left: float
    right: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Where a value lies, as a share of the panel's width."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.left + share * (self.right - self.left)


def findings_figure(rows: Sequence[FindingRow], selected: str) -> go.Figure:
    """A bar a finding on one scale of logits; a tick at the operating point, a paler band where it is "not sure".

    A click anywhere on a line selects it: `customdata` of the first trace holds the finding.
    """
    ys = range(len(rows))
    hover = ["<br>".join([f"<b>{escape(row.label)}</b>", *map(escape, row.detail)]) for row in rows]
    figure = go.Figure(line_bars([row.finding for row in rows], selected, hover))
    barred = [(y, row, row.bar) for y, row in enumerate(rows) if row.bar is not None]
    at = Scale(0.34, 0.83, 0.0, 1.0)
    figure.add_trace(_bars([(y, at(0.0), at(1.0)) for y, _, _ in barred], TRACK))
    bands = [(y, at(bar.band[0]), at(bar.band[1])) for y, _, bar in barred if bar.band is not None]
    figure.add_trace(_bars(bands, BAND))
    colours = [SUPPORTS if row.state == "above" else NEUTRAL for _, row, _ in barred]
    figure.add_trace(_bars([(y, at(0.0), at(bar.value)) for y, _, bar in barred], colours))
    for y, row in zip(ys, rows, strict=True):
        figure.add_annotation(line_label(y, _two_tone(row.label, row.note), TEXT))
        figure.add_annotation(line_value(y, row.value, TEXT if row.state == "above" else MUTED))
    return laid_out(figure, len(rows), [_tick(y, at(0.5), "#ffffff") for y, _, _ in barred])


def shares_figure(bars: Sequence[ShareBar], selected: str | None, reach: float) -> go.Figure:
    """Orange to the right supports, blue to the left opposes; solid where the units fire, hatched elsewhere.

    `reach` is the end of the scale in logits, the same for all charts of one split. `customdata` of the first trace
    holds the concept, empty where there is no region to outline.
    """
    names = [bar.label if bar.kind == "concept" else "" for bar in bars]
    figure = go.Figure(line_bars(names, selected or "\0", [_share_hover(bar) for bar in bars]))
    at = Scale(0.39, 0.86, -1.04 * reach, 1.04 * reach)
    for solid in (True, False):
        spans = [(y, bar, span) for y, bar in enumerate(bars) for span in bar.spans if span.solid is solid]
        colours = [_share_colour(bar, span.end - span.start) for _, bar, span in spans]
        trace = _bars([(y, at(span.start), at(span.end)) for y, _, span in spans], colours)
        if not solid:
            trace.marker.pattern = {"shape": "/", "fgcolor": colours, "bgcolor": "#1a2026", "size": 5, "solidity": 0.55}
        figure.add_trace(trace)
    for y, bar in enumerate(bars):
        colour = TEXT if bar.kind == "concept" else MUTED
        figure.add_annotation(line_label(y, escape(share_label(bar)), colour))
        figure.add_annotation(line_value(y, signed(bar.value), colour))
    ticks = [_tick(y, at(bar.value), TEXT) for y, bar in enumerate(bars) if _straddles(bar)]
    zero = {"type": "line", "x0": at(0.0), "x1": at(0.0), "y0": -0.5, "y1": len(bars) - 0.5}
    return laid_out(figure, len(bars), [{**zero, "line": {"color": QUIET, "width": 1}}, *ticks])


def changes_figure(changes: Sequence[tuple[str, float]], selected: str) -> go.Figure:
    """A bar a finding: how its logit changed, orange to the right where it rose, blue to the left where it fell.

    `customdata` of the first trace holds the finding.
    """
    hover = [f"<b>{escape(readable(name))}</b><br>{signed(value, 3)}" for name, value in changes]
    figure = go.Figure(line_bars([name for name, _ in changes], selected, hover))
    most = max((abs(value) for _, value in changes), default=0.0) or 1.0
    at = Scale(0.39, 0.86, -1.04 * most, 1.04 * most)
    colours = [SUPPORTS if value >= 0 else OPPOSES for _, value in changes]
    figure.add_trace(_bars([(y, at(0.0), at(value)) for y, (_, value) in enumerate(changes)], colours))
    for y, (name, value) in enumerate(changes):
        figure.add_annotation(line_label(y, escape(readable(name)), TEXT))
        figure.add_annotation(line_value(y, signed(value), TEXT))
    zero = {"type": "line", "x0": at(0.0), "x1": at(0.0), "y0": -0.5, "y1": len(changes) - 0.5}
    return laid_out(figure, len(changes), [{**zero, "line": {"color": QUIET, "width": 1}}])


def severity_figure(severity: Severity) -> go.Figure:
    """The six zones on a sketch of the lungs, coloured in cividis and written 0 to 3."""
    figure = go.Figure()
    shapes = []
    for zone, (third, mirrored) in ZONES.items():
        score = severity.zones[zone]
        red, green, blue = (int(c) for c in cividis(np.array(min(max(score, 0.0), 3.0) / 3)))
        points = [(1 - x if mirrored else x, y) for x, y in _LUNG[third]]
        path = "M " + " L ".join(f"{x:.3f},{y:.3f}" for x, y in points) + " Z"
        line = {"color": "#4a5561", "width": 1}
        shapes.append({"type": "path", "path": path, "fillcolor": f"rgb({red},{green},{blue})", "line": line})
        dark = 0.299 * red + 0.587 * green + 0.114 * blue > 125
        font = {"size": 16, "color": "#0b0e11" if dark else "#ffffff"}
        x, y = (0.72 if mirrored else 0.28), third + (0.6 if third == 0 else 0.5 if third == 1 else 0.3)
        figure.add_annotation(x=x, y=y, text=f"{zone}   <b>{plain(score, 1)}</b>", showarrow=False, font=font)
    figure.update_xaxes(range=[0, 1], visible=False, fixedrange=True, constrain="domain")
    lung = {"scaleanchor": "x", "scaleratio": 0.26, "constrain": "domain"}  # taller than wide, however wide the panel
    figure.update_yaxes(range=[3, 0], visible=False, fixedrange=True, **lung)
    return figure.update_layout(shapes=shapes, **_layout(240))


def total_figure(severity: Severity) -> go.Figure:
    """The global score on its scale from 0 to 18, with the 95 % interval as a band."""
    figure = go.Figure(_bars([(0, 0.0, 18.0)], TRACK))
    if severity.interval is not None:
        low, high = (min(max(end, 0.0), 18.0) for end in severity.interval)
        figure.add_trace(_bars([(0, low, high)], BAND))
    figure.update_layout(
        barmode="overlay",
        shapes=[{**_tick(0, severity.total, SUPPORTS), "line": {"color": SUPPORTS, "width": 4}}],
        xaxis={
            "range": [-0.3, 18.3], "tickvals": [0, 6, 12, 18], "tickfont": {"color": MUTED, "size": 13},
            "showgrid": False, "zeroline": False, "fixedrange": True,
        },
        yaxis={"range": [-0.5, 0.5], "visible": False, "fixedrange": True},
        **{**_layout(60), "margin": {"l": 0, "r": 0, "t": 0, "b": 24}},
    )  # fmt: skip
    return figure


def line_bars(names: Sequence[str], selected: str, hover: Sequence[str]) -> go.Bar:
    """Bars as wide as the panel, clear but for the selected line: they take the pointer for the whole line."""
    count = len(names)
    return go.Bar(
        x=[1] * count, y=list(range(count)), base=0, orientation="h", width=0.96, customdata=list(names),
        hovertext=list(hover), hovertemplate="%{hovertext}<extra></extra>", hoverlabel={"align": "left"},
        marker={"color": [SELECTED if name == selected else CLEAR for name in names], "cornerradius": 4},
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
    )  # fmt: skip


def _bars(spans: Sequence[tuple[int, float, float]], colour: str | Sequence[str]) -> go.Bar:
    """Bars from start to end in rows: (row, start, end)."""
    return go.Bar(
        y=[y for y, _, _ in spans], base=[start for _, start, _ in spans], x=[end - start for _, start, end in spans],
        orientation="h", width=0.3, hoverinfo="skip", marker={"color": colour, "line": {"width": 0}},
        selected={"marker": {"opacity": 1}}, unselected={"marker": {"opacity": 1}},
    )  # fmt: skip


def _tick(y: int, x: float, colour: str) -> dict[str, Any]:
    line = {"color": colour, "width": 2}
    return {"type": "line", "x0": x, "x1": x, "y0": y - 0.27, "y1": y + 0.27, "line": line}


def line_label(y: int, text: str, colour: str) -> dict[str, Any]:
    """A line's name at the left, as an annotation."""
    place = {"x": 0.012, "xref": "paper", "xanchor": "left", "y": y, "yanchor": "middle", "showarrow": False}
    return {**place, "text": text, "align": "left", "font": {"color": colour, "size": 15}}


def line_value(y: int, text: str, colour: str) -> dict[str, Any]:
    """A line's figure at the right, as an annotation."""
    return {**line_label(y, text, colour), "x": 0.988, "xanchor": "right", "align": "right"}


def _two_tone(label: str, note: str) -> str:
    small = f'<br><span style="font-size:12px;color:{MUTED}">{escape(note)}</span>' if note else ""
    return escape(label) + small


def _share_hover(bar: ShareBar) -> str:
    way = "supports" if bar.value > 0 else "opposes" if bar.value < 0 else "neither way"
    lines = [f"<b>{escape(share_label(bar))}</b>", f"{signed(bar.value, 3)}, {way}"]
    if bar.kind != "bias":
        lines.append(f"{signed(bar.above, 3)} from where units fire")
    return "<br>".join(lines)


def _share_colour(bar: ShareBar, length: float) -> str:
    if bar.kind != "concept":
        return UNNAMED
    return SUPPORTS if length >= 0 else OPPOSES


def _straddles(bar: ShareBar) -> bool:
    """Whether the pieces lie on both sides of zero, so that their sum is not where a bar ends."""
    return len({span.end - span.start > 0 for span in bar.spans}) == 2


def laid_out(figure: go.Figure, rows: int, shapes: Sequence[Mapping[str, Any]]) -> go.Figure:
    """A chart of as many lines, x from 0 to 1 across the panel, with `shapes` over it."""
    hidden = {"visible": False, "fixedrange": True}
    return figure.update_layout(
        barmode="overlay",
        shapes=[dict(shape) for shape in shapes],
        xaxis={**hidden, "range": [0, 1]},
        yaxis={**hidden, "range": [rows - 0.5, -0.5]},
        **_layout(ROW * max(rows, 1)),
    )


def _layout(height: int) -> dict[str, Any]:
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
