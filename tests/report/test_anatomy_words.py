"""What is said of anatomy, in words, JSON and print; and that nothing is said where nothing was segmented."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.fake_explanation import fake_explanation
from pypdf import PdfReader

from xrayinterp.anatomy import Anatomy, MapPlace, Shares, anatomy_of
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.explanation import Explanation
from xrayinterp.imaging.geometry import frame
from xrayinterp.models.segmentation import HEART, LEFT, RIGHT, Segmentation, on_grid
from xrayinterp.report import anatomy_words, words
from xrayinterp.report.document import read_document, schema, to_document
from xrayinterp.report.pdf import render_pdf

SHARES = Shares(lungs=0.71, heart=0.12, both=0.05, elsewhere=0.22, area=0.38)
PLACE = MapPlace("gradcam_signed", True, "image-right lower zone", "above the lungs", SHARES)


def with_anatomy(explanation: Explanation | None = None, **masks: np.ndarray) -> Explanation:
    """A made explanation whose film has two ellipses as lungs and one as heart."""
    explanation = explanation or fake_explanation()
    height, width = explanation.radiograph.shape
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]

    def ellipse(cy: float, cx: float, ry: float, rx: float) -> np.ndarray:
        return np.asarray(((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1)

    square = frame(height, width, "pad")
    drawn = {LEFT: ellipse(0.45, 0.3, 0.3, 0.15), RIGHT: ellipse(0.45, 0.7, 0.3, 0.15)}
    drawn |= {HEART: ellipse(0.58, 0.55, 0.17, 0.14)} | masks
    segmentation = Segmentation(square, {name: on_grid(mask, square) for name, mask in drawn.items()}, "ab" * 32)
    maps = [(m.method, m.values, m.signed) for m in explanation.maps]
    seen = frame(height, width, explanation.fit)
    return replace(explanation, anatomy=anatomy_of(segmentation, seen, maps, explanation.regions))


def anatomy_in(explanation: Explanation) -> Anatomy:
    assert explanation.anatomy is not None
    return explanation.anatomy


def test_lines_are_as_a_radiologist_would_read_them() -> None:
    assert anatomy_words.brief_line(PLACE).replace("\u202f", " ") == (
        "Strongest support: image-right lower zone. 71 % of the map lies in the lungs (38 % if it were even)."
    )
    assert anatomy_words.map_line(PLACE).replace("\u202f", " ") == (
        "Strongest support: image-right lower zone; opposition: above the lungs. 71 % of the map lies in the lungs, "
        "which cover 38 % of what the model saw; 12 % over heart and mediastinum (5 % in both); 22 % elsewhere."
    )


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"signed": False, "opposes": None}, "Strongest: image-right lower zone."),
        ({"supports": None}, "Nothing supports; strongest opposition: above the lungs."),
        ({"supports": None, "opposes": None, "shares": None}, "The map is zero everywhere."),
    ],
)
def test_maps_of_every_kind_have_words(changes: dict[str, Any], start: str) -> None:
    place = replace(PLACE, **changes)
    assert anatomy_words.brief_line(place).startswith(start)
    assert anatomy_words.map_line(place).startswith(start)


@pytest.mark.parametrize(
    ("view", "caveat"), [("PA", "usually called enlarged"), ("AP", "magnified"), ("unknown", "not known")]
)
def test_the_ratio_never_stands_without_its_caveat(view: Any, caveat: str) -> None:
    explanation = with_anatomy()
    film = replace(explanation.radiograph, view=view)
    line = anatomy_words.heart_line(anatomy_in(explanation), film)
    assert line.startswith("Cardiothoracic ratio 0.")
    assert caveat in line
    document = to_document(replace(explanation, radiograph=film))
    assert document.anatomy is not None
    assert document.anatomy.cardiothoracic is not None
    assert caveat in document.anatomy.cardiothoracic.caveat


def test_research_only_weights_are_called_so_wherever_they_speak() -> None:
    explanation = with_anatomy()
    assert "research only" in " ".join(anatomy_words.lines(explanation))
    document = to_document(explanation).anatomy
    assert document is not None
    assert document.research_only
    assert "NC-SA" in document.licence


def test_without_two_lungs_the_reason_is_told_and_places_fall_back_to_thirds() -> None:
    shape = fake_explanation().radiograph.shape
    explanation = with_anatomy(**{LEFT: np.zeros(shape, dtype=bool)})
    (line,) = anatomy_words.lines(explanation)
    assert "no image-left lung was found" in line
    assert words.place((0.1, 0.2), anatomy_in(explanation)) == words.place((0.1, 0.2))
    document = to_document(explanation).anatomy
    assert document is not None
    assert (document.doubt, document.maps, document.cardiothoracic) == ("no image-left lung was found", [], None)


def test_points_are_named_by_the_films_own_anatomy() -> None:
    explanation = with_anatomy()
    film, square = explanation.radiograph, frame(*explanation.radiograph.shape, explanation.fit)
    top_of_lung = ((0.2 * film.shape[0] - square.top) / square.side, (0.3 * film.shape[1] - square.left) / square.side)
    assert words.place(top_of_lung, anatomy_in(explanation)) == "image-left upper zone"


def test_json_holds_it_all_and_reads_back() -> None:
    explanation = with_anatomy()
    document = to_document(explanation)
    assert read_document(document.to_json()) == document
    anatomy = json.loads(document.to_json())["anatomy"]
    assert [place["method"] for place in anatomy["maps"]] == [m.method for m in explanation.maps]
    assert anatomy["segmenter_sha256"] == "ab" * 32
    assert anatomy["cardiothoracic"]["ratio"] == pytest.approx(
        anatomy["cardiothoracic"]["heart"] / anatomy["cardiothoracic"]["thorax"]
    )
    assert set(anatomy["concepts"]) <= set(explanation.regions)


def test_documents_from_before_anatomy_still_read() -> None:
    plain = json.loads(to_document(fake_explanation()).to_json())
    assert plain.pop("anatomy") is None
    assert read_document(json.dumps(plain)).anatomy is None
    assert "anatomy" not in schema()["required"]


def test_shares_that_are_no_whole_are_refused() -> None:
    explanation = with_anatomy()
    anatomy = anatomy_in(explanation)
    wrong = replace(anatomy.maps[0], shares=SHARES, supports="x")
    fine = replace(explanation, anatomy=replace(anatomy, maps=(wrong,)))
    assert to_document(fine).anatomy is not None
    broken = replace(wrong, shares=replace(SHARES, lungs=0.9))
    with pytest.raises(XrayInterpError) as caught:
        to_document(replace(explanation, anatomy=replace(anatomy, maps=(broken,))))
    assert caught.value.code is Code.INTERNAL


def test_print_says_it_on_the_first_page_and_nothing_without() -> None:
    def first_page(explanation: Explanation) -> str:
        text: str = PdfReader(io.BytesIO(render_pdf(explanation))).pages[0].extract_text()
        return " ".join(text.split())

    told, bare = first_page(with_anatomy()), first_page(fake_explanation())
    assert "Cardiothoracic ratio" in told
    assert "magnified" in told  # the film is AP
    assert "Strongest support" in told
    assert "Cardiothoracic" not in bare
