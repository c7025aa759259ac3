from __future__ import annotations

from dataclasses import replace

import pytest
from helpers.fake_explanation import fake_layer

from xrayinterp.report.colours import OPPOSES, SUPPORTS
from xrayinterp.ui.figures_pairs import pair_reach, pairs_figure

MEASURES = fake_layer().measures[0]
ROWS = (*MEASURES.concepts, MEASURES.unlabelled)


def test_each_line_has_a_filled_and_an_outlined_bar_on_one_scale() -> None:
    figure = pairs_figure(ROWS, "Effusion", pair_reach(ROWS))
    lines, filled, outlined = figure.data
    assert list(lines.customdata) == ["Effusion", "Left lung", "Cardiomegaly", ""]
    unit = filled.x[0] / ROWS[0].gradient
    for y, row in enumerate(ROWS):
        assert filled.x[y] == pytest.approx(unit * row.gradient)
        assert outlined.x[y] == pytest.approx(unit * row.ablation)
        assert filled.y[y] < y < outlined.y[y]
        assert 0.3 < filled.base + filled.x[y] < 0.9
    assert (filled.marker.color[0], filled.marker.color[1]) == (SUPPORTS, OPPOSES)
    assert outlined.marker.color == "rgba(0,0,0,0)"
    assert outlined.marker.line.color[2] == OPPOSES
    assert "disagree" in lines.hovertext[2]
    assert "disagree" not in lines.hovertext[0]


def test_names_cannot_smuggle_markup_and_an_empty_chart_is_one_too() -> None:
    figure = pairs_figure([replace(ROWS[0], concept="<b>x")], None, 1.0)
    assert "&lt;" in figure.layout.annotations[0].text
    assert pair_reach([]) == 1.0
    assert pairs_figure([], None, 1.0).layout.height > 0
