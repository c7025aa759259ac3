"""Intervals over patients, sign flips and Holm's rule, against hand calculation and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.evaluation.statistics import auroc_over_patients, holm, mean_interval, sign_flip_p


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])


def test_comparison_that_was_not_made_costs_nothing() -> None:
    assert holm(np.array([0.02, np.nan, 0.03])) == pytest.approx([0.04, np.nan, 0.04], nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_only_raises_and_keeps_the_order(p: list[float]) -> None:
    given_p, adjusted = np.array(p), holm(np.array(p))
    assert (adjusted >= given_p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(given_p, kind="stable")]) >= 0).all()
    assert adjusted.min() == pytest.approx(min(1.0, len(p) * given_p.min()))


def test_mean_of_one_value_a_patient_has_the_textbook_interval() -> None:
    values = np.random.default_rng(0).normal(size=400)
    found = mean_interval(values, [str(i) for i in range(400)])
    assert found is not None
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)


def test_interval_covers_the_truth_where_films_of_a_patient_agree() -> None:
    rng = np.random.default_rng(1)
    patients = [str(i) for i in range(40) for _ in range(5)]
    as_if_films_were_patients = [str(i) for i in range(200)]
    hits = naive = 0
    for trial in range(150):
        values = np.repeat(rng.normal(size=40), 5) + 0.1 * rng.normal(size=200)
        found = mean_interval(values, patients, resamples=300, seed=trial)
        wrong = mean_interval(values, as_if_films_were_patients, resamples=300, seed=trial)
        assert found is not None
        assert wrong is not None
        hits += found.low <= 0 <= found.high
        naive += wrong.low <= 0 <= wrong.high
    assert hits >= 150 * 0.88
    assert naive <= 150 * 0.75


def test_films_without_a_value_count_neither_way() -> None:
    found = mean_interval(np.array([1.0, np.nan, 3.0]), ["a", "b", "c"])
    assert found is not None
    assert found.value == 2.0
    assert (found.low, found.high) == (1.0, 3.0)
    assert mean_interval(np.array([np.nan]), ["a"]) is None


def test_sign_flips_by_hand() -> None:
    three_alike = sign_flip_p(np.array([1.0, 2.0, 3.0]), ["a", "b", "c"])
    assert three_alike == pytest.approx(2 / 8, abs=0.02)
    assert sign_flip_p(np.array([1.0, 2.0, 3.0]), ["a", "a", "a"]) == 1.0
    assert sign_flip_p(np.zeros(5), list("abcde")) == 1.0
    assert np.isnan(sign_flip_p(np.array([np.nan]), ["a"]))


def test_sign_flips_keep_their_level() -> None:
    rng = np.random.default_rng(2)
    patients = [str(i) for i in range(20) for _ in range(3)]
    p = [sign_flip_p(np.repeat(rng.normal(size=20), 3), patients, flips=199, seed=i) for i in range(300)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.035)


def test_auroc_of_a_perfect_and_of_a_constant_judge() -> None:
    outcomes, patients = np.array([0.0, 0, 1, 1, 1]), list("abcde")
    perfect = auroc_over_patients(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), outcomes, patients)
    constant = auroc_over_patients(np.full(5, 0.7), outcomes, patients)
    assert perfect is not None
    assert constant is not None
    assert (perfect.value, perfect.low) == (1.0, 1.0)
    assert (constant.value, constant.low, constant.high) == (0.5, 0.5, 0.5)
    assert auroc_over_patients(np.array([0.1, np.nan, 0.3]), np.array([1.0, 0.0, 1.0]), list("abc")) is None
    assert auroc_over_patients(np.full(3, np.nan), np.array([1.0, 0.0, 1.0]), list("abc")) is None
