"""The accelerator's way to count gives the processor's integers: on the processor, and on a GPU if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch

from xrayinterp.dissection.cells import Cells, cells_above, inside, mask_words
from xrayinterp.dissection.device import DeviceStream, OnDevice, Resident, cells_above_on, floor_on, tally_on
from xrayinterp.dissection.masks import Masks
from xrayinterp.dissection.regions import find_regions, regions_of
from xrayinterp.dissection.tally import tally
from xrayinterp.dissection.thresholds import Definition, Stream, Window, exceeding, search

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")),
]
FILMS, UNITS, GRID = 24, 6, 7


@pytest.fixture
def maps() -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((FILMS, UNITS, GRID, GRID)).astype(np.float32)
    maps = np.maximum(noise, 0)
    maps[:, 4] = 0
    maps[:, 5] = np.round(maps[:, 5])
    return maps


@pytest.fixture
def masks() -> Masks:
    drawn = np.random.default_rng(1).random((3, FILMS, 8 * GRID, 8 * GRID)) < 0.1
    drawn[1, ::2] = False
    return Masks.of(mask_words(drawn))


@pytest.mark.parametrize("device", DEVICES)
def test_cells_are_the_same(maps: np.ndarray, device: str) -> None:
    films, levels = np.arange(100, 100 + FILMS, dtype=np.int32), np.full(UNITS, 1.5)
    ours = cells_above_on(torch.from_numpy(maps).to(device), levels, films)
    theirs = cells_above(maps, levels, films)
    for name in ("unit", "film", "cell", "corners"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


@pytest.mark.parametrize("device", DEVICES)
def test_thresholds_and_censuses_are_the_same(maps: np.ndarray, device: str) -> None:
    cells = cells_above(maps, np.zeros(UNITS), np.arange(FILMS, dtype=np.int32))
    plain = Stream([cells], inside(GRID, GRID))
    there = [OnDevice.of(part, torch.device(device)) for part in (cells[:900], cells[900:])]
    moved = DeviceStream(lambda: there, inside(GRID, GRID), torch.device(device))
    window = Window(np.full(UNITS, 0.7), np.full(UNITS, 2.0), 50)
    for sampled in (True, False):
        assert np.array_equal(plain.census(window, sampled=sampled), moved.census(window, sampled=sampled))
    rank = exceeding(FILMS * 64 * GRID * GRID) + 1
    found = search(moved, rank, np.zeros(UNITS), maps.max((0, 2, 3)).astype(float), 1 / 16)[0]
    assert np.array_equal(found, find_regions(maps, Definition.KHAKZAR2021).thresholds)


def test_cells_stay_on_a_device_while_there_is_room(maps: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, here, read = cells_above(maps, np.zeros(UNITS), np.arange(FILMS, dtype=np.int32)), torch.device("cpu"), []

    def stored(name: str) -> Iterator[Cells]:
        read.append(name)
        yield cells[:900]
        yield cells[900:]

    size = OnDevice.of(cells, here).size
    resident = Resident()

    def room(_: torch.device) -> float:
        return 1.5 * size - sum(part.size for parts in resident._held.values() for part in parts)

    monkeypatch.setattr(resident, "_room", room)
    for name in "aabba":
        parts = list(resident.parts(name, stored(name), here))
        assert torch.equal(torch.cat([part.unit for part in parts]), torch.from_numpy(cells.unit).long())
    assert read == ["a", "b", "a"]  # one fits, two do not
    resident = Resident()
    monkeypatch.setattr(resident, "_room", lambda _: 0.9 * size)
    for _ in range(2):
        assert sum(map(len, resident.parts("c", stored("c"), here))) == len(cells)
    assert read[3:] == ["c", "c"]


@pytest.mark.parametrize("device", DEVICES)
def test_tallies_are_the_same(maps: np.ndarray, masks: Masks, device: str) -> None:
    levels = find_regions(maps, Definition.KHAKZAR2021).thresholds
    cells = cells_above(maps, levels, np.arange(FILMS, dtype=np.int32))
    patients = [f"p{n // 5}" for n in range(FILMS)]
    there = [OnDevice.of(cells, torch.device(device))]
    ours = tally_on(there, levels, (GRID, GRID), masks, patients, torch.device(device))
    theirs = tally(regions_of([cells], levels, (GRID, GRID)), masks, patients)
    assert ours.patients == theirs.patients and ours.pixels == theirs.pixels
    for name in ("inter", "area", "cover", "shown", "films"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


def test_the_floor_lies_below_the_threshold_and_not_far(maps: np.ndarray) -> None:
    floor = floor_on([torch.from_numpy(maps[:12]), torch.from_numpy(maps[12:])], Fraction(3, 100))
    levels = find_regions(maps, Definition.KHAKZAR2021).thresholds
    assert (floor <= levels).all() and floor[4] == 0
    assert (floor[:4] > 0.6 * levels[:4]).all()
