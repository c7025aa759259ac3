"""Work beside the page: results in order, stopped between steps, begun anew, and failures that are told."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from threading import Event

import pytest

from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.evaluation.lamps import MapTrust, Reading
from xrayinterp.ui.export import measured
from xrayinterp.ui.measuring import Measurement

PATIENCE = 20


def counting(cancelled: Callable[[], bool]) -> Iterator[int]:
    yield from range(3)


def test_results_come_in_order_and_stay():
    work = Measurement(counting)
    assert (work.state, work.results) == ("waiting", ())
    work.start()
    work.wait(PATIENCE)
    assert (work.state, work.results, work.error) == ("done", (0, 1, 2), None)
    work.start()
    assert work.state == "done"


def test_a_stop_keeps_what_came_and_a_new_start_begins_anew():
    go_on, first_is_there = Event(), Event()

    def steps(cancelled: Callable[[], bool]) -> Iterator[str]:
        yield "first"
        first_is_there.set()
        go_on.wait(PATIENCE)
        yield "second"

    work = Measurement(steps)
    work.start()
    assert first_is_there.wait(PATIENCE)
    work.decline()
    assert (work.state, work.declined, work.results) == ("stopped", True, ("first",))
    go_on.set()
    work.wait(PATIENCE)
    assert (work.state, work.results) == ("stopped", ("first",))
    work.start()
    work.wait(PATIENCE)
    assert (work.state, work.declined, work.results) == ("done", False, ("first", "second"))


def test_what_has_not_begun_can_be_declined_and_allowed_and_what_is_done_stays():
    work = Measurement(counting)
    work.decline()
    assert (work.state, work.declined) == ("waiting", True)
    work.allow()
    work.start()
    work.wait(PATIENCE)
    work.decline()
    assert (work.state, work.declined, work.results) == ("done", False, (0, 1, 2))


def test_steps_are_told_that_they_are_cancelled():
    asked: list[bool] = []
    inside, stopped = Event(), Event()

    def steps(cancelled: Callable[[], bool]) -> Iterator[int]:
        inside.set()
        stopped.wait(PATIENCE)
        asked.append(cancelled())
        return
        yield 0

    work = Measurement(steps)
    work.start()
    assert inside.wait(PATIENCE)
    work.stop()
    stopped.set()
    work.wait(PATIENCE)
    assert asked == [True]
    assert not work.declined


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (XrayInterpError(Code.NO_PIXELS, "No pixels."), Code.NO_PIXELS),
        (MemoryError(), Code.TOO_LARGE),
        (ZeroDivisionError(), Code.INTERNAL),
    ],
)
def test_a_failure_is_kept_in_words(raised: Exception, code: Code):
    def steps(cancelled: Callable[[], bool]) -> Iterator[int]:
        yield 1
        raise raised

    work = Measurement(steps)
    work.start()
    work.wait(PATIENCE)
    assert work.state == "failed"
    assert work.error is not None
    assert work.error.code is code
    assert work.results == (1,)


def test_how_stopped_work_ends_is_no_failure():
    inside, stopped = Event(), Event()

    def steps(cancelled: Callable[[], bool]) -> Iterator[int]:
        inside.set()
        stopped.wait(PATIENCE)
        raise RuntimeError("interrupted")
        yield 0

    work = Measurement(steps)
    work.start()
    assert inside.wait(PATIENCE)
    work.stop()
    stopped.set()
    work.wait(PATIENCE)
    assert (work.state, work.error) == ("stopped", None)


def test_a_process_ends_cleanly_while_it_measures():
    code = """
import torch
from xrayinterp.ui.measuring import Measurement
def steps(cancelled):
    while not cancelled():
        torch.randn(64, 64) @ torch.randn(64, 64)
        yield 1
work = Measurement(steps)
work.start()
while not work.results:
    pass
"""
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_an_export_waits_for_the_strip_that_is_being_measured():
    begun = Event()
    lamp = Reading("faithful", "good", 0.9, 0.5, "The score depends on what the map marks.")

    def steps(cancelled: Callable[[], bool]) -> Iterator[Reading]:
        begun.set()
        time.sleep(0.3)
        yield lamp

    under_way, never_begun = Measurement(steps), Measurement(steps)
    under_way.start()
    assert begun.wait(PATIENCE)
    assert measured({"gradient": under_way, "rise": never_begun}) == (MapTrust("gradient", (lamp,)),)
