"""Films changed so little that the score holds: their maps should be the same. Never mirrored: that moves the heart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .similarity import Map, spearman

SHIFT = 5
"""Pixels of the model's input by which a film is shifted."""

NOISE = 0.01
"""Standard deviation of the noise, as a share of the input's range."""

HOLDS = 0.5
"""Largest change of the logit at which a map may be expected to stay."""


@dataclass(frozen=True, eq=False)
class Changed:
    """A film hardly changed: `x` (C, H, W), moved by `shift` = (down, right) pixels, with noise or without."""

    name: str
    x: Tensor
    shift: tuple[int, int] = (0, 0)


def changed_films(x: Tensor, scale: float, *, seed: int = 0) -> list[Changed]:
    """The film x (1, C, H, W) in [-scale, scale] shifted both ways along both axes, and with faint noise.

    Both axes are shifted at once. What a shift uncovers repeats the border.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape, generator=generator).to(x) * (2 * scale * NOISE)
    return [
        Changed(f"{SHIFT} px down and right", shifted(x, SHIFT, SHIFT)[0], (SHIFT, SHIFT)),
        Changed(f"{SHIFT} px up and left", shifted(x, -SHIFT, -SHIFT)[0], (-SHIFT, -SHIFT)),
        Changed("noise", (x + noise).clamp(-scale, scale)[0]),
    ]


def shifted(x: Tensor, down: int, right: int) -> Tensor:
    """Films (N, C, H, W) moved by whole pixels, the border repeated."""
    height, width = x.shape[-2:]
    padded = F.pad(x, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)), mode="replicate")
    top, left = max(-down, 0), max(-right, 0)
    return padded[..., top : top + height, left : left + width]


def back_in_place(first: Map, second: Map, shift: tuple[int, int]) -> float | None:
    """Spearman's rho of a film's map and the shifted film's map (H, W), on the part of the film that both hold."""
    (down, right), (height, width) = shift, first.shape
    rows = slice(max(-down, 0), height - max(down, 0))
    columns = slice(max(-right, 0), width - max(right, 0))
    moved_rows = slice(rows.start + down, rows.stop + down)
    moved_columns = slice(columns.start + right, columns.stop + right)
    return spearman(first[rows, columns], second[moved_rows, moved_columns])
