"""Integrated gradients and SmoothGrad: closed forms, completeness and its stop, seeds, agreement with captum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from helpers.closed_form import Biasless, film_batch, frozen, random_densenet
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.attribution import Forward, Target, attribute
from xrayinterp.attribution.fills import filled
from xrayinterp.attribution.sampling import _levels, integrate
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.reader import read
from xrayinterp.models.zoo import load_model
from xrayinterp.operators.batching import BATCH

SEEDS = st.integers(0, 2**16)


class Cubic(nn.Module):
    """Logits mean(x^3) and mean(x^3) - 2: integrated gradients from x0 are known."""

    def forward(self, x: Tensor) -> Tensor:
        cubes = x.pow(3).mean((1, 2, 3))
        return torch.stack([cubes, cubes - 2], 1)


class Watched(nn.Module):
    """A net that remembers how many samples each forward had."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        logits: Tensor = self.net(x)
        return logits


class Offset(nn.Module):
    """Mean of relu(x - 1/2): half of the path from 0 to 1 has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x - 0.5).mean((1, 2, 3))[:, None]


@pytest.mark.parametrize("fill", ["zeros", "black", "mean", "blur"])
def test_gauss_nodes_are_exact_for_a_polynomial_whatever_the_baseline(fill: Any) -> None:
    x = film_batch(0)
    x0 = filled(x, fill)
    exact = (x - x0) * (x**2 + x * x0 + x0**2) / x[0].numel()
    got = attribute(Cubic().eval(), x, 1, "integrated_gradients", baseline=fill, rule="gauss", steps=3)
    torch.testing.assert_close(got, exact, rtol=1e-10, atol=1e-14)


def test_midpoints_of_a_bent_path_give_a_half_not_the_cumulative_eight_elevenths() -> None:
    x = torch.ones(1, 1, 1, 1).double()
    got = attribute(Offset().eval(), x, 0, "integrated_gradients", steps=10, tolerance=0)
    assert got.item() == pytest.approx(0.5, abs=1e-12)


@given(SEEDS)
@settings(max_examples=4, deadline=None)
def test_without_biases_the_path_from_zero_has_one_gradient(seed: int) -> None:
    net, x = frozen(Biasless(seed, channels=3)), film_batch(seed, channels=3)
    integral = integrate(Forward(net, x), Target(1))
    torch.testing.assert_close(integral.values, attribute(net, x, 1, "input_x_gradient"), rtol=1e-9, atol=1e-13)
    assert integral.nodes.tolist() == [16, 16]
    assert float(integral.error.max()) < 1e-10


@given(SEEDS)
@settings(max_examples=4, deadline=None)
def test_the_error_it_gives_is_the_error_it_has(seed: int) -> None:
    net, x = random_densenet(seed), film_batch(seed, samples=3)
    target = torch.tensor([4, 0, 2])
    integral = integrate(Forward(net, x), Target(target), baseline="black", tolerance=0.02)
    rise = (net(x) - net(filled(x, "black")))[[0, 1, 2], target]
    gap = (integral.values.sum((1, 2, 3)) - rise).abs() / rise.abs()
    torch.testing.assert_close(integral.error, gap, rtol=1e-6, atol=1e-9)
    for error, nodes in zip(integral.error, integral.nodes.tolist(), strict=True):
        assert nodes in (16, 48)
        assert error <= 0.02 or nodes == 48


def test_many_steps_are_complete() -> None:
    net, x = random_densenet(3), film_batch(3, samples=1)
    errors = [float(integrate(Forward(net, x), Target(2), steps=n, tolerance=0).error) for n in (3, 30, 600)]
    assert errors[-1] < 1e-3
    assert errors[-1] < errors[0]


def test_stopping_reuses_gradients_and_ends_each_film_by_itself() -> None:
    watched = Watched(random_densenet(0)).eval()
    x = film_batch(0)
    integral = integrate(Forward(watched, x), Target(1))
    assert integral.nodes.tolist() == [16, 48]
    assert sum(watched.sizes) == 2 * len(x) + 16 + 48  # f(x), f(x0) and one gradient a node
    full = integrate(Forward(watched, x), Target(1), tolerance=0)
    assert full.nodes.tolist() == [48, 48]
    torch.testing.assert_close(integral.values[1], full.values[1])


@pytest.mark.parametrize("steps", [1, 8, 24, 48, 50, 72, 81])
def test_levels_are_nested_midpoint_rules(steps: int) -> None:
    levels = list(_levels("midpoint", steps, 0.01))
    nodes: list[float] = []
    for level in levels:
        nodes += level.nodes
        n = len(nodes)
        np.testing.assert_allclose(sorted(nodes), (np.arange(n) + 0.5) / n, atol=1e-12)
        assert level.factor == 1 / n
    assert len(nodes) == steps
    assert len(list(_levels("midpoint", steps, 0.0))) == 1


def test_a_film_that_is_its_own_baseline_has_no_attribution_and_no_error() -> None:
    integral = integrate(Forward(random_densenet(1), torch.zeros(1, 1, 64, 64).double()), Target(0))
    assert not bool(integral.values.any())
    assert integral.error.tolist() == [0.0]


def test_memory_is_capped_where_captum_runs_all_steps_at_once() -> None:
    watched, x = Watched(random_densenet(2)).eval(), film_batch(2)
    attribute(watched, x, 1, "integrated_gradients", tolerance=0)
    assert max(watched.sizes) <= BATCH
    watched.sizes.clear()
    IntegratedGradients(watched).attribute(x, target=1)
    assert max(watched.sizes) == 50 * len(x)


@pytest.mark.parametrize(("rule", "method"), [("gauss", "gausslegendre"), ("midpoint", "riemann_middle")])
def test_captum_agrees(rule: str, method: str) -> None:
    net, x = random_densenet(4), film_batch(4)
    theirs = IntegratedGradients(net).attribute(x, target=2, n_steps=12, method=method)
    ours = attribute(net, x, 2, "integrated_gradients", rule=rule, steps=12, tolerance=0)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)  # their nodes are float32


@given(SEEDS)
@settings(max_examples=4, deadline=None)
def test_smoothgrad_without_noise_is_the_gradient(seed: int) -> None:
    net, x = frozen(Biasless(seed, channels=3)), film_batch(seed, channels=3)
    torch.testing.assert_close(attribute(net, x, 1, "smoothgrad", noise=0), attribute(net, x, 1, "gradient"))


def test_smoothgrad_is_the_mean_gradient_in_noise_scaled_by_each_films_range() -> None:
    net, x = random_densenet(5), film_batch(5) * torch.tensor([1.0, 0.2])[:, None, None, None]
    draws = torch.Generator().manual_seed(9)
    noise = torch.stack([torch.randn((1, 64, 64), generator=draws) for _ in range(6)]).double()
    expected = []
    for film in x:
        copies = film + 0.3 * (film.max() - film.min()) * noise
        expected.append(Forward(net, copies).input_gradient(Target(2)).mean(0))
    got = attribute(net, x, 2, "smoothgrad", samples=6, noise=0.3, seed=9)
    torch.testing.assert_close(got, torch.stack(expected), rtol=1e-9, atol=1e-13)


def test_smoothgrad_of_a_cubic_tends_to_its_smoothed_gradient() -> None:
    x = film_batch(6, samples=1, size=8)
    s = 0.5 * (x.max() - x.min())
    got = attribute(Cubic().eval(), x, 0, "smoothgrad", samples=900, noise=0.5) * x.numel()
    error = (got - 3 * (x**2 + s**2)).abs().max() / (3 * s**2)
    assert float(error) < 0.3
    assert float((got - 3 * (x**2 + s**2)).mean().abs() / (3 * s**2)) < 0.03


def test_seeds_are_what_smoothgrad_depends_on() -> None:
    net, x = random_densenet(7), film_batch(7)
    first, again, other = (attribute(net, x, 1, "smoothgrad", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    state = torch.get_rng_state()
    attribute(net, x, 1, "smoothgrad")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "wrong", [{"baseline": "white"}, {"rule": "simpson"}, {"steps": 0}, {"tolerance": -0.1}, {"tolerance": "low"}]
)
def test_options_beyond_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(XrayInterpError, match="Allowed") as caught:
        attribute(random_densenet(0), film_batch(0), 0, "integrated_gradients", **wrong)
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.data
def test_a_real_films_integral_is_complete_to_a_few_per_cent(data_root: Path) -> None:
    model = load_model("compact")
    x = model.prepare(read(next((data_root / "nih").rglob("*.png"))))
    rises = model.logits(x) - model.logits(filled(x, "black"))
    index = int(rises.abs().argmax())
    integral = integrate(Forward(model, x), Target(index), baseline="black", tolerance=0.05)
    assert integral.values.shape == x.shape
    assert float(integral.error) < 0.1
