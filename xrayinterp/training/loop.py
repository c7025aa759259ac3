"""The training loop: stages of growing input size, averaged weights, optional teachers, checkpoint and resume."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet, DenseNetShape
from ..models.prepare import resize
from .augment import Augmentation, augment
from .checkpoints import Checkpointed
from .films import TrainingSet

AfterEpoch = Callable[[int, DenseNet], None]


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
    soft: float = 0.0
    rarity: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Teacher:
    """A trained network and the input size it is used at."""

    module: DenseNet
    size: int

    def on(self, device: str) -> Self:
        """A copy of it on a device."""
        return replace(self, module=copy.deepcopy(self.module).to(device).to(memory_format=torch.channels_last))


def train(
    recipe: Recipe,
    films: TrainingSet,
    val: TrainingSet,
    folder: Path,
    *,
    start: DenseNet | None = None,
    teachers: Sequence[Teacher] = (),
    device: str = "cpu",
    after_epoch: AfterEpoch | None = None,
) -> DenseNet:
    """Train by `recipe` and return the averaged weights of the best validation epoch.

    `after_epoch` is called with the number of each epoch that ends, from 1, and its averaged weights, in eval mode.

    Progress survives an interruption: `folder/<name>.last.pt` is written after every epoch and resumed from;
    `folder/<name>.log.jsonl` holds one line an epoch. The same seed gives the same order of films and augmentation.

    Raises:
        XrayInterpError: `bad-option` where the films are fewer than a batch, val cannot select, no score is finite, or
            the folder holds a run of another recipe by the same name.
    """
    _check(recipe, films, val)
    films, teachers = films.on(device), [teacher.on(device) for teacher in teachers]
    run = _Run.begin(recipe, films, folder, start=start, device=device)
    sizes = [stage.size for stage in recipe.stages for _ in range(stage.epochs)]
    columns = (TextColumn(recipe.name), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=len(sizes) * run.steps, completed=run.epoch * run.steps)
        for size in sizes[run.epoch :]:
            loss = run.learn(films, size, teachers, partial(progress.advance, bar))
            logits = predict(run.averaged, val.films, size)
            score = mean_auroc(val.targets[:, : recipe.scored].numpy(), logits[:, : recipe.scored])
            run.conclude(size, loss, score, eligible=size == sizes[-1])
            if after_epoch is not None:
                after_epoch(run.epoch, run.averaged)
            progress.update(bar, description=f"epoch {run.epoch}/{len(sizes)} val AUROC {score:.3f}")
    return run.chosen()


@dataclass(kw_only=True)
class _Run(Checkpointed):
    """A training run under way; `weights` (T,) are those of the targets in the loss."""

    recipe: Recipe
    model: DenseNet
    averaged: DenseNet
    weights: Tensor
    steps: int

    @classmethod
    def begin(cls, recipe: Recipe, films: TrainingSet, folder: Path, *, start: DenseNet | None, device: str) -> Self:
        """A fresh run, or the one that was broken off in `folder`."""
        torch.manual_seed(recipe.seed)
        model = copy.deepcopy(start) if start is not None else DenseNet(recipe.shape, len(films.names))
        model = model.to(device).to(memory_format=torch.channels_last)
        averaged: DenseNet = copy.deepcopy(model)
        optimiser = torch.optim.AdamW(parameter_groups(model, recipe.decay), lr=recipe.rate)
        steps = len(films) // recipe.batch
        epochs = sum(stage.epochs for stage in recipe.stages)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.rate, total_steps=epochs * steps, pct_start=0.25
        )
        weights = _target_weights(films.targets, recipe.rarity)
        run = cls(
            recipe=recipe, folder=folder, model=model, averaged=averaged.eval(), optimiser=optimiser,
            schedule=schedule, weights=weights, steps=steps,
        )  # fmt: skip
        run.resume(device)
        return run

    def learn(self, films: TrainingSet, size: int, teachers: Sequence[Teacher], tick: Callable[[], None]) -> float:
        """One pass over the films at inputs of `size` pixels; its mean loss."""
        recipe, weights = self.recipe, self.weights
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + self.epoch)
        order = torch.randperm(len(films), generator=generator)[: self.steps * recipe.batch]
        losses = []
        for batch in order.split(recipe.batch):
            x = augment(films.films[batch, None].float() / 255, size, recipe.augmentation, generator)
            x = x.to(memory_format=torch.channels_last)
            loss = _loss(self.model, x, films.targets[batch], weights, recipe, teachers)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
            self.schedule.step()
            _average(self.averaged, self.model, recipe.average if self.epoch else 0.9)
            losses.append(loss.detach())
            tick()
        return float(torch.stack(losses).mean())

    def conclude(self, size: int, loss: float, score: float, *, eligible: bool) -> None:
        """Note an epoch's end; its averaged weights are kept if it is `eligible` and no earlier one scored as high."""
        if eligible and score > self.best:
            self.best, self.best_weights = score, copy.deepcopy(self.averaged.state_dict())
        self.epoch += 1
        self.keep({"size": size, "loss": loss, "val_auroc": score})

    def chosen(self) -> DenseNet:
        """The averaged weights of the best epoch."""
        if self.best_weights is None:
            raise XrayInterpError(
                Code.BAD_OPTION, f"No epoch of {self.recipe.name!r} gave finite scores on val.", "Lower its rate."
            )
        self.averaged.load_state_dict(self.best_weights)
        return self.averaged.eval()


def _check(recipe: Recipe, films: TrainingSet, val: TrainingSet) -> None:
    if len(films) < recipe.batch:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{len(films)} films are fewer than one batch of {recipe.batch}.", "Lower the batch."
        )
    if not _mixed(val.targets[:, : recipe.scored].numpy()):
        raise XrayInterpError(
            Code.BAD_OPTION,
            "No scored target has both positive and negative films on val: nothing could be selected.",
            "Use more films.",
        )


def _target_weights(targets: Tensor, rarity: float) -> Tensor:
    """Loss weight of every target, (T,), mean 1 before the cap of 3."""
    raw = targets.mean(0).clamp(min=1e-3) ** -rarity
    return (raw / raw.mean()).clamp(max=3)


def _loss(
    model: nn.Module, x: Tensor, y: Tensor, weights: Tensor, recipe: Recipe, teachers: Sequence[Teacher]
) -> Tensor:
    """Cross-entropy with the labels, and with the mean of the teachers' probabilities, mixed as the recipe says."""
    with torch.autocast(x.device.type, torch.bfloat16):
        logits = model(x)
    logits = logits.float()
    hard = F.binary_cross_entropy_with_logits(logits, y, weight=weights)
    if not teachers:
        return hard
    with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16):
        soft = torch.stack([t.module(resize(x, t.size)).float().sigmoid() for t in teachers]).mean(0)
    return (1 - recipe.soft) * hard + recipe.soft * F.binary_cross_entropy_with_logits(logits, soft, weight=weights)


def parameter_groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only."""
    heavy = [p for p in model.parameters() if p.ndim > 1]
    light = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": heavy, "weight_decay": decay}, {"params": light, "weight_decay": 0.0}]


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    pairs = list(zip(averaged.state_dict().values(), model.state_dict().values(), strict=True))
    real = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([old for old, _ in real], [new for _, new in real], 1 - keep)  # one kernel, not hundreds
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)


@torch.inference_mode()
def predict(model: nn.Module, films: Tensor, size: int, *, batch: int = 64, mirror: bool = False) -> np.ndarray:
    """Logits (N, T) float32 of uint8 squares at inputs of `size` pixels; `mirror` averages with the mirrored film."""
    rows = []
    device = next((parameter.device for parameter in model.parameters()), films.device)
    for part in films.split(batch):
        x = resize(part[:, None].to(device).float() / 255, size) * 2 - 1
        x = x.to(memory_format=torch.channels_last)
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
    from sklearn.metrics import roc_auc_score  # whoever only explains a film does not wait for it

    return float(np.mean([roc_auc_score(targets[:, j], scores[:, j]) for j in _mixed(targets)]))


def _mixed(targets: np.ndarray) -> list[int]:
    """The columns that hold both classes."""
    return [j for j in range(targets.shape[1]) if 0 < targets[:, j].sum() < len(targets)]
