"""Every state of the pages, without a browser."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.dx_factory import Encoding, dx, ramp, to_bytes
from helpers.fake_explanation import fake_radiograph
from helpers.unit_facts import some_facts
from PIL import Image
from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"


def png(seed: int = 0) -> bytes:
    film = fake_radiograph().display.copy()
    film[0, 0] = seed
    out = io.BytesIO()
    Image.fromarray(film).save(out, format="PNG")
    return out.getvalue()


def text(at: AppTest) -> str:
    return "\n".join(element.proto.body for element in at.get("html"))


def upload(at: AppTest, *files: tuple[str, bytes]) -> AppTest:
    uploader = at.file_uploader[0]
    uploader.set_value([(name, data, "application/octet-stream") for name, data in files])
    return at.run()


def charts(at: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def picker(at: AppTest, label: str):
    return next(box for box in at.selectbox if box.label == label)


@pytest.fixture
def app(small_models: Path) -> AppTest:
    at = AppTest.from_file(str(APP), default_timeout=120).run()
    assert not at.exception
    return at


@pytest.fixture
def opened(app: AppTest) -> AppTest:
    at = upload(app, ("film.png", png()))
    assert not at.exception
    return at


def test_empty(app: AppTest):
    assert "Open a chest radiograph" in text(app)
    assert "Research use only. Not for diagnosis." in text(app)
    assert charts(app) == []
    assert app.session_state["case"].films == []


def test_uploaded_film_is_explained_without_a_click(opened: AppTest):
    case = opened.session_state["case"]
    assert case.film is not None
    assert case.film.file == "film.png"
    assert "logit is made of" in text(opened)
    assert len(charts(opened)) >= 2
    assert "This model saw 128 px" in text(opened)
    assert "Research use only. Not for diagnosis." in text(opened)


def test_the_uploader_forgets_the_bytes(opened: AppTest):
    assert opened.session_state["case"].uploads == 1
    assert all(not uploader.value for uploader in opened.file_uploader)


def test_a_refused_file_is_a_calm_panel_not_a_traceback(app: AppTest):
    at = upload(app, ("notes.txt", b"hello"))
    assert not at.exception
    assert "notes.txt" in text(at)
    assert "not-an-image" in text(at)
    assert "Traceback" not in text(at)
    assert at.session_state["case"].film is None


def test_several_files_become_a_table_and_one_is_on_screen(app: AppTest):
    at = upload(app, ("a.png", png(1)), ("b.txt", b"nothing"), ("c.png", png(2)), ("again.png", png(1)))
    case = at.session_state["case"]
    assert [film.verdict for film in case.opened] == ["warned", "not-an-image", "warned"]
    assert case.film.file == "a.png"
    assert picker(at, "Film").options == ["a.png · view not known", "c.png · view not known"]
    assert "not-an-image" in text(at)
    at = picker(at, "Film").set_value(case.films[1].sha256).run()
    assert at.session_state["case"].film.file == "c.png"
    assert not at.exception


def test_markup_in_a_file_name_is_only_a_name(app: AppTest):
    at = upload(app, ("<img src=x>.txt", b"no"))
    assert "<img src=x>" not in text(at)
    assert "&lt;img src=x&gt;" in text(at)


def test_a_dicom_gives_its_view_and_an_ap_film_its_caution(app: AppTest):
    film = dx(ramp(256, 256), Encoding("MONOCHROME1"), ViewPosition="AP", PatientOrientation=["L", "F"])
    at = upload(app, ("film.dcm", to_bytes(film)))
    assert not at.exception
    assert "AP view: heart size is overestimated." in text(at)
    assert picker(at, "Film").options == ["film.dcm · AP, from header"]
    assert not [button for button in at.button if button.label == "AP"]


def test_the_view_is_asked_for_confirmed_and_corrected(opened: AppTest):
    assert "Is it PA or AP?" in text(opened)
    at = next(button for button in opened.button if button.label == "AP").click().run()
    assert "Is it PA or AP?" not in text(at)
    assert "heart size is overestimated" in text(at)
    assert at.session_state["case"].radiograph.view_from == "reader"
    at = at.radio[0].set_value("PA").run()
    assert "heart size is overestimated" not in text(at)
    assert not at.exception


def test_a_reader_who_cannot_tell_the_view_is_not_asked_again_but_reminded(opened: AppTest):
    at = next(button for button in opened.button if button.label == "Not known").click().run()
    assert "Is it PA or AP?" not in text(at)
    assert "could not tell the view" in text(at)
    assert not at.exception


def test_another_finding_is_explained(opened: AppTest):
    before = picker(opened, "Finding to explain").value
    other = "Cardiomegaly" if before != "Cardiomegaly" else "Effusion"
    at = picker(opened, "Finding to explain").select(other).run()
    assert f"What the {other} logit is made of" in text(at)
    assert not at.exception


def test_an_unassessed_finding_is_explained_and_not_flagged(opened: AppTest):
    at = picker(opened, "Finding to explain").select("Hernia").run()
    assert "What the Hernia logit is made of" in text(at)
    hernia = next(s for s in charts(at) if "Hernia" in s["data"][0]["customdata"])
    line = hernia["data"][0]["customdata"].index("Hernia")
    assert hernia["data"][3]["marker"]["color"][line] != "#f0993b"


def test_from_zero_shows_the_bias_and_sums_to_the_logit(opened: AppTest):
    assert "Above normal films" in text(opened) or "Below normal films" in text(opened)
    at = opened.toggle[0].set_value(True).run()
    assert "concepts + no concept + bias" in text(at)
    labels = [a["text"] for s in charts(at) for a in s["layout"]["annotations"]]
    assert "Bias" in labels


def test_a_concept_can_be_outlined_and_taken_off_again(opened: AppTest):
    at = picker(opened, "Outline on the film").set_value("Effusion").run()
    assert at.session_state["case"].concept == "Effusion"
    assert not at.exception
    marked = [
        name
        for s in charts(at)
        for name, c in zip(s["data"][0]["customdata"], s["data"][0]["marker"]["color"], strict=True)
        if "0.16" in c
    ]
    assert "Effusion" in marked
    at = picker(at, "Outline on the film").set_value("").run()
    assert at.session_state["case"].concept is None


def at_block_3(at: AppTest) -> AppTest:
    """The panel at the earlier layer, once it is measured."""
    next(c for c in at.get("button_group") if c.key.startswith("layer-")).set_value("denseblock3")
    at.run()
    at.session_state["alongside"].wait(60)
    return at.run()


def test_an_earlier_layer_is_measured_twice_and_outlined_on_a_finer_grid(opened: AppTest):
    at = at_block_3(opened)
    assert not at.exception
    assert "disagree on the sign" in text(at) or "agree on the sign" in text(at)
    assert "is not explained" in text(at)
    assert "parts sum to it" not in text(at)
    found = at.session_state["alongside"].results[0]
    bars = next(s for s in charts(at) if "Effusion" in s["data"][0]["customdata"] and "" in s["data"][0]["customdata"])
    assert bars["data"][0]["customdata"] == [c.concept for c in found.measures[1].concepts] + [""]
    at = picker(at, "Outline on the film").set_value("Effusion").run()
    assert at.session_state["case"].concept == "Effusion"
    assert not at.exception
    assert found.regions["Effusion"].shape == (8 * 14, 8 * 14)
    at = at.toggle[0].set_value(True).run()
    assert "From zero: units are taken out by silencing them." in text(at)
    at = picker(at, "Finding to explain").select("Hernia").run()
    assert at.session_state["alongside"] is not None
    assert at.session_state["case"].layer == "denseblock3"
    at = picker(at, "Model").select("brixia").run()  # no names at any layer
    assert not at.exception
    assert at.session_state["case"].layer is None
    assert not [c for c in at.get("button_group") if c.key.startswith("layer-")]


def test_another_method_and_the_whole_film(opened: AppTest):
    at = opened
    at.session_state["case"].method = "gradient"
    at = at.run()
    assert not at.exception
    fit = next(radio for radio in at.radio if radio.label == "What the model sees")
    at = fit.set_value("pad").run()
    assert at.session_state["case"].fit == "pad"
    assert not at.exception


def test_severity_has_zones_a_total_and_its_own_licence(opened: AppTest):
    at = picker(opened, "Model").select("brixia").run()
    assert not at.exception
    assert "of 18" in text(at)
    assert "Research only, non-commercial" in text(at)
    assert "score is made of" in text(at)
    assert "xrayinterp dissect" in text(at)  # no atlas: how to make one


def test_missing_weights_leave_the_film_on_screen(opened: AppTest, monkeypatch: pytest.MonkeyPatch):
    at = picker(opened, "Model").select("weak").run()
    assert not at.exception
    assert "weights-missing" in text(at)
    assert at.session_state["case"].film is not None
    at = picker(at, "Model").select("compact").run()
    assert "logit is made of" in text(at)


def test_reader_words_travel_with_the_export(opened: AppTest):
    at = next(field for field in opened.text_input if field.label == "Reference").set_value("R-7").run()
    at = next(field for field in at.text_area if field.label == "Comment").set_value("blunt angle").run()
    assert at.session_state["case"].note.spoken() == {"reference": "R-7", "comment": "blunt angle"}
    assert not at.exception
    assert [button.proto.label for button in at.get("download_button")][-3:] == ["Export PDF", "JSON", "Map as PNG"]


def test_closing_forgets_everything(opened: AppTest):
    at = next(button for button in opened.button if button.label == "Close all films").click().run()
    case = at.session_state["case"]
    assert (case.opened, case.notes, case.sha256) == ([], {}, None)
    assert "Open a chest radiograph" in text(at)


def test_a_synthetic_example_opens_with_its_view(app: AppTest):
    at = next(button for button in app.button if button.label.endswith("AP")).click().run()
    assert not at.exception
    assert at.session_state["case"].radiograph.view == "AP"
    assert "heart size is overestimated" in text(at)


def test_the_film_has_its_anatomy_in_words(app: AppTest):
    at = next(button for button in app.button if button.label.endswith("AP")).click().run()
    assert not at.exception
    said = text(at)
    assert "Cardiothoracic ratio" in said
    assert "the usual limit of 0.50 does not apply" in said
    assert "of the map lies in the lungs" in said
    assert "research only" in said


def test_a_page_without_a_segmenter_has_no_words_of_anatomy(app: AppTest, small_models: Path):
    hidden = (small_models / "builtin" / "segmenter").rename(small_models / "segmenter")
    try:
        at = upload(app, ("film.png", png(5)))
    finally:
        hidden.rename(small_models / "builtin" / "segmenter")
    assert not at.exception
    assert "logit is made of" in text(at)
    assert "Cardiothoracic" not in text(at)


def test_public_examples_offline_are_declined_kindly(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XRAYINTERP_EXAMPLES_URL", "http://127.0.0.1:9/")
    at = next(button for button in app.button if button.label == "Fetch public examples").click().run()
    assert not at.exception
    assert "xi-problem" in text(at)
    assert "offline" in text(at)


def test_nothing_is_written_of_a_film(opened: AppTest, small_models: Path):
    kept = {path.name for path in (small_models / "cache").rglob("*") if path.is_file()}
    assert kept == {"compact.parquet"}


def test_models_page_lists_every_model_and_what_is_known(app: AppTest):
    at = app.switch_page("xrayinterp/ui/pages/models.py").run()
    assert not at.exception
    for name in ("compact", "brixia", "weak", "nih", "chexpert", "all"):
        assert f">{name}<" in text(at)
    assert "0.75 (0.70–0.80)" in text(at)
    assert "0.500 (0.400 to 0.600)" in text(at)
    assert "not reliably" in text(at)
    assert "Research use only. Not for diagnosis." in text(at)


def test_cards_tell_shortcut_units_and_what_could_not_be_found(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    facts = some_facts()
    monkeypatch.setattr("xrayinterp.ui.cards.unit_facts_for", lambda entry: facts if entry.name == "compact" else None)
    at = app.switch_page("xrayinterp/ui/pages/models.py").run()
    assert not at.exception
    assert [box.label for box in at.expander].count("Units: concepts and shortcuts") == 1
    assert "burnt-in text: 1 unit fires on them: 3." in text(at)
    assert "with the probe one: Marker. A count of 0 says nothing of these." in text(at)
    assert "Disc (p)" in text(at)


def test_fetching_offline_names_file_place_and_alternative(app: AppTest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XRAYINTERP_WEIGHTS_URL", "http://127.0.0.1:9/")
    at = app.switch_page("xrayinterp/ui/pages/models.py").run()
    at = next(button for button in at.button if button.label == "Fetch nih").click().run()
    assert not at.exception
    assert "weights-offline" in text(at)
    assert "compact" in text(at)
    assert "nih-densenet121" in text(at)


def test_importing_something_that_is_no_network_is_refused(app: AppTest):
    at = app.switch_page("xrayinterp/ui/pages/models.py").run()
    at.file_uploader[0].set_value(("evil.pt", b"\x80\x04not a network.", "application/octet-stream"))
    at = at.run()
    at = next(button for button in at.button if button.label == "Import").click().run()
    assert not at.exception
    assert "xi-problem" in text(at)


def test_a_film_far_from_square_is_read(app: AppTest):
    out = io.BytesIO()
    Image.fromarray(np.tile(np.arange(0, 240, dtype=np.uint8), (600, 1))).save(out, format="PNG")
    at = upload(app, ("tall.png", out.getvalue()))
    assert not at.exception
    assert at.session_state["case"].film is not None
