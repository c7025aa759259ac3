"""Where measured detectors lie: one file a task, detector and seed; several processes may share the folder."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from ..errors import Code, XrayInterpError
from ..paths import whole_file
from .protocol import Measured, Outcome

_VERSION = 2


@dataclass(frozen=True)
class Cell:
    """One detector on one task with one seed, and all else that decides the result (see `Plan.cell`)."""

    task: str
    detector: str
    seed: int
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that two runs with the same result share."""
        return hashlib.sha256(json.dumps([_VERSION, asdict(self)], sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Cells:
    """A folder of measured cells: `TASK/DETECTOR-SEED-KEY.npz`, each written once and whole."""

    folder: Path
    _read: dict[str, Outcome] = field(default_factory=dict, repr=False)

    def file(self, cell: Cell) -> Path:
        """Where a cell's outcome lies or will lie."""
        name = cell.detector.replace(":", ".").replace("@", "-at-")
        return self.folder / cell.task / f"{name}-{cell.seed}-{cell.key}.npz"

    def outcome(self, cell: Cell) -> Outcome | None:
        """The outcome, or None where it was not measured yet.

        Raises:
            XrayInterpError: `bad-data` where the file is damaged.
        """
        file = self.file(cell)
        if cell.key not in self._read and file.is_file():
            self._read[cell.key] = load_outcome(file)
        return self._read.get(cell.key)

    def carry_out(self, cell: Cell, measure: Callable[[], Outcome]) -> bool:
        """Measure a cell where it was not before; False where another process is at it."""
        file = self.file(cell)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(file.with_suffix(".lock"), timeout=0):
                if not file.is_file():
                    save_outcome(file, measure(), cell)
        except Timeout:
            return False
        return True


def save_outcome(file: Path, outcome: Outcome, cell: Cell) -> None:
    """Write an outcome, whole or not at all."""
    told = {
        "cell": asdict(cell),
        "fit_seconds": outcome.fit_seconds,
        "seconds_per_thousand": outcome.seconds_per_thousand,
        "figures": [{k: v for k, v in vars(one).items() if k not in ("value", "draws")} for one in outcome.figures],
    }
    with whole_file(file) as partial, partial.open("wb") as handle:
        np.savez_compressed(
            handle,
            told=np.array(json.dumps(told)),
            values=np.array([one.value for one in outcome.figures]),
            draws=np.array([one.draws for one in outcome.figures], dtype=np.float32),
        )


_BROKEN = (EOFError, NotImplementedError, zlib.error, zipfile.BadZipFile)
"""What a damaged archive raises."""


def load_outcome(file: Path) -> Outcome:
    """What `save_outcome` wrote."""
    try:
        with np.load(file, allow_pickle=False) as kept:
            told, values, draws = json.loads(str(kept["told"])), kept["values"], kept["draws"]
        figures = tuple(
            Measured(**one, value=float(value), draws=of_one)
            for one, value, of_one in zip(told["figures"], values, draws, strict=True)
        )
        return Outcome(figures, told["fit_seconds"], told["seconds_per_thousand"])
    except (*_BROKEN, OSError, ValueError, KeyError, TypeError) as error:
        raise XrayInterpError(
            Code.BAD_DATA, f"{file} cannot be read: {error}.", "Delete it: the same command measures it again."
        ) from error
