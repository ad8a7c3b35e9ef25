"""From rays to pixels: which object each sample sees, what colour it has there, and their means.

A chunk of scenes at a time, and within it group by group (bodies). Sums are taken in an order that
does not depend on what else is in the chunk: the same scene gives the same bits in any batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course_lib.world import camera, shading, shadows, tables
from course_lib.world.bodies import Bodies, Group, bodies_of, boxes, groups, rays
from course_lib.world.rays import Vector, hit, normal
from course_lib.world.scene import NONE, Scenes
from course_lib.world.shading import Light, Points
from course_lib.world.shadows import Outlines


def draw(scenes: Scenes, how: dict[str, int], out: dict[str, np.ndarray]) -> None:
    """One chunk of scenes, into the arrays of `out`, with the `size` and `supersample` of `how`."""
    bodies = bodies_of(scenes)
    if "rgb" in out:
        _draw_rgb(scenes, bodies, how["size"], how["supersample"], out["rgb"])
    if out.keys() & {"depth", "normals", "instance"}:
        _draw_geometry(scenes, bodies, how["size"], out)


def _cast(bodies: Bodies, grid: int, align: int, nearest: np.ndarray) -> list[tuple]:
    """Every body's rays → groups with P, D and τ (G, h · w); fills `nearest` (B, grid, grid)."""
    found = []
    nearest.fill(np.inf)
    for group in groups(bodies.shape, boxes(bodies, grid, align), grid):
        P, D = rays(bodies, group, grid)
        tau = hit(group.shape, P, D)
        depth = _depth(bodies, group, tau)
        for g, body, rows, columns in group.windows():
            window = nearest[bodies.scene[body], rows, columns]
            np.minimum(window, depth[g], out=window)
        found.append((group, P, D, tau))
    return found


def _depth(bodies: Bodies, group: Group, tau: np.ndarray) -> np.ndarray:
    """τ of a group's rays → depth in metres (G, h, w), inf where they miss."""
    radius, centre = bodies.radius[group.ids], bodies.seen[group.ids, 2]
    depth = tau * radius.astype(np.float32)[:, None]
    depth += centre.astype(np.float32)[:, None]
    depth[depth <= 0] = np.inf  # behind the camera
    return depth.reshape(-1, group.height, group.width)


def _seen(bodies: Bodies, group: Group, tau: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Which samples of a group's boxes show its body → bool (G, h, w)."""
    depth = _depth(bodies, group, tau)
    seen = depth < np.inf
    for g, body, rows, columns in group.windows():
        seen[g] &= depth[g] == nearest[bodies.scene[body], rows, columns]
    return seen


def _draw_rgb(scenes: Scenes, bodies: Bodies, size: int, s: int, rgb: np.ndarray) -> None:
    ramps = tables.ramps(scenes)
    lamps = shading.light(scenes, ramps)
    views = shadows.outlines(bodies, lamps.direction[bodies.scene])
    painted = _painted(scenes, bodies, lamps, views, size, s)
    shaded = _shaded(scenes, bodies, lamps, views, size)
    rows = tables.rows(scenes, size * s)
    sun = (lamps.sun * lamps.direction[:, 2:]).astype(np.float32)
    sky = lamps.sky.astype(np.float32)
    for b in range(len(scenes)):
        level = _pixels(tables.values(rows, b).astype(np.float32), s)
        level *= np.float32(1 / 255 / s**2)
        lit, dim = np.ones((2, size, size), np.float32)
        objects = np.zeros((4, size, size), np.float32)
        for body in np.flatnonzero(bodies.scene == b).tolist():  # in one order: sums are rounded
            if body in shaded:
                window, some_lit, some_dim = shaded[body]
                lit[window] *= some_lit
                dim[window] *= some_dim
            if body in painted:
                window, piece = painted[body]
                objects[:, *window] += piece
        objects *= np.float32(1 / s**2)
        colour = level * (ramps[b, 1] - ramps[b, 0])[:, None, None]
        colour += ramps[b, 0][:, None, None]
        light = lit * sun[b][:, None, None]
        light += dim * sky[b][:, None, None]
        colour *= light
        colour *= 1 - objects[3]
        colour += objects[:3]
        np.minimum(colour, 1, out=colour)
        np.sqrt(colour, out=colour)
        colour *= 255
        colour += np.float32(0.5)
        rgb[b] = colour.transpose(1, 2, 0)  # cut to whole levels


def _painted(
    scenes: Scenes, bodies: Bodies, lamps: Light, views: Outlines, size: int, s: int
) -> dict[int, tuple]:
    """Body → the window of pixels that it may cover, and red, green, blue, cover there (4, h, w).

    Sums over the samples that see the body.
    """
    found = {}
    casters = shading.casters(scenes, bodies, lamps)
    nearest = np.empty((len(scenes), size * s, size * s), np.float32)
    for group, P, D, tau in _cast(bodies, size * s, s, nearest):
        seen = _seen(bodies, group, tau, nearest)
        points, where = _points(group, P, D, tau, seen)
        points = _in_shadow(bodies, views, casters, group.ids, points)
        channels = shading.colours(scenes, bodies, lamps, group.ids, points)
        small = []
        for channel in (*channels, np.float32(1)):
            full = np.zeros(seen.shape, np.float32)
            full.ravel()[where] = channel
            small.append(_pixels(full, s))
        small = np.stack(small, axis=1)
        for g, body, rows, columns in group.windows():
            window = tuple(slice(v.start // s, v.stop // s) for v in (rows, columns))
            found[body] = window, small[g]
    return found


def _points(
    group: Group, P: Vector, D: Vector, tau: np.ndarray, seen: np.ndarray
) -> tuple[Points, np.ndarray]:
    """The points of a group that are seen, and their places in `seen`, flat."""
    where = np.flatnonzero(seen)
    P, D = ([v.ravel()[where] for v in vectors] for vectors in (P, D))
    tau = tau.ravel()[where]
    p = [a + tau * d for a, d in zip(P, D, strict=True)]
    counts = np.count_nonzero(seen.reshape(len(seen), -1), axis=1)
    return Points(counts, p, normal(group.shape, p), D, None), where


def _in_shadow(
    bodies: Bodies, views: Outlines, casters: dict, ids: np.ndarray, points: Points
) -> Points:
    """The same points, knowing their share of the sun where something may stand before it."""
    share, end = None, np.cumsum(points.counts)
    for g, body in enumerate(ids.tolist()):
        if body in casters:
            share = np.ones_like(points.p[0]) if share is None else share
            some = slice(end[g] - points.counts[g], end[g])
            p = [v[some] for v in points.p]
            share[some] = shading.share_of_sun(bodies, views, body, casters[body], p)
    return replace(points, share=share)


def _pixels(samples: np.ndarray, s: int) -> np.ndarray:
    """(…, h s, w s) → (…, h, w): sums of s × s samples, in one order of additions."""
    total = samples[..., ::s, ::s].copy()
    for k in range(1, s * s):
        total += samples[..., k // s :: s, k % s :: s]
    return total


def _shaded(
    scenes: Scenes, bodies: Bodies, lamps: Light, views: Outlines, size: int
) -> dict[int, tuple]:
    """Body → the window of pixels of the table that it dims, its shares of sun and sky there."""
    found = {}
    depth = tables.row_depth(scenes, size)
    box = shadows.table_boxes(scenes, bodies, lamps.direction[bodies.scene], size)
    for group in groups(bodies.shape, box, size):
        sun, sky = shadows.on_table(scenes, bodies, views, group, depth, size)
        for g, body, rows, columns in group.windows():
            found[body] = (rows, columns), sun[g], sky[g]
    return found


def _draw_geometry(scenes: Scenes, bodies: Bodies, size: int, out: dict[str, np.ndarray]) -> None:
    nearest = np.empty((len(scenes), size, size), np.float32)
    instance = np.full(nearest.shape, NONE, np.int8)
    normals = out.get("normals")
    if normals is not None:
        normals[...] = camera.axes(scenes)[:, None, None, :, 2]
    for group, P, D, tau in _cast(bodies, size, 1, nearest):
        seen = _seen(bodies, group, tau, nearest)
        for g, body, rows, columns in group.windows():
            scene, place = bodies.scene[body], np.int8(bodies.place[body])
            np.copyto(instance[scene, rows, columns], place, where=seen[g])
        if normals is not None:
            points, where = _points(group, P, D, tau, seen)
            g, row, column = np.unravel_index(where, seen.shape)
            place = bodies.scene[group.ids][g], group.top[g] + row, group.left[g] + column
            normals[place] = shading.to_camera(bodies, group.ids, points)
    if "instance" in out:
        out["instance"][...] = instance
    if "depth" in out:
        rows = tables.row_depth(scenes, size).astype(np.float32)[..., None]
        out["depth"][...] = np.where(instance == NONE, rows, nearest)
