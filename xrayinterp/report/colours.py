"""The palettes of pictures, page and print: one sequential, one diverging, both safe for colour-blind readers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SUPPORTS = "#f0993b"
"""Orange: what raises the score, on dark ground and on film."""
OPPOSES = "#6aa5f5"
"""Blue: what lowers the score, on dark ground and on film."""
SUPPORTS_PRINT = "#c8650a"
"""The orange of white paper; at least 3:1 against white, as graphics need."""
OPPOSES_PRINT = "#2a6cb8"
"""The blue of white paper; at least 3:1 against white."""
UNNAMED_PRINT = "#5d6873"
"""The grey of white paper for units without a concept."""
LUNGS, HEART = "#9fd6a4", "#dca8ea"
"""Green and lilac: outlines of anatomy on a film, neither of them a colour of maps."""
FRAME = "#d5dbe1"
"""The crop frame drawn on a film."""

_SUPPORTS_RAMP = ((0xA3, 0x52, 0x0B), (0xFF, 0xB0, 0x4A))
_OPPOSES_RAMP = ((0x1D, 0x4E, 0x9E), (0x7C, 0xB4, 0xFF))
# Eighteen equally spaced colours of cividis (Nunez, Anderton and Renslow, PLOS ONE 13(7): e0199239, 2018).
_CIVIDIS = (
    "00204c", "002a66", "00346e", "273f6c", "3c4a6b", "4c556b", "5b5f6d", "686a70", "757575",
    "838178", "928c78", "a19876", "b0a572", "c0b16d", "d1bf66", "e1cc5c", "f3db4f", "ffe945",
)  # fmt: skip

FloatArray = npt.NDArray[np.floating]
Colours = npt.NDArray[np.uint8]


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue (0 to 255) of a colour written "#rrggbb"."""
    red, green, blue = bytes.fromhex(colour.lstrip("#"))
    return red, green, blue


def cividis(share: FloatArray) -> Colours:
    """Colours (..., 3) uint8 for shares in [0, 1], clipped; NaN counts as 0."""
    anchors = np.array([rgb(colour) for colour in _CIVIDIS], dtype=np.float64)
    return _ramp(share, anchors)


def diverging(share: FloatArray) -> Colours:
    """Colours (..., 3) uint8 for shares in [-1, 1]: blue opposes, orange supports; paler towards the ends."""
    supports = _ramp(share, np.array(_SUPPORTS_RAMP, dtype=np.float64))
    opposes = _ramp(-np.asarray(share), np.array(_OPPOSES_RAMP, dtype=np.float64))
    return np.where((np.asarray(share) < 0)[..., None], opposes, supports)


def overlay(values: FloatArray, limit: float, *, signed: bool, opacity: float = 0.75) -> Colours:
    """Colours with transparency for a map: transparent at zero and where NaN, `opacity` at `limit`.

    Args:
        values: map of any shape, in its own unit; NaN where the model saw nothing.
        limit: value drawn in the strongest colour, more than 0; larger ones are drawn alike.
        signed: orange and blue about zero; otherwise cividis upwards from zero.

    Returns:
        (..., 4) uint8, red, green, blue, alpha.
    """
    share = np.nan_to_num(np.asarray(values, dtype=np.float64) / limit, nan=0.0)
    share = np.clip(share, -1.0 if signed else 0.0, 1.0)
    colours = diverging(share) if signed else cividis(share)
    alpha = np.round(255 * opacity * np.abs(share)).astype(np.uint8)
    return np.concatenate([colours, alpha[..., None]], axis=-1)


def _ramp(share: FloatArray, anchors: npt.NDArray[np.float64]) -> Colours:
    at = np.clip(np.nan_to_num(np.asarray(share, dtype=np.float64), nan=0.0), 0.0, 1.0) * (len(anchors) - 1)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)
