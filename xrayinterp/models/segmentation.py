"""Where lungs, heart and mediastinum lie on one film: masks, cleaned of what cannot be anatomy. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging.geometry import Frame, cut

BoolMask = npt.NDArray[np.bool_]
FloatImage = npt.NDArray[np.float32]

LEFT, RIGHT, HEART = STRUCTURES = ("image-left lung", "image-right lung", "heart and mediastinum")
"""What is segmented, in the order of the network's outputs. Both lungs include the lung behind the heart; the sides are
those of the image. The third is the silhouette of heart and great vessels up to the aortic arch, not the heart alone.
"""
DETAIL = 256
"""Side of the masks in cells: finer than the network's input, so that edges lie between its pixels."""


@dataclass(frozen=True)
class Segmentation:
    """Lungs, heart and mediastinum of one film.

    `masks`: bool (d, d) by name in STRUCTURES, over `square`, the whole film padded to a square; they may overlap,
    since lung lies behind the heart. `model_sha256`: of the weights that made them, None where drawn by hand.
    """

    square: Frame
    masks: Mapping[str, BoolMask]
    model_sha256: str | None = None

    @property
    def lungs(self) -> BoolMask:
        """Both lungs together."""
        return np.asarray(self.masks[LEFT] | self.masks[RIGHT])

    @property
    def heart(self) -> BoolMask:
        """Heart and mediastinum."""
        return self.masks[HEART]

    @property
    def detail(self) -> int:
        """Side of the masks in cells."""
        return len(self.heart)


def on_grid(mask: BoolMask, square: Frame) -> BoolMask:
    """A film's mask (H, W) on the grid of a segmentation, (DETAIL, DETAIL): the pixel under each cell's centre."""
    at = ((2 * np.arange(DETAIL) + 1) * square.side) // (2 * DETAIL)
    return np.asarray(cut(mask, square)[np.ix_(at, at)], dtype=bool)


def cleaned(scores: FloatImage) -> dict[str, BoolMask]:
    """Logits (3, d, d) as masks: above 0, the largest connected part of each, its holes filled.

    A cell belongs to one lung at most, the likelier; of two parts, one in a hole of the other, the inner is no lung.
    """
    present = scores > 0
    present[0] &= scores[0] >= scores[1]
    present[1] &= scores[1] > scores[0]
    masks = [_largest(mask) for mask in present]
    if (masks[0] & masks[1]).any():  # connected and apart, so the one lies wholly in a hole of the other
        inner = int(masks[1].sum() < masks[0].sum())
        masks[inner] = np.zeros_like(masks[inner])
    return dict(zip(STRUCTURES, masks, strict=True))


def _largest(mask: BoolMask) -> BoolMask:
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = parts == sizes.argmax()
    around, _ = ndimage.label(np.pad(~largest, 1, constant_values=True))
    return np.asarray(around != around[0, 0])[1:-1, 1:-1]  # whatever the outside cannot reach
