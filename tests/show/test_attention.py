"""attention: the map lies where its patches are; like tokens get like colours that do not flip."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from course_lib.data.photos import photo
from course_lib.show.attention import colour_basis, heat_over, tokens_as_colours
from course_lib.show.palette import heat

RNG = np.random.default_rng(0)
GREY = np.full((40, 60, 3), 128, np.uint8)


def test_each_patch_is_coloured_in_its_place() -> None:
    weights = np.array([[0.0, 1, 2], [3, 4, 8]])
    drawn = heat_over(GREY, weights, smooth=False, opacity=1)
    expected = heat(weights, 0, 8).repeat(20, axis=0).repeat(20, axis=1)
    assert np.array_equal(drawn, expected)
    half = heat_over(GREY, weights, smooth=False, opacity=0.5)
    assert np.abs(half - (expected / 2 + 64)).max() <= 0.5
    assert np.array_equal(heat_over(GREY, weights, opacity=0), GREY)


def test_the_scale_starts_at_zero_and_can_be_fixed() -> None:
    dim = heat_over(GREY, np.full((2, 2), 0.5), high=1.0, opacity=1)
    assert np.array_equal(dim[0, 0], heat(np.array([[0, 0.5, 1]]))[0, 1])
    bright = heat_over(GREY, np.full((2, 2), 0.5), opacity=1)
    assert np.array_equal(bright[0, 0], heat(np.array([[0, 1.0]]))[0, 1])
    none = heat_over(GREY, np.zeros((2, 2)), opacity=1)
    assert np.array_equal(none[0, 0], heat(np.array([[0, 1.0]]))[0, 0])


def test_the_drawing_may_be_wider_and_leaves_the_picture_alone() -> None:
    before = GREY.copy()
    drawn = heat_over(GREY, np.eye(3), width=240)
    assert (drawn.shape, drawn.dtype) == ((160, 240, 3), np.uint8)
    assert np.array_equal(GREY, before)
    assert heat_over(np.zeros((8, 8)), np.eye(2)).shape == (8, 8, 3)


@pytest.mark.parametrize(
    "weights", [np.zeros(3), np.zeros((0, 2)), [[np.nan, 1]], np.zeros((1, 2, 2))]
)
def test_what_is_no_map(weights) -> None:
    with pytest.raises(ValueError, match=r"weights must be finite and of shape \(h, w\)"):
        heat_over(GREY, weights)


def test_what_is_no_attention() -> None:
    for weights, opacity in ((np.array([[-1, 1]]), 0.5), (np.eye(2), 1.5)):
        with pytest.raises(ValueError, match="must be 0 or more and the opacity from 0 to 1"):
            heat_over(GREY, weights, opacity=opacity)


@pytest.mark.timing
def test_it_keeps_up_with_a_slider() -> None:
    cv2.setNumThreads(1)
    image, weights, times = photo("astronaut"), RNG.random((16, 16)), []
    for _ in range(10):
        start = time.process_time()
        heat_over(image, weights)
        times.append(time.process_time() - start)
    assert image.shape == (512, 512, 3)
    assert min(times) <= 0.010


def test_three_kinds_of_token_get_three_colours_in_their_places() -> None:
    kinds = RNG.normal(size=(3, 20)) * 5
    which = RNG.integers(3, size=(4, 6))
    tokens = kinds[which].reshape(24, 20) + 0.01 * RNG.normal(size=(24, 20))
    colours = tokens_as_colours(tokens, (4, 6)).astype(int)
    means = np.array([colours[which == kind].mean(axis=0) for kind in range(3)])
    assert np.abs(colours - means[which]).max() < 25
    assert min(np.abs(means[a] - means[b]).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 100


def test_colours_are_projections_on_principal_axes() -> None:
    """Three orthogonal directions of known variance: red, green and blue, by percentiles."""
    a, b, c = RNG.gamma(1.0, size=(3, 400)) * np.array([[9.0], [3], [1]])
    tokens = np.stack([c, a, b, np.zeros(400)], axis=1)
    colours = tokens_as_colours(tokens, (20, 20)).reshape(400, 3)
    for channel, values in enumerate((a, b, c)):
        low, high = np.percentile(values, (1, 99))
        expected = ((values - low) / (high - low)).clip(0, 1) * 255
        assert np.corrcoef(colours[:, channel], expected)[0, 1] > 0.97


def test_layers_share_their_axes_whatever_their_length_and_place() -> None:
    first = RNG.gamma(1.0, size=(64, 10))
    layers = np.stack([first, 100 * first + 7, first[::-1]])
    colours = tokens_as_colours(layers, (8, 8)).astype(int)
    assert np.abs(colours[0] - colours[1]).max() <= 1
    assert np.abs(colours[0].reshape(64, 3) - colours[2].reshape(64, 3)[::-1]).max() <= 1


def test_colours_do_not_flip_and_a_basis_keeps_them() -> None:
    tokens = RNG.normal(size=(64, 10)) * np.linspace(3, 1, 10)
    tokens[:9] += 9 * RNG.normal(size=10)
    colours = tokens_as_colours(tokens, (8, 8)).astype(int)
    nudged = tokens + 1e-3 * RNG.normal(size=tokens.shape)
    assert np.abs(tokens_as_colours(nudged, (8, 8)) - colours).max() <= 3
    turn = np.linalg.qr(RNG.normal(size=(10, 10)))[0]
    assert np.abs(tokens_as_colours(tokens @ turn, (8, 8)) - colours).max() <= 1
    basis = colour_basis(tokens)
    assert np.array_equal(tokens_as_colours(tokens, (8, 8), basis), colours)
    moved = tokens.copy()
    moved[20:] = 0  # another picture: what stayed keeps its colour
    kept = tokens_as_colours(moved, (8, 8), basis).reshape(64, 3)
    assert np.array_equal(kept[:20], colours.reshape(64, 3)[:20])


def test_what_has_no_differences_is_grey() -> None:
    assert np.unique(tokens_as_colours(np.full((6, 5), 0.1), (2, 3))).tolist() == [128]
    flat = np.outer(np.arange(6), np.ones(5))  # they differ along one axis only
    colours = tokens_as_colours(flat, (2, 3))
    assert np.ptp(colours[..., 0].astype(int)) == 255
    assert np.unique(colours[..., 1:]).tolist() == [128]
    assert tokens_as_colours(np.arange(6.0)[:, None], (2, 3)).shape == (2, 3, 3)  # width 1


def test_bad_tokens_get_one_sentence() -> None:
    tokens = RNG.normal(size=(17, 4))
    with pytest.raises(ValueError, match="4 × 4 needs 16 tokens, but 17 were given; class token"):
        tokens_as_colours(tokens, (4, 4))
    with pytest.raises(ValueError, match="basis is for 1 layers of width 4, but 2 of width 4"):
        tokens_as_colours(np.stack([tokens[:16]] * 2), (4, 4), colour_basis(tokens))
    for wrong in (tokens[0], tokens * np.nan, tokens[:1]):
        with pytest.raises(ValueError, match="tokens must be finite and of shape"):
            colour_basis(wrong)
