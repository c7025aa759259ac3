"""`xrayinterp anomaly` as a stranger uses it: fit on a folder, score films, bad ones among them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.films import film_png

from xrayinterp.anomaly import files, model
from xrayinterp.anomaly.choice import expert_named
from xrayinterp.anomaly.fitting import Settings
from xrayinterp.anomaly.making import from_files, make
from xrayinterp.anomaly.table import score_films
from xrayinterp.cli import main
from xrayinterp.imaging.reader import read
from xrayinterp.models.layout import DenseNetShape

Cli = Callable[..., tuple[int, str]]
SMALL = DenseNetShape(growth=4, blocks=(2, 2, 2, 2), stem=8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYINTERP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("xrayinterp.anomaly.choice.RANDOM_DENSE", SMALL)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*words: str | Path) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["anomaly", *(str(word) for word in words)])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(14):
        film_png(tmp_path / "normal" / f"{i:02}.png", seed=i)
    return tmp_path / "normal"


def test_what_cannot_be_is_refused_before_any_work(cli: Cli, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("")
    for out, *more in (
        (tmp_path / "afile" / "a.safetensors",),
        (tmp_path / "a.safetensors", "--work", str(tmp_path / "afile")),
        (tmp_path / "a.safetensors", "--data", str(tmp_path)),
        (tmp_path / "a.safetensors", "--seed", "-1"),
    ):
        code, said = cli("fit", folder, "--normal", "blobs", "-o", out, *more)
        assert (code, "Reading" in said, "internal" in said) == (2, False, False), said
    code, said = cli("fit", "--dataset", "nih", "--normal", "blobs", "-o", tmp_path / "a.safetensors")
    assert code == 2
    assert "Leave --normal out" in said
    code, said = cli("evaluate", "digits-3", "-o", tmp_path / "afile" / "x")
    assert (code, "bad-option" in said) == (2, True)


def test_a_device_there_is_not_is_refused(cli: Cli, folder: Path, tmp_path: Path) -> None:
    code, said = fitted(cli, folder, tmp_path / "a.safetensors", "--device", "nonsense")
    assert code == 2
    assert "The device 'nonsense' cannot be used" in said


def test_an_evaluation_in_which_a_detector_fails_ends_with_1(cli: Cli, tmp_path: Path) -> None:
    more = ("--seeds", "1", "--effort", "0.01", "-o", tmp_path / "out")
    code, said = cli("evaluate", "digits-3", "-d", "nearest@random", "--device", "nonsense", *more)
    assert code == 1
    assert "1 of 1 failed, 0 are in work elsewhere" in said
    assert cli("evaluate", "digits-3", "-d", "nearest@random", *more)[0] == 0


def fitted(cli: Cli, folder: Path, out: Path, *more: str) -> tuple[int, str]:
    return cli(
        "fit", folder, "--normal", "soft blobs", "--expert", "random", "--size", "64", "--epochs", "2", "--batch", "4",
        "--out", out, *more,
    )  # fmt: skip


def test_fit_then_score(cli: Cli, folder: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "blobs.safetensors", tmp_path / "scores.csv"
    status, said = fitted(cli, folder, out)
    assert status == 0, said
    record = files.read_record(out)
    assert record.normals.description == "soft blobs (patients unknown, films dealt out one by one)"
    assert "among 3 held-out normals, fewer than 20" in said
    assert (record.normals.films, len(record.calibration.scores)) == (11, 3)
    (tmp_path / "bad.png").write_text("no picture")
    status, said = cli(
        "score", folder / "00.png", tmp_path / "bad.png", folder / "01.png", "--csv", table, "--detector", out
    )
    assert status == 3
    assert "error [not-an-image]" in said
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == ["file", "verdict", "gate", "score", "percentile"]
    assert [row["verdict"] for row in rows] == ["warned", "not-an-image", "warned"]  # the view of a PNG is unknown
    assert rows[1] | {"file": ""} == {"file": "", "verdict": "not-an-image", "gate": "", "score": "", "percentile": ""}
    found = model.load(out).score(read(folder / "00.png"))
    assert float(rows[0]["score"]) == pytest.approx(found.score, rel=1e-4)
    assert 0 <= float(rows[0]["percentile"]) <= 100


def test_an_ablation_is_an_option(cli: Cli, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "last.safetensors"
    more = ("--points", "last", "--terms", "direction", "--fusion", "standardised")
    status, said = fitted(cli, folder, out, *more)
    assert status == 2
    assert "too few to standardise" in said
    for i in range(14, 24):
        film_png(folder / f"{i}.png", seed=i)
    status, said = fitted(cli, folder, out, *more)
    assert status == 0, said
    assert "terms standardised on 10 of them" in files.read_record(out).normals.description
    settings = files.read_record(out).settings
    assert (settings.training, settings.scoring, settings.terms, settings.fusion) == (
        (3,),
        (3,),
        "direction",
        "standardised",
    )


def test_without_a_gate_its_column_is_empty(
    cli: Cli, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "blobs.safetensors"
    fitted(cli, folder, out)
    for builtin, told in ((None, "stop"), (tmp_path / "nothing", "")):  # blobs are no chest
        if builtin is not None:
            monkeypatch.setenv("XRAYINTERP_BUILTIN", str(builtin))
        cli("score", folder / "00.png", "--csv", tmp_path / "scores.csv", "--detector", out)
        (row,) = csv.DictReader((tmp_path / "scores.csv").open())
        assert row["gate"] == told
        assert row["score"]


def test_a_threshold_of_its_own_makes_a_detector_a_gate(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(file) for file in sorted(folder.iterdir())]
    path = tmp_path / "blobs.safetensors"
    make(
        "blobs", path, expert_named("random", size=64), from_files(names, "blobs"), Settings(epochs=1, batch=4),
        threshold_share=0.5,
    )  # fmt: skip
    detector = model.load(path)
    found = detector.scores(torch.cat([detector.prepare(read(Path(name))) for name in names]))
    rows = list(score_films(names, detector, view="PA"))
    assert [row.gate for row in rows] == ["stop" if score.stopped else "pass" for score in found]
    assert {row.gate for row in rows} == {"stop", "pass"}
    for row in rows:
        assert row.verdict == ("warned" if row.gate == "stop" else "ok")
        assert ("looks-unlike-chest" in row.message) == (row.gate == "stop")
        assert row.read


def test_what_cannot_end_well_is_said_before_a_film_is_read(cli: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / "05.png").write_text("no picture")  # would end with 1 once it is read
    for out, expert, said in (
        ("my blobs", "random", "cannot be called 'my blobs'"),
        (
            "blobs",
            "random-vgg16",
            "more than 5000000. The expert lies in the file, too",
        ),
    ):
        status, text = cli(
            "fit", folder, "--normal", "soft blobs", "--expert", expert, "--out", tmp_path / f"{out}.safetensors"
        )
        assert status == 2
        assert said in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fit", "x.png", "--out", "a.safetensors"), "--normal"),
        (("fit", "--out", "a.safetensors"), "FILES or --dataset"),
        (("fit", "x.png", "--normal", "n", "--out", "a.pt"), "end in .safetensors"),
        (("score", "x.png", "--csv", "a.csv", "--detector", "nobody"), "no detector called 'nobody'"),
        (("score", "x.png", "--csv", "a.csv", "--fit", "pad"), "calibrated on centre crops"),
    ],
)
def test_wrong_use_exits_with_2(cli: Cli, words: tuple[str, ...], said: str) -> None:
    status, text = cli(*words)
    assert status == 2
    assert said in text


def test_one_unreadable_normal_ends_a_fit(cli: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / "05.png").write_text("no picture")
    status, said = fitted(cli, folder, tmp_path / "blobs.safetensors")
    assert status == 1
    assert "05.png" in said
    assert not (tmp_path / "blobs.safetensors").exists()
