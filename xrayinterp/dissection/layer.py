"""One layer dissected: maps and masks in, all figures of its units out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..concepts.probes import ProbeFilm, ProbeSet, mask_grid
from ..imaging.geometry import Fit
from .atlas import AtlasRow, ProbeSeen
from .cells import FACTOR, Words, mask_words
from .labels import MAX_P, MIN_IOU, ChanceDetectors, Scores, chance_detectors, label, score
from .maps import LayerMaps, Tick
from .null import permuted_iou, permuted_iou_among_positives
from .regions import Regions, find_regions
from .statistics import Bootstrap, CrossFit, Floats, bootstrap, ceiling, cross_fit, iou, ratio
from .tally import Tally, tally
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

    regions: Regions
    counts: Tally
    observed: Floats
    scores: Scores
    among_positives: Scores
    chance: ChanceDetectors
    boot: Bootstrap
    cross: CrossFit
    labels: npt.NDArray[np.bool_]
    strongest: npt.NDArray[np.int64]

    def rows(self, layer: str, probes: ProbeSet, films: Sequence[ProbeFilm], seen: ProbeSeen) -> list[AtlasRow]:
        """One row a unit and concept."""
        inter, area, cover = self.counts.total()
        pixels = np.int64(self.counts.pixels * len(films))
        precision, highest = ratio(inter, area[:, None]), ceiling(area, cover)
        areas, coverage = ratio(area, pixels), ratio(cover, pixels)
        shown, patients = self.counts.shown.sum(0), (self.counts.shown > 0).sum(0)
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
                        threshold=float(self.regions.thresholds[u]),
                        area=float(areas[u]),
                        coverage=float(coverage[c]),
                        films=int(shown[c]),
                        patients=int(patients[c]),
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
            "units": self.regions.units,
            "grid": list(self.regions.grid),
            "silent": int((self.regions.areas() == 0).sum()),
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


def dissect_layer(
    read: LayerMaps, films: Sequence[ProbeFilm], probes: ProbeSet, settings: Settings, tick: Tick
) -> LayerResult:
    """Thresholds, counts, chance levels and labels of all units; `tick` is called twice a permutation."""
    regions = find_regions(read.maps, settings.definition)
    masks = _masks(films, probes.concepts, settings.fit, read.maps.shape[2])
    patients = [film.patient for film in films]
    counts = tally(regions, masks, patients)
    observed = iou(*counts.total())
    common = (regions, masks, counts, patients, settings.permutations, settings.seed, tick)
    permuted = permuted_iou(*common)
    anatomy = np.isin(probes.concepts, probes.anatomy)
    scores = score(observed, permuted, anatomy)
    boot = bootstrap(counts, scores.best, settings.bootstraps, settings.seed)
    return LayerResult(
        regions=regions,
        counts=counts,
        observed=observed,
        scores=scores,
        among_positives=score(observed, permuted_iou_among_positives(*common), anatomy),
        chance=chance_detectors(permuted),
        boot=boot,
        cross=cross_fit(counts, scores.offset, settings.seed),
        labels=label(observed, scores, boot, regions.thresholds),
        strongest=np.argsort(-read.pooled, axis=0, kind="stable")[:EXEMPLARS].T,
    )


def _masks(films: Sequence[ProbeFilm], concepts: Sequence[str], fit: Fit, grid: int) -> Words:
    """Words (C, N, cells) of every film's masks, by nearest neighbour on the grid of the upsampled maps."""
    words = [mask_words(mask_grid(film, concepts, fit, FACTOR * grid)) for film in films]
    return np.ascontiguousarray(np.stack(words, axis=1))
