"""Pixel AUROC and per-region overlap: maps whose figures are known, and plain slow versions of both."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from xrayinterp.anomaly.pixel_measures import Outlined, draws, pixel_auroc, region_overlap
from xrayinterp.errors import XrayInterpError

SHAPE = (3, 8, 8)


def masks() -> np.ndarray:
    out = np.zeros(SHAPE, dtype=bool)
    out[0, 1:3, 1:3] = out[0, 6, 6] = out[1, 0, :] = out[2, 4:, 4:] = True
    return out


def brute_auroc(values: np.ndarray, inside: np.ndarray) -> float:
    pairs = values[inside][:, None] - values[~inside][None]
    return float((pairs > 0).mean() + (pairs == 0).mean() / 2)


def brute_overlap(maps: np.ndarray, shown: np.ndarray, counted: np.ndarray, limit: float) -> float:
    """The curve threshold by threshold, cut at the limit by linear interpolation."""
    curve = [(0.0, 0.0)]
    for threshold in np.unique(maps[counted])[::-1]:
        hit = (maps >= threshold) & counted
        shares = []
        for film, mask in enumerate(shown & counted):
            regions, count = ndimage.label(mask, structure=np.ones((3, 3)))
            shares += [hit[film][regions == i].mean() for i in range(1, count + 1)]
        curve.append((hit[counted & ~shown].mean(), float(np.mean(shares))))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 >= limit or x1 == x0:
            continue
        end = min(x1, limit)
        area += (end - x0) * (y0 + y0 + (y1 - y0) * (end - x0) / (x1 - x0)) / 2
    return area / limit


def test_a_perfect_map_has_one() -> None:
    perfect = Outlined(masks().astype(float), masks())
    assert pixel_auroc(perfect) == 1
    assert region_overlap(perfect) == pytest.approx(1)


def test_the_opposite_has_nought() -> None:
    worst = Outlined(-masks().astype(float), masks())
    assert pixel_auroc(worst) == 0
    assert region_overlap(worst) == 0


@pytest.mark.parametrize("limit", [0.1, 0.3, 1.0])
def test_a_constant_map_is_a_coin(limit: float) -> None:
    constant = Outlined(np.full(SHAPE, 7.0), masks())
    assert pixel_auroc(constant) == 0.5
    assert region_overlap(constant, limit=limit) == pytest.approx(limit / 2)


def test_every_region_counts_alike_however_small() -> None:
    """One of four regions found, the largest of 16 pixels, or the smallest of one: a quarter either way."""
    for part in ((2, slice(4, None), slice(4, None)), (0, 6, 6)):
        found = np.zeros(SHAPE)
        found[part] = 1
        below = np.where(masks(), -1.0, found)
        below[part] = 1
        assert region_overlap(Outlined(below, masks())) == pytest.approx(1 / 4)


@st.composite
def cases(draw: Callable[..., object]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    seed = draw(st.integers(0, 10_000))
    steps = draw(st.sampled_from([2, 5, 1000]))
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, steps, SHAPE) / steps
    shown = ndimage.binary_dilation(rng.random(SHAPE) < 0.05, np.ones((1, 2, 2)))
    counted = rng.random(SHAPE) < draw(st.sampled_from([0.7, 1.0]))
    shown[0, 0, 0] = counted[0, 0, 0] = counted[0, 7, 7] = True
    shown[0, 7, 7] = False
    return maps, shown, counted, draw(st.sampled_from([0.05, 0.3, 1.0]))


@given(cases())
def test_both_equal_the_plain_definition(case: tuple[np.ndarray, np.ndarray, np.ndarray, float]) -> None:
    maps, shown, counted, limit = case
    given_ = Outlined(maps, shown, counted)
    assert pixel_auroc(given_) == pytest.approx(brute_auroc(maps[counted], shown[counted]))
    assert region_overlap(given_, limit=limit) == pytest.approx(brute_overlap(maps, shown, counted, limit))


@given(st.integers(0, 1000))
def test_a_rising_function_of_the_map_changes_nothing(seed: int) -> None:
    maps = np.random.default_rng(seed).random(SHAPE)
    one, other = Outlined(maps, masks()), Outlined(np.exp(3 * maps) - 7, masks())
    assert pixel_auroc(one) == pytest.approx(pixel_auroc(other))
    assert region_overlap(one) == pytest.approx(region_overlap(other))


def test_draws_lie_about_the_figure_and_go_by_patient() -> None:
    rng = np.random.default_rng(0)
    shown = np.zeros((40, 16, 16), dtype=bool)
    shown[:, 4:9, 4:9] = True
    outlined = Outlined(rng.normal(size=shown.shape) + shown, shown)
    patients = [str(i // 2) for i in range(40)]
    areas, overlaps = draws(outlined, patients, resamples=200, seed=1)
    assert areas.shape == overlaps.shape == (200,)
    assert areas.mean() == pytest.approx(pixel_auroc(outlined), abs=0.01)
    assert overlaps.mean() == pytest.approx(region_overlap(outlined), abs=0.01)
    again = draws(outlined, patients, resamples=200, seed=1)
    assert np.array_equal(areas, again[0])
    alone = draws(outlined, ["one"] * 40, resamples=5)
    assert np.ptp(alone[0]) == 0
    assert alone[0][0] == pytest.approx(pixel_auroc(outlined), abs=1 / 2048)
    assert alone[1][0] == pytest.approx(region_overlap(outlined), abs=2 / 2048)


@pytest.mark.parametrize(
    ("maps", "shown"),
    [
        (np.zeros(SHAPE), np.zeros(SHAPE, dtype=bool)),
        (np.zeros(SHAPE), np.ones(SHAPE, dtype=bool)),
        (np.zeros((3, 8, 9)), masks()),
        (np.full(SHAPE, np.nan), masks()),
        (np.zeros((0, 8, 8)), np.zeros((0, 8, 8), dtype=bool)),
    ],
)
def test_what_has_no_figure_is_refused(maps: np.ndarray, shown: np.ndarray) -> None:
    with pytest.raises(XrayInterpError):
        Outlined(maps, shown)
