"""Windows and roundings of the threshold search: nothing that counts is ever left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.dissection.cells import rounded_down
from xrayinterp.dissection.thresholds import Window


@given(
    low=st.floats(1e-40, 1e6), steps=st.integers(0, 10**13), bins=st.integers(1, 4096), seed=st.integers(0, 2**32 - 1)
)
def test_a_window_around_a_bin_holds_all_that_is_in_it(low: float, steps: int, bins: int, seed: int) -> None:
    # Pixels are float32 times n / 256, so none that differ lie closer than 1e-48.
    high = low + steps * np.spacing(low)
    window = Window(np.array([low]), np.array([high]), bins)
    values = np.clip(np.random.default_rng(seed).uniform(low, high, 200), low, high)
    values = np.concatenate([values, [low, high, np.nextafter(low, high), np.nextafter(high, low)]])
    unit = np.zeros(len(values), dtype=np.int64)
    bin_ = window.bin(values, unit)
    for chosen in np.unique(bin_):
        around = window.around(np.array([chosen]))
        own = values[bin_ == chosen]
        assert (own >= around.low[0]).all() and (own <= around.high[0]).all()
        assert around.low[0] >= low and around.high[0] <= high


def test_a_window_around_nothing_holds_nothing() -> None:
    around = Window(np.array([0.0, np.inf]), np.array([1.0, np.inf])).around(np.array([-1, -1]))
    assert (around.low == np.inf).all() and (around.high == np.inf).all()


@given(st.floats(width=32, allow_nan=False), st.floats(allow_nan=False, min_value=-1e30, max_value=1e30))
def test_float32_exceeds_a_level_as_it_exceeds_the_level_rounded_down(value: float, level: float) -> None:
    down = rounded_down(np.array([level]))[0]
    assert down <= level
    assert (np.float32(value) > down) == (float(value) > level)


def test_infinite_levels_stay_infinite() -> None:
    assert rounded_down(np.array([np.inf, -np.inf])).tolist() == pytest.approx([np.inf, -np.inf])
