"""How large a pixel is at the detector, and whether pixels are square."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from ..errors import Code, Warned
from . import header

_LARGEST_RATIO = 4.0
_SPACING_RANGE = (0.01, 10.0)


@dataclass(frozen=True)
class PixelSize:
    """`at_detector`: (row, column) spacing in mm or None. `aspect`: row spacing over column spacing, 1 if square.

    `magnification`: how much larger the detector's picture is than the patient, or None.
    """

    at_detector: tuple[float, float] | None
    aspect: float
    magnification: float | None


def pixel_size(dataset: Dataset) -> tuple[PixelSize, tuple[Warned, ...]]:
    """Pixel size from Imager Pixel Spacing, Nominal Scanned Pixel Spacing or a calibrated Pixel Spacing.

    A calibrated Pixel Spacing lies in the patient; it is taken to the detector by the Estimated Radiographic
    Magnification Factor and ignored without one. An uncalibrated Pixel Spacing and the Pixel Aspect Ratio only say
    whether pixels are square (DICOM PS3.3 10.7.1.3).
    """
    magnification = header.number(dataset, "EstimatedRadiographicMagnificationFactor")
    if magnification is not None and not 1.0 <= magnification <= 3.0:
        magnification = None
    detector = _pair(dataset, "ImagerPixelSpacing") or _pair(dataset, "NominalScannedPixelSpacing")
    patient = _pair(dataset, "PixelSpacing")
    calibrated = header.text(dataset, "PixelSpacingCalibrationType") in ("GEOMETRY", "FIDUCIAL")
    if detector is None and patient is not None and calibrated and magnification is not None:
        detector = patient[0] * magnification, patient[1] * magnification
    shape = detector or patient or _pair(dataset, "PixelAspectRatio", (1e-6, 1e6))
    aspect = shape[0] / shape[1] if shape else 1.0
    if not 1 / _LARGEST_RATIO <= aspect <= _LARGEST_RATIO:
        warning = Warned(Code.NO_SPACING, "The stated pixel spacing is implausible and was ignored; no lengths in mm.")
        return PixelSize(None, 1.0, magnification), (warning,)
    if detector is None:
        warning = Warned(Code.NO_SPACING, "The header gives no pixel spacing at the detector; no lengths in mm.")
        return PixelSize(None, aspect, magnification), (warning,)
    return PixelSize(detector, aspect, magnification), ()


def _pair(dataset: Dataset, keyword: str, allowed: tuple[float, float] = _SPACING_RANGE) -> tuple[float, float] | None:
    found = header.numbers(dataset, keyword)
    if len(found) != 2 or found[0] is None or found[1] is None:
        return None
    row, column = found[0], found[1]
    low, high = allowed
    return (row, column) if low <= row <= high and low <= column <= high else None
