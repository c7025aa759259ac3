"""Methods that pass something else than the gradient back through each ReLU.

a is a ReLU's output and R what arrives at it; its own rule says what leaves. They tell what the film looks like to the
network more than what speaks for the target: measured maps of different findings, or of random weights, are alike.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from ..operators import rules
from .forward import Forward
from .registry import Range, attribution
from .target import Target

KIM = "Kim et al. 2019, arXiv 1902.04893"
Quantile = Annotated[float, Range(0, 1)]


@attribution("deconvnet", family="propagation", cost=2.4, signed=True, paper="Zeiler & Fergus 2014, arXiv 1311.2901")
def deconvnet(forward: Forward, target: Target) -> Tensor:
    """M(u) = R_c(u) of the channel with the largest |R_c(u)|, every ReLU passing R [R > 0] back."""
    return _largest(forward.input_gradient(target, rules.deconvnet))


@attribution(
    "guided_backprop", family="propagation", cost=2.4, signed=True, paper="Springenberg et al. 2015, arXiv 1412.6806"
)
def guided_backprop(forward: Forward, target: Target) -> Tensor:
    """M(u) = R_c(u) of the channel with the largest |R_c(u)|, every ReLU passing R [R > 0] [a > 0] back."""
    return _largest(forward.input_gradient(target, rules.guided))


@attribution("rectgrad", family="propagation", cost=3.0, signed=True, paper=KIM)
def rectgrad(forward: Forward, target: Target, *, quantile: Quantile = 0.98) -> Tensor:
    """M(u) = sum_c x_c(u) R_c(u), every ReLU passing R [a > 0] [a R > tau] back, tau its own `quantile` of a R.

    tau is exact, one a ReLU and film; finding them is what it costs above the gradient. Quantile 0 is input x gradient.
    """
    return _product(forward, forward.input_gradient(target, rules.rectgrad(quantile)))


@attribution(
    "rectgrad_abs",
    family="propagation",
    cost=3.0,
    signed=True,
    linear=True,
    paper="Khakzar, Baselizadeh & Navab 2020, arXiv 2012.00362",
)
def rectgrad_abs(forward: Forward, target: Target, *, quantile: Quantile = 0.98) -> Tensor:
    """M(u) = sum_c x_c(u) R_c(u), every ReLU passing R [a > 0] [a |R| > tau] back: what speaks against passes too.

    tau is exact, one a ReLU and film; finding them is what it costs above the gradient. Quantile 0 is input x gradient.
    """
    return _product(forward, forward.input_gradient(target, rules.rectgrad_abs(quantile)))


@attribution("rectgrad_prr", family="propagation", cost=3.0, signed=True, paper=KIM)
def rectgrad_prr(forward: Forward, target: Target, *, quantile: Quantile = 0.98) -> Tensor:
    """M(u) = sum_c x_c(u) R_c(u) as `rectgrad`, every max pooling passing R z_i / sum z to each z_i of its window.

    The proportional redistribution rule: shared, not won. Without max pooling it is `rectgrad`; it costs the same.
    """
    tape = forward.tape()
    (R,) = tape.gradients(target.score, rule=rules.rectgrad(quantile), pool=rules.proportional)
    return _product(forward, R)


def _largest(R: Tensor) -> Tensor:
    high, low = R.amax(1, keepdim=True), R.amin(1, keepdim=True)
    return torch.where(high >= -low, high, low)


def _product(forward: Forward, R: Tensor) -> Tensor:
    return (forward.x * R).sum(1, keepdim=True)
