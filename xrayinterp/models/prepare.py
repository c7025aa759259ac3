"""From a square of film to a model's input tensor; the same for training, inference and dissection."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: int) -> Tensor:
    """Bilinear resize of (N, C, h, w) to (N, C, size, size); antialiased where it shrinks."""
    if x.shape[-2:] == (size, size):
        return x
    shrinks = x.shape[-1] > size
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=shrinks)


def to_input(square: Tensor, *, size: int, detail: int | None, scale: float) -> Tensor:
    """Pixels (N, 1, s, s) in [0, 1] to a model input (N, 1, size, size) in [-scale, scale].

    Args:
        size: side of the input in pixels.
        detail: side in pixels to which the film is first reduced, as the model's training films were; None skips.
        scale: value of white; black is its negative and 0 is mid-grey.
    """
    if detail is not None and square.shape[-1] > detail:
        square = resize(square, detail)
    return (resize(square, size) * 2 - 1) * scale


def as_square(pixels: Tensor) -> Tensor:
    """A numpy-shaped square (s, s) as (1, 1, s, s) float32."""
    return torch.as_tensor(pixels, dtype=torch.float32)[None, None]
