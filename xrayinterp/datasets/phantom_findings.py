"""The phantom's findings as shapes: where they sit and what they do to the lung."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ..errors import Code, XrayInterpError
from .phantom_anatomy import SIDES, SIGN, Body, Side
from .phantom_rays import Beam, Quadric, Vector, ellipsoid, length
from .phantom_tubes import Tube

ImageSide = Literal["image left", "image right"]

FINDINGS = (
    "Consolidation",
    "Ground Glass Opacities",
    "Effusion",
    "Nodule",
    "Mass",
    "Pneumothorax",
    "Cardiomegaly",
    "Endotracheal Tube",
)
_SIDED = frozenset(FINDINGS[:6])


@dataclass(frozen=True)
class Planted:
    """A finding to plant; the seed chooses the side where `side` is None."""

    name: str
    side: ImageSide | None = None


@dataclass(frozen=True)
class Opacity:
    """Part of the air of a lung replaced by tissue, inside `parts`.

    A `solid` one counts overlaps of its parts once; otherwise they add up, so that it thins out towards its edge.
    `density` 1 fills the air. The mask is where the path times density exceeds `least` mm; `mottled` is the relative
    unevenness.
    """

    name: str
    density: float
    parts: tuple[Quadric, ...]
    least: float = 0.0
    mottled: float = 0.0
    solid: bool = True


@dataclass(frozen=True)
class Fluid:
    """Fluid below the height `top` (y, mm) and outside `bowl`: it climbs the chest wall, so its edge is a meniscus."""

    top: float
    bowl: Quadric


@dataclass(frozen=True)
class Collapse:
    """A lung shrunk to `factor` of its size about the point `about`; the rest of the pleural space is air."""

    factor: float
    about: Vector


@dataclass(frozen=True)
class SideFindings:
    """All that is planted on one side."""

    opacities: tuple[Opacity, ...] = ()
    fluid: Fluid | None = None
    collapse: Collapse | None = None


@dataclass(frozen=True)
class Findings:
    """All that is planted: by side, and the tube in the windpipe."""

    names: tuple[str, ...]
    sides: dict[Side, SideFindings] = field(default_factory=dict)
    tube: Tube | None = None


def as_planted(findings: Sequence[str | Planted]) -> tuple[Planted, ...]:
    """Findings by name or with a side.

    Raises:
        XrayInterpError: `unknown-finding` for a name the phantom does not know, `bad-option` for a side where the
            finding has none or for the same finding twice.
    """
    planted = tuple(f if isinstance(f, Planted) else Planted(f) for f in findings)
    for one in planted:
        if one.name not in FINDINGS:
            raise XrayInterpError(
                Code.UNKNOWN_FINDING, f"The phantom has no finding {one.name!r}.", f"It has: {', '.join(FINDINGS)}."
            )
        if one.side not in (None, "image left", "image right") or (one.side and one.name not in _SIDED):
            raise XrayInterpError(
                Code.BAD_OPTION,
                f"The phantom cannot plant {one.name} on side {one.side!r}.",
                "Sides are 'image left' and 'image right', for findings of the lungs and pleura.",
            )
    names = [one.name for one in planted]
    twice = {name for name in names if names.count(name) > 1}
    if len({(p.name, p.side) for p in planted}) < len(planted) or any(not p.side for p in planted if p.name in twice):
        raise XrayInterpError(Code.BAD_OPTION, "The same finding is planted twice.", "Give two different sides.")
    return planted


def place(body: Body, beam: Beam, planted: Sequence[Planted], seed: int, airway: Tube) -> Findings:
    """Where each finding sits in `body`; each finding has its own random stream, so one does not move another."""
    opacities: dict[Side, list[Opacity]] = {side: [] for side in SIDES}
    fluid: dict[Side, Fluid] = {}
    collapse: dict[Side, Collapse] = {}
    for one in planted:
        number = FINDINGS.index(one.name)
        for side in _sides(one, np.random.default_rng([seed, 6, number])):
            rng = np.random.default_rng([seed, 7, number, SIDES.index(side)])
            if one.name == "Effusion":
                fluid[side] = _effusion(body, side, rng)
            elif one.name == "Pneumothorax":
                collapse[side] = _pneumothorax(body, side, rng)
            elif one.name in _SIDED:
                opacities[side].append(_opacity(one.name, body, beam, side, rng))
    sides = {side: SideFindings(tuple(opacities[side]), fluid.get(side), collapse.get(side)) for side in SIDES}
    intubated = any(one.name == "Endotracheal Tube" for one in planted)
    names = tuple(dict.fromkeys(one.name for one in planted))
    return Findings(names, sides, _tracheal_tube(body, airway) if intubated else None)


def _sides(one: Planted, rng: np.random.Generator) -> tuple[Side, ...]:
    drawn: Side = SIDES[int(rng.integers(2))]
    if one.side is None:
        return SIDES if one.name == "Ground Glass Opacities" else (drawn,)
    return ("Right",) if one.side == "image left" else ("Left",)


def _effusion(body: Body, side: Side, rng: np.random.Generator) -> Fluid:
    s, lung = body.measures.size, body.lungs[side]
    lowest = rng.uniform(84, 108) * s
    top = lowest - rng.uniform(52, 70) * s
    semi_x, _, semi_z = 1 / np.linalg.norm(lung.matrix, axis=1)
    bowl = ellipsoid(
        [lung.centre[0] - SIGN[side] * 3 * s, top, lung.centre[2] + 2 * s],
        [semi_x * 0.99, lowest - top, semi_z * 0.99],
        tilt=-SIGN[side] * 12,
    )
    return Fluid(float(top), bowl)


def _pneumothorax(body: Body, side: Side, rng: np.random.Generator) -> Collapse:
    s = body.measures.size
    about = s * np.array([SIGN[side] * 28.0, 78.0, 0.0])
    return Collapse(float(rng.uniform(0.76, 0.88)), about)


def _opacity(name: str, body: Body, beam: Beam, side: Side, rng: np.random.Generator) -> Opacity:
    s = body.measures.size
    if name == "Nodule":
        radius = rng.uniform(6.5, 12.5) * s
        parts = (_ball(_free_spot(body, beam, side, rng, radius), radius),)
        return Opacity(name, 0.95, parts)
    if name == "Mass":
        radius = rng.uniform(19, 27) * s
        centre = _free_spot(body, beam, side, rng, radius)
        lobes = [_ball(centre + rng.normal(0, 0.28 * radius, 3), radius * rng.uniform(0.55, 0.75)) for _ in range(4)]
        return Opacity(name, 0.95, (_ball(centre, 0.8 * radius), *lobes))
    if name == "Consolidation":
        centre = _spot(body, side, rng, (40, 100))
        return Opacity(name, 0.35, _cloud(centre, rng, 36, 19 * s, (9 * s, 24 * s)), 10.0 * s, 0.1, solid=False)
    patches = [_cloud(_spot(body, side, rng, (-40, 110), 0.85), rng, 14, 20 * s, (12 * s, 26 * s)) for _ in range(3)]
    return Opacity(name, 0.18, tuple(p for patch in patches for p in patch), 7.0 * s, 0.2, solid=False)


def _ball(centre: Vector, radius: float) -> Quadric:
    return ellipsoid(centre.tolist(), [radius] * 3)


def _cloud(
    centre: Vector, rng: np.random.Generator, count: int, spread: float, semi: tuple[float, float]
) -> tuple[Quadric, ...]:
    return tuple(
        ellipsoid(
            (centre + rng.normal(0, spread, 3)).tolist(), rng.uniform(*semi, 3).tolist(), tilt=rng.uniform(-60, 60)
        )
        for _ in range(count)
    )


def _spots(
    body: Body, side: Side, rng: np.random.Generator, heights: tuple[float, float], margin: float, room: float = 0.0
) -> Vector:
    """Random points (n, 3) inside a lung between two heights (y in mm), with `room` mm of lung all around.

    Of 600 draws; the lung's own centre where none is inside.
    """
    s, lung = body.measures.size, body.lungs[side]
    draws = np.stack(
        [
            lung.centre[0] + rng.uniform(-60, 60, 600) * s,
            rng.uniform(*heights, 600) * s,
            lung.centre[2] + rng.uniform(-70, 70, 600) * s,
        ],
        axis=1,
    )
    compass = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) * room
    for step in compass[: 1 if room == 0 else 7]:
        draws = draws[body.in_lung(side, draws + step, margin)]
    return draws if len(draws) else lung.centre[None]


def _spot(
    body: Body, side: Side, rng: np.random.Generator, heights: tuple[float, float], margin: float = 0.75
) -> Vector:
    """A random point inside a lung between two heights (y in mm)."""
    return np.asarray(_spots(body, side, rng, heights, margin)[0])


def _free_spot(body: Body, beam: Beam, side: Side, rng: np.random.Generator, radius: float) -> Vector:
    """A place for a ball inside the lung whose shadow stays clear of heart, mediastinum and diaphragm."""
    shapes = [*body.heart, *body.mediastinum, *body.aorta, *body.under[side]]
    for spot in _spots(body, side, rng, (-85, 110), 0.99, 1.05 * radius):
        rows, columns = beam.window(spot[None], radius)
        rays = beam.rays((slice(rows.start, rows.stop, 2), slice(columns.start, columns.stop, 2)))
        if not any((length(shape.interval(rays)) > 0).any() for shape in shapes):
            return np.asarray(spot)
    return np.array([SIGN[side] * 78.0, -20.0, 0.0]) * body.measures.size


def _tracheal_tube(body: Body, airway: Tube) -> Tube:
    """A tube of 10 mm in the windpipe, its tip 45 mm above the carina."""
    s = body.measures.size
    points = airway.points[airway.points[:, 1] < -45 * s]
    tip = np.array([np.interp(-45 * s, airway.points[:, 1], airway.points[:, axis]) for axis in range(3)])
    points = np.concatenate([points, tip[None]])
    return Tube(points, np.full(len(points), 5.0 * s), 1.0, 1.1 * s)
