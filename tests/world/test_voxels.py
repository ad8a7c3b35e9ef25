"""Voxels against closed-form volumes, a loop over every cube, and the rendered depth."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from course_lib.world import camera
from course_lib.world.bodies import BALL
from course_lib.world.render import render
from course_lib.world.scene import edit, sample
from course_lib.world.solids import (
    CONE_HALF,
    CONE_RADIUS,
    CUBE_HALF,
    CYLINDER_HALF,
    CYLINDER_RADIUS,
    SHAPES,
    TORUS_RING,
    TORUS_TUBE,
    inside,
)
from course_lib.world.voxels import EDGE, voxel_centres, voxels

VOLUME = {  # in cubed radii
    "sphere": 4 / 3 * np.pi,
    "cube": (2 * CUBE_HALF) ** 3,
    "cylinder": np.pi * CYLINDER_RADIUS**2 * 2 * CYLINDER_HALF,
    "cone": np.pi * CONE_RADIUS**2 * 2 * CONE_HALF / 3,
    "torus": 2 * np.pi**2 * TORUS_RING * TORUS_TUBE**2,
}


@pytest.fixture(scope="module")
def scenes():
    return sample(range(40), seed=2)


@pytest.mark.parametrize("lying", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_volumes_are_those_of_the_solids(shape, lying):
    first = sample([0], seed=1)
    scene = edit(replace(first, count=np.array([1])), shape=shape, yaw=0.4, lying=lying, x=0, y=0)
    grid = voxels(scene, 64, edge=0.14)
    volume = (grid == 0).sum() * (0.14 / 64) ** 3
    assert volume == pytest.approx(VOLUME[shape] * scene.radius[0, 0] ** 3, rel=0.02)
    assert (grid[0, 0] == -1).all()  # nothing is cut off
    assert (grid[0, :, :, -1] == -1).all()


def test_volumes_hold_at_the_default_edge_too(scenes):
    """Coarse cubes round each object a little, but not on average."""
    grid = voxels(scenes)
    full = [(grid[b] == p).sum() for b, p in np.argwhere(scenes.there)]
    truth = [
        VOLUME[SHAPES[scenes.shape[b, p]]] * (scenes.radius[b, p] / EDGE * 32) ** 3
        for b, p in np.argwhere(scenes.there)
    ]
    assert sum(full) == pytest.approx(sum(truth), rel=0.02)


def test_every_cube_by_a_loop(scenes):
    """Whose solid holds the middle of the cube number i along x, j along y, k upwards?"""
    R = 14
    for b in range(3):
        expected = np.full((R, R, R), -1)
        for i, j, k in np.ndindex(R, R, R):
            middle = np.array([i + 0.5 - R / 2, j + 0.5 - R / 2, k + 0.5]) * EDGE / R
            for p in range(scenes.count[b]):
                own = scenes.rotation[b, p].T @ (middle - scenes.centre[b, p])
                if inside(int(scenes.shape[b, p]), own / scenes.radius[b, p]):
                    expected[i, j, k] = p
        assert (expected >= 0).any()
        assert np.array_equal(voxels(scenes[b], R)[0], expected)


def test_the_axes_are_x_y_and_up():
    first = sample([0], seed=1)
    scene = edit(replace(first, count=np.array([1])), shape="sphere", x=0.1, y=-0.05)
    x, y, z = voxel_centres(64)
    i, j, k = np.nonzero(voxels(scene, 64)[0] == 0)
    middle = x[i].mean(), y[j].mean(), z[k].mean()
    assert middle == pytest.approx((0.1, -0.05, scene.radius[0, 0]), abs=1e-3)


def test_every_object_of_every_scene_fits_in():
    many = sample(range(3000))
    reach = (BALL[many.shape] * many.radius)[..., None]
    centre = np.where(many.there[..., None], many.centre, 0)
    assert np.abs(centre[..., :2]).max() <= EDGE / 2
    assert (np.abs(centre[..., :2]) + np.where(many.there[..., None], reach, 0)).max() <= EDGE / 2
    assert centre[..., 2].max() < 0.1


def test_objects_do_not_share_cubes(scenes):
    """Each object fills what it fills alone: no other takes a cube from it."""
    together = voxels(scenes, 48)
    for b in range(20):
        for p in range(scenes.count[b]):
            order = [p] + [q for q in range(6) if q != p]
            fields = ("shape", "radius", "position", "rotation")
            moved = {f: getattr(scenes[b], f)[:, order] for f in fields}
            alone = voxels(replace(scenes[b], count=np.array([1]), **moved), 48)
            assert np.array_equal(alone[0] == 0, together[b] == p)


def test_no_cube_stands_before_the_visible_surface_and_surfaces_have_cubes(scenes):
    R, S = 96, 256
    few = scenes[:8]
    grid, axes = voxels(few, R), voxel_centres(R)
    seen = render(few, S, ("depth", "instance"))
    for b in range(len(few)):
        i, j, k = np.nonzero(grid[b] >= 0)
        points = np.stack([axes[0][i], axes[1][j], axes[2][k]], axis=-1)
        xy, z = camera.project(few[b], points[None], S)
        x, y = np.rint(xy[0]).astype(int).T
        framed = (x >= 1) & (x < S - 1) & (y >= 1) & (y < S - 1)
        x, y, z = x[framed], y[framed], z[0, framed]
        around = [seen.depth[b, y + v, x + u] for v in (-1, 0, 1) for u in (-1, 0, 1)]
        assert (z >= np.min(around, axis=0) - 1e-4).all()

        v, u = np.nonzero(seen.instance[b] >= 0)
        points = camera.unproject(few[b], np.stack([u, v], -1)[None], seen.depth[b, v, u][None], S)
        ids = np.floor((points[0] + (EDGE / 2, EDGE / 2, 0)) / (EDGE / R)).astype(int)
        place = seen.instance[b, v, u]
        beside = np.zeros(len(ids), bool)
        for step in np.ndindex(3, 3, 3):
            at = np.clip(ids + np.array(step) - 1, 0, R - 1)
            beside |= grid[b][tuple(at.T)] == place
        assert beside.mean() > 0.999  # but at a cone's tip, thinner than a cube


def test_the_same_bits_in_every_batch_and_process(scenes):
    grid = voxels(scenes)
    assert grid.dtype == np.int8
    for b in (0, 17, 39):
        assert np.array_equal(voxels(scenes[b])[0], grid[b])
    code = (
        "import hashlib; from course_lib.world.scene import sample; from course_lib.world.voxels "
        "import voxels; print(hashlib.sha256(voxels(sample(range(40), seed=2))).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(grid).hexdigest()
    assert voxels(scenes[:0]).shape == (0, 32, 32, 32)


@pytest.mark.parametrize("resolution", [0, -1, 513, 8.0, True, "32"])
def test_resolutions_that_cannot_be(scenes, resolution):
    with pytest.raises(ValueError, match=r"resolution must be a whole number from 1 to 512"):
        voxels(scenes, resolution)


@pytest.mark.parametrize("edge", [0, -1.0, float("nan"), float("inf")])
def test_edges_that_cannot_be(scenes, edge):
    with pytest.raises(ValueError, match="edge must be a length above 0 metres"):
        voxels(scenes, 8, edge)
