"""The same cells, censuses and tallies on an accelerator, where matrix products are cheap and bits have no count.

A cell's pixels are one product of its corners with the bilinear weights in float64, as on the processor; pixels met are
a batched product of each cell's indicator (1, 64) with the cell's masks (64, C). Counts are whole numbers below 2**24,
so float32 holds them exactly and both ways give the same integers (`tests/dissection/test_device.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .cells import PIXELS, WEIGHTS, Bool, Cells, inside, rounded_down, unpack
from .masks import Masks
from .tally import Tally, by_patient
from .thresholds import EVERY, SAMPLE, Counts, Found, Window

AT_ONCE = 1 << 17
"""Cells evaluated at a time: 64 MB of pixels in float64, and as much again a few times."""

Floats = npt.NDArray[np.float64]


def cells_above_on(maps: Tensor, levels: Floats, films: npt.NDArray[np.int32]) -> Cells:
    """`cells.cells_above` for maps (N, U, h, w) on a device; the cells come back as arrays."""
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    corners = (padded[..., :-1, :-1], padded[..., :-1, 1:], padded[..., 1:, :-1], padded[..., 1:, 1:])
    highest = torch.maximum(torch.maximum(*corners[:2]), torch.maximum(*corners[2:]))
    level = torch.from_numpy(rounded_down(levels)).to(maps.device)[:, None, None]
    units, height, width = highest.shape[1:]
    found = torch.nonzero((highest > level).flatten())[:, 0]
    pair, cell = found // (height * width), found % (height * width)
    at = (pair * (height + 1) + cell // width) * (width + 1) + cell % width
    kept = torch.stack([padded.flatten()[at + offset] for offset in (0, 1, width + 1, width + 2)])
    film, unit, place = (column.int().cpu().numpy() for column in (pair // units, pair % units, cell))
    return Cells(unit, films[film].astype(np.int32), place, kept.float().cpu().numpy())


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
class OnDevice:
    """Cells as tensors on a device: `unit`, `film`, `cell` (K,) int64 and `corners` (K, 4) float32."""

    unit: Tensor
    film: Tensor
    cell: Tensor
    corners: Tensor

    def __len__(self) -> int:
        return len(self.unit)

    def __getitem__(self, chosen: slice) -> OnDevice:
        return OnDevice(self.unit[chosen], self.film[chosen], self.cell[chosen], self.corners[chosen])

    @classmethod
    def of(cls, cells: Cells, device: torch.device) -> OnDevice:
        """Cells brought there."""
        unit, film, cell = (torch.from_numpy(one).to(device).long() for one in (cells.unit, cells.film, cells.cell))
        return cls(unit, film, cell, torch.from_numpy(cells.corners).to(device).T.contiguous())

    @property
    def size(self) -> int:
        """Bytes it takes there."""
        return sum(t.numel() * t.element_size() for t in (self.unit, self.film, self.cell, self.corners))


class Resident:
    """Cells that stay on a device between passes as long as they take at most `share` of what is free there."""

    def __init__(self, share: float = 0.25) -> None:
        self._share = share
        self._held: dict[Hashable, list[OnDevice]] = {}

    def parts(self, key: Hashable, cells: Iterable[Cells], device: torch.device) -> Iterable[OnDevice]:
        """The same cells on the device: those of the last call with this key, or brought there once more."""
        if key in self._held:
            self._held[key] = self._held.pop(key)  # the one used longest ago goes first
            return self._held[key]
        return self._brought(key, cells, device)

    def _brought(self, key: Hashable, cells: Iterable[Cells], device: torch.device) -> Iterator[OnDevice]:
        parts: list[OnDevice] = []
        size, room = 0, self._room(device)
        for part in cells:
            there = OnDevice.of(part, device)
            size += there.size
            while size > room and self._held:
                room += sum(old.size for old in self._held.pop(next(iter(self._held))))
            if size > room:
                parts.clear()
            else:
                parts.append(there)
            yield there
        if size <= room:
            self._held[key] = parts

    def _room(self, device: torch.device) -> float:
        if device.type != "cuda":
            return 0.0
        return self._share * torch.cuda.mem_get_info(device)[0]


@dataclass(frozen=True)
class DeviceStream:
    """`thresholds.Stream` on a device."""

    parts: Callable[[], Iterable[OnDevice]]
    picture: Bool
    device: torch.device

    def census(self, window: Window, *, sampled: bool = False) -> Counts:
        """See `thresholds.Source.census`."""
        units, width = len(window.low), window.bins + 1
        out = torch.zeros(units * width, dtype=torch.int64, device=self.device)
        at = list(SAMPLE) if sampled else list(range(PIXELS))
        low, high = (torch.as_tensor(side, device=self.device) for side in (window.low, window.high))
        for some in self._reaching(window, EVERY if sampled else 1):
            values, on = self._pixels(some.corners)[:, at], self._picture[some.cell][:, at]
            above = (values > high[some.unit, None]) & on
            own, where = torch.nonzero((values >= low[some.unit, None]) & on & ~above, as_tuple=True)
            unit = some.unit[own]
            bins = _bins(values[own, where], low[unit], high[unit], window.bins)
            top = torch.zeros(units, dtype=torch.int64, device=self.device).index_add_(0, some.unit, above.sum(1))
            out.view(units, width)[:, -1] += top
            out += torch.bincount(unit * width + bins, minlength=len(out))
        counts: Counts = out.reshape(units, width).cpu().numpy()
        return counts

    def found(self, window: Window, chosen: npt.NDArray[np.int64], listed: Bool) -> Found:
        """See `thresholds.Source.found`."""
        bin_, units = window.around(chosen), len(chosen)
        low, high, edge, end = (
            torch.as_tensor(side, device=self.device) for side in (window.low, window.high, bin_.low, bin_.high)
        )
        wanted, kept = torch.as_tensor(chosen, device=self.device), torch.as_tensor(listed, device=self.device)
        least = torch.full((units,), torch.inf, dtype=torch.float64, device=self.device)
        most, told = -least, []
        for some in self._reaching(bin_):
            values = self._pixels(some.corners)
            inside_ = (values >= edge[some.unit, None]) & (values <= end[some.unit, None]) & self._picture[some.cell]
            own, where = torch.nonzero(inside_, as_tuple=True)
            unit, value = some.unit[own], values[own, where]
            here = _bins(value, low[unit], high[unit], window.bins) == wanted[unit]
            unit, value = unit[here], value[here]
            least = least.scatter_reduce(0, unit, value, "amin")
            most = most.scatter_reduce(0, unit, value, "amax")
            told.append((unit[kept[unit]].cpu().numpy(), value[kept[unit]].cpu().numpy()))
        listed_unit, listed_value = zip(*told, strict=True) if told else ((np.empty(0, np.int64),), (np.empty(0),))
        return Found(least.cpu().numpy(), most.cpu().numpy(), np.concatenate(listed_unit), np.concatenate(listed_value))

    def _reaching(self, window: Window, every: int = 1) -> Iterator[OnDevice]:
        """Some at a time of the cells that reach into a window or above it; none of units that ask for nothing."""
        low = torch.from_numpy(rounded_down(window.low)).to(self.device)
        for part in self.parts():
            some = part[::every]
            near = torch.nonzero(some.corners.amax(1) >= low[some.unit])[:, 0]
            for rows in near.split(AT_ONCE):
                yield OnDevice(some.unit[rows], some.film[rows], some.cell[rows], some.corners[rows])

    @cached_property
    def _picture(self) -> Tensor:
        return torch.from_numpy(self.picture).to(self.device)

    def _pixels(self, corners: Tensor) -> Tensor:
        return corners.double() @ torch.from_numpy(WEIGHTS).to(self.device)


def tally_on(
    parts: Iterable[OnDevice],
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
    for some in (part[start : start + AT_ONCE] for part in parts for start in range(0, len(part), AT_ONCE)):
        fires = (some.corners.double() @ weights > level[some.unit, None]) & picture[some.cell]
        key = of[some.film] * units + some.unit
        area.index_add_(0, key, fires.sum(1))
        place = row[some.film * masks.cells + some.cell]
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


def _bins(values: Tensor, low: Tensor, high: Tensor, bins: int) -> Tensor:
    """`Window.bin` in the same order of operations."""
    width = high - low
    scale = torch.where(width > 0, bins / width, torch.zeros_like(width))
    return torch.clamp((values - low) * scale, max=bins - 1).long()
