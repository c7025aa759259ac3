"""Rules of layer-wise relevance propagation as data: which rule an operator follows, not how it is computed.

z_j = sum_i x_i w_ij + b_j is an operator's output. Every rule shares R_j out in proportion to parts of that sum. Biases
take their part with them, as part of the sum they stand in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

STABILISER = 1e-6
"""Added to every denominator, away from zero."""


@dataclass(frozen=True)
class Epsilon:
    """R_i = sum_j x_i w_ij R_j / (z_j + epsilon sign z_j); epsilon 0 is LRP-0, which passes nothing where z_j = 0."""

    epsilon: float = STABILISER


@dataclass(frozen=True)
class AlphaBeta:
    """R_i = sum_j (alpha z+_ij / z+_j - beta z-_ij / z-_j) R_j, with z_ij = x_i w_ij above (+) or below (-) 0.

    alpha - beta = 1 conserves. alpha 1, beta 0 is z+.
    """

    alpha: float
    beta: float
    epsilon: float = STABILISER


@dataclass(frozen=True)
class Bounded:
    """The z^B rule for inputs within [low, high]: shares of x_i w_ij - low w+_ij - high w-_ij.

    None: the least and greatest value of each film.
    """

    low: float | None = None
    high: float | None = None
    epsilon: float = STABILISER


@dataclass(frozen=True)
class SquaredWeights:
    """R_i = sum_j w_ij^2 / (sum_i' w_i'j^2) R_j: whatever the input's values."""

    epsilon: float = STABILISER


@dataclass(frozen=True)
class Flat:
    """R_i = sum_j R_j / n_j: evenly over the n_j inputs that j sees."""

    epsilon: float = STABILISER


@dataclass(frozen=True)
class SameSign:
    """For sums of maps: shared by size among the inputs that have the sum's own sign.

    No share is negative or above 1, however near zero a sum of opposites is, and nothing is lost.
    """

    epsilon: float = 0.0


Rule = Epsilon | AlphaBeta | Bounded | SquaredWeights | Flat
Norm = Literal["pass", "absorb"]


@dataclass(frozen=True)
class Composite:
    """Which rule each kind of operator follows.

    Args:
        dense: linear maps.
        convolution: convolutions.
        first: the operators that read the input itself; None: as others of their kind.
        norm: batch normalisation in eval mode, y = x gamma / s + b. "pass" gives R on unchanged, so that nothing is
            lost, and equals the merged convolution without its bias; "absorb" gives x the share (y - b) / y and the
            bias the rest, as the epsilon rule does. Constants that the network adds follow it as well.
        sums: averages and sums of maps, and batch normalisation that absorbs, which always follows an epsilon rule.
    """

    dense: Rule
    convolution: Rule
    first: Rule | None = None
    norm: Norm = "pass"
    sums: Epsilon | SameSign = Epsilon(0.0)


Z_PLUS = AlphaBeta(1.0, 0.0)
