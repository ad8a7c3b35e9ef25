"""Pictures against a march through the scene, and the modalities against one another."""

import colorsys
import hashlib
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from benchmarks import world
from course_lib.world import bodies, camera, raster, shading, shadows, solids, tables, workers
from course_lib.world.render import Rendered, render
from course_lib.world.scene import COLOURS, MATERIALS, MOST, Recipe, Scenes, edit, sample

ALL = ("rgb", "depth", "normals", "instance")
# Degrees on the colour wheel, as people name them; grey has none.
HUES = {"red": 0, "orange": 28, "yellow": 52, "green": 125, "cyan": 184, "blue": 228, "purple": 282}
SCENES = sample(range(100, 160))
PICTURES = render(SCENES, 64, ALL)


def inside_any(scenes: Scenes, points: np.ndarray) -> np.ndarray:
    """Points (M, 3) of a batch of one scene → place of the object that holds each, −1 if none."""
    found = np.full(len(points), -1)
    for i in range(int(scenes.count[0])):
        own = (points - scenes.centre[0, i]) @ scenes.rotation[0, i] / scenes.radius[0, i]
        found[solids.inside(int(scenes.shape[0, i]), own)] = i
    return found


def alone(scenes: Scenes, place: int) -> Scenes:
    """Scenes that hold only the object of one place (which they must have)."""
    changes = {
        name: np.repeat(getattr(scenes, name)[:, [place]], MOST, axis=1)
        for name in ("shape", "colour", "material", "size", "radius", "position", "rotation")
    }
    return replace(scenes, count=np.ones(len(scenes), int), **changes)


@pytest.mark.parametrize("i", [2, 5, 11, 30])
def test_a_march_through_the_scene_sees_the_same(i: int) -> None:
    """Every pixel's ray in steps of a fifth of a millimetre: the first object inside."""
    one = SCENES[i]
    y, x = np.mgrid[0:64:2, 0:64:2]
    xy = np.stack([x, y], axis=-1).reshape(1, -1, 2)
    eye, through = camera.eye(one)[0], camera.unproject(one, xy, np.ones(xy.shape[1])[None], 64)[0]
    instance, depth = np.full(len(through), -1), np.full(len(through), np.nan)
    for t in np.arange(0.1, 0.75, 2e-4):
        todo = np.flatnonzero(instance < 0)
        now = inside_any(one, eye + t * (through[todo] - eye))
        instance[todo], depth[todo[now >= 0]] = now, t
    ours = PICTURES.instance[i, ::2, ::2].ravel()
    assert (ours != instance).mean() < 0.004  # an edge within one step
    same = (ours == instance) & (instance >= 0)
    error = depth[same] - PICTURES.depth[i, ::2, ::2].ravel()[same]
    assert error.min() > -1e-5
    assert error.max() < 2.1e-4


def test_pixels_lie_on_the_surface_that_they_show() -> None:
    y, x = np.mgrid[0:64, 0:64]
    xy = np.broadcast_to(np.stack([x, y], axis=-1).reshape(1, -1, 2), (len(SCENES), 4096, 2))
    points = camera.unproject(SCENES, xy, PICTURES.depth.reshape(len(SCENES), -1), 64)
    flat = PICTURES.instance.reshape(len(SCENES), -1)
    near = PICTURES.depth.reshape(len(SCENES), -1) < tables.FAR
    assert np.abs(points[..., 2][(flat == -1) & near]).max() < 2e-6
    normals = PICTURES.normals.reshape(len(SCENES), -1, 3) @ camera.axes(SCENES)
    for b in range(len(SCENES)):
        for i in range(SCENES.count[b]):
            mine = flat[b] == i
            for step, least, most in ((-1e-4, 0.95, 1), (1e-4, 0, 0)):
                p = points[b, mine] + step * normals[b, mine]
                own = (p - SCENES.centre[b, i]) @ SCENES.rotation[b, i] / SCENES.radius[b, i]
                share = solids.inside(int(SCENES.shape[b, i]), own).mean() if mine.any() else least
                assert least <= share <= most


def test_normals_are_unit_and_face_the_camera() -> None:
    np.testing.assert_allclose(np.linalg.norm(PICTURES.normals, axis=-1), 1, atol=1e-4)
    axis = np.tan(np.radians(20)) * ((np.arange(64) + 0.5) / 32 - 1)
    x, y = np.meshgrid(axis, axis)
    towards = (PICTURES.normals * np.stack([x, y, 1 + 0 * x], -1)).sum(-1)
    assert towards.max() < 1e-3
    table = PICTURES.normals[PICTURES.instance == -1]
    up = np.repeat(camera.axes(SCENES)[:, :, 2], (PICTURES.instance == -1).sum((1, 2)), axis=0)
    np.testing.assert_allclose(table, up, atol=1e-6)


def test_normals_are_the_slope_of_the_depth() -> None:
    size = 256
    pictures = render(SCENES[:6], size, ALL)
    y, x = np.mgrid[0:size, 0:size]
    xy = np.broadcast_to(np.stack([x, y], -1).reshape(1, -1, 2), (6, size**2, 2))
    depth = pictures.depth.reshape(6, -1)
    points = camera.unproject(SCENES[:6], xy, depth, size).reshape(6, size, size, 3)
    right = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
    down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    slope = np.cross(down, right)
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True)
    ours = (pictures.normals.reshape(6, -1, 3) @ camera.axes(SCENES[:6])).reshape(points.shape)
    cosine = (slope * ours[:, 1:-1, 1:-1]).sum(-1)
    i = pictures.instance
    same = (i[:, 1:-1, 1:-1] >= 0) & (i[:, 1:-1, 2:] == i[:, 1:-1, :-2])
    same &= i[:, 2:, 1:-1] == i[:, :-2, 1:-1]
    assert np.median(cosine[same]) > 0.9995
    assert (cosine[same] > 0.97).mean() > 0.93  # the others lie across an edge of a solid


def test_the_nearest_object_wins() -> None:
    depth = np.full((MOST, *PICTURES.instance.shape), np.inf)
    for i in range(MOST):
        some = np.flatnonzero(SCENES.there[:, i])
        one = render(alone(SCENES[some], i), 64, ("depth", "instance"))
        depth[i, some] = np.where(one.instance == 0, one.depth, np.inf)
    nearest = np.where(np.isinf(depth.min(axis=0)), -1, depth.argmin(axis=0))
    np.testing.assert_array_equal(PICTURES.instance, nearest)


def test_masks_partition_and_boxes_are_theirs() -> None:
    masks = PICTURES.masks
    np.testing.assert_array_equal(masks.sum(axis=1), PICTURES.instance >= 0)
    np.testing.assert_array_equal(PICTURES.visible, masks.sum(axis=(2, 3)))
    for b in range(len(SCENES)):
        for i in range(MOST):
            rows, columns = np.nonzero(masks[b, i])
            if len(rows) == 0:
                assert np.isnan(PICTURES.boxes_xyxy[b, i]).all()
                continue
            low, high = (columns.min(), rows.min()), (columns.max(), rows.max())
            expected = [*np.subtract(low, 0.5), *np.add(high, 0.5)]
            np.testing.assert_array_equal(PICTURES.boxes_xyxy[b, i], expected)
    assert not masks[~SCENES.there].any()


def test_centres_project_into_their_boxes() -> None:
    xy, _ = camera.project(SCENES, SCENES.centre, 64)
    whole = np.stack([render(alone(SCENES[[b]], 0), 64, ("instance",)).boxes_xyxy[0, 0]
                      for b in range(len(SCENES))])  # fmt: skip
    low, high = whole[:, :2], whole[:, 2:]
    inner = (low > -0.5).all(1) & (high < 63.5).all(1)  # not cut by the frame
    middle = (low + high) / 2
    assert inner.sum() > 20
    assert (xy[inner, 0] > low[inner]).all()
    assert (xy[inner, 0] < high[inner]).all()
    assert np.abs(xy[inner, 0] - middle[inner]).max() < 8


def digest(pictures: Rendered) -> str:
    return hashlib.sha256(b"".join(getattr(pictures, m).tobytes() for m in ALL)).hexdigest()


def test_the_same_bits_in_any_batch_process_and_number_of_processes() -> None:
    for i in (0, 13, 59):
        one = render(SCENES[i], 64, ALL)
        for m in ALL:
            np.testing.assert_array_equal(getattr(one, m)[0], getattr(PICTURES, m)[i])
    shuffled = render(SCENES[np.arange(59, -1, -1)], 64, ("rgb",), processes=1)
    np.testing.assert_array_equal(shuffled.rgb[::-1], PICTURES.rgb)
    many = sample(range(200))
    expected = render(many, 64, ALL, processes=1)
    assert digest(render(many, 64, ALL, processes=3)) == digest(expected)
    code = (
        "import hashlib; from course_lib.world.scene import sample;"
        "from course_lib.world.render import render; p = render(sample(range(200)), 64, "
        f"{ALL}); data = b''.join(getattr(p, m).tobytes() for m in {ALL});"
        "print(hashlib.sha256(data).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == digest(expected), done.stderr


def test_a_killed_worker_is_replaced_and_its_scenes_are_drawn() -> None:
    many = sample(range(1000, 1200))
    expected = render(many, 64, processes=1).rgb
    render(many, 64, processes=2)
    worker = workers._workers[0]
    worker.send_signal(signal.SIGKILL)
    np.testing.assert_array_equal(render(many, 64, processes=2).rgb, expected)
    np.testing.assert_array_equal(render(many, 64, processes=2).rgb, expected)
    assert workers._workers[0].pid != worker.pid


def test_an_interrupted_call_leaves_no_stale_answers(monkeypatch) -> None:
    many = sample(range(2000, 2200))
    expected = render(many, 64, processes=1).rgb
    real, calls = raster.draw, []

    def interrupted(*args):
        calls.append(1)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("course_lib.world.render.draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            render(many, 64, processes=2)
    assert calls
    assert raster.draw is real
    assert workers._workers == []
    np.testing.assert_array_equal(render(many, 64, processes=2).rgb, expected)


def test_two_threads_may_render_at_once() -> None:
    many, found = sample(range(100)), {}
    draws = [
        threading.Thread(target=lambda k=k: found.update({k: render(many, 48, processes=2).rgb}))
        for k in range(3)
    ]
    for thread in draws:
        thread.start()
    for thread in draws:
        thread.join()
    for rgb in found.values():
        np.testing.assert_array_equal(rgb, found[0])
    assert len(found) == 3


def test_supersampling_is_the_mean_of_a_larger_picture() -> None:
    """In linear light, where four samples show one object: within a level of rounding."""
    large = render(SCENES, 128, ("rgb", "instance"), supersample=1)
    linear = ((large.rgb + 0.0) / 255) ** 2
    mean = linear.reshape(len(SCENES), 64, 2, 64, 2, 3).mean(axis=(2, 4))
    i = large.instance.reshape(len(SCENES), 64, 2, 64, 2)
    inner = (i.min(axis=(2, 4)) == i.max(axis=(2, 4))) & (i.min(axis=(2, 4)) >= 0)
    # A sample brighter than white is cut in the large picture and counts fully in the mean.
    inner &= (large.rgb < 255).all(axis=-1).reshape(i.shape).all(axis=(2, 4))
    error = np.abs(PICTURES.rgb - np.sqrt(mean) * 255)[inner]
    assert error.max() < 1.1


def test_edges_are_blended_and_the_table_is_not_empty() -> None:
    one = render(SCENES, 64, ("rgb",), supersample=1).rgb.astype(int)
    assert (np.abs(one - PICTURES.rgb) > 20).mean() < 0.05
    assert (np.abs(one - PICTURES.rgb) > 20).any()
    for b in range(len(SCENES)):
        table = PICTURES.rgb[b][PICTURES.instance[b] == -1]
        assert table.std() > 3


def test_shadows_are_where_a_march_to_the_sun_is_stopped() -> None:
    """On the table: where nearly all or nearly none of the sun is left, the march agrees."""
    scenes = SCENES[np.flatnonzero(SCENES.count >= 3)[:8]]
    scenes = replace(scenes, light_elevation=np.full(8, 0.62))  # low, so shadows are long
    some = bodies.bodies_of(scenes)
    lamps = shading.light(scenes, tables.ramps(scenes))
    views = shadows.outlines(some, lamps.direction[some.scene])
    sun = np.ones((len(scenes), 64, 64))
    for body, (window, lit, _) in raster._shaded(scenes, some, lamps, views, 64).items():
        sun[some.scene[body]][window] *= lit
    y, x = np.mgrid[0:64, 0:64]
    xy = np.broadcast_to(np.stack([x, y], -1).reshape(1, -1, 2), (len(scenes), 4096, 2))
    depth = np.repeat(tables.row_depth(scenes, 64), 64, axis=1)
    points = camera.unproject(scenes, xy, depth, 64)
    dark = 0
    for b in range(len(scenes)):
        stopped = np.zeros(4096, bool)
        for t in np.arange(1e-3, 0.25, 5e-4):
            todo = np.flatnonzero(~stopped)
            stopped[todo] = inside_any(scenes[b], points[b, todo] + t * lamps.direction[b]) >= 0
        share = sun[b].ravel()
        clear = np.abs(share - 0.5) > 0.49
        wrong = clear & ((share < 0.5) != stopped)
        assert wrong.sum() <= (24 if solids.TORUS in scenes.shape[b] else 4), b
        dark += (share < 0.01).sum()
    assert dark > 300


def test_objects_cast_shadows_on_objects_and_lists_of_casters_leave_none_out(monkeypatch) -> None:
    tight = render(SCENES, 48).rgb

    def all_of_them(scenes, some, lamps):
        found = {}
        for a, b in zip(*(v.tolist() for v in shading._neighbours(scenes.count)), strict=True):
            found.setdefault(a, []).append(b)
        return found

    monkeypatch.setattr(shading, "casters", all_of_them)
    apart = np.abs(render(SCENES, 48, processes=1).rgb.astype(int) - tight)
    assert apart.max() <= 10  # far from its edge, an ellipse's penumbra is a little too wide
    assert (apart > 0).mean() < 2e-4
    monkeypatch.setattr(shading, "casters", lambda *_: {})
    assert (np.abs(render(SCENES, 48, processes=1).rgb.astype(int) - tight) > 10).any()


def hue(rgb: np.ndarray) -> tuple[float, float]:
    h, s, _ = colorsys.rgb_to_hsv(*(float(v) for v in rgb))
    return h * 360, s


def test_named_colours_look_like_their_names_in_every_light() -> None:
    scenes = sample(range(2500), seed=9, recipe=Recipe(materials=("matte",), objects=(1, 3)))
    pictures = render(scenes, 64, ("rgb", "instance"))
    right = total = 0
    for b in range(len(scenes)):
        for i in range(scenes.count[b]):
            pixels = pictures.rgb[b][pictures.instance[b] == i]
            if len(pixels) < 20:
                continue
            h, s = hue(pixels.mean(axis=0))
            away = {n: abs((h - degrees + 180) % 360 - 180) for n, degrees in HUES.items()}
            found = "grey" if s < 0.25 else min(away, key=away.get)
            right += found == COLOURS[scenes.colour[b, i]]
            total += 1
    assert total > 4000
    assert right / total >= 0.99


def test_materials_can_be_told_apart() -> None:
    def one(material: str) -> np.ndarray:
        recipe = Recipe(
            objects=(1, 1), colours=("green",), shapes=("sphere",), materials=(material,)
        )
        pictures = render(sample(range(40), recipe=recipe), 64, ("rgb", "instance"))
        return pictures.rgb[pictures.instance == 0].astype(float)

    matte, shiny, striped = (one(m) for m in MATERIALS)
    white = [np.quantile(pixels.min(axis=1), 0.999) for pixels in (shiny, matte)]
    assert white[0] > white[1] + 40  # a highlight is nearly white
    assert np.quantile(striped[:, 0], 0.8) > np.quantile(matte[:, 0], 0.8) + 60  # cream


def test_factors_of_the_picture_only_change_the_picture() -> None:
    """Light and table move RGB and nothing else; a brighter sun is brighter, a warm one redder."""
    base = render(SCENES, 32, ALL)
    other = replace(SCENES, light_azimuth=SCENES.light_azimuth + 1, table=(SCENES.table + 1) % 4)
    moved = render(other, 32, ALL)
    for m in ("depth", "normals", "instance"):
        np.testing.assert_array_equal(getattr(base, m), getattr(moved, m))
    assert (base.rgb != moved.rgb).mean() > 0.9
    dim, bright = (render(replace(SCENES, brightness=0 * SCENES.warmth + v), 32).rgb.mean()
                   for v in (0.7, 1.2))  # fmt: skip
    assert bright > dim * 1.2
    cold, warm = (render(replace(SCENES, warmth=0 * SCENES.warmth + v), 32).rgb.mean((0, 1, 2))
                  for v in (-1, 1))  # fmt: skip
    assert warm[0] / warm[2] > 1.1 * cold[0] / cold[2]


def test_a_turning_camera_sees_the_same_world() -> None:
    """Camera, light, table and objects turned together: the same geometry."""
    turn = 0.7
    R = solids.about_z(np.array(turn))
    turned = replace(
        SCENES,
        azimuth=SCENES.azimuth + turn,
        light_azimuth=SCENES.light_azimuth + turn,
        position=SCENES.position @ R[:2, :2].T,
        rotation=R @ SCENES.rotation,
        target=SCENES.target @ R.T,
        table_angle=SCENES.table_angle + turn,
    )
    other = render(turned, 64, ALL)
    assert (other.instance != PICTURES.instance).mean() < 1e-4
    assert (np.abs(other.rgb.astype(int) - PICTURES.rgb) > 3).mean() < 0.01
    np.testing.assert_allclose(other.depth, PICTURES.depth, atol=1e-3)


@pytest.mark.parametrize("elevation", [0.05, 0.3, 1.2, np.pi / 2])
def test_sliders_may_go_anywhere(elevation: float) -> None:
    """Other heights than the sampled ones: finite everywhere, at most FAR, sky included."""
    scenes = replace(SCENES, elevation=0 * SCENES.elevation + elevation, azimuth=SCENES.azimuth + 2)
    pictures = render(scenes, 32, ALL)
    assert np.isfinite(pictures.depth).all()
    assert np.isfinite(pictures.normals).all()
    assert pictures.depth.max() <= np.float32(tables.FAR)
    assert (pictures.depth == np.float32(tables.FAR)).any() == (elevation < 0.35)


def test_objects_at_the_frame_and_behind_the_camera() -> None:
    for x, y in ((0.12, 0.0), (0.0, -5.0), (0.0, -0.28), (3.0, 3.0)):
        pictures = render(edit(SCENES, 0, x=x, y=y), 32, ALL)
        assert np.isfinite(pictures.depth).all()
        assert (pictures.depth > 0).all()
    assert (render(edit(SCENES, 0, x=0.0, y=-5.0), 32, ("instance",)).visible[:, 0] == 0).all()


def test_tiles_repeat_without_a_seam() -> None:
    texels, begins = tables.atlas()
    for begin in begins[:, 0]:
        tile = texels[begin : begin + tables.TEXELS**2].reshape(tables.TEXELS, -1).astype(float)
        for t in (tile, tile.T):
            inner = np.abs(np.diff(t, axis=0)).mean(axis=1)
            assert np.abs(t[0] - t[-1]).mean() <= 2 * inner.max() + 1
    for i in range(len(tables.TABLES)):
        means = [texels[b : b + (tables.TEXELS >> k) ** 2].mean() for k, b in enumerate(begins[i])]
        np.testing.assert_allclose(means, means[0], atol=0.6)


def test_table_values_are_the_texels_under_the_samples() -> None:
    """Row by row: the sample's point on the table, turned and moved onto the tile."""
    scenes = replace(SCENES[:8], azimuth=np.linspace(-2, 2, 8))
    rows = tables.rows(scenes, 64)
    texels, begins = tables.atlas()
    y, x = np.mgrid[0:64, 0:64]
    xy = np.stack([x, y], -1).reshape(1, -1, 2)
    for b in range(8):
        one = scenes[b]
        depth = np.repeat(tables.row_depth(one, 64), 64, axis=1)
        world = camera.unproject(one, xy, depth, 64)[0]
        c, s = np.cos(one.table_angle), np.sin(one.table_angle)
        u = (c * world[:, 0] + s * world[:, 1] + one.table_offset[0, 0]) / tables.TILE
        v = (-s * world[:, 0] + c * world[:, 1] + one.table_offset[0, 1]) / tables.TILE
        side = (rows.mask[b] + 1)[y.ravel()]
        level = np.log2(tables.TEXELS // side).astype(int)
        at = (np.floor(v % 1 * side) * side + np.floor(u % 1 * side)).astype(int)
        expected = texels[begins[one.table[0], level] + np.minimum(at, side**2 - 1)]
        found = tables.values(rows, b).ravel()
        assert (found != expected).mean() < 0.02  # a place next to a texel's border


def test_no_scenes_give_no_pictures() -> None:
    nothing = render(sample([]), 16, ALL)
    assert nothing.rgb.shape == (0, 16, 16, 3)
    assert nothing.masks.shape == (0, 6, 16, 16)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"size": 0}, "size must be 1 to 4096 pixels, but it is 0"),
        ({"size": 32.0}, "size must be 1 to 4096 pixels"),
        ({"size": True}, "size must be 1 to 4096 pixels"),
        ({"supersample": 0}, "supersample must be a whole number from 1 to 64"),
        ({"supersample": 65}, "supersample must be a whole number from 1 to 64"),
        ({"want": ("colour",)}, "want must be some of"),
        ({"want": "rgb"}, "want must be some of"),
        ({"want": ()}, "want must be some of"),
        ({"processes": 0}, "processes must be a whole number from 1"),
    ],
)
def test_impossible_requests(wrong, says) -> None:
    with pytest.raises(ValueError, match=says):
        render(SCENES[:2], **wrong)


def test_impossible_cameras() -> None:
    below = replace(SCENES[:2], elevation=np.array([0.5, -0.5]))
    with pytest.raises(ValueError, match="must stand above the table"):
        render(below)
    with pytest.raises(ValueError, match="NaN or infinite"):
        render(replace(SCENES[:2], distance=np.array([0.3, np.nan])))
    with pytest.raises(ValueError, match='come from "instance", which was not wanted'):
        _ = render(SCENES[0], 16).boxes_xyxy


def test_nothing_in_the_scenes_is_changed() -> None:
    before = {f.name: getattr(SCENES, f.name).copy() for f in fields(Scenes)}
    render(SCENES, 16, ALL)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(SCENES, name), value)


@pytest.mark.timing
@pytest.mark.parametrize(("size", "count", "most"), [(64, 1024, 8), (224, 128, 4)])
def test_pictures_a_second_on_two_cores(size: int, count: int, most: float) -> None:
    """A guard against falling back, in plain arithmetic on the same machine at the same time.

    291 to 1,026 pictures/s on one core were seen on one machine, but 2.8 to 5.0 yardsticks (1.4 to
    3.0 at 224 pixels). benchmarks/README.md says what was reached of the target.
    """
    if workers.cores() < 2:
        pytest.skip("the promise is for two cores")
    measured = world.row(size, count, ("rgb",), None, rounds=3)
    if measured.yardsticks > most or measured.gain < 1.4:  # once more, longer
        measured = world.row(size, count, ("rgb",), None, rounds=8)
    assert measured.yardsticks <= most, measured
    assert measured.gain >= 1.4, "the second core must be worth its workers"


@pytest.mark.timing
def test_one_scene_in_all_modalities_answers_a_slider() -> None:
    render(SCENES[0], 128, ALL)
    seconds = []
    for i in range(30):
        started = time.perf_counter()
        render(SCENES[i], 128, ALL)
        seconds.append(time.perf_counter() - started)
    assert np.median(seconds) <= 0.040
