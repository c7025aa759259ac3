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

from xrayinterp.anomaly import protocol_identity, protocol_tasks
from xrayinterp.anomaly.distillation import DistillationDetector
from xrayinterp.anomaly.kinds import KINDS
from xrayinterp.anomaly.protocol import ALL, Measured, Outcome, Task, Trial, by_pixel, examine
from xrayinterp.anomaly.protocol_conduct import Missing, Plan, conduct
from xrayinterp.anomaly.protocol_detectors import DetectorMethod, NamedDetector, Setup, detectors_named, experts
from xrayinterp.anomaly.protocol_family import Family, Loading, one_class
from xrayinterp.anomaly.protocol_identity import (
    identified,
    images_digest,
    recorded,
    weights_digest,
    weights_name,
)
from xrayinterp.anomaly.protocol_lines import lines
from xrayinterp.anomaly.protocol_store import Cell, Cells, load_outcome
from xrayinterp.anomaly.protocol_tasks import families, tasks_named
from xrayinterp.cli import main
from xrayinterp.concepts.manifests import load_probe_manifest
from xrayinterp.datasets.films import load_films
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.registry import describe

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


WHOLE = Missing(0, 0)


def made_plan(load: Callable[[str, Loading], Task], seeds: int = 2) -> Plan:
    parts = ("made-a", "made-b")
    family = Family("made", "made tasks", SIZE, lambda loading: parts, load)
    method = DetectorMethod("bright", "brightness", lambda setup: Brightness(setup.seed), reads=False)
    return Plan(tuple((family, part) for part in parts), (NamedDetector(method, ""),), seeds, resamples=DRAWS)


def test_a_familys_effort_scales_what_is_asked_of_all(tmp_path: Path) -> None:
    asked: list[float] = []

    def make(setup: Setup) -> Brightness:
        asked.append(setup.effort)
        return Brightness(setup.seed)

    whole = made_plan(lambda part, loading: made_task(part), seeds=1)
    (family, part), _ = whole.tasks
    method = replace(whole.detectors[0].method, make=make)
    half = replace(family, effort=0.5)
    planned = replace(whole, tasks=((half, part),), detectors=(NamedDetector(method, ""),), effort=0.4)
    assert conduct(planned, tmp_path) == WHOLE
    assert asked == [pytest.approx(0.2)]
    assert "for about 200 steps" in (tmp_path / "report.md").read_text()


def test_conduct_measures_reports_and_goes_on(tmp_path: Path) -> None:
    loaded: list[str] = []

    def load(part: str, loading: Loading) -> Task:
        loaded.append(part)
        return made_task(part)

    planned = made_plan(load)
    assert conduct(planned, tmp_path, budget=-1) == Missing(failed=0, waiting=4)
    assert loaded == []
    assert "4 of 4 are not measured" in (tmp_path / "report.md").read_text()
    assert conduct(planned, tmp_path) == WHOLE
    assert loaded == ["made-a", "made-b"] * 3  # to know them, and for each of two seeds
    report = (tmp_path / "report.md").read_text()
    assert "not measured" not in report
    assert "`bright`" in report
    before = (tmp_path / "figures.parquet").read_bytes()
    again = planned.detectors[0].method
    fixed = replace(again, make=lambda setup: pytest.fail("measured again"))
    assert conduct(replace(planned, detectors=(NamedDetector(fixed, ""),)), tmp_path) == WHOLE
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
    found = lines(recorded(fixed, tmp_path), Cells(tmp_path / "cells"))
    assert found
    assert all((len(line.values), line.seeds) == (1, ()) for line in found)


def test_lines_of_several_tasks_are_means_and_of_unfinished_seeds_none(tmp_path: Path) -> None:
    planned = made_plan(lambda part, loading: made_task(part), seeds=1)
    conduct(planned, tmp_path)
    planned, cells = recorded(planned, tmp_path), Cells(tmp_path / "cells")
    found = lines(planned, cells)
    mean = [line for line in found if line.place.task == "" and line.place.metric == "auroc"]
    assert [(line.value, line.count) for line in mean] == [(0.75, "mean of 2")]
    family, part = planned.tasks[1]
    cells.file(planned.cell(family, part, planned.detectors[0], 0)).unlink()
    assert lines(planned, Cells(tmp_path / "cells")) == []


def test_a_mean_over_some_tasks_of_a_family_says_so(tmp_path: Path) -> None:
    planned = made_plan(lambda part, loading: made_task(part), seeds=1)
    whole = replace(planned.tasks[0][0], parts=lambda loading: ("made-a", "made-b", "made-c"))
    some = replace(planned, tasks=tuple((whole, part) for _, part in planned.tasks))
    conduct(some, tmp_path)
    found = lines(recorded(some, tmp_path), Cells(tmp_path / "cells"))
    assert {line.count for line in found if line.place.task == ""} == {"mean of 2 of 3"}
    assert "all (mean of 2 of 3)" in (tmp_path / "report.md").read_text()
    one = replace(some, tasks=some.tasks[:1])
    assert all(line.place.task == "made-a" for line in lines(recorded(one, tmp_path), Cells(tmp_path / "cells")))


def measured(planned: Plan, out: Path) -> list[float]:
    """What a run finds, the faint and the bright ones together, task by task."""
    assert conduct(planned, out) == WHOLE
    found = lines(recorded(planned, out), Cells(out / "cells"))
    return [line.value for line in found if line.place.task and (line.place.metric, line.place.group) == ("auroc", ALL)]


def test_other_images_never_take_the_results_of_earlier_ones(tmp_path: Path) -> None:
    assert measured(made_plan(lambda part, loading: made_task(part), seeds=1), tmp_path) == [0.75, 0.75]

    def changed(part: str, loading: Loading) -> Task:
        task = made_task(part)
        classes = replace(task.trials[0], images=255 - task.trials[0].images)
        return replace(task, trials=(classes, *task.trials[1:]))

    said: list[str] = []
    assert conduct(made_plan(changed, seeds=1), tmp_path, told=said.append) == WHOLE
    assert said[0].startswith(f"made-a {SIZE} all: other images than at the last run")
    assert measured(made_plan(changed, seeds=1), tmp_path) == [0.25, 0.25]
    assert len(list((tmp_path / "cells" / "made-a").glob("*.npz"))) == 2


def test_every_part_of_a_task_changes_its_digest() -> None:
    task = made_task()
    classes, outlined = task.trials
    flipped = {name: ~mask for name, mask in outlined.masks.items()}
    others = [
        replace(task, train=task.train + 1),
        replace(task, train_patients=("t9", *task.train_patients[1:])),
        replace(task, trials=(classes,)),
        replace(task, trials=(replace(classes, images=classes.images + 1), outlined)),
        replace(task, trials=(replace(classes, patients=("p9", *classes.patients[1:])), outlined)),
        replace(task, trials=(replace(classes, normal=~classes.normal), outlined)),
        replace(task, trials=(replace(classes, groups={ALL: classes.groups[ALL]}), outlined)),
        replace(task, trials=(classes, replace(outlined, masks=flipped))),
    ]
    digests = {images_digest(one) for one in (task, *others)}
    assert len(digests) == 1 + len(others)
    assert images_digest(made_task()) == images_digest(task)


def test_other_weights_resamples_or_code_are_other_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = made_plan(lambda part, loading: made_task(part), seeds=1)
    reading = replace(planned.detectors[0].method, reads=True)
    planned = replace(planned, detectors=(NamedDetector(reading, "compact"),))
    family, part = planned.tasks[0]

    def cell(plan: Plan) -> Cell:
        return plan.cell(family, part, plan.detectors[0], 0)

    def known(digest: str) -> Plan:
        monkeypatch.setattr(protocol_identity, "weights_digest", lambda name: digest)
        return identified(planned, tmp_path, lambda family, part: made_task(part))[0]

    one, retrained = known("a" * 64), known("b" * 64)
    assert recorded(planned, tmp_path).identity == retrained.identity
    newer = replace(one, detectors=(NamedDetector(replace(reading, version=2), "compact"),))
    mapped = replace(one, detectors=(NamedDetector(replace(reading, views=lambda size: {}), "compact"),))
    found = [cell(plan) for plan in (one, retrained, replace(one, resamples=DRAWS + 1), newer, mapped)]
    assert len({of.key for of in found}) == len(found)


def test_weights_are_known_by_what_decides_them() -> None:
    assert weights_name("compact", 3) == "compact"
    assert weights_name("random", 3) == "random 3"
    assert weights_digest("random 0") != weights_digest("random 1")
    assert weights_digest("compact") == describe("compact").card.sha256


@pytest.mark.parametrize("error", [XrayInterpError(Code.BAD_OPTION, "Too few.", "Give more."), RuntimeError("memory")])
def test_a_detector_that_fails_does_not_stop_the_others(tmp_path: Path, error: Exception) -> None:
    planned = made_plan(lambda part, loading: made_task(part), seeds=1)
    good = planned.detectors[0].method

    def failing(setup: Setup) -> Brightness:
        raise error

    lame = NamedDetector(replace(good, name="lame", make=failing), "")
    said: list[str] = []
    assert conduct(replace(planned, detectors=(lame, *planned.detectors)), tmp_path, told=said.append) == Missing(2, 0)
    assert sum("made-a lame seed 0 failed" in line for line in said) == 1
    assert "made-b bright seed 0: fitted" in "".join(said)
    report = (tmp_path / "report.md").read_text()
    assert "2 of 4 are not measured" in report
    why = str(error).split(".")[0]
    assert f"- `lame` on made-a, seed 0: {why}" in report or f"seed 0: RuntimeError: {why}" in report
    assert "| `bright` |" in report
    assert not list((tmp_path / "cells").rglob("lame*.npz"))


def test_a_task_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    def load(part: str, loading: Loading) -> Task:
        if part == "made-a":
            raise XrayInterpError(Code.DATA_MISSING, "No pictures.", "Fetch them.")
        return made_task(part)

    assert conduct(made_plan(load, seeds=1), tmp_path) == Missing(1, 0)
    report = (tmp_path / "report.md").read_text()
    assert "`bright` on made-a, seed 0: No pictures. Fetch them." in report
    assert "| `bright` |" in report


def test_where_no_task_can_be_read_the_reason_is_raised(tmp_path: Path) -> None:
    def load(part: str, loading: Loading) -> Task:
        raise XrayInterpError(Code.DATA_MISSING, f"No {part}.")

    with pytest.raises(XrayInterpError, match="No made-b"):
        conduct(made_plan(load, seeds=1), tmp_path)


def test_weights_that_cannot_be_had_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise XrayInterpError(Code.WEIGHTS_OFFLINE, f"No {name}.", "Fetch it.")

    monkeypatch.setattr(protocol_identity, "weights_digest", missing)
    planned = made_plan(lambda part, loading: made_task(part), seeds=1)
    reading = NamedDetector(replace(planned.detectors[0].method, name="reading", reads=True), "vgg16")
    assert conduct(replace(planned, detectors=(reading, *planned.detectors)), tmp_path) == Missing(2, 0)
    assert "`reading@vgg16` on made-a, seed 0: No vgg16. Fetch it." in (tmp_path / "report.md").read_text()


def test_a_damaged_record_of_what_was_measured_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(XrayInterpError, match=r"identity\.json cannot be read") as caught:
        recorded(made_plan(lambda part, loading: made_task(part)), tmp_path)
    assert caught.value.code is Code.BAD_DATA


def test_an_outline_with_nothing_beside_it_has_no_figure() -> None:
    """Of `whole` every pixel is inside: there is nothing to tell it from."""
    whole, part = np.ones((2, 8, 8), dtype=bool), np.zeros((2, 8, 8), dtype=bool)
    whole[1], part[1, :4] = False, True
    shown = torch.zeros(2, 1, 8, 8)
    trial = Trial("t", "", shown, ("p", "q"), np.zeros(2, dtype=bool), {}, {"whole": whole, "part": part})
    assert {m.group for m in by_pixel(trial, np.random.default_rng(0).random((2, 8, 8)), "own", 5)} == {ALL, "part"}


def test_who_saw_the_test_films_follows_the_rule_of_the_probe_set() -> None:
    nih, digits, own = (families()[name] for name in ("nih", "digits", "folder"))
    found = {name: nih.seen_by(name) for name in (*experts(), "weak", "mine", "")}
    assert {name for name, seen in found.items() if seen == "yes"} == {"nih", "all"}
    assert {name for name, seen in found.items() if seen == "unknown"} == {"mine"}
    assert (families()["kermany"].seen_by("all"), digits.seen_by("nih"), digits.seen_by("mine")) == (
        "no",
        "no",
        "unknown",
    )
    assert (own.seen_by("random"), own.seen_by(""), own.seen_by("compact")) == ("no", "no", "unknown")
    splits = {"probe", "val", "test"}
    rules = load_probe_manifest("chestx-det").seen
    assert all((found[name] == "yes") == bool(splits & set(rule)) for name, rule in rules.items())


def test_the_report_marks_who_saw_the_test_films(tmp_path: Path) -> None:
    planned = made_plan(lambda part, loading: made_task(part), seeds=1)
    method = planned.detectors[0].method
    knowing = NamedDetector(replace(method, name="knowing", model="compact"), "")
    strange = NamedDetector(replace(method, name="strange", model="weak"), "")
    family = replace(planned.tasks[0][0], seen={"compact": ("test",)})
    tasks = tuple((family, part) for _, part in planned.tasks)
    conduct(replace(planned, tasks=tasks, detectors=(knowing, strange, *planned.detectors)), tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "| `knowing` (saw the test films) |" in report
    assert "| `strange` (may have seen the test films) |" in report
    assert "| `bright` |" in report
    assert "saw the test films | seconds to fit" in report
    rows = pq.read_table(tmp_path / "figures.parquet").to_pylist()
    assert {(r["detector"], r["seen"]) for r in rows} == {("knowing", "yes"), ("strange", "unknown"), ("bright", "no")}


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
    task = families()["nih"].load("nih", Loading(data_root, 32, 60))
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


@pytest.mark.parametrize("masked", [0, 1])
def test_films_without_outlines_are_no_trial(masked: int, data_root: Path) -> None:
    """None at all, or one whose outlines are empty."""
    films = [film for film in load_films("nih", root=data_root, splits=["test"]) if film.mask_path is not None]
    empty = [replace(film, mask_path=None, annotated=frozenset({"nobody"})) for film in films[:masked]]
    assert protocol_tasks._outlined(empty, 32) == []


def test_films_of_children(data_root: Path) -> None:
    task = families()["kermany"].load("kermany", Loading(data_root, 16))
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
    named = detectors_named(["nearest", "nearest@random", "reconstruction", "nearest"])
    assert [one.name for one in named] == ["nearest@compact", "nearest@random", "reconstruction"]
    wrong = {"closest": "There is no", "nearest@nobody": "There is no", "centre@random": "'centre' reads no expert"}
    for name, said in wrong.items():
        with pytest.raises(XrayInterpError, match=said) as caught:
            detectors_named([name])
        assert caught.value.code is Code.BAD_OPTION
    assert "centre" in [one.name for one in detectors_named(["all@random"])]


def test_directions_of_whole_maps_have_no_differences_by_position() -> None:
    ways = {n.method.name: set(n.method.views(32)) for n in detectors_named(["direction", "position", "distillation"])}
    assert ways["direction"] == {"gradient"}
    assert "difference" in ways["position"] & ways["distillation"]


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
