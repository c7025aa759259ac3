"""Likeness of maps against scipy, by hand, and where there is nothing to compare."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from xrayinterp.evaluation.similarity import (
    Likeness,
    as_read,
    constant,
    mean_likeness,
    mean_of,
    ranks,
    similarity,
    spearman,
    ssim,
)

TIED = arrays(np.float32, (5, 6), elements=st.integers(-3, 3).map(float))


@given(TIED)
def test_ranks_share_the_mean_of_ties(values: np.ndarray) -> None:
    np.testing.assert_array_equal(ranks(values), rankdata(values.ravel()) - 1)


@given(TIED, TIED)
def test_rho_is_scipys(a: np.ndarray, b: np.ndarray) -> None:
    rho = spearman(a, b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert rho is None
    else:
        assert rho == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-12)


@given(arrays(np.float32, (8, 8), elements=st.floats(-10, 10, width=16), unique=True))
def test_a_map_is_exactly_like_itself(values: np.ndarray) -> None:
    alike = similarity(values, values)
    assert (alike.ssim, alike.spearman, alike.spearman_abs) == (1.0, 1.0, 1.0)


def test_only_the_order_counts_and_signs_can_be_left_out() -> None:
    values = np.random.default_rng(0).normal(size=(9, 9))
    assert spearman(values, np.exp(values)) == 1.0
    assert spearman(values, -values) == -1.0
    assert similarity(values, -values).spearman_abs == 1.0
    turned = similarity(values, np.random.default_rng(1).normal(size=(9, 9)))
    assert all(abs(v) < 0.5 for v in (turned.ssim, turned.spearman, turned.spearman_abs) if v is not None)


def test_one_against_many_is_the_same_as_pair_by_pair() -> None:
    draws = np.random.default_rng(2)
    a, signed, positive = draws.normal(size=(8, 8)), draws.normal(size=(8, 8)), draws.uniform(size=(8, 8))
    for first in (a, np.abs(a)):
        for second in (signed, positive):
            pairwise = spearman(first, second), spearman(np.abs(first), np.abs(second))
            alike = Likeness(first).to(second)
            assert (alike.spearman, alike.spearman_abs) == pairwise


@pytest.mark.parametrize("nothing", [0.0, 3.5, np.nan, np.inf])
def test_a_map_that_marks_nothing_is_not_measurable(nothing: float) -> None:
    flat, other = np.full((8, 8), nothing), np.arange(64.0).reshape(8, 8)
    assert constant(flat)
    assert constant(flat + 1e-9)
    assert spearman(flat, other) is None
    assert ssim(other, flat) is None
    assert similarity(flat, flat).spearman is None


def test_a_map_under_seven_cells_has_no_window_but_ranks() -> None:
    small = np.arange(4.0).reshape(2, 2)
    assert ssim(small, small) is None
    assert spearman(small, small) == 1.0


def test_ssim_knows_the_range_of_signed_maps() -> None:
    values = np.random.default_rng(0).uniform(0.2, 1, size=(20, 20))
    noisy = values + np.random.default_rng(1).normal(0, 0.1, size=(20, 20)).clip(-0.2, 0.2)
    unsigned = ssim(values, noisy)
    assert unsigned is not None
    assert 0 < unsigned < 1
    assert ssim(7 * values, noisy) == pytest.approx(unsigned)  # scale does not count


def test_gradients_are_read_by_magnitude_and_parts_by_value() -> None:
    values = torch.tensor([[-2.0, 1.0]])
    assert as_read("gradient", values).tolist() == [[2, 1]]
    assert as_read("gradcam_signed", values).tolist() == [[-2, 1]]


def test_a_map_that_vanished_has_no_likeness() -> None:
    assert mean_likeness([1.0, None, 0.5]) == 0.5
    assert mean_likeness([None, None]) == 0


def test_mean_of_what_was_measurable() -> None:
    assert mean_of([1.0, None, 0.0]) == 0.5
    assert mean_of([None]) is None
