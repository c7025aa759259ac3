"""Cloners: small networks whose maps at an expert's critical points have the expert's shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet
from ..models.layout import DenseNetShape

CloneSize = Literal["small", "equal"]

POOL = 0
"""Stands for a max pooling in a list of widths."""
SMALL = (16, 16, POOL, 16, 128, POOL, 16, 16, 256, POOL, 16, 16, 512, POOL, 16, 16, 512, POOL)
"""The published cloner: 343,984 parameters against VGG-16's 14,714,688."""
EQUAL = (64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512, POOL)
"""As large as VGG-16."""
VGG_POINTS = (3, 6, 9, 12)
"""Critical points among the 13 recorded layers: behind the second to the fifth pooling."""
DENSE = DenseNetShape(growth=16, blocks=(1, 2, 2, 1), stem=24)
"""The small cloner of a DenseNet: few layers, since at small inputs each costs what it costs whatever its width."""


class VGGCloner(nn.Module):
    """A VGG whose convolutions have no bias, and batch norm but where a pooling follows (Salehi et al. 2021)."""

    def __init__(self, widths: Sequence[int] = SMALL, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, after in zip(widths, (*widths[1:], POOL), strict=True):
            if width == POOL:
                layers[-1].append(nn.MaxPool2d(2, 2))  # type: ignore[operator]
                continue
            conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            nn.init.xavier_uniform_(conv.weight)
            norm = [] if after == POOL else [nn.BatchNorm2d(width)]
            layers.append(nn.Sequential(conv, *norm, nn.ReLU()))
            channels = width
        self.layers = nn.ModuleList(layers)

    def recorded(self, x: Tensor) -> list[Tensor]:
        """Outputs of all layers, a layer being a convolution with what follows it."""
        out = []
        for layer in self.layers:
            x = layer(x)
            out.append(x)
        return out

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps at the critical points, (N, U, h, w) each."""
        found = self.recorded(x)
        return tuple(found[i] for i in VGG_POINTS)


class DenseCloner(nn.Module):
    """A DenseNet with fewer and narrower layers; a 1 x 1 convolution gives each critical point the expert's width.

    Its points are the rectified maps behind each block, as those of `models.layout.dissection_layers`.
    """

    def __init__(self, shape: DenseNetShape, widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) != len(shape.blocks):
            raise XrayInterpError(
                Code.BAD_OPTION, f"A DenseNet of {len(shape.blocks)} blocks cannot clone {len(widths)} critical points."
            )
        self.features = DenseNet(shape, 1).features
        self.adapters = nn.ModuleList(nn.Conv2d(c, width, 1) for c, width in zip(_channels(shape), widths, strict=True))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps at the critical points, (N, U, h, w) each."""
        found = []
        for name, part in self.features.named_children():
            if name.startswith("transition"):
                found.append(part.get_submodule("relu")(part.get_submodule("norm")(x)))
                x = part.get_submodule("pool")(part.get_submodule("conv")(found[-1]))
            else:
                x = part(x)
        found.append(F.relu(x))
        return tuple(F.relu(adapter(maps)) for adapter, maps in zip(self.adapters, found, strict=True))


def _channels(shape: DenseNetShape) -> list[int]:
    channels, out = shape.stem, []
    for count in shape.blocks:
        channels += count * shape.growth
        out.append(channels)
        channels //= 2
    return out
