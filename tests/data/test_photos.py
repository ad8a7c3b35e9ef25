"""The photographs are what data/README.md says; a file of one's own comes in right or not."""

import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from course_lib.data.photos import PHOTOS, decode, photo, read, stereo_motorcycle
from course_lib.doctor import ROOT

INSIDE = Path(skimage.__file__).parent / "data"
CARD = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"\| ([^|]+) \| (\S+) \| (\d+) × (\d+) \| ([^|]+) \| ([^|]+) \| `(\w+)` \|")
FILES = {match[0]: match[1:] for match in ROW.findall(CARD)}


def png(image: np.ndarray, extension: str = ".png") -> bytes:
    """Channels in OpenCV's order (blue first) → a file's bytes."""
    return cv2.imencode(extension, image)[1].tobytes()


def saved(tmp_path: Path, image: Image.Image, kind: str, **options) -> bytes:
    """Written by Pillow, which shares no code with OpenCV's reader."""
    path = tmp_path / f"picture.{kind}"
    image.save(path, **options)
    return path.read_bytes()


def test_the_card_lists_exactly_the_photographs_of_the_course() -> None:
    assert list(FILES) == [*PHOTOS, "disparity of the pair"]
    assert all(source.strip() and licence.strip() for *_, source, licence, _ in FILES.values())


@pytest.mark.parametrize("name", FILES)
def test_the_card_tells_the_truth(name: str) -> None:
    file, width, height, _, licence, digest = FILES[name]
    assert hashlib.sha256((INSIDE / file).read_bytes()).hexdigest() == digest
    shape = photo(name).shape if name in PHOTOS else stereo_motorcycle().disparity.shape
    assert shape[:2] == (int(height), int(width))
    said = " ".join((getattr(skimage.data, name, skimage.data.stereo_motorcycle).__doc__).split())
    if "CC0" in licence:
        assert "CC0" in said
    elif "public domain" in licence:
        assert "public domain" in said
    elif "no known" in licence:
        assert "No known copyright restrictions" in said
    else:
        assert "[2]" in licence  # a note says what is known
        assert "CC0" not in said
        assert "public domain" not in said


@pytest.mark.parametrize("name", PHOTOS)
def test_photo_is_the_file_in_rgb(name: str) -> None:
    image = photo(name)
    assert image.dtype == np.uint8
    with Image.open(INSIDE / FILES[name][0]) as file:
        other = np.asarray(file.convert("RGB"))
    # JPEG decoders may differ by a level; a channel swapped would differ by a hundred.
    assert np.abs(image.astype(int) - other).max() <= (8 if FILES[name][0].endswith("jpg") else 0)
    assert np.array_equal(image, read(INSIDE / FILES[name][0]))


@pytest.mark.parametrize("name", ["Camera", "", None, ["camera"], 3])
def test_unknown_photograph_lists_the_names(name: object) -> None:
    with pytest.raises(ValueError, match=r"there is no photograph .*camera.*text"):
        photo(name)


def test_disparity_leads_from_left_to_right() -> None:
    """x − d on the same row shows the same colours; x + d, and d read in the right view, do not."""
    pair = stereo_motorcycle()
    height, width = pair.disparity.shape
    assert 0.05 < np.isnan(pair.disparity).mean() < 0.1
    assert not np.isinf(pair.disparity).any()
    y, x = np.indices((height, width))

    def difference(sign: int, start: np.ndarray, end: np.ndarray) -> float:
        to = np.rint(x + sign * pair.disparity)
        on = np.isfinite(to) & (to >= 0) & (to < width)
        colours = end[y[on], to[on].astype(int)].astype(float)
        return float(np.abs(start[on] - colours).mean())

    right = difference(-1, pair.left, pair.right)
    assert right < 9
    assert right < 0.6 * difference(1, pair.right, pair.left)
    assert right < 0.2 * difference(1, pair.left, pair.right)


RED_CORNER = np.zeros((20, 30, 3), np.uint8)
RED_CORNER[:10, :15] = (255, 0, 0)
# EXIF orientation → where the stored top left corner is shown: the rule of the standard, in words.
SHOWN = {1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left",
         5: "top left", 6: "top right", 7: "bottom right", 8: "bottom left"}  # fmt: skip


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", SHOWN)
def test_exif_turns_the_picture_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode(saved(tmp_path, Image.fromarray(RED_CORNER), kind, exif=exif))
    assert image.shape == ((20, 30, 3) if orientation < 5 else (30, 20, 3))
    y = 2 if "top" in SHOWN[orientation] else -3
    x = 2 if "left" in SHOWN[orientation] else -3
    assert image[y, x, 0] > 200
    assert image[..., 0].mean() == pytest.approx(255 / 4, abs=3)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_transparency_is_laid_over_white(tmp_path: Path, kind: str) -> None:
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[..., 0] = 200  # red everywhere, also where nothing of it is to be seen
    rgba[:, 2:4, 3], rgba[:, 4:, 3] = 51, 255  # fifths: 0, 1, 5
    image = decode(saved(tmp_path, Image.fromarray(rgba), kind, lossless=True))
    assert image[0, ::2].tolist() == [[255, 255, 255], [244, 204, 204], [200, 0, 0]]


def test_grey_palette_and_two_level_files(tmp_path: Path) -> None:
    grey = np.arange(54, dtype=np.uint8).reshape(6, 9)
    assert np.array_equal(decode(png(grey)), np.dstack([grey] * 3))
    with_alpha = Image.fromarray(np.dstack([grey, np.where(grey < 9, 0, 255).astype(np.uint8)]))
    assert decode(saved(tmp_path, with_alpha, "png"))[:2, 0].tolist() == [[255] * 3, [9] * 3]
    palette = Image.fromarray(grey % 3).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    colours = np.eye(3, dtype=np.uint8)[grey % 3] * 255
    assert np.array_equal(decode(saved(tmp_path, palette, "png")), colours)
    assert np.array_equal(decode(saved(tmp_path, palette, "gif")), colours)
    clear = decode(saved(tmp_path, palette, "png", transparency=1))
    assert np.array_equal(clear, np.where((grey % 3 == 1)[..., None], 255, colours))
    bits = grey % 2 == 0
    assert np.array_equal(decode(saved(tmp_path, Image.fromarray(bits), "png"))[..., 0] > 0, bits)


def test_sixteen_bits_are_rounded_to_eight() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (20, 31, 3), dtype=np.uint16)
    off = decode(png(deep))[..., ::-1] - deep / 257
    assert np.abs(off).max() <= 0.5
    assert np.abs(decode(png(deep[..., 0]))[..., 0] - deep[..., 0] / 257).max() <= 0.5


def test_float_files_are_right_or_one_sentence() -> None:
    values = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    assert np.abs(decode(png(values, ".tiff"))[..., 0] - 255 * values).max() <= 0.5001
    with pytest.raises(ValueError, match="cannot be used: a float picture must hold values from 0"):
        decode(png(255 * values, ".tiff"))
    with pytest.raises(ValueError, match="cannot be used: a picture must be bool"):
        decode(png((9 * values).astype(np.int16), ".tiff"))


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_a_file_cut_short_is_refused_or_nearly_whole(extension: str) -> None:
    whole = png(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8), extension)
    for share in (0.01, 0.1, 0.5, 0.9):
        with pytest.raises(ValueError, match=r"holiday is no picture .* cut short"):
            decode(whole[: int(share * len(whole))], "holiday")


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"])
)
@settings(max_examples=60)
def test_any_bytes_give_a_picture_or_one_sentence(data: bytes, start: bytes) -> None:
    said = ""
    try:
        image = decode(start + data, "noise")
    except ValueError as error:
        said = str(error)
    assert re.fullmatch("noise [^\n]*", said) if said else image.dtype == np.uint8


def test_what_is_no_file_or_no_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read(tmp_path / "absent.png")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read(tmp_path)
    note = tmp_path / "note.png"
    note.write_text("this is a letter")
    with pytest.raises(ValueError, match=r"'note\.png' is no picture that OpenCV can read"):
        read(note)
    note.write_bytes(b"")
    with pytest.raises(ValueError, match=r"'note\.png' is empty"):
        read(note)
    with pytest.raises(TypeError, match="decode takes the bytes of a file, but a str"):
        decode("note.png")
    assert decode(memoryview(png(RED_CORNER))).shape == RED_CORNER.shape  # as an upload arrives


def test_twenty_megapixels() -> None:
    image = np.full((4000, 5000, 3), (10, 20, 30), np.uint8)
    image[0, 0] = 255
    found = decode(png(image, ".bmp"))
    assert np.array_equal(found[-1, -1], [30, 20, 10])
    assert np.array_equal(found, image[..., ::-1])
