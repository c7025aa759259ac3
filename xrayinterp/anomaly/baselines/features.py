"""What all feature baselines share: an expert's maps on one grid, and distances drawn as maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..localisation import blurred

Features = Callable[[Tensor], Sequence[Tensor]]
"""Images (N, C, H, W) in [0, 1] to an expert's maps at its critical points, (N, K, h, w) each."""

BATCH = 64


def usual_blur(size: int) -> float:
    """Deviation in pixels of the Gaussian that smooths maps of an image of that side, however made: a 32nd of it."""
    return size / 32


def batches(images: Tensor, device: str | torch.device, size: int = BATCH) -> Iterator[Tensor]:
    """The images, `size` at a time, on a device."""
    for start in range(0, len(images), size):
        yield images[start : start + size].to(device)


@torch.no_grad()
def patches(features: Features, images: Tensor, *, grid: int | None = None) -> Tensor:
    """Maps of all points side by side on one grid: (N, K, g, g).

    Args:
        features: the expert.
        images: (N, C, H, W), on its device.
        grid: side of the grid; None takes the finest point's, at most an eighth of the image.
    """
    found = [F.avg_pool2d(one.float(), 3, 1, 1, count_include_pad=False) for one in features(images)]
    side = grid or min(max(one.shape[-1] for one in found), max(2, images.shape[-1] // 8))
    return torch.cat([_on(one, side) for one in found], 1)


def drawn(distances: Tensor, size: int, *, blur: float = 0.0) -> Tensor:
    """Distances (N, 1, g, g) as maps (N, 1, size, size), smoothed by a Gaussian of `blur` pixels."""
    maps = F.interpolate(distances, (size, size), mode="bilinear", align_corners=False)
    return blurred(maps, blur)


def _on(maps: Tensor, side: int) -> Tensor:
    if maps.shape[-1] > side:
        return F.adaptive_avg_pool2d(maps, side)
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)
