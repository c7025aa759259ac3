"""What stands for nothing on a film: the baselines of integrated gradients, the fillings of occlusion and RISE."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
import torch.nn.functional as F
from torch import Tensor

Fill = Literal["zeros", "black", "mean", "blur"]
"""`zeros` is mid-grey for films in [-1, 1]; `black` is the film's lowest value, `mean` its mean, `blur` its blur."""

BLUR = 1 / 16
"""Standard deviation of the Gaussian blur, as a share of the film's longer side."""


def filled(x: Tensor, fill: Fill) -> Tensor:
    """Films (N, C, H, W) of nothing, to stand in for x; channel by channel."""
    match fill:
        case "zeros":
            return torch.zeros_like(x)
        case "black":
            return x.amin((2, 3), keepdim=True).expand_as(x).contiguous()
        case "mean":
            return x.mean((2, 3), keepdim=True).expand_as(x).contiguous()
        case "blur":
            return _blurred(x)
        case _:
            assert_never(fill)


def _blurred(x: Tensor) -> Tensor:
    """Films under a Gaussian, their borders repeated."""
    sigma = BLUR * max(x.shape[-2:])
    radius = round(3 * sigma)
    steps = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    weights = weights / weights.sum()
    planes = x.flatten(0, 1)[:, None]
    across = F.conv2d(F.pad(planes, (radius, radius, 0, 0), mode="replicate"), weights[None, None, None, :])
    both = F.conv2d(F.pad(across, (0, 0, radius, radius), mode="replicate"), weights[None, None, :, None])
    return both.view_as(x)
