"""One shard's films: read once, their strongest cells and their masks kept on disk, then counted as often as asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..concepts.probes import mask_grids
from ..models.chest_model import Layer
from ..paths import whole_file
from .cells import FACTOR, Cells, Words, cells_above, inside, mask_words
from .device import RESIDENT, DeviceStream, OnDevice, cells_above_on, floor_on
from .masks import Masks
from .plan import ConceptSet, Numbers, Plan
from .thresholds import TAIL, Definition, Listed, Source, Stream

PILOT = 48
"""Films from which a shard guesses below which level no threshold will lie."""
KEPT = 3 * TAIL
"""Share of the pilot's pixels above that level; a threshold that lies lower after all costs a second forward."""
COARSE = 10
"""Maps of a smaller side keep twice that share: they have few cells, and their tails rest on few films."""

Floats = npt.NDArray[np.float64]
Tick = Callable[[int], None]
Placed = tuple[npt.NDArray[np.int64], Words]
"""Words (K, concepts) of masks, and the place (K,) of each: number of the film * cells + cell."""


@dataclass(frozen=True)
class Again:
    """A later reading of a layer, keeping all above `floor` (units,)."""

    layer: str
    generation: int
    floor: Floats


@dataclass(frozen=True)
class Shard:
    """Films `numbers` of a plan and what is kept of them."""

    plan: Plan
    number: int

    @cached_property
    def numbers(self) -> Numbers:
        """Numbers of the films in the plan."""
        return self.plan.of(self.number)

    @property
    def folder(self) -> Path:
        """Where the shard's files lie."""
        return self.plan.place(self.number)

    def read(self, tick: Tick, again: Again | None = None) -> None:
        """Run the model over the films and keep what thresholds, counts and chance are made of; not twice.

        Args:
            again: a second reading of one layer; None reads all, and the masks.
        """
        done = self._note(again.layer if again else "", again.generation if again else 0)
        if done.is_file():
            tick(len(self.numbers))
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        chosen = [(name, layer) for name, layer in self.plan.layers if again is None or name == again.layer]
        keepers = [
            _Keeper(self, name, layer, again.generation if again else 0, again.floor if again else None)
            for name, layer in chosen
        ]
        films = [self.plan.films[i] for i in self.numbers]
        masks: list[dict[str, Placed]] = []
        with ThreadPoolExecutor(1, thread_name_prefix="xrayinterp-cells") as pool:
            last: Future[None] | None = None
            for part, maps, words in self.plan.reader.batches(
                films, [layer for _, layer in chosen], _no_masks if again else self._mask_words
            ):
                if last is not None:
                    last.result()
                last = pool.submit(_keep, keepers, part, maps)
                masks.append(words)
                tick(len(part))
            if last is not None:
                last.result()
        told: dict[str, Any] = {}
        for keeper in keepers:
            told |= keeper.close()
        if again is None:
            told |= _joined(masks)
        save_arrays(done, told)

    def about(self, layer: str, generation: int) -> tuple[Floats, Floats]:
        """The level above which cells are kept and the largest value, (units,) each."""
        note = self._note(layer, generation)
        return load_array(note, f"{layer}/floor"), load_array(note, f"{layer}/top")

    def _note(self, layer: str, generation: int) -> Path:
        """The file that a reading ends with: all layers' first, or one layer's later one."""
        return self.folder / (f"{layer}.{generation}.npz" if generation else "read.npz")

    def pooled(self, layer: str) -> Floats:
        """Means over positions of every film's maps, (films, units)."""
        return load_array(self._note("", 0), f"{layer}/pooled")

    def members(self, which: ConceptSet) -> tuple[Numbers, Numbers]:
        """The shard's films that belong to a concept set: their places in the shard, and in the set."""
        order = np.argsort(which.members)
        at = np.searchsorted(which.members, self.numbers, sorter=order)
        place = order[np.minimum(at, len(order) - 1)]
        own = np.flatnonzero(which.members[place] == self.numbers)
        return own, place[own]

    def masks(self, which: ConceptSet, grid: int) -> Masks:
        """Masks of the shard's films of a concept set on the grid of a layer."""
        key = f"{which.name}/{grid}"
        own, _ = self.members(which)
        place, words = (load_array(self._note("", 0), f"{key}/{part}") for part in ("place", "words"))
        return Masks.listed(place, words, len(own), (grid + 1) ** 2)

    def cells(self, which: ConceptSet, layer: str, generation: int) -> Iterable[Cells]:
        """The kept cells of a layer on the shard's films of a concept set, those films numbered from 0."""
        return _Stored(self.folder / f"{layer}.{generation}.cells", self._renumbered(which))

    def cells_on(self, device: torch.device, which: ConceptSet, layer: str, generation: int) -> Iterable[OnDevice]:
        """The same cells on a device, where they stay for the next pass if there is room."""
        key = (str(self.folder), self.plan.fingerprint, which.name, layer, generation)
        return RESIDENT.parts(key, self.cells(which, layer, generation), device)

    def source(self, which: ConceptSet, layer: str, generation: int) -> Source:
        """The pixels, or the native values, that a threshold is a quantile of."""
        grid = dict(self.plan.layers)[layer].grid
        if self.plan.definition is Definition.BAU2017:
            return Listed(_StoredValues(self.folder / f"{layer}.{generation}.values", self._renumbered(which)))
        picture, device = inside(grid, grid), self.plan.accelerator
        if device is None:
            return Stream(self.cells(which, layer, generation), picture)
        return DeviceStream(lambda: self.cells_on(device, which, layer, generation), picture, device)

    def _renumbered(self, which: ConceptSet) -> npt.NDArray[np.int32]:
        own, _ = self.members(which)
        out = np.full(len(self.numbers), -1, dtype=np.int32)
        out[own] = np.arange(len(own))
        return out

    def _mask_words(self, part: list[int]) -> dict[str, Placed]:
        """Where the masks of some of the shard's films are, by set and grid."""
        out = {}
        grids = sorted({layer.grid for _, layer in self.plan.layers})
        for which in self.plan.sets:
            own = self._renumbered(which)
            chosen = [i for i in part if own[i] >= 0]
            read = [self._words_of(self.plan.films[self.numbers[i]].masks(which.concepts), grids) for i in chosen]
            for k, grid in enumerate(grids):
                none = np.empty((0, (grid + 1) ** 2, len(which.concepts)), dtype=np.uint64)
                table = np.stack([words[k].T for words in read]) if read else none
                film, cell = np.nonzero(table.any(2))
                place = own[chosen].astype(np.int64)[film] * table.shape[1] + cell
                out[f"{which.name}/{grid}"] = place, table[film, cell]
        return out

    def _words_of(self, masks: npt.NDArray[np.bool_], grids: list[int]) -> list[Words]:
        """Words (concepts, cells) of a film's masks (concepts, H, W) on each grid; most concepts are on few films."""
        out = [np.zeros((len(masks), (grid + 1) ** 2), dtype=np.uint64) for grid in grids]
        there = np.flatnonzero(masks.any((1, 2)))
        if len(there) > 0:
            drawn = mask_grids(masks[there], self.plan.reader.fit, [FACTOR * grid for grid in grids])
            for words, picture in zip(out, drawn, strict=True):
                words[there] = mask_words(picture)
        return out


@dataclass
class _Keeper:
    """Writes a layer's cells above a floor to disk, film by film; the floor is guessed from the first films."""

    shard: Shard
    name: str
    layer: Layer
    generation: int
    floor: Floats | None
    _waiting: list[tuple[list[int], Tensor]] = field(default_factory=list)
    _files: dict[str, IO[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        films, units = len(self.shard.numbers), self.layer.units
        self._pooled = np.empty((films, units))
        self._top = np.full(units, -np.inf)

    def add(self, part: list[int], maps: Tensor) -> None:
        """Keep the maps (n, units, h, w) of the shard's films `part`."""
        self._pooled[part] = (maps.sum(3).sum(2, dtype=torch.float64) / maps[0, 0].numel()).cpu().numpy()
        self._top = np.maximum(self._top, maps.amax((0, 2, 3)).double().cpu().numpy())
        self._waiting.append((part, maps))
        if self.floor is None and sum(len(p) for p, _ in self._waiting) >= PILOT:
            self.floor = self._guessed()
        if self.floor is not None:
            self._write(self.floor)

    def close(self) -> dict[str, npt.NDArray[Any]]:
        """What is told of the layer beside its cells."""
        if self.floor is None:
            self.floor = self._guessed()
        self._write(self.floor)
        for file in self._files.values():
            file.close()
        told = {"floor": self.floor, "top": self._top, "pooled": self._pooled}
        return {f"{self.name}/{key}": value for key, value in told.items()}

    def _guessed(self) -> Floats:
        share = KEPT if self.layer.grid >= COARSE else 2 * KEPT
        return floor_on([maps for _, maps in self._waiting], share)

    def _write(self, floor: Floats) -> None:
        for part, maps in self._waiting:
            films = np.array(part, dtype=np.int32)
            above = cells_above_on(maps, floor, films) if maps.is_cuda else cells_above(_array(maps), floor, films)
            small = above.unit.astype(np.uint16), above.film, above.cell.astype(np.uint16)
            _append(self._file("cells"), *small, above.corners)
            if self.shard.plan.definition is Definition.BAU2017:
                values = _array(maps)
                film, unit, *at = np.nonzero(values > floor[:, None, None])
                _append(self._file("values"), unit.astype(np.uint16), films[film], values[(film, unit, *at)])
        self._waiting.clear()

    def _file(self, kind: str) -> IO[bytes]:
        if kind not in self._files:
            path = self.shard.folder / f"{self.name}.{self.generation}.{kind}"
            self._files[kind] = path.open("wb")
        return self._files[kind]


def _no_masks(part: list[int]) -> dict[str, Placed]:
    return {}


def _joined(masks: Sequence[dict[str, Placed]]) -> dict[str, npt.NDArray[Any]]:
    out: dict[str, npt.NDArray[Any]] = {}
    for key in masks[0]:
        places, words = zip(*(part[key] for part in masks), strict=True)
        out[f"{key}/place"], out[f"{key}/words"] = np.concatenate(places), np.concatenate(words)
    return out


def _keep(keepers: list[_Keeper], part: list[int], maps: list[Tensor]) -> None:
    for keeper, read in zip(keepers, maps, strict=True):
        keeper.add(part, read)


@dataclass(frozen=True)
class _Stored:
    """Cells in a file, read from start to end each time, of the films that `number` (films,) does not call -1."""

    path: Path
    number: npt.NDArray[np.int32]

    def __iter__(self) -> Iterator[Cells]:
        for unit, film, cell, corners in _records(self.path, 4):
            own = self.number[film]
            cells = Cells(unit.astype(np.int32), own, cell.astype(np.int32), corners)
            yield cells if (own >= 0).all() else cells[own >= 0]


@dataclass(frozen=True)
class _StoredValues:
    """Native values in a file with their units, of the films that `number` does not call -1."""

    path: Path
    number: npt.NDArray[np.int32]

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]]:
        for unit, film, values in _records(self.path, 3):
            own = self.number[film] >= 0
            yield unit[own].astype(np.int32), values[own]


def _array(maps: Tensor) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = maps.contiguous().cpu().numpy()
    return values


def _append(file: IO[bytes], *columns: npt.NDArray[Any]) -> None:
    for column in columns:
        np.save(file, column, allow_pickle=False)


def _records(path: Path, columns: int) -> Iterator[list[npt.NDArray[Any]]]:
    size = path.stat().st_size if path.is_file() else 0
    if size == 0:
        return
    with path.open("rb") as file:
        while file.tell() < size:
            yield [np.load(file, allow_pickle=False) for _ in range(columns)]


def save_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write named arrays in one step: the file is whole or not there."""
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_array(path: Path, name: str) -> npt.NDArray[Any]:
    """One array of a file of `save_arrays`; the others are not read."""
    with np.load(path, allow_pickle=False) as stored:
        out: npt.NDArray[Any] = stored[name]
        return out
