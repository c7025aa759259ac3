"""A Gaussian of normal features at every position (Defard et al., 2021)."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from .features import Features, batches, drawn, patches, usual_blur


class GaussianPerPosition:
    """A position is as unusual as its features are far from those of normal images there, in standard deviations.

    Covariances are shrunk towards a multiple of the identity as far as Ledoit and Wolf's estimate says. An image is as
    unusual as its most unusual position.

    Args:
        features: the expert.
        channels: so many channels, drawn at random, are used.
        seed: of the draw.
        device: where to compute.
    """

    def __init__(self, features: Features, *, channels: int = 100, seed: int = 0, device: str = "cpu") -> None:
        self.features, self.channels, self.seed, self.device = features, channels, seed, device

    def fit(self, images: Tensor) -> Self:
        """Means and covariances of normal images (N, C, H, W) in [0, 1], at least 2."""
        self.chosen: Tensor | None = None
        rows = torch.cat([self._rows(batch) for batch in batches(images, self.device)])
        self.mean = rows.mean(0)
        precisions = [torch.linalg.inv(shrunk_covariance(part)) for part in rows.transpose(0, 1)]
        self.precision = torch.stack(precisions)
        return self

    def scores(self, images: Tensor) -> Tensor:
        """Scores (N,): the largest value of each map."""
        return self.maps(images).flatten(1).amax(1)

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        """Mahalanobis distances (N, 1, H, W)."""
        return torch.cat([self._map(batch) for batch in batches(images, self.device)]).cpu()

    def _map(self, images: Tensor) -> Tensor:
        away = self._rows(images) - self.mean
        squares = torch.einsum("npk,pkl,npl->np", away, self.precision, away)
        side = round(squares.shape[1] ** 0.5)
        size = images.shape[-1]
        return drawn(squares.clamp(min=0).sqrt().reshape(-1, 1, side, side), size, blur=usual_blur(size))

    def _rows(self, images: Tensor) -> Tensor:
        """Features (N, positions, channels)."""
        found = patches(self.features, images).flatten(2).transpose(1, 2)
        if self.chosen is None:
            generator = torch.Generator().manual_seed(self.seed)
            self.chosen = torch.randperm(found.shape[2], generator=generator)[: self.channels].to(found.device)
        return found[..., self.chosen]


def shrunk_covariance(rows: Tensor) -> Tensor:
    """Covariance (K, K) of rows (N, K), shrunk as far as is best in expectation.

    (1 - a) S + a m I, m the mean variance and a = min(b, d) / d, with d = |S - m I|^2 and b the estimated squared error
    of S. Source: Ledoit and Wolf 2004, J. Multivariate Analysis 88.
    """
    n, k = rows.shape
    away = rows - rows.mean(0)
    sample = away.T @ away / n
    identity = torch.eye(k, dtype=rows.dtype, device=rows.device)
    mean = sample.trace() / k
    apart = (sample - mean * identity).square().sum()
    error = (away.square().sum(1).square().mean() - sample.square().sum()) / n
    tiny = torch.finfo(rows.dtype).tiny
    a = (error.clamp(min=0) / apart.clamp(min=tiny)).clamp(max=1)
    floor = 1e-6 * mean.clamp(min=tiny**0.5)  # constant features would leave nothing to divide by
    return (1 - a) * sample + (a * mean + floor) * identity
