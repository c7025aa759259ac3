"""The protocol: a detector learns from normal images of a task and is measured on others, by image and by pixel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..errors import Code, XrayInterpError
from ..training.measure import auroc, patient_weights
from .detector import Detector
from .pixel_measures import Outlined, draws, pixel_auroc, region_overlap

Floats = npt.NDArray[np.floating]
BoolMask = npt.NDArray[np.bool_]

RESAMPLES = 1000
"""Resamples of patients behind every interval; all detectors of a trial are measured on the same ones."""
ALL = "all"
"""The group of all anomalous images, or of all outlined findings."""
METRICS = {"auroc": "AUROC of images", "pixel-auroc": "AUROC of pixels", "pro": "per-region overlap (FPR to .3)"}
"""What is measured, by name; of all higher is better."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Images on which a fitted detector is measured.

    `images` (N, C, H, W) uint8; `normal` (N,) bool; `groups` names kinds of anomalous images, (N,) bool each, measured
    against all normal ones. `masks` maps a class to its outlines (N, H, W) bool: with them every image is anomalous and
    maps are measured too.
    """

    name: str
    title: str
    images: Tensor
    patients: tuple[str, ...]
    normal: BoolMask
    groups: Mapping[str, BoolMask]
    masks: Mapping[str, BoolMask] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Task:
    """What is normal, `train` (N, C, H, W) uint8 of normal images alone, and the trials of what learned from them.

    `train_patients` (N,) are none of a trial's patients. `family` groups tasks whose figures are averaged.
    """

    name: str
    family: str
    title: str
    train: Tensor
    train_patients: tuple[str, ...]
    trials: tuple[Trial, ...]

    def __post_init__(self) -> None:
        if not len(self.train):
            raise XrayInterpError(Code.BAD_DATA, f"Task {self.name!r} has no normal image to learn from.")
        for trial in self.trials:
            both = set(self.train_patients) & set(trial.patients)
            if both:
                raise XrayInterpError(
                    Code.BAD_DATA,
                    f"Task {self.name!r} learns from {len(both)} patients of {trial.name!r}, such as {min(both)!r}.",
                    "Split by patient.",
                )


@dataclass(frozen=True, eq=False)
class Measured:
    """One figure of one detector with its draws (B,) over patients, NaN where a resample has none.

    `metric` is auroc (of images), pixel-auroc or pro; `view` the way maps were made, "" for scores. `images` are the
    anomalous ones, of so many `patients`.
    """

    trial: str
    metric: str
    view: str
    group: str
    value: float
    images: int
    patients: int
    draws: Floats


@dataclass(frozen=True, eq=False)
class Outcome:
    """All figures of a detector on a task, and its seconds: fitting, and a thousand images scored."""

    figures: tuple[Measured, ...]
    fit_seconds: float
    seconds_per_thousand: float


Views = Mapping[str, Mapping[str, Any]]
"""Ways to make a detector's maps: options of `Detector.maps` by name."""


def examine(
    task: Task, detector: Detector, views: Views, *, resamples: int = RESAMPLES, tick: Callable[[], None] = lambda: None
) -> Outcome:
    """Fit a detector on a task's normal images and measure it on all trials.

    Args:
        task: what is normal, and what is not.
        detector: unfitted.
        views: how maps are made, where there are outlines; none: they are not measured.
        resamples: of patients.
        tick: called after fitting and after each trial.
    """
    begun = time.perf_counter()
    detector = detector.fit(as_floats(task.train))
    fitted = time.perf_counter() - begun
    tick()
    figures: list[Measured] = []
    scored, spent = 0, 0.0
    for trial in task.trials:
        begun = time.perf_counter()
        scores = _checked(detector.scores(as_floats(trial.images)), (len(trial.images),))
        spent += time.perf_counter() - begun
        scored += len(scores)
        figures += by_image(trial, scores, resamples)
        if trial.masks:
            for name, options in views.items():
                maps = detector.maps(as_floats(trial.images), **options)
                shape = (len(trial.images), 1, *trial.images.shape[2:])
                figures += by_pixel(trial, _checked(maps, shape)[:, 0], name, resamples)
        tick()
    return Outcome(tuple(figures), fitted, 1000 * spent / max(scored, 1))


def by_image(trial: Trial, scores: Floats, resamples: int = RESAMPLES) -> Iterator[Measured]:
    """AUROC of each group of anomalous images against the normal ones; none where there are no normal ones."""
    if not trial.normal.any():
        return
    weights = patient_weights(trial.patients, resamples, 0)
    for group, chosen in trial.groups.items():
        if not chosen.any():
            continue
        kept = chosen | trial.normal
        labels, values = chosen[kept].astype(np.float64), scores[kept]
        found = auroc(labels, values, np.r_[np.ones((1, kept.sum())), weights[:, kept]])
        patients = len({p for p, here in zip(trial.patients, chosen, strict=True) if here})
        yield Measured(trial.name, "auroc", "", group, float(found[0]), int(chosen.sum()), patients, found[1:])


def by_pixel(trial: Trial, maps: Floats, view: str, resamples: int = RESAMPLES) -> Iterator[Measured]:
    """Pixel AUROC and per-region overlap of all outlines together and of each class.

    Of a class, only images with it are looked at, and pixels of other classes count neither way. A class that no image
    shows, or whose outlines leave no pixel beside them, has no figure.
    """
    together = np.logical_or.reduce(list(trial.masks.values()))
    for group, masks in {ALL: together, **trial.masks}.items():
        kept = masks.any((1, 2))
        counted = (~together | masks)[kept]
        if masks[kept][counted].all():
            continue  # none shows it, or there is nothing beside it to tell it from
        outlined = Outlined(maps[kept], masks[kept], counted)
        patients = [p for p, here in zip(trial.patients, kept, strict=True) if here]
        areas, overlaps = draws(outlined, patients, resamples=resamples)
        counts = (int(kept.sum()), len(set(patients)))
        yield Measured(trial.name, "pixel-auroc", view, group, pixel_auroc(outlined), *counts, areas)
        yield Measured(trial.name, "pro", view, group, region_overlap(outlined), *counts, overlaps)


def as_floats(images: Tensor) -> Tensor:
    """Images uint8 as float32 in [0, 1]."""
    return images.float() / 255


def _checked(found: Tensor, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    values = found.detach().cpu().double().numpy()
    if values.shape != shape or not np.isfinite(values).all():
        raise XrayInterpError(
            Code.INTERNAL, f"A detector gave values {values.shape}, finite or not, where {shape} finite ones belong."
        )
    return values
