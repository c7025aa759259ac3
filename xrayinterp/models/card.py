"""What a model says of itself, free of torch: thresholds, calibration, measured figures, layers, card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ZONES = ("A", "B", "C", "D", "E", "F")
"""Outputs of a severity model: A to C lie at image left, top to bottom; D to F at image right (Borghesi 2020)."""
GLOBAL = "global"
"""The output of a severity model that is the sum of its zones."""


def readable(name: str) -> str:
    """A finding or concept as words: "Pleural_Thickening" becomes "Pleural thickening", "global" "Global severity"."""
    if name == GLOBAL:
        return "Global severity"
    if len(name) == 1:
        return f"Zone {name}"
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:].lower()


_FIGURES: Mapping[str, tuple[str, int]] = {
    "mean_auroc": ("Mean AUROC", 3),
    "mean_view_sex_age": ("The same from view, sex and age alone, without the picture", 3),
    "global_mae": ("Mean absolute error of the global score (0 to 18)", 2),
    "mean_predictor_mae": ("The same, always predicting the training films' mean", 2),
    "raters_apart": ("Mean distance between the two raters", 2),
    "zone_mae": ("Mean absolute error of a zone (0 to 3)", 2),
    "correlation": ("Correlation with the raters' mean", 2),
    "global_interval_half_width": ("95 % of errors of the global score are below", 1),
}
"""What keys of `Card.measured` are called, and to how many decimals they are told."""


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

    @property
    def figures(self) -> tuple[tuple[str, str], ...]:
        """What was measured of the model as a whole, in words, with 95 % intervals where there are some."""
        told = ((words, _told(self.measured.get(key), digits)) for key, (words, digits) in _FIGURES.items())
        return tuple((words, text) for words, text in told if text is not None)


def _told(figure: Any, digits: int) -> str | None:
    """A figure, or [figure, low, high], as text; None for anything else."""
    values = list(figure) if isinstance(figure, list | tuple) else [figure]
    if len(values) not in (1, 3) or not all(isinstance(value, int | float) for value in values):
        return None
    value, *interval = (f"{value:.{digits}f}" for value in values)
    return f"{value} ({interval[0]} to {interval[1]})" if interval else value
