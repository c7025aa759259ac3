"""Path lengths and projection against closed forms and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrayinterp.datasets.phantom_rays import (
    DISTANCE,
    Beam,
    Rays,
    Slab,
    common,
    cylinder,
    ellipsoid,
    length,
    outside_length,
    union_length,
)
from xrayinterp.datasets.phantom_tubes import Tube, add_shadows, rounded


def single(values: list[tuple[float, float]]) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.full((1, 1), a, np.float32), np.full((1, 1), b, np.float32)) for a, b in values]


def measure(parts: list[tuple[float, float]]) -> float:
    """Length of a union of intervals by merging them one after the other."""
    total, reached = 0.0, -np.inf
    for start, end in sorted(parts):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def through(source: np.ndarray, target: np.ndarray) -> Rays:
    direction = (target - source) / np.linalg.norm(target - source)
    nearest = source - (source @ direction) * direction
    return Rays(nearest[:, None, None].astype(np.float32), direction[:, None, None].astype(np.float32))


INTERVALS = st.lists(
    st.tuples(st.floats(-200, 200), st.floats(0, 150)).map(lambda p: (p[0], p[0] + p[1])), min_size=1, max_size=8
)


@given(INTERVALS)
def test_union_is_the_measure_of_the_merged_intervals(parts: list[tuple[float, float]]) -> None:
    assert union_length(single(parts))[0, 0] == pytest.approx(measure(parts), abs=2e-3)


@given(INTERVALS, st.floats(-200, 0), st.floats(0, 300))
def test_inside_plus_outside_is_the_base(parts: list[tuple[float, float]], start: float, extent: float) -> None:
    base = single([(start, start + extent)])[0]
    clipped = [(max(a, start), max(max(a, start), min(b, start + extent))) for a, b in parts]
    outside = outside_length(base, single(parts))[0, 0]
    assert outside == pytest.approx(extent - measure(clipped), abs=2e-3)
    assert outside + union_length(single(parts), base)[0, 0] == pytest.approx(extent, abs=2e-3)


@given(st.floats(-59, 59), st.floats(-59, 59))
def test_sphere_chord_is_closed_form(x: float, y: float) -> None:
    rays = through(np.array([x, y, -1500.0]), np.array([x, y, 130.0]))
    chord = length(ellipsoid([0, 0, 20], [60, 60, 60]).interval(rays))[0, 0]
    assert chord == pytest.approx(2 * np.sqrt(max(3600 - x * x - y * y, 0)), abs=0.02)


@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_turned_ellipsoid_matches_the_quadratic_in_double_precision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = ellipsoid(
        rng.uniform(-60, 60, 3), rng.uniform(15, 90, 3), tilt=rng.uniform(-90, 90), lean=rng.uniform(-40, 40)
    )
    source, target = np.array([0, 35.0, -1600]), shape.centre + rng.uniform(-60, 60, 3)
    direction = (target - source) / np.linalg.norm(target - source)
    o, d = shape.matrix @ (source - shape.centre), shape.matrix @ direction
    expected = 2 * np.sqrt(max((o @ d) ** 2 - (d @ d) * (o @ o - 1), 0)) / (d @ d)
    assert length(shape.interval(through(source, target)))[0, 0] == pytest.approx(expected, abs=0.05)


def test_chord_vanishes_beyond_the_shape() -> None:
    rays = through(np.array([70.0, 0, -1500]), np.array([70.0, 0, 130]))
    assert length(ellipsoid([0, 0, 0], [60, 60, 60]).interval(rays))[0, 0] == 0


def test_slab_cuts_a_tilted_ray_at_its_heights() -> None:
    rays = through(np.array([0.0, -100, -100]), np.array([0.0, 100, 100]))
    assert length(Slab(-10, 30).interval(rays))[0, 0] == pytest.approx(40 * np.sqrt(2), rel=1e-5)


def test_a_ray_along_a_slab_is_all_in_or_all_out() -> None:
    rays = through(np.array([0.0, 5, -1000]), np.array([0.0, 5, 100]))
    ball = ellipsoid([0, 0, 0], [50, 50, 50]).interval(rays)
    assert length(common(ball, Slab(0, 10).interval(rays)))[0, 0] == pytest.approx(length(ball)[0, 0], rel=1e-5)
    assert length(common(ball, Slab(10, 20).interval(rays)))[0, 0] == 0


@pytest.mark.parametrize("view", ["PA", "AP"])
def test_shadow_of_a_sphere_has_the_area_of_the_cone(view: str) -> None:
    beam = Beam(view=view, size=400, field=400.0, gap=130.0)
    centre = beam.turn.T @ np.array([0, 35.0, 0])
    lengths = length(ellipsoid(centre, [40, 40, 40]).interval(beam.rays()))
    to_centre = DISTANCE[view] - 130
    radius = DISTANCE[view] * 40 / np.sqrt(to_centre**2 - 1600)
    assert (lengths > 0).sum() * beam.pitch**2 == pytest.approx(np.pi * radius**2, rel=0.005)


@settings(max_examples=40)
@given(st.floats(-120, 120), st.floats(-120, 180), st.floats(-90, 90), st.floats(-0.1, 0.1), st.floats(-0.05, 0.05))
def test_projection_and_rays_are_one_geometry(x: float, y: float, z: float, yaw: float, roll: float) -> None:
    for view in ("PA", "AP"):
        beam = Beam(view=view, size=64, field=420.0, gap=130.0, yaw=yaw, roll=roll)
        point = np.array([x, y, z])
        row, column = (float(v[0]) for v in beam.project(point[None])[:2])
        if not (0.5 <= row < 63.5 and 0.5 <= column < 63.5):
            continue
        r, c = int(row - 0.5), int(column - 0.5)
        rays = beam.rays((slice(r, r + 2), slice(c, c + 2)))
        apart = rays.nearest - point[:, None, None]
        miss = apart - (apart * rays.direction).sum(0) * rays.direction
        near = np.linalg.norm(miss, axis=0)
        weight = np.outer([r + 1.5 - row, row - r - 0.5], [c + 1.5 - column, column - c - 0.5])
        assert np.linalg.norm((miss * weight).sum((1, 2))) < 0.02 * beam.pitch
        assert near.min() < beam.pitch


def test_patients_left_is_on_the_image_right_in_both_views() -> None:
    for view in ("PA", "AP"):
        rows, columns, _ = Beam(view=view, size=100, field=400.0, gap=130.0).project(
            np.array([[90.0, 0, 0], [-90, 80, 0]])
        )
        assert columns[0] > 50 > columns[1]
        assert rows[0] < rows[1]


def test_what_is_far_from_the_detector_is_larger() -> None:
    front = np.array([[0.0, 0, 60]])
    pa, ap = (Beam(view=view, size=100, field=400.0, gap=130.0).project(front)[2][0] for view in ("PA", "AP"))
    assert pa == pytest.approx(1800 / (1800 - 70))
    assert ap == pytest.approx(1050 / (1050 - 190))


def test_upright_tube_agrees_with_the_exact_cylinder() -> None:
    beam = Beam(view="PA", size=300, field=300.0, gap=130.0)
    tube = Tube(np.array([[20.0, -400, 10], [20, 0, 10], [20, 400, 10]]), np.full(3, 12.0))
    drawn = add_shadows(np.zeros((300, 300), np.float32), beam, [tube])
    exact = length(cylinder((20, 0, 10), 12, 12).interval(beam.rays()))
    row = 150
    assert drawn[row].max() == pytest.approx(24, rel=0.01)
    assert np.abs(drawn[row] - exact[row]).mean() < 0.05
    assert drawn[row].sum() == pytest.approx(exact[row].sum(), rel=0.01)


def test_hollow_tube_has_wall_and_cavity() -> None:
    beam = Beam(view="PA", size=200, field=200.0, gap=130.0)
    tube = Tube(np.array([[0.0, -300, 0], [0, 300, 0]]), np.full(2, 10.0), 1.0, wall=2.0)
    blank = np.zeros((200, 200), np.float32)
    whole, cavity = add_shadows(blank.copy(), beam, [tube]), add_shadows(blank.copy(), beam, [tube], cavity=True)
    assert cavity.max() == pytest.approx(16, rel=0.01)
    assert (whole - cavity)[100].max() > 9  # bright edges, as bone has
    assert (whole >= cavity).all()


def test_abutting_tubes_do_not_overlap() -> None:
    beam = Beam(view="PA", size=200, field=200.0, gap=130.0)
    points = np.array([[-60.0, 35, 0], [0, 35, 0], [60, 35, 0]])
    halves = [Tube(points[:2], np.full(2, 8.0)), Tube(points[1:], np.full(2, 8.0))]
    drawn = add_shadows(np.zeros((200, 200), np.float32), beam, halves)
    assert drawn.max() == pytest.approx(16, rel=0.02)


def test_rounded_ends_reach_one_radius_further() -> None:
    tube = rounded(np.array([[0.0, 0, 0], [50, 0, 0]]), np.full(2, 6.0))
    assert tube.points[:, 0].min() == pytest.approx(-6)
    assert tube.points[:, 0].max() == pytest.approx(56)
    assert tube.radii[[0, -1]] == pytest.approx([0, 0], abs=1e-6)
