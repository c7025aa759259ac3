"""MoRF and LeRF areas and Sensitivity-n on models whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.closed_form import frozen, random_densenet
from torch import Tensor, nn

from xrayinterp.attribution import Target
from xrayinterp.evaluation.curves import areas
from xrayinterp.evaluation.perturbation import FRACTIONS, deletion_curve, filling
from xrayinterp.evaluation.sensitivity_n import cell_sums, removals, sensitivity_n


class Weighed(nn.Module):
    """Logits (N, 2): the film weighed by `weights`, and its negative."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        score = (x * self.weights).sum((1, 2, 3))
        return torch.stack([score, -score], 1)


def one_pixel() -> tuple[Weighed, Tensor, np.ndarray]:
    weights = torch.zeros(1, 10, 10, dtype=torch.float64)
    weights[0, 3, 4] = 1.0
    return frozen(Weighed(weights)), weights[None].clone(), weights[0].numpy()


def test_area_of_the_one_pixel_that_counts() -> None:
    module, x, values = one_pixel()
    found = areas(module, x, values, Target(0), fills=("mean",))
    drop, first, last = 0.99, FRACTIONS[0], FRACTIONS[-1]  # 1 falls to the film's mean of 0.01, at the first fraction
    assert found.morf == pytest.approx((drop * first / 2 + drop * (last - first)) / last)
    assert found.lerf == pytest.approx(0)


def test_a_map_that_marks_everything_else_first_scores_the_reverse() -> None:
    module, x, values = one_pixel()
    found, reverse = (areas(module, x, v, Target(0), fills=("mean",)) for v in (values, -values))
    assert reverse.morf == pytest.approx(found.lerf)
    assert reverse.lerf == pytest.approx(found.morf)
    against = areas(module, x, values, Target(0, -1), fills=("mean",))
    assert against.morf == pytest.approx(-found.morf)


def test_areas_are_those_of_the_single_curves() -> None:
    module = random_densenet(0).float()
    x = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    values = np.random.default_rng(0).random((8, 8))
    found = areas(module, x, values, Target(2), fills=("blur",), seed=3)
    most = deletion_curve(module, x, values, Target(2), fill="blur", seed=3)
    assert found.morf == pytest.approx(most.area, abs=1e-5)
    least = deletion_curve(module, x, values, Target(2), fill="blur", first="least", seed=3)
    assert found.lerf >= abs(least.area) - 1e-5


def linear(seed: int = 0) -> tuple[Weighed, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(1, 28, 28, generator=generator, dtype=torch.float64)
    return frozen(Weighed(weights)), torch.randn(1, 1, 28, 28, generator=generator, dtype=torch.float64)


def test_exact_contributions_correlate_perfectly() -> None:
    module, x = linear()
    exact = (module.weights * (x - filling(x, "mean")))[0, 0].numpy()
    removed = removals(module, x, fill="mean", sizes=(1, 4, 16, 64), subsets=8)
    assert sensitivity_n(exact, removed, 0) == pytest.approx(1, abs=1e-9)
    assert sensitivity_n(-3 * exact, removed, 0) == pytest.approx(-1, abs=1e-9)
    assert sensitivity_n(exact, removed, 1) == pytest.approx(-1, abs=1e-9)


def test_unrelated_map_correlates_with_nothing() -> None:
    module, x = linear()
    removed = removals(module, x, fill="mean", subsets=32)
    drawn = [sensitivity_n(np.random.default_rng(i).normal(size=(28, 28)), removed, 0) for i in range(40)]
    assert np.mean([r for r in drawn if r is not None]) == pytest.approx(0, abs=0.06)


def test_constant_map_and_untouched_output_are_not_measurable() -> None:
    module, x = linear()
    removed = removals(module, x, sizes=(2, 5), subsets=4)
    assert sensitivity_n(np.ones((28, 28)), removed, 0) is None
    deaf = frozen(Weighed(torch.zeros(1, 28, 28)))
    assert sensitivity_n(np.random.default_rng(0).random((28, 28)), removals(deaf, x, sizes=(2,)), 0) is None


def test_sets_have_their_sizes_and_the_seed_decides() -> None:
    module, x = linear()
    first, again, other = (removals(module, x, sizes=(1, 7), subsets=3, seed=s) for s in (0, 0, 1))
    assert first.sizes.tolist() == [1, 1, 1, 7, 7, 7]
    assert (first.members == again.members).all()
    assert (first.changes == again.changes).all()
    assert not (first.members == other.members).all()


@pytest.mark.parametrize("side", [14, 28, 31])
def test_cells_hold_the_whole_map(side: int) -> None:
    values = np.random.default_rng(0).normal(size=(side, side))
    assert cell_sums(values, 14).sum() == pytest.approx(values.sum())
    if side == 28:
        assert cell_sums(values, 14)[2, 3] == pytest.approx(values[4:6, 6:8].sum())
