"""The map of unusualness as a layer of the viewer, and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_opening

from ..anomaly.normality import known_detector, known_reference
from ..anomaly.reference import strength
from ..imaging.geometry import Fit, FloatImage
from ..imaging.radiograph import Radiograph
from ..report.normality_words import METHODS
from ..report.words import place
from .film import Layer


@dataclass(frozen=True)
class UnusualMap:
    """Where a film is unusual, (d, d) >= 0 over the model's square.

    `limit`: where the scale ends; `common`: whether that is the same for all films, as measured on held-out normals.
    """

    way: str
    values: FloatImage
    limit: float
    common: bool

    def set_off(self, share: float) -> npt.NDArray[np.bool_]:
        """Where it is at least a share of the limit, opened by a plus."""
        if self.limit <= 0:
            return np.zeros(self.values.shape, dtype=bool)
        return np.asarray(binary_opening(self.values >= share * self.limit))

    def layer(self, asked: str, share: float | None = None) -> Layer:
        """As the viewer draws it; with a share, what reaches it is set off."""
        height, width = self.values.shape
        marked = None if share is None else self.set_off(share)
        return Layer(
            self.values,
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


def made(radiograph: Radiograph, fit: Fit, way: str) -> UnusualMap:
    """Make the map.

    Raises:
        XrayInterpError: where this installation has no detector, or a damaged one.
    """
    values = known_detector().map(radiograph, fit, method=way)
    reference = known_reference()
    limit = None if reference is None else reference.limits.get(way)
    return UnusualMap(way, values, strength(values) if limit is None else limit, limit is not None)
