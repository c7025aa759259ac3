"""Random units that contribute as much as given ones: what a concept's units are to be compared with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import Code, XrayInterpError
from .ablation import Units
from .pooled import Floats

NEAR = 20
"""Candidates from which each unit's stand-in is drawn: those of the nearest contribution."""


def matched_units(strength: Floats, units: npt.ArrayLike, draws: int, seed: int, near: int = NEAR) -> Units:
    """Sets of as many other units with about the same sum of contributions: (draws, n).

    The strongest unit is replaced first. Each stand-in is drawn from the `near` units, not among `units` and not yet
    taken, whose strength is nearest to that of the unit plus what the sum still lacks: so sums agree, not only counts.

    Args:
        strength: (U,) at least 0.
        units: the n units to be matched, without doubles.

    Raises:
        XrayInterpError: `bad-option` where fewer than n other units are left.
    """
    chosen = np.unique(np.asarray(units, dtype=np.int64))
    if 2 * len(chosen) > len(strength):
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"{len(chosen)} of {len(strength)} units leave too few others to be compared with.",
            "Compare a concept of at most half of the units.",
        )
    rng = np.random.default_rng(seed)
    order = chosen[np.argsort(-strength[chosen], kind="stable")]
    free = np.ones((draws, len(strength)), dtype=bool)
    free[:, chosen] = False
    lacking = np.zeros(draws)
    rows, out = np.arange(draws), np.empty((draws, len(order)), dtype=np.int64)
    for place, unit in enumerate(order):
        wanted = np.maximum(strength[unit] + lacking, 0)
        distance = np.where(free, np.abs(strength - wanted[:, None]), np.inf)
        left = min(near, int(free[0].sum()))
        nearest = np.argpartition(distance, left - 1, axis=1)[:, :left]
        picked = nearest[rows, rng.integers(left, size=draws)]
        out[:, place], free[rows, picked] = picked, False
        lacking += strength[unit] - strength[picked]
    return out
