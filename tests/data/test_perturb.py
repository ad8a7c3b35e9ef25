"""A picture is changed as said, and H says exactly where each point went."""

import re
from math import pi

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course_lib.data.perturb import PERTURBATIONS, blur, noise, relight, turn, zoom
from course_lib.data.photos import photo

FUNCTIONS = [turn, zoom, blur, relight, noise]
CAMERA = photo("camera")[..., 0]


def dot(shape: tuple[int, int], x: float, y: float, sigma: float = 2.5) -> np.ndarray:
    """A soft bright dot on black, centred between the pixels if need be."""
    rows, columns = np.indices(shape)
    return np.rint(200 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))).astype(
        np.uint8
    )


def centroid(image: np.ndarray, near: tuple[float, float], radius: float) -> np.ndarray:
    """Centre of mass (x, y) of what lies within `radius` of `near`: a reflection is left out."""
    rows, columns = np.indices(image.shape)
    close = (columns - near[0]) ** 2 + (rows - near[1]) ** 2 <= radius**2
    mass = np.where(close, image, 0).astype(float)
    return np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum()


def through(H: np.ndarray, x: float, y: float) -> list[float]:
    return (H @ (x, y, 1))[:2].tolist()


LEVELS = [
    *((turn, angle) for angle in np.linspace(-pi, 2 * pi, 13)),
    *((zoom, factor) for factor in (0.35, 0.5, 0.6, 0.7, 0.9, 1, 1.4, 2, 3.1)),
    *((blur, sigma) for sigma in (0, 0.5, 1, 3)),
    *((relight, stops) for stops in (-2, 0)),
]


@pytest.mark.parametrize(
    ("function", "level"), LEVELS, ids=lambda v: v.__name__ if callable(v) else f"{v:.2g}"
)
@pytest.mark.parametrize("shape", [(121, 160), (120, 161), (140, 97)])
def test_a_dot_lands_where_h_says(function, level: float, shape: tuple[int, int]) -> None:
    for x, y in ((60, 75), (52.3, 51.7), (42.5, 70.25)):
        picture, H = function(dot(shape, x, y), level)
        assert H.shape == (3, 3)
        assert H.dtype == np.float64
        where = tuple(through(H, x, y))
        reach = 14 * max(1, np.sqrt(abs(np.linalg.det(H))), level if function is blur else 1)
        assert np.abs(centroid(picture, where, reach) - where).max() < 0.05


@pytest.mark.parametrize("image", [CAMERA, CAMERA[:, :301], photo("astronaut")[:400]])
def test_quarter_turns_move_pixels_and_no_more(image: np.ndarray) -> None:
    half, H = turn(image, pi)
    assert np.array_equal(half, image[::-1, ::-1])
    height, width = image.shape[:2]
    assert through(H, 0, 0) == pytest.approx([width - 1, height - 1])
    if height == width:
        assert np.array_equal(
            turn(image, pi / 2)[0], np.rot90(image, -1)
        )  # clockwise on the screen
        assert through(turn(image, pi / 2)[1], 0, 0) == pytest.approx([width - 1, 0])


def test_turning_keeps_the_centre_and_the_size() -> None:
    picture, H = turn(CAMERA[:200, :301], 0.7)
    assert picture.shape == (200, 301)
    assert through(H, 150, 99.5) == pytest.approx([150, 99.5])
    assert np.allclose(H @ turn(CAMERA[:200, :301], -0.7)[1], np.eye(3))


def test_empty_corners_get_no_edge() -> None:
    """A bright picture stays bright everywhere: no black corner, no step along the seam."""
    rows, columns = np.indices((90, 130))
    smooth = (100 + 0.4 * rows + 0.3 * columns).astype(np.uint8)
    for angle in (0.3, 0.8, 2.0):
        picture = turn(smooth, angle)[0].astype(int)
        assert picture.min() >= 99
        assert np.abs(np.diff(picture, axis=0)).max() <= 3
        assert np.abs(np.diff(picture, axis=1)).max() <= 3


def test_values_between_pixels_are_interpolated() -> None:
    """A wave is turned into the wave at the turned places, to the rounding of 8 bits."""

    def wave(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 128 + 100 * np.sin(x / 7) * np.cos(y / 9)

    rows, columns = np.indices((120, 150))
    for function, level in ((turn, 0.6), (turn, 2.9), (zoom, 1.7)):
        picture, H = function(np.rint(wave(columns, rows)).astype(np.uint8), level)
        y, x = np.indices(picture.shape)
        back = np.einsum("ij,jhw->ihw", np.linalg.inv(H), np.stack([x, y, np.ones(x.shape)]))
        whole = (abs(back[0] - 74.5) < 72) & (abs(back[1] - 59.5) < 57)
        assert np.abs(picture - wave(back[0], back[1]))[whole].max() < 2.5


def test_a_photograph_turned_there_and_back_is_the_photograph() -> None:
    there = turn(CAMERA, 0.4)[0]
    back = turn(there, -0.4)[0][150:-150, 150:-150].astype(float)
    assert np.abs(back - CAMERA[150:-150, 150:-150]).mean() < 2.5
    wrong = turn(there, 0.4)[0][150:-150, 150:-150].astype(float)
    assert np.abs(wrong - CAMERA[150:-150, 150:-150]).mean() > 20


def test_zoom_by_hand() -> None:
    image = np.array([[0, 100, 20, 40], [100, 200, 60, 80]], np.uint8)
    picture, H = zoom(image, 0.5)
    assert picture.tolist() == [[100, 50]]  # the means of the two squares
    assert through(H, 0.5, 0.5) == pytest.approx([0, 0])  # a square's middle is the new pixel's
    assert through(H, -0.5, -0.5) == pytest.approx([-0.5, -0.5])  # the outer edge stays
    assert through(H, 3.5, 1.5) == pytest.approx([1.5, 0.5])
    picture, H = zoom(np.zeros((7, 10), np.uint8), 0.5)
    assert picture.shape == (4, 5)  # 3.5 rows are not to be had …
    assert through(H, 9.5, 6.5) == pytest.approx([4.5, 3.5])  # … and H knows


def test_shrinking_turns_fine_stripes_grey_not_into_broad_ones() -> None:
    stripes = np.zeros((120, 120), np.uint8)
    stripes[:, ::2] = 255
    shrunk = zoom(stripes, 0.35)[0].astype(float)[:, 2:-2]
    naive = cv2.resize(stripes, None, fx=0.35, fy=0.35, interpolation=cv2.INTER_LINEAR)
    assert np.ptp(shrunk) < 100
    assert np.ptp(naive[:, 2:-2].astype(float)) > 2 * np.ptp(shrunk)


def test_blur_is_a_gaussian_of_that_width() -> None:
    point = np.zeros((81, 81), np.uint8)
    point[40, 40] = 255
    for sigma in (1.0, 1.5):
        rows, columns = np.indices(point.shape) - 40
        exact = 255 * np.exp(-(rows**2 + columns**2) / (2 * sigma**2)) / (2 * pi * sigma**2)
        assert np.abs(blur(point, sigma)[0] - exact).max() < 1.5
    broad = np.zeros((81, 81), np.uint8)
    broad[30:51, 30:51] = 200
    twice = blur(blur(broad, 3)[0], 4)[0].astype(int)
    assert np.abs(twice - blur(broad, 5)[0]).max() <= 2  # 3² + 4² = 5²
    assert np.array_equal(blur(CAMERA, 0)[0], CAMERA)


def test_relight_by_hand() -> None:
    image = np.array([[0, 51, 101, 128, 255]], np.uint8)
    assert relight(image, 0)[0].tolist() == image.tolist()
    assert relight(image, 1)[0].tolist() == [[0, 102, 202, 255, 255]]
    assert relight(image, -1)[0].tolist() == [[0, 26, 50, 64, 128]]
    assert relight(image, 0, gamma=2)[0].tolist() == [[0, 10, 40, 64, 255]]
    assert relight(image, 0, gamma=0.5)[0].tolist() == [[0, 114, 160, 181, 255]]


def test_noise_has_the_width_it_says_and_one_pattern_a_seed() -> None:
    flat = np.full((200, 300, 3), 128, np.uint8)
    for sigma in (5, 20):
        added = noise(flat, sigma)[0].astype(float) - 128
        assert added.std() == pytest.approx(sigma, rel=0.02)
        assert abs(added.mean()) < 0.02 * sigma
        assert np.array_equal(added[..., 0], added[..., 2])  # so grey is as noisy as colour
        assert abs(np.corrcoef(added[:-1, :, 0].ravel(), added[1:, :, 0].ravel())[0, 1]) < 0.02
    assert np.array_equal(noise(flat, 9, seed=3)[0], noise(flat, 9, seed=3)[0])
    assert not np.array_equal(noise(flat, 9, seed=3)[0], noise(flat, 9, seed=4)[0])
    assert np.array_equal(noise(flat, 9)[0][..., 0], noise(flat[..., 0], 9)[0])
    black = noise(np.zeros((50, 50), np.uint8), 10)[0]
    assert (black == 0).mean() == pytest.approx(0.52, abs=0.03)  # cut off, not wrapped to 250
    assert black.max() < 60
    assert np.array_equal(noise(CAMERA, 0)[0], CAMERA)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_kind_of_picture_is_taken_and_none_is_changed(function) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    forms = {
        "grey": colour[..., 0],
        "one": colour[..., :1],
        "rgb": colour,
        "rgba": np.dstack([colour, colour[..., 0]]),
        "float": colour / 255,
        "16": colour.astype(np.uint16) * 257,
    }
    for name, form in forms.items():
        before = form.copy()
        picture, _ = function(form, 0.5)
        assert picture.dtype == np.uint8
        assert picture.shape[2:] == (() if name in ("grey", "one") else (3,)), name
        picture[:] = 7
        function(form, 1 if function is zoom else 0)[0][:] = 7  # the level that changes nothing
        assert np.array_equal(form, before)
    assert np.array_equal(function(forms["float"], 0.5)[0], function(colour, 0.5)[0])
    assert np.array_equal(function(forms["16"], 0.5)[0], function(colour, 0.5)[0])


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5))),
    st.sampled_from(FUNCTIONS),
    st.one_of(st.floats(), st.sampled_from([None, "much", 1e9, -1e9, [1, 2], 0, -0.1])),
)
@settings(max_examples=300)
def test_any_small_picture_and_any_level_is_right_or_one_sentence(image, function, level) -> None:
    said = ""
    try:
        picture, H = function(image, level)
    except (TypeError, ValueError) as error:
        said = str(error)
    if said:
        assert re.fullmatch("(the|sigma|stops|zooming) [^\n]*", said)
        return
    assert picture.dtype == np.uint8
    assert np.isfinite(H).all()
    assert abs(np.linalg.det(H)) > 0


@pytest.mark.parametrize(
    ("function", "arguments", "said"),
    [
        (turn, ("right",), "angle must be a number, but 'right'"),
        (turn, (np.nan,), "angle must be a finite number, but nan"),
        (zoom, (0,), "zooming 512 × 512 pixels by 0 gives 0 × 0, but 1 to"),
        (zoom, (-1,), "factor must be a finite number of at least 0, but -1"),
        (zoom, (1e6,), "zooming 512 × 512"),
        (blur, (-1,), "sigma must be a finite number of at least 0, but -1"),
        (blur, (1e6,), "sigma must be at most the picture's size"),
        (relight, (99,), "stops must lie from −16 to 16, but 99"),
        (relight, (0, 0), "gamma must be a finite number of at least 0.01, but 0"),
        (noise, (-5,), "sigma must be a finite number of at least 0"),
    ],
)
def test_bad_levels_get_one_sentence(function, arguments: tuple, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        function(CAMERA, *arguments)


def test_a_picture_longer_than_opencv_counts_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"may be 32766 pixels long, but its shape is \(2, 40000\)"
    ):
        turn(np.zeros((2, 40_000), np.uint8), 0.1)


def test_the_common_protocol() -> None:
    assert list(PERTURBATIONS) == ["turn", "zoom", "blur", "relight", "noise"]
    small = CAMERA[::4, ::4]
    for name, (function, levels, label, unit, _) in PERTURBATIONS.items():
        perturbation = PERTURBATIONS[name]
        assert function.__name__ == name
        assert list(levels) == sorted(levels)
        assert len(perturbation.axis) == len(levels) >= 5
        assert perturbation.xlabel == f"{label} ({unit})"
        unchanged = [np.array_equal(function(small, level)[0], small) for level in levels]
        assert (
            unchanged.count(True) == 1
        )  # one level is the picture itself: the anchor of the curve
    assert PERTURBATIONS["turn"].axis == (0, 15, 30, 45, 90)


def test_twenty_megapixels() -> None:
    huge = np.zeros((4000, 5000), np.uint8)
    huge[1000, 2000] = 255
    for function, level in ((turn, pi), (zoom, 0.5), (blur, 0.5), (relight, 0.5), (noise, 0)):
        picture, H = function(huge, level)
        y, x = np.unravel_index(picture.argmax(), picture.shape)
        assert np.abs((H @ (2000, 1000, 1))[:2] - (x, y)).max() <= 0.5
