"""What `xrayinterp models show` tells of a model's units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.small_models import write_small_builtin
from helpers.unit_facts import some_facts

from xrayinterp.cli import main

FINDINGS = ("Effusion", "Mass", "Nodule")


@pytest.fixture(autouse=True, scope="module")
def small_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An installation with a small built-in model and a cache of its own."""
    folder = tmp_path_factory.mktemp("installation")
    write_small_builtin(folder / "builtin", "compact", FINDINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XRAYINTERP_BUILTIN", str(folder / "builtin"))
        patch.setenv("XRAYINTERP_CACHE", str(folder / "cache"))
        yield


def ended(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0)


def test_a_card_tells_units(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("xrayinterp.dissection.unit_facts.unit_facts_for", lambda entry: some_facts())
    assert ended("models", "show", "compact") == 0
    out = capsys.readouterr().out
    assert "burnt-in text: 1 unit fires on them: 3." in out and "with the probe one: Marker." in out
    assert re.search(r"Disc \(p\) +2 ", out)
    monkeypatch.undo()
    assert ended("models", "show", "compact") == 0
    assert "Shortcut" not in capsys.readouterr().out  # these weights were never measured
