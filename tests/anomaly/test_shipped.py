"""What the making of the built-in detector keeps between its parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrayinterp.anomaly.shipped import Spent


def test_time_adds_up_over_resumptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.process_time", lambda: clock[0])
    file = tmp_path / "fit.seconds"
    ticks: list[int] = []
    first = Spent(file)
    tick = first.counting(lambda: ticks.append(1))
    clock[0] += 7
    tick()
    clock[0] += 5  # an epoch that broke off: its state was not kept, nor is its time
    assert ticks == [1]
    clock[0] = 0.0  # another process
    second = Spent(file)
    clock[0] += 3
    assert second.keep() == 10
    assert Spent(file).before == 10
