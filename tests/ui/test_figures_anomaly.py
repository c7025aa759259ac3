"""Figures and viewer messages of unusualness, from made-up figures."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.fake_explanation import fake_explanation

from xrayinterp.anomaly.model import PointScore
from xrayinterp.anomaly.reference import Reference
from xrayinterp.imaging.geometry import frame
from xrayinterp.ui.figures_anomaly import histogram_figure, point_name, points_figure
from xrayinterp.ui.film import Layer, viewer_message
from xrayinterp.ui.unusual import UnusualMap

POINTS = (PointScore("features.transition2.relu", 1.0, 0.5), PointScore("features.norm5", -2.0, 3.0))
FIVE = (0.1, 0.2, 0.3, 0.4, 0.9)


def test_every_reference_film_is_counted_and_the_film_marked() -> None:
    scores = np.random.default_rng(0).normal(size=200)
    figure = histogram_figure(scores, 2.5)
    assert int(np.sum(figure.data[0].y)) == 200
    assert figure.layout.shapes[0].x0 == 2.5
    assert figure.layout.annotations[0].text == "this film"


@pytest.mark.parametrize("score", [-50.0, 50.0])
def test_a_film_beyond_all_others_is_on_the_axis(score: float) -> None:
    figure = histogram_figure(np.array([1.0, 1.0, 1.0]), score)
    x, width = np.asarray(figure.data[0].x), figure.data[0].width
    assert x.min() - width <= score <= x.max() + width


def test_bars_of_points_start_at_zero_and_bands_are_those_of_the_reference() -> None:
    reference = Reference(
        tensors_sha256=None,
        films=9,
        maps=1,
        value=(FIVE, FIVE),
        direction=(FIVE, FIVE),
        floors={"gradient": 0.0},
        limits={"gradient": 1.0},
    )
    bare, full = points_figure(POINTS, None), points_figure(POINTS, reference)
    labels = [note.text for note in full.layout.annotations[::2]]
    assert labels == ["Block 2, values", "Block 2, direction", "Last block, values", "Last block, direction"]
    assert [note.text for note in full.layout.annotations[1::2]] == ["1.000", "0.500", "−2.000", "3.000"]
    assert list(full.data[1].x) == pytest.approx([full.data[1].x[0]] * 4)
    assert len(bare.data[1].x) == 0
    assert len(full.layout.shapes) - len(bare.layout.shapes) == 8  # a tick at 5 and at 95 % a row, above the bars
    lengths = np.asarray(full.data[2].x)
    assert lengths[1] / lengths[0] == pytest.approx(0.5)
    assert lengths[2] / lengths[0] == pytest.approx(-2.0)
    assert len(set(np.asarray(full.data[2].base))) == 1


def test_points_by_name() -> None:
    assert point_name("features.transition3.relu") == "Block 3"
    assert point_name("30") == "Layer 30"


def test_a_layer_takes_the_place_of_the_map_on_its_own_scale() -> None:
    explanation = fake_explanation()
    film = explanation.radiograph
    values = np.zeros((16, 16), np.float32)
    values[4:9, 4:9] = 3.0
    made = UnusualMap("gradient", values, frame(*film.shape), 1.0, 4.0, 60)
    message = viewer_message(
        film, frame(*film.shape, "pad"), saliency=explanation.maps[0], finding="Effusion", layer=made.layer("now", 0.5)
    )
    told = message["map"]
    assert (told["floor"], told["peak"], told["signed"], told["asked"]) == (1.0, 4.0, False, "now")
    centre = frame(*film.shape, "crop")
    assert told["frame"] == {"left": centre.left, "top": centre.top, "side": centre.side}  # not the model's
    assert told["low"] == "1 and below"
    assert told["label"] == "Unusualness · Gradient · 16 × 16"
    assert told["high"] == "4 and above"
    assert len(message["contour"]["supports"]) == 1
    assert message["contour"]["opposes"] == []
    assert "Effusion" not in message["alt"] and "Map of unusualness, strongest in the" in message["alt"]
    assert viewer_message(film, frame(*film.shape, "crop"))["contour"] is None


def test_a_share_of_the_scale_counts_from_where_it_begins() -> None:
    values = np.zeros((9, 9), np.float32)
    values[3:6, 3:6] = 2.0
    made = UnusualMap("difference", values, frame(9, 9), 1.0, 3.0, 60)
    assert made.set_off(0.5).sum() == 5  # half of 1 to 3 is 2; the opening leaves a plus
    assert not made.set_off(0.55).any()


def test_a_map_of_zeros_marks_nothing() -> None:
    empty = UnusualMap("guided", np.zeros((8, 8), np.float32), frame(8, 8), 0.0, 0.0, 0)
    assert not empty.set_off(0.5).any()
    layer = empty.layer("now")
    assert isinstance(layer, Layer)
    assert layer.outline is None
    assert "zero everywhere" in layer.alt
