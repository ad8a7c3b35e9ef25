"""Exercises of notebook 05_world: a camera, a number that belongs to a scene, boxes, views, words.

Everything that the world draws, says or measures rests on a few lines; here they are written,
repaired and put on trial.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question
from course_lib.world.render import render
from course_lib.world.scene import Recipe, sample

# --- implement: the pinhole camera ----------------------------------------------------------------


def to_pixels(points, size, view):
    """Where a pinhole camera shows points that are given in its own frame.

    points: (N, 3), metres, x right, y down, z forward; size: pixels of the square picture;
    view: the field of view from edge to edge, radians
    → (N, 2), pixels (x, y), centres at whole numbers
    """
    focal = size / 2 / np.tan(view / 2)
    return points[:, :2] / points[:, 2:] * focal + (size - 1) / 2


def to_pixels_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, size, view in [(3, 64, 0.7), (5, 33, 1.1), (2, 224, 0.5)]:
        points = np.column_stack([rng.uniform(-0.2, 0.3, (n, 2)), rng.uniform(0.4, 1.5, n)])
        cases.append({"points": points, "size": size, "view": view})
    return cases


def pixels_orthographic(points, size, view):
    focal = size / 2 / np.tan(view / 2)
    return points[:, :2] * focal + (size - 1) / 2


def pixels_by_distance(points, size, view):
    focal = size / 2 / np.tan(view / 2)
    far = np.linalg.norm(points, axis=1, keepdims=True)
    return points[:, :2] / far * focal + (size - 1) / 2


def pixels_upside_down(points, size, view):
    focal = size / 2 / np.tan(view / 2)
    return points[:, :2] / points[:, 2:] * [focal, -focal] + (size - 1) / 2


def pixels_half_off(points, size, view):
    focal = size / 2 / np.tan(view / 2)
    return points[:, :2] / points[:, 2:] * focal + size / 2


def pixels_whole_angle(points, size, view):
    focal = size / 2 / np.tan(view)
    return points[:, :2] / points[:, 2:] * focal + (size - 1) / 2


def pixels_whole_size(points, size, view):
    focal = size / np.tan(view / 2)
    return points[:, :2] / points[:, 2:] * focal + (size - 1) / 2


def pixels_row_column(points, size, view):
    return to_pixels(points, size, view)[:, ::-1]


TO_PIXELS = Exercise(
    name="to_pixels",
    title="The pinhole camera",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
The `points` (N, 3) stand in the camera's own frame: x to the right, y **down**, z forward, metres.
A square picture of `size` pixels shows the field of `view` (radians) from edge to edge. Return the
pixels (x, y) of the points. Pixel *centres* are whole numbers, so the picture runs from −0.5 to
size − 0.5, and its middle is (size − 1) / 2.

$$x_{\\text{pixel}} = f\\,\\frac{X}{Z} + \\frac{S - 1}{2}, \\qquad
f = \\frac{S / 2}{\\tan(\\text{view} / 2)}$$
""",
    solution=to_pixels,
    cases=to_pixels_cases,
    misconceptions=(
        Misconception(
            "no perspective",
            pixels_orthographic,
            "You never divide by the depth: what is twice as far away must look half as large.",
        ),
        Misconception(
            "distance for depth",
            pixels_by_distance,
            "You divide by the distance to the lens; a pinhole divides by the *depth* z, or a "
            "straight "
            "edge would come out bent.",
        ),
        Misconception(
            "upside down",
            pixels_upside_down,
            "Your picture stands on its head: y already points down in the camera's frame, as rows "
            "do.",
        ),
        Misconception(
            "half a pixel off",
            pixels_half_off,
            "Everything is half a pixel off: the middle between the pixels 0 and size − 1 is "
            "(size − 1) / 2.",
        ),
        Misconception(
            "tangent of the whole angle",
            pixels_whole_angle,
            "From the middle to the edge it is *half* the field of view: tan(view / 2).",
        ),
        Misconception(
            "whole width",
            pixels_whole_size,
            "Twice too large: from the middle to the edge it is *half* the picture, size / 2.",
        ),
        Misconception(
            "row and column",
            pixels_row_column,
            "You return (y, x): points are (x, y) throughout this course.",
        ),
    ),
    hints=(
        "A point at the edge of the view has X / Z = tan(view / 2), and must land size / 2 pixels "
        "from the middle. What is f?",
        "`points[:, :2] / points[:, 2:]` is X / Z and Y / Z at once.",
    ),
)

# --- implement: a number that belongs to a scene --------------------------------------------------


def scene_numbers(seed, indices):
    """One random number in [0, 1) for each scene: it depends on seed and index, on nothing else.

    seed: int; indices: a list of ints → float array (len(indices),)
    """
    return np.array([np.random.default_rng([seed, index]).random() for index in indices])


def scene_numbers_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n in (3, 5, 4):
        indices = rng.choice(np.arange(2, 40), n, replace=False)
        cases.append({"seed": 3 + 7 * seed + n, "indices": [int(i) for i in indices]})
    return cases


def numbers_of_the_batch(seed, indices):
    return np.random.default_rng(seed).random(len(indices))


def numbers_seed_plus_index(seed, indices):
    return np.array([np.random.default_rng(seed + index).random() for index in indices])


def numbers_without_seed(seed, indices):
    return np.array([np.random.default_rng(index).random() for index in indices])


def numbers_by_place(seed, indices):
    return np.array([np.random.default_rng([seed, i]).random() for i in range(len(indices))])


def numbers_exchanged(seed, indices):
    return np.array([np.random.default_rng([index, seed]).random() for index in indices])


def numbers_seed_only(seed, indices):
    return np.array([np.random.default_rng(seed).random() for _ in indices])


SCENE_NUMBERS = Exercise(
    name="scene_numbers",
    title="The same scene, whatever the batch",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
Scene 17 must be the same scene whether it is made alone, in a batch of a thousand, or on another
machine. So its random numbers may depend on the `seed` and on its **index**, and on nothing else.

Return one number in [0, 1) for each of the `indices`: the first draw of a NumPy generator that is
made of the pair: `np.random.default_rng([seed, index])`.
""",
    solution=scene_numbers,
    cases=scene_numbers_cases,
    misconceptions=(
        Misconception(
            "one generator for the batch",
            numbers_of_the_batch,
            "One generator for the whole batch: scene 17 then depends on who stood before it in "
            "the "
            "list. Make a generator for each scene.",
        ),
        Misconception(
            "seed + index",
            numbers_seed_plus_index,
            "You add seed and index: scene 5 of seed 0 would then be scene 4 of seed 1, and a "
            "*new* "
            "seed would mostly show old scenes.",
        ),
        Misconception(
            "without the seed",
            numbers_without_seed,
            "Your numbers do not depend on the seed: training and test would show the same scenes.",
        ),
        Misconception(
            "place in the list",
            numbers_by_place,
            "You use the place in the list in place of the scene's index: `[40, 7]` and `[7, 40]` "
            "must "
            "give the same two numbers, exchanged.",
        ),
        Misconception(
            "exchanged",
            numbers_exchanged,
            "You made the generator of `[index, seed]`; asked for is `[seed, index]`.",
        ),
        Misconception(
            "seed alone",
            numbers_seed_only,
            "Every scene gets the same number: the index is missing.",
        ),
    ),
    hints=(
        "What would scene 17 be if it stood alone in the list? It must be the same in company.",
        "A list comprehension over `indices`, with a generator of its own for each.",
    ),
)

# --- repair: the box of a mask --------------------------------------------------------------------


def box_of_mask(mask):
    """The tight box around what is True.

    mask: bool (H, W) → float (4,): x0, y0, x1, y1, the outer borders of the outermost pixels
    """
    rows, columns = np.nonzero(mask)
    x0, x1 = columns.min() - 0.5, columns.max() + 0.5
    y0, y1 = rows.min() - 0.5, rows.max() + 0.5
    return np.array([x0, y0, x1, y1])


def box_of_mask_broken(mask):
    """The tight box around what is True.

    mask: bool (H, W) → float (4,): x0, y0, x1, y1, the outer borders of the outermost pixels
    """
    columns, rows = np.nonzero(mask)
    x0, x1 = columns.min() - 0.5, columns.max() + 0.5
    y0, y1 = rows.min() - 0.5, rows.max() + 0.5
    return np.array([x0, y0, x1, y1])


def box_of_mask_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for h, w in [(7, 12), (15, 9), (6, 20)]:
        mask = np.zeros((h, w), bool)
        top, left = rng.integers(1, h // 3 + 1), rng.integers(2, w // 3 + 2)
        mask[top : top + h // 3 + 1, left : left + w // 3] = True
        mask[top, left] = rng.random() < 0.5  # a corner may be missing, as in real masks
        cases.append({"mask": mask})
    return cases


def box_at_centres(mask):
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()], float)


def box_half_open(mask):
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)


def box_with_size(mask):
    rows, columns = np.nonzero(mask)
    w, h = columns.max() - columns.min() + 1, rows.max() - rows.min() + 1
    return np.array([columns.min() - 0.5, rows.min() - 0.5, w, h])


def box_of_the_first(mask):
    rows, columns = np.nonzero(mask)
    return np.array([columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5]) * 1.0


BOX_OF_MASK = Exercise(
    name="box_of_mask",
    title="Repair: the box that fits square pictures only",
    kind="repair",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
This function is to return the box `x0, y0, x1, y1` around a mask: x to the right, y down, from the
**outer border** of the first pixel to that of the last (a single pixel at (3, 5) has the box
2.5, 4.5, 3.5, 5.5). It has been in use for months; all its test pictures showed one round object in
the middle. Find its silent fault and repair it.
""",
    solution=box_of_mask,
    stub=box_of_mask_broken,
    cases=box_of_mask_cases,
    misconceptions=(
        Misconception(
            "at the centres",
            box_at_centres,
            "Your box goes from pixel centre to pixel centre, half a pixel too tight on each side: "
            "a "
            "single pixel would have a box without area.",
        ),
        Misconception(
            "half open",
            box_half_open,
            "Your box has the right size but lies half a pixel to the right and below: pixel "
            "centres "
            "are whole numbers here, so its first border is at −0.5.",
        ),
        Misconception(
            "width and height",
            box_with_size,
            "You return x, y, width, height; asked for are two corners: x0, y0, x1, y1.",
        ),
    ),
    hints=(
        "Try it on a mask that is wider than high.",
        "In which order does `np.nonzero` return the indices of an array (H, W)?",
    ),
)

# --- implement: the same point in another view ----------------------------------------------------


def seen_from_there(xy, depth, focal, centre, R, t):
    """Where pixels of one camera appear in another one.

    xy: (N, 2) pixels, depth: (N,) metres; both cameras have the same focal length and centre, in
    pixels; a point p of the first camera's frame is R @ p + t in the second's → (N, 2) pixels
    """
    ray = np.column_stack([(xy - centre) / focal, np.ones(len(xy))])
    there = ray * depth[:, None] @ R.T + t
    return there[:, :2] / there[:, 2:] * focal + centre


def seen_from_there_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, focal, centre in [(3, 87.9, 31.5), (5, 40.0, 19.5), (2, 110.0, 63.5)]:
        a, b = rng.uniform(0.1, 0.4, 2)
        turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        cases.append(
            {
                "xy": centre + rng.uniform(-20, 20, (n, 2)),
                "depth": rng.uniform(0.3, 0.9, n),
                "focal": focal,
                "centre": centre,
                "R": tilt @ turn,
                "t": rng.uniform(0.02, 0.1, 3),
            }
        )
    return cases


def seen_without_depth(xy, depth, focal, centre, R, t):
    ray = np.column_stack([(xy - centre) / focal, np.ones(len(xy))])
    there = ray @ R.T + t
    return there[:, :2] / there[:, 2:] * focal + centre


def seen_by_distance(xy, depth, focal, centre, R, t):
    ray = np.column_stack([(xy - centre) / focal, np.ones(len(xy))])
    ray = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    there = ray * depth[:, None] @ R.T + t
    return there[:, :2] / there[:, 2:] * focal + centre


def seen_turned_back(xy, depth, focal, centre, R, t):
    ray = np.column_stack([(xy - centre) / focal, np.ones(len(xy))])
    there = ray * depth[:, None] @ R + t
    return there[:, :2] / there[:, 2:] * focal + centre


def seen_moved_first(xy, depth, focal, centre, R, t):
    ray = np.column_stack([(xy - centre) / focal, np.ones(len(xy))])
    there = (ray * depth[:, None] + t) @ R.T
    return there[:, :2] / there[:, 2:] * focal + centre


def seen_by_old_depth(xy, depth, focal, centre, R, t):
    ray = np.column_stack([(xy - centre) / focal, np.ones(len(xy))])
    there = ray * depth[:, None] @ R.T + t
    return there[:, :2] / depth[:, None] * focal + centre


def seen_uncentred(xy, depth, focal, centre, R, t):
    ray = np.column_stack([xy / focal, np.ones(len(xy))])
    there = ray * depth[:, None] @ R.T + t
    return there[:, :2] / there[:, 2:] * focal


SEEN_FROM_THERE = Exercise(
    name="seen_from_there",
    title="The same point in the other view",
    kind="implement",
    difficulty=4,
    importance=4,
    minutes=15,
    prompt="""
Two cameras look at one scene. Pixel `xy` of the first shows something at the known `depth` (its z).
Where does the second camera show it? Three steps: **back** to a point in the first camera's frame,
over to the second's by $p' = R\\,p + t$, and **projected** again. `focal` and `centre` (one
number, for x and y) are in pixels and the same for both.

Lesson 04 *guessed* such correspondences. The world knows them: this is how.
""",
    solution=seen_from_there,
    cases=seen_from_there_cases,
    misconceptions=(
        Misconception(
            "depth left out",
            seen_without_depth,
            "You never use the depth: a pixel is a whole *ray*, and how far it moves in the other "
            "view "
            "depends on how far along the ray the point lies (parallax).",
        ),
        Misconception(
            "distance for depth",
            seen_by_distance,
            "You went `depth` metres along a ray of length 1; depth is z: scale the ray (x, y, 1).",
        ),
        Misconception(
            "turned backwards",
            seen_turned_back,
            "You applied the transpose of R, which turns the other way: rows of points need `@ "
            "R.T`.",
        ),
        Misconception(
            "moved before turned",
            seen_moved_first,
            "You added t before the turn: R (p + t); asked for is R p + t.",
        ),
        Misconception(
            "divided by the old depth",
            seen_by_old_depth,
            "You divided by the depth in the *first* camera; in the second the point has another "
            "one.",
        ),
        Misconception(
            "centre forgotten",
            seen_uncentred,
            "Pixels count from the corner, rays from the middle: subtract `centre` first, and add "
            "it "
            "again at the end.",
        ),
    ),
    hints=(
        "The ray through a pixel: `np.column_stack([(xy - centre) / focal, np.ones(len(xy))])`.",
        "Its third number is 1, so times the depth it becomes the point itself.",
        "For points in rows, R p is `p @ R.T`.",
    ),
)

# --- test: what is left of what? ------------------------------------------------------------------


def left_of(a, b, azimuth):
    """Is a to the left of b in the picture, by 12 mm or more?

    a, b: (x, y) on the table, metres; azimuth: where the camera stands, radians
    """
    right = np.array([np.cos(azimuth), np.sin(azimuth)])
    return bool((np.asarray(b) - a) @ right >= 0.012)


def test_left_of(left_of):
    """Assert what a right `left_of` does, and nothing that a right one might not do.

    left_of: a function of a, b (x, y in metres on the table) and the camera's azimuth
    """
    a, b = np.array([0.0, 0.05]), np.array([0.1, -0.02])
    assert left_of(a, b, 0.0)
    assert not left_of(b, a, 0.0)
    assert not left_of(a, a, 0.0)
    assert not left_of(a, np.array([0.005, 0.35]), 0.0)
    assert left_of(a, np.array([0.02, 0.35]), 0.0)
    assert not left_of(a, b, np.pi)
    assert left_of(b, a, np.pi)
    front, back = np.array([0.0, -0.1]), np.array([0.0, 0.1])
    assert left_of(front, back, np.pi / 2)
    assert not left_of(back, front, np.pi / 2)


def left_of_the_table(a, b, azimuth):
    return bool(b[0] - a[0] >= 0.012)


def left_of_swapped(a, b, azimuth):
    return left_of(b, a, azimuth)


def left_of_by_y(a, b, azimuth):
    return bool((np.asarray(b) - a) @ [-np.sin(azimuth), np.cos(azimuth)] >= 0.012)


def left_of_without_margin(a, b, azimuth):
    return bool((np.asarray(b) - a) @ [np.cos(azimuth), np.sin(azimuth)] > 0)


def left_of_turned_back(a, b, azimuth):
    return bool((np.asarray(b) - a) @ [np.cos(azimuth), -np.sin(azimuth)] >= 0.012)


def left_of_or_right_of(a, b, azimuth):
    return bool(abs((np.asarray(b) - a) @ [np.cos(azimuth), np.sin(azimuth)]) >= 0.012)


def left_of_in_degrees(a, b, azimuth):
    turn = np.radians(azimuth)
    return bool((np.asarray(b) - a) @ [np.cos(turn), np.sin(turn)] >= 0.012)


def left_of_by_matrix(a, b, azimuth):
    c, s = np.cos(azimuth), np.sin(azimuth)
    turned = np.array([[c, s], [-s, c]]) @ np.column_stack([a, b])
    return bool(turned[0, 1] - turned[0, 0] >= 0.012)


TEST_LEFT_OF = Exercise(
    name="test_left_of",
    title="Write the test: left of what?",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=12,
    prompt="""
*"The red cube is to the left of the blue sphere."* A right `left_of(a, b, azimuth)` says so for two
places (x, y) on the table, **as the camera sees them**, and only if they are at least 12 mm apart
in that direction, so that nobody can argue. At azimuth 0 the camera sees x to its right; at azimuth
π / 2 it has walked a quarter round the table and sees **y** to its right.

Write a test that every wrong one fails. Do not test a gap of exactly 12 mm: rounding decides that.
""",
    solution=test_left_of,
    subject=left_of,
    misconceptions=(
        Misconception(
            "camera ignored",
            left_of_the_table,
            "Your test accepts a function that ignores where the camera stands: from the other "
            "side "
            "of the table, left is right.",
        ),
        Misconception(
            "exchanged",
            left_of_swapped,
            "Your test accepts a function that says *right* for *left*.",
        ),
        Misconception(
            "in front for left",
            left_of_by_y,
            "Your test accepts a function that answers *in front of*: try two places that differ "
            "only "
            "in depth.",
        ),
        Misconception(
            "no margin",
            left_of_without_margin,
            "Your test accepts a function without the margin: 5 mm apart is not *left of*.",
        ),
        Misconception(
            "camera the other way round",
            left_of_turned_back,
            "Your test accepts a camera that walks round the table the other way: at 0 and at π "
            "that "
            "makes no difference, at π / 2 it does.",
        ),
        Misconception(
            "either side",
            left_of_or_right_of,
            "Your test accepts a function that is true of both orders: check that b is *not* left "
            "of "
            "a.",
        ),
        Misconception(
            "degrees",
            left_of_in_degrees,
            "Your test accepts a function that takes the azimuth for degrees: π degrees are almost "
            "none.",
        ),
    ),
    also_right=(
        Misconception(
            "by a rotation matrix",
            left_of_by_matrix,
            "one that turns the table by a matrix, so that the last digit differs. Keep away from "
            "exactly 12 mm.",
        ),
    ),
    hints=(
        "Both orders of the two arguments, and a place with itself.",
        "Two places that differ much in y and hardly in x.",
        "Azimuth 0, π (left is right) and π / 2 (x has become depth).",
    ),
    equivalent={
        "compare 7:16 >= → >": "a gap of exactly 12 mm is left to rounding",
        "operands 7:16 a @ b → b @ a": "the scalar product of two vectors has no order",
    },
)

# --- predict: what do pixels call different? ------------------------------------------------------


def pixel_changes(n=200, size=48):
    """Mean change of a pixel (0 to 255) when one thing changes in each of `n` scenes."""
    scenes = sample(range(n), recipe=Recipe(objects=(2, 2)))
    before = render(scenes, size).rgb.astype(float)
    turned = replace(scenes, light_azimuth=scenes.light_azimuth + np.pi / 2)
    changed = {
        "the light": turned,
        "the camera": replace(scenes, azimuth=scenes.azimuth + np.radians(10)),
        "the table": replace(scenes, table=(scenes.table + 1) % 4),
        "the objects": replace(scenes, shape=np.where(scenes.there, (scenes.shape + 1) % 5, -1)),
    }
    return {
        name: float(np.abs(render(other, size).rgb - before).mean())
        for name, other in changed.items()
    }


def greatest_change():
    changes = pixel_changes()
    return max(changes, key=changes.get)


LOUDEST = Exercise(
    name="loudest",
    title="What do pixels call the greatest change?",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=3,
    prompt="""
Two objects stand on a table, photographed twice. Between the two photographs **one** thing changes:

* the light: it comes from another side (a quarter turn);
* the camera: it walks 10° round the table;
* the table: it has another cloth;
* the objects: both are exchanged for other shapes, in the same place and colours.

Which of them changes the pixels most, in the mean over many scenes?
""",
    solution="the table",
    choices=("the light", "the camera", "the table", "the objects"),
    measure=greatest_change,
    misconceptions=(
        Misconception(
            "what we call different",
            "the objects",
            "To you that is another scene. To pixels it is a small matter: most of them show the "
            "table.",
        ),
        Misconception(
            "shadows",
            "the light",
            "Light moves shadows and highlights, but most pixels keep most of their brightness.",
        ),
        Misconception(
            "everything moves",
            "the camera",
            "Everything moves, but a pixel often falls on something of the same colour.",
        ),
    ),
    hints=(
        "How many of the pixels show an object at all?",
        "It is not what *you* would call the greatest change.",
    ),
)

# --- ablate: what makes shape hard? ---------------------------------------------------------------


def pixels_know_shape(train=600, test=300, size=32, **recipe):
    """Share (percent) of one-object scenes whose nearest neighbour by pixels has the same shape."""
    recipe = Recipe(objects=(1, 1), **recipe)
    seen = sample(range(train), recipe=recipe)
    new = sample(range(test), split="test", recipe=recipe)
    a, b = (render(s, size).rgb.reshape(len(s), -1).astype(np.float32) for s in (seen, new))
    distance = (b**2).sum(1)[:, None] - 2 * b @ a.T + (a**2).sum(1)
    nearest = seen.shape[distance.argmin(axis=1), 0]
    return round(100 * float((nearest == new.shape[:, 0]).mean()))


def measured_nuisances():
    one = {"tables": ("linen",), "colours": ("red", "blue"), "materials": ("matte",)}
    return [
        pixels_know_shape(),
        pixels_know_shape(tables=one["tables"]),
        pixels_know_shape(**one),
        pixels_know_shape(**one, sizes=("large",)),
    ]


NUISANCES = Exercise(
    name="nuisances",
    title="What makes shape hard?",
    kind="ablate",
    difficulty=3,
    importance=4,
    minutes=8,
    prompt="""
`ex.pixels_know_shape()` photographs one object on each of 600 tables, and says in how many
**percent** of 300 new scenes the nearest neighbour, pixel by pixel, has the same shape (of five).
Switch the nuisances off, one after the other, and write down four numbers:

1. everything varies: `ex.pixels_know_shape()`;
2. one cloth for all: `tables=("linen",)`;
3. also few colours and one material: `colours=("red", "blue")`, `materials=("matte",)`;
4. also one size: `sizes=("large",)`.

Guess all four before you measure. Whole percents; 4 more or less do not matter.
""",
    solution=[32, 39, 51, 69],
    measure=measured_nuisances,
    atol=4,
    misconceptions=(
        Misconception(
            "fractions",
            [0.32, 0.39, 0.51, 0.69],
            "Those are fractions: times 100, they are percents.",
        ),
        Misconception(
            "counted",
            [96, 117, 153, 207],
            "You counted the hits among 300; asked for is their share in percent.",
        ),
        Misconception(
            "share that is wrong",
            [68, 61, 49, 31],
            "That is the share of the *wrong* answers.",
        ),
        Misconception(
            "one at a time",
            [32, 39, 35, 30],
            "You switched off one thing at a time; the steps build on each other: the cloth stays "
            "fixed when the colours are.",
        ),
    ),
    hints=(
        "Chance is one in five.",
        "`ex.pixels_know_shape(tables=('linen',), colours=('red', 'blue'), …)`: names go in "
        "tuples, "
        "and a tuple of one needs its comma.",
    ),
)

EXERCISES = (
    SCENE_NUMBERS,
    TO_PIXELS,
    BOX_OF_MASK,
    SEEN_FROM_THERE,
    TEST_LEFT_OF,
    LOUDEST,
    NUISANCES,
)

QUIZ = (
    Question(
        prompt="Why is scene 17 of the training split never scene 17 of the test split?",
        choices=(
            "The name of the split goes into the hash from which all its numbers come",
            "The test split begins at index 1,000,000",
            "Scenes that occur twice are thrown away",
        ),
        correct=0,
        why=(
            "Seed, split, index and the name of what is drawn: four things decide a number.",
            "Then a training set of more than a million scenes would run into the test set.",
            "Nobody compares scenes; there is nothing to throw away.",
        ),
    ),
    Question(
        prompt=(
            "The split “compositional” shows red spheres, and training never did. What does it ask?"
        ),
        choices=(
            "Whether a method knows red, and knows spheres, and can put the two together",
            "Whether a method can learn a new colour",
            "Whether the pictures are sharp enough",
        ),
        correct=0,
        why=(
            "Both words are known from training; only the pair is new.",
            "Red is well known from red cubes; no colour is new.",
            "They are drawn by the same camera.",
        ),
    ),
    Question(
        prompt="Depth in this course is …",
        choices=(
            "… the length of the ray from the lens to the point",
            "… how far the point lies along the direction in which the camera looks (z)",
        ),
        correct=1,
        why=(
            "Then a flat wall in front of the camera would have a depth that grows towards its "
            "edges.",
            "A wall that faces the camera has one depth, and stereo's disparity is f · baseline / "
            "z.",
        ),
    ),
    Question(
        prompt="From lesson 04: which matches can RANSAC on a homography keep, on two views of a "
        "table with objects?",
        choices=(
            "All right ones",
            "Those of one plane: the table",
            "Those of the nearest object",
        ),
        correct=1,
        why=(
            "A homography moves points by one plane's rule; what stands above the table moves "
            "more.",
            "Two views of a plane are a homography apart; the objects need their depth as well.",
            "Only if it were flat and had most of the matches.",
        ),
    ),
)
