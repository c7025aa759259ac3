"""The trust strip in words and in print: states told by shape and word, one reason told once."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.fake_explanation import fake_explanation, fake_trust
from pypdf import PdfReader

from xrayinterp.evaluation import standing as standings
from xrayinterp.evaluation.lamps import LAMPS, UNDER_THE_STRIP, LampWorth, MapTrust, Reading
from xrayinterp.models.card import Interval
from xrayinterp.report import trust_words
from xrayinterp.report.content import content
from xrayinterp.report.content_trust import trust
from xrayinterp.report.pdf import render_pdf


def test_values_are_told_with_their_state_and_reference():
    good, construction, _, bad, none = fake_trust().readings
    assert trust_words.state_line(good) == "Good · 0.21"
    assert trust_words.reference_line(good) == "unrelated maps 0.08"
    assert trust_words.state_line(construction) == "By construction · −1.00"
    assert trust_words.state_line(bad) == "Poor · 45\u202f%"
    assert (trust_words.state_line(none), trust_words.reference_line(none)) == ("Not measurable", "")


@pytest.mark.parametrize("name", list(LAMPS))
def test_cut_offs_say_which_way_is_better(name: str):
    lamp = LAMPS[name]
    text = trust_words.cut_offs(lamp)
    assert text.startswith("Higher" if lamp.direction == "higher" else "Lower")
    assert trust_words.figure(name, lamp.good) in text
    assert trust_words.figure(name, lamp.bad) in text


def unflagged(method: str = "gradcam") -> MapTrust:
    why = "Not measurable: Effusion is not flagged on this film."
    return MapTrust(method, tuple(Reading(name, "not-measurable", None, None, why) for name in LAMPS))


def test_one_reason_for_all_is_told_once():
    assert trust_words.common_reason(unflagged().readings) == "Not measurable: Effusion is not flagged on this film."
    assert trust_words.common_reason(fake_trust().readings) is None
    said = trust(fake_explanation(trust=(unflagged(),)))
    assert said is not None
    assert said["strips"][0]["rows"] == []


def test_what_was_not_measured_is_said_and_a_report_without_maps_has_no_strip():
    told = content(fake_explanation())["trust"]
    assert [strip["reason"] for strip in told["strips"]] == ["Not measured for this map on this film."] * len(
        fake_explanation().maps
    )
    assert content(replace(fake_explanation(), maps=()))["trust"] is None
    text = PdfReader(io.BytesIO(render_pdf(fake_explanation())))
    assert "Not measured for this map on this film." in " ".join(page.extract_text() for page in text.pages)


def test_the_strip_is_printed_with_its_fixed_line():
    pdf = render_pdf(fake_explanation(trust=(fake_trust(), unflagged())))
    text = " ".join(" ".join(page.extract_text().split()) for page in PdfReader(io.BytesIO(pdf)).pages)
    for wanted in (
        "How far the map can be trusted",
        "Good · 0.21",
        "Doubtful · 0.66",
        "Poor · 45",
        "By construction",
        "Not measurable: no atlas.",
        "Effusion is not flagged",
        UNDER_THE_STRIP,
        LAMPS["stable"].question,
    ):
        assert wanted in text, wanted


def test_a_method_that_fails_is_said_to_on_the_first_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    explanation = fake_explanation()
    record = {"default": "gradcam_signed", "further": [], "described": "Made up.",
              "fails": {explanation.maps[0].method: ["class", "weights"]},
              "settings": {"model_sha256": explanation.model_sha256}}  # fmt: skip
    (tmp_path / f"{explanation.model}.json").write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setattr(standings, "MEASURED", tmp_path)
    standings.standing.cache_clear()
    try:
        said = content(explanation)["warnings"]
    finally:
        standings.standing.cache_clear()
    assert any("not evidence for this finding" in warning and "weights" in warning for warning in said)


def test_what_a_lamp_is_worth_is_told_where_it_was_measured() -> None:
    area = Interval(0.68, 0.6, 0.76)
    worth = (
        LampWorth("stable", "pointing", None, area, 100, 40),
        LampWorth("stable", "planted", None, None, 0, 0),
        LampWorth("stable", "correct", "gradient", area, 10, 5),
    )
    line = trust_words.judge_line(LAMPS["stable"], worth)
    assert "0.68 (0.60 to 0.76)" in line
    assert "outline" in line
    assert "planted" not in line
    assert "right predictions" not in line
    assert trust_words.judge_line(LAMPS["faithful"], worth) == ""
