"""The five studies from films to reports, on small synthetic films."""

from __future__ import annotations

import hashlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from helpers.studied_films import SIDE, studied_root
from typer.testing import CliRunner

from xrayinterp.cli import app
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.studies import learn as learning
from xrayinterp.studies.catalogue import STUDIES, study_named
from xrayinterp.studies.conduct import conduct
from xrayinterp.studies.dissected import COVID, COVID_SCORED_SEEN, NIH
from xrayinterp.studies.networks import build, settle_norms
from xrayinterp.studies.plan import Run, Settings
from xrayinterp.studies.questions import Study
from xrayinterp.studies.samples import Samples
from xrayinterp.studies.store import Store, in_order

SMALL = Settings(
    size=32,
    detail=SIDE,
    width=0.25,
    epochs=2,
    self_supervised_epochs=2,
    severity_epochs=2,
    batch=16,
    view_batch=16,
    severity_batch=8,
    folds=2,
    permutations=19,
    bootstraps=20,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return studied_root(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def done(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studies")
    assert conduct(list(STUDIES.values()), root, out, SMALL, seeds=(0,))
    return out


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_every_arm_ends_in_words_tables_and_a_figure(done: Path, study: Study) -> None:
    folder = done / study.name
    text = (folder / "report.md").read_text()
    assert text.startswith(f"# {study.title}")
    assert "Not run yet" not in text
    assert "{" not in text
    for contrast in study.contrasts:
        said = "Not measured." if "rare" in contrast.asks else "**"
        assert f"- {contrast.asks} {said}" in text
    assert "**Yes" not in text  # one seed allows nothing of the kind
    for headline in study.headlines:
        assert f"- **{headline.subject}: " in text
    for arm in study.arms:
        assert f"| {arm.name} | " in text
    runs = pq.read_table(folder / "runs.parquet").to_pylist()
    assert {row["arm"] for row in runs} == {arm.name for arm in study.arms}
    assert all(0 <= row["value"] <= 18 for row in runs if np.isfinite(row["value"]))
    detectors = pq.read_table(folder / "detectors.parquet").to_pylist()
    dissected = {arm.name for arm in study.arms if arm.run.loss in ("plain", "weighted")}
    assert {row["arm"] for row in detectors} == dissected
    ElementTree.fromstring((folder / f"{study.name}.svg").read_text())


def test_studies_share_their_runs(done: Path) -> None:
    asked = [arm.run for study in STUDIES.values() for arm in study.arms]
    kept = [path for path in (done / "runs").iterdir() if (path / "run.json").is_file()]
    assert len(kept) == len(set(in_order(asked))) < len(asked)
    assert not list((done / "runs").glob("*/*.last.pt"))


def test_severity_nets_see_no_patient_of_the_masks_they_are_judged_by(done: Path, root: Path) -> None:
    rows = pq.read_table(done / "severity-only" / "detectors.parquet").to_pylist()
    seen = {(row["probe"], row["seen"]) for row in rows if row["arm"] == "from scratch"}
    assert seen >= {(NIH, "no"), (COVID, "no"), (COVID_SCORED_SEEN, "yes")}
    samples = Samples(root, SMALL)
    scored = samples.sample("severity", "all")
    held_out = {patient for patient in scored.patients if patient not in samples.outlined_patients}
    assert held_out
    assert held_out < set(scored.patients)


def test_nothing_is_made_twice_and_the_same_films_give_the_same_bytes(done: Path, root: Path) -> None:
    before = digests(done)
    told: list[str] = []
    assert conduct([study_named("imbalance")], root, done, SMALL, seeds=(0,), told=told.append)
    assert told == []
    assert digests(done) == before


def test_a_killed_run_goes_on_to_the_same_tables(
    done: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = 0

    def killed() -> None:
        nonlocal epochs
        epochs += 1
        if epochs in (1, 4):
            raise KeyboardInterrupt

    study = study_named("weak-labels")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            conduct([study], root, tmp_path, SMALL, seeds=(0,), tick=killed)
    assert list((tmp_path / "runs").glob("*/*.last.pt"))
    assert conduct([study], root, tmp_path, SMALL, seeds=(0,), tick=killed)
    for name in ("runs", "detectors", "changes"):
        file = f"{study.name}/{name}.parquet"
        assert (tmp_path / file).read_bytes() == (done / file).read_bytes(), file


def test_no_run_is_begun_when_the_budget_is_spent(root: Path, tmp_path: Path) -> None:
    assert not conduct([study_named("architecture")], root, tmp_path, SMALL, seeds=(0,), budget=0)
    text = (tmp_path / "architecture" / "report.md").read_text()
    assert "Nothing is finished yet." in text
    assert "Not run yet: untrained, DenseNet" in text


def test_a_run_that_another_process_is_at_is_left_to_it(root: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    store = Store(tmp_path, Samples(root, SMALL), SMALL)
    run = Run("untrained")
    (tmp_path / store.key(run)).mkdir()
    with FileLock(tmp_path / store.key(run) / "lock"):
        assert store.carry_out(run, wait=False) is None
    assert store.carry_out(run, wait=False) is not None


def test_keys_differ_with_all_that_decides_a_run(root: Path) -> None:
    store = Store(Path("nowhere"), Samples(root, SMALL), SMALL)
    other = Store(Path("nowhere"), Samples(root, SMALL), Settings())
    runs = [
        Run("findings"),
        Run("findings", seed=1),
        Run("findings", loss="weighted"),
        Run("findings", sampling="enriched"),
        Run("findings", shuffled=True),
        Run("findings", architecture="vgg"),
        Run("healthy"),
        Run("healthy", start=Run("findings")),
        Run("healthy", start=Run("self-supervised")),
    ]
    assert len({store.key(run) for run in runs} | {other.key(run) for run in runs}) == 2 * len(runs)
    assert store.key(Run("healthy", start=Run("findings"))) == store.key(Run("healthy", start=Run("findings")))


def test_one_seed_begins_with_the_same_features_whatever_is_learned(root: Path) -> None:
    a, b, c = (build("densenet", 0.25, seed).features.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not torch.equal(a["conv0.weight"], c["conv0.weight"])


def test_settled_norms_leave_units_centred() -> None:
    films = torch.randint(0, 255, (64, 32, 32), dtype=torch.uint8)
    net = build("densenet", 0.25, 0)
    settled = settle_norms(net, films, 32)
    out = settled.features(films[:, None].float() / 255 * 2 - 1)
    assert float(out.detach().mean((0, 2, 3)).abs().max()) < 0.05
    assert torch.equal(net.features.norm5.running_mean, torch.zeros(len(out[0])))  # type: ignore[union-attr]


def test_shuffled_severity_keeps_scores_and_tests_on_the_true_ones(root: Path, tmp_path: Path) -> None:
    samples = Samples(root, SMALL)
    place = learning.Workplace(tmp_path)
    found = learning.learn(Run("severity", shuffled=True), None, samples, SMALL, place)
    data = samples.sample("severity", "all")
    folds = samples.folds()
    distances = np.abs(data.targets[:, 0].numpy() - 9)
    assert folds.max() == 1
    assert found.measures["error of the training mean"].value == pytest.approx(float(distances.mean()), abs=1.5)
    assert len(found.measures["error of severity"].scores) == len(data)


# --------------------------------------------------------------------------------------------------- the command line


def test_list_names_all_five() -> None:
    out = CliRunner().invoke(app, ["study", "--list"]).output
    assert all(name in out for name in STUDIES)
    assert len(STUDIES) == 5


def test_the_command_runs_a_small_study(root: Path, tmp_path: Path) -> None:
    words = ["study", "architecture", "--data", str(root), "--out", str(tmp_path), "--seeds", "1", "--epochs", "1"]
    words += ["--size", "32", "--width", "0.25", "--permutations", "19", "--limit", "40", "--budget", "10"]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert (tmp_path / "architecture" / "report.md").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["unheard-of", "--out", "x"], "There is no study 'unheard-of'. There are: severity-only"),
        ([], "No study is named."),
        (["imbalance"], "There is no folder for the results."),
        (["imbalance", "--out", "x", "--permutations", "5"], "permutations is 5, which is too small."),
        (["imbalance", "--out", "x", "--limit", "3"], "limit of 3 films"),
        (["imbalance", "--out", "x", "--width", "0"], "width of 0.0"),
        (["imbalance", "--out", "x", "--data", "no-such-folder"], "no-such-folder does not exist"),
    ],
)
def test_wrong_use_is_named(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XRAYINTERP_DATA", str(root))
    with pytest.raises(XrayInterpError) as caught:
        CliRunner().invoke(app, ["study", *words], catch_exceptions=False)
    assert said in str(caught.value)


def test_a_missing_data_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(XrayInterpError, match=r"nih\.csv is not there|cohen\.csv is not there") as caught:
        conduct([study_named("severity-only")], tmp_path / "data", tmp_path / "out", SMALL)
    assert caught.value.code is Code.DATA_MISSING


def test_films_of_two_sources_keep_their_targets(root: Path) -> None:
    samples = Samples(root, SMALL)
    both, nih = samples.sample("healthy-combined", "train"), samples.sample("healthy", "train")
    films = [film for film in samples.scored if film.split == "train"]
    assert both.sources == ("nih",) * len(nih) + ("cohen",) * len(films)
    assert torch.equal(both.squares[: len(nih)], nih.squares)
    scores = [sum(film.scores["S"]) for film in films]
    assert both.targets[len(nih) :, 0].tolist() == [float(score > 0) for score in scores]
    bright = both.squares[len(nih) :].flatten(1).max(1).values
    assert bright[np.argmax(scores)] > bright[np.argmin(scores)] + 50
    last = both.at([len(both) - 1])
    assert (last.ids, last.patients) == (both.ids[-1:], both.patients[-1:])


def test_too_few_scored_films_are_named(root: Path) -> None:
    with pytest.raises(XrayInterpError, match="too few for 50 folds"):
        Samples(root, Settings(folds=50)).sample("severity", "all")


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock"
    }
