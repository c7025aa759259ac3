"""The trust strip on a model whose cause is known, on small random nets, and on real films."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.closed_form import snapshot
from helpers.fake_explanation import fake_explanation, fake_radiograph, fake_trust
from helpers.films import film_png
from helpers.lit_model import extra_methods, lit_film, lit_model
from helpers.small_models import write_small_builtin
from helpers.tiny_model import FINDINGS, atlas, row, severity_model, tiny_model

from xrayinterp.attribution import Forward
from xrayinterp.cli import main
from xrayinterp.dissection.atlas import Atlas
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.lamps import LAMPS, Reading
from xrayinterp.evaluation.perturbation import RIVALS
from xrayinterp.evaluation.trust import map_trust, trust_strip
from xrayinterp.explanation import explain, trace
from xrayinterp.imaging.geometry import Fit
from xrayinterp.imaging.reader import read
from xrayinterp.models.chest_model import ChestModel, OperatingPoint
from xrayinterp.models.zoo import load_model
from xrayinterp.report.document import read_document, to_document

FILM = fake_radiograph()
KNOWN = (atlas(row(0, "Effusion"), row(1, "Mass")),)
LOW = {name: OperatingPoint(-100.0) for name in FINDINGS}
"""Operating points that flag everything."""


@dataclass(frozen=True, eq=False)
class Run:
    """A trace of a tensor, without a film."""

    model: ChestModel
    forward: Forward
    atlases: tuple[Atlas, ...] = ()
    fit: Fit = "crop"

    @property
    def logits(self) -> torch.Tensor:
        return self.forward.cut().logits.detach()

    @property
    def maps(self) -> torch.Tensor:
        return self.forward.cut().maps.detach()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path))


@pytest.fixture
def extra() -> Iterator[None]:
    with extra_methods():
        yield


def lit_run(outputs: int = 3, threshold: float = 0.5) -> Run:
    model = lit_model(outputs, threshold)
    return Run(model, Forward(model, lit_film()))


def flagged(**changes: object) -> ChestModel:
    return tiny_model(operating_points=LOW, **changes)


def strip(run: Run, finding: str, method: str, **settings: object) -> dict[str, Reading]:
    return {reading.lamp: reading for reading in map_trust(run, finding, method, **settings).readings}


# ---------------------------------------------------------------------------------------------------------- known truth


def test_the_map_of_the_cause_passes() -> None:
    readings = strip(lit_run(), "Bright", "gradcam_signed")
    assert list(readings) == list(LAMPS)
    assert readings["faithful"].state == "good"
    assert readings["faithful"].value == pytest.approx(1, abs=0.06)  # ties at the fraction where both fill everything
    assert readings["faithful"].reference == 0.5
    assert readings["follows-finding"].state == "good"
    assert readings["follows-finding"].details["negated"] == -1
    assert readings["follows-finding"].details["negated_by_construction"] is True
    assert readings["stable"].state == "good"
    assert readings["stable"].value is not None
    assert readings["stable"].reference is not None
    assert readings["stable"].value > 0.9 > readings["stable"].reference


def test_drops_of_the_cause_are_those_of_hand(extra: None) -> None:
    details = strip(lit_run(), "Bright", "gradcam_signed", lamps=["faithful"])["faithful"].details
    top = [round(share * 1024) for share in details["fractions"]]
    assert len(top) == 8
    np.testing.assert_allclose(details["drops"]["mean"], [40 * min(n, 64) / 1024 for n in top], rtol=1e-4)
    assert details["rivals"] == RIVALS


def test_random_maps_are_at_chance_and_follow_nothing(extra: None) -> None:
    values = []
    for draw in range(12):
        reading = strip(lit_run(), "Bright", "noise", options={"draw": draw}, lamps=["faithful"], seed=draw)["faithful"]
        assert reading.value is not None
        values.append(reading.value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.12)  # its standard error is 0.03 to 0.06
    readings = strip(lit_run(), "Bright", "noise")
    assert readings["follows-finding"].value == 1.0  # the same noise for every finding
    assert readings["follows-finding"].state == "bad"
    assert readings["stable"].state == "bad"
    assert abs(readings["stable"].value or 1) < 0.1


def test_an_edge_detector_follows_neither_weights_nor_finding_exactly(extra: None) -> None:
    readings = strip(lit_run(), "Bright", "outline")
    for lamp in ("follows-weights", "follows-finding"):
        assert (readings[lamp].value, readings[lamp].state) == (1.0, "bad")
        assert "{" not in readings[lamp].words
    stages = readings["follows-weights"].details["stages"]
    assert all(stage["ssim"] == stage["spearman"] == stage["spearman_abs"] == 1.0 for stage in stages)
    assert readings["follows-weights"].reference is not None
    assert readings["follows-weights"].reference < 0.5


def test_a_constant_map_is_not_measurable(extra: None) -> None:
    readings = strip(lit_run(), "Bright", "flat")
    for lamp in ("follows-weights", "follows-finding", "stable", "faithful"):
        assert (readings[lamp].state, readings[lamp].value, readings[lamp].reference) == ("not-measurable", None, None)
        assert "same everywhere" in readings[lamp].words
    assert "does not split" in readings["covered-by-concepts"].words


def test_a_model_of_one_output_has_minus_its_logit_only() -> None:
    (reading,) = trust_strip(lit_run(1), "Bright", "gradcam_signed", lamps=["follows-finding"])
    assert (reading.state, reading.value) == ("by-construction", -1.0)
    assert "by construction" in reading.words
    (reading,) = trust_strip(lit_run(1), "Bright", "gradcam", lamps=["follows-finding"])
    assert reading.state in {"good", "not-measurable"}  # max(0, -map) is elsewhere, or nowhere


def test_a_score_that_moves_with_the_film_says_nothing_of_the_map() -> None:
    model = lit_model()
    edge = torch.full((1, 1, 32, 32), -0.2)
    edge[..., :3, :] = 1.0
    (reading,) = trust_strip(Run(model, Forward(model, edge)), "Bright", "gradcam_signed", lamps=["stable"])
    assert reading.details["score_changes"]["noise"] == pytest.approx(0, abs=0.3)
    assert len(reading.details["spearman"]) == 1  # the shifts moved the score by far more than half a logit
    assert list(reading.details["spearman"]) == ["noise"]


# ---------------------------------------------------------------------------------------------- what cannot be measured


def test_a_finding_the_model_does_not_claim_is_not_measurable() -> None:
    readings = strip(lit_run(threshold=1000.0), "Bright", "gradient")
    assert list(readings) == list(LAMPS)
    assert {reading.state for reading in readings.values()} == {"not-measurable"}
    assert all("not flagged" in reading.words and "1000.00" in reading.words for reading in readings.values())
    unassessed = strip(Run(flagged(), Forward(flagged(), torch.rand(1, 1, 64, 64))), "Hernia", "gradient")
    assert all("not reliably assessed" in reading.words for reading in unassessed.values())
    pointless = tiny_model()
    readings = strip(Run(pointless, Forward(pointless, torch.rand(1, 1, 64, 64))), "Edema", "gradient")
    assert all("no operating point" in reading.words for reading in readings.values())


def test_a_severity_score_is_claimed_on_every_film() -> None:
    model = severity_model()
    run = Run(model, Forward(model, torch.rand(1, 1, 64, 64)))
    (reading,) = trust_strip(run, "global", "gradient", lamps=["follows-weights"])
    assert reading.value is not None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("Rickets", "gradient"), Code.UNKNOWN_FINDING),
        (("Bright", "crystal"), Code.UNKNOWN_METHOD),
        (("Bright", "gradient", {"layer": "norm5"}), Code.BAD_OPTION),
    ],
)
def test_misspelt_requests_are_refused_before_anything_runs(arguments: tuple[object, ...], code: Code) -> None:
    with pytest.raises(XrayInterpError) as refused:
        trust_strip(lit_run(), *arguments)  # type: ignore[arg-type]
    assert refused.value.code is code


# ------------------------------------------------------------------------------------------------------- how it behaves


def test_readings_come_one_by_one_and_stop_when_asked() -> None:
    run, stop = lit_run(), []
    readings = trust_strip(run, "Bright", "gradient", cancelled=lambda: bool(stop))
    assert next(readings).lamp == "follows-weights"
    stop.append(1)
    assert list(readings) == []
    assert list(trust_strip(run, "Bright", "gradient", cancelled=lambda: True)) == []
    torch.testing.assert_close(torch.ones(2) + 1, torch.full((2,), 2.0))  # nothing lingers on this thread


@pytest.mark.parametrize("method", ["gradient", "gradcam_signed"])
@pytest.mark.parametrize("operators", [1, 3, 50, 117, 200])
def test_it_stops_within_a_lamp_and_leaves_the_thread_as_it_was(method: str, operators: int) -> None:
    calls = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) > operators

    model = flagged()
    run = Run(model, Forward(model, torch.rand(1, 1, 64, 64)))
    before = snapshot(model.module)
    assert list(trust_strip(run, "Mass", method, cancelled=cancelled)) == []
    assert len(calls) == operators + 1
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert snapshot(model.module) == before


def test_seeds_repeat_every_reading() -> None:
    model = flagged()
    x = torch.rand((1, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    runs = [strip(Run(model, Forward(model, x), KNOWN), "Mass", "gradient", seed=seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0]["follows-weights"] != runs[2]["follows-weights"]
    assert runs[0]["covered-by-concepts"] == runs[2]["covered-by-concepts"]
    json.dumps([dict(reading.details) for reading in runs[0].values()], allow_nan=False)


@pytest.mark.parametrize("lamp", LAMPS)
@pytest.mark.parametrize("method", ["gradient", "gradcam_signed"])
def test_the_model_is_left_as_it_was(lamp: str, method: str) -> None:
    model = flagged()
    run = Run(model, Forward(model, torch.rand(1, 1, 64, 64)), KNOWN)
    x = run.forward.x.clone()
    before, logits = snapshot(model.module), model.logits(x).clone()
    (reading,) = trust_strip(run, "Mass", method, lamps=[lamp])
    assert reading.lamp == lamp
    assert snapshot(model.module) == before
    assert torch.equal(run.forward.x, x)
    assert torch.equal(model.logits(x), logits)


def test_the_model_is_left_as_it_was_after_an_exception(extra: None) -> None:
    model = flagged()
    for lamp in ("follows-weights", "follows-finding", "stable", "faithful"):
        with extra_methods():
            before = snapshot(model.module)
            with pytest.raises(RuntimeError, match="bursting"):
                list(
                    trust_strip(Run(model, Forward(model, torch.rand(1, 1, 64, 64))), "Mass", "bursting", lamps=[lamp])
                )
            assert snapshot(model.module) == before


def test_films_given_are_used() -> None:
    run = trace(FILM, flagged())
    (built_in,) = trust_strip(run, "Mass", "gradcam_signed", lamps=["follows-finding"])
    (given,) = trust_strip(run, "Mass", "gradcam_signed", lamps=["follows-finding"], films=[FILM])
    assert given.reference == pytest.approx(1)  # the film beside itself
    assert built_in.value == given.value
    assert given.details["films_described"] == "1 other film"


# --------------------------------------------------------------------------------------------- explanation and document


def test_an_explanation_holds_the_strip_of_each_map() -> None:
    model = flagged()
    assert explain(FILM, model, "Mass", atlases=KNOWN).trust == ()
    e = explain(FILM, model, "Mass", ("gradient", "gradcam_signed"), atlases=KNOWN, trust=True)
    assert [t.method for t in e.trust] == ["gradient", "gradcam_signed", "unusualness"]
    assert all([reading.lamp for reading in t.readings] == list(LAMPS) for t in e.trust[:2])
    assert [reading.lamp for reading in e.trust[2].readings] == ["follows-weights"]  # the others ask about a finding
    covered = e.trust[0].readings[-1]
    assert covered.details["probes"] == ["chestx-det"]
    assert covered.value is not None
    (only,) = explain(FILM, model, "Mass", atlases=KNOWN, trust=["stable"]).trust
    assert [reading.lamp for reading in only.readings] == ["stable"]
    with pytest.raises(XrayInterpError) as refused:
        explain(FILM, model, "Mass", trust=["shiny"])
    assert refused.value.code is Code.BAD_OPTION


def test_the_document_holds_every_reading() -> None:
    document = to_document(fake_explanation(trust=(fake_trust(), fake_trust("gradient"))))
    assert [(t.method, t.lamp) for t in document.trust] == [
        (method, lamp) for method in ("gradcam_signed", "gradient") for lamp in LAMPS
    ]
    first, last = document.trust[0], document.trust[4]
    assert (first.state, first.value, first.reference, first.direction) == ("good", 0.21, 0.08, "lower")
    assert (last.state, last.value, last.reference, last.direction) == ("not-measurable", None, None, "higher")
    assert document.trust[3].details == {"drops": {"blur": [0.1, 0.2]}, "seed": 0}
    assert read_document(document.to_json()) == document
    bad = replace(fake_trust().readings[0], value=float("nan"))
    with pytest.raises(XrayInterpError) as refused:
        to_document(fake_explanation(trust=(replace(fake_trust(), readings=(bad,)),)))
    assert refused.value.code is Code.INTERNAL


def test_a_real_strip_can_be_written() -> None:
    e = explain(FILM, flagged(), "Mass", ("gradcam_signed",), atlases=KNOWN, trust=True)
    document = read_document(to_document(e).to_json())
    assert [t.value for t in document.trust] == [reading.value for one in e.trust for reading in one.readings]


@pytest.mark.data
def test_on_a_real_effusion(data_root: Path) -> None:
    model = load_model("compact")
    threshold = model.operating_points["Effusion"].threshold
    with (data_root / "nih.csv").open(encoding="utf-8") as table:
        rows = [r for r in csv.DictReader(table) if r["split"] == "test" and r["Effusion"] == "1"]
    runs = (trace(read(data_root / r["file"], view="PA"), model) for r in rows if int(r["stored_w"]) >= 128)
    run = next(run for run in runs if float(run.logits[0, model.index("Effusion")]) > threshold)
    before = snapshot(model.module)
    readings = {r.lamp: r for r in trust_strip(run, "Effusion", "gradcam_signed")}
    assert snapshot(model.module) == before
    assert all(reading.value is not None and reading.reference is not None for reading in readings.values())
    assert readings["follows-weights"].state == "good"
    assert readings["stable"].state == "good"
    drops = readings["faithful"].details["drops"]
    assert all(curve[-1] > 0 for curve in drops.values())  # half the film gone, the effusion with it


def test_the_command_line_writes_the_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_builtin(tmp_path / "builtin", "compact", ("Effusion", "Mass", "Nodule"))
    monkeypatch.setenv("XRAYINTERP_BUILTIN", str(tmp_path / "builtin"))
    film = film_png(tmp_path / "film.png")
    written = []
    for words in ([], ["--trust"]):
        out = tmp_path / f"out{len(words)}"
        with pytest.raises(SystemExit) as ended:
            main(["explain", str(film), "--out", str(out), "--finding", "Effusion", "--methods", "gradient", *words])
        assert not ended.value.code
        written.append(read_document((out / "film.json").read_text()).trust)
    assert written[0] == []
    assert [(t.method, t.lamp) for t in written[1]] == [("gradient", lamp) for lamp in LAMPS]
