"""A small autoencoder of normal images: what it cannot draw again is unusual."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from .features import batches, drawn, usual_blur


class Reconstruction:
    """An image is as unusual as its reconstruction is far from it, in mean square over pixels.

    Args:
        width: channels of the first stage; each further one doubles them.
        code: channels of the bottleneck, on a grid of an eighth of the side.
        steps: of Adam; `batch` images each.
        seed: of the weights and the order.
        device: where to compute.
    """

    def __init__(
        self,
        *,
        width: int = 16,
        code: int = 8,
        steps: int = 2000,
        batch: int = 32,
        lr: float = 2e-3,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.width, self.code, self.steps, self.batch, self.lr = width, code, steps, batch, lr
        self.seed, self.device = seed, device

    def fit(self, images: Tensor) -> Self:
        """Learn to draw normal images (N, C, H, W) in [0, 1]; their sides are multiples of 8."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.net = _network(images.shape[1], self.width, self.code).to(self.device)
        generator = torch.Generator().manual_seed(self.seed)
        optimiser = torch.optim.Adam(self.net.parameters(), self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
        console = Console(stderr=True)
        for _ in track(range(self.steps), "autoencoder", transient=True, console=console):
            rows = torch.randint(len(images), (min(self.batch, len(images)),), generator=generator)
            batch = images[rows].to(self.device)
            optimiser.zero_grad()
            F.mse_loss(self.net(batch), batch).backward()
            optimiser.step()
            schedule.step()
        self.net.eval().requires_grad_(False)
        return self

    def scores(self, images: Tensor) -> Tensor:
        """Scores (N,): mean squared error."""
        return torch.cat([self._errors(batch).mean((1, 2, 3)) for batch in batches(images, self.device)]).cpu()

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        """Squared error (N, 1, H, W), mean over channels, smoothed."""
        size = images.shape[-1]
        found = [drawn(self._errors(batch), size, blur=usual_blur(size)) for batch in batches(images, self.device)]
        return torch.cat(found).cpu()

    def _errors(self, images: Tensor) -> Tensor:
        again: Tensor = self.net(images)
        return (again - images).square().mean(1, keepdim=True)


def _network(channels: int, width: int, code: int) -> nn.Sequential:
    wide = [channels, width, 2 * width, 4 * width]
    down = [part for a, b in pairwise(wide) for part in (nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())]
    up = [part for a, b in zip(wide[:1:-1], wide[-2:0:-1], strict=True) for part in (*_double(a, b), nn.ReLU())]
    middle = [nn.Conv2d(wide[-1], code, 1), nn.Conv2d(code, wide[-1], 1), nn.ReLU()]
    return nn.Sequential(*down, *middle, *up, *_double(width, channels), nn.Sigmoid())


def _double(before: int, after: int) -> tuple[nn.Module, nn.Module]:
    return nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(before, after, 3, 1, 1)
