"""Pointing, energy and IoU at matched area against closed forms, and what luck is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.concepts.probes import ProbeFilm, load_probe_set
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.localisation import (
    TOLERANCE,
    energy_inside,
    iou_at_area,
    localise,
    outlines,
    pointing,
)

MASK = np.zeros((32, 32), dtype=bool)
MASK[8:16, 4:12] = True


def test_perfect_map_scores_one_everywhere() -> None:
    found = localise(MASK.astype(np.float32), MASK)
    assert (found.pointing, found.energy, found.iou) == (1.0, 1.0, 1.0)


def test_constant_map_scores_luck() -> None:
    found = localise(np.full((32, 32), 0.5, dtype=np.float32), MASK, tolerance=0)
    area = MASK.mean()
    assert found.pointing == pytest.approx(area)
    assert found.energy == pytest.approx(area)
    inside = MASK.sum() * area
    assert found.iou == pytest.approx(inside / (2 * MASK.sum() - inside))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_map_without_evidence_scores_as_a_constant_one(value: float) -> None:
    nothing, constant = np.full((32, 32), value), np.ones((32, 32))
    assert localise(nothing, MASK) == localise(constant, MASK)


def test_constant_map_equals_the_mean_over_random_maps() -> None:
    rng = np.random.default_rng(0)
    drawn = [localise(rng.random((32, 32)), MASK) for _ in range(400)]
    luck = localise(np.ones((32, 32)), MASK)
    assert np.mean([d.pointing for d in drawn]) == pytest.approx(luck.pointing, abs=0.04)
    assert np.mean([d.energy for d in drawn]) == pytest.approx(luck.energy, abs=0.005)
    assert np.mean([d.iou for d in drawn]) == pytest.approx(luck.iou, abs=0.005)


def test_tolerance_reaches_exactly_as_far_as_it_says() -> None:
    reach = round(TOLERANCE * 32)  # one pixel
    for distance, hit in ((reach, 1.0), (reach + 1, 0.0)):
        values = np.zeros((32, 32))
        values[8, 11 + distance] = 1.0
        assert pointing(values, MASK) == hit


def test_negative_values_are_no_energy() -> None:
    values = np.where(MASK, -5.0, 0.0)
    values[8, 4], values[30, 30] = 1.0, 3.0
    assert energy_inside(values, MASK) == pytest.approx(0.25)


def test_iou_by_hand() -> None:
    values = np.zeros((32, 32))
    values[8:16, 8:16] = np.arange(64).reshape(8, 8) + 1.0  # half of it lies in the outline
    assert iou_at_area(values, MASK) == pytest.approx(32 / 96)


@given(st.integers(0, 2**31), st.integers(1, 99))
def test_measures_are_shares_and_blind_to_scale(seed: int, area: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(10, 10)).round(1)
    mask = np.zeros(100, dtype=bool)
    mask[rng.permutation(100)[:area]] = True
    mask = mask.reshape(10, 10)
    found, scaled = localise(values, mask), localise(values * 7, mask)
    assert vars(found) == pytest.approx(vars(scaled))
    assert all(0 <= value <= 1 for value in vars(found).values())


@pytest.mark.parametrize(
    ("values", "mask"),
    [
        (np.ones((8, 8)), np.ones((4, 4), dtype=bool)),
        (np.ones((8, 8)), np.zeros((8, 8), dtype=bool)),
        (np.full((8, 8), np.nan), np.ones((8, 8), dtype=bool)),
    ],
)
def test_what_cannot_be_compared_is_refused(values: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(XrayInterpError) as refused:
        localise(values, mask)
    assert refused.value.code is Code.BAD_OPTION


class _Picture:
    def pixels(self) -> np.ndarray:
        return np.zeros((32, 32), dtype=np.float32)

    def masks(self, names: tuple[str, ...], /) -> np.ndarray:
        return np.stack([MASK if name == "Pleural Thickening" else np.zeros_like(MASK) for name in names])


def test_concepts_are_found_under_the_models_spelling() -> None:
    film = ProbeFilm("f", "p", "val", "made", frozenset({"Pleural Thickening", "Effusion"}), _Picture())
    found = outlines(film, ("Pleural_Thickening", "effusion", "Hernia"), 32)
    assert list(found) == ["Pleural_Thickening", "effusion"]
    assert (found["Pleural_Thickening"] == MASK).all()
    assert not found["effusion"].any()
    assert outlines(film, ("Hernia",), 32) == {}


@pytest.mark.data
def test_real_outlines_score_one_against_themselves(data_root: Path) -> None:
    probes = load_probe_set("chestx-det", root=data_root, splits=["val"], limit=8)
    masks = [m for film in probes.films for m in outlines(film, ("Effusion", "Cardiomegaly"), 64).values() if m.any()]
    assert masks
    for mask in masks:
        found = localise(mask.astype(np.float32), mask)
        assert (found.pointing, found.energy, found.iou) == (1.0, 1.0, 1.0)
