"""Every live picture of every lesson answers fast enough for a slider, at every end of its range.

The target is 60 ms a drawing: the way to the screen costs as much as a ready picture needs
(tests/browser measures both), and 100 ms are an answer at once. The test is a guard with room, for
the speed of a shared machine drifts by half: the slowest picture of lesson 01 took less than 60 ms
on one day, 86 on another.

`make test` has executed each lesson just before, beside other tests, and live_speed.py wrote down
how long the pictures took. Fast enough there is fast enough alone; only a lesson that was not, or
was never measured with this very code, is executed again.
"""

import json
import os
from pathlib import Path

import pytest

from course_lib import lessons
from tests.notebooks.live_speed import code_cells

GUARD = 0.120  # seconds for one drawing


def recorded(path: Path) -> list:
    """What live_speed.py wrote of the lesson's pictures; nothing, if that was another lesson."""
    try:
        record = json.loads(Path(os.environ["COURSE_LIVE_SPEED"], f"{path.stem}.json").read_text())
    except FileNotFoundError:
        return []
    return record["pictures"] if record["cells"] == code_cells(path) else []


def faults(pictures: list) -> list[str]:
    """One sentence for each picture that is too large, too slow or wrong."""
    found = []
    for caption, slowest, shape in pictures:
        if max(shape[:2]) > 1024:
            found.append(f"{caption}: {shape}")
        if slowest is not None:
            seconds, control, value, error = slowest
            if error or seconds > GUARD:
                found.append(f"{caption}: {1e3 * seconds:.0f} ms at {control} = {value:g} {error}")
    return found


@pytest.mark.timing
@pytest.mark.notebook
@pytest.mark.parametrize("path", lessons.find(), ids=lambda p: p.stem)
def test_live_pictures_draw_at_once(path: Path) -> None:
    pictures = recorded(path)
    if not pictures or faults(pictures):
        lessons.execute(lessons.read_twin(path))
        pictures = recorded(path)
    assert pictures, "a lesson has at least one live picture"
    assert not faults(pictures)
