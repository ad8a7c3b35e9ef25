"""What a drawing function raises becomes one sentence; what it returns is understood."""

import numpy as np

from course_lib.show.attempt import attempt

RED = np.full((4, 6, 3), (255, 0, 0), np.uint8)


def test_a_picture_alone_or_with_a_text() -> None:
    assert np.array_equal(attempt(lambda: RED).image, RED)
    both = attempt(lambda n: (RED, f"{n} points"), n=3)
    assert np.array_equal(both.image, RED)
    assert both.text == "3 points"
    assert not both.error


def test_an_error_is_one_sentence_with_its_line() -> None:
    def draw():
        raise ValueError("no blob\nin this picture")

    drawn = attempt(draw)
    assert drawn.image is None
    assert "no blob" in drawn.error
    assert "\n" not in drawn.error


def test_what_is_no_picture_is_said_to_be_none() -> None:
    assert "None" in attempt(lambda: None).error or "NoneType" in attempt(lambda: None).error
