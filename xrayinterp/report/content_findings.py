"""What a printed report says of findings: their rows, their notes, an overview; and of severity by zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..anomaly.gate_record import WARNING
from ..explanation import Explanation, Prediction
from . import charts, words

_GLANCE = {
    "above": "Above their point",
    "not sure": "Not sure",
    "below": "Below their point",
    "no operating point": "No operating point",
    "not reliably assessed": "Not assessed",
}


def findings(explanation: Explanation) -> dict[str, Any]:
    """Rows of the findings table, those not reliably assessed apart, and notes on where the figures come from."""
    assessed = sorted((p for p in explanation.predictions if p.assessed), key=_lead, reverse=True)
    others = [p for p in explanation.predictions if not p.assessed]
    bars = {bar.finding: bar for bar in charts.finding_bars(assessed)}
    stopped = WARNING in explanation.warnings
    return {
        "rows": [
            _finding(p, bars.get(p.finding), chosen=p.finding == explanation.finding, stopped=stopped) for p in assessed
        ],
        "others": [
            [words.readable(p.finding), words.signed(p.logit), words.why_not_assessed(p)] for p in others
        ],
        "notes": _finding_notes(explanation.predictions),
    }  # fmt: skip


def at_a_glance(predictions: Sequence[Prediction]) -> list[list[str]]:
    """Findings by result, one row a result that occurs: those farthest above their point first."""
    ranked = sorted(predictions, key=_lead, reverse=True)
    rows = []
    for result, label in _GLANCE.items():
        names = [words.readable(p.finding) for p in ranked if words.verdict(p) == result]
        if names:
            rows.append([label, ", ".join(names)])
    return rows


def _lead(prediction: Prediction) -> float:
    point = prediction.operating_point
    return prediction.logit - (point.threshold if point else 0.0)


def _finding(prediction: Prediction, bar: charts.FindingBar | None, *, chosen: bool, stopped: bool) -> dict[str, Any]:
    """A row; of a film that the input gate stopped no probability is given."""
    point, calibration = prediction.operating_point, prediction.calibration
    known = prediction.probability is not None and calibration is not None and not stopped
    return {
        "name": words.readable(prediction.finding),
        "chosen": chosen,
        "bar": bar and {"value": float(np.clip(bar.value, 0, 1)), "band": bar.band},
        "logit": words.signed(prediction.logit),
        "point": words.signed(point.threshold) if point else "none",
        "verdict": words.verdict(prediction),
        "probability": f"{prediction.probability:.2f}" if known else "none",
        "prevalence": words.percent(calibration.prevalence, 1) if calibration else "none",
        "auroc": words.auroc(prediction),
    }


def _finding_notes(predictions: Sequence[Prediction]) -> list[str]:
    points = sorted({p.operating_point.chosen_on for p in predictions if p.operating_point} - {""})
    sets = sorted({p.calibration.fitted_on for p in predictions if p.calibration})
    errors = [p.calibration.ece for p in predictions if p.calibration]
    tests = sorted({p.metrics.measured_on for p in predictions if p.metrics.auroc} - {""})
    notes = ["A logit is the model's raw score: only its distance from the operating point says anything."]
    if points:
        notes.append(f"Operating points and the not-sure band were chosen on: {'; '.join(points)}.")
    if sets:
        notes.append(
            f"Probabilities are calibrated on: {'; '.join(sets)} (calibration error up to {max(errors):.3f}). "
            "They hold only where the finding is as frequent as there, which is the share in the column beside."
        )
    else:
        notes.append("This model has no calibration: no probability is given.")
    if tests:
        notes.append(f"AUROC with 95 % interval over patients, measured on: {'; '.join(tests)}.")
    return notes


def severity(explanation: Explanation) -> dict[str, Any] | None:
    """Zone scores, their sum and its interval; None for a model of findings."""
    scored = explanation.severity
    if scored is None:
        return None
    interval = scored.interval
    return {
        "zones": [
            {"name": zone, "score": words.plain(score, 1), "share": float(np.clip(score / 3, 0, 1))}
            for zone, score in scored.zones.items()
        ],
        "total": words.plain(scored.total, 1),
        "interval": f"{words.plain(interval[0], 1)} to {words.plain(interval[1], 1)}" if interval else None,
    }
