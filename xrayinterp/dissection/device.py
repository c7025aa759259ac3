"""The same cells, censuses and tallies on an accelerator, where matrix products are cheap and bits have no count.

A cell's pixels are one product of its corners with the bilinear weights in float64, as on the processor; pixels met are
a batched product of each cell's indicator (1, 64) with the cell's masks (64, C). Counts are whole numbers below 2**24,
so float32 holds them exactly and both ways give the same integers (`tests/dissection/test_device.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .cells import PIXELS, WEIGHTS, Bool, Cells, inside, unpack
from .masks import Masks
from .tally import Tally, by_patient
from .thresholds import SAMPLE, Counts, Found, Window, found_in

AT_ONCE = 1 << 17
"""Cells evaluated at a time: 64 MB of pixels in float64."""

Floats = npt.NDArray[np.float64]


def cells_above_on(maps: Tensor, levels: Floats, films: npt.NDArray[np.int32]) -> Cells:
    """`cells.cells_above` for maps (N, U, h, w) on a device; the cells come back as arrays."""
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    corners = (padded[..., :-1, :-1], padded[..., :-1, 1:], padded[..., 1:, :-1], padded[..., 1:, 1:])
    highest = torch.maximum(torch.maximum(*corners[:2]), torch.maximum(*corners[2:]))
    level = torch.as_tensor(levels, device=maps.device)[:, None, None]
    film, unit, row, column = torch.nonzero(highest.double() > level, as_tuple=True)
    kept = torch.stack([corner[film, unit, row, column] for corner in corners])
    cell = row * highest.shape[-1] + column
    numbers = films[film.cpu().numpy()].astype(np.int32)
    return Cells(unit.int().cpu().numpy(), numbers, cell.int().cpu().numpy(), kept.float().cpu().numpy())


def floor_on(maps: Sequence[Tensor], tail: Fraction) -> Floats:
    """The level that a share `tail` of each unit's upsampled pixels exceeds, from one pixel a cell: (U,).

    0 where it is the unit's lowest value, since maps are rectified.
    """
    sampled = []
    for number, part in enumerate(maps):
        padded = F.pad(part.float(), (1, 1, 1, 1), mode="replicate")
        y, x = (3 / 16, 13 / 16)[number % 2], (3 / 16, 13 / 16)[number // 2 % 2]
        rows = (1 - y) * padded[:, :, :-1] + y * padded[:, :, 1:]
        pixels = (1 - x) * rows[..., :-1] + x * rows[..., 1:]
        sampled.append(pixels.transpose(0, 1).flatten(1))
    flat = torch.cat(sampled, 1)
    rank = math.ceil(tail * flat.shape[1])
    level = torch.topk(flat, rank, dim=1, sorted=True).values[:, -1].double().cpu().numpy()
    lowest = torch.stack([part.amin((0, 2, 3)) for part in maps]).amin(0).double().cpu().numpy()
    return np.where(level <= lowest, 0.0, level)


@dataclass(frozen=True)
class DeviceStream:
    """`thresholds.Stream` on a device."""

    parts: Iterable[Cells]
    picture: Bool
    device: torch.device

    def census(self, window: Window, *, sampled: bool = False) -> Counts:
        """See `thresholds.Source.census`."""
        units, width = len(window.low), window.bins + 1
        out = torch.zeros(units * width, dtype=torch.int64, device=self.device)
        at = list(SAMPLE) if sampled else list(range(PIXELS))
        low, high = (torch.as_tensor(side, device=self.device) for side in (window.low, window.high))
        for unit, cell, corners in self._moved():
            values = self._pixels(corners)[:, at]
            on = self._picture[cell][:, at]
            above = (values > high[unit, None]) & on
            own, where = torch.nonzero((values >= low[unit, None]) & on & ~above, as_tuple=True)
            bins = _bins(values[own, where], low[unit[own]], high[unit[own]], window.bins)
            top = torch.repeat_interleave(unit * width + window.bins, above.sum(1))
            out += torch.bincount(torch.cat([unit[own] * width + bins, top]), minlength=len(out))
        counts: Counts = out.reshape(units, width).cpu().numpy()
        return counts

    def found(self, window: Window, chosen: npt.NDArray[np.int64], listed: Bool) -> Found:
        """See `thresholds.Source.found`."""
        asked = Window(np.where(chosen < 0, np.inf, window.low), np.where(chosen < 0, np.inf, window.high), window.bins)
        return found_in(self._within(asked), window, chosen, listed)

    def _within(self, window: Window) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        low, high = (torch.as_tensor(side, device=self.device) for side in (window.low, window.high))
        for unit, cell, corners in self._moved():
            values = self._pixels(corners)
            inside_ = (values >= low[unit, None]) & (values <= high[unit, None]) & self._picture[cell]
            own, where = torch.nonzero(inside_, as_tuple=True)
            yield unit[own].cpu().numpy(), values[own, where].cpu().numpy()

    @property
    def _picture(self) -> Tensor:
        return torch.from_numpy(self.picture).to(self.device)

    def _pixels(self, corners: Tensor) -> Tensor:
        return corners.double() @ torch.from_numpy(WEIGHTS).to(self.device)

    def _moved(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return ((unit, cell, corners) for unit, _, cell, corners in moved(self.parts, self.device))


def tally_on(
    parts: Iterable[Cells],
    thresholds: Floats,
    grid: tuple[int, int],
    masks: Masks,
    patients: Sequence[str],
    device: torch.device,
) -> Tally:
    """`tally.tally` of the regions above `thresholds`, on a device."""
    names, group = by_patient(patients)
    units, concepts = len(thresholds), masks.concepts
    level = torch.as_tensor(thresholds, device=device)
    picture = torch.from_numpy(inside(*grid)).to(device)
    row = torch.from_numpy(masks.row).to(device)
    bits = torch.from_numpy(unpack(masks.words)).to(device).float().transpose(1, 2)  # (P, 64, C)
    weights = torch.from_numpy(WEIGHTS).to(device)
    of = torch.from_numpy(group).to(device)
    area = torch.zeros(len(names) * units, dtype=torch.int64, device=device)
    inter = torch.zeros((len(names) * units, concepts), dtype=torch.int64, device=device)
    for unit, film, cell, corners in moved(parts, device):
        fires = (corners.double() @ weights > level[unit, None]) & picture[cell]
        key = of[film] * units + unit
        area += torch.zeros_like(area).index_add_(0, key, fires.sum(1))
        place = row[film * masks.cells + cell]
        kept = torch.nonzero((place >= 0) & fires.any(1))[:, 0]
        met = torch.bmm(fires[kept, None].float(), bits[place[kept].long()])[:, 0]
        inter.index_add_(0, key[kept], met.long())
    counted = masks.covered()
    cover, shown = np.zeros((2, len(names), concepts), dtype=np.int64)
    np.add.at(cover, group, counted)
    np.add.at(shown, group, counted > 0)
    return Tally(
        names,
        inter.reshape(len(names), units, concepts).cpu().numpy(),
        area.reshape(len(names), units).cpu().numpy(),
        cover,
        shown,
        np.bincount(group, minlength=len(names)),
        PIXELS * math.prod(grid),
    )


def moved(parts: Iterable[Cells], device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Unit, film, cell (k,) int64 and corners (k, 4) on a device, some cells at a time."""
    for part in parts:
        for start in range(0, len(part), AT_ONCE):
            some = part[start : start + AT_ONCE]
            numbers = (
                torch.from_numpy(column.astype(np.int64)).to(device) for column in (some.unit, some.film, some.cell)
            )
            unit, film, cell = numbers
            yield unit, film, cell, torch.from_numpy(np.ascontiguousarray(some.corners.T)).to(device)


def _bins(values: Tensor, low: Tensor, high: Tensor, bins: int) -> Tensor:
    """`Window.bin` in the same order of operations."""
    width = high - low
    scale = torch.where(width > 0, bins / width, torch.zeros_like(width))
    return torch.clamp((values - low) * scale, max=bins - 1).long()
