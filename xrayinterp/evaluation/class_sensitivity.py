"""Does a method's map change with the finding? Its maps of other findings on one film, and of one finding on others.

Khakzar, Baselizadeh, Navab 2020: what aggregates or propagates only positive parts gives every class the same map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ..attribution import Forward
from ..attribution.registry import method_named
from ..attribution.target import Target
from .maps import map_or_nothing
from .similarity import Map, as_read, spearman

OTHERS = 4
"""Other findings asked of one film; each costs a single-pass method one backward."""


def other_findings(outputs: int, index: int, *, seed: int = 0, count: int = OTHERS) -> tuple[int, ...]:
    """At most `count` outputs other than `index`, drawn without repetition, in order."""
    rest = [other for other in range(outputs) if other != index]
    chosen = np.random.default_rng(seed).choice(len(rest), min(count, len(rest)), replace=False)
    return tuple(sorted(rest[i] for i in chosen))


def against_findings(
    forward: Forward, values: Tensor, others: Sequence[int], method: str, options: Mapping[str, Any]
) -> Iterator[tuple[int, float | None]]:
    """Spearman's rho of a map (1, 1, h, w) with the map of each other output on the same film, as maps are read."""
    own = as_read(method, values[0, 0])
    for other in others:
        yield other, spearman(own, as_read(method, map_or_nothing(forward, other, method, **options)[0, 0]))


def against_films(values: Tensor, films: Tensor, method: str) -> list[float | None]:
    """Spearman's rho of a map (1, 1, h, w) with the same finding's maps (n, 1, h, w) on other films."""
    own = as_read(method, values[0, 0])
    return [spearman(own, film) for film in as_read(method, films[:, 0])]


def against_negated(
    forward: Forward, values: Tensor, target: Target, method: str, options: Mapping[str, Any]
) -> tuple[float | None, bool]:
    """Signed Spearman's rho with the map of minus the logit, and whether it is so by construction.

    A method that is linear in its target gives minus the map: -1 says nothing about the model, and nothing is run.
    """
    own: Map = values[0, 0].float().cpu().numpy()
    if method_named(method).linear:
        return spearman(own, -own), True
    negated = map_or_nothing(forward, -target, method, **options)[0, 0].float().cpu().numpy()
    return spearman(own, negated), False
