"""`python -m xrayinterp.anomaly.shipped`: make the self-supervised expert and the built-in detector of unusualness.

Only NIH films are seen, reduced to 128 px. Every attempt is fitted on the training split's films without findings and
compared on the validation split; the best one is calibrated on that split's films without findings and shipped. Steps
leave their results under the cache folder, so a broken run goes on.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from ..datasets.films import load_films
from ..models.architectures import DenseNet
from ..paths import write_whole
from ..training.checkpoints import training_folder
from ..training.films import any_finding, squares
from ..training.fixed import Schedule, Tick
from ..training.measure import Scored, auroc_interval
from ..training.self_supervised import learn_views
from .choice import RANDOM_DENSE, expert_named
from .distillation import DistillationDetector
from .expert_files import SHIPPED_FILE, save_expert
from .fitting import Settings
from .making import DETAIL, Normals, from_dataset, make
from .normals import as_images
from .shelf import BUILTIN, UNUSUALNESS

EXPERT_SEED = 0
EXPERT_SCHEDULE = Schedule(112, 20, 128, 2e-3)
VAL = "NIH films of the validation split, with findings against without"

app = typer.Typer(help=__doc__, add_completion=False)


@dataclass(frozen=True)
class Attempt:
    """A detector that might be shipped."""

    expert: str
    size: int
    settings: Settings = field(default_factory=Settings)

    @property
    def name(self) -> str:
        """What tells it from the others."""
        told = {k: v for k, v in asdict(self.settings).items() if v != getattr(Settings(), k)}
        return f"{self.expert} at {self.size} px" + "".join(f", {k} {v}" for k, v in told.items())


EPOCHS = 6
ATTEMPTS = (
    Attempt("compact", 112, Settings(epochs=EPOCHS)),
    Attempt("self-supervised", 112, Settings(epochs=EPOCHS)),
    Attempt("random", 112, Settings(epochs=EPOCHS)),
)
"""What was compared on val, in this order."""


@app.command()
def expert() -> None:
    """Learn the self-supervised expert from all frontal films of the training split, none of whose labels is seen."""
    chosen = load_films("nih", splits=["train"], min_native_width=DETAIL)
    films = squares(chosen, DETAIL)
    key = _digest(*(film.id for film in chosen), EXPERT_SCHEDULE, EXPERT_SEED, RANDOM_DENSE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(EXPERT_SEED)
        net = DenseNet(RANDOM_DENSE, 1)
    head, net.classifier = net.classifier, nn.Identity()  # type: ignore[assignment]
    with _bar(EXPERT_SCHEDULE.epochs, "expert") as tick:
        learn_views(
            net,
            head.in_features,
            films,
            EXPERT_SCHEDULE,
            seed=EXPERT_SEED,
            checkpoint=training_folder() / f"self-supervised-{key}.last.pt",
            tick=tick,
        )
    net.classifier = head
    nn.init.zeros_(head.weight)  # the head was not learnt and is not listened to
    sys.stderr.write(f"{save_expert(SHIPPED_FILE, net.eval(), EXPERT_SCHEDULE.size)}\n")


@app.command()
def attempts() -> None:
    """Fit every attempt and measure it on val."""
    for attempt in ATTEMPTS:
        sys.stderr.write(f"{json.dumps(measured(attempt))}\n")


def measured(attempt: Attempt) -> dict[str, Any]:
    """An attempt's name, AUROC on val with its interval over patients, lambda, and minutes of processor time it took.

    Kept in the folder of training runs by name, expert and films, and fitted only where it is not there.
    """
    normals = nih_normals()
    chosen = expert_named(attempt.expert, size=attempt.size)
    key = _digest(attempt.name, chosen.sha256, normals.learnt.digest, normals.held_out.digest)
    kept = training_folder() / f"{UNUSUALNESS}-{key}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    spent = Spent(kept.with_suffix(".seconds"))
    with _bar(attempt.settings.epochs, attempt.name) as advance:
        detector = DistillationDetector(chosen, attempt.settings, training_folder(), tick=spent.counting(advance))
        detector.fit(normals.learnt.images)
    minutes = spent.keep() / 60
    area = auroc_interval(_val_scores(detector))
    row = {
        "name": attempt.name,
        "val_auroc": None if area is None else [area.value, area.low, area.high],
        "lambda": None if detector.learned is None else detector.learned.balance,
        "minutes": minutes,
    }
    write_whole(kept, json.dumps(row).encode())
    return row


@dataclass
class Spent:
    """Processor time of a fit, added up over its resumptions: what earlier parts took lies in `file`."""

    file: Path
    before: float = field(init=False)
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.before = float(self.file.read_text(encoding="utf-8")) if self.file.is_file() else 0.0
        self.begun = time.process_time()

    def keep(self) -> float:
        """Seconds so far, kept for a resumption."""
        seconds = self.before + time.process_time() - self.begun
        write_whole(self.file, repr(seconds).encode())
        return seconds

    def counting(self, tick: Tick) -> Tick:
        """A tick that also keeps the time, as the epoch's state has just been kept."""

        def both() -> None:
            self.keep()
            tick()

        return both


@cache
def nih_normals() -> Normals:
    """Films without findings: the training split to learn from, the validation split to calibrate on."""
    return from_dataset("nih", ["train"], ["val"])


def _val_scores(detector: DistillationDetector) -> Scored:
    films = load_films("nih", splits=["val"], min_native_width=DETAIL)
    scores = detector.scores(as_images(squares(films, DETAIL))).double().numpy()
    return Scored(any_finding(films)[:, 0], scores, tuple(film.patient for film in films))


def _digest(*told: object) -> str:
    return hashlib.sha256("\n".join(map(str, told)).encode()).hexdigest()[:12]


@app.command()
def unusualness() -> None:
    """Ship the attempt with the highest AUROC on val."""
    rows = [measured(attempt) for attempt in ATTEMPTS]
    best = max(range(len(rows)), key=lambda i: rows[i]["val_auroc"][0])
    chosen = ATTEMPTS[best]
    normals = nih_normals()
    told = {
        "compared_on": VAL,
        "attempts": rows,
        "fit": f"{rows[best]['minutes']:.0f} minutes of processor time, {chosen.settings.epochs} epochs",
    }
    path = BUILTIN / f"{UNUSUALNESS}.safetensors"
    chosen_expert = expert_named(chosen.expert, size=chosen.size)
    with _bar(chosen.settings.epochs, UNUSUALNESS) as tick:
        make(
            UNUSUALNESS,
            path,
            chosen_expert,
            normals,
            chosen.settings,
            measured=told,
            folder=training_folder(),
            tick=tick,
        )
    sys.stderr.write(f"{path}: {path.stat().st_size} bytes\n")


@contextmanager
def _bar(total: int, doing: str) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda: progress.advance(task)


@app.callback(invoke_without_command=True)
def everything(context: typer.Context) -> None:
    """Without a command: everything, in order."""
    if context.invoked_subcommand is None:
        expert()
        unusualness()


if __name__ == "__main__":
    app()
