"""What `xrayinterp dissect`, `formation` and `models show` tell of units and concepts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.small_models import write_small_builtin
from helpers.unit_facts import some_facts

from xrayinterp.cli import main
from xrayinterp.dissection.io import load_atlas

FINDINGS = ("Effusion", "Mass", "Nodule")
FILMS = ("--probes", "phantom", "--limit", "4", "--permutations", "19")


@pytest.fixture(autouse=True, scope="module")
def small_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An installation with a small built-in model and a cache of its own, without data."""
    folder = tmp_path_factory.mktemp("installation")
    write_small_builtin(folder / "builtin", "compact", FINDINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRAYINTERP_BUILTIN", str(folder / "builtin"))
        patch.setenv("XRAYINTERP_CACHE", str(folder / "cache"))
        patch.delenv("XRAYINTERP_DATA", raising=False)
        yield


def ended(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def test_dissect_counts_detectors_or_says_there_could_be_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "atlas.parquet"
    assert ended("dissect", *FILMS, "--out", out) == 0
    rows = load_atlas(out).rows
    lines = capsys.readouterr().out.splitlines()
    told = {line.split("  ")[1].strip(): line for line in lines[1:]}
    assert lines[0].split()[:3] == ["LAYER", "CONCEPT", "DETECTORS"] and set(told) == {row.concept for row in rows}
    for concept, line in told.items():  # four films do not show every finding
        best = max(row.ceiling for row in rows if row.concept == concept)
        assert ("undetectable with this probe" in line) == (best <= 0.04), line


def test_formation_tells_every_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "checkpoints"
    assert ended("formation", folder) == 2
    folder.mkdir()
    assert ended("formation", folder, *FILMS) == 1
    assert "error [not-found]: " in capsys.readouterr().err
    for step in (1, 10, 2):
        write_small_builtin(folder, f"step-{step}", FINDINGS)
    assert ended("formation", folder, *FILMS, "--out", tmp_path / "curves.json") == 0
    out = capsys.readouterr().out
    assert re.search(r"CONCEPT +step-1 +step-2 +step-10\n", out)
    assert "labelled units" in out and "undetectable with this probe" in out
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert curves["checkpoints"] == ["step-1", "step-2", "step-10"]
    assert all(len(curve["detectors"]) == 3 for curve in curves["curves"])
    assert ended("formation", folder, *FILMS, "--out", tmp_path / "absent" / "curves.json") == 2


def test_a_card_tells_units(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("xrayinterp.dissection.unit_facts.unit_facts_for", lambda entry: some_facts())
    assert ended("models", "show", "compact") == 0
    out = capsys.readouterr().out
    assert "burnt-in text: 1 unit fires on them: 3." in out and "with the probe one: Marker." in out
    assert re.search(r"Disc \(p\) +2 ", out)
    monkeypatch.undo()
    assert ended("models", "show", "compact") == 0
    assert "Shortcut" not in capsys.readouterr().out  # these weights were never measured
