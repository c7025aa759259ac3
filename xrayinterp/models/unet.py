"""The segmenter's network: a small U-Net for one grey channel."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _pair(inside: int, outside: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with batch norm and ReLU."""
    steps: list[nn.Module] = []
    for channels in (inside, outside):
        steps += [nn.Conv2d(channels, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*steps)


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015): (N, 1, S, S) -> logits (N, outputs, S, S), S a multiple of 2 ** (levels - 1).

    `channels` holds the width of each level, finest first. What comes up from a coarser level is enlarged bilinearly
    (half-pixel centres) and joined to the finer level's own map.
    """

    def __init__(self, channels: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.channels = channels
        self.down = nn.ModuleList(_pair(i, o) for i, o in pairwise((1, *channels)))
        self.up = nn.ModuleList(_pair(fine + coarse, fine) for fine, coarse in pairwise(channels))
        self.head = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, outputs, S, S) of inputs (N, 1, S, S) in [-1, 1]."""
        levels: list[Tensor] = []
        for level in self.down:
            x = level(F.max_pool2d(x, 2) if levels else x)
            levels.append(x)
        for finer, step in zip(reversed(levels[:-1]), reversed(self.up), strict=True):
            larger = F.interpolate(x, finer.shape[-2:], mode="bilinear", align_corners=False)
            x = step(torch.cat([finer, larger], 1))
        logits: Tensor = self.head(x)
        return logits
