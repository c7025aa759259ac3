"""Files are whole or as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrayinterp.paths import whole_file


def test_a_file_appears_at_the_end_and_nothing_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "new" / "table.csv"
    with whole_file(file) as partial:
        partial.write_text("first")
        assert not file.exists()
    assert file.read_text() == "first" and [one.name for one in file.parent.iterdir()] == ["table.csv"]


def test_after_an_error_the_old_file_is_there(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(file) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert file.read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["table.csv"]
