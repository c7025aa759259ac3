"""IoU, ceiling, merging, intervals and cross-fit against figures worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.dissection.cells import mask_words
from xrayinterp.dissection.masks import Masks
from xrayinterp.dissection.regions import find_regions
from xrayinterp.dissection.statistics import bootstrap, ceiling, cross_fit, iou
from xrayinterp.dissection.tally import Tally, merge, tally
from xrayinterp.dissection.thresholds import Definition
from xrayinterp.errors import Code, XrayInterpError


def counts(inter: np.ndarray, area: np.ndarray, cover: np.ndarray) -> Tally:
    """A tally with one film a patient."""
    n = len(inter)
    names = tuple(f"{i:03}" for i in range(n))
    return Tally(names, inter, area, cover, (cover > 0).astype(np.int64), np.ones(n, dtype=np.int64), 3136)


def random_counts(seed: int, patients: int = 30, units: int = 4, concepts: int = 3) -> Tally:
    rng = np.random.default_rng(seed)
    area = rng.integers(0, 60, (patients, units))
    cover = rng.integers(0, 200, (patients, concepts)) * rng.integers(0, 2, (patients, concepts))
    inter = (rng.random((patients, units, concepts)) * np.minimum(area[:, :, None], cover[:, None])).astype(np.int64)
    return counts(inter, area, cover)


def test_iou_by_hand() -> None:
    # two films of 10 x 10: region 2 pixels, masks 3 and 10 pixels, 1 and 2 of them met
    found = iou(np.array([[1, 2]]), np.array([2]), np.array([3, 10]))
    assert found.tolist() == [[1 / 4, 2 / 10]]


def test_iou_is_never_nan() -> None:
    found = iou(np.zeros((2, 2)), np.array([0, 5]), np.array([0, 7]))
    assert found.tolist() == [[0, 0], [0, 0]]
    assert ceiling(np.array([0, 5]), np.array([0, 7])).tolist() == [[0, 0], [0, 5 / 7]]


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_ceiling_is_reached_by_nested_sets_and_never_passed(area: int, cover: int) -> None:
    nested = iou(np.array([[min(area, cover)]]), np.array([area]), np.array([cover]))
    assert nested == ceiling(np.array([area]), np.array([cover]))
    partly = iou(np.array([[min(area, cover) // 2]]), np.array([area]), np.array([cover]))
    assert partly <= nested


@pytest.mark.parametrize(("coverage", "detectable"), [(0.0003, False), (0.0005, True), (0.24, True), (0.26, False)])
def test_one_per_cent_regions_detect_only_concepts_of_middling_size(coverage: float, detectable: bool) -> None:
    million = 10**6
    highest = ceiling(np.array([million // 100]), np.array([int(coverage * million)]))
    assert bool(highest[0, 0] > 0.04) is detectable


def test_planted_nested_region_reaches_its_ceiling() -> None:
    rng = np.random.default_rng(0)
    maps = np.zeros((20, 1, 7, 7), dtype=np.float32)
    maps[np.arange(20), 0, rng.integers(1, 6, 20), rng.integers(1, 6, 20)] = rng.uniform(1, 2, 20)
    regions = find_regions(maps, Definition.KHAKZAR2021)
    masks = np.zeros((1, 20, 56, 56), dtype=bool)
    for n in range(20):
        y, x = np.argwhere(maps[n, 0] > 0)[0]
        masks[0, n, 8 * y - 8 : 8 * y + 16, 8 * x - 8 : 8 * x + 16] = True
    total = tally(regions, Masks.of(mask_words(masks)), ["p"] * 20).total()
    assert iou(*total)[0, 0] == ceiling(total[1], total[2])[0, 0] == total[1][0] / total[2][0] > 0.04


@given(st.integers(0, 10**6), st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_shards_in_any_order_give_equal_bytes(seed: int, shards: int) -> None:
    rng = np.random.default_rng(seed)
    films = 14
    maps = np.maximum(rng.standard_normal((films, 2, 4, 4)), 0).astype(np.float32)
    masks = rng.random((3, films, 32, 32)) < 0.1
    patients = [f"p{n}" for n in rng.integers(0, 5, films)]
    regions = find_regions(maps, Definition.KHAKZAR2021)
    whole = tally(regions, Masks.of(mask_words(masks)), patients)
    of = rng.integers(0, shards, films)
    parts = []
    for shard in range(shards):
        kept = np.flatnonzero(of == shard)
        if len(kept):
            mine = np.isin(regions.film, kept)
            part = type(regions)(
                regions.thresholds,
                regions.grid,
                regions.unit[mine],
                np.searchsorted(kept, regions.film[mine]).astype(np.int32),
                regions.cell[mine],
                regions.words[mine],
            )
            parts.append(tally(part, Masks.of(mask_words(masks[:, kept])), [patients[n] for n in kept]))
    for order in itertools.islice(itertools.permutations(parts), 4):
        merged = order[0]
        for part in order[1:]:
            merged = merge(merged, part)
        assert merged.patients == whole.patients
        for name in ("inter", "area", "cover", "shown", "films"):
            assert getattr(merged, name).tobytes() == getattr(whole, name).tobytes()


def test_tallies_of_different_concepts_do_not_merge() -> None:
    with pytest.raises(XrayInterpError) as caught:
        merge(random_counts(0, concepts=3), random_counts(0, concepts=2))
    assert caught.value.code is Code.BAD_OPTION


def test_bootstrap_is_seeded_and_holds_the_estimate() -> None:
    table = random_counts(1)
    first = np.zeros(4, dtype=np.int64)
    a, b = bootstrap(table, first, 400, 7), bootstrap(table, first, 400, 7)
    assert a.low.tobytes() == b.low.tobytes() and a.high.tobytes() == b.high.tobytes()
    value = iou(*table.total())
    assert ((a.low <= value) & (value <= a.high)).all()
    assert (a.gap_low[:, 0] == 0).all()


def test_bootstrap_resamples_patients_not_films() -> None:
    one = random_counts(2, patients=10)
    doubled = counts(*(np.repeat(x, 2, axis=0) for x in (one.inter, one.area, one.cover)))
    by_patient = Tally(one.patients, 2 * one.inter, 2 * one.area, 2 * one.cover, one.shown, one.films, one.pixels)
    first = np.zeros(4, dtype=np.int64)
    as_films, as_patients = (bootstrap(x, first, 2000, 0) for x in (doubled, by_patient))
    assert np.allclose(as_patients.low, bootstrap(one, first, 2000, 0).low)
    assert (as_patients.high - as_patients.low).mean() > 1.2 * (as_films.high - as_films.low).mean()


def test_cross_fit_measures_each_choice_on_the_other_half() -> None:
    table = random_counts(3, patients=8)
    order = np.random.default_rng(5).permutation(8)
    half = np.isin(np.arange(8), order[:4])
    a, b = iou(*table.total(half)), iou(*table.total(~half))
    expected = [(b[u, a[u].argmax()] + a[u, b[u].argmax()]) / 2 for u in range(4)]
    found = cross_fit(table, np.zeros((4, 3)), 5)
    assert np.allclose(found.iou, expected)
    assert found.agrees.tolist() == [a[u].argmax() == b[u].argmax() for u in range(4)]


def test_cross_fit_of_noise_is_below_the_best_iou() -> None:
    table = random_counts(4, patients=40, units=50, concepts=8)
    found = cross_fit(table, np.zeros((50, 8)), 0)
    assert found.iou.mean() < iou(*table.total()).max(1).mean()
