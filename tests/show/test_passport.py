"""passport: every score stands in the radar and in the table, and chance is the ground."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from course_lib.show import passport as module
from course_lib.show.passport import passport_picture

ROWS = {
    "chance": {"shape": 0.2, "colour": 0.125, "size": 0.5},
    "random init": {"shape": 0.4, "colour": 0.5, "size": 0.6, "rank": 10.0},
    "SIFT bag-of-words": {"shape": 0.6, "size": None, "colour": -0.25, "rank": 40.0},
}


@pytest.fixture
def axes(monkeypatch):
    """The two matplotlib axes behind the picture: the radar and the table."""
    made = []
    real = module.figure
    monkeypatch.setattr(
        module, "figure", lambda fig, alt: made.extend(fig.axes) or real(fig, alt=alt)
    )
    return made


def test_the_radar_shows_each_score_on_its_axis(axes) -> None:
    shown = passport_picture(ROWS, alt="Three methods.")
    radar, _ = axes
    lines = {line.get_label(): line.get_ydata() for line in radar.get_lines()}
    assert list(lines) == list(ROWS)
    # shape, colour, size, rank (its rim is 40), and back to shape
    assert lines["random init"] == pytest.approx([0.4, 0.5, 0.6, 0.25, 0.4])
    expected = [0.6, 0, np.nan, 1, 0.6]  # below zero is drawn in the middle
    assert lines["SIFT bag-of-words"] == pytest.approx(expected, nan_ok=True)
    names = [text.get_text() for text in radar.get_xticklabels()]
    assert names == ["shape", "colour", "size", "rank\n(rim 40)"]
    assert radar.get_lines()[0].get_xdata() == pytest.approx(np.pi * np.array([0, 0.5, 1, 1.5, 0]))
    assert (shown.alt, shown.width) == ("Three methods.", 900)


def test_only_chance_is_the_ground(axes) -> None:
    passport_picture(ROWS, alt="Three methods.")
    (ground,) = axes[0].patches
    assert ground.get_xy()[:4, 1] == pytest.approx([0.2, 0.125, 0.5, 0])
    looks = [(ln.get_color(), ln.get_marker(), ln.get_linestyle()) for ln in axes[0].get_lines()]
    assert len(set(looks)) == 3
    assert looks[0][:2] == ("#888888", "")
    axes.clear()
    passport_picture({name: ROWS[name] for name in list(ROWS)[1:]}, alt="Two methods.")
    assert not axes[0].patches
    again = [(ln.get_color(), ln.get_marker(), ln.get_linestyle()) for ln in axes[0].get_lines()]
    assert again == looks[1:], "a method's look must not depend on the ground"


def test_the_table_says_the_numbers_and_shows_the_lines(axes) -> None:
    passport_picture(ROWS, ["rank", "colour", "size"], alt="Three methods.")
    radar, table = axes
    texts = [text.get_text() for text in table.texts]
    assert texts == [
        "rank", "colour", "size",
        "chance", "–", "0.12", "0.50",
        "random init", "10.0", "0.50", "0.60",
        "SIFT bag-of-words", "40.0", "-0.25", "–",
    ]  # fmt: skip
    looks = [(ln.get_color(), ln.get_marker()) for ln in radar.get_lines()]
    assert [(ln.get_color(), ln.get_marker()) for ln in table.get_lines()[1:]] == looks


def test_long_names_do_not_run_into_each_other(axes) -> None:
    columns = [f"invariance to {name}" for name in "abcdefghij"]
    passport_picture({"m": dict.fromkeys(columns, 0.5)}, alt="Ten columns.")
    figure = axes[1].get_figure()
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in axes[1].texts[:10]]
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0


def test_the_picture_is_the_same_in_every_run() -> None:
    first, second = (passport_picture(ROWS, alt="Three methods.") for _ in range(2))
    assert first.data == second.data
    assert len(first.data) <= 150_000


@pytest.mark.parametrize(
    ("rows", "columns"), [({}, None), (ROWS, ["shape", "size"]), (ROWS, ["shape"] * 3)]
)
def test_a_radar_needs_three_axes(rows, columns) -> None:
    with pytest.raises(ValueError, match="at least one row and three different columns, but"):
        passport_picture(rows, columns, alt="x")


def test_a_column_that_nobody_has() -> None:
    with pytest.raises(ValueError, match="no row has a score for depth"):
        passport_picture(ROWS, ["shape", "size", "depth"], alt="x")
