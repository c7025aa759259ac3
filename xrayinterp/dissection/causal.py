"""Does a concept's label name a cause? Its units are taken out, and so are equally many others that give as much.

Labels come from one half of the patients, the effect is measured on the other, both ways, and the two are averaged.
The comparison asks more than whether the units matter: whether they matter more to a finding than any units of the
same contribution would, since those of one concept pull together and random ones partly cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..models.card import Interval
from ..training.measure import auroc, patient_weights
from .ablation import Ablation, Units
from .cohort import Cohort
from .head_use import interval
from .matched import matched_units
from .pooled import Floats
from .unit_facts import CausalEffect, Effect

Tick = Callable[[], None]


@dataclass(frozen=True)
class ConceptUnits:
    """Units labelled with a concept of a probe set: those chosen on patients of half 0, and on half 1."""

    probe: str
    concept: str
    chosen_on: tuple[tuple[int, ...], tuple[int, ...]]

    def for_half(self, half: int) -> npt.NDArray[np.int64]:
        """The units to take out where films of `half` are measured: those the other half chose."""
        return np.asarray(self.chosen_on[1 - half], dtype=np.int64)


def causal_effects(
    ablation: Ablation,
    cohort: Cohort,
    concepts: Sequence[ConceptUnits],
    findings: Sequence[str],
    *,
    only: Sequence[str] | None = None,
    draws: int = 500,
    resamples: int = 1000,
    seed: int = 0,
    tick: Tick = lambda: None,
) -> tuple[CausalEffect, ...]:
    """Effects of every concept on every finding.

    Args:
        ablation: the network on the cohort's films, in its order.
        cohort: what films show, and which half of the patients each belongs to.
        concepts: labels, chosen on each half.
        findings: names of the outputs.
        only: findings to measure; None takes all.
        draws: sets of random units; 0 leaves the comparison out.
        resamples: resamplings of patients behind the intervals.
        seed: of draws and resampling.
        tick: called once a concept and finding.
    """
    wanted = [f for f, name in enumerate(findings) if only is None or name in only]
    weights = [patient_weights(_names(cohort, half), resamples, seed + half) for half in (0, 1)]
    out = []
    for finding in wanted:
        strengths = [ablation.strength(finding, cohort.films_of(half)) for half in (0, 1)]
        for concept in concepts:
            parts = [
                _half(ablation, cohort, concept.for_half(half), finding, half, strengths, weights[half], draws, seed)
                for half in (0, 1)
            ]
            out.append(_joined(findings[finding], concept, parts))
            tick()
    return tuple(out)


def unit_effects(ablation: Ablation, cohort: Cohort) -> tuple[Floats, Floats]:
    """What taking out each unit alone does, over all films: to the mean logit of films with the finding, to its AUROC.

    No label is involved, so nothing has to be crossed. Returns (F, U) twice, NaN where a class has no films.
    """
    everyone, each = np.arange(len(cohort.patients)), np.arange(ablation.units)[:, None]
    shape = cohort.shows.shape[1], ablation.units
    logit, area = np.full(shape, np.nan), np.full(shape, np.nan)
    for finding in range(shape[0]):
        shown = cohort.shows[:, finding]
        scores = ablation.logits[:, finding]
        changes = ablation.changes(each, finding, everyone)
        if shown.any():
            logit[finding] = changes[:, shown].mean(1)
            area[finding] = _aurocs(shown, scores + changes) - _aurocs(shown, scores[None])
    return logit, area


@dataclass(frozen=True)
class _Figures:
    """One figure on one half: its change, that in every resample (B,) and for every random set (D,)."""

    change: float
    resampled: Floats
    random: Floats


@dataclass(frozen=True)
class _Half:
    units: int
    logit: _Figures
    normal: _Figures
    auroc: _Figures
    matched: float


def _half(
    ablation: Ablation,
    cohort: Cohort,
    units: npt.NDArray[np.int64],
    finding: int,
    half: int,
    strengths: Sequence[Floats],
    weights: Floats,
    draws: int,
    seed: int,
) -> _Half:
    """Films of one half without the units that the other half chose, and without random ones matched on that half."""
    films = cohort.films_of(half)
    others, matched = _stand_ins(strengths[1 - half], units, draws, seed + half)
    sets = np.concatenate([units[None], others])
    changes = ablation.changes(sets, finding, films) if len(units) else np.zeros((len(sets), len(films)))
    scores, shown = ablation.logits[films, finding], cohort.shows[films, finding]
    return _Half(
        len(units),
        _mean_change(changes, shown, weights),
        _mean_change(changes, cohort.normal[films], weights),
        _auroc_change(scores, changes, shown, weights),
        matched,
    )


def _stand_ins(strength: Floats, units: npt.NDArray[np.int64], draws: int, seed: int) -> tuple[Units, float]:
    """Random sets (D, n) and the median of their strength over that of `units`; none where too few others are left."""
    if not len(units):
        return np.empty((draws, 0), dtype=np.int64), np.nan
    if not draws or 2 * len(units) > len(strength):
        return np.empty((0, len(units)), dtype=np.int64), np.nan
    sets = matched_units(strength, units, draws, seed)
    own, theirs = float(strength[units].sum()), strength[sets].sum(1)
    return sets, float(np.median(theirs) / own) if own > 0 else (1.0 if not theirs.any() else np.nan)


def _mean_change(changes: Floats, films: npt.NDArray[np.bool_], weights: Floats) -> _Figures:
    if not films.any():
        return _Figures(np.nan, np.full(len(weights), np.nan), np.full(len(changes) - 1, np.nan))
    means, times = changes[:, films].mean(1), weights[:, films]
    with np.errstate(invalid="ignore"):
        return _Figures(float(means[0]), times @ changes[0, films] / times.sum(1), means[1:])


def _auroc_change(scores: Floats, changes: Floats, shown: npt.NDArray[np.bool_], weights: Floats) -> _Figures:
    areas = _aurocs(shown, scores + changes) - _aurocs(shown, scores[None])
    labels = shown.astype(np.float64)
    drawn = auroc(labels, scores + changes[0], weights) - auroc(labels, scores, weights)
    return _Figures(float(areas[0]), drawn, areas[1:])


def _aurocs(shown: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """AUROC of every row of scores (D, n), ties counted half: (D,)."""
    labels = shown.astype(np.float64)
    return np.array([auroc(labels, row)[0] for row in scores])


def _joined(finding: str, concept: ConceptUnits, parts: Sequence[_Half]) -> CausalEffect:
    matched = [part.matched for part in parts if np.isfinite(part.matched)]
    normal = _averaged([part.normal for part in parts])
    return CausalEffect(
        finding,
        concept.probe,
        concept.concept,
        (len(concept.chosen_on[0]), len(concept.chosen_on[1])),
        _effect([part.logit for part in parts]),
        None if normal is None else _interval(normal),
        _effect([part.auroc for part in parts]),
        float(np.mean(matched)) if matched else None,
    )


def _averaged(parts: Sequence[_Figures]) -> _Figures | None:
    """The mean of both halves, or the one that has the films; halves are independent, so draws are paired as they come.

    Where one half found too few other units to draw from, there is no comparison.
    """
    known = [part for part in parts if np.isfinite(part.change)]
    if not known:
        return None
    draws = min(len(part.random) for part in known)
    return _Figures(
        float(np.mean([part.change for part in known])),
        np.mean([part.resampled for part in known], axis=0),
        np.mean([part.random[:draws] for part in known], axis=0),
    )


def _effect(parts: Sequence[_Figures]) -> Effect | None:
    both = _averaged(parts)
    if both is None:
        return None
    if not len(both.random):
        return Effect(_interval(both), None, None, None, None)
    low, high = np.percentile(both.random, (2.5, 97.5))
    reached = np.abs(both.random) >= abs(both.change) * (1 - 1e-12)  # sums in another order may differ in the last bit
    p = (1 + int(reached.sum())) / (1 + len(both.random))
    return Effect(_interval(both), float(both.random.mean()), float(low), float(high), p)


def _interval(figures: _Figures) -> Interval:
    low, high = interval(figures.resampled)
    return Interval(figures.change, float(low), float(high))


def _names(cohort: Cohort, half: int) -> list[str]:
    return [cohort.patients[row] for row in cohort.films_of(half)]
