"""Networks of like size in three shapes, and how a trained one is dressed for dissection."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..models.architectures import DenseNet, DenseNetShape
from ..models.card import Card, Layer
from ..models.chest_model import ChestModel
from ..models.convnets import VGG, ResNet, StagesShape, stage_layers
from ..models.layout import dissection_layers
from ..models.prepare import resize
from .plan import Architecture, Settings

LAYERS = ("last", "middle")
"""Names of the dissected layers: grids of a 16th and an 8th of the input's side, alike in all architectures."""

Net = DenseNet | ResNet | VGG


def build(architecture: Architecture, width: float, seed: int) -> Net:
    """A network with one output and random weights that `seed` alone decides.

    At width 1 all three have 88 units in the middle, 172 at the end and about 208,000 weights.
    """

    def wide(channels: int) -> int:
        return max(4, 4 * round(channels * width / 4))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "densenet":
            return DenseNet(DenseNetShape(wide(16), (2, 4, 8), wide(16)), 1)
        if architecture == "resnet":
            return ResNet(StagesShape(wide(16), (wide(48), wide(88), wide(172)), (2, 3, 5)), 1)
        return VGG(StagesShape(wide(8), (wide(16), wide(48), wide(88), wide(172)), (1, 2, 1, 1)), 1)


def with_head(net: Net, outputs: int, seed: int, bias: Tensor | None = None) -> Net:
    """A copy with a fresh linear head; the features are those of `net`."""
    out = copy.deepcopy(net)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        out.classifier = nn.Linear(net.classifier.in_features, outputs)
    nn.init.zeros_(out.classifier.bias)
    if bias is not None:
        with torch.no_grad():
            out.classifier.bias.copy_(bias)
    return out


def without_head(net: Net) -> Net:
    """A copy whose output are the pooled features (N, units)."""
    out = copy.deepcopy(net)
    out.classifier = nn.Identity()  # type: ignore[assignment]
    return out


@torch.no_grad()
def settle_norms(net: Net, films: Tensor, size: int, batch: int = 64) -> Net:
    """A copy whose batch norms hold the statistics of these films (N, d, d) uint8: what an untrained net computes."""
    out = copy.deepcopy(net).train()
    norms = [module for module in out.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for part in films.split(batch):
        out(resize(part[:, None].float() / 255, size) * 2 - 1)
    for norm in norms:
        norm.momentum = 0.1
    return out.eval()


def layers_of(net: Net, size: int) -> dict[str, Layer]:
    """The dissected layers of a network by the names of LAYERS."""
    if isinstance(net, DenseNet):
        known = dissection_layers(net.shape, size)
        return {"last": known["norm5"], "middle": known["denseblock2"]}
    known = stage_layers(net.shape, size, first=4 if isinstance(net, ResNet) else 2)
    names = list(known)
    return {"last": known[names[-1]], "middle": known[names[-2]]}


def as_chest_model(net: Net, name: str, settings: Settings) -> ChestModel:
    """The network as `dissect` takes it; its outputs are not named, since dissection reads none."""
    outputs = tuple(f"output {i}" for i in range(net.classifier.out_features))
    card = Card(name, "A network of a study.", "", "", (), None)
    frozen = net.eval().requires_grad_(False)
    layers = layers_of(net, settings.size)
    return ChestModel(name, frozen, outputs, layers, settings.size, 1.0, settings.detail, "findings", card)
