"""A control that looks at no image: every one is as unusual as any other, and so in the middle."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from ...attribution import attribute


class Centre:
    """The score is always 0 and the map always a blob in the middle, where lungs and heart lie.

    What a detector's maps find beyond it, they find by looking.
    """

    def fit(self, images: Tensor) -> Self:
        """Nothing."""
        return self

    def scores(self, images: Tensor) -> Tensor:
        """Zeros (N,)."""
        return torch.zeros(len(images))

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        """The map `centre` of the attribution registry, (N, 1, H, W)."""
        means = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
        one = attribute(means, images[:1], 0, "centre").detach()
        return one.expand(len(images), -1, -1, -1).clone()
