"""Long work beside the page: steps that run in a thread, are read at any moment and stopped between two of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from threading import Event, Lock, Thread
from typing import Generic, Literal, TypeVar

from ..errors import Code, XrayInterpError
from .threads import spawn

T = TypeVar("T")
State = Literal["waiting", "running", "done", "stopped", "failed"]
Steps = Callable[[Callable[[], bool]], Iterator[T]]
"""Given `cancelled`, yields one result a step; it may also ask `cancelled` within a step."""

_LOG = logging.getLogger(__name__)


class Measurement(Generic[T]):
    """Results of `steps` as they come; what came stays, and after a stop it can be begun anew."""

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self.results: tuple[T, ...] = ()
        self.state: State = "waiting"
        self.error: XrayInterpError | None = None
        self.declined = False
        """Whether the reader stopped it: then it is not begun again unasked."""

    def start(self) -> None:
        """Begin, or begin anew after a stop or a failure; nothing where it runs or is done."""
        with self._lock:
            if self.state in ("running", "done"):
                return
            stop = self._stop = Event()
            self.results, self.error, self.declined, self.state = (), None, False, "running"
            self._thread = spawn(lambda: self._run(stop), "measuring", stop.set)

    def stop(self) -> None:
        """Ask it to end after the step it is in."""
        with self._lock:
            self._stop.set()
            if self.state == "running":
                self.state = "stopped"

    def decline(self) -> None:
        """End it, or do not begin it, because the reader said so; what is done stays."""
        self.stop()
        self.declined = self.state != "done"

    def allow(self) -> None:
        """Take a refusal back: it may be begun again."""
        self.declined = False

    def wait(self, timeout: float | None = None) -> None:
        """Until it has ended."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, stop: Event) -> None:
        try:
            for result in self._steps(stop.is_set):
                if not self._keep(stop, result):
                    return
            self._end(stop, "done")
        except XrayInterpError as error:
            self._end(stop, "failed", error)
        except MemoryError:
            hint = "Close other films or programs."
            self._end(stop, "failed", XrayInterpError(Code.TOO_LARGE, "There is not enough memory for this.", hint))
        except Exception as error:  # a thread has nobody above it to tell
            if stop.is_set():  # what ends work that was stopped is how it was stopped
                return
            _LOG.exception("A measurement ended unexpectedly.")
            what = f"The measurement ended unexpectedly ({type(error).__name__})."
            self._end(stop, "failed", XrayInterpError(Code.INTERNAL, what, "The film and its map are not affected."))

    def _keep(self, stop: Event, result: T) -> bool:
        """Add a result, unless this run was stopped; a run begun since has results of its own."""
        with self._lock:
            if stop.is_set():
                return False
            self.results = (*self.results, result)
            return True

    def _end(self, stop: Event, state: State, error: XrayInterpError | None = None) -> None:
        with self._lock:
            if not stop.is_set():
                self.state, self.error = state, error
