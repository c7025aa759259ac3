"""Linear heads over pooled units of known truth, and cohorts to measure them on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xrayinterp.dissection.cohort import Cohort
from xrayinterp.dissection.pooled import PooledUnits


def read_of(values: np.ndarray, weights: np.ndarray, bias: Sequence[float] | None = None) -> PooledUnits:
    """Pooled units (N, U) under a head (F, U), findings "f0", "f1" ..., every film a patient of its own."""
    offset = np.zeros(len(weights)) if bias is None else np.asarray(bias, dtype=float)
    names = tuple(f"film{n:04}" for n in range(len(values)))
    findings = tuple(f"f{f}" for f in range(len(weights)))
    return PooledUnits(findings, names, names, values, values @ weights.T + offset, weights, offset)


def cohort_of(shows: np.ndarray, *, normal: np.ndarray | None = None, patients: Sequence[str] | None = None) -> Cohort:
    """Films that show findings (N, F); every other one, or patient by patient, in the second half."""
    names = tuple(f"film{n:04}" for n in range(len(shows))) if patients is None else tuple(patients)
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    half = np.array([order[name] % 2 for name in names])
    return Cohort(shows, ~shows.any(1) if normal is None else normal, names, half)


def planted(films: int = 200, units: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Units (N, U) of which 0 and 1 fire on the films of finding 0, the rest at random; and those films (N, 1)."""
    rng = np.random.default_rng(seed)
    shown = rng.random(films) < 0.4
    values = rng.gamma(2.0, 0.5, (films, units))
    values[:, :2] = 0.2 * rng.random((films, 2)) + shown[:, None] * (1 + 0.3 * rng.random((films, 2)))
    return values, shown[:, None]
