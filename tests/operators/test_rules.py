"""Backward rules against numbers known by hand, and the exact quantile against sorting."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import film_batch, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.errors import XrayInterpError
from xrayinterp.operators import rules
from xrayinterp.operators.rules import kth_smallest
from xrayinterp.operators.tape import ReluRule, plain, record

SEEDS = st.integers(0, 2**16)


def toy() -> nn.Sequential:
    """f(x) = relu(x1 + 2 x2) - relu(3 x1 + x2)."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 1.0]]))
        net[2].weight.copy_(torch.tensor([[1.0, -1.0]]))
    return frozen(net)


def back(rule: ReluRule, sign: int = 1) -> list[float]:
    (R,) = record(toy(), torch.ones(1, 2).double()).gradients(lambda logits: sign * logits.sum(), rule=rule)
    return R[0].tolist()


def test_the_toy_by_hand() -> None:
    assert back(plain) == [-2, 1]
    assert back(plain, -1) == [2, -1]
    assert back(rules.guided) == back(rules.deconvnet) == [1, 2]
    assert back(rules.guided, -1) == back(rules.deconvnet, -1) == [3, 1]
    assert back(rules.rectgrad(0.5)) == [1, 2]
    assert back(rules.rectgrad_abs(0.5)) == [-3, -1]
    assert back(rules.rectgrad_abs(0.5), -1) == [3, 1]


def test_what_each_rule_passes_at_a_silent_neuron() -> None:
    a, R = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, -1.0, 3.0, -3.0]])
    assert plain(0, a, R).tolist() == [[0, 0, 3, -3]]
    assert rules.deconvnet(0, a, R).tolist() == [[1, 0, 3, 0]]
    assert rules.guided(0, a, R).tolist() == [[0, 0, 3, 0]]
    assert rules.rectgrad(0.25)(0, a, R).tolist() == [[0, 0, 3, 0]]  # tau = -6: silent neurons exceed it, and stay out
    assert rules.rectgrad_abs(0.5)(0, a, R).tolist() == [[0, 0, 3, -3]]


@pytest.mark.parametrize("factory", [rules.rectgrad, rules.rectgrad_abs])
def test_quantile_0_is_the_gradient_and_1_passes_nothing(factory: object) -> None:
    a, R = torch.randn(2, 3, 4, 4).relu(), torch.randn(2, 3, 4, 4)
    assert torch.equal(factory(0.0)(0, a, R), plain(0, a, R))  # type: ignore[operator]
    assert not bool(factory(1.0)(0, a, R).any())  # type: ignore[operator]


@given(SEEDS, st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_each_film_keeps_exactly_what_exceeds_its_own_quantile(seed: int, quantile: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn((3, 2, 5, 5), generator=generator).relu() * torch.tensor([1.0, 10.0, 0.1])[:, None, None, None]
    R = torch.randn((3, 2, 5, 5), generator=generator)
    for rule, scores in ((rules.rectgrad, a * R), (rules.rectgrad_abs, a * R.abs())):
        passed = rule(quantile)(0, a, R)
        for i in range(3):
            ordered = scores[i].flatten().sort().values
            k = int(quantile * len(ordered))
            above = scores[i] > ordered[k - 1] if k else torch.ones_like(scores[i], dtype=torch.bool)
            assert torch.equal(passed[i], torch.where(above & (a[i] > 0), R[i], 0))


@given(SEEDS, st.floats(0, 1), st.sampled_from(["normal", "half zero", "few values", "sorted", "constant"]))
@settings(max_examples=40, deadline=None)
def test_the_kth_smallest_is_that_of_sorting(seed: int, share: float, kind: str) -> None:
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(seed))
    values = {
        "normal": values,
        "half zero": values.relu(),
        "few values": (values * 2).round(),
        "sorted": values.sort().values,
        "constant": torch.ones_like(values),
    }[kind]
    k = max(1, int(share * len(values)))
    assert kth_smallest(values, k) == values.sort().values[k - 1].item()


@pytest.mark.parametrize("n", [1, 2, 8191, 8192, 100_000])
def test_first_last_and_middle_of_any_length(n: int) -> None:
    values = torch.randn(n, generator=torch.Generator().manual_seed(n))
    ordered = values.sort().values
    for k in {1, (n + 1) // 2, n}:
        assert kth_smallest(values, k) == ordered[k - 1].item()


def test_a_sample_that_misleads_costs_time_but_not_the_answer() -> None:
    values = torch.zeros(81_920)
    values[1::20] = torch.arange(1, 4097).float()  # between the sampled places, all of which are 0
    for k in (1, 77_824, 77_825, 80_000, 81_920):
        assert kth_smallest(values, k) == values.sort().values[k - 1].item()


class Pooled(nn.Module):
    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(F.relu(x)).sum((1, 2, 3))[:, None]


def test_a_shared_maximum_goes_to_the_values_by_size() -> None:
    x = torch.tensor([[[[1.0, 3.0], [0.0, -4.0]]]]).double()
    tape = record(frozen(Pooled(nn.MaxPool2d(2))), x)
    assert tape.gradients(torch.sum)[0].tolist() == [[[[0, 1], [0, 0]]]]
    assert tape.gradients(torch.sum, pool=rules.proportional)[0].tolist() == [[[[0.25, 0.75], [0, 0]]]]
    assert tape.gradients(torch.sum)[0].tolist() == [[[[0, 1], [0, 0]]]]


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2), nn.MaxPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(2, 1)], ids=str
)
def test_sharing_loses_nothing_and_leaves_the_gradient_alone(pool: nn.Module) -> None:
    x = film_batch(1, size=11) + 1.5
    net = frozen(Pooled(pool))
    inputs = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(net(inputs).sum(), [inputs])
    tape = record(net, x)
    assert torch.equal(tape.gradients(torch.sum)[0], expected)
    shared = tape.gradients(torch.sum, pool=rules.proportional)[0]
    torch.testing.assert_close(shared.sum(), expected.sum())
    assert bool((shared > 0).sum() > (expected > 0).sum())


def test_a_window_with_gaps_is_refused_by_what_it_is() -> None:
    tape = record(frozen(Pooled(nn.MaxPool2d(2, dilation=2))), film_batch(2, size=8))
    with pytest.raises(XrayInterpError, match="dilation 2"):
        tape.gradients(torch.sum, pool=rules.proportional)
    assert bool(tape.gradients(torch.sum)[0].any())
