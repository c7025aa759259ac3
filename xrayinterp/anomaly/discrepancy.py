"""How far a cloner's features are from its expert's: value and direction at every critical point.

For maps S_k of the expert and C_k of the cloner at critical point k, per image:
V_k = mean_j (S_kj - C_kj)^2 and D_k = 1 - cos(vec S_k, vec C_k); the loss is sum_k D_k + lambda sum_k V_k.
Source: Salehi et al. 2021, arXiv 2011.11108, where lambda stands before the other term.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

EPS = 1e-8
"""Least product of two norms that a cosine divides by."""

Terms = Literal["both", "value", "direction"]
Direction = Literal["image", "position"]
Fusion = Literal["sum", "standardised"]


@dataclass(frozen=True, eq=False)
class Discrepancies:
    """`value` and `direction` (N, P): both terms of N images at P critical points, each 0 where features agree."""

    value: Tensor
    direction: Tensor

    def joined(self) -> Tensor:
        """All terms in one tensor, (N, 2 P): values, then directions."""
        return torch.cat([self.value, self.direction], 1)

    @classmethod
    def split(cls, joined: Tensor) -> Self:
        """The inverse of `joined`."""
        value, direction = joined.chunk(2, 1)
        return cls(value, direction)


@dataclass(frozen=True)
class Weights:
    """A score as a weighted sum of all terms: sum_k value_k V_k + direction_k D_k + offset, one weight a point."""

    value: tuple[float, ...]
    direction: tuple[float, ...]
    offset: float = 0.0

    def scores(self, found: Discrepancies) -> Tensor:
        """Scores (N,)."""
        return self.parts(found).sum((1, 2)) + self.offset

    def parts(self, found: Discrepancies) -> Tensor:
        """What each term gives the score, (N, 2, P): values, then directions."""
        like = found.value
        factors = torch.tensor([self.value, self.direction], dtype=like.dtype, device=like.device)
        return torch.stack([found.value, found.direction], 1) * factors


def discrepancies(expert: Sequence[Tensor], cloner: Sequence[Tensor], direction: Direction = "image") -> Discrepancies:
    """Both terms at every critical point, from maps (N, U, h, w) of equal shapes.

    Args:
        expert: its maps, one a point.
        cloner: the other's.
        direction: "image" compares the whole map as one vector, as published; "position" compares the U values at each
            position and takes the mean over positions.
    """
    pairs = list(zip(expert, cloner, strict=True))
    values = [(c - s).square().flatten(1).mean(1) for s, c in pairs]
    angles = [
        turned(s.flatten(1), c.flatten(1)) if direction == "image" else positions(s, c).mean((1, 2)) for s, c in pairs
    ]
    return Discrepancies(torch.stack(values, 1), torch.stack(angles, 1))


def positions(s: Tensor, c: Tensor) -> Tensor:
    """1 - cos of the U values at every position of two maps (N, U, h, w): (N, h, w)."""
    flat = turned(s.flatten(2).transpose(1, 2), c.flatten(2).transpose(1, 2))
    return flat.view(len(s), *s.shape[2:])


def turned(s: Tensor, c: Tensor) -> Tensor:
    """1 - cos of vectors along the last axis, in [0, 2]: 1 where one of them is zero, 0 where both are."""
    product, norms = (s * c).sum(-1), (s * s).sum(-1) * (c * c).sum(-1)
    cosine = product / norms.clamp(min=EPS**2).sqrt()
    agree = (s.detach() == 0).all(-1) & (c.detach() == 0).all(-1)
    return torch.where(agree, torch.zeros_like(cosine), 1 - cosine)


def weights_of(terms: Terms, balance: float, points: int) -> Weights:
    """The published sum over points: D_k + balance V_k, or one of the two alone."""
    value = {"both": balance, "value": 1.0, "direction": 0.0}[terms]
    return Weights((value,) * points, (0.0 if terms == "value" else 1.0,) * points)


def standardised(terms: Terms, normals: Discrepancies) -> Weights:
    """Every term in standard deviations from its mean over normal images, then summed.

    A term that does not vary among normals is left out: nothing could be told from it.
    """
    rows = normals.joined().double()
    mean, deviation = rows.mean(0), rows.std(0, correction=0)
    kept = deviation > 1e-6 * mean.abs().clamp(min=EPS)
    points = normals.value.shape[1]
    if terms != "both":
        kept[slice(points, None) if terms == "value" else slice(points)] = False
    factors = torch.where(kept, 1 / deviation.clamp(min=EPS**2), torch.zeros_like(mean))
    value, direction = (tuple(part.tolist()) for part in factors.chunk(2))
    return Weights(value, direction, -float((factors * mean).sum()))
