"""Films to inputs, and maps back to films."""

from __future__ import annotations

import numpy as np
import torch

from xrayinterp.imaging.geometry import Frame, frame
from xrayinterp.models.prepare import as_square, on_film, to_input

SQUARE = frame(60, 40)  # rows 10 to 50, all columns


def test_black_and_white_are_the_ends_of_the_scale_and_grey_is_its_middle() -> None:
    film = np.array([[0.0, 0.5], [0.5, 1.0]], np.float32)
    x = to_input(as_square(film), size=2, detail=None, scale=1024.0)
    assert x.tolist() == [[[[-1024.0, 0.0], [0.0, 1024.0]]]]


def test_detail_is_lost_before_the_input_is_made() -> None:
    stripes = as_square(np.tile(np.array([0.0, 1.0], np.float32), (64, 32)))
    whole = to_input(stripes, size=64, detail=None, scale=1.0)
    reduced = to_input(stripes, size=64, detail=16, scale=1.0)
    assert float(whole.std()) > 0.9
    assert float(reduced[..., 4:-4].abs().max()) < 0.1


def test_inputs_lie_in_channels_last_order() -> None:
    x = to_input(torch.rand(2, 1, 32, 32), size=32, detail=None, scale=1.0)
    assert x.stride() == (1024, 1, 32, 1)
    assert torch.cat([x, x]).stride() == (1024, 1, 32, 1)


def test_cells_are_drawn_as_they_are_and_nothing_outside_the_crop() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    full = on_film(values, SQUARE)
    assert np.isnan(full[:10]).all()
    assert np.isnan(full[50:]).all()
    assert (full[10:30, :20] == 1).all()
    assert (full[30:50, 20:] == 4).all()


def test_smooth_keeps_half_pixel_centres() -> None:
    values = np.array([[0.0, 1.0]] * 2, np.float32)
    full = on_film(values, Frame(0, 0, 4, 4, 4), smooth=True)
    assert full[0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_padding_beyond_the_film_is_cut_off() -> None:
    full = on_film(np.ones((3, 3), np.float32), frame(60, 40, "pad"))
    assert full.shape == (60, 40)
    assert np.isfinite(full).all()
