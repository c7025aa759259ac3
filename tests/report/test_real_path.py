"""From a film to its report through explain() itself: what the room above gives is what this room can write."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from helpers.fake_explanation import fake_radiograph
from helpers.tiny_model import atlas, row, severity_model, tiny_model
from pypdf import PdfReader

from xrayinterp.attribution import METHODS
from xrayinterp.datasets.films import load_films
from xrayinterp.explanation import explain
from xrayinterp.imaging.reader import read
from xrayinterp.report.content import content
from xrayinterp.report.document import read_document, to_document
from xrayinterp.report.pdf import render_pdf


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))


@pytest.mark.parametrize("task", ["findings", "severity"])
def test_what_explain_gives_can_be_written(task: str) -> None:
    model = tiny_model() if task == "findings" else severity_model()
    atlases = (atlas(row(0, "Effusion"), row(1, "Mass")),) if task == "findings" else ()
    explanation = explain(fake_radiograph(), model, methods=METHODS, atlases=atlases)
    document = to_document(explanation)
    assert read_document(document.to_json()) == document
    assert [m.method for m in document.maps] == list(METHODS)
    assert (document.severity is not None) == (task == "severity")
    assert len(PdfReader(io.BytesIO(render_pdf(explanation))).pages) >= 3


@pytest.mark.data
def test_real_films_become_reports(data_root: Path) -> None:
    model = tiny_model()
    for film in load_films("nih", root=data_root, splits=["test"])[:3]:
        explanation = explain(read(film.path, view="PA"), model)
        assert to_document(explanation).view == "PA"
        text = PdfReader(io.BytesIO(render_pdf(explanation))).pages[0].extract_text()
        assert "as confirmed by the reader" in text
        assert explanation.radiograph.sha256 in text.replace("\n", "")


def test_provenance_of_the_built_in_atlases_fits_on_a_line_each() -> None:
    explanation = explain(fake_radiograph(), "compact", methods=("gradcam_signed",))
    atlases = explanation.provenance["atlases"]
    assert [one["probe"] for one in atlases] == ["chestx-det", "covid-segmentation"]
    rows = dict(content(explanation)["provenance"])
    told = {name: text for name, text in rows.items() if name.startswith("Atlas ")}
    assert list(told) == ["Atlas chestx-det", "Atlas covid-segmentation"]
    assert all("films of" in text and "permutations" in text for text in told.values())
    assert max(map(len, rows.values())) < 250
