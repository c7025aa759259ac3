from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.fake_explanation import fake_explanation, fake_radiograph
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xrayinterp.anatomy import anatomy_of
from xrayinterp.explanation import SaliencyMap
from xrayinterp.imaging.geometry import frame
from xrayinterp.models.segmentation import DETAIL, HEART, LEFT, RIGHT, Segmentation, on_grid
from xrayinterp.ui.film import marks_of, outlines, viewer_message, windows


def message(**changes):
    explanation = fake_explanation()
    square = frame(*explanation.radiograph.shape, "crop")
    asked = {"saliency": explanation.maps[0], "finding": "Effusion"} | changes
    return explanation, viewer_message(explanation.radiograph, square, **asked)


def test_the_film_arrives_unchanged_and_the_message_is_json():
    explanation, said = message()
    with Image.open(io.BytesIO(base64.b64decode(said["film"]["png"]))) as image:
        np.testing.assert_array_equal(np.asarray(image), explanation.radiograph.display)
    assert len(json.dumps(said)) < 2_000_000


def test_a_large_noisy_film_stays_under_two_megabytes():
    rng = np.random.default_rng(0)
    smooth = fake_radiograph(height=1024, width=1024)
    noisy = np.clip(smooth.display + rng.normal(0, 6, smooth.display.shape), 0, 255).astype(np.uint8)
    film = replace(smooth, display=noisy)
    assert len(json.dumps(viewer_message(film, frame(1024, 1024)))) < 2_000_000


def test_map_values_arrive_unchanged_with_their_sign():
    explanation, said = message()
    got = np.frombuffer(base64.b64decode(said["map"]["values"]), "<f4").reshape(7, 7)
    np.testing.assert_array_equal(got, explanation.maps[0].values)
    assert said["map"]["signed"]
    palette = np.frombuffer(base64.b64decode(said["map"]["palette"]), np.uint8).reshape(256, 4)
    low, middle, high = palette[0], palette[128], palette[255]
    assert low[2] > low[0]  # blue opposes
    assert high[0] > high[2]  # orange supports
    assert middle[3] < 20  # zero is transparent, not red and not black
    assert low[3] == high[3] == 255


def test_an_unsigned_map_has_a_sequential_palette():
    explanation, _ = message()
    _, said = message(saliency=explanation.maps[1])
    palette = np.frombuffer(base64.b64decode(said["map"]["palette"]), np.uint8).reshape(256, 4)
    assert palette[0, 3] == 0
    assert palette[255].tolist() == [255, 233, 69, 255]
    assert said["map"]["low"] == "0"


def test_without_a_map_there_is_only_the_film():
    _, said = message(saliency=None)
    assert said["map"] is None
    assert "map" not in said["alt"].lower()


def test_a_flat_map_has_no_outlines_and_says_so():
    flat = SaliencyMap("gradcam_signed", np.zeros((7, 7), np.float32), signed=True, options={})
    _, said = message(saliency=flat)
    assert said["map"]["supports"] == said["map"]["opposes"] == []
    assert "zero everywhere" in said["alt"]


@pytest.mark.parametrize(("height", "width", "fit"), [(560, 464, "crop"), (560, 464, "pad"), (300, 600, "crop")])
def test_an_outline_lies_about_the_cell_it_belongs_to(height: int, width: int, fit):
    square = frame(height, width, fit)
    values = np.zeros((7, 7), np.float32)
    values[3, 3] = 1.0
    (line,) = outlines(values, square, 0.5)
    x, y = np.mean(np.array(line)[:-1], axis=0)
    assert x == pytest.approx(square.left + square.side / 2, abs=2)
    assert y == pytest.approx(square.top + square.side / 2, abs=2)
    assert line[0] == line[-1]
    assert outlines(values, square, -0.5) == []
    assert len(outlines(-values, square, -0.5)) == 1


def test_a_region_at_the_edge_is_closed():
    square = frame(100, 100)
    values = np.zeros((10, 10), np.float32)
    values[0, :] = 1.0
    for line in outlines(values, square, 0.5):
        assert line[0] == line[-1]
        assert all(-1 <= x <= 101 and -1 <= y <= 101 for x, y in line)


def test_a_region_that_fires_nowhere_says_so():
    _, said = message(region=("Effusion", np.zeros((56, 56), np.float32)))
    assert said["region"] == {"supports": [], "opposes": []}
    assert "fire nowhere" in said["alt"]


@given(st.lists(st.integers(0, 255), min_size=4, max_size=64))
def test_windows_are_valid_whatever_the_film(values: list[int]):
    for window in windows(np.array([values], dtype=np.uint8)):
        assert 0 <= window.black < window.white <= 255


@pytest.mark.parametrize(
    ("side", "orientation", "marks"),
    [
        ("unverified", None, ("", "")),
        ("unverified", ("L", "F"), ("R · header", "L · header")),
        ("unverified", ("R", "F"), ("L · header", "R · header")),
        ("unverified", ("A", "F"), ("", "")),
        ("usual", ("R", "F"), ("R · reader", "L · reader")),
        ("mirrored", None, ("L · reader", "R · reader")),
    ],
)
def test_sides_are_named_only_where_somebody_named_them(side, orientation, marks):
    assert marks_of(side, orientation) == marks


def test_the_message_never_names_a_file():
    _, said = message()
    assert set(said["film"]) == {"id", "png"}


def test_lungs_and_heart_are_outlined_on_the_film_where_they_are():
    height, width = fake_radiograph().shape
    square = frame(height, width, "pad")
    boxes = {LEFT: (100, 300, 80, 180), RIGHT: (100, 300, 280, 400), HEART: (200, 340, 190, 330)}
    masks = {}
    for name, (top, bottom, left, right) in boxes.items():
        masks[name] = np.zeros((height, width), dtype=bool)
        masks[name][top:bottom, left:right] = True
    segmentation = Segmentation(square, {name: on_grid(mask, square) for name, mask in masks.items()})
    anatomy = anatomy_of(segmentation, frame(height, width), [], {})
    _, said = message(anatomy=anatomy)
    (heart,) = said["anatomy"]["heart"]
    xs, ys = np.array(heart).T
    expected = (190, 330, 200, 340)
    np.testing.assert_allclose((xs.min(), xs.max(), ys.min(), ys.max()), expected, atol=square.side / DETAIL)
    assert len(said["anatomy"]["lungs"]) == 2
    json.dumps(said["anatomy"])
    assert message()[1]["anatomy"] is None
    nothing = anatomy_of(
        Segmentation(square, {name: 0 * mask > 0 for name, mask in segmentation.masks.items()}), square, [], {}
    )
    assert message(anatomy=nothing)[1]["anatomy"] is None
