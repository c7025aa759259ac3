"""The phantom's pulmonary vessels: trees that branch from the hila and thin out towards the pleura."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .phantom_anatomy import SIGN, Body, Side
from .phantom_rays import Vector
from .phantom_tubes import Tube

THINNEST = 0.45
"""Radius in mm at which a vessel is too fine to follow."""
FORKS = 10
"""Most forks between hilum and pleura."""
_LOBES = ((0.72, 0.12, 0.45), (10, 10, 9), (0.5, 0.4, 0.46))
"""Of the lower, upper and middle trunks: height aimed at (0 apex, 1 base), branches, radius against the trunk's."""


@dataclass(frozen=True)
class _Tips:
    """Where n vessels go on: end points (n, 3), directions (n, 3), radii (n,)."""

    at: Vector
    along: Vector
    radius: Vector

    def __getitem__(self, kept: npt.NDArray[np.bool_]) -> _Tips:
        return _Tips(self.at[kept], self.along[kept], self.radius[kept])


def vessels(body: Body, side: Side, rng: np.random.Generator) -> list[Tube]:
    """Arteries and veins of one lung, as solid tubes."""
    s, sign = body.measures.size, SIGN[side]
    hilum = s * np.array([sign * 33.0, 16.0 if side == "Right" else 6.0, -6.0])
    middle = hilum + s * np.array([0, 14.0, 0])
    trunks = [
        (hilum, hilum + s * np.array([sign * 14.0, 48.0, -8.0]), 7.6 * s),
        (hilum, hilum + s * np.array([sign * 16.0, -26.0, 4.0]), 5.6 * s),
        (middle, middle + s * np.array([sign * 20.0, 10.0, 14.0]), 5.6 * s),
    ]
    tubes = [Tube(np.stack([a, (a + b) / 2, b]), radius * np.array([1.05, 1.0, 0.9])) for a, b, radius in trunks]
    tips = _first_tips(trunks, sign, rng)
    for _ in range(FORKS):
        tips = _grow(body, side, tips[tips.radius > THINNEST * s], rng, tubes)
    return tubes


def _first_tips(trunks: list[tuple[Vector, Vector, float]], sign: float, rng: np.random.Generator) -> _Tips:
    """Where the branches leave the trunks, and where they head: outwards, and up or down with their lobe."""
    at, along, radius = [], [], []
    for (base, top, wide), low, count, share in zip(trunks, *_LOBES, strict=True):
        at.append(base + rng.uniform(0.35, 1.0, (count, 1)) * (top - base))
        out = sign * np.abs(rng.normal(0.75, 0.3, count))
        along.append(np.stack([out, rng.normal((low - 0.4) * 2.2, 0.35, count), rng.normal(0, 0.45, count)], axis=1))
        radius.append(wide * share * rng.uniform(0.8, 1.2, count))
    return _Tips(np.concatenate(at), _unit(np.concatenate(along)), np.concatenate(radius))


def _grow(body: Body, side: Side, tips: _Tips, rng: np.random.Generator, tubes: list[Tube]) -> _Tips:
    """Adds each vessel up to its next fork to `tubes`; returns what goes on from there: two of each inside the lung."""
    count = len(tips.radius)
    if count == 0:
        return tips
    span = ((6.0 * tips.radius + 7.0 * body.measures.size) * rng.uniform(0.7, 1.2, count))[:, None]
    bend = _unit(tips.along + rng.normal(0, 0.2, (count, 3)))
    points = np.stack([tips.at, tips.at + tips.along * span / 2, tips.at + (tips.along + bend) * span / 2], axis=1)
    halfway, whole = (body.in_lung(side, points[:, i], 0.98) for i in (1, 2))
    for line, radius, goes_on in zip(points[halfway], tips.radius[halfway], whole[halfway], strict=True):
        kept = 3 if goes_on else 2
        tubes.append(Tube(line[:kept], radius * np.array([1.0, 0.95, 0.9])[:kept]))
    share = rng.uniform(0.5, 0.85, count)
    turn = rng.normal(0, 1, (count, 3))
    aside = -rng.uniform(0.5, 0.95, (count, 1)) * turn / np.maximum(np.linalg.norm(turn, axis=1), 0.5)[:, None]
    major = _Tips(points[:, 2], _unit(bend + 0.22 * turn), tips.radius * 0.9 * share ** (1 / 2.7))
    minor = _Tips(points[:, 2], _unit(bend + aside), tips.radius * 0.9 * (1 - share) ** (1 / 2.7))
    on = halfway & whole
    forks = (major[on], minor[on])
    return _Tips(*(np.concatenate([getattr(f, name) for f in forks]) for name in ("at", "along", "radius")))


def _unit(directions: Vector) -> Vector:
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))
