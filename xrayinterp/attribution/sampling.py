"""Methods that average gradients over many inputs: along a path from nothing to the film, or in noise around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from .copies import films, gradients
from .fills import Fill, filled
from .forward import Forward
from .registry import Range, attribution
from .target import Target

SUNDARARAJAN = "Sundararajan, Taly & Yan 2017, arXiv 1703.01365"
SMILKOV = "Smilkov et al. 2017, arXiv 1706.03825"
FIRST = 8
"""Fewest nodes that a rule begins with: fewer meet the tolerance by luck."""

NodeRule = Literal["midpoint", "gauss"]
Steps = Annotated[int, Range(1, 1000)]
Seed = Annotated[int, Range(0, 2**32 - 1)]


@dataclass(frozen=True, eq=False)
class Integral:
    """Integrated gradients, and how exact they are.

    `values`: (N, 1, H, W). `error`: |sum_u M(u) - (f(x) - f(x0))| / |f(x) - f(x0)| of each film, (N,). `nodes`: how
    many gradients each film took, (N,).
    """

    values: Tensor
    error: Tensor
    nodes: Tensor


@attribution(
    "integrated_gradients",
    family="gradient",
    cost=66.0,
    signed=True,
    linear=True,
    single=False,
    paper=SUNDARARAJAN,
)
def integrated_gradients(
    forward: Forward,
    target: Target,
    *,
    baseline: Fill = "zeros",
    rule: NodeRule = "midpoint",
    steps: Steps = 48,
    tolerance: Annotated[float, Range(0, 1)] = 0.01,
) -> Tensor:
    """M(u) = sum_c (x_c - x0_c)(u) int_0^1 df/dx_c(u) at x0 + t (x - x0) dt, x0 the `baseline`.

    sum_u M(u) = f(x) - f(x0), but for the integral's error. At most `steps` gradients, by midpoints or Gauss-Legendre
    nodes. With midpoints, a third of them is tried first, where it is whole and at least 8, and a third of that before;
    it ends once the relative error of the sum is at most `tolerance`. Gradients are reused, and `integrate` gives the
    error. Gauss-Legendre takes all its nodes, as does tolerance 0; since gradients of ReLU networks jump along the
    path, it is rarely the more exact. Costs 1.4 forwards a step.
    """
    return integrate(forward, target, baseline=baseline, rule=rule, steps=steps, tolerance=tolerance).values


@attribution("smoothgrad", family="gradient", cost=36.0, signed=True, linear=True, single=False, paper=SMILKOV)
def smoothgrad(
    forward: Forward,
    target: Target,
    *,
    samples: Steps = 25,
    noise: Annotated[float, Range(0, 1)] = 0.15,
    seed: Seed = 0,
) -> Tensor:
    """M(u) = g_c(u) of the channel c with the largest |g_c(u)|, g = (1/n) sum_j df/dx at x + e_j, e_j ~ N(0, s^2).

    s = `noise` (max x - min x), film by film; all films get the same n = `samples` draws. Costs 1.4 forwards a sample.
    """

    def noisy(film: Tensor) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        s = noise * (film.max() - film.min())
        return (film + s * torch.randn(film.shape, generator=generator).to(film) for _ in range(samples))

    means = [_sum(gradients(forward, one, noisy(film)), film) / samples for film, one in films(forward, target)]
    g = torch.stack(means)
    return g.gather(1, g.abs().argmax(1, keepdim=True))


def integrate(
    forward: Forward,
    target: Target,
    *,
    baseline: Fill = "zeros",
    rule: NodeRule = "midpoint",
    steps: int = 48,
    tolerance: float = 0.01,
) -> Integral:
    """`integrated_gradients` with the completeness error it reached, film by film."""
    start = filled(forward.x, baseline)
    rises = target.scores(forward.outputs()) - target.scores(Forward(forward.module, start).outputs())
    levels = list(_levels(rule, steps, tolerance))
    parts = [
        _along(forward, one, film, x0, rise, levels, tolerance)
        for (film, one), x0, rise in zip(films(forward, target), start, rises.tolist(), strict=True)
    ]
    values, errors, nodes = zip(*parts, strict=True)
    return Integral(torch.stack(values), forward.x.new_tensor(errors), torch.tensor(nodes, device=forward.x.device))


@dataclass(frozen=True)
class _Level:
    """Nodes t in [0, 1] that are new, their weights, and the factor on the sum of all so far that gives the mean."""

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    factor: float


def _levels(rule: NodeRule, steps: int, tolerance: float) -> Iterator[_Level]:
    """Ever finer rules, each with the nodes of the one before: of three midpoints, the middle one is a midpoint too."""
    if rule == "gauss":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        yield _Level(tuple((nodes + 1) / 2), tuple(weights), 0.5)
        return
    counts = [steps]
    while tolerance > 0 and counts[0] % 3 == 0 and counts[0] // 3 >= FIRST:
        counts.insert(0, counts[0] // 3)
    for level, n in enumerate(counts):
        new = [i for i in range(n) if level == 0 or i % 3 != 1]
        yield _Level(tuple((i + 0.5) / n for i in new), (1.0,) * len(new), 1 / n)


def _along(
    forward: Forward, target: Target, film: Tensor, start: Tensor, rise: float, levels: list[_Level], tolerance: float
) -> tuple[Tensor, float, int]:
    """The map (1, H, W) of one film, its relative error and the gradients it took; `rise` is f(x) - f(x0)."""
    way = film - start
    total, taken, error = torch.zeros_like(film), 0, float("inf")
    values = torch.zeros_like(film[:1])
    for level in levels:
        points = (start + t * way for t in level.nodes)
        for weight, gradient in zip(level.weights, gradients(forward, target, points), strict=True):
            total += weight * gradient
        taken += len(level.nodes)
        values = level.factor * (way * total).sum(0, keepdim=True)
        error = _relative(float(values.double().sum()), rise)
        if error <= tolerance:
            break
    return values, error, taken


def _relative(total: float, rise: float) -> float:
    """|total - rise| / |rise|; 0 where both are 0."""
    gap = abs(total - rise)
    return gap / abs(rise) if rise else (0.0 if gap == 0 else float("inf"))


def _sum(terms: Iterator[Tensor], like: Tensor) -> Tensor:
    total = torch.zeros_like(like)
    for term in terms:
        total += term
    return total
