"""ROAR and ROAD on films whose one cause is known: taking it out costs the finding, taking out others does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from xrayinterp.attribution import Forward, Target, attribution, registry
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.roar import Job, Plan, Task, changed, jobs, logits_of, ranking, run, untouched_logits
from xrayinterp.evaluation.roar_study import SPLITS, effusion_films, lines, report
from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.training.films import TrainingSet
from xrayinterp.training.measure import auroc

SIDE, SPOT = 32, 5
PLAN = Plan(
    ("knows", "scatter"),
    fractions=(0.05, 0.2),
    seeds=(0,),
    shape=DenseNetShape(growth=6, blocks=(1, 1), stem=12),
    epochs=8,
    rate=2e-2,
    batch=32,
    average=0.9,
)


def films(count: int, seed: int) -> TrainingSet:
    """Smooth noise; every other film has a bright spot somewhere, and is positive."""
    rng = np.random.default_rng(seed)
    out = rng.normal(0.35, 0.04, (count, SIDE, SIDE))
    positive = np.arange(count) % 2 == 0
    for film in out[::2]:
        r, c = rng.integers(2, SIDE - SPOT - 2, 2)
        film[r : r + SPOT, c : c + SPOT] = 0.9
    targets = torch.from_numpy(positive.astype(np.float32))[:, None]
    squares = torch.from_numpy((out.clip(0, 1) * 255).round().astype(np.uint8))
    return TrainingSet(squares, targets, ("spot",), tuple(f"p{i // 2}" for i in range(count)))


@pytest.fixture(scope="module")
def task() -> Task:
    return Task("spot", films(192, 0), films(64, 1), films(128, 2))


@pytest.fixture(scope="module", autouse=True)
def toy_methods() -> Iterator[None]:
    """`knows` marks what is bright, `scatter` anything."""

    def knows(forward: Forward, target: Target) -> Tensor:
        """M(u) = x(u)."""
        return forward.x

    def scatter(forward: Forward, target: Target) -> Tensor:
        """M(u) is drawn."""
        return torch.rand(forward.x.shape, generator=torch.Generator().manual_seed(0))

    for method in (knows, scatter):
        attribution(method.__name__, family="baseline", cost=0, signed=False, paper="")(method)
    yield
    for method in (knows, scatter):
        del registry._METHODS[method.__name__]


@pytest.fixture(scope="module")
def done(task: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roar")
    assert len(list(run(task, PLAN, folder))) == len(jobs(PLAN, "knows")) * 2
    return folder


def area(task: Task, logits: np.ndarray) -> float:
    return float(auroc(task.test.targets[:, 0].numpy(), logits)[0])


def test_taking_out_the_cause_costs_the_finding(task: Task, done: Path) -> None:
    assert area(task, untouched_logits(done, 0)) > 0.97
    for protocol in PLAN.protocols:
        without = area(task, logits_of(done, Job(protocol, "knows", 0.05, 0)))
        elsewhere = area(task, logits_of(done, Job(protocol, "scatter", 0.05, 0)))
        assert elsewhere > 0.9, protocol
        assert without < elsewhere - 0.2, protocol


def test_table_ranks_the_method_that_knows_first(task: Task, done: Path) -> None:
    for protocol in PLAN.protocols:
        found = [line for line in lines(task, PLAN, done) if line.protocol == protocol]
        assert [line.method for line in found] == ["knows", "scatter"]
        assert found[0].area.low <= found[0].area.value <= found[0].area.high
        assert found[0].difference is None  # `random` was not run
    text = report(task, PLAN, done)
    assert "| knows |" in text
    assert "128 of 64 patients" in text


def test_difference_from_random_has_its_interval(task: Task, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xrayinterp.evaluation import roar_study

    monkeypatch.setattr(roar_study, "RIVAL", "scatter")
    knows = next(line for line in lines(task, PLAN, done) if line.protocol == "road" and line.method == "knows")
    assert knows.difference is not None
    assert knows.p is not None
    assert knows.difference.high < 0
    assert knows.p < 0.01


def test_finished_jobs_are_kept_and_broken_ones_redone_alike(task: Task, done: Path) -> None:
    results = sorted((done / "results").iterdir())
    before = {path.name: path.read_bytes() for path in results}
    lost = done / "results" / Job("roar", "knows", 0.05, 0).file
    times = {path: path.stat().st_mtime_ns for path in results if path != lost}
    lost.unlink()
    list(run(task, PLAN, done))
    assert {path.name: path.read_bytes() for path in sorted((done / "results").iterdir())} == before
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert not list((done / "training").glob("*.last.pt"))


def test_processes_share_the_methods(task: Task, done: Path) -> None:
    dealt = [{job.method for job in run(task, PLAN, done, part=k, of=2)} for k in (0, 1)]
    assert dealt == [{"knows"}, {"scatter"}]


def test_folder_of_another_plan_is_refused(task: Task, done: Path) -> None:
    with pytest.raises(XrayInterpError, match="epochs") as refused:
        next(run(task, replace(PLAN, epochs=3), done))
    assert refused.value.code is Code.BAD_OPTION


def test_job_that_is_not_done_is_named(done: Path) -> None:
    with pytest.raises(XrayInterpError) as absent:
        logits_of(done, Job("roar", "knows", 0.77, 0))
    assert absent.value.code is Code.NOT_FOUND


def test_changed_films_lose_the_first_ranked_pixels(task: Task) -> None:
    data = films(4, 5)
    ranks = np.tile(np.arange(SIDE * SIDE, dtype=np.uint16)[::-1], (4, 1))
    mean = torch.full((SIDE, SIDE), 0.2)
    top = slice(SIDE // 2, None)
    found = changed(data, ranks, 0.5, "roar", mean).films
    assert (found[:, top] == 51).all()
    assert torch.equal(found[:, : SIDE // 2], data.films[:, : SIDE // 2])
    shape = changed(data, ranks, 0.5, "mask", mean).films
    assert (shape[:, top] == 0).all()
    assert (shape[:, : SIDE // 2] == 255).all()
    imputed = changed(data, ranks, 0.5, "road", mean).films
    assert torch.equal(imputed[:, : SIDE // 2], data.films[:, : SIDE // 2])
    assert not torch.equal(imputed[:, top], data.films[:, top])


def test_ranking_speaks_for_what_the_network_predicts() -> None:
    torch.manual_seed(0)
    net = DenseNet(PLAN.shape, 1).eval().requires_grad_(False)
    data = films(6, 7)
    ranks = ranking(net, data, "input_x_gradient")
    assert (np.sort(ranks, axis=1) == np.arange(SIDE * SIDE)).all()
    for film, order in zip(data.films, ranks, strict=True):
        x = (film.float() / 255 * 2 - 1)[None, None].requires_grad_()
        logit = net(x).sum()
        (g,) = torch.autograd.grad(logit, x)
        values = (x * g).flatten().detach() * (1 if logit > 0 else -1)  # half the films are positive: the cut is 0
        assert values[order.astype(np.int64)].diff().max() <= 1e-6


@pytest.mark.data
def test_real_task_is_split_by_patient(data_root: Path) -> None:
    sets = [effusion_films(data_root, splits, min_native_width=128) for splits in SPLITS]
    patients = [{film.patient for film in films} for films in sets]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])
    for films in sets:
        assert sum(film.labels["Effusion"] for film in films) * 3 == len(films)
        assert all(film.normal for film in films if not film.labels["Effusion"])
