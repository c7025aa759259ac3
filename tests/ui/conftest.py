"""A folder of small models and a cache of its own, for pages that must not depend on what this machine has."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from helpers.page_models import write_page_models
from helpers.page_server import tell_where_they_are


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What stood on the page when a browser test failed: without it nobody can tell a slow page from a broken one."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page") or getattr(item, "funcargs", {}).get("whole_page")
    if report.failed and report.when == "call" and page is not None:
        report.sections.append(("The page", _standing(page)))
        tell_where_they_are()
    return report


def _standing(page: Any) -> str:
    try:
        state = page.locator('[data-testid="stApp"]').get_attribute("data-test-script-state", timeout=5_000)
        return f"{page.url}, script {state}\n{page.locator('body').inner_text(timeout=5_000)}"
    except Exception as error:  # a report of a failure must not fail
        return f"The page could not be asked: {error}"
