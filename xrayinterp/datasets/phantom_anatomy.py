"""The phantom's body: measures drawn from a seed, and the soft organs as convex shapes.

All figures are in mm for a body of size 1 and follow adult proportions: chest about 280 inside, heart about 130 wide,
carina at y = 0, lung apices near y = -118, right dome of the diaphragm near y = 118 (erect, full inspiration).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .phantom_rays import Beam, Quadric, Shape, Slab, Vector, cylinder, ellipsoid

Side = Literal["Left", "Right"]
SIDES: tuple[Side, Side] = ("Right", "Left")
SIGN: dict[Side, float] = {"Right": -1.0, "Left": 1.0}


@dataclass(frozen=True)
class Measures:
    """What varies between bodies: factors about 1, angles in radians, breast size in mm (0 for none).

    `size` scales everything, `girth` the soft tissue outside the ribs, `heart` the heart; `breath` moves the domes of
    the diaphragm towards the feet by that many mm.
    """

    size: float
    girth: float
    heart: float
    breath: float
    breast: float
    yaw: float
    roll: float
    density: float


def draw_measures(seed: int, view: str, *, enlarged_heart: bool) -> Measures:
    """The measures of body `seed`; the same body for every choice of findings."""
    rng = np.random.default_rng([seed, 1])
    size, girth = rng.uniform(0.94, 1.05), rng.uniform(0.96, 1.07)
    heart, grown = rng.uniform(0.93, 1.04), rng.uniform(1.22, 1.34)
    breath = rng.uniform(-8, 8) - (14 if view == "AP" else 0)
    breast = rng.uniform(36, 46) if rng.random() < 0.5 else 0.0
    yaw, roll = np.radians(rng.normal(0, [2.0, 1.0]))
    density = rng.uniform(0.22, 0.27)
    return Measures(size, girth, heart * (grown if enlarged_heart else 1), breath, breast, yaw, roll, density)


@dataclass(frozen=True)
class Body:
    """The soft organs of one phantom.

    `torso`: shapes whose union is the body. `lungs`: each pleural space as a convex shape, from which the shapes of
    `under` (what lies under that dome of the diaphragm), `heart` and `mediastinum` are taken away.
    """

    measures: Measures
    torso: tuple[Shape, ...]
    lungs: dict[Side, Quadric]
    under: dict[Side, tuple[Shape, ...]]
    heart: tuple[Quadric, ...]
    mediastinum: tuple[Quadric, ...]
    aorta: tuple[Quadric, ...]
    stomach: tuple[Quadric, Slab]

    def removed(self, side: Side) -> tuple[Shape, ...]:
        """Everything that a pleural space is not."""
        return (*self.under[side], *self.heart, *self.mediastinum, *self.aorta)

    def in_lung(self, side: Side, points: Vector, margin: float = 1.0) -> np.ndarray:
        """Whether points (n, 3) lie inside a lung shrunken to `margin` of its size, outside all other organs."""
        inside = self.lungs[side].scaled(margin).holds(points)
        for shape in self.removed(side):
            inside &= ~shape.holds(points)
        return np.asarray(inside)


def build_body(measures: Measures) -> Body:
    """The shapes of a body with these measures."""
    s = measures.size
    lungs: dict[Side, Quadric] = {
        "Right": _at(s, (-70, 96, 4), (69, 214, 90), tilt=5.5),
        "Left": _at(s, (70, 98, 4), (67, 212, 90), tilt=-5.0),
    }
    under: dict[Side, tuple[Shape, ...]] = {
        "Right": _dome(s, (-66, 188 + measures.breath, 12)),
        "Left": _dome(s, (68, 200 + measures.breath, 12)),
    }
    return Body(
        measures=measures,
        torso=_torso(measures),
        lungs=lungs,
        under=under,
        heart=_heart(s, measures.heart, measures.breath),
        mediastinum=_mediastinum(s),
        aorta=_aorta(s),
        stomach=(
            _at(s, (62, 178 + measures.breath, 18), (34, 30, 40), tilt=12),
            Slab(-1e6, (182 + measures.breath) * s),
        ),
    )


def make_beam(measures: Measures, view: Literal["PA", "AP"], size: int) -> Beam:
    """The beam that takes this body's film: the field follows the body, the detector stands 15 mm off the skin."""
    gap = 115 * measures.size * measures.girth + 15
    field = (400 if view == "PA" else 425) * measures.size
    return Beam(view=view, size=size, field=field, gap=gap, yaw=measures.yaw, roll=measures.roll)


def _at(
    s: float, centre: tuple[float, float, float], semi: tuple[float, float, float], *, tilt: float = 0, lean: float = 0
) -> Quadric:
    return ellipsoid([s * v for v in centre], [s * v for v in semi], tilt=tilt, lean=lean)


def _dome(s: float, centre: tuple[float, float, float]) -> tuple[Shape, ...]:
    tendon = _at(s, (4, centre[1] - 4, 22), (80, 66, 80))
    return _at(s, centre, (84, 70, 110)), tendon, Slab(centre[1] * s, 1e6)


def _torso(m: Measures) -> tuple[Shape, ...]:
    g, s = m.girth, m.size
    shapes: list[Shape] = [
        _at(s, (0, 190, 0), (172 * g, 340, 116 * g)),
        cylinder((0, 0, -8 * s), 56 * s * g, 56 * s * g),
        _at(s, (0, -45, -5), (150, 78, 66)),
    ]
    for sign in (-1, 1):
        shapes.append(_at(s, (sign * 128, -42, -8), (78 * g, 66, 62), tilt=sign * 24))
        shapes.append(_at(s, (sign * 205, 60, -10), (42 * g, 150, 46), tilt=-sign * 6))
        if m.breast:
            shapes.append(
                _at(s, (sign * 80, 84, 84), (m.breast * 1.35, m.breast * 1.5, m.breast * 0.7), tilt=sign * 10, lean=-35)
            )
    return tuple(shapes)


def _heart(s: float, size: float, breath: float) -> tuple[Quadric, ...]:
    """Left ventricle, right heart, left atrium with its appendage, pulmonary trunk.

    The heart grows about a point at the right of its base and moves down with the diaphragm by a third.
    """
    fixed = s * np.array([-2.0, 62.0, 22.0])
    drop = np.array([0.0, s * breath / 3, 0.0])
    parts = (
        _at(s, (33, 88, 16), (63, 45, 58), tilt=36),
        _at(s, (-4, 86, 20), (39, 52, 54), tilt=-8),
        _at(s, (17, 40, 2), (34, 27, 40), tilt=20),
        _at(s, (24, 17, 16), (21, 27, 26), tilt=-12),
    )
    moved = (Quadric(part.centre + drop, part.matrix) for part in parts)
    # the trunk is no chamber: it follows an enlarged heart by half as much
    growth = (size, size, size, 1 + (size - 1) / 2)
    return tuple(part.scaled(by, about=fixed) for part, by in zip(moved, growth, strict=True))


def _mediastinum(s: float) -> tuple[Quadric, ...]:
    """The tissue between the lungs, the superior vena cava, and the spine's bed behind."""
    return (
        _at(s, (1, 40, 4), (27, 250, 62)),
        _at(s, (-19, -45, 12), (13, 90, 13), tilt=3),
        _at(s, (17, -85, 4), (15, 62, 13), tilt=5),
        cylinder((0, 0, -80 * s), 21 * s, 26 * s),
    )


def _aorta(s: float) -> tuple[Quadric, ...]:
    """Ascending aorta, arch (the knob), descending aorta."""
    return (
        _at(s, (-14, 5, 20), (20, 42, 24), tilt=-8),
        _at(s, (17, -24, -8), (20, 19, 30)),
        cylinder((21 * s, 60 * s, -38 * s), 12.5 * s, 12.5 * s, tilt=2),
    )
