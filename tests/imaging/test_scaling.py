"""Scaling strip by strip gives what scaling the whole film gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.imaging import grey
from xrayinterp.imaging.decode import grid, resize, scaled


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 2600), st.integers(40, 1500), st.sampled_from([0.5, 1.0, 1.7]), st.integers(0, 99))
def test_strips_equal_the_whole(rows: int, columns: int, aspect: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 256, (rows, columns), dtype=np.uint8)
    curve = rng.random(256).astype(np.float32)
    height, width = grid(rows, columns, aspect)
    whole = resize(grey.look_up(curve, stored), height, width)
    assert np.abs(scaled(curve, stored, height, width) - whole).max() < 1e-4
