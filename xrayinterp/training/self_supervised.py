"""Features learned from films without labels: two views of a film are to be recognised as one."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .augment import Augmentation, augment
from .fixed import Schedule, Tick, fit

VIEW = Augmentation(rotation=10, zoom=0.3, shift=0.12, contrast=0.4, gamma=0.5, mirror=0.0)
"""Two such views of a film are to be recognised as one."""
EMBEDDING = 256
"""Dimensions that views are compared in."""


def learn_views(
    backbone: nn.Module,
    units: int,
    films: Tensor,
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
    device: str = "cpu",
    tick: Tick = lambda: None,
) -> nn.Module:
    """The backbone after training by `vicreg` on two views of every film; resumed from `checkpoint` if that is there.

    Args:
        backbone: (N, 1, S, S) -> (N, units).
        units: width of its output.
        films: squares (N, d, d) uint8; no label of theirs is seen.
        schedule: length and pace.
        seed: decides projector, order and views.
        checkpoint: see `fixed.fit`.
        device: where to train.
        tick: called after every epoch.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        pair = TwoViews(backbone, units)

    def step(model: nn.Module, part: Tensor, rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
        pixels = part[:, None].float() / 255
        views = torch.cat([augment(pixels, size, VIEW, generator) for _ in range(2)])
        return vicreg(*forward(model, views).chunk(2))

    fitted, _ = fit(pair, films, step, schedule, seed=seed, checkpoint=checkpoint, device=device, tick=tick)
    learned: nn.Module = fitted.backbone  # type: ignore[assignment]
    return learned


class TwoViews(nn.Module):
    """A network without head and the projector in whose space two views are compared: (N, 1, S, S) -> (N, D)."""

    def __init__(self, backbone: nn.Module, units: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = nn.Sequential(
            nn.Linear(units, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU(), nn.Linear(EMBEDDING, EMBEDDING)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings of films."""
        z: Tensor = self.projector(self.backbone(x))
        return z


def forward(model: nn.Module, x: Tensor) -> Tensor:
    """The network's output in float32, computed in bfloat16 where that is safe."""
    with torch.autocast(x.device.type, torch.bfloat16):
        out: Tensor = model(x.to(memory_format=torch.channels_last))
    return out.float()


def vicreg(first: Tensor, second: Tensor, *, invariance: float = 25.0, variance: float = 25.0) -> Tensor:
    """VICReg: two views of a film agree, no dimension collapses, no two dimensions say the same.

    L = invariance * mean (z - z')^2 + variance * [v(z) + v(z')] / 2 + [c(z) + c(z')] / 2 with
    v(z) = mean_d max(0, 1 - sqrt(var z_d + 1e-4)) and c(z) = sum_{d != e} cov(z_d, z_e)^2 / D.

    Args:
        first: embeddings (N, D) of one view of each film.
        second: embeddings (N, D) of another.
        invariance: weight of agreement.
        variance: weight of the spread.

    Source: Bardes, Ponce & LeCun, ICLR 2022 (there the two spreads and the two covariances are summed).
    """
    agreement = F.mse_loss(first, second)
    spread = (_spread(first) + _spread(second)) / 2
    overlap = (_overlap(first) + _overlap(second)) / 2
    return invariance * agreement + variance * spread + overlap


def _spread(z: Tensor) -> Tensor:
    return F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()


def _overlap(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    squared = covariance.pow(2)
    return (squared.sum() - squared.diagonal().sum()) / z.shape[1]
