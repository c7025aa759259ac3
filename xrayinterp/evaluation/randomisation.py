"""Cascading randomisation: the map of a model whose weights are destroyed block after block, from head to input.

Adebayo et al. 2018 (arXiv 1810.03292) and Khakzar et al. 2021 drew new weights; here the values of each tensor are
permuted, which keeps their distribution. Batch norm: scale and shift are permuted, the running statistics stay, as in
the published protocol. The target stays that of the film's own prediction.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..attribution import Forward
from ..attribution.target import Target
from ..models.chest_model import ChestModel
from .maps import map_or_nothing

BLOCKS = 10
"""Steps of the cascade."""

POLICY = "weights, biases and batch-norm scale and shift permuted within each tensor; running statistics kept"
"""What is randomised, for the record."""


@dataclass(frozen=True, eq=False)
class Randomised:
    """A model with its weights destroyed down to some depth.

    `depth`: 1 (head only) to the number of blocks (everything). `block`: the layers that this step added, first and
    last by name.
    """

    depth: int
    block: tuple[str, str]
    model: nn.Module | ChestModel


@dataclass(frozen=True, eq=False)
class Stage:
    """One depth of the cascade: as in `Randomised`, and the map (N, 1, h, w) of the model randomised so far."""

    depth: int
    block: tuple[str, str]
    values: Tensor


def randomised(
    model: nn.Module | ChestModel, *, seed: int = 0, blocks: int = BLOCKS, keep: bool = False
) -> Iterator[Randomised]:
    """The model, randomised one block further at each step; the model itself is never touched.

    Args:
        model: any module, or a ChestModel.
        seed: of the permutations; the same seed gives the same weights.
        blocks: steps; fewer where the network has fewer layers with parameters.
        keep: whether every step is a copy of its own; else the next step changes the one before.
    """
    private = _copied(model)
    module = private.module if isinstance(private, ChestModel) else private
    draws = np.random.default_rng(seed)
    for depth, block in enumerate(reversed(layer_blocks(module, blocks)), start=1):
        for name in reversed(block):
            permute(module.get_submodule(name), draws)
        yield Randomised(depth, (block[0], block[-1]), _copied(private) if keep else private)


def cascade(
    model: nn.Module | ChestModel,
    x: Tensor,
    target: Target,
    method: str,
    options: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    blocks: int = BLOCKS,
) -> Iterator[Stage]:
    """Maps at every depth of randomisation, lazily; one map's cost each.

    Args:
        model: any module in eval mode, or a ChestModel.
        x: inputs (N, C, H, W).
        target: the logit, the same at every depth.
        method: a name in `METHODS`, with its `options`.
        seed, blocks: as in `randomised`.
    """
    forwards = ((step, Forward(step.model, x)) for step in randomised(model, seed=seed, blocks=blocks))
    return stages(forwards, target, method, options)


def stages(
    forwards: Iterable[tuple[Randomised, Forward]],
    target: Target,
    method: str,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Stage]:
    """The same from forwards at hand, which several methods may share."""
    for step, forward in forwards:
        yield Stage(step.depth, step.block, map_or_nothing(forward, target, method, **dict(options or {})))


def layer_blocks(module: nn.Module, count: int = BLOCKS) -> list[tuple[str, ...]]:
    """Layers with parameters of their own, in order of registration, as at most `count` blocks of like depth.

    The last block is the head alone: the last layer.
    """
    names = [name for name, part in module.named_modules() if any(True for _ in part.parameters(recurse=False))]
    body, head = names[:-1], names[-1:]
    steps = min(count - 1, len(body))
    bounds = [len(body) * step // max(steps, 1) for step in range(steps + 1)]
    runs = [tuple(body[low:high]) for low, high in pairwise(bounds)]
    return [*runs, tuple(head)] if head else runs


def permute(layer: nn.Module, draws: np.random.Generator) -> None:
    """Permute the values of each of the layer's own parameters, in place."""
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            values = parameter.flatten().double().cpu().numpy()  # numpy swaps words of eight bytes fastest
            draws.shuffle(values)
            parameter.copy_(torch.from_numpy(values).view_as(parameter))


def _copied(model: nn.Module | ChestModel) -> nn.Module | ChestModel:
    return replace(model, module=copy.deepcopy(model.module)) if isinstance(model, ChestModel) else copy.deepcopy(model)
