"""`xrayinterp evaluate` as a stranger uses it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.small_models import write_small_builtin

from xrayinterp.cli import main
from xrayinterp.evaluation.journal import load_rows

WORDS = ("evaluate", "--probes", "phantom", "--splits", "generated", "--limit", "2")


@pytest.fixture(autouse=True, scope="module")
def small_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An installation with a small built-in model and a cache of its own."""
    folder = tmp_path_factory.mktemp("installation")
    write_small_builtin(folder / "builtin", "compact", ("Effusion", "Mass", "Nodule"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRAYINTERP_BUILTIN", str(folder / "builtin"))
        patch.setenv("XRAYINTERP_CACHE", str(folder / "cache"))
        yield


def ended(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def test_writes_values_table_and_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results"
    asked = ("--methods", "gradcam,gradient", "--metrics", "stability,pointing", "--seed", "3", "--out", out)
    assert ended(*WORDS, *asked) == 0
    rows, settings = load_rows(out / "values.parquet")
    assert (settings["model"], settings["probes"], settings["seed"], settings["seen"]) == (
        "compact",
        "phantom",
        3,
        "no",
    )
    assert {row.method for row in rows} == {"gradcam", "gradient"}
    assert {row.split for row in rows} == {"generated"}
    assert re.search(r"\| gradcam \|", (out / "table.md").read_text(encoding="utf-8"))
    assert (out / "figure.svg").read_text(encoding="utf-8").startswith("<svg")
    said = capsys.readouterr()
    assert said.out == ""
    assert "2 methods on 2 films" in said.err
    again = (out / "values.parquet").read_bytes()
    assert ended(*WORDS, *asked) == 0
    assert (out / "values.parquet").read_bytes() == again


def test_parts_say_when_the_table_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--methods", "gradcam", "--metrics", "stability", "--out", tmp_path)
    assert ended(*WORDS, *asked, "--part", "1/2") == 0
    assert "part that ends last" in capsys.readouterr().err
    assert not (tmp_path / "table.md").exists()
    assert ended(*WORDS, *asked, "--part", "2/2") == 0
    assert (tmp_path / "table.md").is_file()


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (("--methods", "gradcam_typo"), "unknown-method", "gradcam_typo"),
        (("--metrics", "pointng"), "bad-option", "pointing"),
        (("--probes", "nowhere"), "unknown-probes", "nowhere"),
        (("--model", "nobody"), "unknown-model", "nobody"),
        (("--part", "2"), "bad-option", "1/2"),
        (("--part", "3/2"), "bad-option", "3/2"),
        (("--part", "0/0"), "bad-option", "0/0"),
    ],
)
def test_wrong_input_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str, named: str
) -> None:
    assert ended(*WORDS, "--out", tmp_path / "results", *words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error [{code}]")
    assert named in said
    assert not (tmp_path / "results").exists()


def test_split_without_films_and_file_as_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("evaluate", "--probes", "phantom", "--out", tmp_path / "results") == 2
    assert "It has: generated" in capsys.readouterr().err
    file = tmp_path / "file"
    file.touch()
    assert ended(*WORDS, "--out", file) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.data
def test_real_films(tmp_path: Path, data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--methods", "gradcam_signed", "--metrics", "stability,sensitivity-n,pointing,energy,iou")
    assert ended("evaluate", "--data", data_root, "--splits", "val", "--limit", "2", *asked, "--out", tmp_path) == 0
    rows, _ = load_rows(tmp_path / "values.parquet")
    assert {row.split for row in rows} == {"val"}
    assert all(0 <= row.value <= 1 for row in rows if row.metric == "energy" and row.value is not None)
    assert all(row.value is not None for row in rows if row.metric == "sensitivity-n")
