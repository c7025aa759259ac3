"""Cells: bilinear upsampling by eight, cut into 8 x 8 blocks that are linear pieces of four corners and fit 64 bits.

A map (h, w), padded by its border, upsamples to (h + 1)(w + 1) such blocks around the true picture of 8h x 8w pixels
(`align_corners=False`, border clamped). Every pixel is a weighted mean of its block's corners, so a block whose highest
corner is not above a threshold is empty and one whose lowest corner is above it is full: only the rest is evaluated.
Weights are n / 256 and maps are float32, so float64 evaluates pixels exactly unless corners differ by 2**20 and more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FACTOR = 8

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.floating]
Int = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_NEAR = (2.0 * np.arange(FACTOR) + 1) / (2 * FACTOR)
"""Share of the lower or right corner at each of a cell's eight rows or columns."""


@dataclass(frozen=True)
class Corners:
    """Corner values of every cell of N maps, each (N, cells): top left, top right, bottom left, bottom right."""

    tl: Float
    tr: Float
    bl: Float
    br: Float

    @property
    def highest(self) -> Float:
        """The largest corner of each cell, (N, cells)."""
        return np.maximum(np.maximum(self.tl, self.tr), np.maximum(self.bl, self.br))

    @property
    def lowest(self) -> Float:
        """The smallest corner of each cell, (N, cells)."""
        return np.minimum(np.minimum(self.tl, self.tr), np.minimum(self.bl, self.br))

    def pixels(self, film: Int, cell: Int) -> npt.NDArray[np.float64]:
        """Pixels of K cells, (K, 64) float64, rows first, always computed in the same order of operations."""
        tl, tr, bl, br = (c[film, cell].astype(np.float64)[:, None] for c in (self.tl, self.tr, self.bl, self.br))
        left = (1 - _NEAR) * tl + _NEAR * bl
        right = (1 - _NEAR) * tr + _NEAR * br
        square = (1 - _NEAR) * left[:, :, None] + _NEAR * right[:, :, None]
        return square.reshape(len(film), FACTOR * FACTOR)


def corners(maps: Float) -> Corners:
    """Corner values of the cells of maps (N, h, w)."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    flat = (len(maps), -1)
    return Corners(
        padded[:, :-1, :-1].reshape(flat),
        padded[:, :-1, 1:].reshape(flat),
        padded[:, 1:, :-1].reshape(flat),
        padded[:, 1:, 1:].reshape(flat),
    )


def to_cells(pictures: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Pictures (..., 8h, 8w) cut into cells: (..., cells, 64); zero beyond the picture."""
    *lead, height, width = pictures.shape
    half = FACTOR // 2
    padded = np.pad(pictures, [(0, 0)] * len(lead) + [(half, half), (half, half)])
    blocks = padded.reshape(*lead, height // FACTOR + 1, FACTOR, width // FACTOR + 1, FACTOR)
    return np.moveaxis(blocks, -3, -2).reshape(*lead, -1, FACTOR * FACTOR)


def pack(bits: Bool) -> Words:
    """Booleans (..., 64) as one 64-bit word each: (...)."""
    octets = np.packbits(bits, axis=-1, bitorder="little")
    return np.ascontiguousarray(octets).view(np.uint64)[..., 0]


def unpack(words: Words) -> Bool:
    """The inverse of `pack`: words (...) as booleans (..., 64)."""
    octets = np.ascontiguousarray(words)[..., None].view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little").astype(bool)


def inside(height: int, width: int) -> Bool:
    """Which pixels of the cells of a (height, width) map lie on the picture: bool (cells, 64)."""
    return to_cells(np.ones((FACTOR * height, FACTOR * width), dtype=bool)).astype(bool)


def mask_words(masks: Bool) -> Words:
    """Masks (..., 8h, 8w) as words (..., cells)."""
    return pack(to_cells(masks).astype(bool))
