"""One layer dissected: counts in, all figures of its units out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..concepts.probes import ProbeFilm, ProbeSet
from ..imaging.geometry import Fit
from .atlas import AtlasRow, ProbeSeen
from .labels import MAX_P, MIN_IOU, ChanceDetectors, Scores, chance_detectors, label, score
from .statistics import Bootstrap, CrossFit, Floats, bootstrap, ceiling, cross_fit, iou, ratio
from .tally import Counts, Tally
from .thresholds import Definition

EXEMPLARS = 5


@dataclass(frozen=True)
class Settings:
    """Options of a dissection, recorded with its result."""

    definition: Definition
    permutations: int
    bootstraps: int
    seed: int
    fit: Fit


@dataclass(frozen=True)
class LayerResult:
    """All figures of one layer: units U, concepts C."""

    thresholds: Floats
    grid: int
    counts: Tally
    observed: Floats
    scores: Scores
    among_positives: Scores
    chance: ChanceDetectors
    boot: Bootstrap
    cross: CrossFit
    labels: npt.NDArray[np.bool_]
    strongest: npt.NDArray[np.int64]
    patients: npt.NDArray[np.int64]

    def rows(self, layer: str, probes: ProbeSet, films: Sequence[ProbeFilm], seen: ProbeSeen) -> list[AtlasRow]:
        """One row a unit and concept."""
        inter, area, cover = self.counts.total()
        pixels = np.int64(self.counts.pixels * len(films))
        precision, highest = ratio(inter, area[:, None]), ceiling(area, cover)
        areas, coverage = ratio(area, pixels), ratio(cover, pixels)
        shown = self.counts.shown.sum(0)
        out = []
        for u in range(len(area)):
            examples = tuple(films[i].id for i in self.strongest[u] if area[u] > 0)
            for c, concept in enumerate(probes.concepts):
                out.append(
                    AtlasRow(
                        layer=layer,
                        unit=u,
                        concept=concept,
                        iou=float(self.observed[u, c]),
                        precision=float(precision[u, c]),
                        ceiling=float(highest[u, c]),
                        null_p=float(self.scores.null_p[u]),
                        null_high=float(self.scores.null_high[u, c]),
                        ci_low=float(self.boot.low[u, c]),
                        ci_high=float(self.boot.high[u, c]),
                        threshold=float(self.thresholds[u]),
                        area=float(areas[u]),
                        coverage=float(coverage[c]),
                        films=int(shown[c]),
                        patients=int(self.patients[c]),
                        probe=probes.name,
                        probe_seen=seen,
                        label=bool(self.labels[u, c]),
                        iou_crossfit=float(self.cross.iou[u]) if c == self.scores.best[u] else None,
                        exemplars=examples,
                    )
                )
        return out

    def summary(self, concepts: Sequence[str]) -> dict[str, Any]:
        """What rows do not say: family-wise and positives-only p-values, and what chance gives."""
        detector = self.labels.any(1)
        best = self.observed.max(1)
        return {
            "units": len(self.thresholds),
            "grid": [self.grid, self.grid],
            "silent": int((self.counts.area.sum(0) == 0).sum()),
            "detectors": int(detector.sum()),
            "detectors_by_iou_alone": int((best > MIN_IOU).sum()),
            "detectors_family_wise": int((detector & (self.scores.family_p <= MAX_P)).sum()),
            "detectors_among_positives": int((detector & (self.among_positives.null_p <= MAX_P)).sum()),
            "crossfit_agrees": int((detector & self.cross.agrees).sum()),
            "family_p": self.scores.family_p.tolist(),
            "positives_p": self.among_positives.null_p.tolist(),
            "permuted": asdict(self.chance)
            | {"by_concept": dict(zip(concepts, self.chance.by_concept.tolist(), strict=True))},
        }


def layer_result(
    thresholds: Floats,
    grid: int,
    counts: Tally,
    permuted: Counts,
    among_positives: Counts,
    strongest: npt.NDArray[np.int64],
    patients: npt.NDArray[np.int64],
    anatomy: npt.NDArray[np.bool_],
    settings: Settings,
) -> LayerResult:
    """All figures of a layer from what was counted on all films.

    Args:
        thresholds: (U,).
        grid: side of the layer's maps.
        counts: regions against their own films' masks.
        permuted: pixels met under reassigned masks, (n, U, C).
        among_positives: the same among each concept's own films, -1 for concepts that cannot be reassigned.
        strongest: films of highest mean, (U, k).
        patients: (C,), how many show the concept.
        anatomy: (C,), which concepts sit at the same place on every film.
    """
    inter, area, cover = counts.total()
    observed = iou(inter, area, cover)
    by_chance = iou(permuted, area, cover)
    among = np.where(among_positives < 0, np.nan, iou(among_positives, area, cover))
    scores = score(observed, by_chance, anatomy)
    boot = bootstrap(counts, scores.best, settings.bootstraps, settings.seed)
    return LayerResult(
        thresholds=thresholds,
        grid=grid,
        counts=counts,
        observed=observed,
        scores=scores,
        among_positives=score(observed, among, anatomy),
        chance=chance_detectors(by_chance),
        boot=boot,
        cross=cross_fit(counts, scores.offset, settings.seed),
        labels=label(observed, scores, boot, thresholds),
        strongest=strongest,
        patients=patients,
    )
