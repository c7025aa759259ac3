from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest
from helpers.fake_explanation import fake_explanation, fake_severity_explanation

from xrayinterp.explanation import Severity
from xrayinterp.report.charts import reach, share_bars, share_label
from xrayinterp.report.colours import OPPOSES, SUPPORTS
from xrayinterp.ui.figures import findings_figure, severity_figure, shares_figure, total_figure
from xrayinterp.ui.figures_parts import BAND, NEUTRAL, TRACK
from xrayinterp.ui.rows import FindingRow, arrange

RIGHT = 0.86
"""Where the scale of the concept chart ends, as a share of its width."""


def spec(figure: go.Figure) -> dict[str, Any]:
    return json.loads(figure.to_json())


@pytest.fixture(scope="module")
def rows() -> tuple[FindingRow, ...]:
    return arrange(fake_explanation().predictions, "Effusion").listed


def trace(figure: dict[str, Any], colour: str) -> dict[str, Any]:
    return next(t for t in figure["data"] if t["marker"]["color"] == colour)


def test_findings_bars_end_right_of_the_tick_exactly_where_flagged(rows):
    figure = spec(findings_figure(rows, "Effusion"))
    tick = figure["layout"]["shapes"][0]["x0"]
    values = figure["data"][3]
    ends = [base + length for base, length in zip(values["base"], values["x"], strict=True)]
    for row, end, colour in zip(rows, ends, values["marker"]["color"], strict=True):
        assert (colour == SUPPORTS) == (row.state == "above")
        if row.state == "above":
            assert end > tick
        if row.state == "below":
            assert end < tick
            assert colour == NEUTRAL


def test_the_not_sure_band_lies_about_the_tick_and_inside_the_track(rows):
    figure = spec(findings_figure(rows, "Effusion"))
    tick = figure["layout"]["shapes"][0]["x0"]
    track, band = trace(figure, TRACK), trace(figure, BAND)
    left, right = track["base"][0], track["base"][0] + track["x"][0]
    for start, length in zip(band["base"], band["x"], strict=True):
        assert left <= start < tick < start + length <= right


def test_one_line_a_finding_is_clickable_over_its_whole_width_and_the_selected_is_marked(rows):
    figure = spec(findings_figure(rows, "Fibrosis"))
    lines = figure["data"][0]
    assert lines["customdata"] == [row.finding for row in rows]
    assert set(lines["x"]) == {1}
    marked = [name for name, c in zip(lines["customdata"], lines["marker"]["color"], strict=True) if "0.16" in c]
    assert marked == ["Fibrosis"]
    assert all(t["hoverinfo"] == "skip" for t in figure["data"][1:])


def test_hover_and_labels_cannot_smuggle_markup(rows):
    evil = replace(rows[0], finding="x", label="<b>x</b>", detail=("<script>",))
    text = findings_figure([evil], "x").to_json()
    assert "<script>" not in json.loads(text)["data"][0]["hovertext"][0]
    assert "&lt;b&gt;" in json.loads(text)["layout"]["annotations"][0]["text"]


@pytest.mark.parametrize("from_zero", [False, True])
def test_share_bars_add_up_on_the_scale_and_signs_are_written(from_zero: bool):
    semantic = fake_explanation().semantic
    bars = share_bars(semantic, from_zero=from_zero)
    figure = spec(shares_figure(bars, "Effusion", reach(bars)))
    zero = figure["layout"]["shapes"][0]["x0"]
    unit = (RIGHT - zero) / (1.04 * reach(bars))
    drawn = [0.0] * len(bars)
    for piece in figure["data"][1:]:
        for y, length in zip(piece["y"], piece["x"], strict=True):
            drawn[y] += length / unit
    assert drawn == pytest.approx([bar.value for bar in bars], abs=1e-9)
    expected = semantic.logit if from_zero else semantic.logit - semantic.reference_logit
    assert sum(drawn) == pytest.approx(expected, rel=1e-6)
    values = [a["text"] for a in figure["layout"]["annotations"] if a["xanchor"] == "right"]
    assert all(text[0] in "+−0" for text in values)


def test_orange_supports_and_blue_opposes_solid_first_then_hatched():
    bars = share_bars(fake_explanation().semantic)
    figure = spec(shares_figure(bars, None, reach(bars)))
    for piece in figure["data"][1:]:
        for y, length, colour in zip(piece["y"], piece["x"], piece["marker"]["color"], strict=True):
            if bars[y].kind == "concept":
                assert colour == (SUPPORTS if length > 0 else OPPOSES)
            else:
                assert colour not in (SUPPORTS, OPPOSES)
    assert "pattern" not in figure["data"][1]["marker"]
    assert figure["data"][2]["marker"]["pattern"]["shape"] == "/"


def test_only_concepts_can_be_picked():
    bars = share_bars(fake_explanation().semantic, from_zero=True)
    names = spec(shares_figure(bars, None, reach(bars)))["data"][0]["customdata"]
    assert names[-2:] == ["", ""]
    assert all(names[:-2])
    assert [share_label(bar) for bar in bars][-2:] == ["No concept", "Bias"]


def test_severity_zones_lie_where_the_lungs_are():
    severity = fake_severity_explanation().severity
    figure = spec(severity_figure(severity))
    at = {a["text"][0]: (a["x"], a["y"]) for a in figure["layout"]["annotations"]}
    assert all(at[zone][0] < 0.5 for zone in "ABC")
    assert all(at[zone][0] > 0.5 for zone in "DEF")
    assert at["A"][1] < at["B"][1] < at["C"][1]
    assert [a["text"] for a in figure["layout"]["annotations"]] == [
        f"{zone}   <b>{severity.zones[zone]:.1f}</b>" for zone in "ABCDEF"
    ]


def test_total_marks_the_score_and_its_interval_within_the_scale():
    figure = spec(total_figure(Severity(dict.fromkeys("ABCDEF", 1.0), 17.0, (14.0, 21.0))))
    assert figure["layout"]["shapes"][0]["x0"] == 17.0
    band = trace(figure, BAND)
    assert (band["base"], band["x"]) == ([14.0], [4.0])


def test_no_interval_no_band():
    figure = spec(total_figure(Severity(dict.fromkeys("ABCDEF", 1.0), 6.0, None)))
    assert len(figure["data"]) == 1


@pytest.mark.parametrize("empty", [findings_figure((), ""), shares_figure((), None, 1.0)])
def test_empty_charts_are_figures_too(empty: go.Figure):
    assert empty.layout.height > 0


def test_figures_have_no_background_of_their_own(rows):
    figure = spec(findings_figure(rows, "Effusion"))
    assert figure["layout"]["paper_bgcolor"] == figure["layout"]["plot_bgcolor"] == "rgba(0,0,0,0)"
