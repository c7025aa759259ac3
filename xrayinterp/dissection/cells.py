"""Cells: bilinear upsampling by eight, cut into 8 x 8 blocks that are linear pieces of four corners and fit 64 bits.

A map (h, w), padded by its border, upsamples to (h + 1)(w + 1) such blocks around the true picture of 8h x 8w pixels
(`align_corners=False`, border clamped). Every pixel is a weighted mean of its block's corners, so a block whose highest
corner is not above a level is empty and one whose lowest corner is above it is full: only the rest is evaluated. (True
of every kernel whose weights are not negative; bicubic ones are not so.) Weights are n / 256 and maps are float32, so
float64 evaluates pixels exactly unless corners differ by 2**20 and more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FACTOR = 8
PIXELS = FACTOR * FACTOR
"""Pixels of a cell."""
EVALUATED = 1 << 12
"""Cells evaluated at a time: 2 MiB, which stays in a processor's cache."""

Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.floating]
Int = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

_NEAR = (2.0 * np.arange(FACTOR) + 1) / (2 * FACTOR)
"""Share of the lower or right corner at each of a cell's eight rows or columns."""
WEIGHTS = np.stack([np.outer(y, x).ravel() for y in (1 - _NEAR, _NEAR) for x in (1 - _NEAR, _NEAR)])
"""Share of each corner, from top left on, in each of a cell's pixels: (4, 64)."""
_FAR = 2.0**18
"""Corners within this ratio leave 53 bits enough for every sum: 24 of a float32, 8 of the weights, 2 of four terms."""


@dataclass(frozen=True)
class Cells:
    """K cells of a layer's maps: `unit`, `film`, `cell` (K,) int32, and `corners` (4, K) float32 from top left on."""

    unit: Int
    film: Int
    cell: Int
    corners: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.unit)

    def __getitem__(self, chosen: slice | npt.NDArray[np.generic]) -> Cells:
        return Cells(self.unit[chosen], self.film[chosen], self.cell[chosen], self.corners[:, chosen])

    @property
    def highest(self) -> npt.NDArray[np.float32]:
        """The largest corner of each cell, (K,)."""
        return _highest(self.corners)

    @property
    def lowest(self) -> npt.NDArray[np.float32]:
        """The smallest corner of each cell, (K,)."""
        return _lowest(self.corners)


def cells_above(maps: npt.NDArray[np.float32], levels: Float, films: Int) -> Cells:
    """The cells of maps (N, U, h, w) with a corner above their unit's level (U,), film after film.

    Args:
        films: (N,) number that each film's cells are to bear.
    """
    count, units, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    rows = np.maximum(padded[:, :, :-1], padded[:, :, 1:])
    highest = np.maximum(rows[..., :-1], rows[..., 1:]).reshape(count, units, -1)
    found = np.flatnonzero(highest > rounded_down(levels)[:, None])
    pair, cell = np.divmod(found, (height + 1) * (width + 1))
    film, unit = np.divmod(pair, units)
    row, column = np.divmod(cell, width + 1)
    at = (pair * (height + 2) + row) * (width + 2) + column
    corners = np.stack([padded.ravel()[at + offset] for offset in (0, 1, width + 2, width + 3)])
    return Cells(unit.astype(np.int32), films[film].astype(np.int32), cell.astype(np.int32), corners)


def rounded_down(values: Float) -> npt.NDArray[np.float32]:
    """The largest float32 not above each value: a float32 exceeds the one if and only if it exceeds the other."""
    near = values.astype(np.float32)
    return np.where(near > values, np.nextafter(near, np.float32(-np.inf)), near)


def pixels(corners: npt.NDArray[np.float32], at: Sequence[int] | slice = slice(None)) -> npt.NDArray[np.float64]:
    """Pixels of K cells from their corners (4, K): (K, 64) float64, rows first, or only some `at` of the 64.

    Sums of four exact products are exact in any order, so a matrix product gives them; where corners are so far apart
    that a sum may be rounded, they are added in one fixed order.
    """
    values = np.ascontiguousarray(corners.T, dtype=np.float64)
    out: npt.NDArray[np.float64] = values @ WEIGHTS[:, at]
    size = np.abs(corners)
    least = _lowest(np.where(size > 0, size, np.float32(np.inf)))
    for k in np.flatnonzero(_highest(size) > _FAR * least):
        tl, tr, bl, br = values[k]
        left, right = (1 - _NEAR) * tl + _NEAR * bl, (1 - _NEAR) * tr + _NEAR * br
        out[k] = ((1 - _NEAR) * left[:, None] + _NEAR * right[:, None]).ravel()[at]
    return out


def in_parts(cells: Cells, size: int = EVALUATED) -> Iterator[Cells]:
    """The same cells, so many at a time."""
    for start in range(0, len(cells), size):
        yield cells[start : start + size]


def _highest(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    out: npt.NDArray[np.float32] = np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))
    return out


def _lowest(corners: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    out: npt.NDArray[np.float32] = np.minimum(np.minimum(corners[0], corners[1]), np.minimum(corners[2], corners[3]))
    return out


def to_cells(pictures: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Pictures (..., 8h, 8w) cut into cells: (..., cells, 64); zero beyond the picture."""
    *lead, height, width = pictures.shape
    half = FACTOR // 2
    padded = np.pad(pictures, [(0, 0)] * len(lead) + [(half, half), (half, half)])
    blocks = padded.reshape(*lead, height // FACTOR + 1, FACTOR, width // FACTOR + 1, FACTOR)
    return np.moveaxis(blocks, -3, -2).reshape(*lead, -1, PIXELS)


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
