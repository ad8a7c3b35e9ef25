"""Scale space: kernels against OpenCV and SciPy, blurs against their algebra, levels against a blob
on paper, octaves against direct blurs of the doubled picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from course_lib.blocks.images import to_gray
from course_lib.data.photos import photo
from course_lib.features.scale_space import (
    blur,
    blur_between,
    build_octave,
    double,
    gaussian_kernel,
    last_octave,
    level_sigmas,
    octave_of,
    octaves,
)


@pytest.fixture(scope="module")
def camera() -> np.ndarray:
    return to_gray(photo("camera"))[100:301, 150:301]


@pytest.mark.parametrize("sigma", [0.4, 0.5, 1.0, 1.226, 1.6, 3.09, 10.0])
def test_the_kernel_is_opencvs(sigma):
    """OpenCV is left to choose the length too: it blurs a single bright pixel."""
    row = np.zeros((1, 201), np.float32)
    row[0, 100] = 1
    theirs = cv2.GaussianBlur(row, (0, 0), sigmaX=sigma, sigmaY=1e-9)[0]
    ours = gaussian_kernel(sigma)
    r = len(ours) // 2
    np.testing.assert_allclose(ours, theirs[100 - r : 101 + r], atol=1e-6)
    assert np.count_nonzero(theirs[: 100 - r]) == 0, "OpenCV's kernel is longer"
    np.testing.assert_allclose(ours, cv2.getGaussianKernel(2 * r + 1, sigma)[:, 0], atol=1e-6)
    assert abs(ours.sum() - 1) < 1e-6


def test_the_kernel_by_hand():
    """With sigma² = 1 / (2 ln 2), e^(−x² / 2 sigma²) is 2^(−x²): 1, 1/2, 1/16, 1/512."""
    kernel = gaussian_kernel(1 / np.sqrt(2 * np.log(2)))
    middle = len(kernel) // 2
    np.testing.assert_allclose(
        kernel[middle : middle + 4] / kernel[middle], [1, 1 / 2, 1 / 16, 1 / 512], rtol=1e-5
    )


@pytest.mark.parametrize("sigma", [0.7, 2.0, 5.5])
def test_blur_is_scipys(camera, sigma):
    radius = len(gaussian_kernel(sigma)) // 2
    theirs = ndimage.gaussian_filter(camera.astype(np.float64), sigma, mode="mirror", radius=radius)
    np.testing.assert_allclose(blur(camera, sigma), theirs, atol=1e-3)


def test_two_blurs_are_one(camera):
    assert blur_between(3, 5) == 4.0
    twice = blur(blur(camera, 3.0), 4.0)
    once = blur(camera, 5.0)
    assert np.abs(twice - once).max() < 0.1
    assert np.abs(once - blur(camera, 3.0 + 4.0)).max() > 5, "a sum of sigmas would go unseen"


def test_blur_keeps_the_picture_as_it_is(camera):
    before = camera.copy()
    blur(camera, 2.0)
    assert (camera == before).all()


def test_every_level_has_the_blur_it_says():
    """The second moment of a point's image is the variance of all blurs it went through."""
    point = np.zeros((121, 151), np.float32)
    point[60, 75] = 1
    y, x = np.mgrid[:121, :151]
    for level, sigma in zip(
        build_octave(blur(point, 1.6), 1.6, 4), level_sigmas(1.6, 4), strict=True
    ):
        assert abs((level * (x - 75) ** 2).sum() - sigma**2) < 0.01 * sigma**2
        assert abs((level * (y - 60) ** 2).sum() - sigma**2) < 0.01 * sigma**2
    np.testing.assert_allclose(level_sigmas(1.6, 4)[[0, 4]], [1.6, 3.2])


def test_differences_of_a_blob_on_paper():
    """A blob of variance s² under a blur t has the height s² / (s² + t²) in its middle."""
    s = 4.0
    y, x = np.mgrid[-60:61, -70:71]
    blob = np.exp(-(x**2 + y**2) / (2 * s**2)).astype(np.float32)

    def height(t):
        # The pyramid holds that the picture has a blur of ½ already, and adds only what is missing.
        return s**2 / (s**2 + t**2 - 0.5**2)

    for octave in list(octaves(blob, precise=True))[:3]:
        centre_y, centre_x = round(60 / octave.pixel), round(70 / octave.pixel)
        expected = [height(octave.scale(i + 1)) - height(octave.scale(i)) for i in range(5)]
        found = octave.differences()[:, centre_y, centre_x]
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_an_octave_is_every_second_pixel_of_a_direct_blur(camera):
    """No chain of blurs and halvings: each octave straight from the doubled picture."""
    big = double(camera)
    for octave in list(octaves(camera))[:4]:
        step = round(2 * octave.pixel)
        blur_there = 2 * octave.scale(1)  # in pixels of the doubled picture
        direct = blur(big, np.sqrt(blur_there**2 - 1))[::step, ::step]
        h, w = octave.gaussians[1].shape
        inner = slice(2, -2)
        error = np.abs(octave.gaussians[1] - direct[:h, :w])[inner, inner]
        # Sampling at sigma = 1.6 folds a little of the finest detail back: 1 % of the contrast.
        assert error.max() < 2.5, octave.number
        assert error.mean() < 0.1, octave.number
        off_by_one = np.abs(octave.gaussians[2] - direct[:h, :w])[inner, inner]
        assert off_by_one.mean() > 1, "the next level would pass as well"


def test_the_generator_yields_what_the_settings_say(camera):
    sharp, soft = (next(octaves(camera, sigma=sigma)).gaussians[0] for sigma in (1.2, 2.4))
    assert np.abs(np.diff(sharp)).mean() > 1.2 * np.abs(np.diff(soft)).mean()
    assert [len(o.gaussians) for o in octaves(camera, layers=5)] == [8] * 7
    assert [o.number for o in octaves(camera)] == [-1, 0, 1, 2, 3, 4, 5]


def test_doubling_a_ramp_shows_the_quarter_pixel():
    ramp = np.tile(np.arange(30, dtype=np.float32), (9, 1))
    np.testing.assert_allclose(double(ramp, precise=True)[4, 2:56:2], np.arange(1, 28))
    np.testing.assert_allclose(double(ramp)[4, 2:56:2], np.arange(1, 28) - 0.25)
    assert double(ramp).shape == double(ramp, precise=True).shape == (18, 60)


def test_last_octave_by_hand():
    """512 pixels, doubled 1024 = 2¹⁰: halved 8 times it is 4, so octaves −1 … 7."""
    assert last_octave((512, 900)) == last_octave((900, 512)) == 7
    assert last_octave((1, 1)) == last_octave((1, 5000)) == last_octave((2, 2)) == -1


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_octave_and_layer_undo_scale(camera, layers):
    for octave in octaves(camera, layers=layers):
        for layer in range(1, layers + 1):
            scales = octave.scale(layer + np.array([-0.49, -0.2, 0.0, 0.3, 0.49]))
            assert (octave_of(scales, last=5, layers=layers) == octave.number).all()
            assert (octave.layer(scales) == layer).all()
    assert octave_of(np.array([1e-3, 1e6]), last=5, layers=layers).tolist() == [-1, 5]
    assert octave.layer(np.array([1e-3, 1e6])).tolist() == [1, layers]


@pytest.mark.parametrize("sigma", [0, -1.0, np.nan, np.inf])
def test_an_impossible_sigma_is_named(sigma):
    with pytest.raises(ValueError, match=f"positive number of pixels, but {sigma} was given"):
        gaussian_kernel(sigma)


def test_blur_cannot_shrink():
    with pytest.raises(ValueError, match=r"0 <= sigma_from < sigma_to .* 2\.0 and 1\.6 were given"):
        blur_between(2.0, 1.6)


@given(h=st.integers(1, 20), w=st.integers(1, 20), level=st.floats(0, 255, width=32))
@settings(max_examples=30, deadline=None)
def test_a_constant_picture_stays_constant_at_any_size(h, w, level):
    for octave in octaves(np.full((h, w), level, np.float32)):
        assert octave.gaussians.shape[0] == 6
        np.testing.assert_allclose(octave.gaussians, level, atol=1e-3)
