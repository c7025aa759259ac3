"""Where on the chest a map lies, and how much of it in the lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..imaging.geometry import Frame
from ..models.segmentation import BoolMask, FloatImage, Segmentation
from .parts import Parts, place_region

HALF = 0.5
"""A map's strongest part is what hangs together around its extreme above this share of it, as outlines are drawn."""


@dataclass(frozen=True)
class Shares:
    """Shares of a map's absolute values: `lungs + heart - both + elsewhere` is 1.

    `lungs`: in either lung, the lung behind the heart included; `heart`: in heart and mediastinum; `both`: in both at
    once. `area`: the lungs' share of what the model saw, which an even map would give.
    """

    lungs: float
    heart: float
    both: float
    elsewhere: float
    area: float


@dataclass(frozen=True)
class MapPlace:
    """Where a map lies: its strongest support and opposition in words, None where it has none, and its shares.

    For a map without signs `supports` says where it is strongest. `shares` is None for a map that is zero everywhere.
    """

    method: str
    signed: bool
    supports: str | None
    opposes: str | None
    shares: Shares | None


def place_map(parts: Parts, square: Frame, method: str, values: FloatImage, signed: bool) -> MapPlace:
    """Where a map (h, w) over the model's square lies."""
    cells = on_cells(values, square, parts)
    return MapPlace(
        method=method,
        signed=signed,
        supports=place_region(strongest_part(cells), parts),
        opposes=place_region(strongest_part(-cells), parts) if signed else None,
        shares=shares_of(values, square, parts.segmentation),
    )


def strongest_part(values: FloatImage) -> BoolMask:
    """The connected part around a map's highest value in which it exceeds HALF of it; empty without a positive one."""
    if not values.max() > 0:
        return np.zeros(values.shape, dtype=bool)
    parts, _ = ndimage.label(values > HALF * values.max())
    return np.asarray(parts == parts.flat[values.argmax()])


def on_cells(values: FloatImage, square: Frame, parts: Parts) -> FloatImage:
    """A map (h, w) over the model's square on the cells of a segmentation, interpolated; 0 where the model saw nothing.

    Half-pixel centres and clamped borders, as everywhere.
    """
    at = parts.segmentation.square
    centres = (np.arange(parts.segmentation.detail) + 0.5) * at.side / parts.segmentation.detail
    rows, columns = (centres + at.top - square.top) / square.side, (centres + at.left - square.left) / square.side
    down, across = (_interpolation(u, cells) for u, cells in zip((rows, columns), values.shape, strict=True))
    return np.asarray(down @ values.astype(np.float32) @ across.T)


def _interpolation(at: npt.NDArray[np.float64], cells: int) -> FloatImage:
    """Weights (n, cells) with which linear interpolation reads a row of cells at places in [0, 1]; 0 outside."""
    place = np.clip(at * cells - 0.5, 0, cells - 1)
    weights = np.maximum(1 - np.abs(place[:, None] - np.arange(cells)), 0)
    return np.asarray(weights * ((at > 0) & (at < 1))[:, None], dtype=np.float32)


def shares_of(values: FloatImage, square: Frame, segmentation: Segmentation) -> Shares | None:
    """How much of a map (h, w) lies where: |values| weighted by the part of each cell that a structure covers.

    None for a map that is zero everywhere.
    """
    sizes = np.abs(values.astype(np.float64))
    if not sizes.sum() > 0:
        return None
    lungs, heart, both = (
        covered(mask, square, segmentation.square, values.shape)
        for mask in (segmentation.lungs, segmentation.heart, segmentation.lungs & segmentation.heart)
    )
    inside, at_heart, twice = (float((sizes * cover).sum() / sizes.sum()) for cover in (lungs, heart, both))
    return Shares(inside, at_heart, twice, 1 - inside - at_heart + twice, float(lungs.mean()))


def covered(mask: BoolMask, square: Frame, at: Frame, grid: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """The part of each cell of a grid (h, w) over `square` that a mask (d, d) over `at` covers, in [0, 1]."""
    indices = []
    finer = []
    for cells, start, other in zip(grid, (square.top, square.left), (at.top, at.left), strict=True):
        times = -(-mask.shape[0] // cells)
        centres = start + (np.arange(cells * times) + 0.5) * square.side / (cells * times)
        indices.append(np.clip(((centres - other) * mask.shape[0] / at.side).astype(int), 0, mask.shape[0] - 1))
        finer.append(times)
    fine = mask[np.ix_(*indices)].astype(np.float64)
    return np.asarray(fine.reshape(grid[0], finer[0], grid[1], finer[1]).mean(axis=(1, 3)))
