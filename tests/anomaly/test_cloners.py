"""Architectures: the published numbers, and shapes that fit their experts."""

from __future__ import annotations

import pytest
import torch
from helpers.anomaly import tiny_expert
from torch import nn

from xrayinterp.anomaly.cloners import EQUAL, SMALL, DenseCloner, VGGCloner
from xrayinterp.anomaly.experts import InputRecipe, cloner_of, densenet_expert, random_expert, vgg16_features
from xrayinterp.anomaly.fitting import Settings
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.architectures import DenseNet, DenseNetShape

PUBLISHED = [(128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4)]


def size_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def norms_in(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_small_cloner_is_the_published_one() -> None:
    cloner = VGGCloner().eval()
    assert size_of(cloner) == 343_984
    assert norms_in(cloner) == 8
    x = torch.rand(2, 3, 128, 128)
    with torch.no_grad():
        assert len(cloner.recorded(x)) == 13
        assert [tuple(maps.shape[1:]) for maps in cloner(x)] == PUBLISHED
    assert all(part.bias is None for part in cloner.modules() if isinstance(part, nn.Conv2d))


def test_expert_has_its_maps_at_the_published_points() -> None:
    expert = random_expert(0, size=128)
    assert size_of(expert.module) == 14_714_688
    assert [tuple(maps.shape[1:]) for maps in expert.maps(torch.rand(1, 1, 128, 128))] == PUBLISHED
    assert not any(part.inplace for part in expert.module.modules() if isinstance(part, nn.ReLU))


def test_equal_cloner_has_the_convolutions_of_vgg16() -> None:
    def kernels(module: nn.Module) -> list[torch.Size]:
        return [part.weight.shape for part in module.modules() if isinstance(part, nn.Conv2d)]

    assert kernels(VGGCloner(EQUAL)) == kernels(vgg16_features())
    assert len(SMALL) == len(EQUAL)


def test_training_has_four_points_and_scoring_the_last_three() -> None:
    expert = random_expert(0, size=32)
    assert Settings().points(expert) == ((0, 1, 2, 3), (1, 2, 3))
    assert Settings().last_only(expert).points(expert) == ((3,), (3,))
    with pytest.raises(XrayInterpError) as caught:
        Settings(scoring=(4,)).points(expert)
    assert caught.value.code is Code.UNKNOWN_LAYER


@pytest.mark.parametrize("size", ["small", "equal"])
def test_dense_cloner_fits_its_expert(size: str) -> None:
    shape = DenseNetShape(growth=8, blocks=(2, 3, 2, 2), stem=12)
    for expert in (densenet_expert(DenseNet(shape, 1), "net", "random", 64), tiny_expert()):
        cloner = cloner_of(expert, size).eval()  # type: ignore[arg-type]
        images = torch.rand(2, 1, 64, 64)
        with torch.no_grad():
            cloned = cloner(expert.recipe(images))
        assert [m.shape for m in cloned] == [m.shape for m in expert.maps(images)]
        assert all(bool((m >= 0).all()) for m in cloned)


def test_a_seed_decides_a_cloner() -> None:
    states = [cloner_of(tiny_expert(), seed=seed).state_dict() for seed in (0, 0, 1)]
    name = "adapters.0.weight"
    assert torch.equal(states[0][name], states[1][name])
    assert not torch.equal(states[0][name], states[2][name])


def test_a_cloner_of_another_depth_is_refused() -> None:
    with pytest.raises(XrayInterpError, match="2 blocks cannot clone 3"):
        DenseCloner(DenseNetShape(blocks=(2, 2)), (4, 4, 4))


def test_recipe_repeats_grey_and_averages_colour() -> None:
    grey, colour = torch.rand(1, 1, 8, 8), torch.rand(1, 3, 8, 8)
    to_colour = InputRecipe(3, None, (0.5, 0.4, 0.3), (0.1, 0.2, 0.5))(grey)
    assert torch.allclose(to_colour[:, 2:], (grey - 0.3) / 0.5)
    assert torch.allclose(InputRecipe(1, None, (0.0,), (1.0,))(colour), colour.mean(1, keepdim=True))
    with pytest.raises(XrayInterpError, match="2 channels"):
        InputRecipe(1, None, (0.0,), (1.0,))(torch.rand(1, 2, 8, 8))
