"""Percentiles: by hand, and how often their intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.anomaly.calibration import Calibration
from xrayinterp.errors import Code, XrayInterpError


def test_percentile_by_hand() -> None:
    calibration = Calibration.of([4.0, 1.0, 2.0, 3.0])
    assert [calibration.percentile(s).value for s in (0.5, 1.0, 2.5, 4.0, 9.0)] == [0, 12.5, 50, 87.5, 100]
    assert calibration.percentile(9.0).low == pytest.approx(100 * 0.025 ** (1 / 4))  # none of four: Clopper & Pearson
    assert calibration.percentile(9.0).high == 100


@given(scores=st.lists(st.floats(-5, 5), min_size=1, max_size=40), s=st.floats(-6, 6), t=st.floats(-6, 6))
def test_percentiles_rise_with_the_score_and_lie_in_their_intervals(scores: list[float], s: float, t: float) -> None:
    calibration = Calibration.of(scores)
    low, high = sorted((s, t))
    a, b = calibration.percentile(low), calibration.percentile(high)
    assert a.value <= b.value
    for found in (a, b):
        assert 0 <= found.low <= found.value + 1e-9
        assert found.value - 1e-9 <= found.high <= 100


def test_one_in_twenty_new_normals_lies_above_the_95th() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(100):
        calibration = Calibration.of(rng.normal(size=200))
        new = rng.normal(size=40)
        shares.append(np.mean([calibration.percentile(s).value > 95 for s in new]))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.012)


@pytest.mark.parametrize("films", [1, 4])
def test_intervals_hold_the_truth_nineteen_times_in_twenty(films: int) -> None:
    """The true percentile of a score of normals whose films of one patient are alike."""
    rng = np.random.default_rng(1)
    held = 0
    runs = 400
    for _ in range(runs):
        own = rng.normal(size=60)
        scores = (0.9 * own[:, None] + np.sqrt(1 - 0.81) * rng.normal(size=(60, films))).ravel()
        found = Calibration.of(scores, np.repeat(np.arange(60), films)).percentile(0.8416212)
        held += found.low <= 80 <= found.high
    assert held / runs >= 0.93


def test_films_of_one_patient_count_as_one() -> None:
    scores = np.repeat(np.arange(20.0), 5)
    alone = Calibration.of(np.arange(20.0)).percentile(9.5)
    together = Calibration.of(scores, np.repeat(np.arange(20), 5)).percentile(9.5)
    unaware = Calibration.of(scores).percentile(9.5)
    assert together.value == alone.value
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert unaware.high - unaware.low < 0.6 * (together.high - together.low)


def test_threshold_lets_the_asked_share_pass() -> None:
    calibration = Calibration.of(np.arange(100.0))
    threshold = calibration.threshold(0.05)
    assert (calibration.scores > threshold).mean() == 0.05
    assert Calibration.of([1.0]).threshold(0.5) == 1.0


@given(tenths=st.integers(0, 10), count=st.integers(1, 60))
def test_exactly_the_asked_share_exceeds_the_threshold(tenths: int, count: int) -> None:
    calibration = Calibration.of(np.arange(float(count)))
    above = int((calibration.scores > calibration.threshold(tenths / 10)).sum())
    assert above == min(tenths * count // 10, count - 1)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_what_is_no_number_has_no_percentile(score: float) -> None:
    with pytest.raises(XrayInterpError, match=f"score of {score}") as caught:
        Calibration.of([1.0, 2.0]).percentile(score)
    assert caught.value.code is Code.WEIGHTS_CORRUPT


def test_few_normals_are_spoken_of() -> None:
    assert Calibration.of(np.arange(20.0)).reservation == ""
    assert "among 3 held-out normals, fewer than 20" in Calibration.of(np.arange(3.0)).reservation


@pytest.mark.parametrize("scores", [[], [1.0, float("nan")], [[1.0, 2.0]]])
def test_what_is_no_list_of_scores_is_refused(scores: list[float]) -> None:
    with pytest.raises(XrayInterpError, match="cannot be calibrated on"):
        Calibration.of(scores)
    with pytest.raises(XrayInterpError):
        Calibration.of([1.0, 2.0], ["a"])
