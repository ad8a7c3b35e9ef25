"""The widgets without a browser: what draw gets, what is shown, what is kept in the file."""

from __future__ import annotations

import cv2
import ipywidgets
import numpy as np
import pytest

from course_lib.blocks.keypoints import Keypoints
from course_lib.data.photos import photo
from course_lib.show.controls import control
from course_lib.show.photo_input import photo_input
from course_lib.show.picker import pick
from course_lib.show.tiles import captioned
from course_lib.show.widgets import FRAMES_LIMIT, live, scrubber


def grey(level: int) -> np.ndarray:
    return np.full((20, 30, 3), level, np.uint8)


def pixels(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def on_screen(data: bytes) -> int:
    return round(pixels(data).mean())


def test_a_live_picture_follows_its_slider():
    widget = live(lambda level: (grey(level), f"level {level}"), alt="Grey.", level=(0, 200, 5, 50))
    assert (on_screen(widget.screen.picture), widget.readout) == (50, "level 50")
    widget.controls["level"].value = 150
    assert (on_screen(widget.screen.picture), widget.readout) == (150, "level 150")
    assert widget.controls["level"].continuous_update


def test_what_is_kept_is_the_picture_of_the_start():
    widget = live(lambda level: grey(level), alt="Grey.", level=(0, 200, 5, 50))
    widget.controls["level"].value = 150
    bundle = widget._repr_mimebundle_()
    assert (pixels(bundle["image/png"])[:20, :30] == 50).all()
    assert bundle["text/plain"] == "[live picture] Grey."
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_kept_picture_says_where_the_controls_stood_and_what_was_read():
    def kept(**words) -> np.ndarray:
        options = {"readout": "", "caption": "", "level": (0, 200, 5, 50)} | words
        readout = options.pop("readout")
        widget = live(lambda level: (grey(level), readout), alt="Grey.", **options)
        return pixels(widget._repr_mimebundle_()["image/png"])

    plain, full = kept(), kept(readout="a mean of 50", caption="grey, and nothing else")
    H, W = grey(50).shape[:2]
    assert (plain[:H, :W] == 50).all(), "the picture itself is left as it was"
    assert len(plain) > H
    assert len(full) - len(plain) >= 2 * 14
    assert (plain[H:] < 128).any(), "the control's value stands below"
    other = kept(level=(0, 200, 5, 75))
    assert (other[H:] != plain[H:]).any()
    for line in (1, 2):  # both lines have ink
        assert (full[len(full) - 20 * line :][:20] < 128).any()


def test_a_long_line_below_a_picture_is_broken_to_its_width():
    words = ["a long readout that says much"] * 5
    below = captioned(np.zeros((10, 400, 3), np.uint8), [" ".join(words)])
    assert below.shape[1] == 400
    assert len(below) >= 10 + 2 * 14
    assert (below[10:, -4:] == 255).all(), "nothing is cut at the edge"


def test_an_error_is_one_sentence_and_the_next_value_mends_it():
    def draw(level):
        if level == 3:
            raise ValueError("three is\ntoo much")
        return grey(level)

    widget = live(draw, alt="Grey.", level=(0, 9))
    widget.controls["level"].value = 3
    assert widget.error == "ValueError: three is (line 3 of draw)"
    assert on_screen(widget.screen.picture) > 150, "the old picture must be shown pale"
    widget.controls["level"].value = 4
    assert widget.error == ""
    assert on_screen(widget.screen.picture) == 4


@pytest.mark.parametrize(
    ("returned", "message"), [(None, "NoneType was given"), (np.full((3, 3), np.nan), "NaN")]
)
def test_no_picture_from_draw_is_named(returned, message):
    assert message in live(lambda level: returned, alt="Nothing.", level=(0, 9)).error


def test_a_stub_says_that_it_is_not_written_yet():
    def stub(level):
        raise NotImplementedError

    widget = live(stub, alt="Nothing yet.", level=(0, 9))
    assert widget.error == "Not written yet."
    assert widget._repr_mimebundle_()["text/plain"].endswith("Nothing yet. Not written yet.")


def test_a_draw_that_moves_its_own_slider_ends_on_the_last_value():
    def draw(level):
        widget.controls["level"].value = min(level, 5)
        return grey(level)

    widget = live(lambda level: grey(level), alt="Grey.", level=(0, 9))
    widget.draw = draw
    widget.controls["level"].value = 8
    assert on_screen(widget.screen.picture) == widget.controls["level"].value == 5


@pytest.mark.parametrize(
    ("value", "kind", "start"),
    [
        ((1, 9), ipywidgets.IntSlider, 1),
        ((1, 9, 2, 5), ipywidgets.IntSlider, 5),
        ((0.5, 2), ipywidgets.FloatSlider, 0.5),
        (["a", "b"], ipywidgets.ToggleButtons, "a"),
        ([("one", 1), ("two", 2)], ipywidgets.ToggleButtons, 1),
        (list("abcde"), ipywidgets.Dropdown, "a"),
        (True, ipywidgets.Checkbox, True),
    ],
)
def test_a_short_description_becomes_a_control(value, kind, start):
    made = control("blur_sigma", value)
    assert type(made) is kind
    assert made.value == start
    assert made.description == "blur sigma"


def test_readouts_have_the_digits_of_the_step():
    assert control("x", (0.0, 1.0, 0.25)).readout_format == ".2f"
    assert control("x", (0.0, 10.0, 0.1, 1.6)).readout_format == ".1f"
    assert control("x", (0.0, 10.0, 1.0)).readout_format == ".0f"


@pytest.mark.parametrize(
    "value", [(3, 1), (0, 5, 0), (0, 5, 1, 9), ("a", "b"), [], 3, None, (1,), ipywidgets.HBox()]
)
def test_bad_controls_are_named(value):
    with pytest.raises((TypeError, ValueError), match="level"):
        live(lambda level: grey(1), alt="Grey.", level=value)


def test_arguments_that_draw_does_not_take_are_named_at_once():
    with pytest.raises(TypeError, match="called with \\(sigma\\)"):
        live(lambda level: grey(1), alt="Grey.", sigma=(0, 5))
    with pytest.raises(ValueError, match="at least one control"):
        live(lambda: grey(1), alt="Grey.")


def test_a_scrubber_keeps_its_frames_and_a_sheet_of_them():
    shown = scrubber([grey(20 * i) for i in range(10)], alt="Ten greys.")
    assert [on_screen(frame) for frame in shown.frames] == [20 * i for i in range(10)]
    assert shown.labels[0] == "1 of 10"
    bundle = shown._repr_mimebundle_()
    assert bundle["text/plain"] == "[10 frames] Ten greys."
    assert "image/png" in bundle


def test_scrubber_frames_stay_within_the_limit_or_say_so():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    assert sum(map(len, scrubber([noise] * 14, alt="Noise.").frames)) <= FRAMES_LIMIT
    with pytest.raises(ValueError, match="fewer or smaller frames"):
        scrubber([noise] * 60, alt="Noise.")
    with pytest.raises(ValueError, match="of one size"):
        scrubber([grey(1), noise], alt="Two sizes.")
    with pytest.raises(ValueError, match="2 frames need as many labels, but 1"):
        scrubber([grey(1)] * 2, ["a"], alt="Two.")


SPOTS = Keypoints.at([[5, 5], [20, 10]], 4)


def test_pick_shows_the_detail_of_the_chosen_keypoint():
    seen = []

    def detail(image, keypoints, index):
        seen.append((image.shape, len(keypoints), index))
        return grey(50 * index), f"number {index}"

    picker = pick(grey(0), SPOTS, detail, alt="Two spots.", width=60)
    assert picker.points == [[11, 11, 4], [41, 21, 4]]
    picker.selected = 1
    assert seen == [((20, 30, 3), 2, 0), ((20, 30, 3), 2, 1)]
    assert (on_screen(picker.detail), picker.readout) == (50, "number 1")
    bundle = picker._repr_mimebundle_()
    assert bundle["text/plain"] == "[picture to click] Two spots."
    assert {"image/png", "image/jpeg"} & set(bundle)


def test_pick_finds_the_keypoints_of_a_new_photo_and_survives_none():
    def find(image):
        return Keypoints.empty() if image.max() == 0 else SPOTS

    bar = photo_input("camera")
    picker = pick(bar, find, lambda image, keypoints, index: image, alt="Spots.")
    assert picker.selected == 0
    bar.take(np.zeros((9, 9), np.uint8), "black")
    assert picker.selected == -1
    assert "no keypoint" in picker.error
    bar.name = "coffee"
    assert (picker.selected, picker.error) == (0, "")
    np.testing.assert_array_equal(picker.detail_image, bar.image)


def test_pick_says_what_went_wrong():
    def find(image):
        return "three"

    assert "a str was given" in pick(grey(0), find, grey, alt="x").error
    wrong = pick(grey(0), SPOTS, lambda image, keypoints, index: 1 / 0, alt="x")
    assert wrong.error.startswith("ZeroDivisionError")
    with pytest.raises(TypeError, match="must be a function"):
        pick(photo_input(), SPOTS, grey, alt="x")


def test_one_photo_bar_serves_several_live_pictures():
    bar = photo_input("camera", longest=128)
    one, two = (live(lambda image: image, alt="Photo.", image=bar) for _ in range(2))
    assert one.picture.shape == (128, 128, 3)
    bar.name = "coffee"
    assert one.picture.shape == two.picture.shape == (85, 128, 3)
    seen = []
    bar.on_change(lambda image: seen.append(image.shape))
    bar.take(np.zeros((50, 400), np.uint8))
    assert seen == [(85, 128, 3), (16, 128, 3)]
    assert one.picture.max() == 0


def test_a_file_replaces_the_photo_and_a_broken_one_does_not():
    bar = photo_input("camera")
    png = cv2.imencode(".png", np.full((30, 40, 3), (0, 0, 255), np.uint8))[1].tobytes()
    bar._receive(bar, {"name": "red.png"}, [memoryview(png)])
    assert bar.image[0, 0].tolist() == [255, 0, 0], "OpenCV's blue-first order leaked"
    assert (bar.name, bar.own, bar.message) == ("red.png", "red.png", "")
    for broken in (b"", b"not a picture", png[:40]):
        bar._receive(bar, {"name": "broken.png"}, [memoryview(broken)])
        assert bar.message.startswith("broken.png")
        assert bar.image.shape == (30, 40, 3)
    bar.name = "camera"
    assert bar.message == ""
    bar.name = "red.png"
    assert bar.image.shape == (30, 40, 3)


def test_photo_names_are_checked():
    with pytest.raises(ValueError, match="no photograph 'lena'"):
        photo_input("lena")
    assert photo_input("text", ["camera"]).names == ["text", "camera"]
    assert photo_input("camera", longest=64).image.shape == (64, 64, 3)
    assert photo("camera").shape[0] == 512
