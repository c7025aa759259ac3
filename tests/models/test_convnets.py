"""ResNet and VGG: the head is pool and linear, grids and units are as they say, nothing is changed in place."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xrayinterp.models.convnets import VGG, PooledNet, ResNet, StagesShape, stage_layers
from xrayinterp.operators.taps import feature_maps
from xrayinterp.studies.networks import build, layers_of

NETS = {
    "resnet": (ResNet(StagesShape(8, (16, 24), (2, 2)), 3), 4),
    "vgg": (VGG(StagesShape(4, (8, 12, 20), (1, 2, 1)), 3), 2),
}


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> tuple[PooledNet, int]:
    module, first = NETS[request.param]
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=generator) * 0.1)
            part.weight.data = 0.5 + torch.rand(part.num_features, generator=generator)
            part.bias.data = torch.randn(part.num_features, generator=generator) * 0.1
    return module.double().eval(), first


def test_contributions_of_units_and_bias_are_the_logit(net: tuple[PooledNet, int]) -> None:
    module, first = net
    x = torch.rand(2, 1, 48, 48, dtype=torch.float64) * 2 - 1
    last = list(stage_layers(module.shape, 48, first=first).values())[-1]
    logits, maps = feature_maps(module, x, [last.path])
    units = maps[last.path].mean((2, 3))
    assert units.min() >= 0
    parts = module.classifier.weight[None] * units[:, None]
    assert torch.allclose(parts.sum(2) + module.classifier.bias, logits, atol=1e-12)


def test_a_units_contribution_is_what_its_ablation_takes_away(net: tuple[PooledNet, int]) -> None:
    module, _ = net
    x = torch.rand(1, 1, 48, 48, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        maps = module.features(x)
        unit = int(maps.mean((0, 2, 3)).argmax())
        without = maps.clone()
        without[:, unit] = 0
        difference = module(x) - module.classifier(without.mean((2, 3)))
        expected = module.classifier.weight[:, unit] * maps[0, unit].mean()
    assert float(maps[0, unit].mean()) > 0
    assert torch.allclose(difference[0], expected, atol=1e-12)


def test_layers_have_the_units_and_grids_they_say(net: tuple[PooledNet, int]) -> None:
    module, first = net
    for size in (48, 50):
        layers = stage_layers(module.shape, size, first=first)
        _, maps = feature_maps(
            module, torch.rand(1, 1, size, size, dtype=torch.float64), [v.path for v in layers.values()]
        )
        for layer in layers.values():
            if size == 48 or first == 4:
                assert maps[layer.path].shape[1:] == (layer.units, layer.grid, layer.grid)


def test_no_relu_is_in_place(net: tuple[PooledNet, int]) -> None:
    relus = [part for part in net[0].modules() if isinstance(part, nn.ReLU)]
    assert relus
    assert not any(relu.inplace for relu in relus)


def test_the_three_of_a_study_are_of_like_size() -> None:
    nets = {name: build(name, 1.0, 0) for name in ("densenet", "resnet", "vgg")}  # type: ignore[arg-type]
    weights = [sum(p.numel() for p in net.features.parameters()) for net in nets.values()]
    assert max(weights) < 1.03 * min(weights)
    layers = [{key: (v.grid, v.units) for key, v in layers_of(net, 112).items()} for net in nets.values()]
    assert layers[0] == layers[1] == layers[2] == {"last": (7, 172), "middle": (14, 88)}
