"""The training loop: stages of growing input size, averaged weights, optional teachers, checkpoint and resume."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from ..models.architectures import DenseNet, DenseNetShape
from ..models.prepare import resize
from .augment import Augmentation, augment
from .films import TrainingSet


@dataclass(frozen=True)
class Stage:
    """`epochs` passes over the films at inputs of `size` pixels."""

    size: int
    epochs: int


@dataclass(frozen=True)
class Recipe:
    """All that determines a training run, besides its films.

    `scored` is the number of leading targets whose mean AUROC on val selects the weights; further targets are
    auxiliary. `soft` is the share of the loss taken from the teachers' probabilities. `rarity` r weights each target's
    loss by prevalence ** -r (mean 1, at most 3), so that rare findings shape features too.
    """

    name: str
    shape: DenseNetShape
    stages: tuple[Stage, ...]
    scored: int
    seed: int = 0
    batch: int = 64
    rate: float = 4e-3
    decay: float = 0.05
    average: float = 0.995
    dropout: float = 0.0
    soft: float = 0.0
    rarity: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Teacher:
    """A trained network and the input size it is used at."""

    module: DenseNet
    size: int


def train(
    recipe: Recipe,
    films: TrainingSet,
    val: TrainingSet,
    folder: Path,
    *,
    start: DenseNet | None = None,
    teachers: Sequence[Teacher] = (),
    device: str = "cpu",
) -> DenseNet:
    """Train by `recipe` and return the averaged weights of the best validation epoch.

    Progress survives an interruption: `folder/<name>.last.pt` is written after every epoch and resumed from;
    `folder/<name>.log.jsonl` holds one line an epoch. The same seed gives the same order of films and augmentation.
    """
    torch.manual_seed(recipe.seed)
    model = copy.deepcopy(start) if start is not None else DenseNet(recipe.shape, len(films.names))
    model = model.to(device).to(memory_format=torch.channels_last)
    averaged: DenseNet = copy.deepcopy(model)
    averaged.eval()
    optimiser = torch.optim.AdamW(_groups(model, recipe.decay), lr=recipe.rate)
    steps_an_epoch = len(films) // recipe.batch
    epochs = [stage.size for stage in recipe.stages for _ in range(stage.epochs)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=len(epochs) * steps_an_epoch, pct_start=0.25
    )
    weights = _target_weights(films.targets, recipe.rarity).to(device)
    folder.mkdir(parents=True, exist_ok=True)
    last, log = folder / f"{recipe.name}.last.pt", folder / f"{recipe.name}.log.jsonl"
    state: dict[str, Any] = {"epoch": 0, "best": -1.0, "best_weights": None}
    if last.is_file():
        state = torch.load(last, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["averaged"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    with Progress(
        TextColumn(recipe.name), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
    ) as progress:
        bar = progress.add_task("", total=len(epochs) * steps_an_epoch, completed=state["epoch"] * steps_an_epoch)
        for epoch in range(state["epoch"], len(epochs)):
            generator = torch.Generator().manual_seed(recipe.seed * 1000 + epoch)
            losses = []
            for batch in torch.randperm(len(films), generator=generator)[: steps_an_epoch * recipe.batch].split(
                recipe.batch
            ):
                x = augment(films.films[batch, None].float() / 255, epochs[epoch], recipe.augmentation, generator)
                x = x.to(device, memory_format=torch.channels_last)
                y = films.targets[batch].to(device)
                loss = _step(model, x, y, weights, recipe, teachers)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 5.0)
                optimiser.step()
                schedule.step()
                _average(averaged, model, recipe.average if epoch else 0.9)
                losses.append(float(loss.detach()))
                progress.advance(bar)
            logits = predict(averaged, val.films, epochs[epoch], device=device)
            score = mean_auroc(val.targets[:, : recipe.scored].numpy(), logits[:, : recipe.scored])
            if score > state["best"] and epochs[epoch] == epochs[-1]:
                state["best"], state["best_weights"] = score, copy.deepcopy(averaged.state_dict())
            progress.update(bar, description=f"epoch {epoch + 1}/{len(epochs)} val AUROC {score:.3f}")
            state |= {
                "epoch": epoch + 1,
                "model": model.state_dict(),
                "averaged": averaged.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
            }
            partial = last.with_suffix(".part")
            torch.save(state, partial)
            partial.replace(last)
            with log.open("a", encoding="utf-8") as handle:
                line = {"epoch": epoch + 1, "size": epochs[epoch], "loss": float(np.mean(losses)), "val_auroc": score}
                handle.write(json.dumps(line) + "\n")
    averaged.load_state_dict(state["best_weights"])
    averaged.eval()
    return averaged


def _target_weights(targets: Tensor, rarity: float) -> Tensor:
    """Loss weight of every target, (T,), mean 1 before the cap of 3."""
    raw = targets.mean(0).clamp(min=1e-3) ** -rarity
    return (raw / raw.mean()).clamp(max=3)


def _step(
    model: nn.Module, x: Tensor, y: Tensor, weights: Tensor, recipe: Recipe, teachers: Sequence[Teacher]
) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16):
        logits = model(x)
    logits = logits.float()
    hard = F.binary_cross_entropy_with_logits(logits, y, weight=weights)
    if not teachers:
        return hard
    with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16):
        soft = torch.stack([t.module(resize(x, t.size)).float().sigmoid() for t in teachers]).mean(0)
    return (1 - recipe.soft) * hard + recipe.soft * F.binary_cross_entropy_with_logits(logits, soft, weight=weights)


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only."""
    heavy = [p for p in model.parameters() if p.ndim > 1]
    light = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}]


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    for old, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)
        else:
            old.copy_(new)


@torch.inference_mode()
def predict(
    model: nn.Module, films: Tensor, size: int, *, batch: int = 64, device: str = "cpu", mirror: bool = False
) -> np.ndarray:
    """Logits (N, T) float32 of uint8 squares at inputs of `size` pixels; `mirror` averages with the mirrored film."""
    rows = []
    for part in films.split(batch):
        x = resize(part[:, None].float() / 255, size) * 2 - 1
        x = x.to(device, memory_format=torch.channels_last)
        logits = model(x)
        rows.append(((logits + model(x.flip(-1))) / 2 if mirror else logits).float().cpu().numpy())
    return np.concatenate(rows)


def softened(films: TrainingSet, teachers: Sequence[Teacher], share: float) -> TrainingSet:
    """The films with targets moved by `share` towards the teachers' mean probability on the film as it is.

    Cross-entropy is linear in its targets, so this equals a loss mixed of both without running teachers every epoch.
    """
    soft = np.mean([1 / (1 + np.exp(-predict(t.module, films.films, t.size))) for t in teachers], axis=0)
    return replace(films, targets=(1 - share) * films.targets + share * torch.from_numpy(soft))


def mean_auroc(targets: np.ndarray, scores: np.ndarray) -> float:
    """Mean area under the ROC curve over the columns that hold both classes."""
    columns = [j for j in range(targets.shape[1]) if 0 < targets[:, j].sum() < len(targets)]
    return float(np.mean([roc_auc_score(targets[:, j], scores[:, j]) for j in columns]))
