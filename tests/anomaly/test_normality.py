"""What explanations, documents and commands say of gate and unusualness."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.gate_pictures import chest_png, photograph_png
from pydantic import ValidationError
from pypdf import PdfReader

from xrayinterp.anomaly.calibration import Percentile
from xrayinterp.anomaly.gate_record import WARNING
from xrayinterp.anomaly.normality import Normality, known_detector, known_reference, normality_of
from xrayinterp.anomaly.reference import measure
from xrayinterp.anomaly.sensitivity import follows_weights, permuted
from xrayinterp.anomaly.shelf import USUAL_WAY, find
from xrayinterp.cli import main
from xrayinterp.errors import Code
from xrayinterp.explanation import Explanation, explain
from xrayinterp.imaging.reader import read
from xrayinterp.report.content import content
from xrayinterp.report.document import read_document, to_document
from xrayinterp.report.normality_words import NO_FINDING, NO_SIGN, ordinal, percentile_line, place
from xrayinterp.report.pdf import render_pdf
from xrayinterp.ui.unusual import made

Cli = Callable[..., int]


@pytest.fixture(scope="module")
def explained() -> Explanation:
    return explain(read(chest_png(), view="PA"), "compact", anatomy=False)


@pytest.fixture
def cli() -> Cli:
    def run(*words: str | Path) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def films(tmp_path: Path) -> tuple[Path, Path]:
    chest, photograph = tmp_path / "chest.png", tmp_path / "photo.png"
    chest.write_bytes(chest_png())
    photograph.write_bytes(photograph_png())
    return chest, photograph


def codes(explanation: Explanation) -> list[Code]:
    return [warned.code for warned in explanation.warnings]


def test_a_chest_film_passes_and_has_its_percentile(explained: Explanation) -> None:
    found = explained.normality
    assert found is not None and found.gate is not None and found.unusualness is not None
    assert not found.gate.stopped
    assert Code.LOOKS_UNLIKE_CHEST not in codes(explained)
    one = found.unusualness
    parts = sum(point.value + point.direction for point in one.points) + one.offset
    assert parts == pytest.approx(one.score, rel=1e-4)
    assert 0 <= one.percentile.low <= one.percentile.value <= one.percentile.high <= 100
    assert known_detector().calibration.percentile(one.score) == one.percentile


def test_a_photograph_is_explained_all_the_same_and_warned_of() -> None:
    found = explain(read(photograph_png(), view="PA"), "compact", anatomy=False)
    assert codes(found).count(Code.LOOKS_UNLIKE_CHEST) == 1
    assert len(found.predictions) == 14
    assert found.normality is not None and found.normality.gate is not None and found.normality.gate.stopped


def test_nothing_is_asked_where_it_is_not_wanted(explained: Explanation) -> None:
    radiograph = explained.radiograph
    assert explain(radiograph, "compact", methods=(), anatomy=False, normality=False).normality is None
    given = Normality(None, None)
    assert explain(radiograph, "compact", methods=(), anatomy=False, normality=given).normality is given


def test_the_document_holds_both_and_reads_back(explained: Explanation) -> None:
    document = to_document(explained)
    told = read_document(document.to_json()).normality
    assert told is not None and told.gate is not None and told.unusualness is not None
    assert f"{NO_SIGN} {NO_FINDING}" in told.unusualness.words  # at the 90th percentile
    assert not told.gate.stopped
    assert to_document(replace(explained, normality=None)).normality is None
    wrong = json.loads(document.to_json())
    wrong["normality"]["unusualness"]["score"] += 1.0
    with pytest.raises(ValidationError):
        type(document).model_validate(wrong)


def test_the_report_says_it_and_never_speaks_of_illness(explained: Explanation) -> None:
    text = " ".join(page.extract_text() for page in PdfReader(pdf_of(explained)).pages).replace("\n", " ")
    assert "percentile of the No Finding reference" in text
    assert "Not a sign of health" in text


def pdf_of(explained: Explanation):
    import io

    return io.BytesIO(render_pdf(explained))


@pytest.mark.parametrize(
    ("value", "said"),
    [(62.2, "62nd percentile"), (1, "1st"), (11, "11th"), (99.9, "99th"), (0.3, "1st"), (100, "Above"), (0, "Below")],
)  # fmt: skip
def test_percentiles_in_words(value: float, said: str) -> None:
    assert place(Percentile(value, 0, 100)).startswith(said)


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 101)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "101st",
    ]  # fmt: skip


def test_words_never_call_anything_a_disease(explained: Explanation) -> None:
    found = normality_of(explained.radiograph)
    assert found.unusualness is not None
    line = percentile_line(found.unusualness).lower()
    assert not any(word in line for word in ("disease", "ill", "sick", "abnormal", "patholog"))


# ---------------------------------------------------------------------------------------------- reference and trust


def test_the_shipped_reference_is_that_of_the_shipped_detector() -> None:
    reference, model = known_reference(), known_detector()
    assert reference is not None
    assert reference.films == len(model.calibration.scores)
    assert len(reference.value) == len(reference.direction) == len(model.record.settings.scoring)
    assert all(0 <= reference.floors[way] < limit for way, limit in reference.limits.items())
    middle = sum(five[2] for five in (*reference.value, *reference.direction)) + model.record.offset
    assert middle == pytest.approx(float(np.median(model.calibration.scores)), rel=0.1)


def test_a_reference_is_measured_on_images() -> None:
    from helpers.gate_pictures import phantoms

    model = known_detector()
    found = measure(model, phantoms()[:3], ("gradient",))
    parts = model.detector.parts(phantoms()[:3])
    assert found.value[0][2] == pytest.approx(float(parts[:, 0, 0].median()), rel=1e-5)
    assert (found.films, found.maps, set(found.limits)) == (3, 3, {"gradient"})


def test_the_map_has_one_scale_for_all_films_and_is_opened(explained: Explanation) -> None:
    first, second = made(explained.radiograph, "gradient"), made(read(photograph_png()), "gradient")
    assert first.reference == 60
    assert (first.floor, first.limit) == (second.floor, second.limit)
    assert first.values.shape == (128, 128)
    assert not first.set_off(1.01 * (float(first.values.max()) - first.floor) / (first.limit - first.floor)).any()
    lone = replace(first, values=np.zeros((9, 9), np.float32))
    lone.values[4, 4] = first.limit
    assert not lone.set_off(0.5).any()  # a single cell does not outlast the opening
    lone.values[3:6, 4] = lone.values[4, 3:6] = first.limit
    assert lone.set_off(0.5).sum() == 5


def test_the_lamp_permutes_the_cloner_and_leaves_the_detector(explained: Explanation) -> None:
    model = known_detector()
    assert model.detector.learned is not None
    before = {name: tensor.clone() for name, tensor in model.detector.learned.cloner.state_dict().items()}
    reading = follows_weights(model, explained.radiograph)
    assert reading == follows_weights(model, explained.radiograph)
    assert reading.value is not None and -1 <= reading.value <= 1
    for name, tensor in model.detector.learned.cloner.state_dict().items():
        assert bool((tensor == before[name]).all())
    other = next(permuted(model.detector, 0))
    assert other.learned is not None
    key = next(name for name, tensor in before.items() if tensor.ndim == 4)
    assert bool((other.learned.cloner.state_dict()[key].flatten().sort()[0] == before[key].flatten().sort()[0]).all())


def test_the_strip_of_the_map_is_in_explanation_document_and_report(explained: Explanation) -> None:
    lamps = ("follows-weights",)
    found = explain(explained.radiograph, "compact", methods=("gradient",), anatomy=False, trust=lamps)
    assert [strip.method for strip in found.trust] == ["gradient", "unusualness"]
    told = [(one.method, one.lamp) for one in to_document(found).trust]
    assert told == [("gradient", "follows-weights"), ("unusualness", "follows-weights")]
    strips = content(found)["trust"]["strips"]
    assert [strip["method"] for strip in strips] == ["Gradient", "Unusualness, difference"]
    assert found.trust[1].readings[0].details["way"] == USUAL_WAY  # the map that the page draws
    assert explained.trust == ()


# --------------------------------------------------------------------------------------------------------- commands


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_predict_scores_a_photograph_and_warns_of_it(cli: Cli, films: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("predict", *films, "--csv", tmp_path / "t.csv", "--view", "PA") == 0
    chest, photograph = rows(tmp_path / "t.csv")
    assert chest["verdict"] == "ok"
    assert photograph["verdict"] == "warned"
    assert photograph["message"].startswith("looks-unlike-chest: ")
    assert all(np.isfinite(float(photograph[name])) for name in ("Effusion", "Mass"))


def test_the_report_of_a_stopped_film_begins_with_that_and_gives_no_probability(films: tuple[Path, Path]) -> None:
    stopped = content(explain(read(films[1]), "compact", anatomy=False))
    assert stopped["stopped"] == WARNING.message
    assert WARNING.message not in stopped["warnings"]
    assert "The input gate stopped this film: no probability is given." in stopped["summary"]
    assert "robability 0" not in stopped["summary"]
    assert {row["probability"] for row in stopped["findings"]["rows"]} == {"none"}
    passed = content(explain(read(films[0]), "compact", "Effusion", anatomy=False))
    assert passed["stopped"] is None
    assert "Calibrated probability" in passed["summary"]
    assert "none" not in {row["probability"] for row in passed["findings"]["rows"]}


def test_explain_writes_logits_and_the_warning(cli: Cli, films: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("explain", films[1], "--out", tmp_path / "out", "--view", "PA", "--no-anatomy") == 0
    told = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert "looks-unlike-chest" in [warning["code"] for warning in told["warnings"]]
    assert told["normality"]["gate"]["stopped"] is True
    assert len(told["predictions"]) == 14


def test_anomaly_score_says_pass_or_stop(cli: Cli, films: tuple[Path, Path], tmp_path: Path) -> None:
    assert cli("anomaly", "score", *films, "--csv", tmp_path / "s.csv", "--view", "PA") == 0
    chest, photograph = rows(tmp_path / "s.csv")
    assert (chest["gate"], chest["verdict"]) == ("pass", "ok")
    assert (photograph["gate"], photograph["verdict"]) == ("stop", "warned")
    assert float(photograph["percentile"]) > float(chest["percentile"])
    assert find("unusualness").is_file()
