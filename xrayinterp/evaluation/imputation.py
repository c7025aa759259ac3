"""Ways to take pixels out of films: the mean film, or noisy linear imputation from the pixels around."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NOISE = 0.01
"""Standard deviation of the noise added to imputed pixels, in [0, 1]; so smooth patches do not tell where they are."""

_KERNEL = torch.tensor([[1 / 12, 1 / 6, 1 / 12], [1 / 6, 0.0, 1 / 6], [1 / 12, 1 / 6, 1 / 12]])


def fill_mean(films: Tensor, removed: Tensor, mean: Tensor) -> Tensor:
    """Films (N, H, W) in [0, 1] with the `removed` (N, H, W) pixels taken from the mean film (H, W)."""
    return torch.where(removed, mean, films)


def impute(
    films: Tensor, removed: Tensor, *, noise: float = NOISE, seed: int = 0, tolerance: float = 1e-4, steps: int = 400
) -> Tensor:
    """Films (N, H, W) in [0, 1] with removed pixels set to the weighted mean of their neighbours, plus noise.

    u(p) = sum_q w(p, q) u(q) / sum_q w(p, q) at every removed p, over its eight neighbours q in the film, w = 1/6
    beside and 1/12 diagonally: a symmetric positive system, solved for all films together by conjugate gradients until
    the residual falls below `tolerance` (RMS) or `steps` are done. A film removed whole becomes mid-grey. Source: Rong
    et al. 2022, arXiv 2202.00449.
    """
    whole = removed.all(2).all(1)[:, None, None]
    base = torch.where(whole, torch.full_like(films, 0.5), films)
    holes = removed & ~whole
    known = torch.where(holes, torch.zeros_like(base), base)
    level = known.sum((1, 2)) / (~holes).sum((1, 2))
    start = torch.where(holes, level[:, None, None], torch.zeros_like(base))
    solved = _solve(start, _neighbours(known) * holes, holes, tolerance, steps)
    drawn = torch.randn(films.shape, generator=torch.Generator().manual_seed(seed)).to(films) * noise
    return torch.where(holes, (solved + drawn).clamp(0, 1), base)


def _solve(u: Tensor, b: Tensor, holes: Tensor, tolerance: float, steps: int) -> Tensor:
    """D u - W u = b on the holes, from the start u; D are the summed weights, W the weights among holes."""
    degree = _neighbours(torch.ones_like(b[:1]))

    def times(u: Tensor) -> Tensor:
        return (degree * u - _neighbours(u)) * holes

    r = b - times(u)
    p, rr = r, _dot(r, r)
    for _ in range(steps):
        if bool((rr <= tolerance**2 * holes.sum((1, 2), keepdim=True)).all()):
            break
        q = times(p)
        a = rr / _dot(p, q).clamp(min=1e-20)
        u, r = u + a * p, r - a * q
        rr, before = _dot(r, r), rr
        p = r + rr / before.clamp(min=1e-20) * p
    return u


def _neighbours(u: Tensor) -> Tensor:
    return F.conv2d(u[:, None], _KERNEL.to(u)[None, None], padding=1)[:, 0]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2), keepdim=True)
