"""A film parted into zones of the lungs, heart and mediastinum and what lies around them, and the words for places.

Sides are those of the image: which is the patient's left is never claimed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..imaging.geometry import Frame
from ..models.segmentation import LEFT, RIGHT, BoolMask, Segmentation
from .chest import SIDES, centre

ZONES = ("upper", "middle", "lower")
COSTOPHRENIC, LUNG, OVER_HEART = "costophrenic", "lung", "heart"
BELOW, BESIDE, BETWEEN, ABOVE = OUTSIDE = "below", "beside", "between", "above"
Part = tuple[str, str]
PARTS: tuple[Part, ...] = (
    *((side, part) for side in SIDES for part in (*ZONES, COSTOPHRENIC, BELOW, BESIDE)),
    ("", OVER_HEART), ("", BETWEEN), ("", ABOVE),
)  # fmt: skip
"""What a film is parted into: (side, part). Zones are thirds of each lung's height; the costophrenic area is the outer
third of its lowest quarter. What the heart and mediastinum cover is a part of its own, lung behind it included.
"""

NAMED, LEAST_NAMED = 0.7, 0.15
"""A second place is named where the first holds less than NAMED of a region and the second at least LEAST_NAMED."""


@dataclass(frozen=True)
class Parts:
    """A film parted into anatomy: `labels` int (d, d), positions in PARTS, over the square of the segmentation."""

    labels: npt.NDArray[np.int8]
    segmentation: Segmentation


def parts_of(segmentation: Segmentation) -> Parts:
    """The film parted into zones of the lungs, heart and mediastinum, and what lies around them.

    The masks must be a chest: see `doubt`.
    """
    labels = _outside(segmentation)
    for side, name in zip(SIDES, (LEFT, RIGHT), strict=True):
        _mark_zones(labels, segmentation.masks[name], side)
    labels[segmentation.heart] = PARTS.index(("", OVER_HEART))
    return Parts(labels, segmentation)


def _mark_zones(labels: npt.NDArray[np.int8], lung: BoolMask, side: str) -> None:
    rows, columns = np.nonzero(lung)
    top, height = rows.min(), np.ptp(rows) + 1
    level = (rows - top + 0.5) / height
    zone = np.minimum((level * 3).astype(int), 2)
    labels[rows, columns] = np.array([PARTS.index((side, name)) for name in ZONES])[zone]
    across = (columns - columns.min() + 0.5) / (np.ptp(columns) + 1)
    outer = across < 1 / 3 if side == SIDES[0] else across > 2 / 3
    corner = outer & (level > 0.75)
    labels[rows[corner], columns[corner]] = PARTS.index((side, COSTOPHRENIC))


def _outside(segmentation: Segmentation) -> npt.NDArray[np.int8]:
    """Labels (d, d) of what would lie around the lungs; what is inside is overwritten by the caller."""
    lungs = segmentation.lungs
    (_, left), (_, right) = centre(segmentation.masks[LEFT]), centre(segmentation.masks[RIGHT])
    rows, columns = np.mgrid[: lungs.shape[0], : lungs.shape[1]]
    under_lung = np.logical_or.accumulate(lungs) & ~np.logical_or.accumulate(lungs[::-1])[::-1]
    over_lung = np.logical_or.accumulate(lungs[::-1])[::-1] & ~np.logical_or.accumulate(lungs)
    filled = np.flatnonzero(lungs.any(1))
    below = under_lung | (rows > filled[-1])
    between = (columns > left) & (columns < right) & (rows >= filled[0])
    above = over_lung | (rows < filled[0])
    side = (columns > (left + right) / 2).astype(int)
    beside, under = (np.array([PARTS.index((name, part)) for name in SIDES])[side] for part in (BESIDE, BELOW))
    labels = np.select([below, between, above], [under, PARTS.index(("", BETWEEN)), PARTS.index(("", ABOVE))], beside)
    return np.asarray(labels, dtype=np.int8)


def place_region(region: BoolMask, parts: Parts) -> str | None:
    """Where a region (d, d) over the square of the segmentation lies; None for an empty one.

    "image-right lower zone", "image-left middle and lower zones, and over heart and mediastinum", "image-right
    costophrenic area", "outside the lungs, below the image-left lung".
    """
    counts = np.bincount(parts.labels[region], minlength=len(PARTS))
    if not counts.any():
        return None
    return named({part: float(n) for part, n in zip(PARTS, counts, strict=True) if n})


def place_point(peak: tuple[float, float], square: Frame, parts: Parts) -> str:
    """Where a point (y, x in [0, 1] of the model's square) lies, in words."""
    at, cells = parts.segmentation.square, parts.segmentation.detail
    film = square.top + peak[0] * square.side, square.left + peak[1] * square.side
    row, column = (
        min(max(int((value - start) * cells / at.side), 0), cells - 1)
        for value, start in zip(film, (at.top, at.left), strict=True)
    )
    return named({PARTS[parts.labels[row, column]]: 1.0})


def named(weights: Mapping[Part, float]) -> str:
    """Parts and their weights as words: the heaviest place, and a second one where the first holds less than NAMED.

    Each lung is one place, told by its zones; a lung's costophrenic area is named where it is the heaviest part of all,
    and else counts as lower zone.
    """
    places: dict[Part, dict[str, float]] = {}
    for (side, part), weight in weights.items():
        place = (side, LUNG) if part in (*ZONES, COSTOPHRENIC) else (side, part)
        places.setdefault(place, {})[part] = weight
    total = sum(weights.values())
    order = sorted(places, key=lambda place: -sum(places[place].values()))
    chosen = order[:1]
    if len(order) > 1 and sum(places[order[0]].values()) < NAMED * total:
        chosen += [place for place in order[1:2] if sum(places[place].values()) >= LEAST_NAMED * total]
    said = ", and ".join(_worded(side, part, places[side, part]) for side, part in chosen)
    return f"outside the lungs, {said}" if all(part in OUTSIDE for _, part in chosen) else said


def _worded(side: str, part: str, inside: Mapping[str, float]) -> str:
    return _lung_words(side, inside) if part == LUNG else _PLACES[part].format(side=side)


_PLACES = {
    OVER_HEART: "over heart and mediastinum",
    BETWEEN: "between the lungs",
    ABOVE: "above the lungs",
    BELOW: "below the {side} lung",
    BESIDE: "lateral to the {side} lung",
}


def _lung_words(side: str, inside: Mapping[str, float]) -> str:
    """The zones of a lung that hold at least a quarter of what lies in it."""
    if max(inside, key=lambda part: inside[part]) == COSTOPHRENIC:
        return f"{side} costophrenic area"
    zones = {zone: inside.get(zone, 0.0) for zone in ZONES}
    zones["lower"] += inside.get(COSTOPHRENIC, 0.0)
    said = [zone for zone in ZONES if zones[zone] >= sum(zones.values()) / 4]
    if len(said) == len(ZONES):
        return f"{side} lung, all zones"
    return f"{side} {' and '.join(said)} zone{'s' if len(said) > 1 else ''}"
