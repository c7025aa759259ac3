"""From logits to what a reader may be told: beside each number, what is known of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from .card import GLOBAL
from .chest_model import Calibration, ChestModel, FindingMetrics, OperatingPoint

ZONE_MAX = 3.0
"""Highest score of a zone."""


@dataclass(frozen=True)
class Prediction:
    """One output of the model on one film.

    `probability` is the calibrated one, None where the model has no calibration. `positive` is None where the finding
    is never flagged: no operating point, or not reliably assessed. `unsure` is True between the 90 % thresholds.
    """

    finding: str
    logit: float
    probability: float | None
    calibration: Calibration | None
    operating_point: OperatingPoint | None
    metrics: FindingMetrics
    positive: bool | None
    unsure: bool
    assessed: bool


@dataclass(frozen=True)
class Severity:
    """Zone scores A to F (0 to 3), their sum (0 to 18) clipped to range, and the 95 % interval of the sum."""

    zones: Mapping[str, float]
    total: float
    interval: tuple[float, float] | None


def predictions(model: ChestModel, logits: Tensor) -> tuple[Prediction, ...]:
    """Logits (1, F) of one film beside what is known of each output."""
    return tuple(
        _prediction(model, name, value) for name, value in zip(model.findings, logits[0].tolist(), strict=True)
    )


def default_finding(model: ChestModel, predicted: Sequence[Prediction]) -> str:
    """The finding to explain where none was named.

    It is the one with the largest logit minus operating point among the reliably assessed; without operating points,
    the largest logit; for a severity model, the global score.
    """
    if model.task == "severity" and GLOBAL in model.findings:
        return GLOBAL
    margins = {p.finding: p.logit - p.operating_point.threshold for p in predicted if p.assessed and p.operating_point}
    logits = {p.finding: p.logit for p in predicted if p.assessed} or {p.finding: p.logit for p in predicted}
    ranked = margins or logits
    return max(ranked, key=lambda finding: ranked[finding])


def severity(model: ChestModel, predicted: Sequence[Prediction]) -> Severity | None:
    """Zones clipped to the range of the score and their sum; the interval is the model's measured error around it."""
    if model.task != "severity":
        return None
    zones = {p.finding: min(max(p.logit, 0.0), ZONE_MAX) for p in predicted if p.finding != GLOBAL}
    total, most = sum(zones.values()), ZONE_MAX * len(zones)
    half = model.card.measured.get("global_interval_half_width")
    interval = None if half is None else (max(0.0, total - float(half)), min(most, total + float(half)))
    return Severity(zones, total, interval)


def _prediction(model: ChestModel, finding: str, logit: float) -> Prediction:
    metrics = model.metrics.get(finding, FindingMetrics())
    point = model.operating_points.get(finding)
    calibration = model.calibrations.get(finding)
    return Prediction(
        finding=finding,
        logit=logit,
        probability=None if calibration is None else _sigmoid(calibration.slope * logit + calibration.intercept),
        calibration=calibration,
        operating_point=point,
        metrics=metrics,
        positive=logit >= point.threshold if point is not None and metrics.assessed else None,
        unsure=point is not None and _between(point.sensitive, logit, point.specific),
        assessed=metrics.assessed,
    )


def _sigmoid(value: float) -> float:
    small = math.exp(-abs(value))
    return 1 / (1 + small) if value >= 0 else small / (1 + small)


def _between(low: float | None, value: float, high: float | None) -> bool:
    return low is not None and high is not None and low <= value < high
