"""Value and direction: numbers by hand, laws, and what happens at zero."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.anomaly.discrepancy import (
    Discrepancies,
    Weights,
    discrepancies,
    positions,
    standardised,
    turned,
    weights_of,
)


def point(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)


@pytest.mark.parametrize(
    ("s", "c", "value", "direction"), [((1, 0), (0, 1), 1.0, 1.0), ((2, 2), (1, 1), 1.0, 0.0), ((3, 4), (3, 4), 0, 0)]
)
def test_loss_by_hand(s: tuple[float, ...], c: tuple[float, ...], value: float, direction: float) -> None:
    found = discrepancies([point(*s)], [point(*c)])
    assert found.value.item() == pytest.approx(value, abs=1e-15)
    assert found.direction.item() == pytest.approx(direction, abs=1e-15)


def test_equal_features_have_no_loss_and_no_gradient() -> None:
    draws = torch.Generator().manual_seed(0)
    s = torch.rand(2, 5, 3, 3, generator=draws, dtype=torch.float64)
    c = s.clone().requires_grad_()
    for direction in ("image", "position"):
        total = weights_of("both", 2.0, 1).scores(discrepancies([s], [c], direction)).sum()  # type: ignore[arg-type]
        (gradient,) = torch.autograd.grad(total, [c])
        assert total.item() == pytest.approx(0, abs=1e-14)
        assert gradient.abs().max() < 1e-14


@given(k=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_scaling_features_scales_values_by_its_square_and_leaves_directions(k: float, seed: int) -> None:
    s, c = torch.rand(2, 1, 4, 2, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for direction in ("image", "position"):
        one = discrepancies([s], [c], direction)  # type: ignore[arg-type]
        other = discrepancies([k * s], [k * c], direction)  # type: ignore[arg-type]
        assert other.value.item() == pytest.approx(k * k * one.value.item(), rel=1e-9)
        assert other.direction.item() == pytest.approx(one.direction.item(), rel=1e-6, abs=1e-12)


def test_zero_vectors_have_a_direction_and_a_finite_gradient() -> None:
    some, none = torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2, requires_grad=True)
    assert turned(some, none).item() == 1
    assert turned(torch.zeros(1, 2), torch.zeros(1, 2)).item() == 0
    (gradient,) = torch.autograd.grad(turned(some, none).sum(), [none])
    assert bool(torch.isfinite(gradient).all())
    dead = torch.zeros(1, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(turned(torch.zeros(1, 2), dead).sum(), [dead])
    assert gradient.abs().max() == 0


def test_direction_of_positions_is_the_mean_over_them() -> None:
    s = torch.tensor([[[[1.0, 1.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2): both positions along the first unit
    c = torch.tensor([[[[2.0, 0.0]], [[0.0, 3.0]]]])  # the second turned by a right angle
    assert positions(s, c).tolist() == [[[0.0, 1.0]]]
    assert discrepancies([s], [c], "position").direction.item() == 0.5
    assert discrepancies([s], [c]).direction.item() == pytest.approx(1 - 2 / math.sqrt(2 * 13))


def test_ablations_are_weights() -> None:
    found = Discrepancies(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.25, 0.5]]))
    totals = {terms: weights_of(terms, 0.1, 2).scores(found).item() for terms in ("both", "value", "direction")}  # type: ignore[arg-type]
    assert totals == pytest.approx({"both": 1.05, "value": 3.0, "direction": 0.75})


def test_parts_sum_to_the_score() -> None:
    found = Discrepancies(torch.rand(3, 2), torch.rand(3, 2))
    weights = Weights((1.0, 2.0), (3.0, 4.0), -5.0)
    assert torch.allclose(weights.parts(found).sum((1, 2)) - 5, weights.scores(found))
    assert torch.equal(Discrepancies.split(found.joined()).value, found.value)


@given(seed=st.integers(0, 500), scale=st.floats(0.1, 50))
def test_standardised_terms_count_alike_whatever_their_scale(seed: int, scale: float) -> None:
    rows = torch.rand(40, 2, 2, generator=torch.Generator().manual_seed(seed)).double()
    normals = Discrepancies(rows[:, 0], rows[:, 1])
    scaled = Discrepancies(scale * rows[:, 0], rows[:, 1])
    first, second = standardised("both", normals), standardised("both", scaled)
    assert torch.allclose(first.scores(normals), second.scores(scaled), atol=1e-8)
    assert first.scores(normals).mean().item() == pytest.approx(0, abs=1e-9)
    z = first.parts(normals)
    assert torch.allclose(z.std(0, correction=0), torch.ones(2, 2).double())


def test_standardised_leaves_out_what_never_varies_and_what_is_ablated() -> None:
    rows = torch.rand(10, 2).double()
    rows[:, 0] = 0.3
    weights = standardised("value", Discrepancies(rows, rows))
    assert weights.value[0] == 0
    assert weights.value[1] > 0
    assert weights.direction == (0.0, 0.0)
