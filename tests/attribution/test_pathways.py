"""Pathways against networks computed by hand, brute force, and the laws that the papers claim."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import Biasless, film_batch, frozen, random_densenet, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.attribution import Forward, Target
from xrayinterp.attribution.pathway_finders import FINDERS, integrated, mean_gradient
from xrayinterp.attribution.pathway_gates import gate_scores
from xrayinterp.attribution.pathway_linear import held
from xrayinterp.attribution.pathway_masks import PrunedForward, Scores, select, staying, thresholds
from xrayinterp.attribution.pathways import Search, first_kink, linear_region, pathway, pathways_at
from xrayinterp.errors import Code, XrayInterpError

SEEDS = st.integers(0, 2**16)
SPARSITIES = st.floats(0, 0.99)
NET = random_densenet(0)


class Mlp(nn.Module):
    """A net of fully connected layers on the values of x, (N, C, H, W); random unless weights are given."""

    def __init__(self, *weights: tuple[Tensor, Tensor | None], seed: int = 0, widths: tuple[int, ...] = ()) -> None:
        super().__init__()
        torch.manual_seed(seed)
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        for weight, bias in weights:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
            layer.weight.data = weight
            if bias is not None:
                layer.bias.data = bias
            layers.append(layer)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        a = x.flatten(1)
        for layer in self.layers[:-1]:
            a = F.relu(layer(a))
        logits: Tensor = self.layers[-1](a)
        return logits


def as_input(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def toy() -> Mlp:
    """T7: z = (3, .5, 0, -2) and f = 2 at x = (1, 1)."""
    W = torch.tensor([[1.0, 2.0], [-1.0, 1.0], [2.0, -1.0], [-1.0, -1.0]])
    b = torch.tensor([0.0, 0.5, -1.0, 0.0])
    return frozen(Mlp((W, b), (torch.tensor([[1.0, -2.0, 3.0, 5.0]]), None)))


def deep(seed: int) -> tuple[Mlp, Tensor]:
    """A random net of three hidden layers, and an input."""
    net = frozen(Mlp(seed=seed, widths=(6, 12, 12, 12, 3)))
    return net, torch.randn(1, 1, 1, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pooled(seed: int) -> nn.Module:
    """A net with an overlapping, padded max-pooling."""
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 3, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    return frozen(nn.Sequential(*layers, nn.Linear(16, 2)))


def unit_directions(x: Tensor, count: int, seed: int = 0) -> Tensor:
    d = torch.randn(count, *x.shape[1:], generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    return d / d.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def pruned_logits(net: nn.Module, x: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
    return PrunedForward(Forward(net, x[:1]), masks).at(x).logits.detach()


def test_the_toy_is_as_computed_by_hand() -> None:
    path = pathway(toy(), as_input(1, 1), 0, "marginal_taylor", 0.75)
    assert path.masks[0].tolist() == [[True, False, False, False]]
    assert (path.logit.item(), path.pruned_logit.item(), path.empty_logit.item()) == (2.0, 3.0, 0.0)
    assert path.retention.item() == 1.5
    assert path.reached.item() == 0.75
    assert path.dead_share.item() == 0
    gradient = PrunedForward(Forward(toy(), as_input(1, 1)), path.masks).input_gradient(Target(0))
    assert gradient.flatten().tolist() == [1.0, 2.0]


@given(SEEDS, SPARSITIES, st.sampled_from(["marginal_taylor", "integrated", "iterative", "active"]))
@settings(max_examples=40, deadline=None)
def test_no_dead_neuron_is_kept_at_any_sparsity(seed: int, sparsity: float, method: str) -> None:
    net, x = deep(seed)
    path = pathway(net, x, 1, method, sparsity)
    for mask, a in zip(path.masks, Forward(net, x).tape().activations, strict=True):
        assert bool((a[mask] > 0).all())
    assert path.dead_share.item() == 0


@given(SEEDS, SPARSITIES, st.sampled_from(["global", "layer"]))
@settings(max_examples=30, deadline=None)
def test_never_more_stay_than_asked_and_no_fewer_but_for_ties_and_zeros(seed: int, sparsity: float, quota: Any) -> None:
    net, x = deep(seed)
    path = pathway(net, x, 0, "marginal_taylor", sparsity, quota=quota)
    tape = Forward(net, x).tape()
    g = tape.gradients(Target(0).score, at=tape.activations)
    s = [(a * b).abs().detach() for a, b in zip(tape.activations, g, strict=True)]
    groups = s if quota == "layer" else [torch.cat(s, 1)]
    kept = path.masks if quota == "layer" else [torch.cat(path.masks, 1)]
    for group, mask in zip(groups, kept, strict=True):
        assert int(mask.sum()) == min(staying(group.numel(), sparsity), int((group > 0).sum()))
        assert not bool(mask.all()) or sparsity < 1
        if mask.any() and not mask.all():
            assert group[mask].min() > group[~mask].max()


@given(st.integers(1, 60_000), st.floats(0, 0.999), SEEDS, st.sampled_from([0.0, 0.5, 0.99]), st.sampled_from([3, 24]))
@settings(max_examples=40, deadline=None)
def test_the_threshold_is_that_of_a_full_sort(size: int, sparsity: float, seed: int, zeros: float, bits: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(1, 2**bits, (size,), generator=generator).float() / 2**bits  # few bits: many ties
    values[torch.rand(size, generator=generator) < zeros] = 0
    stay = staying(size, sparsity)
    ordered = values.sort(descending=True).values
    expected = ordered[stay] if stay < size else torch.zeros(())
    assert thresholds(values[None], stay).item() == expected.item()
    mask = select(Scores(values[None], (torch.Size((1, size)),)), sparsity)
    assert torch.equal(mask[0], values > expected)


def test_a_neuron_that_ties_with_the_threshold_goes() -> None:
    scores = Scores(torch.tensor([[3.0, 1.0, 1.0, 1.0, 0.0]]), (torch.Size((1, 5)),))
    assert select(scores, 0.5).tolist() == [[True, False, False, False, False]]
    assert select(scores, 0.0).tolist() == [[True, True, True, True, False]]
    assert select(scores, 0.99).tolist() == [[True, False, False, False, False]]


def test_rounding_errors_do_not_move_the_number_that_stays() -> None:
    assert [staying(100, q) for q in (0.55, 0.9, 0.1, 0.29, 0.995)] == [45, 10, 90, 71, 1]


@given(SEEDS, st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9]))
@settings(max_examples=20, deadline=None)
def test_the_pruned_net_is_linear_inside_the_radius_and_not_far_beyond(seed: int, sparsity: float) -> None:
    net, x = deep(seed)
    path = pathway(net, x, 0, "marginal_taylor", sparsity)
    region = linear_region(net, x, path.masks, directions=None)
    assert path.linear_region(directions=None) == region
    assert region.exact
    assert region.pool == math.inf
    g = PrunedForward(Forward(net, x), path.masks).input_gradient(Target(0))
    inside = min(region.radius, 1e3) * (1 - 1e-9) * unit_directions(x, 200, seed)
    change = pruned_logits(net, x + inside, path.masks)[:, 0] - path.pruned_logit
    size = 1 + float(inside.flatten(1).norm(dim=1).max())
    torch.testing.assert_close(change, (g * inside).sum((1, 2, 3)), rtol=0, atol=1e-13 * size)


@given(SEEDS, st.sampled_from([0.0, 0.5, 0.8]))
@settings(max_examples=5, deadline=None)
def test_the_radius_is_that_of_brute_force_with_pooling(seed: int, sparsity: float) -> None:
    net, x = pooled(seed), film_batch(seed, samples=1, size=8)
    path = pathway(net, x, 0, "marginal_taylor", sparsity)
    region = linear_region(net, x, path.masks, directions=None)
    relu, pool = _brute_force(net, x, path.masks)
    assert region.relu == pytest.approx(relu, rel=1e-9)
    assert region.pool == pytest.approx(pool, rel=1e-9)
    assert region.radius == min(region.relu, region.pool)


def _brute_force(net: nn.Module, x: Tensor, masks: tuple[Tensor, ...]) -> tuple[float, float]:
    """Distances to each hyperplane by one backward each, layer by layer."""
    x = x.clone().requires_grad_()
    a, number, relu, pool = x, 0, math.inf, math.inf
    for layer in net:  # type: ignore[attr-defined]
        if isinstance(layer, nn.ReLU):
            for z in a.flatten()[masks[number].flatten()]:
                relu = min(relu, _distance(z, x))
            a, number = F.relu(a) * masks[number], number + 1
        elif isinstance(layer, nn.MaxPool2d):
            windows = F.unfold(F.pad(a, (1, 1, 1, 1), value=-1e9).view(3, 1, 10, 10), 3, stride=2)
            best = windows.amax(1, keepdim=True)
            pool = min([pool, *(_distance(gap, x) for gap in (best - windows).flatten() if gap < 1e8)])
            a = layer(a)
        else:
            a = layer(a)
    return relu, pool


def _distance(value: Tensor, x: Tensor) -> float:
    (g,) = torch.autograd.grad(value, [x], retain_graph=True)
    return math.inf if g.norm() == 0 else float(value.detach().abs() / g.norm())


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_the_first_kink_along_a_direction_is_exact(seed: int) -> None:
    net, x = pooled(seed), film_batch(seed, samples=1, size=8)
    path = pathway(net, x, 1, "marginal_taylor", 0.5)
    d = unit_directions(x, 1, seed)
    kink = first_kink(net, x, 7 * d, path.masks)
    assert kink >= linear_region(net, x, path.masks, directions=None).radius
    if kink == math.inf:
        return
    g = PrunedForward(Forward(net, x), path.masks).input_gradient(Target(1))
    before, after = 0.999 * kink * d, 1.2 * kink * d
    base = path.pruned_logit
    logits = pruned_logits(net, torch.cat([x + before, x + after]), path.masks)[:, 1]
    assert (logits[0] - base - (g * before).sum()).abs().item() < 1e-12
    rows = torch.cat([x, x + before, x + after])
    linear = held(net, rows, path.masks)[:, 1] - base
    torch.testing.assert_close(linear, torch.stack([(g * step).sum() for step in (0 * d, before, after)]))


def test_beyond_the_first_kink_the_linear_model_fails() -> None:
    net = frozen(Mlp((torch.tensor([[1.0], [-1.0]]), torch.tensor([1.0, 3.0])), (torch.ones(1, 2), None)))
    x = as_input(0.0)  # hyperplanes at -1 and at 3
    assert linear_region(net, x, directions=None).radius == pytest.approx(1)
    assert first_kink(net, x, as_input(1.0)) == pytest.approx(3)
    assert first_kink(net, x, as_input(-2.0)) == pytest.approx(1)
    far = pathway(net, x, 0, "marginal_taylor", 0.5)  # scores 1 and 3: the second stays
    assert linear_region(net, x, far.masks, directions=None).radius == pytest.approx(3)
    slope = held(net, torch.cat([x, x + 4]), far.masks)[:, 0]
    assert slope.tolist() == [3.0, -1.0]
    assert pruned_logits(net, x + 4, far.masks).item() == 0.0


def test_a_tie_in_a_pooling_leaves_no_room() -> None:
    net = frozen(nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 1)))
    region = linear_region(net, torch.full((1, 1, 2, 2), 3.0).double(), directions=None)
    assert (region.radius, region.pool) == (0.0, 0.0)
    assert region.relu == pytest.approx(3.0)


def test_the_estimated_radius_is_near_the_exact_one() -> None:
    net, x = random_densenet(3), film_batch(3, samples=1, size=32)
    masks = pathway(net, x, 0, "marginal_taylor", 0.9).masks
    exact = linear_region(net, x, masks, directions=None)
    estimate = linear_region(net, x, masks, directions=32, seed=1)
    assert not estimate.exact
    assert 0.7 < estimate.radius / exact.radius < 1.4
    assert estimate == linear_region(net, x, masks, directions=32, seed=1)


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_without_biases_every_layer_sums_to_the_logit(seed: int) -> None:
    net, x = frozen(Biasless(seed)), film_batch(seed, samples=2)
    tape = Forward(net, x).tape()
    g = tape.gradients(Target(1).score, at=tape.activations)
    for a, slope in zip(tape.activations, g, strict=True):
        torch.testing.assert_close((a * slope).flatten(1).sum(1), net(x)[:, 1], rtol=1e-10, atol=1e-12)
    taylor, whole = (pathway(net, x, 1, method, 0.8).masks for method in ("marginal_taylor", "integrated"))
    assert all(torch.equal(a, b) for a, b in zip(taylor, whole, strict=True))


def test_at_the_last_layer_ablation_is_the_score() -> None:
    x = film_batch(1, samples=1)
    tape = Forward(NET, x).tape()
    scores = FINDERS["marginal_taylor"]
    (masks,) = scores.masks(Forward(NET, x), Target(2), [0.0], Search())
    a = tape.activations[-1]
    for index in torch.nonzero(a[0] > 0)[:5].tolist():
        without = [torch.ones_like(mask) for mask in masks]
        without[-1][(0, *index)] = False
        drop = tape.logits[0, 2] - pruned_logits(NET, x, tuple(without))[0, 2]
        score = a[(0, *index)] * NET.classifier.weight[2, index[0]] / a[0, 0].numel()
        torch.testing.assert_close(drop, score.detach(), rtol=1e-9, atol=1e-12)


def test_integration_runs_from_zero_to_the_activation() -> None:
    gate = frozen(
        Mlp((torch.ones(1, 1), None), (torch.ones(1, 1), torch.tensor([-0.5])), (torch.ones(1, 1), None))
    )  # f = relu(a - .5), a = relu(x) = 1
    scores = integrated(Forward(gate, as_input(1.0)), Target(0), Search(steps=10, sites=(0,)))
    assert scores.sites()[0].item() == pytest.approx(0.5, abs=1e-15)


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_integrated_scores_add_up_to_what_removing_the_layer_takes(seed: int) -> None:
    net, x = deep(seed)
    steps, tape = 1000, Forward(net, x).tape()
    for site, a in enumerate(tape.activations):
        mean = mean_gradient(Forward(net, x), Target(2), site, steps)
        masks = tuple(torch.full_like(b, number != site, dtype=torch.bool) for number, b in enumerate(tape.activations))
        taken = tape.logits[0, 2] - pruned_logits(net, x, masks)[0, 2]
        torch.testing.assert_close((a * mean).sum(), taken, rtol=0, atol=20 / steps)


def test_integrated_scores_of_a_batch_are_those_of_its_films() -> None:
    x, targets = film_batch(2, samples=3, size=32), torch.tensor([0, 2, 1])
    together = pathway(NET, x, targets, "integrated", 0.7, steps=7)
    for i, target in enumerate(targets.tolist()):
        alone = pathway(NET, x[i : i + 1], target, "integrated", 0.7, steps=7)
        assert all(torch.equal(a[i : i + 1], b) for a, b in zip(together.masks, alone.masks, strict=True))
        torch.testing.assert_close(together.retention[i : i + 1], alone.retention)


def test_random_masks_overlap_by_chance() -> None:
    x = film_batch(3, samples=1)
    first, second = (pathway(NET, x, 0, "random", 0.9, seed=seed) for seed in (0, 1))
    a, b = (torch.cat([mask.flatten() for mask in path.masks]) for path in (first, second))
    assert int((a & b).sum()) / int((a | b).sum()) == pytest.approx(0.1 / 1.9, abs=0.01)
    assert first.occupancy.numpy() == pytest.approx(0.1, abs=0.01)
    again = pathway(NET, x, 3, "random", 0.9, seed=0)
    assert all(torch.equal(p, q) for p, q in zip(first.masks, again.masks, strict=True))


def test_the_active_subnet_is_the_network() -> None:
    x = film_batch(4)
    path = pathway(NET, x, 1, "active", 0.5)
    torch.testing.assert_close(path.pruned_logit, path.logit, rtol=0, atol=0)
    torch.testing.assert_close(path.reached, path.dead.sum(1) / path.neurons.sum())
    assert path.retention.tolist() == [1.0, 1.0]


def test_greedy_keeps_dead_neurons_and_falls_short_of_its_sparsity() -> None:
    x = film_batch(5, samples=1)
    greedy, taylor = (pathway(NET, x, 1, method, 0.8) for method in ("greedy", "marginal_taylor"))
    dead = torch.cat([(a <= 0).flatten() for a in Forward(NET, x).tape().activations])
    kept = torch.cat([mask.flatten() for mask in greedy.masks])
    assert bool(kept[dead].float().mean() > 0.7)
    assert float(greedy.dead_share) > 0.6 > float(taylor.dead_share) == 0
    assert float(greedy.reached) < 0.8
    whole = pathway(NET, x, 1, "greedy", 0.0)
    assert all(bool(mask.all()) for mask in whole.masks)


def test_one_round_of_removal_is_taylor_and_more_rounds_reach_the_same_sparsity() -> None:
    x = film_batch(6)
    once, often, taylor = (
        pathway(NET, x, 1, method, 0.9, **options)
        for method, options in (("iterative", {"rounds": 1}), ("iterative", {"rounds": 4}), ("marginal_taylor", {}))
    )
    assert all(torch.equal(a, b) for a, b in zip(once.masks, taylor.masks, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(often.masks, taylor.masks, strict=True))
    assert torch.all((often.reached - 0.9).abs() < 1e-3)


def test_sparsities_asked_together_are_nested_and_the_same_as_alone() -> None:
    x = film_batch(7)
    paths = pathways_at(NET, x, 1, "marginal_taylor", [0.5, 0.7, 0.9])
    for low, high in pairwise(paths):
        assert all(bool((a | ~b).all()) for a, b in zip(low.masks, high.masks, strict=True))
    alone = pathway(NET, x, 1, "marginal_taylor", 0.7)
    assert all(torch.equal(a, b) for a, b in zip(paths[1].masks, alone.masks, strict=True))


def test_the_pathway_of_minus_a_logit_is_that_of_the_logit() -> None:
    x = film_batch(8)
    plus, minus = (pathway(NET, x, target, "marginal_taylor", 0.8) for target in (2, -Target(2)))
    assert all(torch.equal(a, b) for a, b in zip(plus.masks, minus.masks, strict=True))
    torch.testing.assert_close(plus.pruned_logit, -minus.pruned_logit)
    torch.testing.assert_close(plus.retention, minus.retention)


def routed() -> tuple[Mlp, Tensor]:
    """Two neurons fire with 3 and 1; only the first reaches the outputs, (3, .5)."""
    head = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    return frozen(Mlp((torch.eye(2), None), (head, torch.tensor([0.0, 0.5])))), as_input(3.0, 1.0)


@pytest.mark.parametrize("agreement", ["softmax", "sigmoid"])
def test_the_gate_of_an_irrelevant_neuron_closes_and_the_other_stays(agreement: Any) -> None:
    net, x = routed()
    search = Search(iterations=300, rate=0.1, agreement=agreement)
    gates = gate_scores(Forward(net, x), Target(0), search).values[0]
    assert gates[1].item() == 0
    assert gates[0].item() > 0.5
    path = pathway(net, x, 0, "distillation_guided", 0.5, iterations=300, rate=0.1, agreement=agreement)
    assert path.masks[0].tolist() == [[True, False]]
    assert path.retention.item() == 1


def test_random_gates_are_drawn_again_with_less_penalty_until_the_decision_stays() -> None:
    net, x = frozen(Flipping(routed()[0])), routed()[1]  # the first gate drawn, .496, is far from keeping the decision
    options: dict[str, Any] = {"gates": "random", "iterations": 60, "penalty": 1000.0, "rate": 0.1}
    first, second = gate_scores(Forward(net, x), Target(0), Search(**options, agreement="sigmoid")).values[0].tolist()
    assert first > 0.9
    assert second < 1.1
    assert (net(x)[0, 0] > 0) == (first * 3 - 2.7 > 0)


def test_where_no_gates_keep_the_decision_it_says_so() -> None:
    net, x = routed()
    options: dict[str, Any] = {"gates": "random", "iterations": 1, "attempts": 1, "agreement": "sigmoid"}
    with pytest.raises(XrayInterpError, match="1 attempts") as caught:
        pathway(frozen(Flipping(net)), x, 0, "distillation_guided", 0.5, **options)
    assert caught.value.code is Code.NO_PATHWAY


class Flipping(nn.Module):
    """f - 2.7: with the first gate below .9, the first output changes its sign."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) - 2.7  # type: ignore[no-any-return]


def test_gates_that_open_by_themselves_are_the_best_of_the_start() -> None:
    x = film_batch(9, samples=1, size=32)
    path = pathway(NET, x, 0, "distillation_guided", 0.5, iterations=5)
    logits = pruned_logits(NET, x, path.masks)
    assert path.pruned_logit.item() == pytest.approx(logits[0, 0].item())
    assert 0 < float(path.kept.sum()) <= staying(int(path.neurons.sum()), 0.5)


@pytest.mark.parametrize("method", FINDERS)
def test_nothing_is_left_on_the_model(method: str) -> None:
    net, x = Biasless(0).eval().double(), film_batch(10)
    before = snapshot(net)
    for mode in (torch.enable_grad, torch.inference_mode):
        with mode():
            pathway(net, x, 1, method, 0.5, steps=2, rounds=2, iterations=2)
    linear_region(net, x[:1], directions=2)
    assert snapshot(net) == before
    assert not torch.overrides._len_torch_function_stack()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sparsity": 1.0}, "1.0"),
        ({"sparsity": -0.1}, "-0.1"),
        ({"sparsity": math.nan}, "nan"),
        ({"quota": "unit"}, "global or layer"),
        ({"gates": "open"}, "ones or random"),
        ({"steps": 0}, "1 or more"),
        ({"rounds": -1}, "1 or more"),
        ({"rate": 0}, "more than 0"),
        ({"momentum": 1.0}, "below 1"),
        ({"sites": (99,), "method": "integrated"}, "0 to"),
        ({"colour": 3}, "no option 'colour'"),
    ],
)
def test_wrong_options_are_refused_by_value(change: dict[str, Any], says: str) -> None:
    options = {"method": "marginal_taylor", "sparsity": 0.5} | change
    with pytest.raises(XrayInterpError, match=says) as caught:
        pathway(NET, film_batch(11), 0, **options)
    assert caught.value.code is Code.BAD_OPTION


def test_unknown_finders_and_networks_with_other_kinks_are_refused() -> None:
    x = film_batch(12, samples=1)
    with pytest.raises(XrayInterpError, match="greedy") as caught:
        pathway(NET, x, 0, "magic", 0.5)
    assert caught.value.code is Code.UNKNOWN_METHOD

    class Smooth(Biasless):
        def forward(self, x: Tensor) -> Tensor:
            return F.silu(super().forward(x))

    class Largest(Biasless):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.body(x).amax((2, 3)))  # type: ignore[no-any-return]

    for net, says in ((Smooth(0), "silu"), (Largest(0), "amax")):
        with pytest.raises(XrayInterpError, match=says) as caught:
            linear_region(frozen(net), x)
        assert caught.value.code is Code.UNSUPPORTED_OPERATOR
    with pytest.raises(XrayInterpError, match="2 films"):
        linear_region(NET, film_batch(12))
    with pytest.raises(XrayInterpError, match=r"length 0\.0"):
        first_kink(NET, x, torch.zeros_like(x))
