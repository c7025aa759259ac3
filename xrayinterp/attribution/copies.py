"""One film, many changed copies of it: their gradients and scores, in memory-capped batches."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import torch
from torch import Tensor

from ..operators.batching import batched
from ..operators.lean import Lean
from .forward import Forward
from .target import Target


def films(forward: Forward, target: Target) -> Iterator[tuple[Tensor, Target]]:
    """Each film (C, H, W) of the batch, with its own target."""
    return zip(forward.x, target.each(len(forward.x)), strict=True)


def gradients(forward: Forward, target: Target, copies: Iterable[Tensor]) -> Iterator[Tensor]:
    """The gradient of the target at each copy, (C, H, W), in order; copies are drawn lazily."""

    def gradient(batch: Tensor) -> Tensor:
        with Lean():
            return Forward(forward.module, batch).input_gradient(target)

    return batched(gradient, copies)


def logits(forward: Forward, key: Hashable, copies: Iterable[Tensor]) -> Tensor:
    """The logits (copies, F) of copies of one film, run once for all targets; `key` names film and copies."""

    def run(batch: Tensor) -> Tensor:
        with Lean():
            return Forward(forward.module, batch).outputs()

    return forward.remembered(key, lambda: torch.stack(list(batched(run, copies))))
