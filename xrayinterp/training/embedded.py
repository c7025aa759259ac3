"""`make embedded`: retrain the built-in models and measure them once on test.

Every step but the folds of `brixia` leaves its result under the cache folder and is skipped when it is there, so a
broken run goes on. With
`--device cuda` networks are trained on an accelerator; they are measured on the processor either way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer

from ..datasets.films import Film, load_films, load_manifest
from ..models.architectures import DenseNet
from ..models.chest_model import Calibration, FindingMetrics, Interval
from ..models.segmenter import FOLDER
from ..models.zoo import BUILTIN_DIR, save_builtin
from . import brixia, segmenter_ship
from .checkpoints import training_folder
from .films import AUXILIARY, TrainingSet, any_finding, auxiliary_targets, finding_targets, squares
from .loop import Recipe, Teacher, predict, softened, train
from .measure import (
    Scored,
    auroc_interval,
    calibrate,
    covariate_scores,
    expected_calibration_error,
    finding_metrics,
    mean_auroc_interval,
    operating_point,
)
from .recipes import COMPACT, DETAIL, SHUFFLED, SIZE, TEACHER_AT_FULL_SIZE, TEACHERS, WEAK, WEAK_TEACHERS

FINDINGS = load_manifest("nih").findings
ANY = "any finding"
TEST = "NIH films, test split (patients unseen in training)"
VAL = "NIH films, validation split (patients unseen in training)"

BuildSet = Callable[[str], TrainingSet]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:0 ...")]
Labels = Callable[[Sequence[Film]], npt.NDArray[np.float32]]

app = typer.Typer(help=__doc__, add_completion=False)


def nih(split: str) -> list[Film]:
    """Frontal NIH films of a split, at least 128 px wide before storage."""
    return load_films("nih", splits=[split], min_native_width=DETAIL)


@cache
def compact_set(split: str) -> TrainingSet:
    """Films with the fourteen labels, any finding, and the auxiliary targets."""
    films = nih(split)
    targets = np.concatenate([finding_targets(films, FINDINGS), any_finding(films), auxiliary_targets(films)], 1)
    return _set(films, targets, (*FINDINGS, ANY, *AUXILIARY))


@cache
def weak_set(split: str) -> TrainingSet:
    """Films with the one label any finding or none, and the auxiliary targets."""
    films = nih(split)
    return _set(films, np.concatenate([any_finding(films), auxiliary_targets(films)], 1), (ANY, *AUXILIARY))


def shuffled(data: TrainingSet, seed: int = 0) -> TrainingSet:
    """The same films with their targets handed to films of other patients."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return replace(data, targets=data.targets[order])


def _set(films: Sequence[Film], targets: np.ndarray, names: tuple[str, ...]) -> TrainingSet:
    return TrainingSet(squares(films, DETAIL), torch.from_numpy(targets), names, tuple(film.patient for film in films))


def trained(
    recipe: Recipe,
    build: BuildSet,
    *,
    start: DenseNet | None = None,
    teachers: Sequence[Teacher] = (),
    device: str = "cpu",
) -> DenseNet:
    """The finished run of `recipe`, trained now if it is not there; `build(split)` gives its films."""
    done = training_folder() / f"{recipe.name}.pt"
    if not done.is_file():
        films, val = build("train"), build("val")
        model = train(recipe, films, val, training_folder(), start=start, teachers=teachers, device=device)
        torch.save(model.cpu().state_dict(), done)
    state = torch.load(done, weights_only=True)
    model = DenseNet(recipe.shape, len(state["classifier.bias"]))
    model.load_state_dict(state)
    return model.eval()


def taught(recipe: Recipe, build: BuildSet, teachers: Sequence[Teacher], device: str) -> DenseNet:
    """The finished run of `recipe` on training labels softened by `teachers`."""

    def softened_set(split: str) -> TrainingSet:
        films = build(split)
        return softened(films, teachers, recipe.soft) if split == "train" else films

    return trained(recipe, softened_set, device=device)


def without_auxiliary(model: DenseNet, keep: int) -> DenseNet:
    """The same network with its first `keep` outputs only."""
    head = model.classifier
    model.classifier = torch.nn.Linear(head.in_features, keep)
    with torch.no_grad():
        model.classifier.weight.copy_(head.weight[:keep])
        model.classifier.bias.copy_(head.bias[:keep])
    return model.eval()


def measured(model: DenseNet, findings: Sequence[str], labels: Labels) -> dict[str, Any]:
    """The measured part of a card: thresholds and calibration from val, one look at test."""
    val_films, test_films = nih("val"), nih("test")
    val_logits, test_logits = (predict(model, squares(f, DETAIL), SIZE) for f in (val_films, test_films))
    val_labels, test_labels = labels(val_films), labels(test_films)

    def scored(films: Sequence[Film], y: np.ndarray, logits: np.ndarray) -> list[Scored]:
        patients = tuple(f.patient for f in films)
        return [Scored(y[:, j], logits[:, j].astype(np.float64), patients) for j in range(len(findings))]

    val, test = scored(val_films, val_labels, val_logits), scored(test_films, test_labels, test_logits)
    calibrations = {f: calibrate(v, VAL) for f, v in zip(findings, val, strict=True)}
    return {
        "findings": list(findings),
        "operating_points": {
            f: asdict(operating_point(v, t, VAL, TEST)) for f, v, t in zip(findings, val, test, strict=True)
        },
        "calibrations": {f: asdict(c) for f, c in calibrations.items()},
        "metrics": {f: _metrics(finding_metrics(v, t, TEST)) for f, v, t in zip(findings, val, test, strict=True)},
        "tested_on": f"{TEST}: {len(test_films)} films of {len({f.patient for f in test_films})} patients",
        "measured": {
            "mean_auroc": _interval(mean_auroc_interval(test)),
            "mean_val_auroc": _interval(mean_auroc_interval(val)),
            "test_ece": {
                f: expected_calibration_error(t.labels, _probability(t.scores, calibrations[f]))
                for f, t in zip(findings, test, strict=True)
            },
            **beside(test, test_films, findings, labels),
        },
    }


def beside(test: Sequence[Scored], films: Sequence[Film], findings: Sequence[str], labels: Labels) -> dict[str, Any]:
    """AUROC of view, sex and age alone, and of the model within PA and within AP films."""
    train_films = nih("train")
    covariates = covariate_scores(auxiliary_targets(train_films), labels(train_films), auxiliary_targets(films))
    views = np.array([film.view for film in films])
    patients = tuple(film.patient for film in films)
    rows: dict[str, Any] = {"view_sex_age": {}, "within_PA": {}, "within_AP": {}}
    alone = [Scored(t.labels, covariates[:, j], patients) for j, t in enumerate(test)]
    for finding, model, covariate in zip(findings, test, alone, strict=True):
        rows["view_sex_age"][finding] = _interval(auroc_interval(covariate))
        for view in ("PA", "AP"):
            rows[f"within_{view}"][finding] = _interval(auroc_interval(model.only(views == view)))
    rows["mean_view_sex_age"] = _interval(mean_auroc_interval(alone))
    return rows


def attempt(
    name: str, network: Teacher, build: BuildSet, findings: Sequence[str], shown: Sequence[str]
) -> dict[str, Any]:
    """Mean AUROC, and that of every finding in `shown`, on val, which chose, and on test, which did not."""
    row: dict[str, Any] = {"name": name}
    for split in ("val", "test"):
        films = build(split)
        logits = predict(network.module, films.films, network.size)
        parts = [
            Scored(films.targets[:, j].numpy(), logits[:, j].astype(np.float64), films.patients)
            for j in range(len(findings))
        ]
        row[f"{split}_mean"] = _interval(mean_auroc_interval(parts))
        for finding in shown:
            row[f"{split}_{finding.lower()}"] = _interval(auroc_interval(parts[findings.index(finding)]))
    return row


def _probability(logits: Any, calibration: Calibration) -> Any:
    return 1 / (1 + np.exp(-(calibration.slope * logits + calibration.intercept)))


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.value, interval.low, interval.high]


def _metrics(metrics: FindingMetrics) -> dict[str, Any]:
    return asdict(metrics) | {"auroc": _interval(metrics.auroc)}


def as_shipped(model: DenseNet) -> DenseNet:
    """Kernels and matrices rounded to float16, as `save_builtin` stores them, so that what is measured is shipped."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.half().float())
    return model


@app.command()
def compact(device: Device = "cpu") -> None:
    """Train the teachers and `compact`, measure and ship it."""
    pair = [Teacher(trained(recipe, compact_set, device=device), recipe.stages[-1].size) for recipe in TEACHERS]
    start = next(
        t.module for t, recipe in zip(pair, TEACHERS, strict=True) if recipe.shape == TEACHER_AT_FULL_SIZE.shape
    )
    third = Teacher(trained(TEACHER_AT_FULL_SIZE, compact_set, start=start, teachers=pair, device=device), SIZE)
    teachers = [*pair, third]
    model = as_shipped(without_auxiliary(taught(COMPACT, compact_set, teachers, device), len(FINDINGS)))
    facts = measured(model, FINDINGS, lambda films: finding_targets(films, FINDINGS))
    names = [recipe.name for recipe in (*TEACHERS, TEACHER_AT_FULL_SIZE, COMPACT)]
    facts["measured"]["attempts"] = [
        attempt(name, network, compact_set, FINDINGS, ("Effusion",))
        for name, network in zip(names, [*teachers, Teacher(model, SIZE)], strict=True)
    ]
    ship("compact", model, facts | {"task": "findings"})


@app.command()
def weak(device: Device = "cpu") -> None:
    """Train three networks on any finding or none, `weak` on the label and on them; measure and ship it."""
    teachers = [Teacher(trained(recipe, weak_set, device=device), recipe.stages[-1].size) for recipe in WEAK_TEACHERS]
    model = as_shipped(without_auxiliary(taught(WEAK, weak_set, teachers, device), 1))
    facts = measured(model, (ANY,), any_finding)
    names = [recipe.name for recipe in (*WEAK_TEACHERS, WEAK)]
    facts["measured"]["attempts"] = [
        attempt(name, network, weak_set, (ANY,), ())
        for name, network in zip(names, [*teachers, Teacher(model, SIZE)], strict=True)
    ]
    ship("weak", model, facts | {"task": "findings"})


@app.command()
def control(device: Device = "cpu") -> None:
    """Train the net on shuffled labels that dissection is compared with; it stays in the cache folder."""

    def build(split: str) -> TrainingSet:
        return shuffled(compact_set(split)) if split == "train" else compact_set(split)

    model = as_shipped(without_auxiliary(trained(SHUFFLED, build, device=device), len(FINDINGS)))
    facts = {"findings": list(FINDINGS), "size": SIZE, "scale": 1.0, "detail": DETAIL, "task": "findings"}
    save_builtin(training_folder(), "shuffled", model, facts)


@app.command()
def anatomy() -> None:
    """Train the segmenter of lungs, heart and mediastinum on the processor, measure and ship it."""
    segmenter_ship.make(BUILTIN_DIR / FOLDER)


@app.command(name="brixia")
def brixia_command() -> None:
    """Fine-tune `compact` on Brixia scores: one model a fold for honest errors, one on all films to ship."""
    start = DenseNet(COMPACT.shape, len(compact_set("val").names))
    start.load_state_dict(torch.load(training_folder() / "compact.pt", weights_only=True))
    films = brixia.scored(load_films("cohen"))
    zones, raters = brixia.zone_scores(films)
    data = brixia.Severities(squares(films, DETAIL), zones, tuple(f.patient for f in films), raters)
    folds = brixia.fold_of([f.patient for f in load_films("cohen")])
    fold = np.array([folds[p] for p in data.patients])
    predicted, means = np.zeros((len(films), 6)), np.zeros(len(films))
    for k in range(fold.max() + 1):
        inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        model = brixia.fit(start, data.films[inside], zones[inside], seed=k)
        torch.save(model.state_dict(), training_folder() / f"brixia-fold{k}.pt")
        predicted[outside] = predict(model, data.films[outside], SIZE)[:, :6]
        means[outside] = zones[inside].sum(1).mean()
    (training_folder() / "brixia-folds.json").write_text(json.dumps(folds), encoding="utf-8")
    figures = brixia.severity_figures(data, predicted, means)
    model = as_shipped(brixia.fit(start, data.films, zones))
    facts = {
        "findings": [*brixia.ZONES, "global"],
        "task": "severity",
        "operating_points": {},
        "calibrations": {},
        "metrics": {},
        "tested_on": f"{len(films)} films of {len(set(data.patients))} patients, five-fold cross-validation",
        "measured": figures,
    }
    ship("brixia", model, facts)


def ship(name: str, model: DenseNet, facts: dict[str, Any]) -> None:
    """Write a built-in model and its measured card into the package."""
    save_builtin(BUILTIN_DIR, name, model, facts | {"size": SIZE, "scale": 1.0, "detail": DETAIL})
    sys.stderr.write(f"{name}: {json.dumps(facts['measured'], indent=1)}\n")


@app.callback(invoke_without_command=True)
def everything(context: typer.Context, device: Device = "cpu") -> None:
    """Without a command: everything, in order."""
    if context.invoked_subcommand is None:
        for step in (compact, weak, control):
            step(device)
        brixia_command()
        anatomy()


if __name__ == "__main__":
    app()
