"""What the segmenter is worth on films it has not seen: Dice of its masks against outlines by readers.

Everything goes the way of every film: `Segmenter.segment`, cleaned masks, whole films.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..imaging.geometry import frame
from ..models.segmentation import STRUCTURES, BoolMask, Segmentation, on_grid
from ..models.segmenter import Segmenter
from .measure import patient_weights
from .segmenter_films import Outlined

RESAMPLES = 2000
Floats = npt.NDArray[np.float64]


def outlined_segmentation(film: Outlined) -> Segmentation:
    """A film's outlines by readers on the grid of a segmentation; what nobody outlined is empty."""
    height, width = film.pixels.shape
    square = frame(height, width, "pad")
    empty = np.zeros(film.pixels.shape, dtype=bool)
    return Segmentation(square, {name: on_grid(film.masks.get(name, empty), square) for name in STRUCTURES})


def dice_of(found: BoolMask, true: BoolMask) -> float:
    """Dice = 2 |A and B| / (|A| + |B|) of two masks; 1 where both are empty."""
    either = int(found.sum() + true.sum())
    return 2 * int((found & true).sum()) / either if either else 1.0


def dice_table(films: Sequence[Outlined], segmenter: Segmenter) -> Floats:
    """Dice of each film and structure, (N, S); NaN where nobody outlined it."""
    rows = np.full((len(films), len(STRUCTURES)), np.nan)
    for i, film in enumerate(films):
        found, true = segmenter.segment(film.pixels), outlined_segmentation(film)
        for j, name in enumerate(STRUCTURES):
            if name in film.masks:
                rows[i, j] = dice_of(found.masks[name], true.masks[name])
    return rows


def dice_figures(films: Sequence[Outlined], segmenter: Segmenter) -> dict[str, Any]:
    """Mean Dice by source and structure with 95 % intervals over patients, and the lowest of each structure."""
    values = dice_table(films, segmenter)
    patients, sources = np.array([film.patient for film in films]), np.array([film.source for film in films])
    groups = {"all": np.ones(len(films), dtype=bool)} | {name: sources == name for name in sorted(set(sources))}
    return {
        group: {
            name: _summary(values[inside, j], patients[inside])
            for j, name in enumerate(STRUCTURES)
            if np.isfinite(values[inside, j]).any()
        }
        for group, inside in groups.items()
    }


def _summary(values: Floats, patients: npt.NDArray[np.str_]) -> dict[str, Any]:
    known = np.isfinite(values)
    return {
        "dice": mean_over_patients(values[known], patients[known]),
        "lowest": float(values[known].min()),
        "films": int(known.sum()),
        "patients": len(set(patients[known])),
    }


def mean_over_patients(values: Floats, patients: Sequence[str] | npt.NDArray[np.str_]) -> list[float]:
    """[mean over films, low, high]: 95 % percentile interval, patients drawn with replacement."""
    weights = patient_weights([str(p) for p in patients], RESAMPLES, 0)
    draws = weights @ values / weights.sum(1)
    return [float(values.mean()), *(float(v) for v in np.quantile(draws, [0.025, 0.975]))]
