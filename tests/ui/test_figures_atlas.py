"""Figures of an atlas: every mark where its number says, and nothing where there is no number."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from helpers.atlases import COUNTS, counted_atlas

from xrayinterp.dissection.exemplars import Exemplar
from xrayinterp.dissection.inventory import inventory
from xrayinterp.dissection.unit_index import unit_entries
from xrayinterp.models.card import Interval
from xrayinterp.report.colours import OPPOSES, SUPPORTS
from xrayinterp.ui.figures_atlas import (
    ACCENT,
    PALE,
    Fit,
    beside_figure,
    drives_figure,
    fits_figure,
    inventory_figure,
    ordered,
)  # fmt: skip
from xrayinterp.ui.figures_exemplars import LINE, exemplar_picture
from xrayinterp.ui.figures_parts import SELECTED, UNNAMED

LAYERS = inventory(counted_atlas())


def spec(figure: go.Figure) -> dict:
    return json.loads(figure.to_json())


def bars(figure: dict, colour: str) -> dict:
    return next(t for t in figure["data"] if t["marker"].get("color") == colour)


def test_undetectable_concepts_come_last_and_have_no_bar():
    assert ordered(LAYERS)[-1] == "Nodule"
    figure = spec(inventory_figure(LAYERS, None))
    row = ordered(LAYERS).index("Nodule")
    assert row not in bars(figure, PALE)["y"]
    assert [a["text"] for a in figure["layout"]["annotations"]].count("undetectable") == len(COUNTS)


def test_bars_are_as_long_as_counts_and_their_dark_part_is_family_wise():
    figure = spec(inventory_figure(LAYERS, None))
    most, strict = bars(figure, PALE), bars(figure, ACCENT)
    lengths = dict(zip(zip(most["y"], np.round(most["base"], 6), strict=True), most["x"], strict=True))
    row = ordered(LAYERS).index("Effusion")
    ends = sorted(length for (y, _), length in lengths.items() if y == row)
    assert ends[1] == pytest.approx(3 * ends[0])  # 3 in the last layer, 1 before it
    assert all(s <= m + 1e-9 for s, m in zip(strict["x"], most["x"], strict=True))


def test_every_cell_can_be_picked_and_the_chosen_one_is_marked():
    figure = spec(inventory_figure(LAYERS, ("norm5", "Effusion")))
    cells = figure["data"][0]["customdata"]
    assert len(cells) == 2 * 4
    marked = [c for c, colour in zip(cells, figure["data"][0]["marker"]["color"], strict=True) if colour == SELECTED]
    assert marked == ["norm5\tEffusion"]


def test_a_tick_stands_where_chance_is_known_and_anatomy_has_none():
    detectable = [line for layer in LAYERS for line in layer.lines if line.found.detectable]
    ticks = spec(inventory_figure(LAYERS, None))["layout"]["shapes"]
    assert len(ticks) == sum(line.expected is not None for line in detectable) == 4


def test_a_fit_has_interval_dot_and_tick_in_order_and_detectors_stand_out():
    entry = unit_entries(counted_atlas({"norm5": {"Effusion": 1}}))[0]
    figure = spec(fits_figure([Fit.of(row) for row in entry.rows]))
    interval, dots = figure["data"][2], figure["data"][3]
    assert interval["base"][0] < dots["x"][0] < interval["base"][0] + interval["x"][0]
    assert figure["layout"]["shapes"][0]["x0"] < interval["base"][0]  # chance ends below
    assert dots["marker"]["color"] == [ACCENT, *[UNNAMED] * 3]
    assert fits_figure([]).layout.height > 0


def test_what_a_unit_drives_is_coloured_by_its_sign():
    figure = spec(drives_figure([("Effusion", Interval(0.2, 0.1, 0.3)), ("Mass", Interval(-0.1, -0.2, 0.05))]))
    assert figure["data"][1]["marker"]["color"] == [SUPPORTS, OPPOSES]
    assert [a["text"] for a in figure["layout"]["annotations"]][1::2] == ["+0.200", "−0.100"]
    assert drives_figure([]).layout.height > 0


def test_two_models_stand_on_one_scale():
    first, second = LAYERS[1], inventory(counted_atlas({"norm5": {"Effusion": 1, "Lungs": 6}}))[0]
    figure = spec(beside_figure(first, second))
    a, b = figure["data"][1], figure["data"][2]
    names = figure["data"][0]["customdata"]
    row = names.index("Effusion")
    length = {trace: t["x"][[round(y) for y in t["y"]].index(row)] for trace, t in (("a", a), ("b", b))}
    assert length["a"] == pytest.approx(3 * length["b"])
    assert b["marker"]["pattern"]["shape"] == "/"
    assert "– · –" in [note["text"] for note in figure["layout"]["annotations"]]


def test_markup_in_a_concept_is_only_its_name():
    atlas = counted_atlas()
    rows = tuple(row.__class__(**{**vars(row), "concept": f"a<b>{row.concept}"}) for row in atlas.rows)
    layers = inventory(counted_atlas(rows=rows))
    text = json.dumps([spec(inventory_figure(layers, None))["layout"], spec(beside_figure(*layers))["layout"]])
    assert "<b>" not in text


def test_an_exemplar_is_outlined_on_its_film():
    square = np.array([[10.0, 10.0], [30.0, 10.0], [30.0, 30.0], [10.0, 30.0], [10.0, 10.0]])
    crop = np.full((40, 80), 0.5, dtype=np.float32)
    picture = exemplar_picture(Exemplar("f", crop, (0, 0, 80, 40), contours=(square,)), height=80, widest=400)
    assert picture.shape == (80, 160, 3)
    assert tuple(picture[20, 40]) == LINE
    assert tuple(picture[70, 150]) == (128, 128, 128)
    with pytest.raises(ValueError, match="not at hand"):
        exemplar_picture(Exemplar("f"))
