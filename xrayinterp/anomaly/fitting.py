"""A cloner learns an expert's features on normal images: lambda first, then a fixed number of epochs, resumable."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..paths import write_whole
from ..training.augment import Augmentation, augment
from ..training.fixed import Schedule, Tick, fit
from .cloners import CloneSize
from .discrepancy import Direction, Fusion, Terms, discrepancies, weights_of
from .experts import Expert, cloner_of, tensors_sha256

CACHE_BYTES = 2 << 30
"""Most bytes that an expert's maps of all images may take, held in half precision."""


@dataclass(frozen=True)
class Settings:
    """All that decides a fit, besides expert and images.

    `training` and `scoring` are positions among the expert's critical points; None is all of them for training and the
    last three for scoring. `terms` and `direction` as in `discrepancy`; `fusion` "sum" is the published score,
    "standardised" counts every term in standard deviations of held-out normals. `balance` is lambda; None measures it
    on the untrained cloner. `amp`: the cloner learns in bfloat16, on processors and accelerators. `augmentation`: None
    lets the expert's maps be kept.
    """

    cloner: CloneSize = "small"
    training: tuple[int, ...] | None = None
    scoring: tuple[int, ...] | None = None
    terms: Terms = "both"
    direction: Direction = "image"
    fusion: Fusion = "sum"
    balance: float | None = None
    epochs: int = 20
    batch: int = 64
    rate: float = 2e-3
    seed: int = 0
    amp: bool = True
    augmentation: Augmentation | None = None

    def last_only(self, expert: Expert) -> Settings:
        """The ablation that learns and scores at the last critical point alone."""
        last = (len(expert.points) - 1,)
        return replace(self, training=last, scoring=last)

    def points(self, expert: Expert) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Positions for training and for scoring.

        Raises:
            XrayInterpError: `unknown-layer` for a position that the expert does not have or that is named twice;
                `bad-option` for one to score at that is not trained.
        """
        count = len(expert.points)
        training = tuple(range(count)) if self.training is None else self.training
        scoring = training[-3:] if self.scoring is None else self.scoring
        for name, chosen in (("training", training), ("scoring", scoring)):
            if not chosen or not all(0 <= i < count for i in chosen) or len(set(chosen)) < len(chosen):
                raise XrayInterpError(
                    Code.UNKNOWN_LAYER,
                    f"The critical points for {name} are {chosen}, and {expert.name!r} has {count}.",
                    f"Name some of 0 to {count - 1}, each once.",
                )
        if untaught := set(scoring) - set(training):
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"Critical points {sorted(untaught)} are for scoring, and the cloner learns nothing there.",
                f"Score at some of {training}.",
            )
        return training, scoring


@dataclass(frozen=True, eq=False)
class Learned:
    """A fitted cloner, lambda as it was used, and the mean loss of every epoch."""

    cloner: nn.Module
    balance: float
    curve: tuple[float, ...] = field(default=())


def learn(
    expert: Expert,
    images: Tensor,
    settings: Settings,
    *,
    folder: Path | None = None,
    device: str = "cpu",
    tick: Tick = lambda: None,
) -> Learned:
    """Fit a cloner to an expert on normal images (N, C, H, W) in [0, 1]; nothing is chosen on any image.

    Args:
        expert: what is cloned; it never keeps a graph.
        images: normal ones only.
        settings: see `Settings`.
        folder: where the state after each epoch lies, to be gone on from; None keeps none.
        device: where to compute; the cloner comes back on the processor.
        tick: called after every epoch.

    Raises:
        XrayInterpError: `bad-option` for images out of range or fewer than two.
    """
    _check(images)
    training, _ = settings.points(expert)
    listener = Listener(expert.on(device).only(training), images, settings)
    cloner = cloner_of(expert, settings.cloner, seed=settings.seed).to(device)
    checkpoint = None if folder is None else folder / f"cloner-{key_of(expert, images, settings)}.last.pt"
    balance = _kept_balance(checkpoint, lambda: calibrated_balance(listener, cloner, training), settings)
    step = _Distil(listener, training, balance)
    schedule = Schedule(images.shape[-1], settings.epochs, settings.batch, settings.rate, decay=0.0)
    fitted, curve = fit(
        cloner, images, step, schedule, seed=settings.seed, checkpoint=checkpoint, device=device, tick=tick
    )
    return Learned(fitted.requires_grad_(False).eval(), balance, curve)


@dataclass(frozen=True, eq=False)
class Listener:
    """An expert at the critical points for training, and the images it is listened to on; never with a graph."""

    expert: Expert
    images: Tensor
    settings: Settings

    def wanted(self, x: Tensor, rows: Tensor) -> Sequence[Tensor]:
        """The expert's maps of inputs x, which are those of the images at `rows`: kept ones where nothing changed."""
        if self.kept is None:
            return self.expert.read(x)
        return [maps[rows.cpu()].to(x.device).float() for maps in self.kept]

    @property
    def device(self) -> torch.device:
        """Where the expert computes."""
        return next(iter(self.expert.module.parameters()), self.images).device

    @cached_property
    def kept(self) -> tuple[Tensor, ...] | None:
        """The expert's maps of all images in half precision, where nothing changes them and they fit."""
        settings, images = self.settings, self.images
        if settings.augmentation is not None:
            return None
        first = self.expert.maps(images[:1].to(self.device))
        if 2 * len(images) * sum(maps[0].numel() for maps in first) > CACHE_BYTES:
            return None
        kept = [torch.empty((len(images), *maps.shape[1:]), dtype=torch.float16) for maps in first]
        for start in range(0, len(images), settings.batch):
            found = self.expert.maps(images[start : start + settings.batch].to(self.device))
            for place, maps in zip(kept, found, strict=True):
                place[start : start + len(maps)] = maps.cpu().half()
        return tuple(kept) if all(bool(torch.isfinite(maps).all()) for maps in kept) else None


def calibrated_balance(listener: Listener, cloner: nn.Module, training: Sequence[int]) -> float:
    """Lambda = mean of L_dir / L_val over one epoch of the untrained cloner, in batches as it is trained.

    The cloner is left as it is. Both terms then weigh the same at the start.
    """
    settings, twin = listener.settings, copy.deepcopy(cloner).train()
    order = torch.randperm(len(listener.images), generator=torch.Generator().manual_seed(settings.seed))
    ratios = []
    with torch.no_grad():
        for rows in _batches(order, settings.batch):
            x = listener.expert.recipe(listener.images[rows].to(listener.device))
            cloned = twin(x)
            found = discrepancies(listener.wanted(x, rows), [cloned[i] for i in training], settings.direction)
            ratios.append(found.direction.sum(1).mean() / found.value.sum(1).mean().clamp(min=1e-12))
    return float(torch.stack(ratios).mean())


def _kept_balance(checkpoint: Path | None, measure: Callable[[], float], settings: Settings) -> float:
    """Lambda as set, as an earlier part of the same fit measured it, or measured now and kept beside the checkpoint."""
    if settings.balance is not None:
        return settings.balance
    if checkpoint is None:
        return measure()
    kept = checkpoint.with_suffix(".lambda")
    if not kept.is_file():
        write_whole(kept, repr(measure()).encode())
    return float(kept.read_text(encoding="utf-8"))


def key_of(expert: Expert, images: Tensor, settings: Settings) -> str:
    """Twelve hexadecimal digits that differ where anything that decides a fit differs."""
    born = tensors_sha256(cloner_of(expert, settings.cloner, seed=settings.seed))
    told = [expert.name, expert.sha256, expert.points, asdict(expert.recipe), asdict(settings), born]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    digest.update(str(tuple(images.shape)).encode())
    digest.update(images.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, eq=False)
class _Distil:
    """The loss of one batch, as `training.fixed.fit` asks for it."""

    listener: Listener
    points: tuple[int, ...]
    balance: float

    def __call__(
        self, cloner: nn.Module, images: Tensor, rows: Tensor, size: int, generator: torch.Generator
    ) -> Tensor:
        settings = self.listener.settings
        x = self.listener.expert.recipe(_augmented(images, settings.augmentation, generator))
        wanted = self.listener.wanted(x, rows)
        with _half(x, settings.amp):
            cloned = cloner(x.contiguous(memory_format=torch.channels_last))
        found = discrepancies(wanted, [cloned[i].to(x.dtype) for i in self.points], settings.direction)
        return weights_of(settings.terms, self.balance, len(self.points)).scores(found).mean()


def _augmented(images: Tensor, rules: Augmentation | None, generator: torch.Generator) -> Tensor:
    return images if rules is None else (augment(images, images.shape[-1], rules, generator) + 1) / 2


def _half(x: Tensor, wanted: bool) -> Any:
    return torch.autocast(x.device.type, torch.bfloat16) if wanted and x.dtype == torch.float32 else nullcontext()


def _batches(order: Tensor, batch: int) -> Sequence[Tensor]:
    """Whole batches, as training takes them; one of fewer where there are not enough images."""
    size = min(batch, len(order))
    return list(torch.split(order[: len(order) // size * size], size))


def _check(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point() or len(images) < 2:
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The images have shape {tuple(images.shape)} and type {images.dtype}.",
            "A fit takes two or more, floating-point, (N, C, H, W).",
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise XrayInterpError(
            Code.BAD_OPTION, f"The images reach from {low:.3g} to {high:.3g}.", "Give values in [0, 1]."
        )
