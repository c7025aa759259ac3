"""What a network is worth on films it has not seen, kept film by film so that patients can be resampled later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import Ridge

from ..paths import whole_file
from ..training.measure import auroc, covariate_scores, patient_weights

Floats = npt.NDArray[np.float64]
Kind = Literal["auroc", "error", "recall"]

PENALTY = 100.0
"""Ridge penalty of the linear readout, on standardised features."""


@dataclass(frozen=True)
class Measure:
    """A figure with what it was made of, film by film.

    "auroc": `scores` and `labels` (N, T), the figure is the mean area over the columns that hold both classes.
    "recall": the same with logits for scores, the figure is the mean share of positives above 0 (probability .5).
    "error": `scores` (N,) are absolute errors, the figure is their mean. `patients` (N,).
    """

    kind: Kind
    scores: Floats
    patients: npt.NDArray[np.str_]
    labels: Floats | None = None
    _drawn: dict[tuple[int, int], Floats] = field(default_factory=dict, repr=False, compare=False)

    @property
    def value(self) -> float:
        """The figure over all films; NaN where no column holds both classes."""
        return float(self.draws(np.ones((1, len(self.patients))))[0])

    def draws(self, weights: Floats) -> Floats:
        """The figure under film weights (B, N), one a row: (B,)."""
        if self.kind == "error":
            out: Floats = weights @ self.scores / weights.sum(1)
            return out
        columns = [self._column(j, weights) for j in self._mixed]
        if not columns:
            return np.full(len(weights), np.nan)
        held = np.array(columns)
        known = np.isfinite(held)
        counts = known.sum(0)
        return np.where(counts > 0, np.where(known, held, 0).sum(0) / np.maximum(counts, 1), np.nan)

    @property
    def _mixed(self) -> list[int]:
        """The columns that hold both classes."""
        labels = np.zeros((1, 0)) if self.labels is None else self.labels
        return [j for j in range(labels.shape[1]) if 0 < labels[:, j].sum() < len(labels)]

    def _column(self, j: int, weights: Floats) -> Floats:
        labels = np.zeros_like(self.scores) if self.labels is None else self.labels
        if self.kind == "auroc":
            return auroc(labels[:, j], self.scores[:, j], weights)
        positive = weights * labels[:, j]
        with np.errstate(invalid="ignore"):
            return np.asarray((positive * (self.scores[:, j] > 0)).sum(1) / positive.sum(1))

    def resampled(self, resamples: int, seed: int = 0) -> Floats:
        """The figure under `resamples` draws of patients; measures of the same films share them draw by draw."""
        if (resamples, seed) not in self._drawn:
            self._drawn[resamples, seed] = self.draws(patient_weights(list(self.patients), resamples, seed))
        return self._drawn[resamples, seed]


Measures = Mapping[str, Measure]


def areas(scores: Any, labels: Any, patients: Any) -> Measure:
    """A measure of ranking."""
    return Measure("auroc", _table(scores), np.asarray(patients, dtype=str), _table(labels))


def recalls(logits: Any, labels: Any, patients: Any) -> Measure:
    """A measure of what is found at probability .5."""
    return Measure("recall", _table(logits), np.asarray(patients, dtype=str), _table(labels))


def errors(distances: Any, patients: Any) -> Measure:
    """A measure of distance."""
    return Measure("error", np.asarray(distances, dtype=np.float64), np.asarray(patients, dtype=str))


def by_covariates(train: Any, labels: Any, test: Any) -> Floats:
    """Scores (N, T) on test from view, sex and age alone; columns with one class in train get 0, a guess."""
    wanted = np.asarray(labels, dtype=np.float32)
    out = np.zeros((len(test), wanted.shape[1]))
    mixed = [j for j in range(wanted.shape[1]) if 0 < wanted[:, j].sum() < len(wanted)]
    if mixed:
        out[:, mixed] = covariate_scores(np.asarray(train), wanted[:, mixed], np.asarray(test))
    return out


def linear_readout(train: Any, labels: Any, test: Any) -> Floats:
    """Scores (N, T) on test of a ridge regression on frozen features: what they hold, learned by no network."""
    features, other = np.asarray(train, dtype=np.float64), np.asarray(test, dtype=np.float64)
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    fitted = Ridge(PENALTY).fit((features - mean) / deviation, np.asarray(labels, dtype=np.float64))
    read: Floats = np.asarray(fitted.predict((other - mean) / deviation), dtype=np.float64)
    return read.reshape(len(other), -1)


def save_measures(file: Path, measures: Measures) -> None:
    """Write all measures into one .npz."""
    arrays: dict[str, Any] = {}
    for name, measure in measures.items():
        arrays[f"{name}/{measure.kind}"] = measure.scores.astype(np.float32)
        arrays[f"{name}/patients"] = measure.patients
        if measure.labels is not None:
            arrays[f"{name}/labels"] = measure.labels.astype(np.uint8)
    with whole_file(file) as partial, partial.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def load_measures(file: Path) -> dict[str, Measure]:
    """What `save_measures` wrote."""
    with np.load(file) as arrays:
        held = {name: arrays[name] for name in arrays.files}
    out = {}
    for name in dict.fromkeys(key.split("/")[0] for key in held):
        patients = held[f"{name}/patients"]
        if f"{name}/error" in held:
            out[name] = errors(held[f"{name}/error"], patients)
        elif f"{name}/auroc" in held:
            out[name] = areas(held[f"{name}/auroc"], held[f"{name}/labels"], patients)
        else:
            out[name] = recalls(held[f"{name}/recall"], held[f"{name}/labels"], patients)
    return out


def _table(values: Any) -> Floats:
    array = values.numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return np.asarray(array, dtype=np.float64).reshape(len(array), -1)
