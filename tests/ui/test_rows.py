from __future__ import annotations

from dataclasses import replace

from helpers.fake_explanation import fake_explanation
from hypothesis import given
from hypothesis import strategies as st

from xrayinterp.models.card import FindingMetrics
from xrayinterp.ui.rows import LISTED, arrange


def test_every_finding_is_in_exactly_one_group():
    explanation = fake_explanation()
    groups = arrange(explanation.predictions, "Effusion")
    names = [row.finding for group in (groups.listed, groups.below, groups.unassessed) for row in group]
    assert sorted(names) == sorted(p.finding for p in explanation.predictions)


def test_flagged_come_first_by_margin_then_unsure():
    rows = arrange(fake_explanation().predictions, "Effusion").listed
    states = [row.state for row in rows]
    assert states == sorted(states, key=["above", "not sure", "below"].index)
    margins = [float(row.value) for row in rows if row.state == "above"]
    assert margins == sorted(margins, reverse=True)
    assert len(rows) >= LISTED


def test_unassessed_findings_are_never_flagged_but_can_be_explained():
    groups = arrange(fake_explanation().predictions, "Hernia")
    hernia = next(row for row in groups.listed if row.finding == "Hernia")
    assert hernia.state == "not reliably assessed"
    assert hernia.note == "not reliably assessed"
    assert [row.finding for row in groups.unassessed] == ["Pneumonia"]


def test_detail_tells_auroc_interval_sensitivity_and_specificity_at_the_point():
    row = next(r for r in arrange(fake_explanation().predictions, "Effusion").listed if r.finding == "Effusion")
    text = "\n".join(row.detail)
    assert "AUROC 0.78 (0.73–0.83), NIH test films, 1 120 patients" in text
    assert "sensitivity 71%, specificity 74%" in text
    assert "prevalence 10.0%" in text


def test_a_flag_without_measurement_says_so():
    predictions = [replace(p, metrics=FindingMetrics(source="a paper")) for p in fake_explanation().predictions]
    rows = arrange(predictions, "Effusion").listed
    assert {row.note for row in rows if row.state == "above"} == {"not measured here"}
    assert all("Source: a paper" in row.detail for row in rows)


def test_without_an_operating_point_there_is_a_bare_logit_and_no_bar():
    predictions = [
        replace(p, operating_point=None, positive=None, unsure=False, assessed=True)
        for p in fake_explanation().predictions
    ]
    rows = arrange(predictions, "Effusion").listed
    assert all(row.bar is None and row.state == "no operating point" for row in rows)


@given(st.lists(st.floats(-8, 8), min_size=14, max_size=14), st.integers(0, 13))
def test_whatever_the_logits_nothing_is_lost_and_the_selected_is_listed(logits: list[float], chosen: int):
    predictions = [
        replace(
            p,
            logit=logit,
            positive=None if p.positive is None else logit >= p.operating_point.threshold,
            unsure=p.operating_point.sensitive <= logit < p.operating_point.specific,
        )
        for p, logit in zip(fake_explanation().predictions, logits, strict=True)
    ]
    selected = predictions[chosen].finding
    groups = arrange(predictions, selected)
    assert selected in [row.finding for row in groups.listed]
    assert len(groups.listed) + len(groups.below) + len(groups.unassessed) == 14
    assert all(row.state in ("below", "no operating point") for row in groups.below)
