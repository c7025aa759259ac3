"""From rows to figures, tables and the choice of the default map, on rows whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from xrayinterp.attribution import METHODS
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation import choice as choice_module
from xrayinterp.evaluation import standing as standing_module
from xrayinterp.evaluation.choice import (
    FAITHFULNESS,
    FAULTS,
    LOCALISATION,
    STABILITY,
    choose_default,
    choose_map,
    judge_lamps,
)
from xrayinterp.evaluation.figure import forest
from xrayinterp.evaluation.journal import Row, save_rows
from xrayinterp.evaluation.lamps import LAMPS
from xrayinterp.evaluation.measures import METRICS
from xrayinterp.evaluation.standing import standing
from xrayinterp.evaluation.summary import by_finding, lamp_worth, summarise
from xrayinterp.evaluation.tables import document

SETTINGS = {"model": "made", "model_sha256": "ab" * 32, "probes": "made", "fit": "crop", "seed": 0}


def row(film: int, method: str, metric: str, value: float | None, **changes: object) -> Row:
    facts = {"finding": "Effusion", "flagged": True, "present": True, "primary": True} | changes
    return Row(
        film=f"f{film}", patient=f"p{film // 2}", split="val", logit=0.5, method=method, metric=metric, value=value,
        reference=None, state=None, **facts,  # type: ignore[arg-type]
    )  # fmt: skip


def test_means_counts_and_comparison_with_the_centre() -> None:
    rows = [row(i, "gradcam", "iou", 0.5 + 0.01 * (i % 3)) for i in range(30)]
    rows += [row(i, "gradient", "iou", None if i == 0 else 0.2) for i in range(30)]
    rows += [row(i, "centre", "iou", 0.2) for i in range(30)]
    found = {s.method: s for s in summarise(rows)}
    gradcam, gradient, centre = (found[m] for m in ("gradcam", "gradient", "centre"))
    assert gradcam.mean is not None
    assert gradcam.mean.value == pytest.approx(0.51)
    assert (gradcam.asked, gradcam.measured, gradcam.patients) == (30, 30, 15)
    assert (gradient.asked, gradient.measured, gradient.patients) == (30, 29, 15)
    assert gradcam.p == pytest.approx(2 * 2 / 10000, abs=5e-4)  # of two comparisons
    assert gradient.p == 1
    assert centre.p is None


def test_lamp_turns_red_at_the_mean() -> None:
    bad = LAMPS["follows-weights"].bad
    found = {
        s.method: s.state
        for s in summarise(
            [row(i, "gradcampp", "weight-sensitivity", bad + 0.01) for i in range(4)]
            + [row(i, "gradient", "weight-sensitivity", 0.1) for i in range(4)]
        )
    }
    assert found == {"gradcampp": "bad", "gradient": "good"}


def test_figures_by_finding() -> None:
    rows = [row(i, "gradcam", "pointing", 1.0) for i in range(4)]
    rows += [row(i, "gradcam", "pointing", 0.0, finding="Mass") for i in range(2)]
    found = by_finding(rows, "pointing")
    effusion, mass = found["Effusion", "gradcam"].mean, found["Mass", "gradcam"].mean
    assert effusion is not None
    assert mass is not None
    assert (effusion.value, mass.value) == (1.0, 0.0)


def test_lamp_that_knows_is_told_from_one_that_does_not() -> None:
    rows = []
    for i in range(40):
        hit = float(i % 2)
        rows += [
            row(i, "gradcam", "pointing", hit, present=i % 4 > 1),
            row(i, "gradcam", "stability", hit + 0.001 * i, present=i % 4 > 1),
            row(i, "gradcam", "class-sensitivity", -hit, present=i % 4 > 1),  # lower is better
            row(i, "gradcam", "faithful", 0.5, present=i % 4 > 1),
        ]
    rows.append(row(50, "gradcam", "stability", 0.0, flagged=False))  # the page shows no strip there
    worth = {(w.lamp, w.outcome): w for w in lamp_worth(rows, "gradcam")}
    for lamp, expected in (("stable", 1.0), ("follows-finding", 1.0), ("faithful", 0.5)):
        area = worth[lamp, "pointing"].auroc
        assert area is not None
        assert area.value == expected
    correct = worth["stable", "correct"]
    assert (correct.maps, correct.hits) == (40, 20)
    assert worth["covered-by-concepts", "pointing"].auroc is None
    rows += [row(i, "gradient", "pointing", 0.0) for i in range(40)]
    rows += [row(i, "gradient", "stability", 0.5) for i in range(40)]
    together = {(w.lamp, w.outcome): w for w in lamp_worth(rows)}["stable", "pointing"]
    assert (together.maps, together.hits) == (80, 20)
    assert together.auroc is not None
    assert together.auroc.value == 1.0


def measured_rows(values: Mapping[str, Mapping[str, float]]) -> list[Row]:
    names = (*FAULTS, *LOCALISATION, *FAITHFULNESS, *STABILITY)
    return [
        row(i, method, metric, given.get(metric, 0.3) + 0.001 * i)
        for method, given in values.items()
        for metric in names
        for i in range(4)
    ]


BEST = dict.fromkeys((*LOCALISATION, *STABILITY, "faithful", "morf", "sensitivity-n"), 0.9) | {"lerf": 0.01}
GOOD = dict.fromkeys((*LOCALISATION, *STABILITY, "faithful", "morf", "sensitivity-n"), 0.6) | {"lerf": 0.1}


def test_best_map_that_passes_is_the_default() -> None:
    chosen = choose_default(
        summarise(
            measured_rows(
                {
                    "gradcam": BEST | {"class-sensitivity": 0.95},  # the best, but the same for every finding
                    "gradcam_signed": GOOD,
                    "input_x_gradient": {"weight-sensitivity": 0.9},
                    "gradient": {},
                }
            )
        )
    )
    assert chosen.default == "gradcam_signed"
    assert chosen.further == ("gradient",)
    assert chosen.fails == {"gradcam": ("class",), "input_x_gradient": ("weights",)}
    assert chosen.passed
    assert list(chosen.scores.values()) == sorted(chosen.scores.values())


def test_maps_that_are_one_by_identity_share_their_rank_and_go_by_name() -> None:
    twins = {"gradcam_signed": GOOD, "hirescam": {name: value + 1e-7 for name, value in GOOD.items()}, "gradient": {}}
    chosen = choose_default(summarise(measured_rows(twins)))
    assert chosen.default == "gradcam_signed"
    assert chosen.scores["gradcam_signed"] == chosen.scores["hirescam"]


def test_where_none_passes_the_record_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = measured_rows({"gradcam": GOOD | {"class-sensitivity": 0.95}, "gradient": {"class-sensitivity": 0.95}})
    save_rows(rows, tmp_path / "values.parquet", SETTINGS)
    for module in (choice_module, standing_module):
        monkeypatch.setattr(module, "MEASURED", tmp_path / "builtin")
    standing.cache_clear()
    hits = [
        replace(row(i, "gradcam", metric, float(i % 2)), split="test")
        for i in range(40)
        for metric in ("pointing", "stability")
    ]
    save_rows(hits, tmp_path / "judged.parquet", SETTINGS)
    with pytest.raises(XrayInterpError, match="no record"):
        judge_lamps(tmp_path / "judged.parquet")
    with pytest.raises(XrayInterpError, match="chosen on"):
        judge_lamps(tmp_path / "values.parquet")
    with pytest.raises(XrayInterpError, match="films of test"):
        choose_map(tmp_path / "judged.parquet")
    choose_map(tmp_path / "values.parquet")
    judge_lamps(tmp_path / "judged.parquet", tmp_path / "judged.parquet")
    shown = standing("made", SETTINGS["model_sha256"])
    standing.cache_clear()
    assert shown.measured
    assert (shown.default, shown.further) == ("gradcam", ("gradient",))
    assert shown.fails == {"gradcam": ("class",), "gradient": ("class",)}
    assert "4 films of 2 patients" in shown.described
    assert "No method passed" in shown.described
    assert json.loads((tmp_path / "builtin" / "made.json").read_text())["settings"] == SETTINGS
    save_rows(hits, tmp_path / "other.parquet", SETTINGS | {"model_sha256": "f" * 64})
    with pytest.raises(XrayInterpError, match="other weights"):
        judge_lamps(tmp_path / "other.parquet")
    judges = {(w.lamp, w.outcome): w.auroc.value for w in shown.worth if w.auroc is not None}
    assert judges == {("stable", "pointing"): 1.0, ("stable", "planted"): 1.0}


def test_choice_names_the_measures_it_lacks() -> None:
    rows = [r for r in measured_rows({"gradcam": {}}) if r.metric != "morf"]
    with pytest.raises(XrayInterpError, match="morf") as refused:
        choose_default(summarise(rows))
    assert refused.value.code is Code.BAD_OPTION


def test_report_and_figure_hold_every_method_and_measure() -> None:
    rows = measured_rows({"gradcam": GOOD | {"class-sensitivity": 0.95}, "gradient": {}, "centre<&": {}})
    rows += [row(i, "centre", "iou", 0.1) for i in range(4)]
    summaries = summarise(rows)
    text = document(rows, summaries, lamp_worth(rows, "gradcam"), SETTINGS)
    assert "4 films of 2 patients" in text
    for name in ("gradcam", "gradient", *(m for m in METRICS if any(r.metric == m for r in rows))):
        assert name in text
    assert "0.95 (0.95 to 0.95) ✗" in text
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) >= 3
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)
    picture = ElementTree.fromstring(forest(summaries, "Methods & measures"))
    dots = [node for node in picture.iter() if node.tag.endswith("circle")]
    assert len(dots) == sum(s.mean is not None for s in summaries)
    assert all(0 <= float(dot.get("cx", -1)) <= float(picture.get("width", 0)) for dot in dots)


def test_rule_names_metrics_that_exist() -> None:
    assert {*FAULTS, *LOCALISATION, *FAITHFULNESS} <= set(METRICS)
    assert all(METRICS[m].lamp in (None, *LAMPS) for m in METRICS)
    assert {"gradcam", "gradient"} <= set(METHODS)
