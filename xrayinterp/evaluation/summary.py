"""From rows to figures: each method's mean on each measure, over patients, against the centre of the film."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..models.card import Interval
from .journal import Row
from .lamps import LAMPS, LampWorth, Outcome, State
from .measures import METRICS, Metric
from .statistics import auroc_over_patients, holm, mean_interval, sign_flip_p

RIVAL = "centre"
"""The method that looks at no film: whoever is not better than it, shows where findings usually are."""


@dataclass(frozen=True)
class Summary:
    """One measure of one method over films.

    `mean` is None where no film was measurable. `measured` of `asked` film and finding pairs had a value, of `patients`
    patients. `reference`: mean of the lamp's reference. `state`: what the lamp shows at the mean. `p`: two-sided, of
    the paired difference from `RIVAL`, Holm-adjusted over the methods; None for `RIVAL` itself or where it was not run.
    """

    method: str
    metric: str
    mean: Interval | None
    asked: int
    measured: int
    patients: int
    reference: float | None
    state: State | None
    p: float | None


def summarise(rows: Sequence[Row], *, seed: int = 0) -> tuple[Summary, ...]:
    """One summary a measure and method, in the order of `METRICS` and of first appearance."""
    groups = _grouped(rows)
    methods = list(dict.fromkeys(row.method for row in rows))
    out: list[Summary] = []
    for metric in METRICS:
        present = [method for method in methods if (method, metric) in groups]
        rival = groups.get((RIVAL, metric))
        p = holm(np.array([_rival_p(groups[method, metric], rival, seed) for method in present]))
        for method, adjusted in zip(present, p, strict=True):
            summary = _summary(groups[method, metric], seed)
            out.append(replace(summary, p=float(adjusted) if np.isfinite(adjusted) else None))
    return tuple(out)


def by_finding(rows: Sequence[Row], metric: str, *, seed: int = 0) -> Mapping[tuple[str, str], Summary]:
    """Summaries of one measure by (finding, method), without comparison: findings have few films each."""
    chosen = [row for row in rows if row.metric == metric]
    findings = dict.fromkeys(row.finding for row in chosen)
    groups = {finding: _grouped([row for row in chosen if row.finding == finding]) for finding in findings}
    return {
        (finding, method): _summary(members, seed)
        for finding, by_method in groups.items()
        for (method, _), members in by_method.items()
    }


def lamp_worth(rows: Sequence[Row], method: str | None = None, *, seed: int = 0) -> tuple[LampWorth, ...]:
    """Each lamp as a judge of maps, where the page would show it: on each film's primary finding, if flagged.

    Outcomes: `pointing`, the map's peak hits the outline (films without one are left out); `correct`, readers outlined
    the flagged finding (films where nobody looked for it are left out). `method` None takes the maps of all methods.
    """
    shown = [row for row in rows if row.primary and row.flagged and method in (None, row.method)]
    outcomes: dict[Outcome, dict[tuple[str, str], bool]] = {
        "pointing": {_map_of(r): r.value >= 0.5 for r in shown if r.metric == "pointing" and r.value is not None},
        "correct": {_map_of(r): r.present for r in shown if r.present is not None},
    }
    lamps = [metric for metric in METRICS.values() if metric.lamp is not None]
    return tuple(
        _worth(metric, outcome, known, [row for row in shown if row.metric == metric.name], method, seed)
        for metric in lamps
        for outcome, known in outcomes.items()
    )


def _worth(
    metric: Metric,
    outcome: Outcome,
    known: Mapping[tuple[str, str], bool],
    rows: Sequence[Row],
    method: str | None,
    seed: int,
) -> LampWorth:
    sign = 1.0 if metric.direction == "higher" else -1.0
    pairs = [(row, sign * row.value) for row in rows if row.value is not None and _map_of(row) in known]
    good = np.array([float(known[_map_of(row)]) for row, _ in pairs])
    scores = np.array([value for _, value in pairs])
    area = auroc_over_patients(scores, good, [row.patient for row, _ in pairs], seed=seed)
    return LampWorth(metric.lamp or "", outcome, method, area, len(pairs), int(good.sum()))


def _map_of(row: Row) -> tuple[str, str]:
    return row.film, row.method


def _grouped(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.method, row.metric), []).append(row)
    return groups


def _summary(rows: Sequence[Row], seed: int) -> Summary:
    values, patients = _values(rows), [row.patient for row in rows]
    known = np.isfinite(values)
    mean = mean_interval(values, patients, seed=seed)
    references = [row.reference for row in rows if row.reference is not None]
    metric = METRICS[rows[0].metric]
    return Summary(
        method=rows[0].method,
        metric=metric.name,
        mean=mean,
        asked=len(rows),
        measured=int(known.sum()),
        patients=len({patient for patient, k in zip(patients, known, strict=True) if k}),
        reference=float(np.mean(references)) if references else None,
        state=LAMPS[metric.lamp].state(mean.value) if metric.lamp is not None and mean is not None else None,
        p=None,
    )


def _rival_p(rows: Sequence[Row], rival: Sequence[Row] | None, seed: int) -> float:
    """The p of the difference from the rival on the same films and findings; NaN where there is nothing to compare."""
    if rival is None or rows[0].method == RIVAL:
        return float("nan")
    theirs = {(row.film, row.finding): row.value for row in rival}
    pairs = [(row, theirs.get((row.film, row.finding))) for row in rows]
    known = [(row, value) for row, value in pairs if row.value is not None and value is not None]
    differences = np.array([(row.value or 0.0) - value for row, value in known])
    return sign_flip_p(differences, [row.patient for row, _ in known], seed=seed)


def _values(rows: Sequence[Row]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if row.value is None else row.value for row in rows])
