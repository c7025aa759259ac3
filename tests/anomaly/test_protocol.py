"""The protocol on made tasks of known truth, cells that processes share, tasks on real films, the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from helpers.picture_replicas import PICTURE_REPLICAS
from torch import Tensor

from xrayinterp.anomaly import protocol_conduct
from xrayinterp.anomaly.distillation import DistillationDetector
from xrayinterp.anomaly.kinds import KINDS
from xrayinterp.anomaly.protocol import ALL, Measured, Outcome, Task, Trial, by_pixel, examine
from xrayinterp.anomaly.protocol_conduct import Plan, conduct
from xrayinterp.anomaly.protocol_detectors import DetectorMethod, Named, Setup, detectors_named
from xrayinterp.anomaly.protocol_family import Family, Loading, one_class
from xrayinterp.anomaly.protocol_lines import lines
from xrayinterp.anomaly.protocol_store import Cell, Cells, load_outcome
from xrayinterp.anomaly.protocol_tasks import FAMILIES, tasks_named
from xrayinterp.cli import main
from xrayinterp.errors import Code, XrayInterpError

SIZE = 16
DRAWS = 50


class Brightness:
    """Brighter is more unusual; a seed other than 0 turns it round."""

    def __init__(self, seed: int = 0) -> None:
        self.sign = 1 if seed == 0 else -1

    def fit(self, images: Tensor) -> Self:
        self.seen = images
        return self

    def scores(self, images: Tensor) -> Tensor:
        return self.sign * images.mean((1, 2, 3))

    def maps(self, images: Tensor, **options: Any) -> Tensor:
        return images.mean(1, keepdim=True)


def made_task(name: str = "made") -> Task:
    """Dark normals, bright anomalies, of which "faint" are told from half of the normals; a bright corner outlined."""
    greys = torch.tensor([10, 20, 30, 40, 25, 25, 200, 210], dtype=torch.uint8)
    images = greys.view(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE)
    names = np.array(["", "", "", "", "faint", "faint", "bright", "bright"])
    groups = {ALL: names != "", **{kind: names == kind for kind in ("faint", "bright")}}
    patients = tuple(f"p{i}" for i in range(8))
    classes = Trial("classes", "made", images, patients, names == "", groups)
    shown = torch.zeros((2, 1, SIZE, SIZE), dtype=torch.uint8)
    shown[:, :, :4, :4] = 255
    corner = shown[:, 0].numpy() > 0
    none = np.zeros_like(corner)
    masks = {"corner": corner, "never": none}
    outlined = Trial("outlined", "made", shown, ("q0", "q1"), np.zeros(2, dtype=bool), {}, masks)
    return Task(name, "made", "made", images[:4], ("t0", "t1", "t2", "t3"), (classes, outlined))


def figure(outcome: Outcome, trial: str, metric: str, group: str) -> Measured:
    (found,) = (f for f in outcome.figures if (f.trial, f.metric, f.group) == (trial, metric, group))
    return found


# -------------------------------------------------------------------------------------------------------- known truth


def test_figures_of_a_made_task_are_exact() -> None:
    outcome = examine(made_task(), Brightness(), {"own": {}}, resamples=DRAWS)
    assert figure(outcome, "classes", "auroc", "bright").value == 1
    assert figure(outcome, "classes", "auroc", "faint").value == 0.5
    assert figure(outcome, "classes", "auroc", ALL).value == 0.75
    assert figure(outcome, "outlined", "pixel-auroc", "corner").value == 1
    assert figure(outcome, "outlined", "pro", ALL).value == pytest.approx(1)
    assert {f.group for f in outcome.figures if f.trial == "outlined"} == {ALL, "corner"}
    assert all(f.draws.shape == (DRAWS,) for f in outcome.figures)
    assert figure(outcome, "classes", "auroc", ALL).images == 4
    assert figure(outcome, "outlined", "pro", ALL).patients == 2


def test_only_normals_are_learnt_from() -> None:
    detector = Brightness()
    examine(made_task(), detector, {}, resamples=DRAWS)
    assert detector.seen.shape == (4, 1, SIZE, SIZE)
    assert float(detector.seen.max()) == pytest.approx(40 / 255)


def test_detectors_are_measured_on_the_same_resamples() -> None:
    one, other = (examine(made_task(), Brightness(), {}, resamples=DRAWS) for _ in range(2))
    for a, b in zip(one.figures, other.figures, strict=True):
        assert np.array_equal(a.draws, b.draws, equal_nan=True)


def test_pixels_of_other_findings_count_neither_way() -> None:
    """A map that shows both findings alike is perfect for each of them."""
    first, second = np.zeros((1, 8, 8), dtype=bool), np.zeros((1, 8, 8), dtype=bool)
    first[:, :3, :3] = second[:, 5:, 5:] = True
    trial = Trial("t", "", torch.zeros(1, 1, 8, 8), ("p",), np.zeros(1, dtype=bool), {}, {"a": first, "b": second})
    found = {(m.group, m.metric): m.value for m in by_pixel(trial, (first | second).astype(float), "own", 5)}
    assert all(value == pytest.approx(1) for value in found.values())
    assert len(found) == 6


@pytest.mark.parametrize("wrong", ["shape", "nan"])
def test_a_detector_that_gives_nonsense_is_told_of(wrong: str) -> None:
    class Broken(Brightness):
        def scores(self, images: Tensor) -> Tensor:
            found = super().scores(images)
            return found[:-1] if wrong == "shape" else found * torch.nan

    with pytest.raises(XrayInterpError) as caught:
        examine(made_task(), Broken(), {}, resamples=5)
    assert caught.value.code is Code.INTERNAL


def test_patients_on_both_sides_are_refused() -> None:
    task = made_task()
    with pytest.raises(XrayInterpError, match="1 patients of 'classes'") as caught:
        replace(task, train_patients=("t0", "t1", "t2", "p7"))
    assert caught.value.code is Code.BAD_DATA
    with pytest.raises(XrayInterpError, match="no normal image"):
        replace(task, train=task.train[:0], train_patients=())


def test_one_class_learns_from_one_and_is_tested_on_all() -> None:
    classes = ["a", "b", "c"] * 4
    trained = np.arange(12) < 6
    images = torch.arange(12, dtype=torch.uint8).view(-1, 1, 1, 1)
    task = one_class("x", "f", "t", images, classes, "b", [str(i) for i in range(12)], trained)
    (trial,) = task.trials
    assert task.train.flatten().tolist() == [1, 4]
    assert trial.images.flatten().tolist() == list(range(6, 12))
    assert trial.normal.tolist() == [False, True, False] * 2
    assert {name: int(chosen.sum()) for name, chosen in trial.groups.items()} == {ALL: 4, "a": 2, "c": 2}


# ------------------------------------------------------------------------------------------------------------- cells


@pytest.fixture
def outcome() -> Outcome:
    return examine(made_task(), Brightness(), {"own": {}}, resamples=DRAWS)


def test_a_cell_is_measured_once_and_read_again(tmp_path: Path, outcome: Outcome) -> None:
    cells, cell = Cells(tmp_path), Cell("made", "nearest@compact", 0, (("size", 32),))
    assert cells.outcome(cell) is None
    assert cells.carry_out(cell, lambda: outcome)
    assert cells.carry_out(cell, lambda: pytest.fail("measured twice"))
    again = Cells(tmp_path).outcome(cell)
    assert again is not None
    assert [f.value for f in again.figures] == [f.value for f in outcome.figures]
    for a, b in zip(again.figures, outcome.figures, strict=True):
        assert np.allclose(a.draws, b.draws, equal_nan=True)
    assert cells.outcome(replace(cell, settings=(("size", 64),))) is None


def test_what_another_process_is_at_is_left_to_it(tmp_path: Path, outcome: Outcome) -> None:
    cells, cell = Cells(tmp_path), Cell("made", "nearest", 0)
    lock = cells.file(cell).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    with FileLock(lock):
        assert not cells.carry_out(cell, lambda: pytest.fail("measured all the same"))
    assert cells.carry_out(cell, lambda: outcome)


def test_a_failed_measurement_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Outcome:
        raise RuntimeError("no memory")

    cells, cell = Cells(tmp_path), Cell("made", "nearest", 0)
    with pytest.raises(RuntimeError):
        cells.carry_out(cell, broken)
    assert cells.outcome(cell) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"nothing of the kind"])
def test_a_damaged_cell_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "cell.npz"
    file.write_bytes(content)
    with pytest.raises(XrayInterpError, match="cannot be read") as caught:
        load_outcome(file)
    assert caught.value.code is Code.BAD_DATA
    assert "Delete it" in caught.value.hint


# ------------------------------------------------------------------------------------------------------ whole conduct


def made_plan(load: Callable[[str, Loading], Task], seeds: int = 2) -> Plan:
    parts = ("made-a", "made-b")
    family = Family("made", "made tasks", SIZE, lambda loading: parts, load)
    method = DetectorMethod("bright", "brightness", lambda setup: Brightness(setup.seed), reads=False)
    return Plan(tuple((family, part) for part in parts), (Named(method, ""),), seeds)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    def quick(task: Task, detector: Any, views: Any) -> Outcome:
        return examine(task, detector, views, resamples=DRAWS)

    monkeypatch.setattr(protocol_conduct, "examine", quick)


def test_conduct_measures_reports_and_goes_on(tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(part: str, loading: Loading) -> Task:
        loaded.append(part)
        return made_task(part)

    planned = made_plan(load)
    assert conduct(planned, tmp_path, budget=-1) == 4
    assert loaded == []
    assert "4 of 4 are not measured" in (tmp_path / "report.md").read_text()
    assert conduct(planned, tmp_path) == 0
    assert loaded == ["made-a", "made-b"] * 2
    report = (tmp_path / "report.md").read_text()
    assert "not measured" not in report
    assert "`bright`" in report
    before = (tmp_path / "figures.parquet").read_bytes()
    assert conduct(made_plan(lambda part, loading: pytest.fail("loaded again")), tmp_path) == 0
    assert (tmp_path / "figures.parquet").read_bytes() == before
    rows = pq.read_table(tmp_path / "figures.parquet").to_pylist()
    (whole,) = (r for r in rows if r["task"] == "" and r["metric"] == "auroc")
    assert whole["value"] == pytest.approx(0.5)
    assert (whole["lowest_seed"], whole["highest_seed"], whole["seeds"]) == (0.25, 0.75, 2)


def test_a_detector_without_seeds_is_measured_once(tmp_path: Path) -> None:
    planned = made_plan(lambda part, loading: made_task(part), seeds=3)
    named = planned.detectors[0]
    fixed = replace(planned, detectors=(replace(named, method=replace(named.method, seeded=False)),))
    assert len(fixed.cells()) == 2
    conduct(fixed, tmp_path)
    assert all(len(line.values) == 1 for line in lines(fixed, Cells(tmp_path / "cells")))


def test_lines_of_several_tasks_are_means_and_of_unfinished_seeds_none(tmp_path: Path) -> None:
    planned = made_plan(lambda part, loading: made_task(part), seeds=1)
    conduct(planned, tmp_path)
    cells = Cells(tmp_path / "cells")
    found = lines(planned, cells)
    mean = [line for line in found if line.place.task == "" and line.place.metric == "auroc"]
    assert [line.value for line in mean] == [0.75]
    family, part = planned.tasks[1]
    cells.file(planned.cell(family, part, planned.detectors[0], 0)).unlink()
    assert lines(planned, Cells(tmp_path / "cells")) == []


# ------------------------------------------------------------------------------------------------------------- tasks


def test_ten_digits_are_dealt_out_once() -> None:
    loading = Loading()
    named = tasks_named(["digits"], loading)
    assert [part for _, part in named] == [f"digits-{i}" for i in range(10)]
    family, part = named[3]
    task = family.load(part, loading)
    (trial,) = task.trials
    assert task.train.shape[1:] == (1, 32, 32)
    assert len(trial.images) + 0.6 * 1797 == pytest.approx(1797, abs=1)
    assert set(task.train_patients).isdisjoint(trial.patients)
    assert set(trial.groups) == {ALL, *(str(i) for i in range(10) if i != 3)}
    assert family.load("digits-4", loading).trials[0].patients == trial.patients


def test_films_of_the_nih(data_root: Path) -> None:
    task = FAMILIES["nih"].load("nih", Loading(data_root, 32, 60))
    findings, far, outlined = task.trials
    assert task.train.shape == (60, 1, 32, 32)
    assert findings.normal.any()
    assert np.array_equal(findings.groups[ALL], ~findings.normal)
    assert set(far.groups) == {ALL, *KINDS}
    assert all(chosen.sum() == far.normal.sum() for name, chosen in far.groups.items() if name != ALL)
    inverted = far.images[torch.from_numpy(far.groups["inverted"])].int()
    assert int((inverted + far.images[torch.from_numpy(far.normal)].int() - 255).abs().max()) <= 2
    assert np.stack(list(outlined.masks.values())).any((0, 2, 3)).all()
    assert not outlined.normal.any()


def test_films_of_children(data_root: Path) -> None:
    task = FAMILIES["kermany"].load("kermany", Loading(data_root, 16))
    (trial,) = task.trials
    assert len(task.train) == 882
    assert (int(trial.normal.sum()), int(trial.groups[ALL].sum())) == (192, 187)
    assert (trial.groups["bacteria"] ^ trial.groups["virus"]).sum() == 187


@pytest.mark.parametrize("name", [name for name in PICTURE_REPLICAS if name != "cifar10"])
def test_public_pictures_become_tasks(tmp_path: Path, name: str) -> None:
    PICTURE_REPLICAS[name](tmp_path)
    loading = Loading(tmp_path, 24)
    named = tasks_named([name], loading)
    assert len(named) == {"mnist": 10, "fashion-mnist": 10, "mvtec": 2}.get(name, 1)
    family, part = named[0]
    task = family.load(part, loading)
    assert task.train.shape[1:] == (3 if name in ("mvtec", "folder") else 1, 24, 24)
    assert task.trials[0].normal.any()
    assert task.trials[0].groups[ALL].any()
    if name == "mvtec":
        outlined = task.trials[1]
        assert len(outlined.images) == 4
        assert set(outlined.masks) == {"broken", "dirty"}
        assert outlined.masks["broken"].sum() == 4 * 4 + 2 * 4 * 4
        assert not outlined.normal.any()


def test_a_small_mask_survives_reduction() -> None:
    from xrayinterp.anomaly.protocol_pictures import _small

    mask = np.zeros((100, 100), dtype=bool)
    assert not _small(mask, 10).any()
    mask[43:45, 43:45] = True
    assert _small(mask, 10).sum() == 1
    mask[20:40, 20:40] = True
    assert _small(mask, 10)[2:4, 2:4].all()


@pytest.mark.parametrize(("names", "said"), [(["cats"], "cats"), (["digits-11"], "digits-11"), (["nih-2"], "nih-2")])
def test_unknown_tasks_are_refused_with_a_list(names: list[str], said: str) -> None:
    with pytest.raises(XrayInterpError, match=said) as caught:
        tasks_named(names, Loading())
    assert caught.value.code is Code.BAD_OPTION
    assert "There are:" in caught.value.hint


# --------------------------------------------------------------------------------------------- detectors, the command


def test_detectors_by_name() -> None:
    named = detectors_named(["nearest", "nearest@random", "reconstruction@random", "nearest"])
    assert [one.name for one in named] == ["nearest@compact", "nearest@random", "reconstruction"]
    for wrong in ("closest", "nearest@nobody"):
        with pytest.raises(XrayInterpError, match="There is no") as caught:
            detectors_named([wrong])
        assert caught.value.code is Code.BAD_OPTION


FORMS = ("value", "direction", "standardised", "position", "equal")
"""Forms of the distillation that differ from others in settings alone."""


def test_forms_differ_in_what_they_say() -> None:
    made = {
        n.method.name: n.method.make(Setup("compact", 32, 100, 7)) for n in detectors_named(["distillation", *FORMS])
    }
    assert all(isinstance(one, DistillationDetector) for one in made.values())
    settings = {name: asdict(one.settings) for name, one in made.items() if isinstance(one, DistillationDetector)}
    usual = settings["distillation"]
    changed = {name: {k for k, v in of.items() if v != usual[k]} for name, of in settings.items()}
    assert changed == {
        "distillation": set(), "value": {"terms"}, "direction": {"terms"}, "standardised": {"fusion"},
        "position": {"direction"}, "equal": {"cloner"},
    }  # fmt: skip
    assert (usual["seed"], usual["batch"], usual["epochs"]) == (7, 12, 125)


@pytest.mark.parametrize("name", [n.name for n in detectors_named(["all"]) if n.method.name not in FORMS])
def test_every_detector_runs_on_a_small_task(name: str) -> None:
    (named,) = detectors_named([name])
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (24, 1, 32, 32), dtype=np.uint8))
    masks = np.zeros((4, 32, 32), dtype=bool)
    masks[:, :8, :8] = True
    odd = images[12:].clone()
    odd[:6, :, :8, :8] = 255
    normal = np.arange(12) >= 6
    patients = tuple(f"t{i}" for i in range(12))
    trials = (
        Trial("classes", "", odd, patients, normal, {ALL: ~normal}),
        Trial("outlined", "", odd[:4], patients[:4], np.zeros(4, dtype=bool), {}, {"spot": masks}),
    )
    task = Task("t", "t", "", images[:12], tuple(f"n{i}" for i in range(12)), trials)
    expert = named.expert and "compact"
    detector = named.method.make(Setup(expert, 32, 12, 0, "cpu", 0.002))
    if "standardised" in name:
        task = replace(task, train=images, train_patients=tuple(f"n{i}" for i in range(24)))
    views = {key: value for key, value in named.method.views(32).items() if key != "smoothgrad"}
    outcome = examine(task, detector, views, resamples=5)
    assert {f.view for f in outcome.figures if f.metric == "pro"} == set(views)
    assert all(0 <= f.value <= 1 for f in outcome.figures)


def test_the_command_lists_measures_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(["anomaly", "evaluate", *words])
        assert caught.value.code in (0, None)
        return "".join(capsys.readouterr())

    listed = said("--list")
    assert all(name in listed for name in ("digits", "mvtec", "nearest", "self-supervised"))
    words = ("digits-3", "-o", str(tmp_path), "-d", "gaussian", "--seeds", "1", "--limit", "12")
    assert "digits-3 gaussian@compact seed 0" in said(*words)
    assert "seed 0" not in said(*words)
    assert "gaussian@compact" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 2), (["digits"], 2), (["cats", "-o", "x"], 2), (["digits", "-o", "x", "-d", "none"], 2),
        (["digits", "-o", "x", "--size", "33"], 2), (["mnist", "-o", "x", "--data", "."], 1),
        (["digits", "-o", "x", "--seeds", "0"], 2),
    ],
)  # fmt: skip
def test_wrong_use_has_its_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["anomaly", "evaluate", *words])
    assert caught.value.code == status
