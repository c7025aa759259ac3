"""Rows to Plotly figures: findings against their operating points, what a logit is made of, severity by zone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from ..report.charts import ShareBar, share_label
from ..report.colours import OPPOSES, SUPPORTS, cividis
from ..report.words import plain, readable, signed
from .figures_parts import (
    BAND,
    MUTED,
    NEUTRAL,
    QUIET,
    TEXT,
    TRACK,
    UNNAMED,
    Scale,
    bars_of,
    label_at,
    laid_out,
    layout,
    pointed,
    tick,
    two_tone,
    value_at,
)  # fmt: skip

if TYPE_CHECKING:  # figures are wanted before torch is there
    from ..explanation import Severity
    from .rows import FindingRow

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


def findings_figure(rows: Sequence[FindingRow], selected: str) -> go.Figure:
    """A bar a finding on one scale of logits; a tick at the operating point, a paler band where it is "not sure".

    A click anywhere on a line selects it: `customdata` of the first trace holds the finding.
    """
    ys = range(len(rows))
    hover = ["<br>".join([f"<b>{escape(row.label)}</b>", *map(escape, row.detail)]) for row in rows]
    figure = go.Figure(pointed([row.finding for row in rows], selected, hover))
    barred = [(y, row, row.bar) for y, row in enumerate(rows) if row.bar is not None]
    at = Scale(0.34, 0.83, 0.0, 1.0)
    figure.add_trace(bars_of([(y, at(0.0), at(1.0)) for y, _, _ in barred], TRACK))
    bands = [(y, at(bar.band[0]), at(bar.band[1])) for y, _, bar in barred if bar.band is not None]
    figure.add_trace(bars_of(bands, BAND))
    colours = [SUPPORTS if row.state == "above" else NEUTRAL for _, row, _ in barred]
    figure.add_trace(bars_of([(y, at(0.0), at(bar.value)) for y, _, bar in barred], colours))
    for y, row in zip(ys, rows, strict=True):
        figure.add_annotation(label_at(y, two_tone(row.label, row.note), TEXT))
        figure.add_annotation(value_at(y, row.value, TEXT if row.state == "above" else MUTED))
    return laid_out(figure, len(rows), [tick(y, at(0.5), "#ffffff") for y, _, _ in barred])


def shares_figure(bars: Sequence[ShareBar], selected: str | None, reach: float) -> go.Figure:
    """Orange to the right supports, blue to the left opposes; solid where the units fire, hatched elsewhere.

    `reach` is the end of the scale in logits, the same for all charts of one split. `customdata` of the first trace
    holds the concept, empty where there is no region to outline.
    """
    names = [bar.label if bar.kind == "concept" else "" for bar in bars]
    figure = go.Figure(pointed(names, selected or "\0", [_share_hover(bar) for bar in bars]))
    at = Scale(0.39, 0.86, -1.04 * reach, 1.04 * reach)
    for solid in (True, False):
        spans = [(y, bar, span) for y, bar in enumerate(bars) for span in bar.spans if span.solid is solid]
        colours = [_share_colour(bar, span.end - span.start) for _, bar, span in spans]
        trace = bars_of([(y, at(span.start), at(span.end)) for y, _, span in spans], colours)
        if not solid:
            trace.marker.pattern = {"shape": "/", "fgcolor": colours, "bgcolor": "#1a2026", "size": 5, "solidity": 0.55}
        figure.add_trace(trace)
    for y, bar in enumerate(bars):
        colour = TEXT if bar.kind == "concept" else MUTED
        figure.add_annotation(label_at(y, escape(share_label(bar)), colour))
        figure.add_annotation(value_at(y, signed(bar.value), colour))
    ticks = [tick(y, at(bar.value), TEXT) for y, bar in enumerate(bars) if _straddles(bar)]
    zero = {"type": "line", "x0": at(0.0), "x1": at(0.0), "y0": -0.5, "y1": len(bars) - 0.5}
    return laid_out(figure, len(bars), [{**zero, "line": {"color": QUIET, "width": 1}}, *ticks])


def changes_figure(changes: Sequence[tuple[str, float]], selected: str) -> go.Figure:
    """A bar a finding: how its logit changed, orange to the right where it rose, blue to the left where it fell.

    `customdata` of the first trace holds the finding.
    """
    hover = [f"<b>{escape(readable(name))}</b><br>{signed(value, 3)}" for name, value in changes]
    figure = go.Figure(pointed([name for name, _ in changes], selected, hover))
    most = max((abs(value) for _, value in changes), default=0.0) or 1.0
    at = Scale(0.39, 0.86, -1.04 * most, 1.04 * most)
    colours = [SUPPORTS if value >= 0 else OPPOSES for _, value in changes]
    figure.add_trace(bars_of([(y, at(0.0), at(value)) for y, (_, value) in enumerate(changes)], colours))
    for y, (name, value) in enumerate(changes):
        figure.add_annotation(label_at(y, escape(readable(name)), TEXT))
        figure.add_annotation(value_at(y, signed(value), TEXT))
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
    return figure.update_layout(shapes=shapes, **layout(240))


def total_figure(severity: Severity) -> go.Figure:
    """The global score on its scale from 0 to 18, with the 95 % interval as a band."""
    figure = go.Figure(bars_of([(0, 0.0, 18.0)], TRACK))
    if severity.interval is not None:
        low, high = (min(max(end, 0.0), 18.0) for end in severity.interval)
        figure.add_trace(bars_of([(0, low, high)], BAND))
    figure.update_layout(
        barmode="overlay",
        shapes=[{**tick(0, severity.total, SUPPORTS), "line": {"color": SUPPORTS, "width": 4}}],
        xaxis={
            "range": [-0.3, 18.3], "tickvals": [0, 6, 12, 18], "tickfont": {"color": MUTED, "size": 13},
            "showgrid": False, "zeroline": False, "fixedrange": True,
        },
        yaxis={"range": [-0.5, 0.5], "visible": False, "fixedrange": True},
        **{**layout(60), "margin": {"l": 0, "r": 0, "t": 0, "b": 24}},
    )  # fmt: skip
    return figure


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
