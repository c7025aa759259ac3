"""The recipe of the lung and heart segmenter, and its training loop: averaged weights, checkpoint and resume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self, cast

import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..errors import Code, XrayInterpError
from ..models.prepare import resize
from ..models.segmentation import STRUCTURES
from ..models.unet import UNet
from .augment import Augmentation, augment
from .checkpoints import Checkpointed
from .segmenter_films import OutlinedSet

Floats = np.ndarray


@dataclass(frozen=True)
class SegmenterRecipe:
    """All that determines a training run, besides its films.

    Films are stored at `detail` pixels and seen at `size`. `mirror`: share of films mirrored, their lungs changing
    sides. `veil`: most grey by which a soft, randomly placed shadow lightens or darkens a film, as consolidation,
    effusion, breasts and uneven exposure do.
    """

    name: str = "anatomy"
    channels: tuple[int, ...] = (12, 24, 48, 96, 128)
    size: int = 128
    detail: int = 160
    epochs: int = 60
    batch: int = 16
    rate: float = 4e-3
    decay: float = 0.02
    average: float = 0.99
    mirror: float = 0.5
    veil: float = 0.45
    seed: int = 0
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(rotation=12, zoom=0.2, shift=0.08, contrast=0.4, gamma=0.4, mirror=0.0)
    )


RECIPE = SegmenterRecipe()


def train(recipe: SegmenterRecipe, films: OutlinedSet, val: OutlinedSet, folder: Path) -> UNet:
    """Train by `recipe` and return the averaged weights of the epoch with the highest mean Dice on val.

    Progress survives an interruption: `folder/<name>.last.pt` is written after every epoch and resumed from;
    `folder/<name>.log.jsonl` holds one line an epoch.

    Raises:
        XrayInterpError: `bad-option` where the films are fewer than a batch or the folder holds a run of another recipe
            by the same name.
    """
    if len(films) < recipe.batch:
        raise XrayInterpError(
            Code.BAD_OPTION, f"{len(films)} films are fewer than one batch of {recipe.batch}.", "Lower the batch."
        )
    run = _Run.begin(recipe, len(films) // recipe.batch, folder)
    columns = (TextColumn(recipe.name), BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=recipe.epochs * run.steps, completed=run.epoch * run.steps)
        while run.epoch < recipe.epochs:
            loss = run.learn(films, partial(progress.advance, bar))
            score = float(np.nanmean(dice(scores(run.network, val.films, recipe.size) > 0, val)))
            run.conclude(loss, score)
            progress.update(bar, description=f"epoch {run.epoch}/{recipe.epochs} val Dice {score:.3f}")
    run.network.load_state_dict(run.best_weights or {})
    return run.network.eval()


@torch.inference_mode()
def scores(network: UNet, films: Tensor, size: int, batch: int = 32) -> Tensor:
    """Logits (N, S, size, size) of uint8 films (N, d, d)."""
    network.eval()
    parts = [network(resize(part[:, None].float() / 255, size) * 2 - 1) for part in films.split(batch)]
    return torch.cat(parts)


def dice(found: Tensor, films: OutlinedSet) -> Floats:
    """Dice of each film and structure, (N, S), NaN where nobody outlined it. Higher is better, 1 is the same mask.

    Dice = 2 |A and B| / (|A| + |B|). `found`: bool (N, S, size, size).
    """
    true = resize(films.masks.float(), found.shape[-1]) > 0.5
    both, either = (found & true).sum((2, 3)), found.sum((2, 3)) + true.sum((2, 3))
    values = 2 * both.double() / either.clamp(min=1)
    return np.asarray(torch.where(films.known, values, torch.nan).numpy())


@dataclass(kw_only=True)
class _Run(Checkpointed):
    """A training run under way."""

    recipe: SegmenterRecipe
    model: UNet
    averaged: AveragedModel
    steps: int

    @classmethod
    def begin(cls, recipe: SegmenterRecipe, steps: int, folder: Path) -> Self:
        """A fresh run, or the one that was broken off in `folder`."""
        torch.manual_seed(recipe.seed)
        model = UNet(recipe.channels, len(STRUCTURES)).to(memory_format=torch.channels_last)
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)
        optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, recipe.rate, total_steps=recipe.epochs * steps, pct_start=0.2
        )
        run = cls(
            recipe=recipe, folder=folder, model=model, averaged=averaged, optimiser=optimiser, schedule=schedule,
            steps=steps,
        )  # fmt: skip
        run.resume()
        return run

    @property
    def network(self) -> UNet:
        """The averaged weights."""
        return cast(UNet, self.averaged.module)

    def learn(self, films: OutlinedSet, tick: Callable[[], None]) -> float:
        """One pass over the films; its mean loss."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1000 + self.epoch)
        order = torch.randperm(len(films), generator=generator)[: self.steps * self.recipe.batch]
        losses = []
        self.model.train()
        for batch in order.split(self.recipe.batch):
            x, y = augmented(films.films[batch], films.masks[batch], self.recipe, generator)
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.model(x.to(memory_format=torch.channels_last))
            loss = overlap_loss(logits.float(), y, films.known[batch])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimiser.step()
            self.schedule.step()
            self.averaged.update_parameters(self.model)
            losses.append(float(loss.detach()))
            tick()
        return float(np.mean(losses))

    def conclude(self, loss: float, score: float) -> None:
        """Note an epoch's end; its averaged weights are kept if no earlier one scored as high."""
        self.epoch += 1
        if score > self.best:
            self.best, self.best_weights = score, {k: v.clone() for k, v in self.network.state_dict().items()}
        self.keep({"loss": loss, "val_dice": score})


def augmented(
    films: Tensor, masks: Tensor, recipe: SegmenterRecipe, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Films (N, d, d) uint8 and masks (N, S, d, d) of 0 and 1, moved alike: inputs (N, 1, size, size) and targets."""
    pixels, targets = films[:, None].float() / 255, masks.float()
    flipped = torch.rand(len(films), generator=generator) < recipe.mirror
    pixels[flipped], targets[flipped] = pixels[flipped].flip(-1), targets[flipped][:, [1, 0, 2]].flip(-1)
    pixels = (pixels + veils(pixels, recipe.veil, generator)).clamp(0, 1)
    same = generator.get_state()
    x = augment(pixels, recipe.size, recipe.augmentation, generator)
    still = torch.Generator()
    still.set_state(same)
    moved = augment(targets, recipe.size, replace(recipe.augmentation, contrast=0.0, gamma=0.0), still)
    return x, (moved > 0).float()


def veils(films: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """One soft elliptic shadow a film, (N, 1, d, d) in [-most, most], of random place, size and strength."""
    n, side = len(films), films.shape[-1]
    cx, cy, wide, high, strength = (torch.rand(5, n, generator=generator)).view(5, n, 1, 1)
    at = (torch.arange(side) + 0.5) / side
    across = ((at[None, None, :] - cx) / (0.06 + 0.3 * wide)) ** 2
    along = ((at[None, :, None] - cy) / (0.06 + 0.3 * high)) ** 2
    shadows: Tensor = torch.exp(-((across + along) ** 2) / 2) * (2 * strength - 0.6) / 1.4 * most
    return shadows[:, None]


def overlap_loss(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy plus 1 - soft Dice, over the structures that somebody outlined.

    Args:
        logits: (N, S, h, w).
        targets: (N, S, h, w) of 0 and 1.
        known: bool (N, S).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((2, 3))
    p = logits.sigmoid()
    overlap = 2 * (p * targets).sum((2, 3)) / (p.sum((2, 3)) + targets.sum((2, 3))).clamp(min=1)
    return ((2 * entropy + 1 - overlap) * known).sum() / known.sum().clamp(min=1)
