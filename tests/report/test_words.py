from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.fake_explanation import fake_predictions, fake_radiograph

from xrayinterp.explanation import SaliencyMap
from xrayinterp.report import words


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Pleural_Thickening", "Pleural thickening"),
        ("Left lung", "Left lung"),
        ("global", "Global severity"),
        ("A", "Zone A"),
    ],
)
def test_names_become_words(name: str, text: str) -> None:
    assert words.readable(name) == text


def test_figures_carry_a_true_minus_and_no_signed_zero() -> None:
    assert [words.signed(v) for v in (0.314, -1.2, 0.0, -0.001)] == ["+0.31", "−1.20", "0.00", "0.00"]
    assert words.plain(2.5) == "2.50"
    assert words.small(1.25e-7) == "1.25e−7"
    assert words.percent(0.714) == "71\u202f%"


@pytest.mark.parametrize(
    ("peak", "text"),
    [
        ((0.1, 0.2), "image-left upper zone"),
        ((0.5, 0.9), "image-right middle zone"),
        ((0.9, 0.5), "centre, lower zone"),
    ],
)
def test_places_are_named_by_image_side(peak: tuple[float, float], text: str) -> None:
    assert words.place(peak) == text


def test_sides_come_from_the_reader_then_the_header_then_nobody() -> None:
    film = fake_radiograph()
    assert "patient's left" in words.sides(film, {})
    mirrored = replace(film, source=replace(film.source, orientation=("R", "F")))
    assert "mirrored" in words.sides(mirrored, {})
    bare = replace(film, source=replace(film.source, orientation=None))
    assert words.sides(bare, {}) == words.NO_SIDES
    assert words.sides(bare, {"side": "as hung"}) == "as hung (entered by the reader)"


def test_views_say_who_said_so() -> None:
    assert words.view(fake_radiograph(view="PA").with_view("AP")).endswith("as confirmed by the reader")
    assert "nobody" in words.view(fake_radiograph(view="unknown"))
    assert words.view(fake_radiograph(view="PA").with_view("unknown")).startswith("not known to the reader")


def test_verdicts_never_flag_what_is_not_assessed() -> None:
    for prediction in fake_predictions(0.84):
        said = words.verdict(prediction)
        if not prediction.assessed:
            assert said == "not reliably assessed"
            assert "9 positive patients" in words.why_not_assessed(prediction)
        elif prediction.unsure:
            assert said == "not sure"
        else:
            assert said == ("above" if prediction.positive else "below")
    bare = replace(fake_predictions(0.84)[0], operating_point=None, positive=None)
    assert words.verdict(bare) == "no operating point"


def test_a_map_is_described_for_those_who_cannot_see_it() -> None:
    values = np.zeros((7, 7), np.float32)
    saliency = SaliencyMap("gradcam_signed", values, signed=True, options={})
    assert words.strongest(saliency) == "It is zero everywhere."
    assert words.scale(saliency, 0.0) == ("", "zero everywhere")
    values[6, 6] = -2
    assert "image-right lower zone" in words.strongest(saliency)
    assert words.method(saliency.method) == "Grad-CAM, signed"
