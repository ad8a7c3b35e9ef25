"""What is on the table, and where: factors, splits, layout, edits, requests that cannot be met."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from course_lib.world import camera, layout, solids
from course_lib.world.scene import (
    COLOURS,
    HELD_OUT,
    MOST,
    NONE,
    Recipe,
    Scenes,
    edit,
    join,
    sample,
)
from course_lib.world.solids import SHAPES

MANY = sample(range(20_000))
SUM = """
import hashlib
from dataclasses import fields
from course_lib.world.scene import sample
s = sample(range(300), seed=4, split="test")
print(hashlib.sha256(b"".join(getattr(s, f.name).tobytes() for f in fields(s))).hexdigest())
"""


def same(a: Scenes, b: Scenes) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Scenes))


def test_a_scene_is_the_same_in_any_batch_and_process() -> None:
    many = sample(range(300), seed=4, split="test")
    for i in (0, 7, 299):
        assert same(sample(i, seed=4, split="test"), many[i])
    assert same(join([many[:100], many[100:]]), many)
    run = [
        subprocess.run([sys.executable, "-c", SUM], capture_output=True, text=True) for _ in "ab"
    ]
    assert run[0].stdout == run[1].stdout != ""
    import contextlib
    import io

    here = io.StringIO()
    with contextlib.redirect_stdout(here):
        exec(SUM, {})
    assert here.getvalue() == run[0].stdout


def test_numbers_of_objects_and_factors_are_even() -> None:
    counts = np.bincount(MANY.count, minlength=7)[1:]
    assert (np.abs(counts - 20_000 / 6) < 5 * (20_000 / 6) ** 0.5).all()
    there = MANY.there
    for name, most in (("shape", 5), ("material", 3), ("size", 2)):
        found = np.bincount(getattr(MANY, name)[there], minlength=most)
        assert (np.abs(found / found.mean() - 1) < 0.03).all(), name
        assert (getattr(MANY, name)[~there] == NONE).all()
    colours = np.bincount(MANY.colour[there], minlength=8)
    assert (np.abs(colours / colours.mean() - 1) < 0.25).all()


def pairs(scenes: Scenes) -> set:
    there = scenes.there
    return {
        (COLOURS[c], SHAPES[s])
        for c, s in zip(scenes.colour[there], scenes.shape[there], strict=True)
    }


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_held_out_pairs_are_never_seen(split) -> None:
    found = pairs(sample(range(4000), split=split))
    assert not found & set(HELD_OUT)
    assert len(found) == 40 - len(HELD_OUT)


def test_every_compositional_scene_shows_a_held_out_pair() -> None:
    scenes = sample(range(2000), split="compositional")
    assert set(HELD_OUT) <= pairs(scenes)
    for i in range(len(scenes)):
        assert pairs(scenes[i]) & set(HELD_OUT)


def test_no_two_solids_meet() -> None:
    """The footprints' circles are apart; what they promise is tested in test_solids."""
    gap = np.linalg.norm(MANY.position[:, :, None] - MANY.position[:, None], axis=-1)
    reach = MANY.radius * solids.FOOTPRINT[MANY.shape]
    both = MANY.there[:, :, None] & MANY.there[:, None] & ~np.eye(MOST, dtype=bool)
    assert (gap - reach[:, :, None] - reach[:, None])[both].min() > 0


def test_no_point_lies_in_two_solids() -> None:
    rng = np.random.default_rng(0)
    for i in np.flatnonzero(MANY.count >= 5)[:60]:
        one = MANY[int(i)]
        n = int(one.count[0])
        local = rng.uniform(-1, 1, (n, 3000, 3))
        R, c, r = one.rotation[0, :n], one.centre[0, :n], one.radius[0, :n]
        world = np.einsum("nij,nkj->nki", R, local) * r[:, None, None] + c[:, None]
        for a in range(n):
            within = world[a][solids.inside(int(one.shape[0, a]), local[a])]
            for b in set(range(n)) - {a}:
                other = (within - c[b]) @ R[b] / r[b]
                assert not solids.inside(int(one.shape[0, b]), other).any()


def test_the_ring_is_there_when_nothing_else_will_do(monkeypatch) -> None:
    monkeypatch.setattr(layout, "LAYOUTS", 0)
    scenes = sample(range(500))
    for i in range(500):
        n = int(scenes.count[i])
        position = scenes.position[i, :n]
        np.testing.assert_allclose(
            np.linalg.norm(position, axis=1), layout.RING * layout.SPREAD[n], rtol=1e-12
        )
    gap = np.linalg.norm(scenes.position[:, :, None] - scenes.position[:, None], axis=-1)
    reach = scenes.radius * solids.FOOTPRINT[scenes.shape]
    both = scenes.there[:, :, None] & scenes.there[:, None] & ~np.eye(MOST, dtype=bool)
    assert (gap - reach[:, :, None] - reach[:, None])[both].min() > 0


def test_centres_are_in_the_frame() -> None:
    xy, depth = camera.project(MANY, MANY.centre, 64)
    there = MANY.there
    assert depth[there].min() > 0.1
    outside = (np.abs(xy[there] - 31.5) > 32).any(axis=1)
    assert outside.mean() < 1e-3


def test_edits_change_one_object_only() -> None:
    scenes = sample(range(50))
    new = edit(scenes, 0, shape="cone", colour="blue", size="large", x=0.05, lying=True)
    assert {n["shape"] for n in (new.names(i)[0] for i in range(50))} == {"cone"}
    assert (new.position[:, 0, 0] == 0.05).all()
    for f in ("shape", "colour", "radius", "position", "rotation"):
        np.testing.assert_array_equal(getattr(new, f)[:, 1:], getattr(scenes, f)[:, 1:])
    apex = new.rotation[:, 0] @ [0, 0, solids.CONE_HALF]
    assert (apex[:, 2] < 0).all()  # it lies, apex to the table


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"objects": (1, 9)}, "a scene holds 1 to 6 objects"),
        ({"objects": (3, 2)}, "a scene holds 1 to 6 objects"),
        ({"objects": (0, 2)}, "a scene holds 1 to 6 objects"),
        ({"objects": (2,)}, "a scene holds 1 to 6 objects"),
        ({"shapes": ()}, "shapes must be some of sphere"),
        ({"colours": ("pink",)}, "colours must be some of red"),
        ({"tables": "wood"}, "tables must be some of wood"),
    ],
)
def test_impossible_recipes(wanted, says) -> None:
    with pytest.raises(ValueError, match=says):
        Recipe(**wanted)


def test_impossible_scenes() -> None:
    with pytest.raises(ValueError, match="split must be one of"):
        sample(0, split="tests")
    with pytest.raises(ValueError, match="whole number of at least 0"):
        sample(0, seed=-1)
    with pytest.raises(ValueError, match="is held out of the split"):
        sample(0, recipe=Recipe(colours=(HELD_OUT[0][0],), shapes=(HELD_OUT[0][1],)))
    with pytest.raises(ValueError, match="there is no compositional scene"):
        sample(0, split="compositional", recipe=Recipe(colours=("red",), shapes=("cube",)))
    with pytest.raises(ValueError, match="at least one batch"):
        join([])
    for change, says in (
        ({"hue": "red"}, "one can edit"),
        ({"shape": "pyramid"}, "shape must be one of"),
    ):
        with pytest.raises(ValueError, match=says):
            edit(sample(0), 0, **change)
    with pytest.raises(ValueError, match="not every scene has an object at place 5"):
        edit(replace(sample(0), count=np.array([1])), 5, x=0.0)
