"""Whether masks can be a chest at all: two lungs side by side."""

from __future__ import annotations

import numpy as np

from ..models.segmentation import LEFT, RIGHT, BoolMask, Segmentation

SIDES = ("image-left", "image-right")
LEAST_LUNG = 0.02
"""Share of the film's square from which a mask can be a lung."""
LEAST_TOGETHER = 0.5
"""Share of the shorter lung's rows that the other one must reach too."""
MOST_UNLIKE = 3.0
"""How many times larger than the other one lung may look."""


def doubt(segmentation: Segmentation) -> str | None:
    """Why the masks cannot be two lungs side by side, or None."""
    left, right = segmentation.masks[LEFT], segmentation.masks[RIGHT]
    small, large = sorted((float(left.mean()), float(right.mean())))
    if small < LEAST_LUNG:
        missing = [side for side, mask in zip(SIDES, (left, right), strict=True) if mask.mean() < LEAST_LUNG]
        return f"no {' and no '.join(missing)} lung was found"
    if large > MOST_UNLIKE * small:
        return "the two lungs found differ too much in size"
    (row, column), (other_row, other_column) = centre(left), centre(right)
    at_left, at_right = left.any(1), right.any(1)
    together = (at_left & at_right).sum() / min(at_left.sum(), at_right.sum())
    if column >= other_column or abs(row - other_row) > other_column - column or together < LEAST_TOGETHER:
        return "the two lungs found do not lie side by side"
    return None


def centre(mask: BoolMask) -> tuple[float, float]:
    """Mean row and column of a mask."""
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())
