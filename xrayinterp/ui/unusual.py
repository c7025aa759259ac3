"""The map of unusualness as a layer of the viewer, and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_opening

from ..anomaly.normality import known_detector, known_reference
from ..anomaly.reference import strength
from ..imaging.geometry import FloatImage, Frame, frame
from ..imaging.radiograph import Radiograph
from ..report.normality_words import METHODS
from ..report.words import place
from .film import Layer


@dataclass(frozen=True)
class UnusualMap:
    """Where a film is unusual, (d, d) >= 0 over the `square` of the film that the detector saw.

    The scale runs from `floor` to `limit`, the same for all films as measured on the maps of so many `reference` films;
    0 where nothing was measured.
    """

    way: str
    values: FloatImage
    square: Frame
    floor: float
    limit: float
    reference: int

    def set_off(self, share: float) -> npt.NDArray[np.bool_]:
        """Where it reaches at least a share of the scale, opened by a plus."""
        if self.limit <= self.floor:
            return np.zeros(self.values.shape, dtype=bool)
        return np.asarray(binary_opening(self.values >= self.floor + share * (self.limit - self.floor)))

    def layer(self, asked: str, share: float | None = None) -> Layer:
        """As the viewer draws it; with a share, what reaches it is set off."""
        height, width = self.values.shape
        marked = None if share is None else self.set_off(share)
        return Layer(
            self.values,
            self.square,
            self.floor,
            self.limit,
            f"Unusualness · {METHODS[self.way]} · {height} × {width}",
            self._alt(),
            marked,
            asked,
        )

    def _alt(self) -> str:
        if not self.values.any():
            return "Map of unusualness: zero everywhere."
        at = np.unravel_index(int(self.values.argmax()), self.values.shape)
        row, column = ((float(i) + 0.5) / n for i, n in zip(at, self.values.shape, strict=True))
        return f"Map of unusualness, strongest in the {place((row, column))} of the square that the detector saw."


def made(radiograph: Radiograph, way: str) -> UnusualMap:
    """Make the map, of the centre square as of the films the detector knows, however a model sees the film.

    Raises:
        XrayInterpError: where this installation has no detector, or a damaged one.
    """
    values, square = known_detector().map(radiograph, method=way), frame(*radiograph.shape)
    reference = known_reference()
    if reference is None or way not in reference.limits:
        return UnusualMap(way, values, square, 0.0, strength(values), 0)
    return UnusualMap(way, values, square, reference.floors[way], reference.limits[way], reference.maps)
