from __future__ import annotations

import pytest
from helpers.fake_explanation import fake_explanation, fake_predictions, fake_semantic, fake_units
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.report import charts

NUMBERS = st.floats(-5, 5).map(lambda x: round(x, 6))


@given(NUMBERS, NUMBERS)
def test_pieces_of_a_bar_sum_to_its_value_and_never_overlap(value: float, above: float) -> None:
    spans = charts._spans(value, above)
    assert sum(span.end - span.start for span in spans) == pytest.approx(value, abs=1e-9)
    assert sum(span.end - span.start for span in spans if span.solid) == pytest.approx(above, abs=1e-9)
    if len(spans) == 2:
        (a, b), (c, d) = (sorted((span.start, span.end)) for span in spans)
        assert b <= c or d <= a


def test_rows_sum_to_the_contrast_and_from_zero_to_the_logit() -> None:
    semantic = fake_semantic(fake_units(), "Effusion")
    assert semantic.reference_logit is not None
    total = sum(bar.value for bar in charts.share_bars(semantic))
    assert total == pytest.approx(semantic.logit - semantic.reference_logit)
    assert sum(bar.value for bar in charts.share_bars(semantic, from_zero=True)) == pytest.approx(semantic.logit)


def test_without_a_reference_the_chart_is_from_zero_and_shows_the_bias() -> None:
    semantic = fake_semantic(fake_units(), "Effusion", reference=False)
    bars = charts.share_bars(semantic)
    assert [bar.kind for bar in bars][-2:] == ["unlabelled", "bias"]
    assert sum(bar.value for bar in bars) == pytest.approx(semantic.logit)


def test_reach_covers_every_piece() -> None:
    bars = charts.share_bars(fake_semantic(fake_units(), "Effusion"))
    assert charts.reach(bars) == max(abs(edge) for bar in bars for s in bar.spans for edge in (s.start, s.end))
    assert charts.reach([]) == 1


def test_the_operating_point_is_the_middle_of_every_finding_bar() -> None:
    predictions = fake_predictions(0.5)
    for prediction, bar in zip(predictions, charts.finding_bars(predictions), strict=True):
        point = prediction.operating_point
        assert point is not None
        assert (bar.value > 0.5) == (prediction.logit > point.threshold)
        assert bar.band is not None
        assert 0 <= bar.band[0] < 0.5 < bar.band[1] <= 1
        assert prediction.unsure == (bar.band[0] <= bar.value < bar.band[1])


def test_findings_without_a_point_have_no_bar() -> None:
    from dataclasses import replace

    bare = [replace(p, operating_point=None) for p in fake_explanation().predictions]
    assert charts.finding_bars(bare) == ()
