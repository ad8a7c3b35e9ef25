"""Rays against a march through `solids.inside` and the quartic's roots; boxes and groups."""

from dataclasses import replace

import numpy as np
import pytest

from course_lib.world import bodies, camera, rays, solids
from course_lib.world.scene import edit, sample
from course_lib.world.solids import SHAPES, TORUS, TORUS_RING, TORUS_TUBE

RNG = np.random.default_rng(0)


def bundle(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rays from all sides: near points P (n, 3) and directions D (n, 3), float32."""
    D = RNG.normal(size=(n, 3))
    D *= RNG.uniform(1, 1.2, (n, 1)) / np.linalg.norm(D, axis=1, keepdims=True)
    P = RNG.uniform(-1, 1, (n, 3))
    return P.astype(np.float32), D.astype(np.float32)


def march(shape: int, P: np.ndarray, D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First τ inside, by steps of 1/500 and bisection; and how long the ray then stays inside."""
    P, D = P.astype(float), D.astype(float)
    steps = np.arange(-4, 4, 0.002)
    within = solids.inside(shape, P[:, None] + steps[:, None] * D[:, None])
    first = within.argmax(axis=1)
    met = within.any(axis=1)
    high = steps[first]
    low = high - 0.002
    for _ in range(40):
        middle = (low + high) / 2
        now = solids.inside(shape, P + middle[:, None] * D)
        low, high = np.where(now, low, middle), np.where(now, middle, high)
    run = np.array([np.argmin(np.append(w[f:], False)) for w, f in zip(within, first, strict=True)])
    return np.where(met, high, np.inf), run * 0.002


@pytest.mark.parametrize("shape", range(5), ids=SHAPES)
def test_hits_are_where_a_march_finds_them(shape: int) -> None:
    P, D = bundle(2500)
    found = rays.hit(shape, list(P.T), list(D.T))
    expected, run = march(shape, P, D)
    clear = run > 0.02  # a shorter cut lies within the march's own step
    np.testing.assert_allclose(found[clear], expected[clear], atol=2e-5)
    assert clear.sum() > 700
    only_ours = np.isfinite(found) & ~np.isfinite(expected)
    assert only_ours.mean() < 0.003  # thinner than a step
    assert not (np.isfinite(expected) & ~np.isfinite(found) & (run > 0.005)).any()


def first_root(P: np.ndarray, D: np.ndarray) -> np.ndarray:
    """The torus' quartic, multiplied out and solved by NumPy's companion matrix, in float64."""
    found = np.full(len(P), np.inf)
    for i, (p, d) in enumerate(zip(P.astype(float), D.astype(float), strict=True)):
        square = np.array([d @ d, 2 * p @ d, p @ p + TORUS_RING**2 - TORUS_TUBE**2])
        flat = np.array([d[:2] @ d[:2], 2 * p[:2] @ d[:2], p[:2] @ p[:2]])
        roots = np.roots(np.polysub(np.polymul(square, square), 4 * TORUS_RING**2 * flat))
        real = roots[np.abs(roots.imag) < 1e-9].real
        found[i] = real.min() if len(real) else np.inf
    return found


def test_grazing_rays_of_the_torus() -> None:
    """Rays that touch the surface, from a thousandth inside to a thousandth outside."""
    n = 1500
    a, b = RNG.uniform(0, 2 * np.pi, (2, n))
    outward = np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], axis=1)
    ring = np.stack([np.cos(a), np.sin(a), 0 * a], axis=1)
    D = np.cross(outward, RNG.normal(size=(n, 3)))
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    offset = RNG.uniform(-1e-3, 1e-3, (n, 1))
    P = TORUS_RING * ring + (TORUS_TUBE + offset) * outward + RNG.uniform(-1, 1, (n, 1)) * D
    P, D = P.astype(np.float32), D.astype(np.float32)
    found, expected = rays.hit(TORUS, list(P.T), list(D.T)), first_root(P, D)
    both = np.isfinite(found) & np.isfinite(expected)
    assert both.mean() > 0.4
    # A touch moves by the root of the rounding: 1e-6 of the quartic is 1e-3 of the way.
    error = np.abs(found[both] - expected[both])
    assert np.quantile(error, 0.9) < 2e-4
    assert error.max() < 0.02
    # They differ on hit or miss only where the ray is within float32 of touching.
    differ = np.isfinite(found) != np.isfinite(expected)
    assert (np.abs(offset[differ]) < 3e-5).all()
    assert differ.mean() < 0.03


def test_rays_along_an_axis_and_through_the_middle() -> None:
    zero, one = np.zeros(3, np.float32), np.eye(3, dtype=np.float32)
    for shape, expected in enumerate(
        [
            (-1, -1, -1),
            (-0.8,) * 3,
            (-0.72, -0.72, -0.85),
            (-0.475, -0.475, -0.95),
            (-1, -1, np.inf),
        ]
    ):
        found = rays.hit(shape, [zero] * 3, list(one))
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=SHAPES[shape])


@pytest.mark.parametrize("shape", range(5), ids=SHAPES)
def test_normals_are_the_way_out(shape: int) -> None:
    """Of all small steps from a surface point, those along the normal leave soonest."""
    P, D = bundle(1500)
    tau = rays.hit(shape, list(P.T), list(D.T))
    P, D, tau = (v[np.isfinite(tau)] for v in (P, D, tau))
    p = P + tau[:, None] * D
    n = np.stack(rays.normal(shape, list(p.T)), axis=1).astype(float)
    np.testing.assert_allclose(np.linalg.norm(n, axis=1), 1, atol=1e-4)
    assert ((n * D).sum(axis=1) < 1e-3).all()  # it faces the ray
    assert not solids.inside(shape, p + 1e-3 * n).any()
    assert solids.inside(shape, p - 1e-3 * n).mean() > 0.98  # the others are next to an edge
    # Steps within the tangent plane leave by the square of their length at most: edges apart.
    aside = np.cross(n, RNG.normal(size=n.shape))
    aside *= 0.01 / np.linalg.norm(aside, axis=1, keepdims=True)
    assert solids.inside(shape, p + aside - 6e-4 * n).mean() > 0.94
    assert solids.inside(shape, p + aside + 6e-4 * n).mean() < 0.06


def test_boxes_hold_the_body_and_little_else() -> None:
    """Against the pictures of a cloud of points of each solid."""
    scenes = sample(range(60))
    some = bodies.bodies_of(scenes)
    box = bodies.boxes(some, 256)
    cloud = RNG.uniform(-1.4, 1.4, (300_000, 3))
    solid_of = [cloud[solids.inside(shape, cloud)] for shape in range(5)]
    for i in range(0, len(some), 3):
        solid = solid_of[some.shape[i]] * some.radius[i]
        world = solid @ some.world[i].T + some.centre[i]
        xy, _ = camera.project(scenes[int(some.scene[i])], world[None], 256)
        low, high = xy[0].min(axis=0) + 0.5, xy[0].max(axis=0) + 0.5
        low, high = np.clip(low, 0, 256), np.clip(high, 0, 256)
        assert (box[i, :2] <= low).all()
        assert (box[i, 2:] >= high).all()
        assert (box[i, :2] >= low - 8).all()  # the cloud does not reach the very edge
        assert (box[i, 2:] <= high + 8).all()
    aligned = bodies.boxes(some, 256, 4)
    assert (aligned % 4 == 0).all()


def test_a_body_behind_the_camera_has_no_box() -> None:
    scenes = edit(sample(0), 0, y=-5.0)
    assert (bodies.boxes(bodies.bodies_of(scenes), 64)[0] == 0).all()


def test_groups_hold_every_body_once_and_their_boxes_hold_theirs() -> None:
    some = bodies.bodies_of(sample(range(80)))
    box = bodies.boxes(some, 128, 2)
    seen = []
    for group in bodies.groups(some.shape, box, 128):
        assert (some.shape[group.ids] == group.shape).all()
        for _, body, rows, columns in group.windows():
            assert 0 <= columns.start <= box[body, 0] <= box[body, 2] <= columns.stop <= 128
            assert 0 <= rows.start <= box[body, 1] <= box[body, 3] <= rows.stop <= 128
            assert columns.start % 2 == rows.start % 2 == 0
            seen.append(body)
    assert sorted(seen) == list(range(len(some)))


def test_rays_go_through_their_samples() -> None:
    scenes = replace(sample(range(6)), azimuth=np.linspace(-2, 2, 6))
    some = bodies.bodies_of(scenes)
    box = bodies.boxes(some, 64)
    for group in bodies.groups(some.shape, box, 64):
        P, D = bodies.rays(some, group, 64)
        for g, body, rows, columns in group.windows():
            tau = RNG.uniform(-1, 1)
            own = np.stack([(p[g] + tau * d[g]) for p, d in zip(P, D, strict=True)], axis=-1)
            world = own * some.radius[body] @ some.world[body].T + some.centre[body]
            xy, depth = camera.project(scenes[int(some.scene[body])], world[None], 64)
            y, x = np.mgrid[rows, columns].reshape(2, -1)
            np.testing.assert_allclose(xy[0], np.stack([x, y], 1), atol=2e-3)
            expected = some.seen[body, 2] + tau * some.radius[body]
            np.testing.assert_allclose(depth[0], expected, atol=1e-6)
