"""The cascade: what it destroys and in which order, and that the model never feels it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.closed_form import SMALL, Twin, film_batch, frozen, random_densenet, snapshot
from helpers.lit_model import extra_methods
from helpers.tiny_model import tiny_model
from torch import nn

from xrayinterp.attribution import Forward, Target, attribute, native_map
from xrayinterp.evaluation.randomisation import cascade, layer_blocks, permute
from xrayinterp.evaluation.similarity import similarity
from xrayinterp.models.architectures import DenseNetShape

NET = random_densenet(0)
X = film_batch(0, samples=1)


def test_blocks_hold_every_layer_once_and_the_head_alone() -> None:
    blocks = layer_blocks(NET)
    layers = [name for name, part in NET.named_modules() if any(True for _ in part.parameters(recurse=False))]
    assert [name for block in blocks for name in block] == layers
    assert len(blocks) == 10
    assert blocks[-1] == ("classifier",)
    assert max(map(len, blocks[:-1])) - min(map(len, blocks[:-1])) <= 1


def test_small_networks_have_fewer_blocks() -> None:
    assert layer_blocks(frozen(Twin())) == [("first",), ("norm",), ("second",), ("head",)]
    assert layer_blocks(nn.ReLU()) == []
    assert layer_blocks(nn.Linear(2, 2)) == [("",)]


def test_values_are_permuted_within_their_tensor() -> None:
    layer = nn.BatchNorm2d(50)
    nn.init.normal_(layer.weight)
    before, mean = layer.weight.detach().clone(), layer.running_mean
    permute(layer, np.random.default_rng(0))
    assert not torch.equal(layer.weight, before)
    assert torch.equal(layer.weight.sort().values, before.sort().values)
    assert torch.equal(layer.running_mean, mean)  # statistics stay, as the policy says


def test_the_head_goes_first_and_the_rest_stays_until_its_turn() -> None:
    """After the head alone, the gradient is what the intact body makes of a permuted row of weights."""
    first, *others = cascade(NET, X, Target(1), "gradcam_signed", seed=4)
    assert (first.depth, first.block) == (1, ("classifier", "classifier"))
    assert [stage.depth for stage in others] == list(range(2, 11))
    head = random_densenet(0)
    draws = np.random.default_rng(4)
    permute(head.classifier, draws)
    (expected,) = cascade(head, X, Target(1), "gradcam_signed", blocks=1)  # one block is the head
    assert expected.block == ("classifier", "classifier")
    torch.testing.assert_close(first.values, native_map(Forward(head, X), 1, "gradcam_signed"))


def test_seeds_reproduce_and_differ() -> None:
    runs = [[s.values for s in cascade(NET, X, Target(0), "gradient", seed=seed)] for seed in (1, 1, 2)]
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not torch.equal(runs[0][0], runs[2][0])


def test_an_edge_detector_is_exactly_itself_at_every_depth() -> None:
    with extra_methods():
        own = (X - X.roll(1, 3)).abs()[0, 0].numpy()
        for stage in cascade(NET, X, Target(0), "outline"):
            alike = similarity(own, stage.values[0, 0].numpy())
            assert (alike.ssim, alike.spearman, alike.spearman_abs) == (1.0, 1.0, 1.0)


def test_the_registered_edges_are_exactly_themselves_at_every_depth() -> None:
    own = attribute(NET, X, 0, "edges")[0, 0].numpy()
    alike = [similarity(own, stage.values[0, 0].numpy()) for stage in cascade(NET, X, Target(0), "edges")]
    assert {(one.ssim, one.spearman, one.spearman_abs) for one in alike} == {(1.0, 1.0, 1.0)}


def test_after_the_head_alone_guided_backprop_is_still_itself_and_the_gradient_is_not() -> None:
    shape = DenseNetShape(growth=SMALL.growth, blocks=(6, 12, 24, 16), stem=SMALL.stem)
    found: dict[str, list[float]] = {"guided_backprop": [], "gradient": []}
    for seed in range(5):
        net = random_densenet(seed, shape=shape)
        for method, rhos in found.items():
            own = attribute(net, X, 0, method)[0, 0].numpy()
            rho = similarity(own, next(cascade(net, X, Target(0), method)).values[0, 0].numpy()).spearman
            rhos.append(rho or 0.0)
    medians = {method: float(np.median(rhos)) for method, rhos in found.items()}
    assert medians["guided_backprop"] > 0.9
    assert abs(medians["gradient"]) < 0.5


def test_the_gradient_loses_itself_with_depth() -> None:
    net, x = NET, X
    own = attribute(net, x, 0, "gradient")
    rhos = [
        similarity(own[0, 0].numpy(), s.values[0, 0].numpy()).spearman for s in cascade(net, x, Target(0), "gradient")
    ]
    assert all(rho is not None and rho < 0.9 for rho in rhos)
    assert rhos[-1] is not None
    assert abs(rhos[-1]) < 0.2


@pytest.mark.parametrize("method", ["gradient", "gradcam_signed", "bursting"])
def test_the_model_is_left_as_it_was(method: str) -> None:
    model = tiny_model()
    x = X.float()
    before = snapshot(model.module)
    with extra_methods():
        stages = cascade(model, x, Target(0), method)
        next(stages)
        if method == "bursting":
            with pytest.raises(RuntimeError):
                next(stages)
        else:
            next(stages)
    assert snapshot(model.module) == before
