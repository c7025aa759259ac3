"""Which findings are listed, which are folded, and what is said of each; the geometry is `report.charts`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..explanation import Prediction
from ..report.charts import FindingBar, finding_bars
from ..report.words import auroc, plain, readable, signed, verdict, why_not_assessed

LISTED = 5
"""Findings listed at least, where the model has as many; flagged and unsure ones are always listed."""
_RANK = {"above": 0, "not sure": 1}


@dataclass(frozen=True)
class FindingRow:
    """One line of the findings chart.

    `state` is `words.verdict`; `value` is logit minus operating point with its sign, "not sure", or the bare logit
    where there is no point; `note` stands under the label; `detail` is shown on hover and in the table; `bar` is None
    without an operating point.
    """

    finding: str
    label: str
    state: str
    value: str
    note: str
    detail: tuple[str, ...]
    bar: FindingBar | None


@dataclass(frozen=True)
class Listed:
    """Findings as the panel shows them: listed, folded below their operating points, folded as not assessed."""

    listed: tuple[FindingRow, ...]
    below: tuple[FindingRow, ...]
    unassessed: tuple[FindingRow, ...]


def arrange(predictions: Sequence[Prediction], selected: str) -> Listed:
    """Flagged findings first, then unsure ones, then the best of the rest up to `LISTED`; the selected one always."""
    bars = {bar.finding: bar for bar in finding_bars(predictions)}
    ranked = sorted(predictions, key=_rank)
    rows = [_row(prediction, bars.get(prediction.finding)) for prediction in ranked]
    assessed = [row for row in rows if row.state != "not reliably assessed"]
    head = max(LISTED, sum(row.state in _RANK for row in assessed))
    listed = [*assessed[:head], *(row for row in rows if row.finding == selected and row not in assessed[:head])]
    return Listed(
        listed=tuple(listed),
        below=tuple(row for row in assessed if row not in listed),
        unassessed=tuple(row for row in rows if row not in assessed and row not in listed),
    )


def _rank(prediction: Prediction) -> tuple[int, float]:
    return _RANK.get(verdict(prediction), 2), -(_margin(prediction) or 0.0)


def _margin(prediction: Prediction) -> float | None:
    point = prediction.operating_point
    return None if point is None else prediction.logit - point.threshold


def _row(prediction: Prediction, bar: FindingBar | None) -> FindingRow:
    state, margin = verdict(prediction), _margin(prediction)
    value = "not sure" if state == "not sure" else plain(prediction.logit) if margin is None else signed(margin)
    note = "not measured here" if prediction.metrics.auroc is None else ""
    if not prediction.assessed:
        note = "not reliably assessed"
    return FindingRow(
        prediction.finding, readable(prediction.finding), state, value, note, tuple(_detail(prediction)), bar
    )


def _detail(prediction: Prediction) -> list[str]:
    point, calibration, metrics = prediction.operating_point, prediction.calibration, prediction.metrics
    lines = [f"Logit {plain(prediction.logit)}"]
    if point is not None:
        chosen = f", chosen on {point.chosen_on}" if point.chosen_on else ""
        lines.append(f"Operating point {plain(point.threshold)}{chosen}")
        if point.sensitivity is not None and point.specificity is not None:
            lines.append(f"There: sensitivity {point.sensitivity:.0%}, specificity {point.specificity:.0%}")
    if prediction.probability is not None and calibration is not None:
        lines.append(
            f"Calibrated {prediction.probability:.1%} on {calibration.fitted_on} "
            f"(prevalence {calibration.prevalence:.1%}, calibration error {calibration.ece:.3f})"
        )
    lines.append(f"AUROC {auroc(prediction)}" + (f", {metrics.measured_on}" if metrics.measured_on else ""))
    if metrics.source:
        lines.append(f"Source: {metrics.source}")
    if not prediction.assessed:
        lines.append(f"Not reliably assessed: {why_not_assessed(prediction)}")
    return lines
