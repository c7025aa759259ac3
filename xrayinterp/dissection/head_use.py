"""Head use: which units, and which concepts, a classifier's logits are made of, against those it merely contains.

A linear head over averaged maps gives logit_f = bias_f + sum_k C_fk with C_fk = w_fk mean_u R_k(u), R_k the rectified
map of unit k. What C_fk adds on films with finding f over films without any is its contrast: a unit may bear a
concept's label and have none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..models.card import Interval
from ..training.measure import patient_weights
from .cohort import Cohort
from .pooled import Floats, PooledUnits
from .unit_facts import ConceptUse

Concept = tuple[str, str]
"""A probe set and one of its concepts."""


@dataclass(frozen=True)
class UnitUse:
    """Every unit's part in every logit, (F, U) each, NaN for a finding without films.

    `mean` is C_fk averaged over all films; `contrast` its mean over films with the finding minus that over normal
    films; `low`, `high` its 95 % interval over patients.
    """

    mean: Floats
    contrast: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class HeadUse:
    """Head use of one model on one cohort; `concepts` runs over findings, then concepts."""

    findings: tuple[str, ...]
    units: UnitUse
    concepts: tuple[ConceptUse, ...]


def head_use(
    read: PooledUnits,
    cohort: Cohort,
    concepts: Mapping[Concept, Sequence[int]],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> HeadUse:
    """Split logits over units and concepts, exactly, and contrast films with a finding against normal ones.

    Args:
        read: the films' pooled units, in the cohort's order.
        cohort: what films show.
        concepts: the units that bear each label; they may overlap.
        resamples: resamplings of patients behind the intervals.
        seed: of the resampling.
    """
    times = patient_weights(cohort.patients, resamples, seed)
    normal = _Means.of(read.values, times, cohort.normal)
    members = [np.asarray(units, dtype=np.int64) for units in concepts.values()]
    parts = [_of_finding(read, cohort, f, times, normal, members) for f in range(len(read.findings))]
    shown = [_counted(cohort, f) for f in range(len(read.findings))]
    rows = [
        ConceptUse(finding, probe, concept, len(units), mean, contrast, share, *shown[f])
        for f, finding in enumerate(read.findings)
        for (probe, concept), units, (mean, contrast, share) in zip(concepts, members, parts[f][1], strict=True)
    ]
    means, contrasts, lows, highs = (np.stack(columns) for columns in zip(*(part[0] for part in parts), strict=True))
    return HeadUse(read.findings, UnitUse(means, contrasts, lows, highs), tuple(rows))


@dataclass(frozen=True)
class _Means:
    """Mean pooled values over some films, (U,), and over the same films of every resample, (B, U); NaN without any."""

    observed: Floats
    drawn: Floats

    @classmethod
    def of(cls, values: Floats, times: Floats, films: npt.NDArray[np.bool_]) -> _Means:
        weights = np.concatenate([np.ones((1, int(films.sum()))), times[:, films]])
        with np.errstate(invalid="ignore"):
            both = weights @ values[films] / weights.sum(1, keepdims=True)
        return cls(both[0], both[1:])


def _of_finding(
    read: PooledUnits,
    cohort: Cohort,
    finding: int,
    times: Floats,
    normal: _Means,
    members: Sequence[npt.NDArray[np.int64]],
) -> tuple[tuple[Floats, Floats, Floats, Floats], list[tuple[float, Interval | None, float | None]]]:
    """One logit: (mean, contrast, low, high) of units, and (mean, contrast, share) of concepts."""
    w = read.weights[finding]
    shown = _Means.of(read.values, times, cohort.shows[:, finding])
    contrast, drawn = (w * (one - other) for one, other in zip(_pair(shown), _pair(normal), strict=True))
    mean = w * read.values.mean(0)
    low, high = interval(drawn)
    total = float(np.abs(contrast).sum())
    rows: list[tuple[float, Interval | None, float | None]] = []
    for units in members:
        value = float(contrast[units].sum())
        if not np.isfinite(value):
            rows.append((float(mean[units].sum()), None, None))
            continue
        bounds = interval(drawn[:, units].sum(1))
        share = float(np.abs(contrast[units]).sum()) / total if total > 0 else 0.0
        rows.append((float(mean[units].sum()), Interval(value, float(bounds[0]), float(bounds[1])), share))
    return (mean, contrast, low, high), rows


def interval(drawn: Floats) -> tuple[Floats, Floats]:
    """95 % percentile interval over the first axis, resamples without a value left out; NaN where none has one."""
    known = ~np.isnan(drawn.reshape(len(drawn), -1)).any(1)
    if not known.any():
        nothing = np.full(drawn.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.percentile(drawn[known], (2.5, 97.5), axis=0)
    return np.asarray(low), np.asarray(high)


def _pair(means: _Means) -> tuple[Floats, Floats]:
    return means.observed, means.drawn


def _counted(cohort: Cohort, finding: int) -> tuple[int, int]:
    """Films and patients that show a finding."""
    rows = np.flatnonzero(cohort.shows[:, finding])
    return len(rows), len({cohort.patients[row] for row in rows})
