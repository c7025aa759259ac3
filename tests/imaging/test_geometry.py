"""The square that a model sees, and the way back."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.imaging.decode import grid
from xrayinterp.imaging.geometry import cut, frame, paste

sides = st.integers(1, 60)
fits = st.sampled_from(["crop", "pad"])


@given(sides, sides, fits)
def test_paste_undoes_cut_wherever_the_square_saw_the_film(height: int, width: int, fit: str):
    film = np.arange(1, height * width + 1, dtype=np.float32).reshape(height, width)
    square = frame(height, width, fit)
    back = paste(cut(film, square), square)
    seen = ~np.isnan(back)
    np.testing.assert_array_equal(back[seen], film[seen])
    assert seen.all() == (fit == "pad" or height == width)
    assert seen.sum() == (height * width if fit == "pad" else min(height, width) ** 2)


@given(sides, sides)
def test_the_square_is_centred_and_pad_is_black(height: int, width: int):
    crop, pad = frame(height, width, "crop"), frame(height, width, "pad")
    assert crop.side == min(height, width)
    assert pad.side == max(height, width)
    assert abs(2 * crop.top + crop.side - height) <= 1
    assert abs(2 * pad.left + pad.side - width) <= 1
    padded = cut(np.ones((height, width), dtype=np.float32), pad)
    assert padded.sum() == height * width
    assert crop.cuts == (height != width)
    assert not pad.cuts


@given(st.integers(32, 9000), st.integers(32, 9000), st.floats(0.25, 4))
def test_the_grid_is_square_pixels_of_at_most_1024(rows: int, columns: int, aspect: float):
    height, width = grid(rows, columns, aspect)
    assert max(height, width) <= 1024
    tallness = rows * aspect / columns
    assert abs(np.log(height / width) - np.log(tallness)) < np.log1p(1 / min(height, width))
    if max(rows, columns) <= 256:
        assert height >= rows
        assert width >= columns
