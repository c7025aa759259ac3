"""A folder of small models and a cache of its own, for pages that must not depend on what this machine has."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.page_models import write_page_models


@pytest.fixture(scope="session")
def page_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `builtin` and `cache`."""
    home = tmp_path_factory.mktemp("page")
    (home / "builtin").mkdir()
    (home / "cache").mkdir()
    write_page_models(home / "builtin", home / "cache")
    return home


@pytest.fixture
def small_models(page_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process sees the small models only."""
    monkeypatch.setenv("XRAYINTERP_BUILTIN", str(page_home / "builtin"))
    monkeypatch.setenv("XRAYINTERP_CACHE", str(page_home / "cache"))
    return page_home
