"""Does a map lie where a radiologist outlined the finding?

Every figure is an expectation over ties, so that a map with plateaus earns neither more nor less than luck: a constant
map scores what a random choice of pixels scores on average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from ..concepts.probes import ProbeFilm, mask_grid
from ..errors import Code, XrayInterpError
from ..imaging.geometry import Fit

Floats = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

TOLERANCE = 1 / 32
"""Radius around an outline within which a peak counts as a hit, in sides of the square: about 1 cm on a film."""


@dataclass(frozen=True)
class Localisation:
    """One map against one outline, all in [0, 1], higher is better.

    `pointing`: the peak lies in the outline or within the tolerance of it. `energy`: share of the map's positive sum
    inside. `iou`: of the outline with as many of the map's highest pixels as it has itself.
    """

    pointing: float
    energy: float
    iou: float


def localise(values: Floats, mask: Mask, *, tolerance: float = TOLERANCE) -> Localisation:
    """Compare a map with an outline on the same grid.

    Args:
        values: map (H, W), larger where there is more evidence for the finding.
        mask: outline (H, W), filled, not empty.
        tolerance: in sides of the grid (see `TOLERANCE`).

    Raises:
        XrayInterpError: `bad-option` for grids that differ, an empty outline or a map with NaN or infinity.
    """
    _check(values, mask)
    return Localisation(pointing(values, mask, tolerance), energy_inside(values, mask), iou_at_area(values, mask))


def pointing(values: Floats, mask: Mask, tolerance: float = TOLERANCE) -> float:
    """Share of the map's maxima within `tolerance` of the outline; without a positive value any pixel is a maximum."""
    near = distance_transform_edt(~mask) <= tolerance * max(mask.shape)
    highest = values.max()
    return float(near[values == highest].mean() if highest > 0 else near.mean())


def energy_inside(values: Floats, mask: Mask) -> float:
    """Share of the positive part of the map inside the outline; without any, the share of the area."""
    positive = np.clip(values.astype(np.float64), 0, None)
    total = positive.sum()
    return min(1.0, float(positive[mask].sum() / total)) if total > 0 else float(mask.mean())  # sums round


def iou_at_area(values: Floats, mask: Mask) -> float:
    """IoU of the outline with the map's highest pixels, equally many; pixels tied at the cut count by their share."""
    area = int(mask.sum())
    cut = np.partition(values, -area, axis=None)[-area]
    above, tied = values > cut, values == cut
    share = (area - int(above.sum())) / int(tied.sum())
    inside = float((above & mask).sum() + share * (tied & mask).sum())
    return inside / (2 * area - inside)


def outlines(film: ProbeFilm, findings: Sequence[str], size: int, fit: Fit = "crop") -> Mapping[str, Mask]:
    """Outlines of a model's findings that were looked for on a film, bool (size, size) over its square.

    An empty outline means absence, a finding without an entry that nobody looked. A finding and a concept are the same
    where their names are, but for case and the character between words.
    """
    known = {_spelled(concept): concept for concept in film.annotated}
    shared = {finding: known[_spelled(finding)] for finding in findings if _spelled(finding) in known}
    if not shared:
        return {}
    return dict(zip(shared, mask_grid(film, list(shared.values()), fit, size), strict=True))


def _spelled(name: str) -> str:
    return name.replace("_", " ").lower()


def _check(values: Floats, mask: Mask) -> None:
    if values.shape != mask.shape or values.ndim != 2:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"A map of {values.shape} cannot be compared with an outline of {mask.shape}.",
            "Bring both to the same grid (H, W).",
        )
    if not mask.any():
        raise XrayInterpError(
            Code.BAD_OPTION, "The outline is empty: there is nothing to find.", "Leave such films out."
        )
    if not np.isfinite(values).all():
        raise XrayInterpError(
            Code.BAD_OPTION, "The map has values that are no numbers.", "Look at the method that made it."
        )
