"""COVID-19 severity: the six Brixia zones, learned by `compact` on its scored films, cross-validated over patients."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn

from ..datasets.films import Film
from ..models.architectures import DenseNet
from ..models.card import ZONES as ZONES
from .augment import augment
from .loop import predict
from .recipes import BRIXIA_AUGMENTATION, BRIXIA_EPOCHS, BRIXIA_FOLDS, BRIXIA_RATE, SIZE


@dataclass(frozen=True)
class Severities:
    """Scored films: squares (N, d, d) uint8, zone scores (N, 6) averaged over raters, patients, rater S and J sums."""

    films: Tensor
    zones: Tensor
    patients: tuple[str, ...]
    raters: np.ndarray


def scored(films: Sequence[Film]) -> list[Film]:
    """Films that both raters scored."""
    return [film for film in films if len(film.scores) == 2]


def zone_scores(films: Sequence[Film]) -> tuple[Tensor, np.ndarray]:
    """Mean zone scores (N, 6) and the two raters' sums (N, 2)."""
    both = np.array([[film.scores["S"], film.scores["J"]] for film in films], dtype=np.float32)
    return torch.from_numpy(both.mean(1)), both.sum(2)


def fold_of(patients: Sequence[str], folds: int = BRIXIA_FOLDS, seed: int = 0) -> dict[str, int]:
    """A fold number for every patient, the same on every machine."""
    names = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[j]: int(i % folds) for i, j in enumerate(order)}


def fit(start: DenseNet, films: Tensor, zones: Tensor, *, seed: int = 0, epochs: int = BRIXIA_EPOCHS) -> DenseNet:
    """Fine-tune `start` on zone scores: a ridge head first, then all weights at a small rate, batch norm frozen.

    Returns:
        A DenseNet with seven outputs: zones A to F and `global`, whose row is the sum of theirs.
    """
    torch.manual_seed(seed)
    model = _with_ridge_head(start, films, zones)
    optimiser = torch.optim.AdamW(model.parameters(), lr=BRIXIA_RATE, weight_decay=0.05)
    batches = -(-len(films) // 16)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, BRIXIA_RATE, total_steps=max(1, epochs * batches))
    model.eval()  # batch-norm statistics stay those of the NIH films
    generator = torch.Generator().manual_seed(seed)
    for _ in track(range(epochs), "severity", transient=True):
        for batch in torch.randperm(len(films), generator=generator).split(16):
            x = augment(films[batch, None].float() / 255, SIZE, BRIXIA_AUGMENTATION, generator)
            with torch.autocast("cpu", torch.bfloat16):
                out = model(x.to(memory_format=torch.channels_last))
            out = out.float()
            loss = F.smooth_l1_loss(out, zones[batch]) + 0.1 * F.smooth_l1_loss(out.sum(1), zones[batch].sum(1))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    return _with_global(model)


def _with_ridge_head(start: DenseNet, films: Tensor, zones: Tensor) -> DenseNet:
    model = copy.deepcopy(start).eval().to(memory_format=torch.channels_last)
    model.classifier = nn.Identity()  # type: ignore[assignment]
    pooled = predict(model, films, SIZE)
    ridge = RidgeCV(alphas=np.logspace(-2, 4, 13)).fit(pooled, zones.numpy())
    model.classifier = nn.Linear(pooled.shape[1], len(ZONES))
    with torch.no_grad():
        model.classifier.weight.copy_(torch.as_tensor(ridge.coef_))
        model.classifier.bias.copy_(torch.as_tensor(ridge.intercept_))
    return model


def _with_global(model: DenseNet) -> DenseNet:
    zones = model.classifier
    model.classifier = nn.Linear(zones.in_features, len(ZONES) + 1)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.cat([zones.weight, zones.weight.sum(0, keepdim=True)]))
        model.classifier.bias.copy_(torch.cat([zones.bias, zones.bias.sum(0, keepdim=True)]))
    return model.eval()


def severity_figures(
    data: Severities, out_of_fold: np.ndarray, fold_means: np.ndarray, *, resamples: int = 2000
) -> dict[str, object]:
    """Out-of-fold errors of the global score with 95 % intervals over patients, beside the mean predictor.

    Args:
        out_of_fold: (N, 6) zone predictions of the fold model that never saw the patient.
        fold_means: (N,) mean global score of the films that fold model was trained on.
    """
    truth = data.zones.numpy().sum(1)
    predicted = out_of_fold.clip(0, 3).sum(1)
    errors = np.stack([np.abs(predicted - truth), np.abs(fold_means - truth), np.abs(np.diff(data.raters)[:, 0])], 1)
    names, index = np.unique(np.asarray(data.patients), return_inverse=True)
    weights = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    draws = (weights[:, index] @ errors) / weights[:, index].sum(1, keepdims=True)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    mean = errors.mean(0)
    gain = 1 - draws[:, 0] / draws[:, 1]
    return {
        "global_mae": [float(mean[0]), float(low[0]), float(high[0])],
        "mean_predictor_mae": [float(mean[1]), float(low[1]), float(high[1])],
        "raters_apart": [float(mean[2]), float(low[2]), float(high[2])],
        "below_mean_predictor": [float(1 - mean[0] / mean[1]), *map(float, np.quantile(gain, [0.025, 0.975]))],
        "zone_mae": float(np.abs(out_of_fold.clip(0, 3) - data.zones.numpy()).mean()),
        "correlation": float(np.corrcoef(predicted, truth)[0, 1]),
        "global_interval_half_width": float(np.quantile(errors[:, 0], 0.95)),
        "films": len(truth),
        "patients": len(names),
    }
