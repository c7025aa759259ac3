"""Filling what a map marks: fillings, orders and curves that can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.closed_form import frozen, random_densenet
from helpers.lit_model import LIT, SIDE, Lit, lit_film
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from xrayinterp.attribution import Target
from xrayinterp.attribution.fills import BLUR
from xrayinterp.evaluation.perturbation import (
    FRACTIONS,
    Deletion,
    DeletionCurve,
    at_size,
    by_value,
    deletion_curve,
    filling,
    highest,
    mean_height,
    moved,
    scores_after,
)

NET = frozen(Lit(), torch.float32)
FILM = lit_film()
CAUSE = FILM[0, 0].clamp(min=0).numpy()
SHARE = CAUSE.astype(bool).mean()


def test_fillings_are_the_mean_and_a_gaussian_blur_with_the_border_repeated() -> None:
    x = torch.rand((1, 2, 48, 48), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean, blur = filling(x, "mean"), filling(x, "blur")
    torch.testing.assert_close(mean, x.mean((2, 3))[0, :, None, None].expand(2, 48, 48))
    for channel in range(2):
        expected = gaussian_filter(x[0, channel].numpy(), BLUR * 48, mode="nearest", truncate=3)
        np.testing.assert_allclose(blur[channel].numpy(), expected, atol=1e-12)


def test_a_flat_film_cannot_be_filled() -> None:
    flat = torch.full((1, 1, 40, 40), 0.3)
    torch.testing.assert_close(filling(flat, "blur"), flat[0])
    torch.testing.assert_close(filling(flat, "mean"), flat[0])


def test_the_curve_of_the_cause_by_hand() -> None:
    """Filled with the mean m < 0, each bright pixel takes 40 / 32^2 off the logit until none is left."""
    curve = deletion_curve(NET, FILM, CAUSE, Target(0), fill="mean")
    counts = np.array([round(f * SIDE * SIDE) for f in FRACTIONS])
    expected = 40 * np.minimum(counts, CAUSE.sum()) / SIDE**2
    assert curve.start == pytest.approx(40 * SHARE, rel=1e-5)
    np.testing.assert_allclose(curve.drops, expected, rtol=1e-4)
    assert curve.area == pytest.approx(mean_height((0, *FRACTIONS), (0, *expected)), rel=1e-4)


def test_least_relevant_first_takes_nothing_off_until_the_cause_is_reached() -> None:
    curve = deletion_curve(NET, FILM, CAUSE, Target(0), fill="mean", first="least")
    np.testing.assert_allclose(curve.drops, 0, atol=1e-5)  # half the film is not the cause
    against = deletion_curve(NET, FILM, CAUSE, Target(0, -1), fill="mean")
    assert against.start < 0
    assert against.area < 0  # minus the logit rises when what speaks for it goes


def test_coarse_maps_are_drawn_up_and_both_fills_are_done() -> None:
    coarse = torch.from_numpy(CAUSE)[None, None]
    coarse = torch.nn.functional.avg_pool2d(coarse, 4)[0, 0]
    for fill in ("blur", "mean"):
        curve = deletion_curve(NET, FILM, coarse, Target(0), fill=fill)
        assert (curve.fill, curve.first, curve.fractions) == (fill, "most", FRACTIONS)
        assert curve.area > 0.3 * curve.start


def test_batches_give_what_one_by_one_gives() -> None:
    net, x = random_densenet(0), torch.rand((1, 1, 64, 64), dtype=torch.float64)
    values = np.random.default_rng(0).normal(size=(64, 64))
    deletions = [Deletion(by_value(values)[:count], fill) for count in range(0, 4000, 190) for fill in ("blur", "mean")]
    together = list(scores_after(net, x, deletions, Target(3)))
    assert len(together) == 44
    for deletion, score in zip(deletions, together, strict=True):
        film = x.clone().flatten()
        film[deletion.positions] = filling(x, deletion.fill).flatten()[deletion.positions]
        assert score == pytest.approx(float(net(film.view_as(x))[0, 3]), rel=1e-9)


def test_deletions_are_drawn_lazily() -> None:
    drawn = []

    def deletions() -> object:
        for k in range(100):
            drawn.append(k)
            yield Deletion(np.arange(k), "mean")

    scores = scores_after(NET, FILM, deletions(), Target(0))  # type: ignore[arg-type]
    next(scores)
    assert len(drawn) == 1


@given(arrays(np.float32, (6, 7), elements=st.integers(0, 3).map(float)), st.floats(0, 1), st.integers(0, 5))
def test_order_is_by_value_and_ties_are_drawn(values: np.ndarray, share: float, seed: int) -> None:
    order = by_value(values, seed=seed)
    assert sorted(order.tolist()) == list(range(42))
    assert (np.diff(values.ravel()[order]) <= 0).all()
    top = highest(values, share, seed=seed)
    assert len(set(top.tolist())) == round(share * 42)
    np.testing.assert_array_equal(np.sort(values.ravel()[top])[::-1], values.ravel()[order[: len(top)]])


def test_ties_lie_anywhere_and_a_seed_repeats_them() -> None:
    values = np.zeros((20, 20), dtype=np.float32)
    assert by_value(values, seed=1)[:200].mean() == pytest.approx(200, abs=25)  # not the film's upper half
    np.testing.assert_array_equal(by_value(values, seed=1), by_value(values, seed=1))
    assert (by_value(values, seed=1) != by_value(values, seed=2)).any()


@pytest.mark.parametrize("shape", [(7, 7), (6, 9), (2, 2)])
def test_moved_maps_hold_the_same_values_elsewhere(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    copies = moved(values, 20, seed=3)
    assert len(copies) == 20
    for copy in copies:
        assert copy.shape == shape
        np.testing.assert_array_equal(np.sort(copy, axis=None), np.sort(values, axis=None))
        assert not np.array_equal(copy, values)


def test_the_lit_square_lies_elsewhere_in_every_copy() -> None:
    overlap = [copy[LIT].sum() / CAUSE.sum() for copy in moved(CAUSE, 20)]
    assert max(overlap) < 0.5


def test_a_map_is_drawn_up_like_the_film() -> None:
    ramp = np.array([[0.0, 1.0]], dtype=np.float32)
    assert at_size(ramp, torch.zeros(1, 1, 1, 4)).tolist() == [[0, 0.25, 0.75, 1]]


def test_area_weighs_fractions_by_their_distance() -> None:
    curve = DeletionCurve((0.5, 1.0), (1.0, -1.0), 1.0, "mean", "most")
    assert curve.drops == (0.0, 2.0)
    assert curve.area == 0.5
