"""The cell algorithm equals brute force: pixels, thresholds, counts."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.dissection import brute_counts, brute_threshold, upsampled
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.dissection.cells import Cells, cells_above, inside, mask_words, pack, pixels, to_cells, unpack
from xrayinterp.dissection.masks import Masks
from xrayinterp.dissection.regions import find_regions
from xrayinterp.dissection.tally import tally
from xrayinterp.dissection.thresholds import Definition, exceeding

KINDS = ("noise", "rectified", "ties", "constant", "zero", "negative", "spike", "sparse", "steps")


def adversarial(kind: str, seed: int, films: int, h: int, w: int) -> np.ndarray:
    """Maps (films, h, w) float32 of one unit, made to trip a careless implementation."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((films, h, w)).astype(np.float32)
    if kind == "rectified":
        return np.maximum(noise, 0)
    if kind == "ties":
        return np.round(noise)
    if kind == "constant":
        return np.full_like(noise, 0.3)
    if kind == "zero":
        return np.zeros_like(noise)
    if kind == "negative":
        return -np.abs(noise) - 1
    if kind == "spike":
        noise[:] = 0
        noise[0, 0, 0] = 1e6
    if kind == "sparse":
        noise = np.where(rng.random(noise.shape) < 0.01, np.abs(noise), 0).astype(np.float32)
    if kind == "steps":
        noise = (np.cumsum(noise > 1, axis=2) / 8).astype(np.float32)
    return noise


@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=120, deadline=None)
def test_thresholds_and_counts_equal_brute_force(kind: str, seed: int, films: int, h: int, w: int) -> None:
    maps = np.stack([adversarial(kind, seed, films, h, w), adversarial("rectified", seed + 1, films, h, w)], axis=1)
    masks = np.random.default_rng(seed).random((films, 3, 8 * h, 8 * w)) < 0.2
    masks[:, 2] = False
    for definition in Definition:
        regions = find_regions(maps, definition)
        for unit in range(2):
            values = upsampled(maps[:, unit : unit + 1]) if definition is Definition.KHAKZAR2021 else maps[:, unit]
            assert regions.thresholds[unit] == brute_threshold(values)
        inter, area = brute_counts(maps, regions.thresholds, masks)
        counted = tally(regions, Masks.of(mask_words(masks.swapaxes(0, 1))), [f"{n:03}" for n in range(films)])
        assert np.array_equal(counted.inter, inter)
        assert np.array_equal(counted.area, area)
        assert np.array_equal(counted.cover, masks.sum((-1, -2)))
        assert np.array_equal(regions.areas(), area.sum(0))
        if definition is Definition.KHAKZAR2021:
            assert (regions.areas() <= exceeding(films * 64 * h * w)).all()


def all_cells(maps: np.ndarray) -> Cells:
    """Every cell of one unit's maps (N, h, w), film after film."""
    return cells_above(maps[:, None], np.array([-np.inf]), np.arange(len(maps), dtype=np.int32))


def test_pixels_equal_torch_exactly() -> None:
    maps = np.random.default_rng(0).standard_normal((5, 7, 7)).astype(np.float32)
    ours = pixels(all_cells(maps).corners).reshape(5, 64, 64)
    theirs = to_cells(upsampled(maps[:, None])[:, 0])
    on_picture = np.broadcast_to(inside(7, 7), ours.shape)
    assert np.array_equal(ours[on_picture], theirs[on_picture])


def test_constant_map_stays_constant_up_to_the_corner() -> None:
    cells = all_cells(np.ones((1, 7, 7), dtype=np.float32))
    assert np.array_equal(pixels(cells.corners), np.ones((64, 64)))


def test_linear_ramp_is_reproduced_inside() -> None:
    ramp = np.broadcast_to(np.arange(7, dtype=np.float32), (1, 7, 7))
    row = pixels(all_cells(ramp)[24:32].corners).reshape(8, 8, 8)[:, 0].ravel()
    expected = (np.arange(-4, 60) + 0.5) / 8 - 0.5
    assert np.allclose(row[8:-8], expected[8:-8], atol=1e-12, rtol=0)


def test_share_above_the_threshold_is_one_per_cent() -> None:
    maps = np.abs(np.random.default_rng(1).standard_normal((40, 3, 7, 7))).astype(np.float32)
    regions = find_regions(maps, Definition.KHAKZAR2021)
    allowed = exceeding(40 * 56 * 56)
    assert allowed == 1254
    # the sixteen pixels of a clamped corner are equal, so a threshold among them leaves out at most that many
    assert (regions.areas() <= allowed).all() and (regions.areas() > allowed - 16).all()


@pytest.mark.parametrize("definition", list(Definition))
def test_silent_unit_has_no_region(definition: Definition) -> None:
    maps = np.zeros((4, 1, 7, 7), dtype=np.float32)
    regions = find_regions(maps, definition)
    assert regions.thresholds.tolist() == [0.0] and regions.areas().tolist() == [0] and len(regions.words) == 0


def test_few_cells_are_evaluated_whatever_the_data() -> None:
    maps = np.random.default_rng(2).standard_normal((60, 1, 14, 14)).astype(np.float32)
    level = find_regions(maps, Definition.BAU2017).thresholds
    touched = len(cells_above(maps, level, np.arange(60, dtype=np.int32)))
    assert touched <= 4 * (exceeding(maps.size) + 4 * 60) and touched < 0.08 * 60 * 15 * 15


@given(st.integers(0, 2**64 - 1))
def test_words_unpack_to_what_was_packed(word: int) -> None:
    words = np.array([word], dtype=np.uint64)
    assert pack(unpack(words))[0] == words[0]


def test_fine_maps_with_far_apart_values_keep_their_order() -> None:
    maps = np.zeros((3, 1, 5, 5), dtype=np.float32)
    maps[0, 0, 2, 2], maps[1, 0, 1, 1] = 3e30, 1e-30
    regions = find_regions(maps, Definition.KHAKZAR2021)
    assert regions.thresholds[0] >= 0 and 0 < regions.areas()[0] <= exceeding(3 * 1600)
