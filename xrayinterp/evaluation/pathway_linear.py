"""The claim that a pruned network is locally linear, checked on the film: where its linear model holds, and how far."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..attribution.forward import Forward
from ..attribution.pathway_masks import PrunedForward
from ..attribution.pathways import LinearRegion, first_kink, linear_region, target_values
from ..attribution.target import Target, as_target
from ..models.chest_model import ChestModel
from ..operators.batching import batched

Floats = npt.NDArray[np.float64]

SHARES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""Distances from the film, as shares of its length ||x||_2."""

ROUNDING = 1e-11
"""Differences of a logit up to here are rounding, in float64."""


@dataclass(frozen=True)
class LinearCheck:
    """How well f(x) + g.d predicts a (pruned) network's target at x + d; all in float64, distances L2.

    `region`: the ball where it must hold; `kink`: how far it must hold along the gradient. `inside`: the largest
    |f(x + d) - f(x) - g.d|, in logits, at 99 % of `kink` along the gradient and, if the radius is exact, at 99 % of it
    in random directions; None where x lies on a boundary itself, or nothing moves the logit. `distances` (D,) and,
    there, the relative error along the gradient (D,) and its median over `directions` random ones (D,), which is
    |f(x + d) - f(x) - g.d| / (||g|| ||d||): 1 says that the linear model knows nothing; NaN where g = 0. `length` is
    ||x||, `grey` what one of 256 grey levels of one pixel measures, None for models that do not say.
    """

    region: LinearRegion
    kink: float
    inside: float | None
    length: float
    grey: float | None
    distances: Floats
    along_gradient: Floats
    at_random: Floats
    directions: int
    seed: int

    @property
    def holds(self) -> bool | None:
        """Whether the network is linear where it must be; None where there is no room to try."""
        return None if self.inside is None else self.inside <= ROUNDING

    @property
    def words(self) -> str:
        """What was found, in plain sentences."""
        last = self.distances[-1] / self.length
        if math.isnan(self.along_gradient[-1]):
            return "Nothing that could be done to the film would move this logit at first order."
        if self.kink == 0:
            near = "The film lies on a boundary of linear pieces, so that the network is linear at no distance"
        else:
            near = f"The network is linear up to {self.kink / self.length:.1g} of the film's size along the gradient"
            if self.grey is not None and self.kink < self.grey:
                near += ", less than one grey level of one pixel"
        return f"{near}. At {last:.1g} of the film's size its linear model misses by {self.along_gradient[-1]:.0%}."


def linear_check(
    model: nn.Module | ChestModel,
    x: Tensor,
    target: int | Target,
    masks: Sequence[Tensor] | None = None,
    *,
    shares: Sequence[float] = SHARES,
    directions: int = 8,
    gaussians: int | None = 32,
    seed: int = 0,
) -> LinearCheck:
    """Compare a network, pruned by `masks` or whole, with its linear model at one film x (1, C, H, W).

    Args:
        model: a piecewise linear network; a copy in float64 is used, so that rounding plays no part.
        x: one film.
        target: the output.
        masks: as in `Pathway.masks`.
        shares: distances as shares of ||x||.
        directions: how many random directions.
        gaussians: directions of the radius' estimate, None for the exact radius.
        seed: of all directions.

    Raises:
        XrayInterpError: as `linear_region`.
    """
    module = copy.deepcopy(Forward(model, x).module).double()
    film, wanted = x.detach().double(), as_target(target)
    pruned = PrunedForward(Forward(module, film), masks)
    region = linear_region(module, film, masks, directions=gaussians, seed=seed)
    gradient = pruned.input_gradient(wanted)
    length, steepness = float(film.norm()), float(gradient.norm())
    distances = length * np.array(shares)
    kink, inside = math.inf, None
    by_distance = np.full((len(shares), 1 + directions), math.nan)
    if steepness > 0:
        rays = torch.cat([gradient / steepness, _unit(film, directions, seed)])
        misses = _Misses(pruned, wanted, gradient)
        kink = first_kink(module, film, gradient, masks)
        if kink > 0:
            near = [misses(0.99 * min(kink, length) * rays[:1])]
            near += [misses(0.99 * min(region.radius, length) * rays)] if region.exact else []
            inside = float(np.concatenate(near).max())
        by_distance = np.stack([misses(distance * rays) / (steepness * distance) for distance in distances.tolist()])
    return LinearCheck(
        region=region,
        kink=kink,
        inside=inside,
        length=length,
        grey=2 * model.scale / 255 if isinstance(model, ChestModel) else None,
        distances=distances,
        along_gradient=by_distance[:, 0],
        at_random=np.median(by_distance[:, 1:], axis=1),
        directions=directions,
        seed=seed,
    )


class _Misses:
    """By how much the linear model misses the target at x + d, for each of several steps d (m, C, H, W): (m,)."""

    def __init__(self, pruned: PrunedForward, target: Target, gradient: Tensor) -> None:
        self._pruned, self._target, self._gradient = pruned, target, gradient
        self._here = target_values(target, pruned.logits(pruned.x))

    def __call__(self, steps: Tensor) -> Floats:
        there = torch.stack(list(batched(self._pruned.logits, self._pruned.x + steps)))
        change = target_values(self._target, there) - self._here
        promised = (self._gradient * steps).flatten(1).sum(1)
        misses: Floats = (change - promised).abs().cpu().numpy()
        return misses


def _unit(x: Tensor, count: int, seed: int) -> Tensor:
    """Random directions of length 1, (count, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    rays = torch.randn(count, *x.shape[1:], generator=generator, dtype=torch.float64).to(x.device)
    unit: Tensor = rays / torch.linalg.vector_norm(rays, dim=(1, 2, 3), keepdim=True)
    return unit
