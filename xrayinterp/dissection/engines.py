"""Where jobs run: in this process, in processes of this machine, or on a Ray cluster. All give the same bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Protocol

from ..errors import Code, XrayInterpError
from .device import RESIDENT
from .jobs import Job
from .plan import Plan

Tick = Callable[[int], None]
ATTEMPTS = 3
"""How often a job whose worker died is tried in all."""


class Running(Protocol):
    """An engine at work on a plan."""

    def run(self, jobs: Sequence[Job], tick: Tick) -> list[Any]:
        """Answers of all jobs, in their order; `tick` is told of films done."""


class Engine(Protocol):
    """Something that runs jobs; `workers` is how many at a time."""

    @property
    def workers(self) -> int:
        """Jobs at a time."""

    def on(self, plan: Plan) -> AbstractContextManager[Running]:
        """Begin to work on a plan."""


@dataclass(frozen=True)
class InProcess:
    """One job after the other, here."""

    workers: int = 1

    @contextmanager
    def on(self, plan: Plan) -> Iterator[Running]:
        """See `Engine.on`."""
        try:
            yield _Here(plan)
        finally:
            RESIDENT.clear()


@dataclass(frozen=True)
class _Here:
    plan: Plan

    def run(self, jobs: Sequence[Job], tick: Tick) -> list[Any]:
        return [job(self.plan, tick) for job in jobs]


@dataclass(frozen=True)
class Processes:
    """Several processes of this machine, one thread each; a process that dies is replaced and its job tried again."""

    workers: int = 2

    @contextmanager
    def on(self, plan: Plan) -> Iterator[Running]:
        """See `Engine.on`."""
        running = _Pool(plan, self.workers)
        try:
            yield running
        finally:
            running.close()


class _Pool:
    def __init__(self, plan: Plan, workers: int) -> None:
        self._plan, self._workers = plan, workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, jobs: Sequence[Job], tick: Tick) -> list[Any]:
        answers: dict[int, Any] = {}
        for _ in range(ATTEMPTS):
            left = [i for i in range(len(jobs)) if i not in answers]
            try:
                self._round(jobs, left, answers, tick)
            except BrokenProcessPool:
                self.close()
                continue
            return [answers[i] for i in range(len(jobs))]
        raise XrayInterpError(
            Code.INTERNAL,
            f"A worker process died {ATTEMPTS} times; {len(jobs) - len(answers)} of {len(jobs)} jobs are not done.",
            "It may be out of memory: use fewer workers or more shards. What is done is kept; run it again to go on.",
        )

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = None

    def _round(self, jobs: Sequence[Job], left: Sequence[int], answers: dict[int, Any], tick: Tick) -> None:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), _hold, (self._plan,))
        waiting: dict[Future[Any], int] = {self._pool.submit(_do, jobs[i]): i for i in left}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                i = waiting.pop(future)
                answers[i] = future.result()
                tick(jobs[i].films(self._plan))


_held: list[Plan] = []


def _hold(plan: Plan) -> None:
    """In a new process: keep the plan, and leave the other processors to the other processes."""
    import torch

    torch.set_num_threads(1)
    _held[:] = [plan]


def _do(job: Job) -> Any:
    return job(_held[0], _silent)


def _silent(films: int) -> None:
    """Films done are reported when the job is."""


@dataclass(frozen=True)
class Ray:
    """A Ray cluster, or Ray on this machine where no `address` is given; needs the [cluster] extra.

    All machines must see the plan's folder and the films under the same paths. `gpus` of each worker may be a share.
    """

    workers: int = 2
    address: str | None = None
    gpus: float = 0.0

    @contextmanager
    def on(self, plan: Plan) -> Iterator[Running]:
        """See `Engine.on`.

        Raises:
            XrayInterpError: `bad-option` without Ray, or where no cluster answers.
        """
        ray = _ray()
        begun = not ray.is_initialized()
        if begun:
            _begin(ray, self)
        try:
            yield _Cluster(ray, plan, self)
        finally:
            if begun:
                ray.shutdown()


class _Cluster:
    def __init__(self, ray: Any, plan: Plan, engine: Ray) -> None:
        self._ray, self._plan = ray, plan
        self._held = ray.put(plan)
        options = {"num_cpus": 1, "num_gpus": engine.gpus, "max_retries": ATTEMPTS - 1}
        self._do = ray.remote(_remote).options(**options)

    def run(self, jobs: Sequence[Job], tick: Tick) -> list[Any]:
        waiting = {self._do.remote(self._held, job): i for i, job in enumerate(jobs)}
        answers: dict[int, Any] = {}
        while waiting:
            done, _ = self._ray.wait(list(waiting), num_returns=1)
            for reference in done:
                i = waiting.pop(reference)
                answers[i] = self._answer(reference)
                tick(jobs[i].films(self._plan))
        return [answers[i] for i in range(len(jobs))]

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.WorkerCrashedError as error:
            raise XrayInterpError(
                Code.INTERNAL,
                f"A worker died {ATTEMPTS} times at the same job.",
                "It may be out of memory: use more shards. What is done is kept; run it again to go on.",
            ) from error
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, XrayInterpError) else error from None


def _remote(plan: Plan, job: Job) -> Any:
    import torch

    torch.set_num_threads(1)
    return job(plan, _silent)


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise XrayInterpError(
            Code.BAD_OPTION, "Ray is not installed.", "Install it: pip install 'xrayinterp[cluster]'."
        ) from None
    return ray


def _begin(ray: Any, engine: Ray) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves this machine unasked
    try:
        if engine.address is None:
            seen = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}  # what this process can import
            ray.init(
                num_cpus=engine.workers, runtime_env=seen, include_dashboard=False, log_to_driver=False,
                configure_logging=False,
            )  # fmt: skip
        else:
            ray.init(address=engine.address, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise XrayInterpError(
            Code.BAD_OPTION, f"No Ray cluster answers at {engine.address}: {error}.", "Start one with `ray start`."
        ) from error
