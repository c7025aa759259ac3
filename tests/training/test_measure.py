"""Figures of merit against closed forms and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from xrayinterp.training.measure import (
    Scored,
    auroc,
    auroc_interval,
    calibrate,
    covariate_scores,
    expected_calibration_error,
    finding_metrics,
    mean_auroc_interval,
    operating_point,
    patient_weights,
)


def scored(n: int = 400, shift: float = 1.0, seed: int = 0, patients: int = 100) -> Scored:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.3).astype(np.float64)
    return Scored(labels, rng.normal(size=n) + shift * labels, [f"p{i % patients}" for i in range(n)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=4, max_size=60))
def test_auroc_equals_sklearn_with_ties(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([float(r[0]) for r in rows]), np.array([float(r[1]) for r in rows])
    area = auroc(labels, scores)[0]
    if 0 < labels.sum() < len(labels):
        assert area == pytest.approx(roc_auc_score(labels, scores))
    else:
        assert np.isnan(area)


def test_weights_count_films_as_often_as_their_patient_is_drawn() -> None:
    data = scored(60, patients=20)
    weights = patient_weights(data.patients, 5, seed=1)
    assert (weights.sum(1) == 60).all()  # three films a patient, twenty draws
    for row, area in zip(weights, auroc(data.labels, data.scores, weights), strict=True):
        repeated = np.repeat(np.arange(60), row.astype(int))
        assert area == pytest.approx(roc_auc_score(data.labels[repeated], data.scores[repeated]))


def test_interval_is_wider_when_films_of_a_patient_agree() -> None:
    base = scored(100, patients=100)
    copied = Scored(np.repeat(base.labels, 4), np.repeat(base.scores, 4), [f"q{i // 4}" for i in range(400)])
    alone, together = auroc_interval(base), auroc_interval(copied)
    independent = auroc_interval(Scored(copied.labels, copied.scores, [f"q{i}" for i in range(400)]))
    assert alone and together and independent
    assert together.value == pytest.approx(alone.value)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.25)
    assert together.high - together.low > 1.5 * (independent.high - independent.low)


def test_calibration_recovers_the_logistic_that_made_the_labels() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=40_000)
    labels = (rng.random(len(z)) < 1 / (1 + np.exp(-(2 * z - 1)))).astype(np.float64)
    fitted = calibrate(Scored(labels, z, ["p"] * len(z)), "val")
    assert fitted.slope == pytest.approx(2, abs=0.1)
    assert fitted.intercept == pytest.approx(-1, abs=0.1)
    assert fitted.ece < 0.01
    assert fitted.prevalence == pytest.approx(labels.mean())


def test_calibration_error_by_hand() -> None:
    labels = np.array([0.0, 0.0, 1.0, 1.0])
    assert expected_calibration_error(labels, np.array([0.0, 0.0, 1.0, 1.0]), bins=2) == 0
    assert expected_calibration_error(labels, np.array([0.5, 0.5, 0.5, 0.5]), bins=1) == 0
    assert expected_calibration_error(labels, np.array([0.2, 0.2, 0.6, 0.6]), bins=2) == pytest.approx(0.3)


def test_thresholds_reach_what_they_promise_on_val() -> None:
    val, test = scored(2000, seed=1), scored(2000, seed=2)
    point = operating_point(val, test, "val", "test")
    sick = val.labels > 0.5
    assert (val.scores[sick] >= point.sensitive).mean() >= 0.9
    assert (val.scores[~sick] < point.specific).mean() >= 0.9
    assert point.sensitive < point.threshold < point.specific
    assert point.sensitivity == pytest.approx((test.scores[test.labels > 0.5] >= point.threshold).mean())


@pytest.mark.parametrize(("shift", "patients", "assessed"), [(1.5, 100, True), (0.0, 100, False), (1.5, 5, False)])
def test_a_finding_is_assessed_only_on_enough_patients_and_area(shift: float, patients: int, assessed: bool) -> None:
    val, test = scored(shift=shift, seed=1, patients=patients), scored(shift=shift, seed=2, patients=patients)
    assert finding_metrics(val, test, "test").assessed is assessed


def test_mean_interval_holds_the_mean() -> None:
    findings = [scored(seed=s) for s in range(3)]
    mean = mean_auroc_interval(findings)
    assert mean.low < mean.value < mean.high
    assert mean.value == pytest.approx(np.mean([auroc(f.labels, f.scores)[0] for f in findings]))


def test_covariates_find_a_label_that_follows_the_view() -> None:
    rng = np.random.default_rng(0)
    covariates = rng.integers(0, 2, (300, 3)).astype(np.float64)
    labels = np.stack([covariates[:, 0], rng.integers(0, 2, 300)], 1).astype(np.float32)
    scores = covariate_scores(covariates, labels, covariates)
    assert roc_auc_score(labels[:, 0], scores[:, 0]) == 1
    assert roc_auc_score(labels[:, 1], scores[:, 1]) < 0.7
