"""Static pictures: what lands in the saved file, its size, and colours that mean what they say."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from course_lib.data.photos import photo
from course_lib.show.encoding import LIMIT, encode
from course_lib.show.images import figure, new_figure, picture, pictures, raster
from course_lib.show.palette import DASHES, MARKERS, PALETTE, colour, heat, signed
from course_lib.show.tiles import column, enlarge, row, shrink


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_drawing_is_kept_exactly_and_a_photograph_within_the_limit():
    drawing = np.zeros((60, 80, 3), np.uint8)
    drawing[10:20, 30:50] = (200, 10, 60)
    data, mime = encode(drawing)
    assert mime == "image/png"
    np.testing.assert_array_equal(decoded(data), drawing)
    coffee = photo("coffee")
    data, mime = encode(coffee)
    assert mime == "image/jpeg"
    assert len(data) <= LIMIT
    assert np.abs(decoded(data).astype(float) - coffee).mean() < 4, "the colours changed"


def test_noise_that_no_quality_makes_small_loses_pixels_instead():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    data, _ = encode(noise)
    assert len(data) <= LIMIT
    assert decoded(data).shape[1] < 1200


def test_a_grid_leaves_a_picture_and_its_alternative_text():
    shown = pictures([photo("camera"), photo("text")], ["one", "two"], alt="two  photographs.")
    bundle, metadata = shown._repr_mimebundle_()
    assert bundle["text/plain"] == repr(shown) == "[picture] two photographs."
    assert len(bundle[shown.mime]) <= LIMIT
    assert metadata[shown.mime]["width"] == 900
    again = pictures([photo("camera"), photo("text")], ["one", "two"], alt="two photographs.")
    assert again.data == shown.data, "a figure must be the same in every run"


def test_a_grid_shows_each_picture_in_its_place():
    inks = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    flat = [np.full((40, 40, 3), ink, np.uint8) for ink in inks]
    grid = decoded(pictures(flat, alt="three colours", columns=2).data)
    h, w = grid.shape[:2]
    places = [(h // 4, w // 4), (h // 4, 3 * w // 4), (3 * h // 4, w // 4)]
    for place, ink in zip(places, inks, strict=True):
        assert np.abs(grid[place].astype(int) - ink).max() < 12
    assert grid[3 * h // 4, 3 * w // 4].min() > 250


def test_a_matplotlib_figure_becomes_pixels():
    fig = new_figure(2, 1)
    fig.subplots().plot([0, 1], [0, 1])
    assert raster(fig).shape == (100, 200, 3)
    assert figure(fig, alt="a line").width == 200


@pytest.mark.parametrize("alt", ["", "  ", None])
def test_alternative_text_is_demanded(alt):
    with pytest.raises(ValueError, match="alt must say in one sentence"):
        picture(np.zeros((2, 2, 3), np.uint8), alt=alt)


def test_bad_lists_are_named():
    with pytest.raises(ValueError, match="at least one picture"):
        pictures([], alt="nothing")
    with pytest.raises(ValueError, match="2 pictures need as many titles, but 1"):
        pictures([np.zeros((4, 4), np.uint8)] * 2, ["one"], alt="two")


def test_colours_differ_and_so_do_marker_and_dash():
    assert len(set(PALETTE.values())) == len(set(MARKERS)) == len(PALETTE)
    pairs = set(zip(MARKERS, map(str, DASHES), strict=True))
    assert len(pairs) == len(PALETTE)
    assert colour("vermillion") == (213, 94, 0)
    assert colour("#0102ff") == (1, 2, 255)
    with pytest.raises(ValueError, match="'pink'"):
        colour("pink")


def test_signed_is_white_at_zero_and_its_two_sides_are_apart():
    map_ = signed(np.array([[-2.0, 0.0, 2.0, 1.0]]))
    assert map_[0, 1].tolist() == [255, 255, 255]
    assert map_[0, 0].tolist() == list(colour("blue"))
    assert map_[0, 2].tolist() == list(colour("vermillion"))
    assert (map_[0, 3] > map_[0, 2]).any()


def test_heat_grows_brighter():
    light = heat(np.linspace(-3, 9, 50)[None]).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(light[0]) > 0).mean() > 0.9
    assert light[0, -1] > light[0, 0] + 100
    assert (heat(np.ones((3, 3))) == heat(np.ones((3, 3)))[0, 0]).all()
    with pytest.raises(ValueError, match="finite"):
        heat(np.array([[np.nan]]))


def test_tiles_keep_every_picture_whole():
    red, blue = np.zeros((40, 30, 3), np.uint8), np.zeros((20, 50, 3), np.uint8)
    red[...], blue[...] = (255, 0, 0), (0, 0, 255)
    beside = row([red, blue], gap=8)
    assert beside.shape == (40, 30 + 8 + 100, 3)
    assert beside[20, 15].tolist() == [255, 0, 0]
    assert beside[20, 34].tolist() == [255, 255, 255]
    assert beside[20, 80].tolist() == [0, 0, 255]
    below = column([red, blue], gap=4, width=50)
    assert below.shape == (67 + 4 + 20, 50, 3)
    assert below[-5, 25].tolist() == [0, 0, 255]
    assert row([red, blue], titles=["r", "b"]).shape[0] == 64


@settings(max_examples=25)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)), st.integers(1, 90))
def test_any_picture_can_be_shrunk_enlarged_and_encoded(image, longest):
    assert max(shrink(image, longest).shape[:2]) == min(longest, max(image.shape))
    assert max(enlarge(image, longest).shape[:2]) == max(longest, *image.shape)
    assert encode(shrink(image, longest))[1] in ("image/png", "image/jpeg")


def test_importing_it_costs_little():
    code = "import sys, course_lib.show.curves; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False", "matplotlib is imported before a figure is drawn"
