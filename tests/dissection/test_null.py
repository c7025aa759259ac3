"""Chance: permutations keep what they must keep, noise gives few labels, and truth stands out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.dissection.cells import mask_words, unpack
from xrayinterp.dissection.labels import chance_detectors, label, score
from xrayinterp.dissection.masks import Masks
from xrayinterp.dissection.null import (
    meetings,
    meetings_among_positives,
    reassign,
    reassignments,
    reassignments_among_positives,
)
from xrayinterp.dissection.regions import Regions, find_regions
from xrayinterp.dissection.statistics import Bootstrap, bootstrap, iou
from xrayinterp.dissection.tally import tally
from xrayinterp.dissection.thresholds import Definition
from xrayinterp.errors import XrayInterpError

FILMS, GRID = 48, 5


def noise(seed: int, units: int = 40) -> tuple[Regions, np.ndarray, list[str]]:
    """Regions and masks of independent noise, two films a patient; a patient's films are alike."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.standard_normal((FILMS // 2, units, GRID, GRID)), 2, axis=0)
    maps = np.maximum(shared + 0.3 * rng.standard_normal(shared.shape), 0).astype(np.float32)
    masks = np.zeros((4, FILMS, 8 * GRID, 8 * GRID), dtype=bool)
    for c in range(4):
        for patient in range(FILMS // 2):
            if rng.random() < 0.5:
                y, x = rng.integers(0, 8 * GRID - 10, 2)
                masks[c, 2 * patient : 2 * patient + 2, y : y + 10, x : x + 10] = True
    return find_regions(maps, Definition.KHAKZAR2021), masks, [f"p{n // 2}" for n in range(FILMS)]


def permuted_iou(regions: Regions, masks: Masks, patients: list[str], n: int, seed: int) -> np.ndarray:
    """IoU of every unit and concept under n reassignments, (n, U, C)."""
    met = meetings(regions, masks, reassignments(patients, n, seed), lambda: None)
    return iou(met, regions.areas(), masks.covered().sum(0))


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.integers(0, 10**6))
def test_reassignment_is_a_permutation_that_leaves_nobody_their_own(patients: list[int], seed: int) -> None:
    group = np.array(patients)
    rng = np.random.default_rng(seed)
    if 2 * np.bincount(group).max() > len(group):
        with pytest.raises(XrayInterpError, match="more than half"):
            reassign(group, rng)
        return
    donors = reassign(group, rng)
    assert sorted(donors.tolist()) == list(range(len(group)))
    assert (group[donors] != group).all()


def test_films_of_a_patient_go_together() -> None:
    group = np.repeat(np.arange(30), 4)
    donors = group[reassign(group, np.random.default_rng(0))].reshape(30, 4)
    together = sum(len(set(row)) == 1 for row in donors.tolist())
    assert together >= 25


def test_permuted_iou_equals_brute_force() -> None:
    regions, masks, patients = noise(1, units=3)
    words = mask_words(masks)
    found = permuted_iou(regions, Masks.of(words), patients, 3, 9)
    fires = np.zeros((3, FILMS, regions.cells, 64), dtype=bool)
    fires[regions.unit, regions.film, regions.cell] = unpack(regions.words)
    wide = unpack(words)
    rng = np.random.default_rng(9)
    group = np.unique(patients, return_inverse=True)[1]
    for draw in range(3):
        donors = reassign(group, rng)
        inter = (fires[:, None] & wide[None][:, :, donors]).sum((2, 3, 4))
        assert np.array_equal(found[draw], iou(inter, fires.sum((1, 2, 3)), wide.sum((1, 2, 3))))


def test_positives_only_permutes_within_the_films_of_a_concept() -> None:
    regions, masks, patients = noise(2, units=5)
    masks[0] = False
    masks[0, :2] = True  # one patient only: cannot be reassigned
    masks[1] = True  # everywhere: whoever gives, nothing changes
    kept = Masks.of(mask_words(masks))
    inter, _, _ = tally(regions, kept, patients).total()
    donors = reassignments_among_positives(patients, kept.covered() > 0, 4, 0)
    assert 0 not in donors
    found = meetings_among_positives(regions, kept, donors, lambda: None)
    assert (found[:, :, 0] == -1).all()
    assert np.array_equal(found[:, :, 1], np.broadcast_to(inter[:, 1], (4, 5)))


def test_noise_is_seldom_labelled() -> None:
    p_values, labelled = [], []
    for seed in range(12):
        regions, masks, patients = noise(seed)
        kept = Masks.of(mask_words(masks))
        counts = tally(regions, kept, patients)
        observed = iou(*counts.total())
        permuted = permuted_iou(regions, kept, patients, 60, seed)
        scores = score(observed, permuted, np.zeros(4, dtype=bool))
        boot = bootstrap(counts, scores.best, 100, seed)
        labelled.append(label(observed, scores, boot, regions.thresholds).any(1))
        p_values.append(scores.null_p)
    share = float((np.concatenate(p_values) <= 0.05).mean())
    assert 0.02 <= share <= 0.08, share
    assert float(np.mean(labelled)) <= share
    assert 0.4 < float(np.concatenate(p_values).mean()) < 0.6


def test_p_value_by_hand_and_never_zero() -> None:
    observed = np.array([[0.30, 0.10], [0.05, 0.02]])
    permuted = np.zeros((19, 2, 2))
    permuted[:3, 1, 1] = 0.06
    permuted[5, 1, 0] = 0.05
    scores = score(observed, permuted, np.zeros(2, dtype=bool))
    assert scores.best.tolist() == [0, 0]
    assert scores.null_p.tolist() == [1 / 20, 5 / 20]
    assert scores.family_p.tolist() == [1 / 20, 5 / 20]
    assert scores.null_high.tolist() == [[0, 0], [0.06, 0.06]]


def test_passing_the_level_is_the_same_as_passing_by_p() -> None:
    rng = np.random.default_rng(0)
    observed, permuted = rng.random((300, 3)), rng.random((100, 300, 3))
    scores = score(observed, permuted, np.zeros(3, dtype=bool))
    units = np.arange(300)
    passes = observed[units, scores.best] > scores.null_high[units, scores.best]
    assert np.array_equal(passes, scores.null_p <= 0.05)


def test_anatomy_counts_only_what_other_films_masks_do_not_explain() -> None:
    observed = np.array([[0.40, 0.10], [0.40, 0.10]])
    noise_around_it = np.random.default_rng(0).normal(0, 0.004, (99, 2, 2))
    permuted = noise_around_it + np.array([[0.39, 0.0], [0.20, 0.0]])
    plain = score(observed, permuted, np.array([False, False]))
    judged = score(observed, permuted, np.array([True, False]))
    assert plain.best.tolist() == [0, 0]
    assert judged.best.tolist() == [1, 0]
    assert (judged.null_high[:, 0] > 0.19).all() and (judged.null_p <= 0.05).all()


def test_joint_label_where_patients_cannot_tell_two_concepts_apart() -> None:
    observed = np.array([[0.20, 0.19, 0.15], [0.20, 0.19, 0.03], [0.03, 0.02, 0.01], [0.2, 0.1, 0.1]])
    permuted = np.full((19, 4, 3), 0.01)
    gap = np.array([[0, -0.02, 0.01], [0, 0.004, -0.1], [0, 0, 0], [0, -1, -1]])
    boot = Bootstrap(observed, observed, gap)
    found = label(observed, score(observed, permuted, np.zeros(3, dtype=bool)), boot, np.array([1.0, 1.0, 1.0, 0.0]))
    assert found.tolist() == [[True, True, False], [True, False, False], [False] * 3, [False] * 3]


def test_chance_detectors_by_hand() -> None:
    permuted = np.zeros((2, 3, 2))
    permuted[0, 0], permuted[0, 1], permuted[1, 2] = (0.05, 0.06), (0.07, 0.0), (0.04, 0.0)
    found = chance_detectors(permuted)
    assert (found.mean, found.highest, found.by_concept.tolist()) == (1.0, 2, [0.5, 0.5])
