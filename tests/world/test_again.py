"""world/again: the objects keep every bit, the surroundings change as asked, seed by seed."""

from dataclasses import fields, replace

import numpy as np
import pytest

from course_lib.world.again import again, rendered_pairs
from course_lib.world.render import render
from course_lib.world.scene import DISTANCE, TABLES, Recipe, join, sample

OBJECTS = {"count", "shape", "colour", "material", "size", "radius", "position", "rotation"}
CHANGES = {
    "table": {"table", "table_angle", "table_tone", "table_offset"},
    "light": {"light_azimuth", "light_elevation", "brightness", "warmth"},
    "camera": {"azimuth", "elevation", "distance"},
}


@pytest.fixture(scope="module")
def scenes():
    return sample(range(300), recipe=Recipe(objects=(1, 3)))


def differing(a, b) -> set[str]:
    """The fields of which any bit differs."""
    return {
        f.name
        for f in fields(a)
        if getattr(a, f.name).tobytes() != getattr(b, f.name).tobytes()
        or getattr(a, f.name).dtype != getattr(b, f.name).dtype
    }


def test_the_fields_of_a_scene_are_all_accounted_for(scenes):
    known = OBJECTS.union(*CHANGES.values(), {"target"})
    assert {f.name for f in fields(scenes)} == known


def test_the_objects_are_the_same_bit_for_bit(scenes):
    changed = differing(scenes, again(scenes))
    assert changed == set().union(*CHANGES.values())
    assert not changed & OBJECTS


@pytest.mark.parametrize("change", [(), ("table",), ("light",), ("camera",), ("light", "camera")])
def test_what_is_named_changes_and_nothing_else(scenes, change):
    expected = set().union(*(CHANGES[part] for part in change))
    assert differing(scenes, again(scenes, change=change)) == expected


def test_one_word_or_any_collection_of_words_will_do(scenes):
    expected = again(scenes, change=("light",))
    for change in ("light", {"light"}, iter(["light", "light"])):
        assert not differing(again(scenes, change=change), expected)


def test_the_scenes_given_stay_as_they_are(scenes):
    before = replace(scenes, **{f.name: getattr(scenes, f.name).copy() for f in fields(scenes)})
    again(scenes)
    assert not differing(scenes, before)


def test_the_camera_starts_from_where_it_was(scenes):
    """Looking again from a turned camera is the turned second look."""
    turned = replace(scenes, azimuth=scenes.azimuth + 0.5)
    apart = again(turned).azimuth - again(scenes).azimuth
    assert np.allclose(apart, 0.5)


def test_a_part_is_drawn_alike_whatever_else_changes(scenes):
    every, one = again(scenes), again(scenes, change=("light",))
    for name in CHANGES["light"]:
        assert np.array_equal(getattr(every, name), getattr(one, name))


def test_the_surroundings_are_really_others(scenes):
    other = again(scenes)
    same_table = (other.table == scenes.table).mean()
    assert 0.15 < same_table < 0.35  # one of four, by chance
    for name in ("table_angle", "light_azimuth", "azimuth", "brightness", "warmth"):
        before, after = getattr(scenes, name), getattr(other, name)
        assert (np.abs(after - before) > 1e-6).all()
        if name != "azimuth":  # which is 0 before
            assert abs(np.corrcoef(before, after)[0, 1]) < 0.25, name


def test_nothing_new_tells_of_anything_else_that_is_new(scenes):
    other = again(scenes)
    names = sorted(set().union(*CHANGES.values()) - {"distance"})  # which grows with the objects
    columns = np.column_stack([getattr(other, name) for name in names])
    assert np.abs(np.corrcoef(columns.T) - np.eye(columns.shape[1])).max() < 0.25


def test_the_seed_decides(scenes):
    assert not differing(again(scenes, seed=3), again(scenes, seed=3))
    assert differing(again(scenes, seed=3), again(scenes, seed=4)) == set().union(*CHANGES.values())


def test_a_scene_does_not_care_who_stands_beside_it(scenes):
    alone = join(again(scenes[[i]], seed=5) for i in (7, 2, 11))
    assert not differing(alone, again(scenes, seed=5)[[7, 2, 11]])


def test_values_stay_in_their_ranges(scenes):
    other = again(scenes)
    assert set(np.unique(other.table)) == set(range(len(TABLES)))
    for name, low, high in (
        ("table_angle", 0, 2 * np.pi),
        ("table_tone", 0, 1),
        ("table_offset", -0.5, 0.5),
        ("light_azimuth", 0, 2 * np.pi),
        ("light_elevation", np.radians(35), np.radians(70)),
        ("brightness", 0.8, 1.15),
        ("warmth", -1, 1),
    ):
        values = getattr(other, name)
        assert values.min() >= low - 1e-6
        assert values.max() <= high + 1e-6
        assert values.max() - values.min() > 0.9 * (high - low)
    allowed = np.radians(26 + 3.5 * np.arange(8))
    assert np.abs(other.elevation[:, None] - allowed).min(axis=1).max() < 1e-6
    usual = DISTANCE[scenes.count]
    assert (np.abs(other.distance / usual - 1) < 0.0401).all()


@pytest.mark.parametrize("turn", [0, 0.3, np.pi])
def test_the_camera_turns_as_far_as_allowed(scenes, turn):
    went = again(scenes, turn=turn).azimuth - scenes.azimuth
    assert np.abs(went).max() <= turn + 1e-6
    if turn:
        assert went.max() > 0.9 * turn
        assert went.min() < -0.9 * turn


def test_an_edited_object_is_looked_at_alike(scenes):
    """Two scenes that differ in an object alone still differ in it alone."""
    other = replace(scenes, colour=(scenes.colour + 1) % 8)
    assert differing(again(scenes), again(other)) == {"colour"}


def test_the_pictures_differ_and_the_objects_stay_in_sight():
    scenes = sample(range(40), recipe=Recipe(objects=(1, 1)))
    other = again(scenes)
    a, b = render(scenes, 48).rgb, render(other, 48, want=("rgb", "instance"))
    apart = np.abs(a.astype(int) - b.rgb).mean(axis=(1, 2, 3))
    assert (apart > 3).all()
    assert (b.masks[:, 0].sum(axis=(1, 2)) > 20).all()
    for part in CHANGES:
        changed = render(again(scenes, change=(part,)), 48).rgb
        assert (changed != a).any(axis=(1, 2, 3)).all(), part


def test_errors_are_one_sentence(scenes):
    for change, asked in ((("sky", "table", "objects"), "objects, sky"), ("sky", "sky")):
        need = f"what may change is table, light, camera, but {asked} was asked for"
        with pytest.raises(ValueError, match=need):
            again(scenes, change=change)
    for turn in (-0.1, 3.2, np.nan):
        with pytest.raises(ValueError, match="turn must be from 0 to π radians, but it is"):
            again(scenes, turn=turn)


def test_rendered_pairs_are_the_scenes_and_the_same_again() -> None:
    recipe = Recipe(objects=(1, 1))
    pairs = rendered_pairs(3, recipe, turn=0.6, size=32)
    scenes = sample(range(3), recipe=recipe)
    for i, seen in enumerate((scenes, again(scenes, turn=0.6))):
        assert (pairs[:, i] == render(seen, 32).rgb.transpose(0, 3, 1, 2)).all()
    assert (pairs[:, 0] != pairs[:, 1]).any(axis=(1, 2, 3)).all()
