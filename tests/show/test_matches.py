"""Drawn keypoints and matches: the right place and sign; nothing outside the picture breaks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.blocks.keypoints import Keypoints
from course_lib.show.matches import GAP, draw_keypoints, draw_matches
from course_lib.show.palette import colour

BLANK = np.full((200, 300, 3), 128, np.uint8)


def near(drawing: np.ndarray, x: float, y: float, ink: str, reach: int = 2) -> bool:
    """Is there a pixel of about this colour at (x, y)?"""
    x, y = round(x), round(y)
    part = drawing[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    return bool((np.abs(part.astype(int) - colour(ink)).max(axis=2) < 70).any())


def test_a_keypoint_is_a_circle_of_its_size_with_a_spoke_along_its_angle():
    point = Keypoints.at([[150, 100]], size=60, angle=np.pi / 2)  # x towards y: down on the screen
    drawing = draw_keypoints(BLANK, point)
    for x, y in ((180, 100), (120, 100), (150, 70), (150, 130), (150, 115)):
        assert near(drawing, x, y, "yellow"), (x, y)
    for x, y in ((150, 85), (165, 100), (150, 140), (200, 100)):
        assert not near(drawing, x, y, "yellow"), (x, y)
    assert not near(draw_keypoints(BLANK, point, orientation=False), 150, 115, "yellow")
    assert (BLANK == 128).all(), "the picture that was given has been painted on"


def test_width_scales_the_points_with_the_picture():
    drawing = draw_keypoints(BLANK, Keypoints.at([[150, 100]], size=60), width=600)
    assert drawing.shape == (400, 600, 3)
    assert near(drawing, 301 + 60, 201, "yellow")


def test_limit_keeps_the_strongest_and_highlight_is_seen():
    two = Keypoints.at([[60, 100], [240, 100]], size=40, response=[1, 2])
    drawing = draw_keypoints(BLANK, two, limit=1)
    assert near(drawing, 260, 100, "yellow")
    assert not near(drawing, 80, 100, "yellow")
    assert near(draw_keypoints(BLANK, two, highlight=0), 80, 100, "vermillion")


LEFT = Keypoints.at([[50, 40], [60, 160]])
RIGHT = Keypoints.at([[250, 40], [200, 160]])


@pytest.mark.parametrize("stacked", [False, True])
def test_right_matches_are_solid_and_wrong_ones_dashed(stacked):
    drawing = draw_matches(
        BLANK, BLANK, LEFT, RIGHT, [[0, 0], [1, 1]], [True, False], stacked=stacked, width=None
    )
    shift = np.array([0, 200 + GAP] if stacked else [300 + GAP, 0])
    share = {}
    for i, ink in ((0, "sky"), (1, "vermillion")):
        a, b = LEFT.xy[i], RIGHT.xy[i] + shift
        steps = [a + (b - a) * t for t in np.linspace(0.05, 0.95, 120)]
        share[ink] = np.mean([near(drawing, x, y, ink, 1) for x, y in steps])
    assert share["sky"] > 0.95
    assert 0.3 < share["vermillion"] < 0.85, "a wrong match must be dashed"


def test_the_whole_drawing_has_the_width_asked_for():
    assert draw_matches(BLANK, BLANK, LEFT, RIGHT, [[0, 0]], width=800).shape[1] in (799, 800, 801)
    tall = draw_matches(BLANK, BLANK, LEFT, RIGHT, [[0, 0]], width=500, stacked=True)
    assert tall.shape[1] == 500


@pytest.mark.parametrize(
    ("index", "correct", "message"),
    [
        ([[0, 2]], None, "beyond the 2 and 2 keypoints"),
        ([[-1, 0]], None, "beyond"),
        ([0, 1], None, r"shape \(M, 2\)"),
        ([[0, 0]], [True, False], r"correct must have shape \(1,\)"),
    ],
)
def test_bad_matches_are_named(index, correct, message):
    with pytest.raises(ValueError, match=message):
        draw_matches(BLANK, BLANK, LEFT, RIGHT, np.array(index), correct)


def test_nothing_to_draw_is_no_error():
    none = Keypoints.empty()
    np.testing.assert_array_equal(draw_keypoints(BLANK, none), BLANK)
    drawing = draw_matches(BLANK, BLANK, none, none, np.zeros((0, 2), int), np.zeros(0, bool))
    assert (drawing[:, :100] == 128).all()


@settings(max_examples=30)
@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 2, st.floats(0, 1e5)), max_size=6),
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.one_of(st.none(), st.integers(1, 90)),
)
def test_points_anywhere_on_any_picture(points, shape, width):
    image = np.zeros(shape, np.uint8)
    kept = Keypoints.at([p[:2] for p in points], [p[2] for p in points])
    drawing = draw_keypoints(image, kept, width=width)
    assert drawing.shape[1] == (width or shape[1])
    index = np.stack([np.arange(len(kept))] * 2, axis=1)
    assert draw_matches(image, image, kept, kept, index, np.ones(len(kept), bool)).dtype == np.uint8
