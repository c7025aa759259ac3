"""Where a finding or structure was marked on a film: boxes, polygons, run lengths and mask files, all as bool arrays.

Coordinates are pixels of the grid on which they were drawn. A box holds the pixels whose centres lie in it. A polygon's
vertices are pixels, outline included, as contour finders write them. Run lengths are COCO's: column by column from the
top left, background first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..errors import Code, XrayInterpError

BoolMask = npt.NDArray[np.bool_]
Grid = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; its far edges are `left + width` and `top + height`."""

    left: float
    top: float
    width: float
    height: float

    def inside(self, grid: Grid) -> bool:
        """Whether it has an area and lies on a film of (height, width); half a pixel over the edge is rounding."""
        rows, columns = grid
        far = self.left + self.width <= columns + 0.5 and self.top + self.height <= rows + 0.5
        return self.width > 0 and self.height > 0 and self.left >= -0.5 and self.top >= -0.5 and far

    def mask(self, grid: Grid) -> BoolMask:
        """Bool (H, W) on the grid on which the box was drawn."""
        rows, columns = np.arange(grid[0]) + 0.5, np.arange(grid[1]) + 0.5
        down = (rows >= self.top) & (rows < self.top + self.height)
        across = (columns >= self.left) & (columns < self.left + self.width)
        return np.asarray(down[:, None] & across[None, :])


@dataclass(frozen=True)
class Polygon:
    """A closed outline of (x, y) pixels; filled, outline included."""

    points: tuple[tuple[float, float], ...]

    def inside(self, grid: Grid) -> bool:
        """Whether every point lies on a film of (height, width); half a pixel over the edge is rounding."""
        return all(-0.5 <= x <= grid[1] + 0.5 and -0.5 <= y <= grid[0] + 0.5 for x, y in self.points)

    def mask(self, grid: Grid) -> BoolMask:
        """Bool (H, W) on the grid on which the outline was drawn."""
        canvas = Image.new("1", (grid[1], grid[0]))
        draw = ImageDraw.Draw(canvas)
        if len(self.points) < 3:
            draw.line([*self.points, self.points[-1]], fill=1)
        else:
            draw.polygon(list(self.points), fill=1, outline=1)
        return np.asarray(canvas, dtype=bool)


@dataclass(frozen=True)
class RunLengths:
    """A mask of (height, width) as COCO run lengths: the compressed text, or the counts themselves."""

    height: int
    width: int
    counts: str | tuple[int, ...]

    def mask(self, grid: Grid) -> BoolMask:
        """Bool (H, W).

        Raises:
            XrayInterpError: `bad-data` where the grid is another or the counts do not fill it.
        """
        if grid != (self.height, self.width):
            raise _other_size((self.height, self.width), grid)
        return decode_runs(self.counts, self.height, self.width)


@dataclass(frozen=True)
class MaskFile:
    """A mask picture, not black where the class is; with a box, a crop to be pasted there."""

    path: Path
    box: Box | None = None

    def mask(self, grid: Grid) -> BoolMask:
        """Bool (H, W) on the grid of the film.

        Raises:
            XrayInterpError: `data-missing` where the file is gone, `corrupt-pixels` where it is no picture, `bad-data`
                where it has another size than the film or than its box.
        """
        drawn = _not_black(self.path)
        if self.box is None:
            if drawn.shape != grid:
                raise _other_size(drawn.shape, grid, self.path)
            return drawn
        left, top, width, height = (round(v) for v in (self.box.left, self.box.top, self.box.width, self.box.height))
        if drawn.shape != (height, width) or not self.box.inside(grid) or left < 0 or top < 0:
            raise _other_size(drawn.shape, (height, width), self.path)
        out = np.zeros(grid, dtype=bool)
        out[top : top + height, left : left + width] = drawn[: grid[0] - top, : grid[1] - left]
        return out


Region = Box | Polygon | RunLengths | MaskFile


def union(regions: Sequence[Region], drawn_on: Grid, shown_on: Grid) -> BoolMask:
    """All regions of a class, bool on the grid `shown_on`.

    Each pixel of `shown_on` takes the one of `drawn_on` under its centre (nearest neighbour, half-pixel centres).
    """
    out = np.zeros(drawn_on, dtype=bool)
    for region in regions:
        out |= region.mask(drawn_on)
    if drawn_on == shown_on:
        return out
    at = [((2 * np.arange(n) + 1) * full) // (2 * n) for n, full in zip(shown_on, drawn_on, strict=True)]
    return np.asarray(out[np.ix_(*at)])


def decode_runs(counts: str | Sequence[int], height: int, width: int) -> BoolMask:
    """COCO run lengths, compressed text or counts, as bool (height, width).

    Raises:
        XrayInterpError: `bad-data` where they do not fill the mask exactly.
    """
    runs = _unpacked(counts) if isinstance(counts, str) else list(counts)
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise XrayInterpError(
            Code.BAD_DATA,
            f"The run lengths of a mask of {width} x {height} pixels fill {sum(runs)} of {height * width}.",
            "Fetch the masks again.",
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.asarray(np.repeat(values, runs).reshape(width, height).T)


def encode_runs(mask: BoolMask) -> list[int]:
    """A mask (H, W) as COCO counts: column by column, background first."""
    flat = np.concatenate(([False], mask.T.ravel(), [not mask.T.ravel()[-1]] if mask.size else []))
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(b - a) for a, b in pairwise([0, *ends])]


def pack_runs(counts: Sequence[int]) -> str:
    """Counts as COCO's compressed text: differences to the count before last, five bits a character."""
    text: list[str] = []
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text.append(chr(48 + (bits | (32 if more else 0))))
    return "".join(text)


def _unpacked(text: str) -> list[int]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise XrayInterpError(
                Code.BAD_DATA, f"{character!r} is no character of compressed run lengths.", "Fetch the masks again."
            )
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


def _not_black(path: Path) -> BoolMask:
    try:
        with Image.open(path) as image:
            if "A" in image.getbands():  # what is transparent is not drawn
                pixels = np.asarray(image.convert("RGBA"))
                return np.asarray((pixels[..., 3] > 0) & (pixels[..., :3].max(axis=2) > 0))
            pixels = np.asarray(image.convert("RGB") if image.mode == "P" else image)
            return np.asarray(pixels.max(axis=2) > 0 if pixels.ndim == 3 else pixels > 0)
    except FileNotFoundError:
        raise XrayInterpError(Code.DATA_MISSING, f"The mask file {path} is gone.", "Fetch the masks again.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise XrayInterpError(Code.CORRUPT_PIXELS, f"The mask {path} cannot be read: {error}.") from error


def _other_size(found: tuple[int, ...], wanted: Grid, path: Path | None = None) -> XrayInterpError:
    of = f"The mask {path}" if path else "A mask"
    return XrayInterpError(
        Code.BAD_DATA,
        f"{of} has {found[1]} x {found[0]} pixels where {wanted[1]} x {wanted[0]} belong.",
        "Use films and masks of the same release.",
    )
