"""The source shown is the source that runs."""

from __future__ import annotations

import html
import inspect
import re

import pytest

from course_lib.blocks import images, keypoints
from course_lib.show.source import source


def test_text_and_line_numbers_are_those_of_the_file():
    file = inspect.getsource(images).splitlines()
    for thing in (images.to_gray, keypoints.Keypoints, images):
        shown = source(thing)
        lines = inspect.getsource(inspect.getmodule(thing)).splitlines()
        assert all(lines[number - 1] == line for number, line in shown.lines)
    assert source(images.to_gray).path == "course_lib/blocks/images.py"
    assert repr(source(images)) == "\n".join(file)


def test_the_highlighted_form_holds_the_same_text():
    shown = source(images.check_image)
    page = shown._repr_mimebundle_()["text/html"]
    body = re.search("<pre.*?>(.*)</pre>", page, re.DOTALL)[1]
    plain = html.unescape(re.sub("<[^>]+>", "", body)).split("\n")
    first = shown.lines[0][0]
    wide = len(str(shown.lines[-1][0]))
    assert [line[wide + 2 :] for line in plain] == [line for _, line in shown.lines]
    assert plain[0].startswith(f"{first:>{wide}}  def check_image")
    assert 'href="../course_lib/blocks/images.py"' in page


def test_a_part_and_no_docstring():
    whole, bare = source(images.to_gray), source(images.to_gray, docstring=False)
    assert '"""' in whole.text
    assert '"""' not in bare.text
    assert set(bare.lines) < set(whole.lines)
    assert source(images.to_gray, lines=(1, 1)).text.startswith("def to_gray")
    compile(source(keypoints, docstring=False).text, "x", "exec")


def test_methods_properties_and_constants():
    assert source(keypoints.Keypoints.strongest).text.startswith("def strongest")
    shown = source(images, "WHITE")
    assert shown.text == 'WHITE = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}'
    assert source(images, "to_rgb").text == source(images.to_rgb).text


def test_what_has_no_source_is_named():
    with pytest.raises(TypeError, match="a int was given"):
        source(3)
    with pytest.raises(ValueError, match="no 'PINK' at the top of the module"):
        source(images, "PINK")
    with pytest.raises(ValueError, match="were asked for"):
        source(images.to_gray, lines=(900, 901))
