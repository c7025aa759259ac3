"""Maps that know nothing of the model: what any method must beat, and what many resemble."""

from __future__ import annotations

import zlib
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from .forward import Forward
from .registry import Range, attribution
from .target import Target

NONE = "none: a reference to be beaten"


@attribution("random", family="baseline", cost=0.0, signed=False, paper=NONE)
def random(
    forward: Forward,
    target: Target,
    *,
    cells: Annotated[int, Range(1, 224)] = 7,
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0,
) -> Tensor:
    """M(u) = U_u, uniform in [0, 1), independent in each of `cells` x `cells` squares.

    Drawn anew for every film and seed, whatever the model or the finding.
    """
    maps = []
    for film in forward.x:
        mark = zlib.crc32(film.numpy(force=True).tobytes(), seed)  # so that a film's map is the same in any batch
        generator = torch.Generator().manual_seed(mark)
        maps.append(torch.rand((1, cells, cells), generator=generator))
    return torch.stack(maps).to(forward.x)


@attribution("edges", family="baseline", cost=0.0, signed=False, paper="Adebayo et al. 2018, arXiv 1810.03292")
def edges(forward: Forward, target: Target) -> Tensor:
    """M(u) = sqrt((S * x)(u)^2 + (S^T * x)(u)^2), S Sobel's filter, x the film summed over channels."""
    plane = F.pad(forward.x.sum(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    smooth, slope = plane.new_tensor([1, 2, 1]) / 4, plane.new_tensor([-1, 0, 1]) / 2
    S = torch.outer(smooth, slope)
    across, down = F.conv2d(plane, torch.stack([S, S.T])[:, None]).unbind(1)
    return torch.hypot(across, down)[:, None]


@attribution("centre", family="baseline", cost=0.0, signed=False, paper=NONE)
def centre(forward: Forward, target: Target, *, width: Annotated[float, Range(0.01, 10)] = 0.25) -> Tensor:
    """M(u) = exp(-|u - centre|^2 / (2 s^2)), s = `width` times the film's shorter side: lungs and heart lie there."""
    samples, _, H, W = forward.x.shape
    s = width * min(H, W)
    y, x = ((torch.arange(side, device=forward.x.device) - (side - 1) / 2).to(forward.x) for side in (H, W))
    blob = torch.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * s**2))
    return blob.expand(samples, 1, H, W).clone()
