"""Experts and cloners small enough to compute by hand, and images with a known oddity."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from helpers.closed_form import SIZE, SMALL, random_densenet
from torch import Tensor, nn

from xrayinterp.anomaly.experts import Expert, InputRecipe, densenet_expert

AS_IT_IS = InputRecipe(1, None, (0.0,), (1.0,))


def frozen_expert(module: nn.Module, points: Sequence[str]) -> Expert:
    """A network as expert on grey images as they are."""
    return Expert("toy", "random", module.eval().requires_grad_(False), tuple(points), AS_IT_IS, False, "ab" * 32)


def linear_relu(rows: Sequence[Sequence[float]]) -> nn.Sequential:
    """relu(A x) of images (N, 1, 1, columns): (N, rows, 1, 1), in float64."""
    weight = torch.tensor(rows, dtype=torch.float64)
    conv = nn.Conv2d(1, len(weight), (1, weight.shape[1]), bias=False, dtype=torch.float64)
    conv.weight.data = weight[:, None, None]
    return nn.Sequential(conv, nn.ReLU())


class Tupled(nn.Module):
    """A network with one output as a cloner of one critical point."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (self.module(x),)


class Capped(nn.Module):
    """min(x, 1)."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x.clamp(max=1),)


def tiny_expert(seed: int = 0) -> Expert:
    """A DenseNet of random weights for inputs of SIZE pixels."""
    return densenet_expert(random_densenet(seed, outputs=1, shape=SMALL).float(), "tiny", "random", SIZE)


def waves(count: int, seed: int = 0, size: int = SIZE) -> Tensor:
    """Normal images (N, 1, size, size): soft stripes of one direction, random in phase and contrast."""
    draws = torch.Generator().manual_seed(seed)
    phase, contrast = torch.rand(2, count, 1, 1, 1, generator=draws)
    at = torch.arange(size).view(1, 1, 1, size) / size
    stripes = 0.5 + (0.2 + 0.2 * contrast) * torch.sin(6.3 * (2 * at + phase))
    return stripes.expand(-1, -1, size, -1).contiguous()


def with_disc(images: Tensor) -> tuple[Tensor, Tensor]:
    """The images with a bright disc, and its mask (1, 1, size, size)."""
    size = images.shape[-1]
    at = torch.arange(size)
    mask = ((at - 0.3 * size) ** 2 + ((at - 0.6 * size) ** 2)[:, None]) < (0.15 * size) ** 2
    return torch.where(mask, 1.0, images), mask[None, None]
