from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.fake_explanation import fake_explanation, fake_layer, fake_severity_explanation

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.explanation import Explanation
from xrayinterp.report.document import Document, read_document, schema, to_document

FIELDS = {
    "source": {"sha256", "kind"},
    "model": {"name", "sha256"},
    "semantic": {"layer", "logit", "bias", "unlabelled", "reference", "concepts"},
    "provenance": {"versions", "seed"},
}


@pytest.fixture(params=["findings", "severity", "no reference"])
def explanation(request: pytest.FixtureRequest) -> Explanation:
    if request.param == "severity":
        return fake_severity_explanation()
    return fake_explanation(reference=request.param == "findings")


def strict(text: str) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return document


def test_every_promised_field_is_there(explanation: Explanation) -> None:
    document = strict(to_document(explanation, {"gradcam": Path("a/gradcam.npy")}).to_json())
    assert document["schema_version"] == "1.0"
    for part, names in FIELDS.items():
        assert names <= document[part].keys()
    for name in ("recipe", "view", "finding", "severity", "trust", "warnings"):
        assert name in document
    for prediction in document["predictions"]:
        assert {"finding", "logit", "probability", "calibration", "operating_point", "positive", "assessed"} <= (
            prediction.keys()
        )
    for concept in document["semantic"]["concepts"]:
        assert {"concept", "contribution", "above", "contrast", "units"} <= concept.keys()
        for unit in concept["units"]:
            assert {"unit", "contribution", "iou", "ceiling"} <= unit.keys()
    assert [m["path"] for m in document["maps"]] == [None, "a/gradcam.npy"]
    assert all({"method", "path", "signed", "options"} == set(m) for m in document["maps"])
    assert all({"code", "message"} == set(w) for w in document["warnings"])


def test_parts_in_the_text_sum_to_the_logit(explanation: Explanation) -> None:
    semantic = strict(to_document(explanation).to_json())["semantic"]
    total = sum(c["contribution"] for c in semantic["concepts"]) + semantic["unlabelled"] + semantic["bias"]
    assert total == pytest.approx(semantic["logit"], rel=1e-4)
    for concept in semantic["concepts"]:
        assert sum(u["contribution"] for u in concept["units"]) == pytest.approx(concept["contribution"])


def test_contrast_is_null_without_a_reference_and_sums_with_one() -> None:
    bare = to_document(fake_explanation(reference=False)).semantic
    assert bare.reference is None
    assert {concept.contrast for concept in bare.concepts} == {None}
    semantic = to_document(fake_explanation()).semantic
    assert semantic.reference is not None
    total = sum(c.contrast or 0 for c in semantic.concepts) + semantic.reference.unlabelled_contrast
    assert total == pytest.approx(semantic.logit - semantic.reference.logit)


def test_further_layers_are_there_only_where_asked_for() -> None:
    assert "layers" not in strict(to_document(fake_explanation()).to_json())
    explanation = fake_explanation(layers=(fake_layer(),))
    document = strict(to_document(explanation).to_json())
    (layer,) = document["layers"]
    zero, normal = layer["measures"]
    assert (zero["baseline"], normal["baseline"], zero["described"]) == ("zero", "normal-mean", None)
    assert [c["same_sign"] for c in zero["concepts"]] == [True, True, False]
    total = sum(c["gradient_x_activation"] for c in (*zero["concepts"], zero["unlabelled"]))
    assert total == pytest.approx(zero["total"]["gradient_x_activation"])
    for part in (*zero["concepts"], *zero["units"], zero["total"]):
        assert part["difference"] == pytest.approx(part["ablation"] - part["gradient_x_activation"])
    assert read_document(json.dumps(document)) == to_document(explanation)
    document["layers"][0]["measures"][0]["total"]["gradient_x_activation"] += 1
    with pytest.raises(XrayInterpError, match="the layer's"):
        read_document(json.dumps(document))


def test_reading_back_gives_the_same_document_and_text(explanation: Explanation) -> None:
    document = to_document(explanation)
    again = read_document(document.to_json())
    assert again == document
    assert again.to_json() == document.to_json()


def test_calibration_and_severity_are_named_as_promised() -> None:
    first = strict(to_document(fake_explanation()).to_json())
    assert first["severity"] is None
    assert first["predictions"][0]["calibration"].keys() == {"set", "prevalence", "ece"}
    # pydantic's own writer uses the same names
    severity = strict(to_document(fake_severity_explanation()).model_dump_json())["severity"]
    assert severity.keys() == {"zones", "global", "interval"}
    assert list(severity["zones"]) == list("ABCDEF")


def test_predictions_without_calibration_point_or_metrics() -> None:
    prediction = to_document(fake_severity_explanation()).predictions[0]
    assert (prediction.probability, prediction.calibration, prediction.operating_point) == (None, None, None)
    assert (prediction.auroc, prediction.positive) == (None, None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_figure_but_a_finite_one(value: float) -> None:
    explanation = fake_explanation()
    broken = replace(explanation.predictions[3], logit=value)
    with pytest.raises(XrayInterpError, match=r"predictions\.3\.logit") as caught:
        to_document(replace(explanation, predictions=(*explanation.predictions[:3], broken)))
    assert caught.value.code is Code.INTERNAL
    for place in ({"maps": (replace(explanation.maps[0], options={"x": value}),)}, {"provenance": {"deep": [value]}}):
        with pytest.raises(XrayInterpError):
            to_document(replace(explanation, **place))


def test_parts_that_do_not_sum_up_are_refused() -> None:
    explanation = fake_explanation()
    wrong = replace(explanation.semantic, unlabelled=explanation.semantic.unlabelled + 0.01)
    with pytest.raises(XrayInterpError, match="concepts \\+ unlabelled \\+ bias give"):
        to_document(replace(explanation, semantic=wrong))
    wrong = replace(explanation.semantic, reference_logit=9.0)
    with pytest.raises(XrayInterpError, match="the contrasts give"):
        to_document(replace(explanation, semantic=wrong))


def test_options_and_provenance_of_any_kind_become_plain() -> None:
    explanation = fake_explanation()
    odd = {"path": Path("x"), "array": np.arange(3), "scalar": np.float32(0.5), "set": {"b", "a"}, "code": Code.BLANK}
    document = to_document(replace(explanation, maps=(replace(explanation.maps[0], options=odd),), provenance=odd))
    plain = {"path": "x", "array": [0, 1, 2], "scalar": 0.5, "set": ["a", "b"], "code": "blank"}
    assert document.maps[0].options == plain
    assert document.provenance.model_dump() == {"versions": {}, "seed": None, **plain}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(extra=1),
        lambda d: d.update(schema_version="2.0"),
        lambda d: d["semantic"].update(bias=99.0),
        lambda d: d["source"].update(sha256="../etc"),
        lambda d: d["predictions"][0].update(probability=1.5),
        lambda d: d.pop("warnings"),
    ],
)
def test_a_document_that_was_tampered_with_is_refused(change: Any) -> None:
    document = strict(to_document(fake_explanation()).to_json())
    change(document)
    with pytest.raises(XrayInterpError) as caught:
        read_document(json.dumps(document))
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.parametrize("text", ["", "[]", "null", '{"schema_version": NaN}'])
def test_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(XrayInterpError):
        read_document(text)


def test_the_schema_describes_the_text() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema())
    validator = jsonschema.Draft202012Validator(schema())
    for explanation in (fake_explanation(), fake_severity_explanation()):
        validator.validate(strict(to_document(explanation).to_json()))
    assert list(Document.model_fields)[:2] == ["schema_version", "source"]


def test_reader_text_survives_in_any_script() -> None:
    typed = {"comment": 'Ünïcode 山田 "quoted"\nline two', "reference": "\u202e"}
    document = to_document(fake_explanation(reader=typed))
    assert read_document(document.to_json()).reader == typed
