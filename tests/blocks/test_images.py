"""Every kind of picture becomes the right grey and RGB one, and what is none gets one sentence."""

import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course_lib.blocks.images import check_image, to_gray, to_rgb, to_uint8
from course_lib.data.photos import photo

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (7, 11, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
FUNCTIONS = (check_image, to_uint8, to_rgb, to_gray)


def test_grey_weights_by_hand() -> None:
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert to_gray(primaries).tolist() == [[76, 150, 29, 255]]  # 0.299, 0.587, 0.114 of 255


def test_grey_is_the_nearest_level_to_the_exact_sum() -> None:
    exact = photo("coffee").astype(float) @ (0.299, 0.587, 0.114)
    off = to_gray(photo("coffee")) - exact
    assert np.abs(off).max() <= 0.51  # OpenCV's weights are whole numbers over 2 to the 14
    assert abs(off.mean()) < 0.02


@pytest.mark.parametrize("name", ["motorcycle_left", "motorcycle_right"])
def test_opencv_reads_a_colour_png_as_grey_half_a_level_darker(name: str) -> None:
    """The golden SURF values were made that way: who compares with them reads that way too."""
    path = f"{skimage.__path__[0]}/data/{name}.png"
    off = to_gray(photo(name)) - cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    assert set(np.unique(off)) <= {0, 1}
    assert 0.45 < off.mean() < 0.55


@pytest.mark.parametrize("name", ["camera", "text"])
def test_a_grey_png_is_the_same_to_both(name: str) -> None:
    path = f"{skimage.__path__[0]}/data/{name}.png"
    assert np.array_equal(to_gray(photo(name)), cv2.imread(path, cv2.IMREAD_GRAYSCALE))


def test_all_forms_of_one_grey_picture_agree() -> None:
    forms = {
        "grey": GREY,
        "one channel": GREY[..., None],
        "rgb": np.dstack([GREY] * 3),
        "rgba": np.dstack([GREY, GREY, GREY, np.full_like(GREY, 255)]),
        "16 bits": GREY.astype(np.uint16) * 257,
        "big-endian": (GREY.astype(np.uint16) * 257).astype(">u2"),
        "16 bits in colour": np.dstack([GREY.astype(np.uint16) * 257] * 3),
        "float": GREY / 255,
        "half": (GREY / 255).astype(np.float16),
        "float in colour": np.dstack([GREY / 255] * 3),
        "a view": np.ascontiguousarray(GREY[::-1])[::-1],
    }
    for name, form in forms.items():
        gray = to_gray(form)
        assert gray.dtype == np.float32, name
        assert gray.shape == GREY.shape, name
        assert np.allclose(gray, GREY, atol=0.07 if name == "half" else 1e-4), name
        assert np.array_equal(to_rgb(form), np.dstack([GREY] * 3)), name
        assert np.array_equal(to_uint8(form).reshape(7, 11, -1)[..., 0], GREY), name


def test_finer_levels_are_kept_in_grey_and_rounded_in_uint8() -> None:
    deep = np.array([[0, 128, 129, 385, 65535]], np.uint16)  # 257 to a level
    assert to_uint8(deep).tolist() == [[0, 0, 1, 1, 255]]
    assert to_gray(deep) == pytest.approx(deep / 257)
    assert to_gray(np.array([[True, False]])).tolist() == [[255, 0]]
    assert to_uint8(np.array([[1 + 1e-7, -1e-7]])).tolist() == [[255, 0]]  # rounding of a filter


def test_transparency_is_laid_over_white() -> None:
    rgba = np.array([[[200, 0, 0, 0], [200, 0, 0, 51], [200, 0, 0, 255]]], np.uint8)
    over = [[255, 255, 255], [244, 204, 204], [200, 0, 0]]
    assert to_rgb(rgba)[0].tolist() == over
    assert to_rgb(rgba / 255)[0].tolist() == over
    assert to_gray(rgba).tolist() == to_gray(np.array([over], np.uint8)).tolist()


def test_nothing_is_changed_in_place() -> None:
    for image in (GREY, COLOUR, GREY / 255, np.dstack([COLOUR, GREY])):
        before = image.copy()
        to_gray(image)[:] = 7
        to_rgb(image)
        to_uint8(image)
        assert np.array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "error", "said"),
    [
        ([[1, 2]], TypeError, "must be a NumPy array, but a list"),
        ("photo.png", TypeError, "but a str was given; read files with"),
        (None, TypeError, "NoneType"),
        (np.zeros(5, np.uint8), ValueError, r"shape \(5,\)"),
        (np.zeros((3, 4, 2), np.uint8), ValueError, r"shape \(3, 4, 2\)"),
        (np.zeros((3, 48, 64), np.uint8), ValueError, r"shape \(3, 48, 64\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), ValueError, r"shape \(1, 4, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), ValueError, r"empty: its shape is \(0, 4\)"),
        (np.zeros((4, 0, 3), np.uint8), ValueError, "empty"),
        (np.full((2, 2), np.nan), ValueError, "holds 4 values that are NaN or infinite"),
        (np.array([[np.inf, 0.0]]), ValueError, "holds 1 values"),
        (COLOUR.astype(float), ValueError, "from 0 to 1, but these run from .* to 25"),
        (np.full((2, 2), -0.5), ValueError, "run from -0.5"),
        (COLOUR.astype(int), TypeError, "but the type int64"),
        (GREY.astype(complex), TypeError, "complex128"),
        (GREY.astype(object), TypeError, "object"),
        (GREY.astype(str), TypeError, "str"),
    ],
)
def test_what_is_no_picture_gets_one_sentence(
    image: object, error: type[Exception], said: str
) -> None:
    for function in FUNCTIONS:
        with pytest.raises(error, match=said) as caught:
            function(image)
        assert "\n" not in str(caught.value)


ANYTHING = hnp.arrays(
    st.one_of(hnp.scalar_dtypes(), st.just(np.dtype(np.uint8)), st.just(np.dtype(np.float32))),
    hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
)


@given(ANYTHING)
@settings(max_examples=200)
def test_any_array_is_right_or_one_sentence(image: np.ndarray) -> None:
    said = ""
    try:
        check_image(image)
    except (TypeError, ValueError) as error:
        said = str(error)
    if said:
        assert re.fullmatch("(a|the) .*picture[^\n]*", said)
        return
    gray, rgb, whole = to_gray(image), to_rgb(image), to_uint8(image)
    assert (gray.dtype, rgb.dtype, whole.dtype) == (np.float32, np.uint8, np.uint8)
    assert (gray.shape, rgb.shape, whole.shape) == (
        image.shape[:2],
        (*image.shape[:2], 3),
        image.shape,
    )
    assert gray.min() >= -0.001
    assert gray.max() <= 255.001
    # The grey of the RGB form is the grey itself, to the rounding of the channels.
    assert np.abs(to_gray(rgb) - gray).max() <= 0.501


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read in kilobytes")
def test_twenty_megapixels_of_the_worst_kind_stay_under_three_gigabytes() -> None:
    code = (
        "import numpy as np, resource\n"
        "from course_lib.blocks.images import to_gray\n"
        "image = np.full((4000, 5000, 4), 0.5)\n"
        "assert to_gray(image).shape == (4000, 5000)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 3e6
