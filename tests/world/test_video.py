"""Films against a second camera model, rigid motion by hand, and one frame warped onto the next."""

import hashlib
import math
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from course_lib.world import follow, motion
from course_lib.world.render import render
from course_lib.world.scene import edit, sample
from course_lib.world.solids import CYLINDER, CYLINDER_RADIUS, FOOTPRINT, SPHERE, TORUS, rest
from course_lib.world.video import film

S = 64
HALF = math.tan(math.radians(20))


@pytest.fixture(scope="module")
def scenes():
    return sample(range(20), seed=6)


@pytest.fixture(scope="module")
def video(scenes):
    return film(scenes, frames=5, size=S, seed=2)


def only(**changes):
    """One scene with one object in the middle, edited."""
    first = sample([3], seed=1)
    scene = replace(first, count=np.array([1]))
    return edit(scene, **({"x": 0.0, "y": 0.0} | changes))


def still(scenes):
    """No motion at all, to be written over."""
    B = len(scenes)
    kind = np.where(scenes.there, 0, -1)
    return motion.Motion(kind, np.zeros((B, 6, 2)), np.zeros((B, 6, 3)), np.zeros(B))


def camera_of(scenes, b):
    """Eye and rows right, down, forward from place and target alone, by cross products."""
    a, e = scenes.azimuth[b], scenes.elevation[b]
    back = np.array([math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)])
    right = np.cross(-back, [0, 0, 1])
    right /= np.linalg.norm(right)
    rows = np.stack([right, np.cross(-back, right), -back])
    return scenes.target[b] + scenes.distance[b] * back, rows


def to_pixels(points, camera):
    eye, rows = camera
    x, y, z = ((points - eye) @ rows.T).T
    return (np.stack([x / z, y / z], axis=-1) / HALF + 1) / 2 * S - 0.5, z


def to_points(xy, depth, camera):
    eye, rows = camera
    plane = ((xy + 0.5) / S * 2 - 1) * HALF
    return eye + depth[:, None] * (np.column_stack([plane, np.ones(len(xy))]) @ rows)


def bilinear(picture, xy):
    x, y = np.clip(xy, 0, S - 1 - 1e-6).T
    i, j = np.floor(x).astype(int), np.floor(y).astype(int)
    shape = (-1,) + (1,) * (picture.ndim - 2)
    u, v = (x - i).reshape(shape), (y - j).reshape(shape)
    top = picture[j, i] * (1 - u) + picture[j, i + 1] * u
    return top * (1 - v) + (picture[j + 1, i] * (1 - u) + picture[j + 1, i + 1] * u) * v


def one_surface(instance, xy, place):
    i, j = np.clip(np.floor(xy), 0, S - 2).astype(int).T
    around = [instance[j + v, i + u] for u in (0, 1) for v in (0, 1)]
    return (np.array(around) == place).all(axis=0) & ((xy >= 0) & (xy <= S - 1)).all(axis=1)


# -------------------------------------------------------------------------------------- flow


def test_nothing_moves_in_a_still_film(scenes):
    video = film(scenes, 3, S, motions=("still",), orbit=False)
    assert np.abs(video.flow).max() < 1e-4
    assert not video.occluded.any()
    assert (video.rgb[:, 1:] == video.rgb[:, :1]).all()
    assert np.abs(video.tracks - video.tracks[:, :1]).max() < 1e-4
    assert video.track_visible.all()


def flow_of(scene, plan, step=0.1):
    """Depth, instance of the first moment, and the flow to the second, of one scene."""
    now, then = (motion.at(scene, plan, [t]) for t in (0, step))
    made = render(now, S, ("depth", "instance"))
    xy, _ = follow.correspond(now, then, made.instance, made.depth)
    return made.depth[0].astype(float), made.instance[0], xy[0]


def test_a_sliding_sphere_by_hand():
    scene, plan = only(shape="sphere"), still(sample([0]))
    plan.velocity[0, 0] = (0.1, -0.05)
    depth, instance, xy = flow_of(scene, plan)
    camera, grid = camera_of(scene, 0), follow.pixel_grid(S)
    on = instance == 0
    moved = np.array([0.01, -0.005, 0])  # metres in 0.1 s
    points = to_points(grid[on], depth[on], camera) + moved
    assert np.abs(xy[on] - to_pixels(points, camera)[0]).max() < 1e-4
    assert np.abs(xy[~on] - grid[~on]).max() < 1e-4  # the table stays


def test_a_spinning_cube_by_hand():
    scene, plan = only(shape="cube", x=0.01, y=0.02), still(sample([0]))
    plan.turn[0, 0, 2] = 1.5
    depth, instance, xy = flow_of(scene, plan, step=0.2)
    camera, grid = camera_of(scene, 0), follow.pixel_grid(S)
    on = instance == 0
    x, y, z = to_points(grid[on], depth[on], camera).T
    c, s = math.cos(0.3), math.sin(0.3)  # from x towards y
    x, y = x - 0.01, y - 0.02
    turned = np.stack([c * x - s * y + 0.01, s * x + c * y + 0.02, z], axis=-1)
    assert np.abs(xy[on] - to_pixels(turned, camera)[0]).max() < 1e-4


def test_a_moving_camera_maps_the_table_by_a_homography():
    scene, plan = sample([8]), still(sample([8]))
    plan.orbit[0] = 0.5
    _, instance, xy = flow_of(scene, plan, step=0.4)
    before, after = camera_of(scene, 0), camera_of(replace(scene, azimuth=scene.azimuth + 0.2), 0)

    def plane_to_picture(camera):  # table (x, y, 1) → homogeneous pixels
        eye, rows = camera
        f = S / (2 * HALF)
        K = np.array([[f, 0, (S - 1) / 2], [0, f, (S - 1) / 2], [0, 0, 1]])
        return K @ rows @ np.column_stack([[1, 0, 0], [0, 1, 0], -eye])

    H = plane_to_picture(after) @ np.linalg.inv(plane_to_picture(before))
    grid = follow.pixel_grid(S)[instance == -1]
    there = np.column_stack([grid, np.ones(len(grid))]) @ H.T
    assert np.abs(xy[instance == -1] - there[:, :2] / there[:, 2:]).max() < 1e-3


def test_the_depth_at_the_end_of_the_flow_is_the_moved_points(video):
    """Rigid motion from the moments' poses, by plain matrices, then the next frame's depth."""
    grid, T = follow.pixel_grid(S).reshape(-1, 2), video.rgb.shape[1]
    errors, table_errors = [], []
    for b in range(len(video.rgb)):
        for t in range(T - 1):
            now, then = b * T + t, b * T + t + 1
            place = video.instance[b, t].ravel()
            points = to_points(grid, video.depth[b, t].ravel(), camera_of(video.moments, now))
            for p in range(video.moments.count[now]):
                own = points[place == p] - video.moments.centre[now, p]
                turn = video.moments.rotation[then, p] @ video.moments.rotation[now, p].T
                points[place == p] = own @ turn.T + video.moments.centre[then, p]
            xy, depth = to_pixels(points, camera_of(video.moments, then))
            assert np.abs(grid + video.flow[b, t].reshape(-1, 2) - xy).max() < 1e-3
            seen = ~video.occluded[b, t].ravel() & one_surface(video.instance[b, t + 1], xy, place)
            found = 1 / bilinear(1 / video.depth[b, t + 1].astype(float), xy)
            errors.append(np.abs(found - depth)[seen])
            table_errors.append(np.abs(found - depth)[seen & (place == -1)])
    assert np.concatenate(table_errors).max() < 1e-5
    errors = np.concatenate(errors)
    assert len(errors) > 200_000
    assert np.quantile(errors, 0.99) < 2e-3  # a pixel is 4 mm wide; edges are bent between pixels


def test_what_is_seen_next_lies_on_its_own_surface(video):
    """The pixel at the end of the flow shows the same object, silhouettes aside."""
    grid = follow.pixel_grid(S)
    xy = np.rint(grid + video.flow).clip(0, S - 1).astype(int)
    for b in range(len(video.rgb)):
        for t in range(video.flow.shape[1]):
            seen = ~video.occluded[b, t]
            x, y = xy[b, t][seen].T
            same = video.instance[b, t + 1][y, x] == video.instance[b, t][seen]
            assert same.mean() > 0.97
            lost = video.occluded[b, t] & ((grid + video.flow[b, t] > 0).all(axis=-1))
            lost &= (grid + video.flow[b, t] < S - 1).all(axis=-1)
            x, y = xy[b, t][lost].T
            if len(x) > 30:  # hidden: by something that is there
                assert (video.instance[b, t + 1][y, x] >= 0).mean() > 0.6


def test_the_next_frame_warped_back_is_this_frame():
    scenes = sample(range(16), seed=9)
    scenes.material[scenes.there] = 0  # matte
    video = film(scenes, 4, S, step=0.25)
    warped, unmoved = [], []
    for b in range(16):
        for t in range(3):
            seen = ~video.occluded[b, t]
            xy = (follow.pixel_grid(S) + video.flow[b, t])[seen]
            now, then = (video.rgb[b, k].astype(float) for k in (t, t + 1))
            warped.append(np.abs(bilinear(then, xy) - now[seen]).mean())
            unmoved.append(np.abs(then - now)[seen].mean())
    assert np.mean(warped) < 0.45 * np.mean(unmoved)


# -------------------------------------------------------------------------------------- tracks


def test_tracks_begin_on_pixels_and_follow_the_flow(video):
    row = np.arange(len(video.tracks))[:, None]
    start = np.rint(video.tracks[:, 0])
    assert np.abs(video.tracks[:, 0] - start).max() < 1e-4
    x, y = start.astype(int).transpose(2, 0, 1)
    assert (video.instance[row, 0, y, x] == video.track_place).all()
    assert video.track_visible[:, 0].all()
    assert np.abs(video.tracks[:, 1] - start - video.flow[row, 0, y, x]).max() < 1e-3
    assert (video.track_visible[:, 1] == ~video.occluded[row, 0, y, x]).all()
    assert (video.track_place[:, ::2] >= 0).all()
    assert (video.track_place == -1).any()


def test_a_visible_track_is_on_its_object(video):
    on = total = 0
    for b in range(len(video.rgb)):
        for t in range(video.rgb.shape[1]):
            seen = video.track_visible[b, t]
            xy = video.tracks[b, t][seen]
            assert (xy > -0.5).all()
            assert (xy < S - 0.5).all()
            x, y = np.rint(xy).astype(int).clip(0, S - 1).T
            place = video.track_place[b][seen]
            around = [
                video.instance[b, t, np.clip(y + v, 0, S - 1), np.clip(x + u, 0, S - 1)]
                for v in (-1, 0, 1)
                for u in (-1, 0, 1)
            ]
            assert (np.array(around) == place).any(axis=0).all()
            on += (around[4] == place).sum()
            total += len(place)
    assert on > 0.98 * total
    assert 0.5 < total / video.track_visible.size < 0.999


# -------------------------------------------------------------------------------------- motion


@pytest.fixture(scope="module")
def planned():
    many = sample(range(400), seed=11)
    return many, motion.plan_motion(many, 1.0)


def test_objects_keep_apart_and_stay_in_view(planned):
    scenes, plan = planned
    T = 21
    later = motion.at(scenes, plan, np.linspace(0, 1, T))
    centre = later.centre
    reach = scenes.radius * FOOTPRINT[scenes.shape]
    for b in range(len(scenes)):
        path = later.position[b * T : (b + 1) * T]
        for i in range(scenes.count[b]):
            for j in range(i):
                gap = np.hypot(*(path[:, i] - path[:, j]).T)
                assert gap.min() >= min(reach[b, i] + reach[b, j], gap[0]) - 1e-9
        for t in (0, 10, 20):
            now = b * T + t
            xy, _ = to_pixels(centre[now][scenes.there[b]], camera_of(later, now))
            moves = np.hypot(*plan.velocity[b][scenes.there[b]].T) > 0
            out = np.abs((xy + 0.5) / S * 2 - 1).max(axis=1)
            if t == 0:
                first = out
            assert (out <= np.maximum(first, 0.92) + 1e-9)[moves].all()


def test_labels_say_what_moves(planned):
    scenes, plan = planned
    assert ((plan.kind == -1) == ~scenes.there).all()
    speed, turn = np.hypot(*np.moveaxis(plan.velocity, -1, 0)), np.abs(plan.turn).max(axis=-1)
    for kind, moves, turns in ((0, 0, 0), (1, 1, 0), (2, 1, 1), (3, 0, 1), (-1, 0, 0)):
        some = plan.kind == kind
        assert some.sum() > 50
        assert ((speed[some] > 0) == moves).all()
        assert ((turn[some] > 0) == turns).all()
    moving = speed[speed > 0]
    assert 0.02 <= moving.min() < moving.max() <= 0.12
    level = np.abs(scenes.rotation[..., 2, 2]) < 1e-9
    rolls = plan.kind == 2
    assert set(scenes.shape[rolls]) == {SPHERE, CYLINDER, TORUS}
    assert (level | (scenes.shape == SPHERE))[rolls].all()
    assert np.abs(plan.orbit).min() > 0
    assert 0.3 < (plan.orbit > 0).mean() < 0.7


def test_rolling_is_without_slipping(planned):
    """The point of a wheel that touches the table is at rest, and its axis stays level."""
    scenes, plan = planned
    dt = 1e-4
    later = motion.at(scenes, plan, [0, dt])
    now, then = later[::2], later[1::2]
    rolls = plan.kind == 2
    contact = now.centre * (1, 1, 0)
    own = np.einsum("bpji,bpj->bpi", now.rotation, contact - now.centre)
    moved = np.einsum("bpij,bpj->bpi", then.rotation, own) + then.centre
    slip = np.linalg.norm(moved - contact, axis=-1)[rolls] / dt
    speed = np.hypot(*plan.velocity[rolls].T)
    assert (slip < 1e-3 * speed).all()
    end = motion.at(scenes, plan, [0.7])
    wheel = rolls & (scenes.shape != SPHERE)
    assert np.abs(end.rotation[wheel][:, 2, 2]).max() < 1e-9
    assert end.rotation[wheel][:, :, 2] == pytest.approx(now.rotation[wheel][:, :, 2])
    assert end.centre[..., 2] == pytest.approx(now.centre[..., 2])


def test_a_wheel_is_back_after_its_own_circumference():
    for shape, radius in (("sphere", 1.0), ("cylinder", CYLINDER_RADIUS), ("torus", 1.0)):
        scene = only(shape=shape, lying=True, yaw=0.3)
        plan = motion.plan_motion(scene, 0.2, motions=("roll",), orbit=False)
        assert plan.kind[0, 0] == 2
        speed = math.hypot(*plan.velocity[0, 0])
        around = 2 * math.pi * radius * scene.radius[0, 0] / speed
        half, full = motion.at(scene, plan, [around / 2, around]).rotation[:, 0]
        assert full == pytest.approx(scene.rotation[0, 0], abs=1e-9)
        assert not np.allclose(half, scene.rotation[0, 0], atol=0.5)
        assert rest(scene.shape[0, 0], full) == pytest.approx(radius)


def test_rotations_stay_rotations_and_spins_turn_from_x_towards_y(planned):
    scenes, plan = planned
    later = motion.at(scenes, plan, [0.3, 5.0])
    R = later.rotation[np.repeat(scenes.there, 2, axis=0)]
    assert R @ R.swapaxes(1, 2) == pytest.approx(np.broadcast_to(np.eye(3), R.shape), abs=1e-12)
    scene, plan = only(shape="cone"), still(sample([0]))
    plan.turn[0, 0] = (0, 0, math.pi / 2)
    x_axis = motion.at(scene, plan, [1.0]).rotation[0, 0] @ scene.rotation[0, 0].T @ [1, 0, 0]
    assert x_axis == pytest.approx([0, 1, 0], abs=1e-12)


def test_only_what_was_asked_for_moves(scenes):
    for kinds in (("slide",), ("spin",), ("roll", "still")):
        plan = motion.plan_motion(scenes, 1.0, motions=kinds, orbit=False)
        found = {motion.MOTIONS[k] for k in np.unique(plan.kind[scenes.there])}
        assert found <= {*kinds, "still"}
        assert found & set(kinds)
        assert (plan.orbit == 0).all()


# -------------------------------------------------------------------------------------- promises


def test_the_same_bits_in_every_batch_and_process(scenes, video):
    for b in (0, 11, 19):
        alone = film(scenes[b], frames=5, size=S, seed=2)
        for name in ("rgb", "depth", "instance", "flow", "occluded", "tracks", "track_visible"):
            assert np.array_equal(getattr(alone, name)[0], getattr(video, name)[b]), name
    code = (
        "import hashlib; from course_lib.world.scene import sample; from course_lib.world.video "
        "import film; v = film(sample(range(20), seed=6), 5, 64, 2); print(hashlib.sha256("
        "v.rgb.tobytes() + v.flow.tobytes() + v.tracks.tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = video.rgb.tobytes() + video.flow.tobytes() + video.tracks.tobytes()
    assert done.stdout.strip() == hashlib.sha256(expected).hexdigest()


def test_seeds_change_the_motion_and_recolouring_does_not(scenes):
    plan, other = (motion.plan_motion(scenes, 1.0, seed) for seed in (0, 1))
    assert not np.array_equal(plan.kind, other.kind)
    recoloured = edit(scenes, colour="blue", material="striped")
    assert np.array_equal(motion.plan_motion(recoloured, 1.0).velocity, plan.velocity)


def test_an_empty_batch_and_no_points(scenes):
    assert film(scenes[:0], 3, 16).flow.shape == (0, 2, 16, 16, 2)
    assert film(scenes[:2], 3, 16, points=0).tracks.shape == (2, 3, 0, 2)


def test_memory_is_what_is_returned_and_one_scenes_work():
    many = sample(range(60), seed=6)
    made = render(many, S, ("depth", "instance"))
    peaks = []
    for n in (2, 60):
        tracemalloc.start()
        xy, seen = follow.correspond(many[:n], many[:n], made.instance[:n], made.depth[:n])
        peaks.append(tracemalloc.get_traced_memory()[1] - xy.nbytes - seen.nbytes)
        tracemalloc.stop()
    assert max(peaks) < 4e6
    assert peaks[1] < 2 * peaks[0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"frames": 1}, "frames must be a whole number from 2"),
        ({"frames": 2.5}, "frames must be a whole number from 2"),
        ({"points": -1}, "points must be a whole number from 0"),
        ({"step": 0}, "step must be more than 0 seconds"),
        ({"step": float("nan")}, "step must be more than 0 seconds"),
        ({"motions": ("fly",)}, "motions must be some of"),
        ({"motions": "slide"}, "motions must be some of"),
        ({"motions": ()}, "motions must be some of"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"size": 0}, "size must be 1 to"),
    ],
)
def test_what_cannot_be_filmed_is_said_in_a_sentence(scenes, changes, says):
    with pytest.raises(ValueError, match=says) as error:
        film(scenes, **changes)
    assert "\n" not in str(error.value)


def test_a_motion_lasts(scenes):
    with pytest.raises(ValueError, match="must last more than 0 seconds"):
        motion.plan_motion(scenes, 0)
