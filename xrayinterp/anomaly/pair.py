"""An expert and its cloner as one network, so that whatever reads gradients meets both paths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .discrepancy import Direction, Discrepancies, discrepancies
from .experts import Expert


class Pair(nn.Module):
    """Maps of expert and cloner at chosen critical points of the same images (N, C, H, W) in [0, 1].

    `points` are positions among the expert's points.
    """

    def __init__(
        self, expert: Expert, cloner: nn.Module, points: Sequence[int], direction: Direction = "image"
    ) -> None:
        super().__init__()
        self.module = expert.module
        self.cloner = cloner
        self.points = tuple(points)
        self.direction: Direction = direction
        self._expert = expert.only(points)

    def maps(self, images: Tensor, *, grad: bool = False) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Maps (N, U, h, w) of the expert and of the cloner."""
        x = self._expert.recipe(images)
        expert = self._expert.read(x, grad=grad)
        cloned = self.cloner(x)
        return expert, tuple(cloned[i] for i in self.points)

    def discrepancies(self, images: Tensor) -> Discrepancies:
        """Both terms at every point, (N, P) each, without a graph."""
        with torch.inference_mode():
            found = discrepancies(*self.maps(images), self.direction)
        return Discrepancies(
            found.value.clone(), found.direction.clone()
        )  # made outside, so that they may enter graphs


class Flattened(nn.Module):
    """All values of a pair's maps in one tensor, by linear steps alone, so that rules for ReLUs hold on both paths.

    Made for one forward: `split` takes apart what it gave.
    """

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair
        self.shapes: list[torch.Size] = []

    def forward(self, images: Tensor) -> Tensor:
        """All values of the expert's maps, then all of the cloner's: (N, D)."""
        expert, cloner = self.pair.maps(images, grad=True)
        self.shapes = [maps.shape[1:] for maps in (*expert, *cloner)]
        return torch.cat([maps.flatten(1) for maps in (*expert, *cloner)], 1)

    def split(self, values: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Maps of expert and cloner from what `forward` gave."""
        parts = values.split([shape.numel() for shape in self.shapes], 1)
        maps = [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]
        half = len(maps) // 2
        return tuple(maps[:half]), tuple(maps[half:])
