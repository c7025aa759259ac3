"""Gate and unusualness on the pages, without a browser, by the weights that are installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.gate_pictures import chest_png, photograph_png
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"
ANOMALY = "xrayinterp/ui/pages/anomaly.py"
NOT_A_CHEST = "This does not look like a frontal chest radiograph"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))
    at = AppTest.from_file(str(APP), default_timeout=120).run()
    assert not at.exception
    return at


def upload(at: AppTest, *files: tuple[str, bytes]) -> AppTest:
    at.file_uploader[0].set_value([(name, data, "application/octet-stream") for name, data in files])
    at.run()
    assert not at.exception
    return at


def text(at: AppTest) -> str:
    return "\n".join(element.proto.body for element in at.get("html"))


def charts(at: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def button(at: AppTest, label: str):
    return next(one for one in at.button if one.label == label)


def test_a_photograph_waits_and_is_shown_when_asked_for(app: AppTest) -> None:
    at = upload(app, ("photo.png", photograph_png()), ("film.png", chest_png()))
    assert NOT_A_CHEST in text(at)
    assert "logit is made of" not in text(at)
    assert charts(at) == []
    assert "Is it PA or AP?" not in text(at)
    assert "looks-unlike-chest" in text(at)  # in the table of files
    at = button(at, "Show anyway").click().run()
    assert "logit is made of" in text(at)
    assert "no score on it means anything" in text(at)
    at = button(at, "Hide scores").click().run()
    assert "logit is made of" not in text(at)
    case = at.session_state["case"]
    case.show(case.films[1].sha256)
    at.run()
    assert NOT_A_CHEST not in "".join(e.proto.body for e in at.get("html") if "xi-gate" in e.proto.body)
    assert "percentile of the No Finding reference. Not a sign of health." in text(at)


def test_a_photograph_waits_beside_another_film_too(app: AppTest) -> None:
    at = upload(app, ("film.png", chest_png()), ("photo.png", photograph_png()))
    at.switch_page("xrayinterp/ui/pages/compare.py").run()
    next(c for c in at.get("button_group") if c.key == "comparing").set_value("films")
    at.run()
    assert not at.exception
    assert "One of these films waits." in text(at)
    assert "Change of each logit" not in text(at)


@pytest.mark.parametrize("place", ["compare", "pathways", "anomaly"])
def test_scores_of_a_photograph_wait_on_every_page(app: AppTest, place: str) -> None:
    at = upload(app, ("photo.png", photograph_png()))
    at = at.switch_page(f"xrayinterp/ui/pages/{place}.py").run()
    assert not at.exception
    assert NOT_A_CHEST in text(at)
    assert charts(at) == []


def test_the_map_of_unusualness_is_made_when_asked_for(app: AppTest) -> None:
    at = upload(app, ("film.png", chest_png()))
    assert "It is about no single finding" not in text(at)
    at = next(one for one in at.toggle if one.label == "Unusualness").set_value(True).run()
    assert not at.exception
    assert "It is about no single finding" in text(at)
    assert "How far this map can be trusted" not in text(at)
    assert "Points at outlined findings only weakly" in text(at)
    at = button(at, "Measure whether this map follows what was learned (four maps)").click().run()
    assert "Follows the weights" in text(at)
    assert any(one.label == "Map as PNG: Grad-CAM, signed" for one in at.get("download_button"))
    case = at.session_state["case"]
    case.draw("gradient")
    at.run()
    assert not at.exception
    assert not next(one for one in at.toggle if one.label == "Unusualness").value
    assert "It is about no single finding" not in text(at)


def test_the_page_anomaly(app: AppTest) -> None:
    at = upload(app, ("film.png", chest_png()))
    at = at.switch_page(ANOMALY).run()
    assert not at.exception
    assert "What normal means here" in text(at)
    assert "Not a sign of health." in text(at)
    assert "95 % interval" in text(at)
    assert "AUROC 0.61" in text(at)
    assert "disease" not in text(at).lower()
    marks = [note.get("text") for chart in charts(at) for note in chart["layout"].get("annotations", [])]
    assert "this film" in marks
    assert "Last block, direction" in marks
    for way in ("gradient", "smoothgrad", "guided", "difference"):
        at.session_state["case"].way = way
        at.run()
        assert not at.exception
        assert "One scale for all films" in text(at)
        assert ("Shows structure" in text(at)) is (way == "guided")
        assert ("is the same for every film" in text(at)) is (way != "difference")
    before = text(at)
    at = at.slider[0].set_value(5).run()
    assert text(at) != before


def test_nothing_is_open(app: AppTest) -> None:
    at = app.switch_page(ANOMALY).run()
    assert not at.exception
    assert "Open a chest radiograph" in text(at)
