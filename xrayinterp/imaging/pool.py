"""Keeps decoding children: starts, lends, times and replaces them; safe to use from any thread."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import Code, XrayInterpError
from . import wire
from .limits import LIMITS, Limits
from .radiograph import Radiograph

_START_SECONDS = 60.0
_GRACE_SECONDS = 5.0
_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


class WorkerDiedError(Exception):
    """The child ended in the middle of a request; `timed_out` if its time was up."""

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__(timed_out)
        self.timed_out = timed_out


class Worker:
    """One decoding child and the channel to it."""

    def __init__(self, limits: Limits) -> None:
        """Starts the child without waiting for it to be ready."""
        self._limits = limits
        self._ready = False
        self._in_step = True
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module under our own interpreter
                [sys.executable, "-P", "-m", "xrayinterp.imaging.worker", str(theirs.fileno()), _json(limits)],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def ask(self, descriptor: int, request: dict[str, Any]) -> Radiograph:
        """The child's answer to one file, given by its descriptor (which stays open here).

        Raises:
            XrayInterpError: the child's refusal.
            WorkerDiedError: the child died, or was ended because its time was up.
        """
        self._in_step = False
        try:
            self._wait_until_ready()
            wire.send(self._channel, request, descriptor)
            self._channel.settimeout(self._limits.seconds + _GRACE_SECONDS)
            answer = wire.receive(self._channel)
            self._in_step = True
        except TimeoutError:
            self.stop()
            raise WorkerDiedError(timed_out=True) from None
        except (EOFError, OSError):
            raise WorkerDiedError(timed_out=self.stop() == -signal.SIGALRM) from None
        if answer.descriptor is None:
            raise wire.unpack_error(answer.body)
        return wire.unpack(answer.body, answer.descriptor)

    def usable(self) -> bool:
        """True while the child runs and owes no answer, as it would after an interrupt between question and answer."""
        return self._in_step and self._process.poll() is None

    def stop(self) -> int:
        """Ends the child, at once if need be; its exit status (negative: the signal that ended it)."""
        self._channel.close()
        try:
            return self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def abandon(self) -> None:
        """Forgets a child that belongs to the process this one was forked from."""
        self._channel.close()
        self._process.returncode = 0

    def _wait_until_ready(self) -> None:
        if not self._ready:
            self._channel.settimeout(_START_SECONDS)
            wire.receive(self._channel)
            self._ready = True


class Pool:
    """At most `size` children; each serves one caller at a time."""

    def __init__(self, size: int, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()

    def warm(self) -> None:
        """Starts one child ahead of its first file, if none is there."""
        with self._lock:
            if not self._all:
                self._idle.append(self._start())

    def read(self, descriptor: int, request: dict[str, Any]) -> Radiograph:
        """The radiograph in an open file; a child that crashes is replaced and asked once more.

        Raises:
            XrayInterpError: the refusal; `unsafe-file` where the children died of the file or ran out of time.
        """
        with self._free:
            for _ in range(2):
                worker = self._take()
                try:
                    return worker.ask(descriptor, request)
                except WorkerDiedError as death:
                    if death.timed_out:
                        raise self._too_slow() from None
                finally:
                    self._give_back(worker)
        raise XrayInterpError(
            Code.UNSAFE_FILE, "The decoder crashed on this file.", "Export it again, uncompressed, from its source."
        )

    def pids(self) -> tuple[int, ...]:
        """Process ids of the children."""
        with self._lock:
            return tuple(worker.pid for worker in self._all)

    def close(self) -> None:
        """Ends all children."""
        with self._lock:
            workers, self._all, self._idle = self._all, set(), []
        for worker in workers:
            worker.stop()

    def abandon(self) -> None:
        """Forgets all children, in a process forked from their parent."""
        for worker in self._all:
            worker.abandon()

    def _take(self) -> Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.usable():
                    return worker
                self._drop(worker)
            return self._start()

    def _give_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.usable() and worker in self._all:
                self._idle.append(worker)
            else:
                self._drop(worker)

    def _start(self) -> Worker:
        worker = Worker(self.limits)
        self._all.add(worker)
        return worker

    def _drop(self, worker: Worker) -> None:
        self._all.discard(worker)
        worker.stop()

    def _too_slow(self) -> XrayInterpError:
        return XrayInterpError(
            Code.UNSAFE_FILE,
            f"Reading the file took longer than the limit of {self.limits.seconds:g} s.",
            "Export it again, uncompressed, from its source.",
        )


_SIZE = min(2, os.cpu_count() or 1)
_pool = Pool(_SIZE)


def shared() -> Pool:
    """The pool of this process."""
    return _pool


def _after_fork() -> None:
    """A forked process must not talk over its parent's channels: it gets a pool of its own."""
    global _pool
    with contextlib.suppress(OSError):
        _pool.abandon()
    _pool = Pool(_SIZE)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one_thread, "PYTHONPATH": path}


def _json(limits: Limits) -> str:
    return json.dumps(asdict(limits))


atexit.register(lambda: shared().close())
os.register_at_fork(after_in_child=_after_fork)
