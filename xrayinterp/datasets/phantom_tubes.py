"""Shadows of curved tubes: ribs, clavicles, vessels, airways and catheters.

A tube is a polyline in the patient's frame with a radius at every point. Its path length at a pixel is that through a
straight tube of elliptic section, cut off square at its ends, at the pixel's distance from the projected centre line,
lengthened where the tube runs along the ray; where segments of one tube overlap, the longest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .phantom_rays import Beam, Floats, Vector

STEEPEST = 2.0
"""Most that running along the ray may lengthen a path: tubes are short, and their ends are round."""


@dataclass(frozen=True)
class Tube:
    """A curved tube in mm: centre line (n, 3), half-width seen from the front (n,), depth as a multiple of the width.

    `wall` is the thickness of its wall in mm, or 0 where it is solid.
    """

    points: Vector
    radii: Vector
    depth: float = 1.0
    wall: float = 0.0


def rounded(points: Vector, radii: Vector, depth: float = 1.0, wall: float = 0.0) -> Tube:
    """A tube whose ends narrow to round tips beyond its first and last point."""
    t = np.sin(np.linspace(0, np.pi / 2, 5))[1:]
    tips = []
    for end, inner in ((0, 1), (-1, -2)):
        out = points[end] - points[inner]
        along = out / max(float(np.linalg.norm(out)), 1e-9)
        tips.append((points[end] + radii[end] * t[:, None] * along, radii[end] * np.sqrt(1 - t * t)))
    (first, thin), (last, thick) = tips
    return Tube(np.concatenate([first[::-1], points, last]), np.concatenate([thin[::-1], radii, thick]), depth, wall)


def add_shadows(out: Floats, beam: Beam, tubes: Sequence[Tube], *, cavity: bool = False) -> Floats:
    """Adds to `out` (size, size) the path length in mm through each tube, or through its cavity; returns `out`."""
    if not tubes:
        return out
    points = np.concatenate([tube.points for tube in tubes])
    rows, columns, magnification = beam.project(points)
    scale, stretch = magnification / beam.pitch, _obliquity(beam, points)
    start = 0
    for tube in tubes:
        part = slice(start, start + len(tube.points))
        inset = tube.wall if cavity else 0.0
        reach = np.maximum(tube.radii - inset, 0) * scale[part]
        chord = 2 * np.maximum(tube.radii * tube.depth - inset, 0)
        along = slice(start, part.stop - 1)
        if reach.max() > 0:
            _add_tube(out, rows[part], columns[part], reach, np.stack([chord[:-1], chord[1:]]) * stretch[along])
        start = part.stop
    return out


def _add_tube(out: Floats, rows: Vector, columns: Vector, reach: Vector, chord: Vector) -> None:
    """Adds one tube, given in pixels: centre line, half-widths (n,), path at both ends of segments (2, n - 1)."""
    most = float(reach.max()) + 1
    top, left = max(int(rows.min() - most), 0), max(int(columns.min() - most), 0)
    here = out[top : max(int(rows.max() + most) + 2, 0), left : max(int(columns.max() + most) + 2, 0)]
    if here.size == 0:
        return
    path = np.zeros_like(here)
    y, x = (rows - top).tolist(), (columns - left).tolist()
    wide, deep = reach.tolist(), chord.T.tolist()
    last = len(y) - 2
    for i in range(last + 1):
        if wide[i] > 0 or wide[i + 1] > 0:
            ends = (y[i], x[i], y[i + 1], x[i + 1])
            _segment(path, ends, (wide[i], wide[i + 1]), deep[i], (i == 0, i == last))
    here += path


def _segment(
    out: Floats,
    ends: tuple[float, float, float, float],
    reach: tuple[float, float],
    chord: Sequence[float],
    square: tuple[bool, bool],
) -> None:
    """Raises `out` to the path length through one straight piece, in pixels of `out`; `square` ends are cut off."""
    y0, x0, y1, x1 = ends
    most = max(reach) + 1
    top, left = max(int(min(y0, y1) - most), 0), max(int(min(x0, x1) - most), 0)
    bottom, right = int(max(y0, y1) + most) + 1, int(max(x0, x1) + most) + 1
    part = out[top:bottom, left:right]
    if part.size == 0:
        return
    dy = np.arange(top, top + part.shape[0], dtype=np.float32)[:, None] + np.float32(0.5 - y0)
    dx = np.arange(left, left + part.shape[1], dtype=np.float32)[None, :] + np.float32(0.5 - x0)
    ly, lx = y1 - y0, x1 - x0
    beyond = (dy * ly + dx * lx) / max(ly * ly + lx * lx, 1e-9)
    along = np.clip(beyond, 0, 1)
    squared = (dy - along * ly) ** 2 + (dx - along * lx) ** 2
    radius = np.maximum(reach[0] + along * (reach[1] - reach[0]), 1e-3)
    width = chord[0] + along * (chord[1] - chord[0])
    path = width * np.sqrt(np.maximum(1 - squared / (radius * radius), 0))
    if square[0]:
        path *= beyond >= 0
    if square[1]:
        path *= beyond <= 1
    np.maximum(part, path, out=part)


def _obliquity(beam: Beam, points: Vector) -> Vector:
    """One over the sine of the angle between each segment and the depth axis, at most STEEPEST: (n - 1,)."""
    step = (beam.turn @ np.diff(points, axis=0).T).T
    across = np.hypot(step[:, 0], step[:, 1]) / np.maximum(np.linalg.norm(step, axis=1), 1e-9)
    return np.asarray(1 / np.maximum(across, 1 / STEEPEST))
