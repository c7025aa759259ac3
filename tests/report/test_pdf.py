from __future__ import annotations

import io
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pypdfium2
import pytest
from helpers.fake_explanation import SHA, fake_explanation, fake_layer, fake_severity_explanation
from pypdf import PdfReader

from xrayinterp.errors import Code, Warned, XrayInterpError
from xrayinterp.explanation import Explanation
from xrayinterp.models.chest_model import FindingMetrics
from xrayinterp.report import words
from xrayinterp.report.pdf import render_pdf

HOSTILE = [
    '#panic("x")',
    '#read("/etc/passwd") #image("/etc/passwd")',
    "$ integral $ *bold* _it_ = Heading <label> @ref `raw` \\ // comment /* */",
    '"]}); #set page(width: 1pt) #{',
    "]]#pagebreak()[[",
    "\x00\x1b[31m\u202eabc\ufffe",
    "x" * 3000,
    "\n" * 200,
    "山田太郎 محمد हिन्दी 👩‍⚕️ e\u0301",
]


def pages(pdf: bytes) -> list[str]:
    """The text of each page, spaces made plain and line breaks of the layout taken out."""
    texts = (page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    return [re.sub(r"[\s\u200b]+", " ", text) for text in texts]


@cache
def rendered(kind: str) -> bytes:
    if kind == "severity":
        return render_pdf(fake_severity_explanation())
    return render_pdf(fake_explanation(reader={"reference": "Ward 7 / 42", "comment": "Fluid?\nSecond line"}))


@pytest.mark.parametrize("kind", ["findings", "severity"])
def test_hash_disclaimer_and_page_number_on_every_page(kind: str) -> None:
    texts = pages(rendered(kind))
    assert 3 <= len(texts) <= 5
    for number, text in enumerate(texts, start=1):
        assert SHA in text.replace(" ", "")
        assert words.DISCLAIMER in text
        assert f"Page {number} of {len(texts)}" in text


@pytest.mark.parametrize("kind", ["findings", "severity"])
def test_the_report_is_tagged_for_screen_readers(kind: str) -> None:
    reader = PdfReader(io.BytesIO(rendered(kind)))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en-GB"
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()
    assert reader.metadata is not None
    assert "chest radiograph report" in (reader.metadata.title or "")
    roles, alts = _tags(root["/StructTreeRoot"].get_object())
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Figure", "/L"} <= roles
    assert any("strongest in the image-right" in alt for alt in alts)


def _tags(node: object) -> tuple[set[str], list[str]]:
    roles: set[str] = set()
    alts: list[str] = []
    stack = [node]
    while stack:
        item = stack.pop()
        item = item.get_object() if hasattr(item, "get_object") else item
        if isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            roles.add(str(item.get("/S")))
            alts += [str(item["/Alt"])] if "/Alt" in item else []
            if "/K" in item:
                stack.append(item["/K"])
    return roles, alts


def test_the_same_explanation_gives_the_same_bytes_without_a_date() -> None:
    again = render_pdf(fake_explanation(reader={"reference": "Ward 7 / 42", "comment": "Fluid?\nSecond line"}))
    assert again == rendered("findings")
    assert not re.search(rb"CreationDate|ModDate|xmp:CreateDate", again)


def test_further_layers_are_printed_with_their_disagreement_where_asked_for() -> None:
    assert "Ablation" not in " ".join(pages(rendered("findings")))
    text = " ".join(pages(render_pdf(fake_explanation(layers=(fake_layer(),)))))
    for wanted in (
        "Block 3, from zero",
        "Block 3, against normal films",
        "The two measures disagree on the sign for Cardiomegaly-like units.",
        "units together give −0.65, by ablation −0.40. The difference, +0.25 (38 % of the larger), is not explained",
        "Layer denseblock3.",
    ):
        assert wanted in text


def test_what_a_reader_needs_is_written() -> None:
    text = " ".join(pages(rendered("findings")))
    explanation = fake_explanation()
    for wanted in (
        "AP (antero-posterior), as the file says",
        "image right is the patient's left, as the file says",
        "heart size is overestimated",
        "nothing can be measured in millimetres",
        "Ward 7 / 42",
        "Fluid? Second line",
        "Not reliably assessed",
        "9 positive patients",
        "Effusion-like",
        "412 films without findings",
        "0.16 of 0.94",
        "chestx-det",
        "torch 2.15.0",
        "xrayinterp-1",
        "Never tested outside the hospital",
        "one cell covers 32 of the 224 px",
        words.signed(explanation.semantic.bias),
    ):
        assert wanted in text, wanted
    for prediction in explanation.predictions:
        assert words.readable(prediction.finding) in text
        assert words.signed(prediction.logit) in text
    assert words.RESEARCH_ONLY not in text


def test_severity_shows_zones_interval_and_the_research_mark_on_every_page() -> None:
    texts = pages(rendered("severity"))
    assert all(words.RESEARCH_ONLY in text for text in texts)
    assert re.search(r"A 0\.4 D 0\.2 B 1\.1 E 0\.9 C 1\.3 F 2\.6", texts[0])
    assert "6.5 of 18" in texts[0]
    assert "95 % interval 2.4 to 10.6" in texts[0]
    assert "What the global severity output is made of" in " ".join(texts)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_reader_typed_is_never_markup(text: str) -> None:
    pdf = render_pdf(fake_explanation(reader={"comment": text, "reference": text, "side": text}))
    assert len(pages(pdf)) >= len(pages(rendered("findings")))
    assert PdfReader(io.BytesIO(pdf)).pages[0].mediabox.width == pytest.approx(595.3, abs=0.1)
    if text.isascii() and text.isprintable() and len(text) < 100:
        assert text in " ".join(pages(pdf))


def test_long_notes_come_after_the_figures_and_short_ones_on_the_first_page() -> None:
    texts = pages(render_pdf(fake_explanation(reader={"comment": "A longer thought. " * 40})))
    assert "Entered by the reader" not in texts[0]
    assert "Entered by the reader" in " ".join(texts[2:])
    assert "Entered by the reader" in pages(rendered("findings"))[0]


def test_hostile_text_from_the_film_and_the_model_is_never_markup() -> None:
    explanation = fake_explanation()
    evil = '#panic("x") ]] \x00 <a> @b'
    text = " ".join(
        pages(
            render_pdf(
                replace(
                    explanation,
                    card=replace(explanation.card, title=evil, limits=(evil,)),
                    warnings=(Warned(Code.BODY_PART, evil),),
                    provenance={evil: {evil: [evil]}},
                    semantic=replace(explanation.semantic, reference_described=evil),
                )
            )
        )
    )
    assert text.count('#panic("x") ]] [U+0000] <a> @b') >= 6


def _bare(explanation: Explanation) -> Explanation:
    """Predictions without a point, a calibration or a metric, as a model of others may have them."""
    bare = tuple(
        replace(p, probability=None, calibration=None, operating_point=None, metrics=FindingMetrics(), positive=None,
                unsure=False, assessed=True)
        for p in explanation.predictions
    )  # fmt: skip
    return replace(explanation, predictions=bare)


def test_missing_pieces_are_said_not_invented() -> None:
    text = " ".join(pages(render_pdf(_bare(fake_explanation(reference=False, maps=(), regions={}, reader={})))))
    assert "no calibration: no probability is given" in text
    assert "no operating point" in text
    assert "not measured here" in text
    assert "No map was made" in text
    assert "there is no reference of normal films" in text
    assert "Calibrated probability" not in text
    assert "Entered by the reader" not in text


def test_a_model_without_an_atlas_says_how_to_make_one() -> None:
    semantic = fake_explanation().semantic
    rest = semantic.unlabelled + sum(concept.contribution for concept in semantic.concepts)
    advice = "xrayinterp dissect --model nih --probes chestx-det --layer norm5 --out FILE.parquet"
    bare = replace(
        semantic, concepts=(), unlabelled=rest, unlabelled_contrast=None, reference_logit=None,
        reference_described=None, contrast_residual=None, probes=(), advice=advice, rest=(),
    )  # fmt: skip
    text = " ".join(pages(render_pdf(fake_explanation(semantic=bare, regions={}))))
    assert advice in text
    assert "No concept" in text


def test_a_map_of_zeros_and_a_finding_not_assessed() -> None:
    explanation = fake_explanation()
    zero = replace(explanation.maps[0], values=np.zeros((7, 7), np.float32))
    text = " ".join(pages(render_pdf(replace(explanation, maps=(zero,), finding="Hernia"))))
    assert "The map is zero everywhere" in text
    assert "Not reliably assessed (AUROC" in text


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_the_rendered_page_shows_film_and_map_side_by_side(fit: str) -> None:
    pdf = render_pdf(fake_explanation(fit=fit))
    page = np.asarray(pypdfium2.PdfDocument(pdf)[0].render(scale=1.0).to_pil().convert("RGB")).astype(int)
    warmth = page[..., 0] - page[..., 2]
    pictures = page[180:480]  # below the warnings
    assert (pictures.max(axis=-1) < 60).mean() > 0.1  # lungs and surround are dark
    assert (warmth[180:480, 300:] > 60).sum() > 500  # the map, on the right half alone
    assert (warmth[220:480, :290] > 60).sum() == 0


def test_a_failure_to_set_the_page_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    import xrayinterp.report.pdf as module

    monkeypatch.setattr(module, "TEMPLATE", Path(__file__))
    with pytest.raises(XrayInterpError) as caught:
        render_pdf(fake_explanation())
    assert caught.value.code is Code.INTERNAL
