"""The lessons as a student meets them: a real JupyterLab, the first live picture, a real slider."""

import re
from pathlib import Path

import pytest

from course_lib import lessons

pytestmark = pytest.mark.browser

HANDLE = ".jp-OutputArea .noUi-handle"
PICTURE = ".jp-OutputArea img.course-picture"
# The sum of the pixels of the first live picture that is shown: another picture, another sum.
CHECKSUM = """
() => {
  const img = document.querySelector('img.course-picture');
  if (!img?.complete || !img.naturalWidth) return 0;
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [img.naturalWidth, img.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(img, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return pixels.reduce((sum, value, i) => (sum + value * (i % 9973 + 1)) % 2147483647, 0);
}
"""


def until_first_live(path: Path) -> list[str]:
    """The lesson's code cells up to its first live picture."""
    cells = [c.source for c in lessons.read_twin(path).cells if c.cell_type == "code"]
    first = next(i for i, source in enumerate(cells) if re.search(r"^live\(", source, re.MULTILINE))
    return cells[: first + 1]


def keys(page) -> tuple[list[str], list[str]]:
    """Focus the first slider, or a line of text where there is none → keys there, and back."""
    handle = page.locator(HANDLE).first
    if not page.locator(HANDLE).count():
        page.locator(".jp-OutputArea input[type=text]").first.focus()
        page.keyboard.press("End")
        return list("xyz"), 3 * ["Backspace"]
    now, most = (handle.get_attribute(f"aria-value{name}") for name in ("now", "max"))
    handle.focus()
    there, back = ("ArrowRight", "ArrowLeft") if now != most else ("ArrowLeft", "ArrowRight")
    times = 4 if now != most else 5
    return times * [there], times * [back]


@pytest.mark.parametrize("path", lessons.find(), ids=lambda p: p.stem)
def test_the_first_control_of_a_lesson_moves_its_picture(lab, path: Path, tmp_path: Path) -> None:
    # Lessons read files beside them, as ../tests/golden.
    (lab.folder.parent / "tests").symlink_to(lessons.ROOT / "tests")
    page = lab(*until_first_live(path))
    assert not page.locator(".jp-OutputArea [data-mime-type*=error]").count()
    page.wait_for_selector(f"{PICTURE} >> visible=true")
    before = page.evaluate(CHECKSUM)
    assert before
    there, back = keys(page)
    for key in there:
        page.keyboard.press(key)
    page.wait_for_function(f"before => ![0, before].includes(({CHECKSUM})())", arg=before)
    for key in back:
        page.keyboard.press(key)
    page.wait_for_function(f"before => ({CHECKSUM})() === before", arg=before)
    page.screenshot(path=tmp_path / f"{path.stem}.png")
