"""Maps of pruned networks: by hand, against the plain gradient, and projected ascent in closed form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.closed_form import TWIN_POOLS, TWIN_RELUS, Twin, film_batch, frozen, random_densenet, snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, Target, attribute, attribute_many, native_map
from xrayinterp.attribution.pathway_maps import ascend, norms
from xrayinterp.attribution.pathway_masks import PrunedForward
from xrayinterp.attribution.pathways import first_kink, pathway
from xrayinterp.datasets.films import load_films
from xrayinterp.datasets.phantom import EXAMPLES
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.imaging.reader import read
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model

SEEDS = st.integers(0, 2**16)
PATHWAY = [name for name, method in METHODS.items() if method.family == "pathway"]
GRADIENTS = ["pathway_gradient", "prunegrad"]
NET = random_densenet(0)


def test_the_family_is_complete() -> None:
    assert PATHWAY == ["pathway_gradient", "prunegrad", "prunegrad_pgd", "pruned_layer_cam"]


@given(SEEDS, st.sampled_from(GRADIENTS))
@settings(max_examples=10, deadline=None)
def test_at_sparsity_zero_it_is_the_gradient(seed: int, method: str) -> None:
    net, x = random_densenet(seed), film_batch(seed, channels=1)
    assert torch.equal(attribute(net, x, 1, method, sparsity=0), attribute(net, x, 1, "gradient"))


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_neurons_that_contribute_nothing_may_go_without_a_change(seed: int) -> None:
    net, x = random_densenet(seed), film_batch(seed)
    path = pathway(net, x, 2, "marginal_taylor", 0.0)
    assert bool((path.reached > 0.1).all())
    kept = PrunedForward(Forward(net, x), path.masks).input_gradient(Target(2))
    torch.testing.assert_close(kept, Forward(net, x).input_gradient(Target(2)), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(path.pruned_logit, path.logit)


@given(SEEDS, st.sampled_from([0.3, 0.8, 0.95]), st.sampled_from(["global", "layer"]))
@settings(max_examples=10, deadline=None)
def test_the_pathway_gradient_is_autograd_through_multiplied_masks(seed: int, sparsity: float, quota: Any) -> None:
    torch.manual_seed(seed)
    net, x = frozen(Twin()), film_batch(seed)
    path = pathway(net, x, 1, "marginal_taylor", sparsity, quota=quota)
    leaf = x.clone().requires_grad_()
    first = F.relu(net.norm(net.first(leaf))) * path.masks[0]
    second = F.relu(net.second(first)) * path.masks[1]
    logits = net.head(second.mean((2, 3)))
    (g,) = torch.autograd.grad(logits[:, 1].sum(), [leaf])
    torch.testing.assert_close(attribute(net, x, 1, "pathway_gradient", sparsity=sparsity, quota=quota), g)
    torch.testing.assert_close(path.pruned_logit, logits[:, 1].detach())
    cam = (second * net.head.weight[1].view(1, -1, 1, 1) * path.masks[1]).sum(1, keepdim=True) / second[0, 0].numel()
    options = {"sparsity": sparsity, "quota": quota}
    shown = native_map(Forward(net, x), 1, "pruned_layer_cam", smooth="no", **options)
    torch.testing.assert_close(shown, cam.detach())
    assert second.shape[-1] > 7
    smooth = native_map(Forward(net, x), 1, "pruned_layer_cam", **options)
    torch.testing.assert_close(smooth, F.avg_pool2d(cam.detach(), 2))


def test_prunegrad_of_one_round_is_the_pathway_gradient() -> None:
    x = film_batch(1)
    taylor = attribute(NET, x, 2, "pathway_gradient")
    assert torch.equal(attribute(NET, x, 2, "prunegrad", rounds=1), taylor)
    assert not torch.equal(attribute(NET, x, 2, "prunegrad"), taylor)


def test_the_integrated_contribution_keeps_other_neurons() -> None:
    x = film_batch(2, samples=1)
    whole = attribute(NET, x, 2, "pathway_gradient", contribution="integrated", steps=5)
    path = pathway(NET, x, 2, "integrated", 0.9, steps=5)
    assert torch.equal(whole, PrunedForward(Forward(NET, x), path.masks).input_gradient(Target(2)))
    assert not torch.equal(whole, attribute(NET, x, 2, "pathway_gradient"))


def test_a_layer_of_the_pruned_net_is_that_of_its_own_activations() -> None:
    x = film_batch(3)
    path = pathway(NET, x, 1, "marginal_taylor", 0.8)
    tape = PrunedForward(Forward(NET, x), path.masks).tape()
    (g,) = tape.gradients(Target(1).score, at=[tape.activations[-1]])
    cam = (tape.activations[-1] * g).sum(1, keepdim=True).detach()
    for layer in (None, "features.norm5"):
        shown = native_map(Forward(NET, x), 1, "pruned_layer_cam", sparsity=0.8, layer=layer)
        torch.testing.assert_close(shown, cam)


def linear(x: Tensor) -> PrunedForward:
    """f(x) = 3 x_1 + 4 x_2."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False))
    net[1].weight.data = torch.tensor([[3.0, 4.0]])
    return PrunedForward(Forward(frozen(net), x), None)


def test_ascent_of_a_linear_function_ends_where_its_gradient_meets_the_ball() -> None:
    x = torch.tensor([[[[1.0, 7.0]]], [[[0.0, 0.0]]]], dtype=torch.float64)
    eps = torch.tensor([500.0, 50.0], dtype=x.dtype).view(2, 1, 1, 1)
    delta = ascend(linear(x), Target(0), eps, torch.full_like(eps, 25.0), 50)
    torch.testing.assert_close(delta.flatten(1), torch.tensor([[300.0, 400.0], [30.0, 40.0]], dtype=x.dtype))
    for steps in (1, 5, 19):
        short = ascend(linear(x), Target(0), eps, torch.full_like(eps, 25.0), steps)
        assert norms(short).flatten().tolist() == pytest.approx([25.0 * steps, min(50.0, 25.0 * steps)])
    down = ascend(linear(x), -Target(0), eps, torch.full_like(eps, 25.0), 50)
    torch.testing.assert_close(down, -delta)


@given(SEEDS, st.sampled_from([0.5, 0.9]))
@settings(max_examples=8, deadline=None)
def test_inside_the_linear_region_the_perturbation_is_the_gradient(seed: int, sparsity: float) -> None:
    net, x = random_densenet(seed), film_batch(seed, samples=1)
    path = pathway(net, x, 0, "marginal_taylor", sparsity)
    pruned = PrunedForward(Forward(net, x), path.masks)
    g = pruned.input_gradient(Target(0))
    eps = torch.full((1, 1, 1, 1), 0.9 * first_kink(net, x, g, path.masks), dtype=x.dtype)
    delta = ascend(pruned, Target(0), eps, eps / 20, 25)
    torch.testing.assert_close(delta, eps * g / norms(g), rtol=1e-7, atol=1e-12)


def test_the_perturbation_stays_in_its_ball_and_raises_the_logit_of_the_pruned_net() -> None:
    x = film_batch(5)
    path = pathway(NET, x, 1, "marginal_taylor", 0.8)
    pruned = PrunedForward(Forward(NET, x), path.masks)
    for budget in (0.05, 1.28):
        delta = attribute(NET, x, 1, "prunegrad_pgd", sparsity=0.8, budget=budget, steps=30)
        assert bool((norms(delta) <= budget * norms(x) * (1 + 1e-12)).all())
        raised = pruned.at(x + delta).logits.detach()[:, 1]
        along = pruned.input_gradient(Target(1))
        straight = pruned.at(x + budget * norms(x) * along / norms(along)).logits.detach()[:, 1]
        assert bool((raised > path.pruned_logit).all())
        assert bool((raised >= straight - 1e-9).all())


def test_a_network_that_no_longer_depends_on_its_input_ends_the_ascent_with_a_reason() -> None:
    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)
            self.conv.bias.data.fill_(-100.0)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv(x)).mean((2, 3))

    with pytest.raises(XrayInterpError, match="Film 0: after 0 steps") as caught:
        attribute(frozen(Dead()), film_batch(6), 0, "prunegrad_pgd")
    assert caught.value.code is Code.NO_GRADIENT
    for method in ("pathway_gradient", "prunegrad", "pruned_layer_cam"):
        assert not attribute(frozen(Dead()), film_batch(6), 0, method).any()


@pytest.mark.parametrize("method", PATHWAY)
def test_how_relu_and_pooling_are_written_makes_no_difference(method: str) -> None:
    x = film_batch(7)
    reference = attribute(frozen(Twin()), x, 1, method, sparsity=0.7)
    assert float(reference.abs().max()) > 0
    for twin in [*({"relu": relu} for relu in TWIN_RELUS), *({"pool": pool} for pool in TWIN_POOLS)]:
        got = attribute(frozen(Twin(**twin)), x, 1, method, sparsity=0.7)
        torch.testing.assert_close(got, reference, msg=str(twin))


@pytest.mark.parametrize("method", PATHWAY)
def test_maps_of_a_batch_are_those_of_its_films_and_leave_nothing_behind(method: str) -> None:
    x, before = film_batch(8, samples=3), snapshot(NET)
    targets = torch.tensor([4, 0, 2])
    together = attribute(NET, x, targets, method)
    alone = [attribute(NET, x[i : i + 1], target, method) for i, target in enumerate((4, 0, 2))]
    torch.testing.assert_close(together, torch.cat(alone))
    assert bool((together < 0).any())
    assert snapshot(NET) == before
    with torch.inference_mode():
        assert torch.equal(attribute(NET, x, targets, method), together)


def test_one_forward_of_the_whole_network_serves_all_targets_and_taylor_pathways() -> None:
    class Counting(Twin):
        runs = 0

        def forward(self, x: Tensor) -> Tensor:
            self.runs += 1
            return super().forward(x)

    net = frozen(Counting())
    maps = attribute_many(net, film_batch(9), [0, 1, 2], ["gradient", "pathway_gradient", "pruned_layer_cam"])
    assert net.runs == 1 + 3 * 2  # the whole net once; each pruned net once for its gradient and once for its layer
    assert {values.shape[:2] for values in maps.values()} == {(3, 2)}


@pytest.fixture(scope="module")
def compact() -> ChestModel:
    return load_model("compact")


def _smoke(model: ChestModel, x: Tensor, finding: str) -> None:
    index = model.index(finding)
    path = pathway(model, x, index, "marginal_taylor", 0.9)
    assert path.reached.item() == pytest.approx(0.9, abs=1e-4)
    assert path.dead_share.item() == 0
    assert np.isfinite(path.retention.item())
    for method in PATHWAY:
        options = {"steps": 3} if method == "prunegrad_pgd" else {}
        shown = attribute(model, x, index, method, **options)
        assert shown.shape == (1, 1, *x.shape[-2:])
        assert bool(shown.isfinite().all())
        assert float(shown.abs().max()) > 0


def test_a_synthetic_film_runs_through_the_built_in_model(compact: ChestModel) -> None:
    _smoke(compact, compact.prepare(read(EXAMPLES[1].png())), "Effusion")


@pytest.mark.data
def test_a_radiograph_runs_through_the_built_in_model(compact: ChestModel, data_root: Path) -> None:
    film = next(one for one in load_films("nih", root=data_root, splits=["test"]) if one.labels["Effusion"] == 1)
    _smoke(compact, compact.prepare(read(film.path, view=film.view)), "Effusion")
