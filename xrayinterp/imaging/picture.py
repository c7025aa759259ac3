"""What a decoder hands over: stored values, their curves, and what the header says, before scaling to the grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import Code, Warned, XrayInterpError
from .grey import Curve, Stored
from .radiograph import Source, View, ViewFrom
from .spacing import PixelSize

_BLOCK_ROWS = 256
_COLOUR_SPREAD = 1 / 16
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Picture:
    """One decoded film at full size.

    `stored`: (H, W), 8 or 16 bits. `recipe`: curve to `Radiograph.pixels`. `shown`: curve to `Radiograph.display`,
    the same object unless another window was chosen.
    """

    stored: Stored
    recipe: Curve
    shown: Curve
    view: View
    view_from: ViewFrom
    size: PixelSize
    source: Source
    warnings: tuple[Warned, ...]


def blank(why: str) -> XrayInterpError:
    """The refusal of a picture without content."""
    return XrayInterpError(Code.BLANK, f"The picture is blank: {why}.", "Choose the file that holds the film.")


def to_grey(colour: npt.NDArray[np.unsignedinteger]) -> tuple[npt.NDArray[np.unsignedinteger], bool]:
    """Grey (H, W) of red, green, blue (H, W, 3) in the same type (ITU-R BT.601), and whether the channels differ.

    They differ where any pixel's channels are more than a sixteenth of the full range apart.
    """
    grey = np.empty(colour.shape[:2], dtype=colour.dtype)
    widest = 0
    for top in range(0, colour.shape[0], _BLOCK_ROWS):
        block = colour[top : top + _BLOCK_ROWS, :, :3]
        grey[top : top + _BLOCK_ROWS] = np.rint(block @ _LUMA)
        widest = max(widest, int((block.max(axis=2) - block.min(axis=2)).max()))
    return grey, widest > _COLOUR_SPREAD * np.iinfo(colour.dtype).max


def colour_warning() -> Warned:
    """The warning on a coloured picture that was read as grey."""
    return Warned(Code.COLOUR, "The picture is in colour; it was read as grey. Radiographs are grey.")
