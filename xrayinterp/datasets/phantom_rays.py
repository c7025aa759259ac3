"""Rays of a cone beam through convex shapes: exact intervals, their unions and their differences.

Patient frame, in mm: x towards the patient's left (image right), y towards the feet, z towards the front; the origin
lies at the level of the carina in the middle of the body. A shape meets a ray in one interval [enter, leave] of
positions in mm; a miss has enter = leave. Path lengths through unions and differences follow from the intervals, so
nothing is sampled along the ray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Window = tuple[slice, slice]
Interval = tuple[Floats, Floats]

DISTANCE = {"PA": 1800.0, "AP": 1050.0}
"""Source to detector in mm: an upright film, and one taken at the bedside."""
CENTRAL_Y = 35.0
"""Height of the central ray in mm below the carina."""


@dataclass(frozen=True)
class Beam:
    """A point source and a square flat detector, in the frame of a patient turned by `yaw` and `roll` (radians).

    `view` says what touches the detector: the front of the patient (PA) or the back (AP). `gap` is the distance in mm
    from the patient's origin to the detector, `field` the detector's side in mm, `size` its side in pixels. In both
    views columns run towards the patient's left.
    """

    view: Literal["PA", "AP"]
    size: int
    field: float
    gap: float
    yaw: float = 0.0
    roll: float = 0.0

    @property
    def pitch(self) -> float:
        """Side of a pixel in mm, at the detector."""
        return self.field / self.size

    @cached_property
    def turn(self) -> Vector:
        """Rotation (3, 3) from the patient's frame to the room's."""
        cy, sy, cr, sr = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.roll), np.sin(self.roll)
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(about_z @ about_y)

    @property
    def _depths(self) -> tuple[float, float]:
        """Room z of the source and of the detector."""
        front = 1.0 if self.view == "PA" else -1.0
        return front * (self.gap - DISTANCE[self.view]), front * self.gap

    def rays(self, window: Window | None = None) -> Rays:
        """The rays to the centres of the pixels of `window` (rows, columns); None takes the whole detector."""
        rows, columns = window or (slice(0, self.size), slice(0, self.size))
        offset = (np.arange(self.size) + 0.5 - self.size / 2) * self.pitch
        v, u = np.meshgrid(offset[rows] + CENTRAL_Y, offset[columns], indexing="ij")
        source_z, detector_z = self._depths
        pixels = np.stack([u, v, np.full_like(u, detector_z)])
        source = self.turn.T @ np.array([0.0, CENTRAL_Y, source_z])
        direction = np.tensordot(self.turn.T, pixels, axes=1) - source[:, None, None]
        direction /= np.linalg.norm(direction, axis=0)
        nearest = source[:, None, None] - np.tensordot(source, direction, axes=1) * direction
        return Rays(nearest.astype(np.float32), direction.astype(np.float32))

    def project(self, points: Vector) -> tuple[Vector, Vector, Vector]:
        """Row, column (in pixels; pixel centres at half-integers) and magnification of points (n, 3)."""
        x, y, z = self.turn @ points.T
        source_z, detector_z = self._depths
        magnification = (detector_z - source_z) / (z - source_z)
        columns = x * magnification / self.pitch + self.size / 2
        rows = (y - CENTRAL_Y) * magnification / self.pitch + self.size / 2
        return rows, columns, magnification

    def window(self, points: Vector, margin: float) -> Window:
        """The pixels that the shadow of `points` (n, 3), each `margin` mm in radius, can reach."""
        rows, columns, magnification = self.project(points)
        reach = margin * magnification / self.pitch + 1
        return self._span(rows, reach), self._span(columns, reach)

    def _span(self, at: Vector, reach: Vector) -> slice:
        start = int(np.clip(np.floor((at - reach).min()), 0, self.size))
        return slice(start, int(np.clip(np.ceil((at + reach).max()), start, self.size)))


@dataclass(frozen=True)
class Rays:
    """Rays as the point nearest to the patient's origin and the unit direction, each (3, h, w)."""

    nearest: Floats
    direction: Floats


@dataclass(frozen=True)
class Quadric:
    """The points p with |matrix (p - centre)| <= 1: an ellipsoid if `matrix` is (3, 3), a cylinder if it is (2, 3)."""

    centre: Vector
    matrix: Vector

    @property
    def reach(self) -> float:
        """Radius in mm of the ball about `centre` that holds an ellipsoid."""
        return float(1 / np.linalg.svd(self.matrix, compute_uv=False).min())

    def interval(self, rays: Rays) -> Interval:
        """Where each ray enters and leaves, in mm; exact."""
        o = np.tensordot(self.matrix.astype(np.float32), rays.nearest - self.centre[:, None, None].astype("f4"), axes=1)
        d = np.tensordot(self.matrix.astype(np.float32), rays.direction, axes=1)
        a = np.einsum("khw,khw->hw", d, d)
        b = np.einsum("khw,khw->hw", o, d)
        # the distance of the ray's line from the centre, without the cancellation of b * b - a * c
        miss = o - (b / a) * d
        half = np.sqrt(np.maximum(1 - np.einsum("khw,khw->hw", miss, miss), 0) / a)
        return -b / a - half, -b / a + half

    def holds(self, points: Vector) -> npt.NDArray[np.bool_]:
        """Whether each of `points` (n, 3) lies inside."""
        return np.asarray((((points - self.centre) @ self.matrix.T) ** 2).sum(-1) <= 1)

    def scaled(self, factor: float, about: Vector | None = None) -> Quadric:
        """The same shape `factor` times as large, about a fixed point (its own centre by default)."""
        fixed = self.centre if about is None else about
        return Quadric(fixed + factor * (self.centre - fixed), self.matrix / factor)


@dataclass(frozen=True)
class Slab:
    """The points with low <= y <= high, in mm; either may be infinite."""

    low: float
    high: float

    def interval(self, rays: Rays) -> Interval:
        """Where each ray enters and leaves, in mm."""
        slope = np.where(np.abs(rays.direction[1]) < 1e-7, np.float32(1e-7), rays.direction[1])
        ends = [(np.clip(edge, -1e6, 1e6) - rays.nearest[1]) / slope for edge in (self.low, self.high)]
        return np.minimum(*ends), np.maximum(*ends)

    def holds(self, points: Vector) -> npt.NDArray[np.bool_]:
        """Whether each of `points` (n, 3) lies inside."""
        return np.asarray((points[:, 1] >= self.low) & (points[:, 1] <= self.high))


Shape = Quadric | Slab


def ellipsoid(centre: Sequence[float], semi_axes: Sequence[float], *, tilt: float = 0.0, lean: float = 0.0) -> Quadric:
    """An ellipsoid in mm, turned in the frontal plane by `tilt`, then about the x axis by `lean` (degrees).

    A positive tilt turns the patient's left end of the x axis towards the feet, a positive lean the top to the front.
    """
    t, s = np.radians(tilt), np.radians(lean)
    frontal = np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])
    sagittal = np.array([[1, 0, 0], [0, np.cos(s), np.sin(s)], [0, -np.sin(s), np.cos(s)]])
    turn = sagittal @ frontal
    return Quadric(np.asarray(centre, dtype=float), np.diag(1 / np.asarray(semi_axes, dtype=float)) @ turn.T)


def cylinder(centre: Sequence[float], semi_x: float, semi_z: float, *, tilt: float = 0.0) -> Quadric:
    """An endless upright elliptic cylinder in mm, turned in the frontal plane by `tilt` degrees."""
    closed = ellipsoid(centre, (semi_x, 1.0, semi_z), tilt=tilt)
    return Quadric(closed.centre, closed.matrix[[0, 2]])  # without the row of its long axis it has no ends


def common(first: Interval, second: Interval) -> Interval:
    """The part of each ray inside both."""
    enter = np.maximum(first[0], second[0])
    return enter, np.maximum(enter, np.minimum(first[1], second[1]))


def length(inside: Interval) -> Floats:
    """Path length in mm."""
    return np.asarray(inside[1] - inside[0])


def union_length(shapes: Sequence[Interval], within: Interval | None = None) -> Floats:
    """Path length in mm inside any of `shapes` (and inside `within`, where given); overlaps count once.

    With both ends sorted, the i-th leave and the next enter bound a gap exactly where i intervals have come and gone.
    """
    parts = [common(within, part) for part in shapes] if within is not None else list(shapes)
    enter = np.sort(np.stack([part[0] for part in parts]), axis=0)
    leave = np.sort(np.stack([part[1] for part in parts]), axis=0)
    gaps = np.maximum(enter[1:] - leave[:-1], 0).sum(axis=0)
    return np.asarray(leave[-1] - enter[0] - gaps)


def outside_length(base: Interval, removed: Sequence[Interval]) -> Floats:
    """Path length in mm inside `base` and outside all of `removed`."""
    if not removed:
        return length(base)
    return np.asarray(np.maximum(length(base) - union_length(removed, within=base), 0))
