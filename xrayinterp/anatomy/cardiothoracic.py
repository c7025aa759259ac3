"""How wide the heart is beside the thorax, where that can be measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..models.segmentation import LEFT, RIGHT, BoolMask, Segmentation
from .chest import LEAST_LUNG, centre, doubt


@dataclass(frozen=True)
class Cardiothoracic:
    """Widths in pixels of the film as read: `heart` of the silhouette in its lower half, `thorax` between the lungs'
    outer edges where they are furthest apart.
    """

    heart: float
    thorax: float

    @property
    def ratio(self) -> float:
        """Cardiothoracic ratio."""
        return self.heart / self.thorax


def cardiothoracic(segmentation: Segmentation) -> tuple[Cardiothoracic | None, str | None]:
    """Widest heart over widest inner thorax, or None and the reason.

    The silhouette holds the mediastinum too, so its width is taken in its lower half, where the heart is: from its
    leftmost to its rightmost edge, as the two half-widths of the classical ratio (Danzer 1919) are added. The thorax
    is measured between the outer edges of the lungs, in the row where they are furthest apart.
    """
    if (reason := doubt(segmentation) or _unfit_heart(segmentation)) is not None:
        return None, reason
    lungs, heart = segmentation.lungs, segmentation.heart
    outer = _edges(lungs[segmentation.masks[LEFT].any(1) & segmentation.masks[RIGHT].any(1)])
    widest = int(np.argmax(outer[:, 1] - outer[:, 0]))
    if _at_border(outer[widest], segmentation):
        return None, "the film ends before the lungs do"
    rows = np.flatnonzero(heart.any(1))
    low = _edges(heart[(rows[0] + rows[-1] + 1) // 2 : rows[-1] + 1])
    scale = segmentation.square.side / segmentation.detail
    thorax = float(outer[widest, 1] - outer[widest, 0])
    return Cardiothoracic(float(low[:, 1].max() - low[:, 0].min()) * scale, thorax * scale), None


def _unfit_heart(segmentation: Segmentation) -> str | None:
    heart, lungs = segmentation.heart, segmentation.lungs
    if heart.mean() < LEAST_LUNG / 2:
        return "no heart was found"
    row, column = centre(heart)
    between = centre(segmentation.masks[LEFT])[1] < column < centre(segmentation.masks[RIGHT])[1]
    if not between or not np.flatnonzero(lungs.any(1))[0] < row:
        return "what was found as heart does not lie between the lungs"
    reach, columns = np.flatnonzero(heart.any(0)), np.flatnonzero(lungs.any(0))
    if reach[0] <= columns[0] or reach[-1] >= columns[-1]:
        return "the heart's edge cannot be told from the chest wall"
    return None


def _edges(mask: BoolMask) -> npt.NDArray[np.int64]:
    """First and one past the last column of each row that has any: (rows, 2)."""
    mask = mask[mask.any(1)]
    return np.stack([mask.argmax(1), mask.shape[1] - mask[:, ::-1].argmax(1)], 1)


def _at_border(edges: npt.NDArray[np.int64], segmentation: Segmentation) -> bool:
    """Whether a row's outer edges lie at the film's left or right border, to two cells."""
    at = segmentation.square
    first = -at.left * segmentation.detail / at.side
    last = (at.width - at.left) * segmentation.detail / at.side
    return bool(edges[0] < first + 2 or edges[1] > last - 2)
