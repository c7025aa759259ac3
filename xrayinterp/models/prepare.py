"""From a square of film to a model's input tensor; the same for training, inference and dissection."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.geometry import FloatImage, Frame, paste


def resize(x: Tensor, size: int) -> Tensor:
    """Bilinear resize of (N, C, h, w) to (N, C, size, size); antialiased where it shrinks."""
    if x.shape[-2:] == (size, size):
        return x
    shrinks = x.shape[-1] > size
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=False, antialias=shrinks)


def to_input(square: Tensor, *, size: int, detail: int | None, scale: float) -> Tensor:
    """Pixels (N, 1, s, s) in [0, 1] to a model input (N, 1, size, size) in [-scale, scale], in channels-last order.

    The order of memory saves a CPU a fifth of a forward; asking for it by `memory_format` would leave films of one
    channel as they are.

    Args:
        size: side of the input in pixels.
        detail: side in pixels to which the film is first reduced, as the model's training films were; None skips.
        scale: value of white; black is its negative and 0 is mid-grey.
    """
    if detail is not None and square.shape[-1] > detail:
        square = resize(square, detail)
    x = (resize(square, size) * 2 - 1) * scale
    return x.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format).permute(0, 3, 1, 2)


def as_square(pixels: npt.NDArray[np.generic]) -> Tensor:
    """A square (s, s) as (1, 1, s, s) float32."""
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))[None, None]


def on_film(values: FloatImage, square: Frame, *, smooth: bool = False) -> FloatImage:
    """A map (h, w) over the model's square drawn on the film's grid: (H, W), NaN where the model saw nothing.

    `smooth` interpolates bilinearly; otherwise each cell is drawn as it is, which is all that the model resolves.
    """
    if smooth:
        full = resize(as_square(values), square.side)[0, 0].numpy()
    else:
        rows, columns = (((np.arange(square.side) + 0.5) * n / square.side).astype(int) for n in values.shape)
        full = values[np.ix_(rows, columns)]
    return paste(np.asarray(full, dtype=np.float32), square)
