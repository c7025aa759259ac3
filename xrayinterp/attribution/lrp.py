"""Layer-wise relevance propagation: the logit itself, shared out operator by operator until it lies on the film.

R_j arrives at unit j of an operator z_j = sum_i x_i w_ij + b_j; R_i is what its input i receives. Everything starts
with R = f at the target's logit alone. ReLUs pass all of it, max pooling gives it to the largest value, averages and
sums share it in proportion. `norm` says what becomes of biases in batch normalisation; `first` replaces the rule of the
operator that reads the film. What biases take is to be had of `Forward.relevance().propagate(..., account=True)`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from ..operators.relevance_rules import (
    Z_PLUS,
    AlphaBeta,
    Bounded,
    Composite,
    Epsilon,
    Flat,
    Norm,
    Rule,
    SameSign,
    SquaredWeights,
)
from .forward import Forward
from .registry import Range, attribution
from .target import Target

BACH = "Bach et al. 2015, PLoS ONE 10(7) e0130140"
MONTAVON = "Montavon et al. 2017, arXiv 1512.02479"
First = Literal["same", "bounded", "squared", "flat"]
FIRST: dict[First, Rule | None] = {
    "same": None,
    "bounded": Bounded(),
    "squared": SquaredWeights(),
    "flat": Flat(),
}
"""Rules for the operator that reads the film: as others of its kind, z^B within the film's own range, w^2, even."""


@attribution("lrp_epsilon", family="lrp", cost=3.1, signed=True, linear=True, paper=BACH)
def lrp_epsilon(
    forward: Forward,
    target: Target,
    *,
    epsilon: Annotated[float, Range(0, 1)] = 1e-6,
    norm: Norm = "absorb",
    first: First = "same",
) -> Tensor:
    """M(u) = sum_c R_c(u), R_i = sum_j x_i w_ij R_j / (z_j + epsilon sign z_j): signed, and as noisy as the gradient.

    As epsilon vanishes it is input x gradient, and biases take the rest of the logit.
    """
    rule = Epsilon(epsilon)
    return _map(forward, target, Composite(rule, rule, FIRST[first], norm))


@attribution("lrp_zplus", family="lrp", cost=3.3, signed=True, paper=MONTAVON)
def lrp_zplus(forward: Forward, target: Target, *, norm: Norm = "pass", first: First = "same") -> Tensor:
    """M(u) = sum_c R_c(u), R_i = sum_j (x_i w_ij)+ R_j / z+_j: positive shares only, so all of M has the logit's sign.

    The sum of positive parts costs one more forward than a gradient.
    """
    return _map(forward, target, Composite(Z_PLUS, Z_PLUS, FIRST[first], norm, SameSign()))


@attribution("lrp_alpha2beta1", family="lrp", cost=6.2, signed=True, paper=BACH)
def lrp_alpha2beta1(forward: Forward, target: Target, *, norm: Norm = "pass", first: First = "same") -> Tensor:
    """M(u) = sum_c R_c(u), R_i = sum_j (2 (x_i w_ij)+ / z+_j - (x_i w_ij)- / z-_j) R_j: what inhibits counts against.

    Two sums of parts and two backwards: twice the cost of `lrp_zplus` above the forward.
    """
    rule = AlphaBeta(2.0, 1.0)
    return _map(forward, target, Composite(rule, rule, FIRST[first], norm, SameSign()))


@attribution(
    "lrp_epsilon_plus",
    family="lrp",
    cost=3.3,
    signed=True,
    linear=True,
    paper="Kohlbrenner et al. 2020, arXiv 1910.09840",
)
def lrp_epsilon_plus(
    forward: Forward,
    target: Target,
    *,
    epsilon: Annotated[float, Range(0, 1)] = 1e-6,
    norm: Norm = "pass",
    first: First = "same",
) -> Tensor:
    """M(u) = sum_c R_c(u): the epsilon rule on linear maps, z+ on convolutions.

    The sum of positive parts costs one more forward than a gradient.
    """
    return _map(forward, target, Composite(Epsilon(epsilon), Z_PLUS, FIRST[first], norm, SameSign()))


def _map(forward: Forward, target: Target, rules: Composite) -> Tensor:
    return forward.relevance().propagate(target.score, rules).input.sum(1, keepdim=True)
