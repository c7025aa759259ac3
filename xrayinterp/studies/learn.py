"""How each task is learned and what is measured of it: films and a start in, networks and measures out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn

from ..training.augment import Augmentation, augment
from ..training.fixed import Schedule, Step, Tick, fit
from ..training.loop import predict
from ..training.self_supervised import forward, learn_views
from .labels import enriching_weights, shuffled_between_patients
from .losses import Criterion, finding_loss, severity_loss
from .measures import Measure, areas, by_covariates, errors, linear_readout, recalls
from .networks import Net, build, settle_norms, with_head, without_head
from .plan import Run, Settings
from .samples import Sample, Samples

FILM = Augmentation(rotation=7, zoom=0.1, shift=0.05, contrast=0.2, gamma=0.2, mirror=0.0)
"""Never mirrored: the heart stays on its side."""
SETTLING = 1024
"""Films that give an untrained network the statistics of its batch norms."""
NIH_TEST = "test"
BASELINES = frozenset(
    {
        "error of the training mean",
        "error from view, sex, age",
        "distance between raters",
        "AUROC, 14 findings from view, sex, age",
        "AUROC, healthy from view, sex, age",
        "AUROC, healthy from the source alone",
    }
)
"""Measures that need no network."""
RARE = 0.03
"""Findings on fewer of the training films than this share are rare."""
TARGETS_SEED = 7919
"""Shuffled targets of seed s are drawn by this number + s."""


@dataclass(frozen=True)
class Learned:
    """Networks by role: "main", and for severity "held-out", which saw no patient with outlined films; and measures."""

    networks: dict[str, Net]
    measures: dict[str, Measure]
    films: int


@dataclass(frozen=True)
class Workplace:
    """Where a run is carried out: folder of its checkpoints, device, and whom to tell of an epoch."""

    folder: Path
    device: str = "cpu"
    tick: Tick = lambda: None


def learn(run: Run, start: Net | None, samples: Samples, settings: Settings, place: Workplace) -> Learned:
    """Carry out a run from the features of `start`, or from the seed's random weights."""
    first = build(run.architecture, settings.width, run.seed) if start is None else start
    if run.task == "untrained":
        films = samples.sample("findings", "train")
        settled = settle_norms(first, films.squares[:SETTLING], settings.size)
        return Learned({"main": settled}, readouts(settled, samples, settings), 0)
    if run.task == "self-supervised":
        return _self_supervised(run, first, samples, settings, place)
    if run.task == "severity":
        return _severity(run, first, samples, settings, place)
    return _labels(run, first, samples, settings, place)


def readouts(net: Net, samples: Samples, settings: Settings) -> dict[str, Measure]:
    """What a linear readout of the frozen features tells of the fourteen findings on NIH test films."""
    train, test = samples.sample("findings", "train"), samples.sample("findings", NIH_TEST)
    bare = without_head(net)
    features = [predict(bare, films.squares, settings.size) for films in (train, test)]
    scores = linear_readout(features[0], train.targets, features[1])
    return {"AUROC, linear readout": areas(scores, test.targets, test.patients)}


def _self_supervised(run: Run, first: Net, samples: Samples, settings: Settings, place: Workplace) -> Learned:
    films = samples.sample("findings", "train").squares
    schedule = Schedule(settings.size, settings.self_supervised_epochs, settings.view_batch, settings.view_rate)
    backbone = learn_views(
        without_head(first), first.classifier.in_features, films, schedule, seed=run.seed,
        checkpoint=place.folder / "main.last.pt", device=place.device, tick=place.tick,
    )  # fmt: skip
    net = with_head(first, 1, run.seed)
    net.features.load_state_dict(backbone.features.state_dict())  # type: ignore[union-attr]
    return Learned({"main": net.eval()}, readouts(net, samples, settings), len(films))


def _labels(run: Run, first: Net, samples: Samples, settings: Settings, place: Workplace) -> Learned:
    train = samples.sample(run.task, "train")
    targets = train.targets
    if run.shuffled:
        targets = targets[shuffled_between_patients(train.patients, TARGETS_SEED + run.seed)]
    prevalence = targets.mean(0).clamp(0.005, 0.995)
    bias = torch.zeros(len(train.names)) if run.loss == "weighted" else (prevalence / (1 - prevalence)).log()
    net = with_head(first, len(train.names), run.seed, bias)
    weights = enriching_weights(targets) if run.sampling == "enriched" else None
    step = _supervised(finding_loss(run.loss, targets), targets, place.device)
    schedule = Schedule(settings.size, settings.epochs, settings.batch, settings.rate)
    fitted, _ = fit(
        net, train.squares, step, schedule, seed=run.seed, checkpoint=place.folder / "main.last.pt", weights=weights,
        device=place.device, tick=place.tick,
    )  # fmt: skip
    net = _as_net(fitted, first)
    if run.task == "findings":
        measures = _finding_measures(net, train, samples, settings)
    else:
        measures = _healthy_measures(net, samples, settings)
    return Learned({"main": net}, measures | readouts(net, samples, settings), len(train))


def _finding_measures(net: Net, train: Sample, samples: Samples, settings: Settings) -> dict[str, Measure]:
    """Mean area over findings on NIH test films, that of the rare ones, recall, and view, sex and age alone."""
    test = samples.sample("findings", NIH_TEST)
    logits = predict(net, test.squares, settings.size)
    alone = by_covariates(train.covariates, train.targets, test.covariates)
    rare = (train.targets.mean(0) < RARE).numpy()
    out = {
        "AUROC, 14 findings": areas(logits, test.targets, test.patients),
        "recall at .5, 14 findings": recalls(logits, test.targets, test.patients),
        "AUROC, 14 findings from view, sex, age": areas(alone, test.targets, test.patients),
    }
    if rare.any():
        out["AUROC, rare findings"] = areas(logits[:, rare], test.targets[:, rare], test.patients)
    return out


def _healthy_measures(net: Net, samples: Samples, settings: Settings) -> dict[str, Measure]:
    """Healthy against unhealthy within each source and over both, and what the source alone would reach.

    "source" ranks unhealthy films by the same logit: above one half, the network knows where a film is from.
    """
    train, test = samples.sample("healthy", "train"), samples.sample("healthy-combined", NIH_TEST)
    logits = predict(net, test.squares, settings.size)
    nih = np.array([source == "nih" for source in test.sources])
    patients, ill = np.asarray(test.patients), test.targets[:, 0].numpy() > 0.5
    alone = by_covariates(train.covariates, train.targets, test.covariates[nih])
    out = {
        "AUROC, healthy": areas(logits[nih], test.targets[nih], patients[nih]),
        "AUROC, healthy from view, sex, age": areas(alone, test.targets[nih], patients[nih]),
    }
    if nih.all():
        return out
    return out | {
        "AUROC, healthy over both sources": areas(logits, test.targets, patients),
        "AUROC, healthy within Brixia films": areas(logits[~nih], test.targets[~nih], patients[~nih]),
        "AUROC, healthy from the source alone": areas((~nih)[:, None], test.targets, patients),
        "AUROC, source of unhealthy films": areas(logits[ill], (~nih)[ill, None], patients[ill]),
    }


def _as_net(fitted: nn.Module, like: Net) -> Net:
    if not isinstance(fitted, type(like)):  # fit gives back what it was given
        raise TypeError(type(fitted).__name__)
    return fitted


def _severity(run: Run, first: Net, samples: Samples, settings: Settings, place: Workplace) -> Learned:
    data = samples.sample("severity", "all")
    if run.shuffled:
        order = shuffled_between_patients(data.patients, TARGETS_SEED + run.seed)
        assert data.zones is not None  # noqa: S101 (guards a type)
        learned = replace(data, zones=data.zones[order], targets=data.targets[order])
    else:
        learned = data
    folds = samples.folds()

    def fitted(role: str, rows: npt.NDArray[np.int64]) -> tuple[Net, Callable[[Tensor], Tensor]]:
        return _fit_severity(run, first, learned.at(rows), settings, place, role)

    out = np.zeros((4, len(data)))  # errors: unseen, of the mean, of view, sex and age; and seen, over other folds
    truth = data.targets[:, 0].numpy()
    for fold in range(folds.max() + 1):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        net, read = fitted(f"fold-{fold}", inside)
        scores = read(torch.from_numpy(predict(net, data.squares, settings.size))).numpy().clip(0, 18)
        wanted = learned.targets[inside, 0].numpy()
        out[0, outside] = np.abs(scores - truth)[outside]
        out[1, outside] = np.abs(wanted.mean() - truth)[outside]
        ridge = RidgeCV(np.logspace(-2, 3, 11)).fit(data.covariates[inside], truth[inside])
        out[2, outside] = np.abs(ridge.predict(data.covariates[outside]) - truth[outside])
        out[3, inside] += np.abs(scores - truth)[inside] / folds.max()
    names = (
        "error of severity",
        "error of the training mean",
        "error from view, sex, age",
        "error on films it has seen",
    )
    measures = {name: errors(row, data.patients) for name, row in zip(names, out, strict=True)}
    assert data.zones is not None  # noqa: S101 (guards a type)
    totals = data.zones.sum(2)
    measures["distance between raters"] = errors((totals[:, 0] - totals[:, -1]).abs().numpy(), data.patients)
    if run.loss != "plain":
        return Learned({}, measures, len(data))
    unseen = np.array([patient not in samples.outlined_patients for patient in data.patients])
    networks = {"main": fitted("main", np.arange(len(data)))[0]}
    if unseen.sum() >= settings.severity_batch // 2:
        networks["held-out"] = fitted("held-out", np.flatnonzero(unseen))[0]
    return Learned(networks, measures | readouts(networks["main"], samples, settings), len(data))


def _fit_severity(
    run: Run, first: Net, data: Sample, settings: Settings, place: Workplace, role: str
) -> tuple[Net, Callable[[Tensor], Tensor]]:
    """A network on these films, or the finished one of a run that was broken off later, and how its output is read."""
    assert data.zones is not None  # noqa: S101 (guards a type)
    task = severity_loss(run.loss, data.zones)
    net = with_head(first, task.outputs, run.seed)
    rate = settings.severity_rate if run.start is None else settings.started_rate
    schedule = Schedule(settings.size, settings.severity_epochs, settings.severity_batch, rate)
    step = _supervised(task.criterion, task.targets, place.device)
    fitted, _ = fit(
        net, data.squares, step, schedule, seed=run.seed, checkpoint=place.folder / f"{role}.last.pt",
        device=place.device, tick=place.tick,
    )  # fmt: skip
    return _as_net(fitted, first), task.read


def _supervised(criterion: Criterion, targets: Tensor, device: str) -> Step:
    wanted = targets.to(device)

    def step(model: nn.Module, part: Tensor, rows: Tensor, size: int, generator: torch.Generator) -> Tensor:
        x = augment(part[:, None].float() / 255, size, FILM, generator)
        return criterion(forward(model, x), wanted[rows])

    return step


def epochs_of(run: Run, settings: Settings) -> int:
    """Epochs that a run goes through in all, for a progress bar."""
    if run.task == "untrained":
        return 0
    if run.task == "self-supervised":
        return settings.self_supervised_epochs
    if run.task == "severity":
        return settings.severity_epochs * (settings.folds + (2 if run.loss == "plain" else 0))
    return settings.epochs
