"""A ResNet and a VGG for one grey channel, to stand beside the DenseNet: same head, same grids, no ReLU in place.

Both end in a rectified map, global average pool and `classifier`, so that
logit_c = bias_c + sum_k weight_ck * mean_u maps_k(u) holds exactly, as it does for the DenseNet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from .card import Layer


@dataclass(frozen=True)
class StagesShape:
    """Size of a ResNet or VGG: channels after the stem, channels and blocks (or convolutions) of each stage.

    Every stage halves the grid once but a ResNet's first, whose stem has halved it twice.
    """

    stem: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]


class _Bottleneck(nn.Module):
    """x + conv1(conv3(conv1(x))), rectified by `out` (He et al. 2016); the shortcut is projected where it must be."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        inner = after // 4
        self.body = nn.Sequential(
            *_conv(before, inner, 1),
            *_conv(inner, inner, 3, stride),
            nn.Conv2d(inner, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        same = stride == 1 and before == after
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )
        self.out = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(self.body(x) + self.shortcut(x))
        return y


class PooledNet(nn.Module):
    """`features`, whose maps are rectified, then global average pool and `classifier`: (N, 1, S, S) -> (N, outputs)."""

    def __init__(self, shape: StagesShape, features: OrderedDict[str, nn.Module], outputs: int) -> None:
        super().__init__()
        self.shape = shape
        self.features = nn.Sequential(features)
        self.classifier = nn.Linear(shape.channels[-1], outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, outputs) of inputs (N, 1, S, S)."""
        pooled = F.adaptive_avg_pool2d(self.features(x), (1, 1)).flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits


class ResNet(PooledNet):
    """Residual network of bottleneck blocks (He et al. 2016) behind a 7 x 7 stem of stride 2 and a max pool."""

    def __init__(self, shape: StagesShape, outputs: int) -> None:
        features: OrderedDict[str, nn.Module] = OrderedDict(
            stem=nn.Sequential(*_conv(1, shape.stem, 7, 2)), pool=nn.MaxPool2d(3, 2, 1)
        )
        before = shape.stem
        for number, (channels, depth) in enumerate(zip(shape.channels, shape.depths, strict=True), start=1):
            blocks = [_Bottleneck(before, channels, 1 if number == 1 else 2)]
            blocks += [_Bottleneck(channels, channels, 1) for _ in range(depth - 1)]
            features[f"stage{number}"] = nn.Sequential(*blocks)
            before = channels
        super().__init__(shape, features, outputs)


class VGG(PooledNet):
    """Plain stages of 3 x 3 convolutions with batch norm, a max pool between them (Simonyan & Zisserman 2015)."""

    def __init__(self, shape: StagesShape, outputs: int) -> None:
        features: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(*_conv(1, shape.stem, 3)))
        before = shape.stem
        for number, (channels, depth) in enumerate(zip(shape.channels, shape.depths, strict=True), start=1):
            features[f"pool{number}"] = nn.MaxPool2d(2, 2)
            layers = [part for i in range(depth) for part in _conv(channels if i else before, channels, 3)]
            features[f"stage{number}"] = nn.Sequential(*layers)
            before = channels
        super().__init__(shape, features, outputs)


def stage_layers(shape: StagesShape, size: int, *, first: int) -> dict[str, Layer]:
    """Layers of a ResNet (`first` = 4) or VGG (`first` = 2) by name, with grids at inputs of `size` pixels.

    Args:
        first: how many input pixels a cell of the first stage spans; every further stage doubles it.
    """
    return {
        f"stage{number}": Layer(f"features.stage{number}", -(-size // (first << (number - 1))), channels)
        for number, channels in enumerate(shape.channels, start=1)
    }


def _conv(before: int, after: int, kernel: int, stride: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    yield nn.BatchNorm2d(after)
    yield nn.ReLU()
