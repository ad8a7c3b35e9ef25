"""Answers with what they rest on: where the objects are, how that compares, and then the word.

    is the red cube behind the torus?    7 3 behind yes

Two digits say where the first and the second object are: for left and right, in which of ten strips
of the picture, from the left; for in front and behind, at which of ten steps away from the camera.
A word says how the first stands to the second, and the last one answers. Other questions have
nothing to compare and keep their word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from course_lib.world.camera import project
from course_lib.world.graph import OPPOSITE, RELATIONS, SceneGraph
from course_lib.world.programs import execute
from course_lib.world.questions import Question
from course_lib.world.scene import Scenes

SIZE = 64  # pixels, in which strips are counted
LEFT, STRIP = 7, 5  # pixels: where the first strip begins, and how wide each is
NEAR, STEP = 0.23, 0.02  # metres: where the first step begins, and how deep each is
WORD = {"left of": "left", "right of": "right", "in front of": "front", "behind": "behind"}


def where(scenes: Scenes) -> np.ndarray:
    """B scenes → for each of M places the object's strip and step, ints 0 to 9, (B, M, 2).

    What lies outside of all strips or steps takes the nearest; empty places hold something.
    """
    pixels, depth = project(scenes, scenes.centre, SIZE)
    strip, step = (pixels[..., 0] - LEFT) // STRIP, (depth - NEAR) // STEP
    return np.nan_to_num(np.stack([strip, step], axis=-1)).clip(0, 9).astype(int)


def reasoned(
    question: Question, graph: SceneGraph, places: Sequence[Sequence[int]], in_words: bool = True
) -> str:
    """A question's answer with its reasons; `places` (M, 2) is the scene's row of `where`.

    Without `in_words` the digits stand alone before the answer: "7 3 yes".
    """
    if question.kind != "relation":
        return question.answer
    _, relation, one, other = question.program
    axis, _ = RELATIONS[relation]
    first, second = (places[execute(each, graph)][axis] for each in (one, other))
    is_so = relation if question.answer == "yes" else OPPOSITE[relation]
    word = f"{WORD[is_so]} " if in_words else ""
    return f"{first} {second} {word}{question.answer}"
