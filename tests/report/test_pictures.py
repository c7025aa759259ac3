from __future__ import annotations

import io

import numpy as np
from PIL import Image

from xrayinterp.imaging.geometry import Frame, frame
from xrayinterp.report import colours, pictures

GREY = np.full((60, 40), 128, np.uint8)
SQUARE = frame(60, 40)  # rows 10 to 50, all columns


def test_limit_is_robust_but_never_zero_for_a_lit_map() -> None:
    values = np.ones((100, 100), np.float32)
    values[0, 0] = 1000
    assert pictures.limit_of(values) == 1
    spot = np.zeros((100, 100), np.float32)
    spot[0, 0] = -5
    assert pictures.limit_of(spot) == 5
    assert pictures.limit_of(np.zeros((7, 7), np.float32)) == 0
    assert pictures.limit_of(np.full((7, 7), np.nan, np.float32)) == 0


def test_overlay_colours_support_orange_and_opposition_blue() -> None:
    values = np.array([[1.0, -1.0], [0.0, 0.0]], np.float32)
    picture = pictures.overlaid(GREY, values, SQUARE, signed=True).astype(int)
    red, _, blue = picture[20, 10]
    assert red > blue
    red, _, blue = picture[20, 30]
    assert blue > red
    assert (picture[40, 5:35] == 128).all()  # zero is transparent


def test_a_map_of_zeros_leaves_the_film_as_it_is_but_for_the_frame() -> None:
    zeros = np.zeros((7, 7), np.float32)
    expected = pictures.film(GREY, SQUARE)
    assert (pictures.overlaid(GREY, zeros, SQUARE, signed=True) == expected).all()
    assert (pictures.outlined(GREY, zeros, SQUARE) == expected).all()


def test_the_frame_is_drawn_only_where_it_cuts() -> None:
    colour = colours.rgb(colours.FRAME)
    assert tuple(pictures.film(GREY, SQUARE)[10, 20]) == colour
    assert (pictures.film(GREY, frame(60, 40, "pad")) == 128).all()


def test_outline_runs_where_the_map_falls_to_half() -> None:
    y, x = np.mgrid[0:200, 0:200] - 99.5
    radius = np.hypot(y, x)
    disc = np.clip(1 - radius / 80, 0, 1).astype(np.float32)
    expected = 80 * (1 - 0.5 * pictures.limit_of(disc))
    whole = Frame(0, 0, 200, 200, 200)
    counts = []
    for sign, colour in ((1, colours.SUPPORTS), (-1, colours.OPPOSES)):
        picture = pictures.outlined(np.full((200, 200), 90, np.uint8), np.float32(sign) * disc, whole).astype(int)
        drawn = np.abs(picture - colours.rgb(colour)).sum(axis=-1) < 30
        counts.append(int(drawn.sum()))
        assert np.abs(radius[drawn] - expected).max() < 2
    supports, opposes = counts
    assert supports > 1.5 * opposes > 100  # opposition is dashed


def test_region_outlines_both_signs() -> None:
    values = np.zeros((8, 8), np.float32)
    values[1:3, 1:3], values[5:7, 5:7] = 0.2, -0.1
    picture = pictures.region(np.zeros((160, 160), np.uint8), values, Frame(0, 0, 160, 160, 160)).astype(int)
    assert (np.abs(picture - colours.rgb(colours.SUPPORTS)).sum(axis=-1) < 30)[:80, :80].any()
    assert (np.abs(picture - colours.rgb(colours.OPPOSES)).sum(axis=-1) < 30)[80:, 80:].any()


def test_scaled_keeps_the_square_in_place() -> None:
    display, square = pictures.scaled(GREY, SQUARE, 300)
    assert display.shape == (300, 200)
    assert (square.top, square.left, square.side) == (50, 0, 200)


def test_colour_bar_is_the_overlay_of_a_ramp() -> None:
    bar = pictures.colour_bar(signed=True, width=201, height=3)
    assert bar.shape == (3, 201, 3)
    assert (bar[:, 100] == 128).all()
    assert bar[0, 0, 2] > bar[0, 0, 0]
    assert bar[0, -1, 0] > bar[0, -1, 2]


def test_png_is_lossless_and_repeatable() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    data = pictures.png(picture)
    assert data == pictures.png(picture)
    assert (np.asarray(Image.open(io.BytesIO(data))) == picture).all()
