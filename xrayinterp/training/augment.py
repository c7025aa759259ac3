"""Light augmentation that a chest film survives: small affine moves, contrast, gamma, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Ranges: rotation in degrees, zoom and shift as fractions, contrast and gamma as fractions, mirror probability."""

    rotation: float = 10.0
    zoom: float = 0.12
    shift: float = 0.06
    contrast: float = 0.25
    gamma: float = 0.25
    mirror: float = 0.5


def augment(films: Tensor, size: int, rules: Augmentation, generator: torch.Generator) -> Tensor:
    """Squares (N, 1, d, d) in [0, 1] to augmented inputs (N, 1, size, size) in [-1, 1], on the films' device.

    One bilinear resampling does the affine move and the change of size. What is drawn is the same on every device.
    """
    n = len(films)

    def uniform(spread: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * spread

    def tone(spread: float) -> Tensor:
        return uniform(spread).view(-1, 1, 1, 1).to(films.device)

    angle, scale = uniform(math.radians(rules.rotation)), 1 + uniform(rules.zoom)
    flip = torch.where(torch.rand(n, generator=generator) < rules.mirror, -1.0, 1.0)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = flip * scale * angle.cos(), -scale * angle.sin()
    theta[:, 1, 0], theta[:, 1, 1] = flip * scale * angle.sin(), scale * angle.cos()
    theta[:, :, 2] = torch.stack([uniform(2 * rules.shift), uniform(2 * rules.shift)], 1)
    grid = F.affine_grid(theta.to(films.device), [n, 1, size, size], align_corners=False)
    moved = F.grid_sample(films, grid, mode="bilinear", padding_mode="border", align_corners=False)
    gamma, contrast, brightness = tone(rules.gamma).exp(), tone(rules.contrast).exp(), tone(rules.contrast / 2)
    toned = ((moved.clamp(1e-4, 1) ** gamma - 0.5) * contrast + 0.5 + brightness).clamp(0, 1)
    return toned * 2 - 1
