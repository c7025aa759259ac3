"""explain() and predict(): one forward, the right finding, and everything a page needs, on a synthetic film."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fake_explanation import fake_radiograph
from helpers.tiny_model import FINDINGS, atlas, row, severity_model, tiny_model

import xrayinterp.explanation as room
from xrayinterp.attribution import attribute
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.explanation import Explanation, explain, predict, trace
from xrayinterp.models.chest_model import ChestModel, FindingMetrics, OperatingPoint
from xrayinterp.models.prediction import default_finding, predictions
from xrayinterp.models.registry import BUILTIN_ENV

MODEL = tiny_model()
FILM = fake_radiograph()
KNOWN = (atlas(row(0, "Effusion"), row(1, "Mass")),)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))


def logits_of(*values: float) -> torch.Tensor:
    return torch.tensor([values])


SHAPES = {
    "gradient": (64, 64),
    "lrp_zplus": (64, 64),
    "fullgrad": (64, 64),
    "gradcam": (2, 2),
    "gradcam_signed": (2, 2),
}
"""Native grids of some methods' maps for a film of 64 px."""


def test_an_explanation_holds_what_a_page_needs() -> None:
    e = explain(FILM, MODEL, "Mass", SHAPES, atlases=KNOWN, seed=3, reader={"comment": "old film"})
    x = MODEL.prepare(FILM)
    assert (e.model, e.model_sha256, e.task, e.finding, e.fit) == (
        "tiny",
        MODEL.card.sha256,
        "findings",
        "Mass",
        "crop",
    )
    assert [p.finding for p in e.predictions] == list(FINDINGS)
    assert e.semantic.logit == e.predictions[1].logit == pytest.approx(float(MODEL.logits(x)[0, 1]), rel=1e-5)
    assert [m.method for m in e.maps] == list(SHAPES)
    assert {m.method: m.values.shape for m in e.maps} == SHAPES
    assert all(m.values.dtype == np.float32 for m in e.maps)
    assert {name: region.shape for name, region in e.regions.items()} == {"Effusion": (16, 16), "Mass": (16, 16)}
    assert e.model_view.shape == (64, 64)
    assert 0 <= e.model_view.min() < e.model_view.max() <= 1
    np.testing.assert_allclose(e.model_view, (x[0, 0].numpy() + 1) / 2, rtol=1e-6)
    assert (e.reader, e.provenance["seed"], e.severity) == ({"comment": "old film"}, 3, None)


def test_anatomy_is_found_once_handed_on_or_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    e = explain(FILM, MODEL, "Mass", ("gradient",), atlases=KNOWN)
    assert e.anatomy is not None
    assert e.anatomy.square == MODEL.frame(FILM)
    known = e.anatomy.segmentation
    again = explain(FILM, MODEL, "Effusion", ("gradcam_signed",), atlases=KNOWN, anatomy=known)
    assert again.anatomy is not None
    assert again.anatomy.segmentation is known
    assert explain(FILM, MODEL, "Mass", atlases=KNOWN, anatomy=False).anatomy is None
    monkeypatch.setenv(BUILTIN_ENV, str(tmp_path))
    assert explain(FILM, MODEL, "Mass", atlases=KNOWN).anatomy is None  # no segmenter on this machine


def test_its_maps_are_those_of_attribute() -> None:
    e = explain(FILM, MODEL, "Mass", ("gradient", "gradcam_signed"), atlases=KNOWN)
    x = MODEL.prepare(FILM)
    np.testing.assert_array_equal(e.maps[0].values, attribute(MODEL, x, 1, "gradient")[0, 0].numpy())
    full = attribute(MODEL, x, 1, "gradcam_signed")[0, 0].numpy()
    assert e.maps[1].values.sum() * 1024 == pytest.approx(full.sum(), rel=1e-4)
    assert (e.maps[1].signed, e.maps[1].options) == (True, {"layer": None})


def test_a_layer_of_the_model_can_be_named() -> None:
    options = {"gradcam_signed": {"layer": "denseblock3"}}
    e = explain(FILM, MODEL, "Mass", ("gradcam_signed",), options=options, atlases=())
    assert e.maps[0].values.shape == (4, 4)
    assert e.maps[0].options == {"layer": "denseblock3"}
    assert e.provenance["methods"] == options
    last = explain(FILM, MODEL, "Mass", options={"gradcam_signed": {"layer": "norm5"}}, atlases=())
    none = explain(FILM, MODEL, "Mass", atlases=())
    np.testing.assert_allclose(last.maps[0].values, none.maps[0].values, rtol=1e-5, atol=1e-7)


def test_a_further_finding_does_not_run_the_model_again() -> None:
    runs = []

    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.classifier = MODEL.module, MODEL.module.classifier

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            runs.append(1)
            out: torch.Tensor = self.net(x)
            return out

    model = tiny_model(module=Counting().eval())
    shared = trace(FILM, model)
    explained = {
        f: explain(FILM, model, f, ("gradcam", "gradcam_signed"), trace=shared, atlases=KNOWN) for f in FINDINGS
    }
    assert len(runs) == 1
    for finding, e in explained.items():
        fresh = explain(FILM, MODEL, finding, ("gradcam", "gradcam_signed"), atlases=KNOWN)
        assert e.semantic == fresh.semantic
        assert all(np.array_equal(a.values, b.values) for a, b in zip(e.maps, fresh.maps, strict=True))


def test_a_trace_of_something_else_is_refused() -> None:
    shared = trace(FILM, MODEL)
    others: list[dict[str, Any]] = [
        {"radiograph": replace(FILM, sha256="00" * 32), "model": MODEL, "fit": "crop"},
        {"radiograph": FILM, "model": tiny_model(), "fit": "crop"},
        {"radiograph": FILM, "model": MODEL, "fit": "pad"},
    ]
    for other in others:
        with pytest.raises(XrayInterpError, match="another film, model or fit"):
            explain(**other, trace=shared)
    assert explain(FILM.with_view("PA"), MODEL, trace=shared, atlases=()).radiograph.view == "PA"


def test_the_default_finding_is_farthest_above_its_operating_point() -> None:
    points = {**MODEL.operating_points, "Nodule": OperatingPoint(-3.0)}
    model = replace(MODEL, operating_points=points)
    chosen = predictions(model, logits_of(1.0, 0.5, 9.0, -1.0, 8.0))  # Hernia not assessed, Edema without a point
    assert default_finding(model, chosen) == "Nodule"
    without = replace(MODEL, operating_points={})
    assert default_finding(without, predictions(without, logits_of(1.0, 0.5, 9.0, -1.0, 8.0))) == "Edema"
    nothing = replace(without, metrics={name: FindingMetrics(assessed=False) for name in FINDINGS})
    assert default_finding(nothing, predictions(nothing, logits_of(1.0, 0.5, 9.0, -1.0, 8.0))) == "Hernia"


@pytest.mark.parametrize(
    ("logit", "positive", "unsure"),
    [(-0.51, False, False), (-0.5, False, True), (0.24, False, True), (0.25, True, True), (1.0, True, False)],
)
def test_sides_of_the_thresholds(logit: float, positive: bool, unsure: bool) -> None:
    effusion, mass, hernia, _, edema = predictions(MODEL, logits_of(logit, logit, logit, logit, logit))
    assert (mass.positive, mass.unsure, mass.assessed, mass.probability) == (positive, unsure, True, None)
    assert effusion.probability == pytest.approx(1 / (1 + np.exp(-(0.5 * logit - 1))), rel=1e-5)
    assert (hernia.positive, hernia.assessed) == (None, False)
    assert (edema.positive, edema.unsure, edema.operating_point) == (None, False, None)


def test_extreme_logits_have_probabilities() -> None:
    high, low = (predictions(MODEL, logits_of(v, 0, 0, 0, 0))[0].probability for v in (1e4, -1e4))
    assert (high, low) == (1.0, 0.0)


def test_severity_is_clipped_and_summed() -> None:
    model = severity_model()
    e = explain(FILM, model, atlases=())
    assert (e.finding, e.task) == ("global", "severity")
    assert e.severity is not None
    raw = {p.finding: p.logit for p in e.predictions}
    assert e.severity.zones == {zone: min(max(raw[zone], 0.0), 3.0) for zone in "ABCDEF"}
    assert e.severity.total == pytest.approx(sum(e.severity.zones.values()))
    low, high = e.severity.interval or (-1.0, -1.0)
    assert (low, high) == (max(0.0, e.severity.total - 4), min(18.0, e.severity.total + 4))
    assert all(p.probability is None and p.positive is None for p in e.predictions)
    unmeasured = explain(FILM, replace(model, card=replace(model.card, measured={})), atlases=()).severity
    assert unmeasured is not None
    assert unmeasured.interval is None


def test_warnings_of_film_and_model_travel_together() -> None:
    coarse = replace(MODEL, detail=32)
    codes = [w.code for w in explain(FILM, coarse, atlases=(), normality=False).warnings]
    assert codes == [*(w.code for w in FILM.warnings), Code.AP_VIEW, Code.MODEL_DETAIL]
    assert "32 px" in explain(FILM, coarse, atlases=()).warnings[-1].message
    assert [w.code for w in explain(FILM.with_view("PA"), MODEL, atlases=(), normality=False).warnings] == [
        w.code for w in FILM.warnings
    ]


def test_provenance_names_all_that_a_repetition_needs() -> None:
    p = explain(FILM, MODEL, "Mass", fit="pad", atlases=KNOWN).provenance
    assert p["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert set(p["versions"]) == {"python", "xrayinterp", "torch", "numpy"}
    assert (p["recipe"], p["fit"], p["layer"], p["model"]) == (FILM.recipe, "pad", "norm5", "tiny")
    assert p["model_sha256"] == MODEL.card.sha256
    assert p["source_sha256"] == FILM.sha256
    assert p["atlases"] == [{"probe": "chestx-det", "definition": "khakzar2021"}]


def test_predict_agrees_with_explain_and_takes_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def by_name(name: str) -> ChestModel:
        asked.append(name)
        return MODEL

    monkeypatch.setattr(room, "load_model", by_name)
    alone = predict(FILM, "tiny", "pad")
    together = explain(FILM, "tiny", fit="pad", atlases=()).predictions
    assert asked == ["tiny", "tiny"]
    assert [p.logit for p in alone] == pytest.approx([p.logit for p in together], rel=1e-5, abs=1e-6)


def test_the_models_own_atlases_are_found_without_being_asked() -> None:
    from xrayinterp.dissection.io import atlas_folder, save_atlas

    assert explain(FILM, MODEL).semantic.advice is not None
    save_atlas(KNOWN[0], atlas_folder() / "tiny.parquet")
    assert {c.concept for c in explain(FILM, MODEL).semantic.concepts} == {"Effusion", "Mass"}


def test_wrong_use_is_refused_before_the_model_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "Forward", None)
    cases: list[tuple[dict[str, Any], Code]] = [
        ({"finding": "Fibrosis"}, Code.UNKNOWN_FINDING),
        ({"methods": ("gradcam", "nope")}, Code.UNKNOWN_METHOD),
        ({"methods": ("gradcam",), "options": {"gradcam": {"depth": 1}}}, Code.BAD_OPTION),
        ({"methods": ("gradcam",), "options": {"gradient": {}}}, Code.BAD_OPTION),
    ]
    for arguments, code in cases:
        with pytest.raises(XrayInterpError) as caught:
            explain(FILM, MODEL, **arguments)
        assert caught.value.code is code


@pytest.mark.data
def test_both_identities_hold_on_real_radiographs(data_root: Path) -> None:
    from xrayinterp.imaging.reader import read

    films = sorted((data_root / "nih").rglob("*.png"))[:10] or sorted(data_root.rglob("*.png"))[:10]
    assert films
    results: list[Explanation] = [explain(read(path), MODEL, atlases=KNOWN) for path in films]
    assert max(e.semantic.residual for e in results) < 1e-4
    assert max(e.semantic.contrast_residual or 0 for e in results) < 1e-4
