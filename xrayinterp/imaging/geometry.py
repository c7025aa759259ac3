"""One geometry: how a film becomes the square a model sees, and how a map finds its way back.

Pixel centres lie at half-integers (`align_corners=False`), borders are clamped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
Fit = Literal["crop", "pad"]


@dataclass(frozen=True)
class Frame:
    """The square of a film that a model sees, in pixels of the film's grid.

    `top` and `left` are negative where the square reaches beyond the film (`pad`); `side` is its length;
    `height` and `width` are the film's.
    """

    top: int
    left: int
    side: int
    height: int
    width: int

    @property
    def cuts(self) -> bool:
        """True if part of the film lies outside the square."""
        return self.side < max(self.height, self.width)


def frame(height: int, width: int, fit: Fit = "crop") -> Frame:
    """The centred square: the largest inside the film (`crop`) or the smallest around it (`pad`)."""
    side = min(height, width) if fit == "crop" else max(height, width)
    return Frame((height - side) // 2, (width - side) // 2, side, height, width)


def cut(pixels: npt.NDArray[np.generic], square: Frame) -> npt.NDArray[np.generic]:
    """The square (side, side) of a film (H, W); zeros (black) where it reaches beyond the film."""
    (y0, y1), (x0, x1) = _overlap(square)
    out = np.zeros((square.side, square.side), dtype=pixels.dtype)
    out[y0 - square.top : y1 - square.top, x0 - square.left : x1 - square.left] = pixels[y0:y1, x0:x1]
    return out


def paste(values: FloatImage, square: Frame) -> FloatImage:
    """A map (side, side) over the square drawn back on the film: (H, W), NaN where the model saw nothing."""
    (y0, y1), (x0, x1) = _overlap(square)
    out = np.full((square.height, square.width), np.nan, dtype=np.float32)
    out[y0:y1, x0:x1] = values[y0 - square.top : y1 - square.top, x0 - square.left : x1 - square.left]
    return out


def _overlap(square: Frame) -> tuple[tuple[int, int], tuple[int, int]]:
    rows = max(square.top, 0), min(square.top + square.side, square.height)
    columns = max(square.left, 0), min(square.left + square.side, square.width)
    return rows, columns
