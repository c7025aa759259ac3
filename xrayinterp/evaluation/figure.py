"""The comparison as one picture: a panel a measure, a row a method, each mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .measures import METRICS, Metric
from .summary import RIVAL, Summary

_ROW, _NAME, _PANEL, _GAP, _TOP = 18, 150, 170, 24, 62
_INK, _FAINT, _GOOD, _BAD = "#1f2933", "#c5ced6", "#2f6f9f", "#b3542f"


def forest(summaries: Sequence[Summary], title: str) -> str:
    """An SVG drawing of all measures; the dashed line is the rival's mean, an orange dot a red lamp."""
    metrics = [metric for metric in METRICS.values() if any(s.metric == metric.name for s in summaries)]
    methods = list(dict.fromkeys(s.method for s in summaries))
    width = _NAME + len(metrics) * (_PANEL + _GAP)
    height = _TOP + len(methods) * _ROW + 34
    legend = f"Means with 95 % intervals over patients. Dashed: {RIVAL}. Orange: the lamp is red at this mean."
    parts = [text_at(8, 20, title, 14), text_at(8, height - 6, legend, 9)]
    parts += [text_at(8, _y(row), name, 11) for row, name in enumerate(methods)]
    for column, metric in enumerate(metrics):
        members = {s.method: s for s in summaries if s.metric == metric.name}
        parts += _panel(_NAME + column * (_PANEL + _GAP), metric, methods, members)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" fill="{_INK}">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(left: int, metric: Metric, methods: Sequence[str], members: dict[str, Summary]) -> list[str]:
    means = {name: s.mean for name, s in members.items() if s.mean is not None}
    low = min((mean.low for mean in means.values()), default=0.0)
    high = max((mean.high for mean in means.values()), default=1.0)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return left + (value - low) / span * _PANEL

    bottom = _TOP + len(methods) * _ROW
    better = "right" if metric.direction == "higher" else "left"
    parts = [
        text_at(left, _TOP - 22, metric.title, 11),
        text_at(left, _TOP - 9, f"better to the {better}", 9),
        line_from(left, bottom, left + _PANEL, bottom, _FAINT),
        text_at(left, bottom + 13, f"{low:.2f}", 9),
        text_at(left + _PANEL, bottom + 13, f"{high:.2f}", 9, anchor="end"),
    ]
    if RIVAL in means:
        parts.append(line_from(x(means[RIVAL].value), _TOP - 4, x(means[RIVAL].value), bottom, _FAINT, dash=True))
    for row, name in enumerate(methods):
        if name in means:
            mean, colour = means[name], _BAD if members[name].state == "bad" else _GOOD
            y = _y(row) - 4
            parts.append(line_from(x(mean.low), y, x(mean.high), y, colour))
            parts.append(f'<circle cx="{x(mean.value):.1f}" cy="{y}" r="3.5" fill="{colour}"/>')
    return parts


def _y(row: int) -> int:
    return _TOP + row * _ROW + 13


def text_at(x: float, y: float, text: str, size: int, anchor: str = "start") -> str:
    """An SVG text with its baseline at (x, y)."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'


def line_from(x1: float, y1: float, x2: float, y2: float, colour: str, *, dash: bool = False) -> str:
    """An SVG line."""
    style = ' stroke-dasharray="3 3"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="1.5"{style}/>'
    )
