"""The widgets in a real JupyterLab: real keys and mouse, and the pixels that are really shown.

Each picture carries its value as a row of black and white squares, which the browser reads back
through a canvas: a picture of another value, or one that came late, is seen.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.browser

CODED = """
import time
import cv2, numpy as np
from course_lib.data.photos import photo
from course_lib.blocks.keypoints import Keypoints
from course_lib.show.matches import draw_keypoints
from course_lib.show.widgets import live, scrubber
from course_lib.show.picker import pick
from course_lib.show.photo_input import photo_input

def coded(image, value):  # 8 squares of 32 pixels in the first rows: the bits of value, low first
    image = image.copy()
    for bit in range(8):
        image[:32, 32 * bit : 32 * bit + 32] = 255 * (value >> bit & 1)
    return image
"""
LIVE = """
camera = photo("camera")
rng = np.random.default_rng(0)
xy, size, angle = rng.uniform(0, 511, (300, 2)), rng.uniform(3, 40, 300), rng.uniform(0, 6, 300)
points = Keypoints.at(xy, size, angle)
def draw(level):
    time.sleep({pause})
    blurred = cv2.GaussianBlur(camera, (0, 0), 0.5 + level / 40)
    return coded(draw_keypoints(blurred, points), level), f"level {{level}}"
widget = live(draw, alt="The photograph under blur.", level=(0, 255, 1, 100))
widget
"""
# Watches every picture of a live widget. A time runs from the key's own time stamp to the frame
# after the decoded picture was read: the one that paints it.
WATCH = """
() => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [256, 32];
  const context = canvas.getContext('2d', {willReadFrequently: true});
  window.read = (source) => {
    context.drawImage(source, 0, 0, 256, 32, 0, 0, 256, 32);
    const pixels = context.getImageData(0, 16, 256, 1).data;
    const bits = [...Array(8).keys()].map((bit) => (pixels[4 * (32 * bit + 16)] > 127) << bit);
    return bits.reduce((sum, bit) => sum + bit);
  };
  window.shown = [];
  window.pressed = 0;
  document.addEventListener('keydown', (event) => { window.pressed = event.timeStamp; }, true);
  for (const img of document.querySelectorAll('.jp-OutputArea img.course-picture'))
    img.addEventListener('load', () => {
      const value = window.read(img);
      requestAnimationFrame(() =>
        window.shown.push({value, milliseconds: performance.now() - window.pressed}));
    });
}
"""
HANDLE = ".jp-OutputArea .noUi-handle"
SHOWS = "value => window.shown.at(-1)?.value === value"


# The same way to the screen without the course: ipywidgets' slider and picture, drawn beforehand.
PLAIN = """
import ipywidgets
from course_lib.show.encoding import jpeg
ready = [jpeg(draw(level)[0]) for level in range(100, 125)]
screen = ipywidgets.Image(value=ready[0], format="jpeg")
screen.add_class("course-picture")
slider = ipywidgets.IntSlider(value=100, min=100, max=124)
slider.observe(lambda change: setattr(screen, "value", ready[change["new"] - 100]), "value")
ipywidgets.VBox([slider, screen])
"""
TARGET = 100  # milliseconds from key to picture, 95th percentile, on two quiet cores
SLOWER = 1.5  # … or so many times what a picture needs that lies ready, on cores that are not quiet


def value_of(page, handle: str = HANDLE) -> int:
    return int(float(page.get_attribute(handle, "aria-valuenow")))


def press_and_measure(page, moves: int, cell: int = 1) -> np.ndarray:
    """Milliseconds from key to picture, for each of `moves` single steps, there and back."""
    handle, times = f".jp-Cell:nth-child({cell + 1}) .noUi-handle", []
    page.focus(handle)
    for i in range(moves):
        before = value_of(page, handle)
        page.keyboard.press("ArrowRight" if i < moves / 2 else "ArrowLeft")
        after = value_of(page, handle)
        assert abs(after - before) == 1
        page.wait_for_function(SHOWS, arg=after, polling=5)
        times.append(page.evaluate("window.shown.at(-1).milliseconds"))
    return np.array(times)


@pytest.mark.timing
def test_a_slider_brings_the_right_picture_within_100_ms(lab, capsys):
    page = lab(CODED, LIVE.format(pause=0), PLAIN)
    page.wait_for_selector(f"{HANDLE} >> visible=true")
    page.evaluate(WATCH)
    press_and_measure(page, 5)  # the first ones also pay for the browser's own start
    for attempt in (1, 2):  # once more on a machine that other work keeps busy
        turns = [[press_and_measure(page, 7, cell)[1:] for cell in (1, 2)] for _ in range(8)]
        ours, plain = (np.concatenate(times) for times in zip(*turns, strict=True))
        (median, p95), (ready, ready95) = (np.percentile(x, (50, 95)) for x in (ours, plain))
        with capsys.disabled():
            print(f"\nslider to picture: median {median:.0f}, p95 {p95:.0f} ms (try {attempt})")
            print(f"a picture that lies ready: median {ready:.0f}, p95 {ready95:.0f} ms")
        if p95 <= max(TARGET, SLOWER * ready95):
            break
    assert p95 <= max(TARGET, SLOWER * ready95)


@pytest.mark.timing
@pytest.mark.parametrize(("pause", "least"), [(0, 8), (0.25, 2)])
def test_a_drag_shows_many_pictures_and_ends_on_the_right_one(lab, pause, least):
    page = lab(CODED, LIVE.format(pause=pause))
    page.wait_for_selector(f"{HANDLE} >> visible=true")
    page.evaluate(WATCH)
    box = page.locator(HANDLE).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 21):
        page.mouse.move(x + 8 * step, y)
        page.wait_for_timeout(30)
    page.mouse.up()
    last = value_of(page)
    assert last > 150
    # A queue of 20 slow drawings would take 5 s: the steps in between must have been dropped.
    page.wait_for_function(SHOWS, arg=last, polling=20, timeout=3_000)
    page.wait_for_timeout(800)
    values = [shown["value"] for shown in page.evaluate("window.shown")]
    assert values[-1] == last, "an older picture came after the last one"
    assert len(set(values)) >= least
    assert values == sorted(values), "the pictures of a drag to the right must come in order"
    assert page.inner_text(".course-message") == f"level {last}"


def test_an_error_in_draw_is_one_sentence_and_the_widget_lives_on(lab):
    page = lab(CODED, LIVE.format(pause=0).replace("blurred =", "100 / (level - 101); blurred ="))
    page.wait_for_selector(f"{HANDLE} >> visible=true")
    page.evaluate(WATCH)
    page.focus(HANDLE)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "document.querySelector('.course-message').textContent.includes('Error')"
    )
    assert "ZeroDivisionError: division by zero (line 3 of draw)" in page.inner_text(
        ".course-message"
    )
    page.keyboard.press("ArrowRight")
    page.wait_for_function(SHOWS, arg=102)
    assert page.inner_text(".course-message") == "level 102"


PICK = """
spots = Keypoints.at([[100, 100], [300, 110], [110, 300], [310, 310], [310, 310]], 30)
def detail(image, keypoints, index):
    return coded(image[:256, :256], 7 + index), f"number {index}"
pick(photo("camera"), spots, detail, alt="Five spots.", width=512)
"""
DETAIL = """value => {
  const img = document.querySelector('.course-detail');
  return img.complete && read(img) === value;
}"""


def test_click_and_keys_choose_the_right_keypoint(lab):
    page = lab(CODED, PICK)
    page.wait_for_selector(".course-stage svg")
    page.evaluate(WATCH)
    page.wait_for_function(DETAIL, arg=7)
    stage, width = (
        page.locator(".course-stage"),
        page.locator(".course-stage").bounding_box()["width"],
    )

    def click(x: float, y: float) -> None:
        stage.click(position={"x": x * width / 512, "y": y * width / 512})

    click(290, 120)
    page.wait_for_function(DETAIL, arg=8)
    assert page.inner_text(".course-message") == "number 1"
    for key, index in (
        ("ArrowDown", 3),
        ("ArrowLeft", 2),
        ("ArrowUp", 0),
        ("End", 4),
        ("PageUp", 3),
    ):
        page.keyboard.press(key)
        page.wait_for_function(DETAIL, arg=7 + index)
        assert stage.get_attribute("aria-valuetext").startswith(f"keypoint {index + 1} of 5")
    click(310, 310)  # two keypoints share this place: a second click goes to the other
    page.wait_for_function(DETAIL, arg=11)
    ring = page.locator(".course-ring")
    assert abs(float(ring.get_attribute("cx")) - 310.5) < 1
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.classList.contains('course-stage')")
    assert page.locator(".jp-Notebook .jp-mod-active .course-stage").count() == 1, (
        "the cell was left"
    )
    style = page.evaluate("getComputedStyle(document.querySelector('.course-stage')).outlineStyle")
    assert style == "solid", "the keyboard's place must be seen"


SCRUBBER = """
show = scrubber([coded(np.full((64, 256, 3), 128, np.uint8), 10 * i) for i in range(12)],
                [f"step {i}" for i in range(12)], alt="Twelve frames.")
show
"""


def test_the_scrubber_draws_without_the_kernel(lab):
    page = lab(CODED, SCRUBBER)
    page.wait_for_selector("canvas.course-picture")
    page.evaluate(WATCH)
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.focus(".course-range")
    for key, index in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("End", 11),
        ("ArrowLeft", 10),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert page.evaluate("read(document.querySelector('canvas.course-picture'))") == 10 * index
        assert page.inner_text(".course-label") == f"step {index}"
    page.click(".course-button")
    page.wait_for_function("document.querySelector('.course-label').textContent === 'step 2'")


PHOTO = """
own = photo_input("camera")
def look(image, add):
    return coded(image, int(image.mean())), f"{image.shape[1]} by {image.shape[0]}"
live(look, alt="The chosen photo.", image=own, add=(0, 9))
"""
SAYS = """text => [...document.querySelectorAll('.course-message')]
  .some((message) => message.textContent.includes(text))"""


def test_a_file_a_broken_file_the_menu_and_the_camera(lab, tmp_path: Path):
    page = lab(CODED, PHOTO)
    page.wait_for_function(SAYS, arg="512 by 512")
    cv2.imwrite(str(tmp_path / "mine.png"), np.full((300, 900, 3), 77, np.uint8))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing that makes sense")
    files = page.locator("input[type=file]")
    files.set_input_files(tmp_path / "mine.png")
    page.wait_for_function(SAYS, arg="512 by 171")
    page.evaluate(WATCH)
    assert page.evaluate("read(document.querySelector('img.course-picture'))") == 77
    assert page.input_value(".course-menu") == "mine.png"
    files.set_input_files(tmp_path / "broken.png")
    page.wait_for_function(SAYS, arg="broken.png is no picture")
    assert page.evaluate(SAYS, "512 by 171"), "the last good photo must stay"
    page.select_option(".course-menu", "coffee")
    page.wait_for_function(SAYS, arg="512 by 341")
    noise = np.random.default_rng(0).integers(0, 255, (2000, 3000, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), noise)  # 18 MB: the browser shrinks it
    files.set_input_files(tmp_path / "large.png")
    page.wait_for_function("document.querySelector('.course-menu').value === 'large.png'")
    page.get_by_role("button", name="Camera", exact=True).click()
    page.get_by_role("button", name="Take the picture").click()
    page.wait_for_function("document.querySelector('.course-menu').value === 'camera picture'")


def test_without_a_camera_it_says_so(lab):
    page = lab(CODED, PHOTO)
    page.wait_for_function(SAYS, arg="512 by 512")
    page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia ="
        " () => Promise.reject(new DOMException('', 'NotFoundError')); }"
    )
    page.get_by_role("button", name="Camera", exact=True).click()
    page.wait_for_function(SAYS, arg="No camera was found")


def test_the_keyboard_alone_reaches_every_control(lab):
    page = lab(CODED, PHOTO)
    page.wait_for_function(SAYS, arg="512 by 512")
    page.focus(".course-menu")
    reached = []
    for _ in range(4):
        reached.append(page.evaluate("document.activeElement.className.split(' ')[0]"))
        page.keyboard.press("Tab")
    assert reached[:3] == ["course-menu", "course-button", "course-button"]
    assert "noUi-handle" in reached[3]
    page.focus(".course-menu")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(SAYS, arg="451 by 300")  # chelsea comes after camera
    page.keyboard.press("x")  # JupyterLab's key for cutting a cell
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 2, "the key went to the notebook"


CONTROLS = """
def say(menu, few, on, count):
    return np.zeros((20, 20)), f"{menu} {few} {on} {count}"
live(say, alt="A square.", menu=list("abcde"), few=["p", "q"], on=False, count=(0, 9))
"""


def test_every_kind_of_control_works_by_keyboard(lab):
    page = lab(CODED, CONTROLS, "1")
    page.wait_for_function(SAYS, arg="a p False 0")
    for selector, key, text in (
        ("select", "ArrowDown", "b p False 0"),
        ("button >> nth=1", "Space", "b q False 0"),
        ("button >> nth=0", "Enter", "b p False 0"),
        ("input[type=checkbox]", "Space", "b p True 0"),
        (".noUi-handle", "ArrowRight", "b p True 1"),
        (".noUi-handle", "x", "b p True 1"),
    ):
        page.focus(f".course-live {selector}")
        page.keyboard.press(key)
        page.wait_for_function(SAYS, arg=text)
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 3, "x cut a cell"


def test_the_saved_notebook_keeps_a_picture_of_every_widget(lab):
    page = lab(CODED, LIVE.format(pause=0), PICK, SCRUBBER, "photo_input('coffee')")
    page.wait_for_selector("canvas.course-picture")
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    cells = json.loads((lab.folder / "test.ipynb").read_text())["cells"]
    for cell in cells[1:]:
        data = cell["outputs"][0]["data"]
        assert {"image/png", "image/jpeg"} & set(data), data.keys()
        assert "application/vnd.jupyter.widget-view+json" in data
        assert "0x" not in "".join(data["text/plain"])
    assert (lab.folder / "test.ipynb").stat().st_size < 700_000
