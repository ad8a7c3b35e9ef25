"""The camera by hand, and there and back."""

from dataclasses import replace

import numpy as np

from course_lib.world import camera
from course_lib.world.scene import sample


def test_a_camera_by_hand() -> None:
    """It stands 1 m south of the origin and 1 m up, and looks at the origin."""
    scenes = replace(
        sample([0]),
        azimuth=np.zeros(1),
        elevation=np.array([np.pi / 4]),
        distance=np.array([2**0.5]),
        target=np.zeros((1, 3)),
    )
    np.testing.assert_allclose(camera.eye(scenes), [[0, -1, 1]], atol=1e-12)
    points = np.array([[[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]]])
    xy, depth = camera.project(scenes, points, 101)
    np.testing.assert_allclose(xy[0, 0], [50, 50], atol=1e-9)
    np.testing.assert_allclose(depth[0, 0], 2**0.5)
    focal = 101 / 2 / np.tan(np.radians(20))
    np.testing.assert_allclose(xy[0, 1], [50 + 0.1 * focal / 2**0.5, 50])
    assert xy[0, 2, 1] < 50  # farther away on the table is higher in the picture
    assert xy[0, 3, 1] < xy[0, 2, 1] + 30
    assert depth[0, 3] < depth[0, 0] < depth[0, 2]


def test_there_and_back() -> None:
    scenes = sample(range(50))
    scenes = replace(scenes, azimuth=np.linspace(-3, 3, 50))
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.1, 0.1, (50, 7, 3))
    xy, depth = camera.project(scenes, points, 64)
    np.testing.assert_allclose(camera.unproject(scenes, xy, depth, 64), points, atol=1e-12)
    R = camera.axes(scenes)
    np.testing.assert_allclose(
        R @ R.swapaxes(1, 2), np.broadcast_to(np.eye(3), (50, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(R), 1)


def test_size_only_scales() -> None:
    scenes = sample(range(5))
    small, large = (camera.project(scenes, scenes.centre, s)[0] for s in (32, 128))
    np.testing.assert_allclose((small + 0.5) * 4, large + 0.5, atol=1e-9)
