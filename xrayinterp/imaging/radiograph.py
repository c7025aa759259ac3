"""The radiograph that every later room works on; it never holds anything that names a patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import Code, Warned

View = Literal["PA", "AP", "unknown"]
ViewFrom = Literal["header", "reader", "missing"]
Kind = Literal["dicom", "png", "jpeg"]

RECIPE = "xrayinterp-1"
"""Version of the inference recipe: how stored values become `Radiograph.pixels`.

8-bit raster: value/255. DICOM with a usable VOI table or window: modality values through the file's first one. All else
(16-bit raster, DICOM without one, colour captures): linear between the 0.5th and 99.5th percentile outside padding,
clipped. Then low values white are inverted, padding is black, and the film is reduced to at most 1024 pixels (bilinear,
antialiased, square pixels).
"""


@dataclass(frozen=True)
class Source:
    """Where the pixels came from, without identity.

    `rows` and `columns` are the file's own; `orientation` is DICOM's Patient Orientation (row, column direction)
    or None; `windows` names the file's usable display windows, `window` is the index used for `display`;
    `magnification` is Estimated Radiographic Magnification Factor (detector over patient) or None.
    """

    kind: Kind
    rows: int
    columns: int
    bits: int
    photometric: str
    modality: str | None = None
    sop_class: str | None = None
    transfer_syntax: str | None = None
    orientation: tuple[str, str] | None = None
    laterality: str | None = None
    windows: tuple[str, ...] = ()
    window: int | None = None
    magnification: float | None = None


@dataclass(frozen=True)
class Radiograph:
    """One frontal chest film.

    `display`: uint8 (H, W), at most 1024 on the long side, as the file's window shows it, polarity fixed.
    `pixels`: float32 (H, W), same grid, in [0, 1], the inference recipe's output; no display setting changes it.
    `spacing_mm`: (row, column) at the detector on the grid of `display`, or None. `sha256`: of the file's bytes.
    """

    display: npt.NDArray[np.uint8]
    pixels: npt.NDArray[np.float32]
    view: View
    view_from: ViewFrom
    spacing_mm: tuple[float, float] | None
    warnings: tuple[Warned, ...]
    sha256: str
    source: Source
    recipe: str = RECIPE

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of `display` and `pixels`."""
        height, width = self.display.shape
        return height, width

    def with_view(self, view: View) -> Radiograph:
        """The same film with the view as a reader confirmed or corrected it; "unknown" stays with it as a warning."""
        warnings = tuple(warned for warned in self.warnings if warned.code is not Code.VIEW_UNKNOWN)
        if view == "unknown":
            said = "The reader could not tell the view: if the film was taken AP, heart size is overestimated."
            warnings += (Warned(Code.VIEW_UNKNOWN, said),)
        return replace(self, view=view, view_from="reader", warnings=warnings)
