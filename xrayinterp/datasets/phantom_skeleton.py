"""The phantom's bones and airways: ribs, clavicles, shoulder blades, spine, trachea."""

from __future__ import annotations

import numpy as np

from .phantom_anatomy import SIDES, SIGN, Body, Side
from .phantom_rays import Beam, Floats, Quadric, Slab, Vector, common, cylinder, ellipsoid, length
from .phantom_tubes import Tube, rounded

RIBS = 10
CORTEX = 1.7
"""Thickness of compact bone in mm."""


def ribs(body: Body, rng: np.random.Generator) -> list[Tube]:
    """Posterior and anterior arcs of ten pairs of ribs around the lungs."""
    s = body.measures.size
    tubes: list[Tube] = []
    for number in range(1, RIBS + 1):
        wobble = rng.normal(0, [1.5, 3.0])
        for side in SIDES:
            tubes.extend(_rib(body, side, number, s, float(wobble[0] + rng.normal(0, 0.7)), float(wobble[1])))
    return tubes


def _rib(body: Body, side: Side, number: int, s: float, shift: float, extra: float) -> tuple[Tube, Tube]:
    """A rib runs on the ellipse around both lungs at its height, falling from back to front."""
    start = (-118 + 24.5 * (number - 1) + shift) * s
    fall = (np.interp(number, [1, 2, 3, 6, 10], [34, 56, 72, 92, 96]) + extra) * s
    last = np.radians(np.interp(number, [1, 4, 7, 10], [128, 140, 132, 108]))
    angle = np.linspace(np.radians(8), last, 40)
    y = start + fall * ((1 - np.cos(angle)) / 2) ** 1.15 - 5 * s * np.sin(angle) * np.exp(-angle)
    lung = body.lungs[side]
    across, deep = _thorax(lung, y, s)
    x = SIGN[side] * across * np.sin(angle)
    z = lung.centre[2] - deep * np.cos(angle)
    points = np.stack([x, y, z], axis=1)
    tall = np.interp(number, [1, 2, 10], [6.2, 5.4, 5.8]) * s * np.interp(angle, [0.2, 0.6, 2.4], [0.85, 1.0, 1.12])
    slope = np.arctan2(np.gradient(y), np.abs(np.gradient(x)))
    radii = np.hypot(tall * np.cos(slope), 3.2 * s * np.sin(slope))  # a rib is a band: thin where it is seen on edge
    widest = int(np.argmax(np.abs(x)))
    back, front = slice(0, widest + 1), slice(widest, None)
    anterior = rounded(points[front], radii[front], 0.55, CORTEX * s * 0.8)
    return Tube(points[back], radii[back], 0.62, CORTEX * s), Tube(
        anterior.points[4:], anterior.radii[4:], 0.55, CORTEX * s * 0.8
    )


def _thorax(lung: Quadric, y: Vector, s: float) -> tuple[Vector, Vector]:
    """Half-width from the midline and half-depth in mm of the rib cage at heights `y`."""
    semi_x, semi_y, semi_z = 1 / np.linalg.norm(lung.matrix, axis=1)
    height = np.clip((y - lung.centre[1]) / semi_y, -0.985, 0.35)
    bulge = np.sqrt(1 - height**2)
    lean = abs(lung.matrix[0, 1]) * semi_x
    centre = abs(lung.centre[0]) + lean * height * semi_y
    return centre + semi_x * bulge + 5 * s, semi_z * bulge + 9 * s


def clavicles(body: Body, view: str, rng: np.random.Generator) -> list[Tube]:
    """Two S-shaped collar bones; the bedside film shows their inner ends higher."""
    s, raised = body.measures.size, 12.0 if view == "AP" else 0.0
    t = np.linspace(0, 1, 24)
    tubes = []
    for side in SIDES:
        tilt = rng.normal(0, 3)
        x = SIGN[side] * (15 + 140 * t)
        y = -84 - raised * (1 - t) - (16 + tilt) * t - 9 * np.sin(2 * np.pi * t) * 0.8
        z = 62 - 62 * t + 16 * np.sin(2 * np.pi * t)
        radii = 6.6 - 1.8 * np.sin(np.pi * t)
        tubes.append(rounded(s * np.stack([x, y, z], axis=1), s * radii, 0.9, 1.6 * s))
    return tubes


def shoulder_blades(body: Body, view: str) -> tuple[list[Quadric], list[Tube]]:
    """Thin plates, and the denser borders: medial, lateral and the spine of the blade; then the upper arm bones."""
    s, inward = body.measures.size, 14.0 if view == "AP" else 0.0
    plates, tubes = [], []
    for side in SIDES:
        sign = SIGN[side]
        top, tip, glenoid = (sign * (112 - inward), -78), (sign * (126 - inward), 62), (sign * (168 - inward / 2), -62)
        plates.append(
            ellipsoid([s * sign * (134 - inward), -22 * s, -88 * s], [30 * s, 74 * s, 2.5 * s], tilt=-sign * 8)
        )
        for a, b, radius in ((top, tip, 1.4), (tip, glenoid, 2.2), (top, glenoid, 2.6)):
            tubes.append(_bar(s, a, b, -86, radius, bow=sign * 5))
        shaft = _bar(s, (sign * 190, -62), (sign * 204, 190), -20, 11.5, bow=0)
        tubes.append(Tube(shaft.points, shaft.radii, 1.0, 4 * s))
        plates.append(ellipsoid([s * sign * 184, -66 * s, -20 * s], [22 * s, 23 * s, 22 * s]))
    return plates, tubes


def _bar(s: float, a: tuple[float, float], b: tuple[float, float], z: float, radius: float, *, bow: float) -> Tube:
    t = np.linspace(0, 1, 12)
    x = a[0] + (b[0] - a[0]) * t + bow * np.sin(np.pi * t)
    y = a[1] + (b[1] - a[1]) * t
    points = s * np.stack([x, y, np.full_like(t, z)], axis=1)
    return rounded(points, np.full(len(t), radius * s), 1.0, radius * s * 0.4)


def spine(body: Body, beam: Beam) -> tuple[Floats, Floats]:
    """Path lengths in mm, each (size, size): through vertebrae, and through their denser end plates and arches."""
    s = body.measures.size
    bodies, dense = (np.zeros((beam.size, beam.size), dtype=np.float32) for _ in range(2))
    for level in range(-7, 10):
        pitch = 22.5 + 0.45 * level
        y = level * pitch * s
        _vertebra(bodies, dense, beam, y, 0.5 * (pitch - 4.5) * s, (15.5 + 0.35 * level) * s, s)
    return bodies, dense


def _vertebra(bodies: Floats, dense: Floats, beam: Beam, y: float, half: float, wide: float, s: float) -> None:
    z = -72 * s
    column = cylinder((0, y, z), wide, wide * 0.85)
    corners = np.array(
        [[sign * wide, y + up * half, z + fore * wide] for sign in (-1, 1) for up in (-1, 1) for fore in (-1, 1)]
    )
    window = beam.window(corners, 2.0)
    rays = beam.rays(window)
    inside = column.interval(rays)
    bodies[window] += length(common(inside, Slab(y - half, y + half).interval(rays)))
    for edge in (y - half, y + half - 1.2 * s):
        dense[window] += length(common(inside, Slab(edge, edge + 1.2 * s).interval(rays)))
    arch = [ellipsoid([0, y + 9 * s, z - 38 * s], [2.6 * s, 9 * s, 14 * s], lean=-25)]
    for sign in (-1, 1):
        arch.append(ellipsoid([sign * wide * 0.68, y - 2.5 * s, z - 20 * s], [3.2 * s, 5.2 * s, 8 * s]))
        arch.append(ellipsoid([sign * wide * 1.2, y - 3 * s, z - 24 * s], [11 * s, 3.6 * s, 4 * s], tilt=-sign * 14))
    for part in arch:
        add_ellipsoid(dense, beam, part)


def add_ellipsoid(out: Floats, beam: Beam, shape: Quadric) -> None:
    """Adds the path length in mm through one ellipsoid to `out` (size, size)."""
    window = beam.window(shape.centre[None], shape.reach)
    if out[window].size:
        out[window] += length(shape.interval(beam.rays(window)))


def airways(body: Body) -> list[Tube]:
    """Windpipe and main bronchi; the windpipe is pushed a little to the right by the aortic arch."""
    s = body.measures.size
    t = np.linspace(0, 1, 14)
    trachea = np.stack([-3.5 * np.sin(np.pi * t) - 1.5 * t, -190 + 188 * t, -8 - 22 * t], axis=1)
    right = np.stack([-1.5 - 34 * t, 40 * t**0.9, -30 - 6 * t], axis=1)
    left = np.stack([-1.5 + 50 * t, 32 * t, -30 - 6 * t], axis=1)
    return [
        Tube(s * trachea, np.full(14, 8.2 * s), 0.9),
        Tube(s * right, s * np.linspace(7.0, 4.6, 14)),
        Tube(s * left, s * np.linspace(6.2, 4.0, 14)),
    ]


def sternum(body: Body) -> list[Quadric]:
    """Manubrium and body of the breast bone."""
    s = body.measures.size
    return [
        ellipsoid([0, -58 * s, 80 * s], [26 * s, 22 * s, 6 * s]),
        ellipsoid([0, 20 * s, 92 * s], [16 * s, 66 * s, 5 * s], lean=8),
    ]
