"""Where rays first meet the five solids, and the surface's normal there, in the solid's own frame.

Everything is float32 and works on bundles: a vector is a list of three arrays of one shape. A ray
is P + τ D, in radii of the solid, where P is the ray's point at the depth of the solid's centre: P
is small, so float32 loses nothing. Rays start outside of the solid. A miss is τ = inf.
"""

from __future__ import annotations

import numpy as np

from course_lib.world.solids import (
    CONE,
    CONE_HALF,
    CONE_RADIUS,
    CUBE,
    CUBE_HALF,
    CYLINDER,
    CYLINDER_HALF,
    CYLINDER_RADIUS,
    SPHERE,
    TORUS_RING,
    TORUS_TUBE,
)

Vector = list[np.ndarray]
MISS = np.float32(np.inf)
TINY = np.float32(1e-9)  # keeps a ray that is parallel to a face from dividing zero by zero
SLOPE = CONE_RADIUS / (2 * CONE_HALF)
STEPS = 9  # of the torus' Newton iteration: with 7, two of 20,000 random rays are 0.008 off
ROUNDING = np.float32(1e-4)  # what a converged step may leave its bracket by


def dot(a: Vector, b: Vector) -> np.ndarray:
    """Two vectors → their inner product, in one fixed order of additions."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def hit(shape: int, P: Vector, D: Vector) -> np.ndarray:
    """One solid's shape and a bundle of rays (…) → τ of the first hit (…), inf where none."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return (_sphere, _cube, _cylinder, _cone, _torus)[shape](P, D)


def _sphere(P: Vector, D: Vector) -> np.ndarray:
    a, b = dot(D, D), dot(P, D)
    under = b * b - a * (dot(P, P) - 1)
    tau = (-b - np.sqrt(under)) / a
    return np.where(under >= 0, tau, MISS)


def _slab(p: np.ndarray, d: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a ray enters and leaves −half ≤ coordinate ≤ half."""
    inverse = 1 / np.where(np.abs(d) < TINY, TINY, d)
    middle, reach = -p * inverse, np.abs(inverse) * np.float32(half)
    return middle - reach, middle + reach


def _cube(P: Vector, D: Vector) -> np.ndarray:
    enter, leave = zip(*(_slab(p, d, CUBE_HALF) for p, d in zip(P, D, strict=True)), strict=True)
    near = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
    far = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
    return np.where(near <= far, near, MISS)


def _cylinder(P: Vector, D: Vector) -> np.ndarray:
    a = np.maximum(D[0] * D[0] + D[1] * D[1], TINY)
    b = P[0] * D[0] + P[1] * D[1]
    under = b * b - a * (P[0] * P[0] + P[1] * P[1] - np.float32(CYLINDER_RADIUS**2))
    root = np.sqrt(under)
    enter, leave = _slab(P[2], D[2], CYLINDER_HALF)
    near = np.maximum((-b - root) / a, enter)
    far = np.minimum((root - b) / a, leave)
    return np.where(near <= far, near, MISS)  # False where the root is NaN


def _cone(P: Vector, D: Vector) -> np.ndarray:
    """The nearest of three candidates: both crossings of the mantle, and the base."""
    k, height = np.float32(SLOPE**2), np.float32(2 * CONE_HALF)
    below, sink = np.float32(CONE_HALF) - P[2], -D[2]  # the way down from the apex
    a = D[0] * D[0] + D[1] * D[1] - k * sink * sink
    b = P[0] * D[0] + P[1] * D[1] - k * below * sink
    c = P[0] * P[0] + P[1] * P[1] - k * below * below
    # Without cancellation, and with a = 0 allowed (Press et al., Numerical Recipes, §5.6).
    q = -b - np.copysign(np.sqrt(b * b - a * c), b)
    tau = np.full_like(a, MISS)
    for candidate in (q / a, c / q):
        down = below + candidate * sink
        np.minimum(tau, candidate, out=tau, where=(down >= 0) & (down <= height))
    base = (height - below) / sink
    x, y = P[0] + base * D[0], P[1] + base * D[1]
    np.minimum(tau, base, out=tau, where=x * x + y * y <= np.float32(CONE_RADIUS**2))
    return tau


def _torus(P: Vector, D: Vector) -> np.ndarray:
    """The quartic, without its cubic term: measured from where the ray is nearest to the centre."""
    a = dot(D, D)
    start = -dot(P, D) / a
    Q = [p + start * d for p, d in zip(P, D, strict=True)]
    tau = np.full(a.shape, MISS)
    rays = np.flatnonzero(dot(Q, Q) <= 1)  # the others miss the ball around the torus
    a, start, *flat = (v.ravel()[rays] for v in (a, start, *Q, *D))
    qx, qy, qz, dx, dy, _ = flat
    four_ring = np.float32(4 * TORUS_RING**2)
    speed = np.sqrt(a)
    k = qx * qx + qy * qy + qz * qz + np.float32(TORUS_RING**2 - TORUS_TUBE**2)
    p = 2 * k - four_ring * (dx * dx + dy * dy) / a
    q = -2 * four_ring * (qx * dx + qy * dy) / speed
    r = k * k - four_ring * (qx * qx + qy * qy)
    u = _first_root(p, q, r)
    tau.ravel()[rays] = start + u / speed
    return tau


def _first_root(p: np.ndarray, q: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Smallest root of u⁴ + p u² + q u + r, which is positive at −1.01 and before; inf if none.

    The quartic falls to its first minimum and, if that is above zero, to its second one: where the
    value there is not above zero the root is bracketed. Newton from the minimum's own parabola.
    """

    def value(u: np.ndarray) -> np.ndarray:
        return ((u * u + p) * u + q) * u + r

    first, second = _minima(p, q)
    use_second = value(first) > 0
    low = np.where(use_second, -first - second, np.float32(-1.01))
    high = np.where(use_second, second, first)
    bottom, bend = value(high), 6 * high * high + p
    u = high - np.sqrt(np.maximum(-bottom, 0) / np.maximum(bend, TINY))
    for _ in range(STEPS):
        # Outside of the bracket by more than rounding: halve it instead.
        u = np.where((u > low - ROUNDING) & (u < high + ROUNDING), u, (low + high) / 2)
        f = value(u)
        low, high = np.where(f > 0, u, low), np.where(f > 0, high, u)
        slope = (4 * u * u + 2 * p) * u + q
        u = u - f / np.where(slope == 0, MISS, slope)
    return np.where(bottom <= 0, u, MISS)


def _minima(p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last place where 4u³ + 2pu + q is zero (Cardano; three roots by Viète's cosine)."""
    third, half = p / 6, q / 8
    under = half * half + third * third * third
    side = np.cbrt(np.abs(half) + np.sqrt(np.maximum(under, 0)))
    one = np.copysign(side - third / np.maximum(side, TINY), -half)
    for _ in range(2):  # where two large cube roots nearly cancel, Newton restores the digits
        one = one - (one * (one * one + 3 * third) + 2 * half) / (3 * (one * one + third) + TINY)
    size = 2 * np.sqrt(np.maximum(-third, 0))
    angle = np.arccos(np.clip(-half / np.maximum(size * size * size / 8, TINY), -1, 1)) / 3
    three = under < 0
    last = np.where(three, size * np.cos(angle), one)
    first = np.where(three, size * np.cos(angle + np.float32(2 * np.pi / 3)), one)
    return first, last


def normal(shape: int, p: Vector) -> Vector:
    """One solid's shape and points (…) on its surface → outward unit normals (…)."""
    x, y, z = p
    with np.errstate(divide="ignore", invalid="ignore"):
        if shape == SPHERE:
            return p
        if shape == CUBE:
            far = np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(z))
            return [np.where(np.abs(v) == far, np.sign(v), np.float32(0)) for v in p]
        if shape == CYLINDER:
            cap = np.abs(z) > np.float32(CYLINDER_HALF * (1 - 2e-6))
            side = np.where(cap, np.float32(0), np.float32(1 / CYLINDER_RADIUS))
            return [x * side, y * side, np.where(cap, np.sign(z), np.float32(0))]
        if shape == CONE:
            base = z < np.float32(-CONE_HALF * (1 - 2e-6))
            upright = np.float32(1 / np.hypot(1, SLOPE))
            out = upright / np.maximum(np.sqrt(x * x + y * y), TINY)
            out[base] = 0
            return [x * out, y * out, np.where(base, np.float32(-1), SLOPE * upright)]
        ring = np.float32(TORUS_RING) / np.maximum(np.sqrt(x * x + y * y), TINY)
        out = (1 - ring) * np.float32(1 / TORUS_TUBE)
        return [x * out, y * out, z * np.float32(1 / TORUS_TUBE)]
