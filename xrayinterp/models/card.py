"""What a model says of itself, free of torch: thresholds, calibration, measured figures, layers, card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Interval:
    """A measured figure with its 95 % interval over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OperatingPoint:
    """Decision thresholds of one finding, in logits.

    `threshold` flags the finding; between `sensitive` (90 % sensitivity) and `specific` (90 % specificity) the answer
    is "not sure"; all three were chosen on the films `chosen_on`. `sensitivity` and `specificity` are those at
    `threshold` on the films `measured_on`; None where not published.
    """

    threshold: float
    sensitive: float | None = None
    specific: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    chosen_on: str = ""
    measured_on: str = ""


@dataclass(frozen=True)
class Calibration:
    """How a logit becomes a probability: sigmoid(slope * logit + intercept), fitted on `fitted_on`.

    `prevalence` is that set's share of positive films, `ece` the expected calibration error left on it.
    """

    slope: float
    intercept: float
    prevalence: float
    ece: float
    fitted_on: str


@dataclass(frozen=True)
class FindingMetrics:
    """What was measured of one finding; `auroc` is None where nothing was.

    `patients` counts positive patients in val and test together; `assessed` is False where the AUROC's lower bound is
    under .60 or fewer than 15 positive patients stand behind it: such a finding is explained but never flagged.
    """

    auroc: Interval | None = None
    patients: int | None = None
    measured_on: str = ""
    source: str = ""
    assessed: bool = True


@dataclass(frozen=True)
class Layer:
    """A named dissection layer: module path of its map, side of the square grid at the input size, number of units."""

    path: str
    grid: int
    units: int


@dataclass(frozen=True)
class Card:
    """What a reader must know of a model before trusting it.

    `research_only` marks weights that saw non-commercial or unstated data. `measured` holds any further figures.
    """

    title: str
    summary: str
    data: str
    licence: str
    limits: tuple[str, ...]
    sha256: str | None
    research_only: bool = False
    tested_on: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)
