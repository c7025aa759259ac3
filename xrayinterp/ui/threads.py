"""Threads beside the page; they end before the interpreter does, which would otherwise abort in the midst of torch."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from threading import Thread
from weakref import WeakKeyDictionary

PATIENCE = 20.0
"""Seconds that an ending process waits for one thread."""

_running: WeakKeyDictionary[Thread, Callable[[], None]] = WeakKeyDictionary()


def spawn(work: Callable[[], None], name: str, stop: Callable[[], None] = lambda: None) -> Thread:
    """Run `work` in a thread of its own; `stop` asks it to end, and is called when the process ends."""
    thread = Thread(target=work, daemon=True, name=f"xrayinterp-{name}")
    _running[thread] = stop
    thread.start()
    return thread


@atexit.register
def end_all() -> None:
    """Ask every thread to end, then wait for each."""
    alive = [(thread, stop) for thread, stop in list(_running.items()) if thread.is_alive()]
    for _, stop in alive:
        stop()
    for thread, _ in alive:
        thread.join(PATIENCE)
