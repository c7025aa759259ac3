"""What the runs minimise: closed formulas over outputs and targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .labels import positive_weights
from .plan import Loss

LEVELS = 4
"""Scores 0 to 3 of a zone."""
SHARE = 0.7
"""Share of the cross-entropy in the six-zone loss; the rest is the mean absolute error."""

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Severity:
    """How a network of severity is trained and read.

    `targets` (N, T) for the loss, `outputs` of the network, `criterion`, and `read`: outputs (N, O) to scores (N,).
    """

    targets: Tensor
    outputs: int
    criterion: Criterion
    read: Callable[[Tensor], Tensor]


def finding_loss(loss: Loss, targets: Tensor) -> Criterion:
    """Cross-entropy of logits, or that with positives weighted by (N - P) / P over the training targets."""
    weights = positive_weights(targets) if loss == "weighted" else None

    def criterion(outputs: Tensor, wanted: Tensor) -> Tensor:
        factors = None if weights is None else weights.to(outputs.device)
        return F.binary_cross_entropy_with_logits(outputs, wanted, pos_weight=factors)

    return criterion


def severity_loss(loss: Loss, zones: Tensor) -> Severity:
    """How severity is learned from the raters' zone scores (N, R, 6), each 0 to 3.

    "plain": the global score, mean of the raters, standardised; squared error. "mean-as-deviation": the same, divided
    by the mean where the standard deviation belongs. "zones": four classes a zone, SHARE * cross-entropy plus
    (1 - SHARE) * absolute error of the expected score. "zones-argmax": that error taken of the likeliest score, which
    has no gradient.
    """
    scores = zones.mean(1)
    total = scores.sum(1)
    if loss in ("zones", "zones-argmax"):
        classes = F.one_hot(zones.long(), LEVELS).float().mean(1)
        return Severity(classes.flatten(1), 6 * LEVELS, _zone_criterion(loss == "zones"), _expected_total)
    mean = total.mean()
    unit = (mean if loss == "mean-as-deviation" else total.std()).clamp(min=1e-3)
    standardised = ((total - mean) / unit)[:, None]
    return Severity(standardised, 1, F.mse_loss, lambda out: out[:, 0] * unit + mean)


def expected_scores(outputs: Tensor) -> Tensor:
    """Zone outputs (N, 24) as expected scores (N, 6)."""
    levels = torch.arange(LEVELS, dtype=outputs.dtype)
    return (outputs.view(-1, 6, LEVELS).softmax(2) * levels.to(outputs.device)).sum(2)


def _expected_total(outputs: Tensor) -> Tensor:
    return expected_scores(outputs).sum(1)


def _zone_criterion(differentiable: bool) -> Criterion:
    def criterion(outputs: Tensor, wanted: Tensor) -> Tensor:
        logits, classes = outputs.view(-1, LEVELS), wanted.view(-1, LEVELS)
        entropy = F.cross_entropy(logits, classes)
        levels = torch.arange(LEVELS, dtype=outputs.dtype, device=outputs.device)
        wanted_scores = classes @ levels
        scores = expected_scores(outputs).flatten() if differentiable else logits.argmax(1).to(outputs.dtype)
        return SHARE * entropy + (1 - SHARE) * (scores - wanted_scores).abs().mean()

    return criterion
