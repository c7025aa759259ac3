"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("untimed")

_DEFAULT_DATA = Path(__file__).parent.parent.parent / "shared" / "data"
if "XRAYINTERP_DATA" not in os.environ and _DEFAULT_DATA.is_dir():
    os.environ["XRAYINTERP_DATA"] = str(_DEFAULT_DATA)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real radiographs; the test is skipped, with this reason, where there is none."""
    path = os.environ.get("XRAYINTERP_DATA")
    if not path or not Path(path).is_dir():
        pytest.skip("needs real radiographs: set XRAYINTERP_DATA to a folder that holds them")
    return Path(path)
