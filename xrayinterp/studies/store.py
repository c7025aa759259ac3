"""Where finished runs lie: each is carried out once, whichever study asks for it, and gone on with when broken off."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ..paths import whole_file
from ..training.fixed import Tick
from .dissected import LayerLine, as_json, dissections, from_json
from .learn import Learned, Workplace, learn
from .measures import Measure, load_measures, save_measures
from .networks import Net, build, with_head
from .plan import Run, Settings, content_key
from .samples import Samples


@dataclass(frozen=True)
class Result:
    """A finished run: how many films it learned from, its measures, its detectors, its seconds of processor time."""

    run: Run
    key: str
    films: int
    weights: int
    seconds: float
    measures: dict[str, Measure]
    lines: tuple[LayerLine, ...]

    def line(self, probe: str, layer: str) -> LayerLine | None:
        """The detectors of a layer on a probe set; None where it was not dissected on it."""
        return next((line for line in self.lines if (line.probe, line.layer) == (probe, layer)), None)


@dataclass
class Store:
    """A folder of runs, each in a folder of its key; several processes may share it.

    `folder/KEY` holds run.json, measures.npz, the weights of its networks and dissection-*.json, written in this order
    and each once; what is there is not made again.
    """

    folder: Path
    samples: Samples
    settings: Settings
    device: str = "cpu"
    _finished: dict[str, Result] = field(default_factory=dict, repr=False)

    def key(self, run: Run) -> str:
        """Key of a run: its definition, its start's key, the settings that decide it and the films it uses."""
        start = None if run.start is None else self.key(run.start)
        told = {**asdict(run), "start": start}
        return content_key(told, dict(self.settings.training), self.samples.digest)

    def result(self, run: Run) -> Result | None:
        """The finished run, or None."""
        place = self.folder / self.key(run)
        if place.name not in self._finished and self._dissection(place).is_file():
            self._finished[place.name] = self._read(run, place)
        return self._finished.get(place.name)

    def _read(self, run: Run, place: Path) -> Result:
        told = json.loads((place / "run.json").read_text(encoding="utf-8"))
        found = json.loads(self._dissection(place).read_text(encoding="utf-8"))
        return Result(
            run,
            place.name,
            told["films"],
            told["weights"],
            told["seconds"] + found["seconds"],
            load_measures(place / "measures.npz"),
            from_json(found["lines"]),
        )

    def carry_out(self, run: Run, tick: Tick = lambda: None, *, wait: bool = True) -> Result | None:
        """The finished run, carried out now where it is not there, its start before it.

        Returns:
            None where another process is at it and `wait` is False.
        """
        place = self.folder / self.key(run)
        place.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(place / "lock", timeout=-1 if wait else 0):
                if self.result(run) is None:
                    if run.start is not None:
                        self.carry_out(run.start, tick)
                    self._learn(run, place, tick)
                    self._dissect(run, place)
        except Timeout:
            return None
        return self.result(run)

    def network(self, run: Run, role: str = "main") -> Net:
        """A network of a finished run."""
        state = torch.load(self.folder / self.key(run) / f"{role}.pt", weights_only=True)
        net = with_head(build(run.architecture, self.settings.width, run.seed), len(state["classifier.bias"]), run.seed)
        net.load_state_dict(state)
        return net.eval()

    def _learn(self, run: Run, place: Path, tick: Tick) -> None:
        if (place / "run.json").is_file():
            return
        begun = time.process_time()
        _write(place / "spec.json", asdict(run))
        start = None if run.start is None else self.network(run.start)
        learned = learn(run, start, self.samples, self.settings, Workplace(place, self.device, tick))
        save_measures(place / "measures.npz", learned.measures)
        for role, net in learned.networks.items():
            _save_weights(net, place / f"{role}.pt")
        _write(place / "run.json", _told(learned, run, self.settings, time.process_time() - begun))

    def _dissect(self, run: Run, place: Path) -> None:
        begun = time.process_time()
        for checkpoint in place.glob("*.last.pt"):
            checkpoint.unlink()
        roles = json.loads((place / "run.json").read_text(encoding="utf-8"))["roles"]
        networks = {role: self.network(run, role) for role in roles}
        lines = dissections(run, networks, self.samples, self.settings, self.device)
        seconds = round(time.process_time() - begun, 1)
        _write(self._dissection(place), {"seconds": seconds, "lines": as_json(lines)})

    def _dissection(self, place: Path) -> Path:
        return place / f"dissection-{self._how}.json"

    @cached_property
    def _how(self) -> str:
        return content_key(dict(self.settings.dissecting))


def in_order(runs: Sequence[Run]) -> list[Run]:
    """Each run once, every start and every untrained comparison before what follows from it."""
    out: dict[Run, None] = {}

    def add(run: Run) -> None:
        if run.before is not None:
            add(run.before)
        out.setdefault(run, None)

    for run in runs:
        add(run)
    return list(out)


def _told(learned: Learned, run: Run, settings: Settings, seconds: float) -> dict[str, Any]:
    features = build(run.architecture, settings.width, run.seed).features
    weights = sum(parameter.numel() for parameter in features.parameters())
    roles = list(learned.networks)
    return {"films": learned.films, "weights": weights, "roles": roles, "seconds": round(seconds, 1)}


def _save_weights(net: Net, file: Path) -> None:
    with whole_file(file) as partial:
        torch.save(net.state_dict(), partial)


def _write(file: Path, content: object) -> None:
    with whole_file(file) as partial:
        partial.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
