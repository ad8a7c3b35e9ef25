"""Questions about pictures: how many answers are right, of each kind, among how many objects.

Antol et al.: VQA: Visual Question Answering, ICCV 2015; Goyal et al.: Making the V in VQA Matter,
CVPR 2017, on how much can be answered without looking. So each share stands beside three others:

chance     the answer that is right most often for its kind of question, always given
blind      the same answerer, shown the mean of all pictures
shuffled   the same answerer, shown another scene's picture

An answerer that looks is above all three; one that has only learned what is usually said of a kind
is at chance in the other two as well. A share over all scenes hides the shortcut of naming some
object's colour: with one object that is always right. Therefore also by number of objects.

Whatever answers will do: `answer` takes pictures (Q, …) and Q questions, and gives Q texts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from course_lib.world.questions import Question

Answer = Callable[[np.ndarray, list[str]], Sequence[str]]
BATCH = 256  # questions answered at once


class Answered(NamedTuple):
    """Shares of n questions that are answered rightly, with pictures and without."""

    value: float
    chance: float
    blind: float
    shuffled: float
    n: int

    def __str__(self) -> str:
        return (
            f"{self.value:.3f} (chance {self.chance:.3f}, blind {self.blind:.3f}, "
            f"shuffled {self.shuffled:.3f}, {self.n} questions)"
        )


@dataclass(frozen=True)
class Report:
    """The same shares for all questions, and for parts of them; kinds as in questions.KINDS."""

    overall: Answered
    by_kind: dict[str, Answered]
    by_count: dict[int, Answered]  # number of objects in the scene
    by_kind_and_count: dict[tuple[str, int], Answered]


def question_answering(
    answer: Answer,
    pictures: np.ndarray,
    asked: Sequence[Sequence[Question]],
    objects: Sequence[int] | np.ndarray,
    seed: int = 0,
) -> Report:
    """Pictures (B, …), the questions on each of B scenes, its number of objects (B,) → Report.

    An answer is right if it is the question's, but for capitals, spaces around it and a full stop.
    Raises ValueError if lengths differ, if there is no question or only one picture, or if `answer`
    does not give one text for each question.
    """
    pictures = np.asarray(pictures)
    if not len(pictures) == len(asked) == len(objects) or len(pictures) < 2 or not any(asked):
        raise ValueError(
            "two pictures or more are expected, with questions and a number of objects for each, "
            f"but {len(pictures)} pictures, {len(asked)} lists of {sum(map(len, asked))} questions "
            f"and {len(objects)} numbers were given"
        )
    flat = [question for on_scene in asked for question in on_scene]
    scene = np.repeat(np.arange(len(asked)), [len(on_scene) for on_scene in asked])
    texts = [question.text for question in flat]
    mean = pictures.mean(axis=0, keepdims=True)
    mean = (np.rint(mean) if pictures.dtype.kind in "iu" else mean).astype(pictures.dtype)
    elsewhere = _others(len(pictures), seed)
    right = np.stack([
        _right(answer, pictures, scene, texts, flat),
        _majority_right(flat),
        _right(answer, mean, np.zeros_like(scene), texts, flat),
        _right(answer, pictures, elsewhere[scene], texts, flat),
    ])  # fmt: skip
    counts = np.asarray(objects)[scene].tolist()
    kinds = [question.kind for question in flat]
    return Report(
        _shares(right, np.ones(len(flat), bool)),
        _grouped(right, kinds),
        _grouped(right, counts),
        _grouped(right, list(zip(kinds, counts, strict=True))),
    )


def plain(text: str) -> str:
    """An answer as it is compared: " Blue. " → "blue"."""
    return text.strip().rstrip(".").strip().lower()


def _right(
    answer: Answer,
    pictures: np.ndarray,
    which: np.ndarray,
    texts: list[str],
    flat: list[Question],
) -> np.ndarray:
    """Which questions (Q,) are answered rightly from pictures[which], bool (Q,)."""
    given: list[str] = []
    for start in range(0, len(texts), BATCH):
        part = slice(start, start + BATCH)
        said = list(answer(pictures[which[part]], texts[part]))
        if len(said) != len(texts[part]) or not all(isinstance(text, str) for text in said):
            raise ValueError(
                f"one text is expected for each of {len(texts[part])} questions, "
                f"but the answerer gave {len(said)} of {sorted({type(s).__name__ for s in said})}"
            )
        given += said
    return np.array([plain(g) == plain(q.answer) for g, q in zip(given, flat, strict=True)])


def _majority_right(flat: list[Question]) -> np.ndarray:
    """The same for the most frequent answer of each kind; what a hop asks for decides its kind."""
    kinds = [f"hop {q.program[1]}" if q.kind == "hop" else q.kind for q in flat]
    answers: dict[str, Counter] = defaultdict(Counter)
    for kind, question in zip(kinds, flat, strict=True):
        answers[kind][question.answer] += 1
    most = {kind: counter.most_common(1)[0][0] for kind, counter in answers.items()}
    return np.array([q.answer == most[kind] for kind, q in zip(kinds, flat, strict=True)])


def _others(n: int, seed: int) -> np.ndarray:
    """n places → for each another one, each once: all in one random circle, (n,)."""
    order = np.random.default_rng(seed).permutation(n)
    other = np.empty(n, dtype=int)
    other[order] = np.roll(order, 1)
    return other


def _grouped(right: np.ndarray, keys: list) -> dict:
    return {
        key: _shares(right, np.array([other == key for other in keys])) for key in sorted(set(keys))
    }


def _shares(right: np.ndarray, which: np.ndarray) -> Answered:
    return Answered(*right[:, which].mean(axis=1).tolist(), int(which.sum()))
