"""A study as one picture: a panel a quantity, a row an arm, a dot a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..evaluation.figure import line_from, text_at
from .contrasts import Quantity
from .questions import Arm, Kind, Panel, Study
from .store import Result

Runs = Mapping[str, Mapping[int, Result]]

_ROW, _NAME, _PANEL, _GAP, _TOP = 22, 250, 190, 28, 66
_INK, _FAINT, _CHANCE = "#1f2933", "#c5ced6", "#b3542f"
_COLOURS: Mapping[Kind, str] = {
    "arm": "#2f6f9f",
    "before training": "#7b8794",
    "null": "#b3542f",
    "upper line": "#5a8f3c",
    "mistake": "#8a5fa8",
}
_LEGEND: Mapping[Kind, str] = {
    "arm": "arm",
    "before training": "before training",
    "null": "trained on shuffled targets",
    "upper line": "saw pathology labels",
    "mistake": "as the original did",
}


def drawing(study: Study, runs: Runs) -> str:
    """An SVG of a study's panels: a dot a seed, a bar at their mean, a red tick where permuted masks are."""
    arms = [arm for arm in study.arms if runs.get(arm.name)]
    width = _NAME + len(study.panels) * (_PANEL + _GAP)
    bottom = _TOP + len(arms) * _ROW
    height = bottom + 60
    parts = [text_at(8, 20, study.title, 14)]
    parts += [text_at(8, _y(row) + 4, arm.name, 11) for row, arm in enumerate(arms)]
    for column, panel in enumerate(study.panels):
        parts += _panel(_NAME + column * (_PANEL + _GAP), panel, arms, runs)
    parts += _legend(bottom + 34, [arm.kind for arm in arms])
    note = "A dot a seed, a bar at their mean. Dashed: units with IoU > .04 on permuted masks, where the panel counts."
    parts.append(text_at(8, height - 6, note, 9))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" fill="{_INK}">\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


def _panel(left: int, panel: Panel, arms: Sequence[Arm], runs: Runs) -> list[str]:
    values = {arm.name: _values(panel.quantity, runs[arm.name]) for arm in arms}
    chance = {arm.name: _values(_permuted(panel.quantity), runs[arm.name]) for arm in arms} if _counts(panel) else {}
    known = [value for found in (*values.values(), *chance.values()) for value in found]
    low = min([*known, 0.0]) if _counts(panel) else min(known, default=0.0)
    high = max(known, default=1.0)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return left + (value - low) / span * _PANEL

    bottom = _TOP + len(arms) * _ROW
    digits = 0 if _counts(panel) else 2
    parts = [
        text_at(left, _TOP - 26, panel.title, 10),
        text_at(left, _TOP - 13, f"{panel.better} is better" if not _counts(panel) else "", 9),
        line_from(left, bottom, left + _PANEL, bottom, _FAINT),
        text_at(left, bottom + 13, f"{low:.{digits}f}", 9),
        text_at(left + _PANEL, bottom + 13, f"{high:.{digits}f}", 9, anchor="end"),
    ]
    for row, arm in enumerate(arms):
        parts += _dots(values[arm.name], _y(row), x, _COLOURS[arm.kind])
        if chance.get(arm.name):
            at = x(float(np.mean(chance[arm.name])))
            parts.append(line_from(at, _y(row) - 8, at, _y(row) + 8, _CHANCE, dash=True))
    return parts


def _dots(values: Sequence[float], y: float, x: Callable[[float], float], colour: str) -> list[str]:
    if not values:
        return []
    mean = x(float(np.mean(values)))
    bar = f'<line x1="{mean:.1f}" y1="{y - 7}" x2="{mean:.1f}" y2="{y + 7}" stroke="{colour}" stroke-width="3"/>'
    circles = [f'<circle cx="{x(v):.1f}" cy="{y}" r="3.5" fill="{colour}" fill-opacity="0.55"/>' for v in values]
    return [bar, *circles]


def _legend(y: int, kinds: Sequence[Kind]) -> list[str]:
    parts, left = [], 8
    for kind in dict.fromkeys(kinds):
        parts.append(f'<circle cx="{left + 4}" cy="{y - 4}" r="4" fill="{_COLOURS[kind]}"/>')
        parts.append(text_at(left + 14, y, _LEGEND[kind], 10))
        left += 170
    return parts


def _values(quantity: Quantity, results: Mapping[int, Result]) -> list[float]:
    found = [quantity.of(result) for _, result in sorted(results.items())]
    return [value for value in found if value is not None]


def _permuted(quantity: Quantity) -> Quantity:
    return Quantity("permuted", "", quantity.margin, quantity.probe, quantity.layer)


def _counts(panel: Panel) -> bool:
    return panel.quantity.kind == "detectors"


def _y(row: int) -> int:
    return _TOP + row * _ROW + 11
