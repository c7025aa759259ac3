"""Where on the chest a map or a region lies, in a radiologist's words, and how wide the heart is. Pure; no torch.

The words rest on the segmenter's masks (`models.segmentation`); where these cannot be a chest, there are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..imaging.geometry import Frame
from ..models.segmentation import FloatImage, Segmentation
from .cardiothoracic import Cardiothoracic, cardiothoracic
from .chest import doubt
from .maps import MapPlace, Shares, on_cells, place_map, shares_of
from .parts import Parts, parts_of, place_point, place_region

__all__ = [
    "Anatomy",
    "Cardiothoracic",
    "MapPlace",
    "Parts",
    "Shares",
    "anatomy_of",
    "cardiothoracic",
    "doubt",
    "parts_of",
    "place_map",
    "place_point",
    "place_region",
    "shares_of",
]


@dataclass(frozen=True)
class Anatomy:
    """What the segmentation says of one film and of the maps over it.

    `square` is what the model saw. `doubt`: why the masks cannot be a chest; there are then no `parts` and no words for
    maps and concepts. `concepts`: where the units of each concept fire. `cardiothoracic` is None where it cannot be
    measured, for the reason `unmeasured`.
    """

    segmentation: Segmentation
    square: Frame
    doubt: str | None
    parts: Parts | None
    maps: tuple[MapPlace, ...]
    concepts: Mapping[str, str]
    cardiothoracic: Cardiothoracic | None
    unmeasured: str | None

    def of(self, method: str) -> MapPlace | None:
        """Where a method's map lies, if it is one of those here."""
        return next((place for place in self.maps if place.method == method), None)

    def at(self, peak: tuple[float, float]) -> str | None:
        """Where a point (y, x in [0, 1] of the model's square) lies, in words; None without parts."""
        return None if self.parts is None else place_point(peak, self.square, self.parts)


def anatomy_of(
    segmentation: Segmentation,
    square: Frame,
    maps: Sequence[tuple[str, FloatImage, bool]],
    regions: Mapping[str, FloatImage],
) -> Anatomy:
    """Everything that is said of one film.

    Args:
        segmentation: of the film.
        square: what the model saw of it.
        maps: method, values (h, w) over `square`, and whether they are signed.
        regions: signed contributions (h, w) over `square` by concept, 0 where its units do not fire.
    """
    doubted = doubt(segmentation)
    ratio, unmeasured = cardiothoracic(segmentation)
    if doubted is not None:
        return Anatomy(segmentation, square, doubted, None, (), {}, ratio, unmeasured)
    parts = parts_of(segmentation)
    fired = {
        concept: place_region(on_cells(np.abs(values), square, parts) > 0, parts) for concept, values in regions.items()
    }
    return Anatomy(
        segmentation=segmentation,
        square=square,
        doubt=None,
        parts=parts,
        maps=tuple(place_map(parts, square, *one) for one in maps),
        concepts={concept: words for concept, words in fired.items() if words is not None},
        cardiothoracic=ratio,
        unmeasured=unmeasured,
    )
