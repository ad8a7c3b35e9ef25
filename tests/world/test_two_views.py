"""Two views against a second camera model, triangulation, and marching through the solids."""

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest

from course_lib.world import follow
from course_lib.world.scene import edit, sample
from course_lib.world.solids import inside
from course_lib.world.two_views import stereo, two_views

S = 64
HALF = math.tan(math.radians(20))


@pytest.fixture(scope="module")
def scenes():
    return sample(range(24), seed=4)


@pytest.fixture(scope="module")
def pair(scenes):
    return two_views(scenes, S, seed=1)


class LookAt:
    """A pinhole camera from its place and target alone, by cross products; one scene."""

    def __init__(self, scenes, b, size=S):
        a, e, far = scenes.azimuth[b], scenes.elevation[b], scenes.distance[b]
        back = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)], float)
        self.eye = scenes.target[b] + far * back
        right = np.cross(-back, [0, 0, 1])
        self.right = right / np.linalg.norm(right)
        self.down, self.forward = np.cross(-back, self.right), -back
        self.size = size

    def project(self, points):
        v = points - self.eye
        z = v @ self.forward
        xy = np.stack([v @ self.right / z, v @ self.down / z], axis=-1) / HALF
        return (xy + 1) / 2 * self.size - 0.5, z

    def point(self, x, y, depth):
        x, y = ((v + 0.5) / self.size * 2 - 1 for v in (x, y))
        ray = self.forward + HALF * (np.multiply.outer(x, self.right))
        return self.eye + depth[:, None] * (ray + HALF * np.multiply.outer(y, self.down))


def pixels(n, seed):
    return np.random.default_rng(seed).integers(S, size=(2, n))


def bilinear(picture, xy):
    """A picture (S, S, …) read between its pixels, at (N, 2)."""
    x, y = np.clip(xy, 0, S - 1 - 1e-6).T
    i, j = np.floor(x).astype(int), np.floor(y).astype(int)
    u, v = x - i, y - j
    shape = (-1,) + (1,) * (picture.ndim - 2)
    u, v = u.reshape(shape), v.reshape(shape)
    top = picture[j, i] * (1 - u) + picture[j, i + 1] * u
    return top * (1 - v) + (picture[j + 1, i] * (1 - u) + picture[j + 1, i + 1] * u) * v


def one_surface(instance, xy, place):
    """Whether there are four pixels around each place (N, 2) and all show the object (N,)."""
    i, j = np.clip(np.floor(xy), 0, S - 2).astype(int).T
    around = [instance[j + v, i + u] for u in (0, 1) for v in (0, 1)]
    return (np.array(around) == place).all(axis=0) & ((xy >= 0) & (xy <= S - 1)).all(axis=1)


def test_a_pixel_goes_where_another_camera_model_sends_it(scenes, pair):
    for b in range(len(scenes)):
        x, y = pixels(200, b)
        first, second = LookAt(pair.scenes_a, b), LookAt(pair.scenes_b, b)
        points = first.point(x, y, pair.a.depth[b, y, x].astype(float))
        expected, depth = second.project(points)
        assert np.abs(pair.correspondence[b, y, x] - expected).max() < 1e-3
        # Where b sees the point, b's own depth is that of the point: planes are bilinear in 1/z.
        seen = pair.seen_in_both[b, y, x]
        flat = seen & one_surface(pair.b.instance[b], expected, pair.a.instance[b, y, x])
        table = flat & (pair.a.instance[b, y, x] == -1)
        inverse = bilinear(1 / pair.b.depth[b].astype(float), expected)
        assert np.abs(1 / inverse - depth)[table].max(initial=0) < 1e-5
        assert np.median(np.abs(1 / inverse - depth)[flat]) < 1e-3


def test_there_and_back_is_where_it_began(pair):
    back, off = pair.swapped(), []
    grid = follow.pixel_grid(S)
    for b in range(len(pair.correspondence)):
        seen = pair.seen_in_both[b]
        xy, start = pair.correspondence[b][seen].astype(float), grid[seen]
        smooth = one_surface(pair.b.instance[b], xy, pair.a.instance[b][seen])
        returned = bilinear(back.correspondence[b].astype(float), xy)
        off.append(np.linalg.norm(returned - start, axis=1)[smooth])
    off = np.concatenate(off)
    assert len(off) > 50_000
    assert np.median(off) < 0.01
    assert np.quantile(off, 0.99) < 0.5  # the rest is cut by an edge or a hole between the pixels
    # Without interpolation: a pixel of b that comes from a, and that a sees, is the same surface.
    x, y = np.rint(np.moveaxis(back.correspondence, -1, 0)).astype(int)
    for b in range(8):
        seen = back.seen_in_both[b]
        agree = pair.a.instance[b][y[b][seen], x[b][seen]] == back.a.instance[b][seen]
        assert agree.mean() > 0.97


def marched(scenes, b, point, eye):
    """Does a step of the way from the point to the eye lie in a solid? A margin on either side."""
    way = np.linalg.norm(eye - point)
    steps = np.arange(4e-4, min(way, 0.4), 2.5e-4)
    path = point + steps[:, None] * (eye - point) / way
    for p in range(scenes.count[b]):
        own = (path - scenes.centre[b, p]) @ scenes.rotation[b, p] / scenes.radius[b, p]
        if inside(int(scenes.shape[b, p]), own).any():
            return True
    return False


def test_what_b_does_not_see_is_what_something_stands_before(scenes, pair):
    wrong = many = hidden = 0
    for b in range(12):
        camera = LookAt(pair.scenes_b, b)
        x, y = pixels(150, 100 + b)
        points = LookAt(pair.scenes_a, b).point(x, y, pair.a.depth[b, y, x].astype(float))
        for point, i, j in zip(points, x, y, strict=True):
            xy, _ = camera.project(point[None])
            framed = bool(((xy > -0.5) & (xy < S - 0.5)).all())
            seen = framed and not marched(scenes, b, point, camera.eye)
            hidden += framed and not seen
            many += 1
            wrong += seen != pair.seen_in_both[b, j, i]
    assert hidden > 50
    assert wrong <= 0.003 * many  # rays that graze a solid for less than a step


def test_the_cameras_and_the_epipolar_lines(scenes, pair):
    assert pair.R @ pair.R.swapaxes(1, 2) == pytest.approx(np.broadcast_to(np.eye(3), (24, 3, 3)))
    assert np.linalg.det(pair.R) == pytest.approx(1)
    grid = np.concatenate([follow.pixel_grid(S), np.ones((S, S, 1))], axis=-1)
    exact, _ = follow.correspond(pair.scenes_a, pair.scenes_b, pair.a.instance, pair.a.depth)
    there = np.concatenate([exact, np.ones((24, S, S, 1))], axis=-1)
    K = pair.K
    for b in range(24):
        first, second = LookAt(pair.scenes_a, b), LookAt(pair.scenes_b, b)
        frame = np.stack([second.right, second.down, second.forward])
        assert pair.t[b] == pytest.approx(frame @ (first.eye - second.eye), abs=1e-12)
        lines = grid @ pair.fundamental[b].T
        distance = (lines * there[b]).sum(axis=-1) / np.hypot(lines[..., 0], lines[..., 1])
        assert np.abs(distance).max() < 1e-6  # pixels
        rays_a, rays_b = grid @ np.linalg.inv(K).T, there[b] @ np.linalg.inv(K).T
        E = pair.essential[b] / np.linalg.norm(pair.essential[b])
        assert np.abs(np.einsum("hwi,ij,hwj->hw", rays_b, E, rays_a)).max() < 1e-6
        assert pair.essential[b] @ [1, 2, 3] == pytest.approx(
            np.cross(pair.t[b], pair.R[b] @ [1, 2, 3]), abs=1e-12
        )
        # An essential matrix has two equal singular values and a zero.
        assert np.linalg.svd(E)[1] == pytest.approx([0.5**0.5, 0.5**0.5, 0])


def test_triangulation_finds_the_depth_again(pair):
    """Two rays, K, R and t are enough: the direct linear transform knows no scene."""
    K, (x, y) = pair.K, pixels(40, 7)
    for b in range(6):
        P_a = K @ np.eye(3, 4)
        P_b = K @ np.column_stack([pair.R[b], pair.t[b]])
        for i, j in zip(x, y, strict=True):
            u, v = pair.correspondence[b, j, i].astype(float)
            A = [i * P_a[2] - P_a[0], j * P_a[2] - P_a[1], u * P_b[2] - P_b[0], v * P_b[2] - P_b[1]]
            X = np.linalg.svd(np.array(A))[2][-1]
            assert X[2] / X[3] == pytest.approx(pair.a.depth[b, j, i], rel=2e-4)


def test_a_rectified_pair_shifts_rows_by_focal_times_baseline_over_depth(scenes):
    pair = stereo(scenes, S, baseline=0.025)
    focal = S / (2 * HALF)
    y = follow.pixel_grid(S)[..., 1]
    assert np.abs(pair.correspondence[..., 1] - y).max() < 1e-4
    assert pair.disparity == pytest.approx(focal * 0.025 / pair.a.depth, abs=1e-4)
    assert pair.t == pytest.approx(np.broadcast_to([-0.025, 0, 0], (24, 3)), abs=1e-12)
    assert pytest.approx(np.broadcast_to(np.eye(3), (24, 3, 3)), abs=1e-12) == pair.R
    # By hand: the table in the middle column of the picture, from the camera's height alone.
    b, height = 0, scenes.target[0, 2] + scenes.distance[0] * math.sin(scenes.elevation[0])
    row = 0
    slope = ((row + 0.5) / S * 2 - 1) * HALF
    down = math.sin(scenes.elevation[0]) + slope * math.cos(scenes.elevation[0])
    assert pair.a.instance[b, row, 32] == -1
    assert pair.disparity[b, row, 32] == pytest.approx(focal * 0.025 * down / height, rel=1e-5)


def test_the_second_picture_warped_is_the_first(scenes):
    """Colours agree where both cameras see a matte surface; unwarped they do not."""
    matte = edit(sample(range(16), seed=9), material="matte")
    for place in range(1, 6):
        some = matte.count > place
        matte.material[some, place] = 0
    pair = two_views(matte, S)
    warped, still = [], []
    for b in range(16):
        seen = pair.seen_in_both[b]
        xy = pair.correspondence[b][seen].astype(float)
        a, other = pair.a.rgb[b].astype(float), pair.b.rgb[b].astype(float)
        warped.append(np.abs(bilinear(other, xy) - a[seen]).mean())
        still.append(np.abs(other - a)[seen].mean())
    assert np.mean(warped) < 0.35 * np.mean(still)


def test_the_second_camera_keeps_to_what_was_asked(scenes):
    for turn in (0.1, 0.6):
        pair = two_views(scenes, 8, turn=turn)
        around = np.abs(pair.scenes_b.azimuth - pair.scenes_a.azimuth)
        assert (around >= turn / 2).all()
        assert (around <= turn).all()
        assert np.abs(pair.scenes_b.elevation - pair.scenes_a.elevation).max() <= np.radians(8)
    left = (pair.scenes_b.azimuth < pair.scenes_a.azimuth).mean()
    assert 0.2 < left < 0.8
    edited = two_views(edit(scenes, colour="red", x=0.0), 8, turn=0.6)
    assert np.array_equal(edited.scenes_b.azimuth, pair.scenes_b.azimuth)
    other = two_views(scenes, 8, turn=0.6, seed=1)
    assert not np.array_equal(other.scenes_b.azimuth, pair.scenes_b.azimuth)


def test_the_same_bits_in_every_batch_and_process(scenes, pair):
    for b in (0, 13, 23):
        alone = two_views(scenes[b], S, seed=1)
        assert np.array_equal(alone.correspondence[0], pair.correspondence[b])
        assert np.array_equal(alone.seen_in_both[0], pair.seen_in_both[b])
        assert np.array_equal(alone.b.rgb[0], pair.b.rgb[b])
    code = (
        "import hashlib; from course_lib.world.scene import sample; from course_lib.world."
        "two_views import two_views; p = two_views(sample(range(24), seed=4), 64, seed=1); "
        "print(hashlib.sha256(p.correspondence.tobytes() + p.seen_in_both.tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = pair.correspondence.tobytes() + pair.seen_in_both.tobytes()
    assert done.stdout.strip() == hashlib.sha256(expected).hexdigest()
    assert two_views(scenes[:0], S).correspondence.shape == (0, S, S, 2)


@pytest.mark.parametrize("turn", [0, -0.1, 4, float("nan")])
def test_turns_that_cannot_be(scenes, turn):
    with pytest.raises(ValueError, match="turn must be above 0 and at most π radians"):
        two_views(scenes, S, turn=turn)


@pytest.mark.parametrize("baseline", [0, -0.1, float("nan"), float("inf")])
def test_baselines_that_cannot_be(scenes, baseline):
    with pytest.raises(ValueError, match="baseline must be above 0 metres"):
        stereo(scenes, S, baseline=baseline)


def test_seeds_and_sizes_that_cannot_be(scenes):
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
        two_views(scenes, S, seed=-1)
    with pytest.raises(ValueError, match="size must be 1 to"):
        stereo(scenes, 0)
