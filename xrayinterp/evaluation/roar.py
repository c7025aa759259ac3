"""ROAR and ROAD: take out what a map marks in every film, and see whether the finding can still be told.

ROAR (Hooker et al. 2019, arXiv 1806.10758) trains a network from scratch on the changed films, so that a lower AUROC
cannot come from films of an unfamiliar kind. ROAD (Rong et al. 2022, arXiv 2202.00449) fills by noisy linear imputation
and asks the network that made the maps. Maps explain what the network predicts, so that the places taken out may
themselves tell the class; `mask` measures how much by training on nothing but the places.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from torch import Tensor

from ..attribution import Target, attribute
from ..attribution.registry import method_named
from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet, DenseNetShape
from ..paths import whole_file
from ..training.augment import Augmentation
from ..training.films import TrainingSet
from ..training.loop import Recipe, Stage, predict, train
from .imputation import fill_mean, impute
from .perturbation import by_value
from .similarity import as_read

Protocol = Literal["roar", "road", "roar-imputed", "mask"]
Split = Literal["train", "val", "test"]
Ranks = npt.NDArray[np.uint16]

FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
RETRAINED: frozenset[Protocol] = frozenset({"roar", "roar-imputed", "mask"})
"""Protocols that train a network for every fraction and seed; the other asks the first network."""

SMALL_NET = DenseNetShape(growth=12, blocks=(2, 3, 4), stem=24)
"""About 70,000 weights: trained on 1,300 films of 64 px in a quarter of a minute."""

_BATCH = 64
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Task:
    """One finding on small films: each set holds uint8 (N, side, side) and targets (N, 1) of 0 and 1."""

    name: str
    train: TrainingSet
    val: TrainingSet
    test: TrainingSet

    @property
    def side(self) -> int:
        """Pixels a side of the films."""
        return self.train.films.shape[-1]


@dataclass(frozen=True)
class Plan:
    """What is run: every method under every protocol, fraction of the film taken out and seed of the training."""

    methods: tuple[str, ...]
    protocols: tuple[Protocol, ...] = ("roar", "road")
    fractions: tuple[float, ...] = FRACTIONS
    seeds: tuple[int, ...] = (0, 1)
    shape: DenseNetShape = SMALL_NET
    epochs: int = 12
    rate: float = 6e-3
    batch: int = 64
    average: float = 0.98

    def recipe(self, name: str, side: int, seed: int) -> Recipe:
        """How a network is trained from scratch, the same on whole and on changed films."""
        return Recipe(
            name=name,
            shape=self.shape,
            stages=(Stage(side, self.epochs),),
            scored=1,
            seed=seed,
            batch=self.batch,
            rate=self.rate,
            average=self.average,
            augmentation=Augmentation(rotation=5.0, zoom=0.08, shift=0.03, contrast=0.1, gamma=0.1),
        )


@dataclass(frozen=True)
class Job:
    """One figure: a protocol, a method, a fraction taken out (0: the films as they are) and a seed."""

    protocol: Protocol
    method: str
    fraction: float
    seed: int

    @property
    def file(self) -> str:
        """Name of the file that holds its result."""
        return f"{self.protocol}.{self.method}.{round(self.fraction * 100)}.{self.seed}.json"


def run(task: Task, plan: Plan, folder: Path, *, part: int = 0, of: int = 1) -> Iterator[Job]:
    """Do what of the plan is not done yet, yielding every finished job.

    Progress lies in `folder`: the first network, each method's ranking of pixels, each training's last epoch, and the
    test logits of each job; an interrupted run goes on from there. Methods are dealt to `of` processes, this being
    number `part`; they may work in one folder at once.

    Raises:
        XrayInterpError: `unknown-method`; `bad-option` where the folder holds another task or plan.
    """
    for method in plan.methods:
        method_named(method)
    _claim(task, plan, folder)
    nets = [_first_network(task, plan, folder, seed) for seed in plan.seeds]
    for method in plan.methods[part::of]:
        for job in jobs(plan, method):
            done = folder / "results" / job.file
            if not done.is_file():
                _write(done, {**asdict(job), "logits": _logits(task, plan, folder, job, nets).tolist()})
            yield job


def jobs(plan: Plan, method: str) -> list[Job]:
    """All that a plan asks of one method; only protocols that train are repeated over seeds."""
    return [
        Job(protocol, method, fraction, seed)
        for protocol in plan.protocols
        for seed in (plan.seeds if protocol in RETRAINED else plan.seeds[:1])
        for fraction in plan.fractions
    ]


def logits_of(folder: Path, job: Job) -> npt.NDArray[np.float64]:
    """Test logits (N,) that a finished job left.

    Raises:
        XrayInterpError: `not-found` where the job is not done.
    """
    file = folder / "results" / job.file
    if not file.is_file():
        raise XrayInterpError(Code.NOT_FOUND, f"{file} is not there: this job is not done.", "Run the plan to its end.")
    return np.array(json.loads(file.read_text(encoding="utf-8"))["logits"], dtype=np.float64)


def untouched_logits(folder: Path, seed: int) -> npt.NDArray[np.float64]:
    """Test logits (N,) of the network trained on whole films, on whole films."""
    return np.array(json.loads((folder / f"first-{seed}.json").read_text(encoding="utf-8")), dtype=np.float64)


def changed(data: TrainingSet, ranks: Ranks, fraction: float, protocol: Protocol, mean: Tensor) -> TrainingSet:
    """The films with the first `fraction` of each one's ranked pixels taken out, as the protocol fills them.

    Args:
        data: N films.
        ranks: (N, side * side), flat positions of each film, the most relevant first.
        fraction: share of the film, 0 to 1.
        protocol: see `Protocol`.
        mean: mean training film (side, side) in [0, 1].
    """
    removed = torch.zeros(ranks.shape, dtype=torch.bool)
    count = round(fraction * ranks.shape[1])
    removed.scatter_(1, torch.from_numpy(ranks[:, :count].astype(np.int64)), True)
    removed = removed.view(data.films.shape)
    films = data.films.float() / 255
    if protocol == "roar":
        films = fill_mean(films, removed, mean)
    elif protocol == "mask":
        films = (~removed).float()
    else:
        parts = zip(films.split(_BATCH), removed.split(_BATCH), strict=True)
        films = torch.cat([impute(*pair, seed=number) for number, pair in enumerate(parts)])
    return replace(data, films=(films * 255).round().to(torch.uint8))


def ranking(net: DenseNet, data: TrainingSet, method: str) -> Ranks:
    """Flat positions (N, side * side) of every film, those first that speak most for what the network predicts.

    Above the prevalence among the films it predicts the finding and the map explains the logit, below it minus the
    logit. Equal values come in random order.
    """
    prevalence = float(data.targets.mean().clamp(0.01, 0.99))
    cut = float(np.log(prevalence / (1 - prevalence)))
    out = np.empty((len(data), data.films[0].numel()), dtype=np.uint16)
    positive = _scores(net, data) > cut
    for target, chosen in ((Target(0), positive), (Target(0, -1), ~positive)):
        members = torch.from_numpy(np.flatnonzero(chosen))
        for rows in members.split(_BATCH) if len(members) else ():
            x = data.films[rows, None].float() / 255 * 2 - 1
            maps = as_read(method, attribute(net, x, target, method)[:, 0])
            out[rows.numpy()] = [by_value(values, seed=i) for i, values in zip(rows.tolist(), maps, strict=True)]
    return out


def _logits(task: Task, plan: Plan, folder: Path, job: Job, nets: Sequence[DenseNet]) -> npt.NDArray[np.float64]:
    mean = task.train.films.float().mean(0) / 255

    def data(split: Split) -> TrainingSet:
        ranks = _ranks(task, folder, job.method, split, nets[0])
        return changed(getattr(task, split), ranks, job.fraction, job.protocol, mean)

    net = nets[0]
    if job.protocol in RETRAINED:
        net = _trained(plan, data("train"), data("val"), folder, job.file.removesuffix(".json"), job.seed)
    return _scores(net, data("test"))


def _ranks(task: Task, folder: Path, method: str, split: Split, net: DenseNet) -> Ranks:
    """A method's ranking of the films of a split, made once."""
    file = folder / "ranks" / f"{method}.{split}.npy"
    if not file.is_file():
        found = ranking(net, getattr(task, split), method)
        with whole_file(file) as partial, partial.open("wb") as handle:
            np.save(handle, found)
    ranks: Ranks = np.load(file)
    return ranks


def _first_network(task: Task, plan: Plan, folder: Path, seed: int) -> DenseNet:
    """The network trained on whole films; the first seed's makes the maps."""
    file = folder / f"first-{seed}.pt"
    with FileLock(folder / "first.lock"):
        if not file.is_file():
            net = _trained(plan, task.train, task.val, folder, f"first-{seed}", seed)
            _write(folder / f"first-{seed}.json", _scores(net, task.test).tolist())
            torch.save(net.state_dict(), file)
    net = DenseNet(plan.shape, 1)
    net.load_state_dict(torch.load(file, weights_only=True))
    return net.eval().requires_grad_(False)


def _trained(plan: Plan, films: TrainingSet, val: TrainingSet, folder: Path, name: str, seed: int) -> DenseNet:
    recipe = plan.recipe(name, films.films.shape[-1], seed)
    net = train(recipe, films, val, folder / "training")
    (folder / "training" / f"{name}.last.pt").unlink()
    return net


def _scores(net: DenseNet, data: TrainingSet) -> npt.NDArray[np.float64]:
    return predict(net, data.films, data.films.shape[-1])[:, 0].astype(np.float64)


def _claim(task: Task, plan: Plan, folder: Path) -> None:
    """Write down what the folder is for, or check that it is for this."""
    sizes = {split: len(getattr(task, split)) for split in _SPLITS}
    settings = {"task": task.name, "side": task.side, "films": sizes, **asdict(replace(plan, methods=()))}
    settings = json.loads(json.dumps(settings))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results").mkdir(exist_ok=True)
    file = folder / "plan.json"
    if not file.is_file():
        _write(file, settings)
    elif (there := json.loads(file.read_text(encoding="utf-8"))) != settings:
        differing = ", ".join(key for key in settings if there.get(key) != settings[key])
        raise XrayInterpError(
            Code.BAD_OPTION, f"{folder} holds a run that differs in: {differing}.", "Name another folder."
        )


def _write(file: Path, content: object) -> None:
    with whole_file(file) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")
