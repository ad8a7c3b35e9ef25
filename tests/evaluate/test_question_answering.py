"""question_answering: shares by loops; controls that show what they should; who is shown what."""

from collections import Counter

import numpy as np
import pytest

from course_lib.evaluate import question_answering as module
from course_lib.evaluate.question_answering import Answered, plain, question_answering
from course_lib.world.graph import graphs
from course_lib.world.programs import UnclearError, answer
from course_lib.world.questions import Question, blind, questions
from course_lib.world.scene import sample

N = 60
SCENES = sample(range(N), split="test")
ASKED = questions(SCENES, range(N), per_scene=4)
COUNTS = SCENES.count
# A "picture" that holds the number of its scene: what it shows is known exactly.
PICTURES = (4 * np.arange(N, dtype=np.uint8))[:, None, None] * np.ones((1, 2, 3), np.uint8)
GRAPHS = graphs(SCENES)
PROGRAMS = {q.text: q.program for on_scene in ASKED for q in on_scene}


def seeing(pictures: np.ndarray, texts: list[str]) -> list[str]:
    """Answers every question of the scene that it is shown; where that is unclear, "unclear"."""
    said = []
    for picture, text in zip(pictures, texts, strict=True):
        assert (picture == picture.flat[0]).all()
        number, rest = divmod(int(picture.flat[0]), 4)
        try:
            said.append("unclear" if rest else answer(PROGRAMS[text], GRAPHS[number]))
        except UnclearError:
            said.append("unclear")
    return said


def guessing(pictures: np.ndarray, texts: list[str]) -> list[str]:
    """Never looks."""
    return ["yes" if text.startswith(("is", "are")) else "small" for text in texts]


def test_who_sees_is_right_and_the_controls_say_that_it_saw() -> None:
    report = question_answering(seeing, PICTURES, ASKED, COUNTS)
    everything = (report.overall, *report.by_kind.values(), *report.by_count.values(),
                  *report.by_kind_and_count.values())  # fmt: skip
    assert all(found.value == 1 for found in everything)
    assert report.overall.n == sum(map(len, ASKED))
    # The mean of 0, 4, … 236 is 118, which is no scene's number.
    assert report.overall.blind == 0
    assert 0 < report.overall.shuffled < 0.6
    assert 0.3 < report.overall.chance < 0.7


def test_who_does_not_look_is_the_same_without_pictures() -> None:
    report = question_answering(guessing, PICTURES, ASKED, COUNTS)
    for found in (report.overall, *report.by_kind.values(), *report.by_kind_and_count.values()):
        assert found.value == found.blind == found.shuffled
    for found in (report.overall, *report.by_kind.values()):
        assert found.value <= found.chance


def test_shares_are_those_of_a_slow_oracle() -> None:
    """One question after the other; the majority answer counted by hand."""

    def half(pictures: np.ndarray, texts: list[str]) -> list[str]:
        both = zip(texts, seeing(pictures, texts), strict=True)
        return [f" {a.upper()}. " if len(t) % 2 else "never" for t, a in both]

    report = question_answering(half, PICTURES, ASKED, COUNTS, seed=5)
    right: dict[object, list[bool]] = {}
    most: dict[object, Counter] = {}
    for on_scene in ASKED:
        for q in on_scene:
            kind = (q.kind, q.program[1] if q.kind == "hop" else None)
            most.setdefault(kind, Counter())[q.answer] += 1
    for n, on_scene in zip(COUNTS.tolist(), ASKED, strict=True):
        for q in on_scene:
            usual = most[q.kind, q.program[1] if q.kind == "hop" else None].most_common(1)[0][0]
            pair = len(q.text) % 2 == 1, q.answer == usual
            for key in ("all", q.kind, n, (q.kind, n)):
                right.setdefault(key, []).append(pair)
    groups = {"all": report.overall, **report.by_kind, **report.by_count,
              **report.by_kind_and_count}  # fmt: skip
    assert groups.keys() == right.keys()
    for key, pairs in right.items():
        assert groups[key].n == len(pairs), key
        assert groups[key].value == pytest.approx(sum(p for p, _ in pairs) / len(pairs)), key
        assert groups[key].chance == pytest.approx(sum(c for _, c in pairs) / len(pairs)), key
    assert len(report.by_kind_and_count) > 20


def test_chance_is_the_worlds() -> None:
    flat = [q for on_scene in ASKED for q in on_scene]
    report, by_kind = question_answering(guessing, PICTURES, ASKED, COUNTS), blind(flat)
    for kind, found in report.by_kind.items():
        if kind != "hop":
            assert found.chance == pytest.approx(by_kind[kind])
    hops = Counter(q.program[1] for q in flat if q.kind == "hop")
    expected = sum(n * by_kind[f"hop {a}"] for a, n in hops.items()) / hops.total()
    assert report.by_kind["hop"].chance == pytest.approx(expected)


def test_a_shortcut_shows_by_number_of_objects() -> None:
    """Names the colour of the first object, whatever it was asked for."""

    def shortcut(pictures: np.ndarray, texts: list[str]) -> list[str]:
        numbers = [int(p.flat[0]) // 4 for p in pictures]
        return [GRAPHS[n].objects[0]["colour"] for n in numbers]

    asked = questions(SCENES, range(N), kinds="colour")
    found = question_answering(shortcut, PICTURES, asked, COUNTS).by_kind_and_count
    assert found["colour", 1].value == 1
    assert found["colour", 6].value < 0.6


def test_who_is_shown_what() -> None:
    """The mean picture to the blind; to the shuffled another scene's, each scene's once."""
    seen: list[list[int]] = []

    def watching(pictures: np.ndarray, texts: list[str]) -> list[str]:
        assert pictures.dtype == np.uint8
        assert pictures.shape == (len(texts), 2, 3)
        seen.append(pictures[:, 0, 0].tolist())
        return ["yes"] * len(texts)

    one = [on_scene[:1] for on_scene in ASKED]
    question_answering(watching, PICTURES, one, COUNTS)
    own, blind_, others = seen
    assert own == (4 * np.arange(N)).tolist()
    assert set(blind_) == {118}
    assert sorted(others) == own
    assert all(a != b for a, b in zip(own, others, strict=True))
    seen.clear()
    question_answering(watching, PICTURES, one, COUNTS, seed=1)
    assert seen[2] != others
    for n in range(2, 12):
        circle = module._others(n, 0)
        assert sorted(circle) == list(range(n))
        assert (circle != np.arange(n)).all()
    values = PICTURES.astype(np.float32) / 255
    floats = question_answering(lambda p, t: [f"{p[0].mean():.3f}"] * len(t), values, one, COUNTS)
    assert floats.overall.value == 0


def test_questions_go_in_parts_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = question_answering(seeing, PICTURES, ASKED, COUNTS)
    monkeypatch.setattr(module, "BATCH", 7)
    sizes = []

    def counting(pictures: np.ndarray, texts: list[str]) -> list[str]:
        sizes.append(len(texts))
        return seeing(pictures, texts)

    assert question_answering(counting, PICTURES, ASKED, COUNTS) == whole
    assert max(sizes) == 7
    assert sum(sizes) == 3 * whole.overall.n


def test_answers_are_compared_as_words() -> None:
    assert [plain(t) for t in (" Blue. ", "blue", "BLUE .\n", "light blue")] == [
        "blue", "blue", "blue", "light blue",
    ]  # fmt: skip
    assert str(Answered(0.5, 0.25, 0.125, 1, 8)) == (
        "0.500 (chance 0.250, blind 0.125, shuffled 1.000, 8 questions)"
    )


def test_errors_are_one_sentence() -> None:
    for pictures, asked, objects in (
        (PICTURES[:3], ASKED[:4], COUNTS[:4]),
        (PICTURES[:4], ASKED[:4], COUNTS[:3]),
        (PICTURES[:1], ASKED[:1], COUNTS[:1]),
        (PICTURES[:2], [[], []], COUNTS[:2]),
    ):
        with pytest.raises(ValueError, match="two pictures or more are expected, with questions"):
            question_answering(guessing, pictures, asked, objects)
    for wrong in (lambda p, t: ["yes"], lambda p, t: [1] * len(t)):
        with pytest.raises(ValueError, match=r"one text is expected for each of 2\d\d questions"):
            question_answering(wrong, PICTURES, ASKED, COUNTS)
    assert isinstance(ASKED[0][0], Question)
