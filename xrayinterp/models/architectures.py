"""The one network layout of xrayinterp: a grey-channel DenseNet whose head is ReLU, average pool, linear.

Parameter names equal those of torchvision's and torchxrayvision's DenseNet, so their weights load unchanged.
No ReLU is in place: what a tap keeps is what the layer computed.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layout import DenseNetShape

__all__ = ["DenseNet", "DenseNetShape"]


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, shape: DenseNetShape) -> None:
        super().__init__()
        inner = shape.bottleneck * shape.growth
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, shape.growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return torch.cat([x, y], 1)


class _Transition(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(
            OrderedDict(
                norm=nn.BatchNorm2d(channels),
                relu=nn.ReLU(),
                conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
                pool=nn.AvgPool2d(2, 2),
            )
        )


class DenseNet(nn.Module):
    """DenseNet for one grey channel (Huang et al. 2017): (N, 1, S, S) -> logits (N, outputs).

    `features` ends in `norm5` (batch norm, signed); the head is ReLU, global average pool and `classifier`, so
    logit_c = bias_c + sum_k weight_ck * mean_u relu(norm5_k(u)) holds exactly.
    """

    def __init__(self, shape: DenseNetShape, outputs: int) -> None:
        super().__init__()
        self.shape = shape
        channels = shape.stem
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(1, channels, 7, 2, 3, bias=False),
                norm0=nn.BatchNorm2d(channels),
                relu0=nn.ReLU(),
                pool0=nn.MaxPool2d(3, 2, 1),
            )
        )
        for number, layers in enumerate(shape.blocks, start=1):
            block: OrderedDict[str, nn.Module] = OrderedDict(
                (f"denselayer{i + 1}", _DenseLayer(channels + i * shape.growth, shape)) for i in range(layers)
            )
            self.features.add_module(f"denseblock{number}", nn.Sequential(block))
            channels += layers * shape.growth
            if number < len(shape.blocks):
                self.features.add_module(f"transition{number}", _Transition(channels))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, outputs) of inputs (N, 1, S, S)."""
        maps = F.relu(self.features(x))
        pooled = F.adaptive_avg_pool2d(maps, (1, 1)).flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits
