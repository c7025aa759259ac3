"""What a trained model is worth: AUROC over patients, calibration, thresholds, and what could explain it away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from ..models.chest_model import Calibration, FindingMetrics, Interval, OperatingPoint

Floats = npt.NDArray[np.floating]

MIN_PATIENTS = 15
MIN_AUROC = 0.60
"""Below either, a finding is listed as not reliably assessed and never flagged."""


@dataclass(frozen=True)
class Scored:
    """Labels (N,) of 0 and 1, scores (N,) and patients (N,) of one finding on one set of films."""

    labels: Floats
    scores: Floats
    patients: Sequence[str]

    def positive_patients(self) -> set[str]:
        """Patients with at least one positive film."""
        return {p for p, y in zip(self.patients, self.labels, strict=True) if y > 0.5}

    def only(self, keep: npt.NDArray[np.bool_]) -> Scored:
        """The films where `keep` is True."""
        patients = [p for p, k in zip(self.patients, keep, strict=True) if k]
        return Scored(self.labels[keep], self.scores[keep], patients)


def auroc(labels: Floats, scores: Floats, weights: Floats | None = None) -> npt.NDArray[np.float64]:
    """Weighted area under the ROC curve, ties counted half.

    Args:
        weights: (B, N) film weights, one row a resample; None is one row of ones.

    Returns:
        (B,) areas; NaN where a resample holds one class only.
    """
    rows = np.ones((1, len(labels))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    rows, positive, ranked = rows[:, order], labels[order] > 0.5, scores[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    up = np.cumsum(rows * positive, 1)[:, ends]
    down = np.cumsum(rows * ~positive, 1)[:, ends]
    below = np.c_[np.zeros(len(rows)), down[:, :-1]]
    won = (np.diff(np.c_[np.zeros(len(rows)), up], axis=1) * (below + down) / 2).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(won / (up[:, -1] * down[:, -1]))


def patient_weights(patients: Sequence[str], resamples: int, seed: int) -> npt.NDArray[np.float64]:
    """Bootstrap weights (B, N): patients drawn with replacement, all films of a patient together."""
    names, index = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, index].astype(np.float64)


def auroc_interval(data: Scored, *, resamples: int = 1000, seed: int = 0) -> Interval | None:
    """AUROC with a 95 % percentile interval over patients; None where one class is missing."""
    value = float(auroc(data.labels, data.scores)[0])
    if not np.isfinite(value):
        return None
    draws = auroc(data.labels, data.scores, patient_weights(data.patients, resamples, seed))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def mean_auroc_interval(findings: Sequence[Scored], *, resamples: int = 1000, seed: int = 0) -> Interval:
    """Mean AUROC over findings on the same films, with a 95 % interval over patients."""
    weights = patient_weights(findings[0].patients, resamples, seed)
    draws = np.nanmean([auroc(f.labels, f.scores, weights) for f in findings], axis=0)
    value = float(np.nanmean([auroc(f.labels, f.scores)[0] for f in findings]))
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def calibrate(val: Scored, described: str) -> Calibration:
    """Platt scaling fitted on val by maximum likelihood; the error left on it in ten equally filled bins."""

    def loss(ab: Floats) -> float:
        z = ab[0] * val.scores + ab[1]
        return float(np.mean(np.logaddexp(0, z) - val.labels * z))

    prevalence = float(val.labels.mean())
    fitted = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead")
    slope, intercept = (float(v) for v in fitted.x)
    probabilities = 1 / (1 + np.exp(-(slope * val.scores + intercept)))
    return Calibration(slope, intercept, prevalence, expected_calibration_error(val.labels, probabilities), described)


def expected_calibration_error(labels: Floats, probabilities: Floats, bins: int = 10) -> float:
    """Mean |observed - predicted| over `bins` bins of equally many films, weighted by their size."""
    order = np.argsort(probabilities)
    parts = [p for p in np.array_split(order, bins) if len(p)]
    return float(sum(len(p) * abs(labels[p].mean() - probabilities[p].mean()) for p in parts) / len(order))


def operating_point(val: Scored, test: Scored, chosen_on: str, measured_on: str) -> OperatingPoint:
    """Thresholds chosen on val, sensitivity and specificity at the point measured on test.

    The point maximises sensitivity + specificity - 1 (Youden 1950).
    """
    false, true, cuts = roc_curve(val.labels, val.scores)
    finite = np.isfinite(cuts)
    false, true, cuts = false[finite], true[finite], cuts[finite]
    threshold = float(cuts[np.argmax(true - false)])
    sensitive = float(cuts[np.argmax(true >= 0.9)])
    specific = float(cuts[np.flatnonzero(false <= 0.1)[-1]])
    flagged, sick = test.scores >= threshold, test.labels > 0.5
    return OperatingPoint(
        threshold=threshold,
        sensitive=min(sensitive, specific),
        specific=max(sensitive, specific),
        sensitivity=float(flagged[sick].mean()),
        specificity=float((~flagged[~sick]).mean()),
        chosen_on=chosen_on,
        measured_on=measured_on,
    )


def finding_metrics(val: Scored, test: Scored, measured_on: str) -> FindingMetrics:
    """AUROC on test and whether it bears a flag."""
    area = auroc_interval(test)
    patients = len(val.positive_patients() | test.positive_patients())
    assessed = area is not None and area.low >= MIN_AUROC and patients >= MIN_PATIENTS
    return FindingMetrics(area, patients, measured_on, "measured by xrayinterp", assessed)


def covariate_scores(train: Floats, labels: npt.NDArray[np.float32], test: Floats) -> npt.NDArray[np.float64]:
    """Scores (N, F) on test of logistic regressions on view, sex and age alone, fitted on train.

    What these reach, a model reaches without looking at the lungs.
    """
    columns = [LogisticRegression(max_iter=1000).fit(train, labels[:, j]) for j in range(labels.shape[1])]
    return np.stack([c.decision_function(test) for c in columns], 1)
