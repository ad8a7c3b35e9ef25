"""fluency: the numbers of the evaluation of COCO captions, a case by hand, what controls show."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from course_lib.evaluate.captioning import captioning
from course_lib.evaluate.fluency import fluency, words_of
from course_lib.world.captions import captions
from course_lib.world.scene import sample

N = 60
TRUTH = [caption.text for caption in captions(sample(range(N), split="test"), range(N))]

# What is said and what is true of eight pictures, with one to three true captions each.
SAID = [
    "a small orange striped torus",
    "a small cyan shiny torus, a large blue shiny cone and a small red matte cube",
    "a large purple shiny torus and a small purple shiny torus",
    "a small blue striped cube, a large orange matte torus and a large purple shiny cube",
    "a large red shiny cone",
    "a large yellow striped cone",
    "a small grey striped cylinder and a large green shiny cone",
    "a large grey sphere and a small red torus",
]
TRUE = [
    ["a small orange striped torus", "a striped torus", "one small torus in orange"],
    ["a small cyan shiny torus, a large blue shiny cone, a large orange matte cone, "
     "a small red matte cube and a small red shiny cube"],
    ["a small purple shiny torus and a large purple shiny torus", "two purple rings"],
    ["a small blue striped cube, a large orange matte torus and a large purple shiny cube"],
    ["a small red shiny cone", "a red cone"],
    ["a large yellow striped cone and a small grey striped cylinder"],
    ["a large green shiny cone and a large yellow matte cone", "two large cones"],
    ["a large grey striped sphere and a small red matte torus"],
]  # fmt: skip
# Made once by pycocoevalcap 1.2, without its tokenizer in Java: Bleu(4) and Cider() of these
# captions, in lower case, commas taken out.
COCO = {"bleu1": 0.7430301797336459, "bleu4": 0.6445426378242282, "cider": 4.39523359626476}


def test_numbers_are_those_of_the_evaluation_of_coco() -> None:
    found = fluency(SAID, TRUE)
    for name, expected in COCO.items():
        assert getattr(found, name) == pytest.approx(expected, rel=1e-9), name
    assert found.n == 8
    # Neither order of the pictures, nor of the true captions, nor letters and marks matter.
    other = fluency(
        [text.upper().replace(",", " ,") + "!" for text in SAID[::-1]],
        [texts[::-1] for texts in TRUE[::-1]],
    )
    for name, expected in COCO.items():
        assert getattr(other, name) == pytest.approx(expected, rel=1e-9), name


def test_bleu_by_hand() -> None:
    said = ["a small red cube and a cone", "a large blue matte sphere"]
    true = ["a small red cube and a large cone", "a large blue matte sphere"]
    found = fluency(said, true)
    short = math.exp(1 - 13 / 12)  # 12 words in place of 13
    assert found.bleu1 == pytest.approx(short, rel=1e-6)
    assert found.bleu4 == pytest.approx(short * (9 / 10 * 7 / 8 * 5 / 6) ** (1 / 4), rel=1e-6)
    # A word counts as often as it is true: once in "a cube", twice in "a cube and a cube".
    found = fluency(["cube cube cube", "cone cone"], [["a cube", "a cube and a cube"], "a cone"])
    assert found.bleu1 == pytest.approx(3 / 5, rel=1e-6)
    assert found.bleu4 < 1e-3


def test_cider_by_hand() -> None:
    # Two pictures; "a" is in both, so it weighs nothing, and all other n-grams weigh the same.
    found = fluency(["a b", "a c"], ["a b", "a d"])
    # The first: cosines 1 of words and pairs, no longer runs. The second: nothing.
    assert found.cider == pytest.approx(10 * (1 + 1 + 0 + 0) / 4 / 2, rel=1e-6)
    assert found.shuffled_cider == 0
    # One word more than is true costs a factor of exp(−1/72): the deviation is 6 words.
    found = fluency(["b c d e a", "f"], ["b c d e", "f a"])
    # All weigh the same: of 5, 4, 3 and 2 runs, all but one are in the truth, and no other is.
    first = sum(math.sqrt(1 - 1 / runs) for runs in (5, 4, 3, 2)) / 4
    second = math.sqrt(1 / 2) / 4
    expected = 10 * math.exp(-1 / 72) * (first + second) / 2
    assert found.cider == pytest.approx(expected, rel=1e-6)


def test_the_truth_has_the_best_values() -> None:
    found = fluency(TRUTH, TRUTH)
    assert found.bleu1 == pytest.approx(1, abs=1e-6)
    assert found.bleu4 == pytest.approx(1, abs=1e-6)
    assert found.cider == pytest.approx(10, abs=1e-6)


def test_a_strangers_caption_has_words_in_common_and_no_facts() -> None:
    # Same build, and every attribute of every object is wrong.
    said = ["a small red matte cube and a large blue shiny cone", "a large green striped sphere"]
    true = ["a large blue shiny sphere and a small grey matte torus", "a small red matte cube"]
    found = fluency(said, true)
    assert captioning(said, true).exact == 0
    assert captioning(said[1:] * 2, true[1:] * 2).facts == 0
    assert found.bleu1 > 0.5
    assert fluency(said[1:] * 2, true[1:] * 2).bleu1 == pytest.approx(1 / 5, rel=1e-6)  # "a"
    # Of the world's own captions, each of another picture.
    other = fluency(TRUTH[1:] + TRUTH[:1], TRUTH)
    assert 0.1 < other.bleu4 < 0.5 < other.bleu1
    assert 0 < other.cider < 1.5


def test_words_out_of_order_keep_their_words_only() -> None:
    rng = np.random.default_rng(0)
    said = [" ".join(rng.permutation(words_of(text).split())) for text in TRUTH]
    found = fluency(said, TRUTH)
    assert found.bleu1 == pytest.approx(1, abs=1e-6)
    assert found.bleu4 < 0.2
    assert 2.5 <= found.cider < 5  # single words are a quarter of it


def test_shuffled_captions_are_those_of_other_pictures() -> None:
    found = fluency(TRUTH, TRUTH, seed=1)
    assert found.shuffled_bleu4 < 0.5
    assert found.shuffled_cider < 1.5
    assert fluency(TRUTH, TRUTH, seed=2).shuffled_cider != found.shuffled_cider
    assert fluency(TRUTH, TRUTH, seed=1) == found
    # With two pictures there is one way to deal: each gets the other's.
    pair = fluency(TRUTH[1:3], TRUTH[1:3])
    swapped = fluency(TRUTH[2:0:-1], TRUTH[1:3])
    assert pair.shuffled_bleu4 == pytest.approx(swapped.bleu4)
    assert pair.shuffled_cider == pytest.approx(swapped.cider)
    # A text said of every picture gains nothing by its own.
    one = fluency(TRUTH[:1] * N, TRUTH)
    assert one.shuffled_bleu4 == pytest.approx(one.bleu4)
    assert one.shuffled_cider == pytest.approx(one.cider)


def test_a_single_true_caption_is_a_list_of_one() -> None:
    assert fluency(SAID, [texts[0] for texts in TRUE]) == fluency(SAID, [t[:1] for t in TRUE])
    assert fluency(tuple(SAID), tuple(map(tuple, TRUE))) == fluency(SAID, TRUE)


def test_captions_without_words_are_wrong_and_no_error() -> None:
    found = fluency(["", "..."], ["a red cube", "a blue cone"])
    assert found == replace(found, bleu1=0, bleu4=0, cider=0)


def test_one_line_says_it() -> None:
    assert re.fullmatch(
        r"BLEU-4 0\.645 \(shuffled 0\.\d{3}\), CIDEr 4\.395 \(shuffled 0\.\d{3}\), 8 captions",
        str(fluency(SAID, TRUE)),
    )


def test_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more, but 2 and 3 were given"):
        fluency(["a", "b"], ["a", "b", "c"])
    with pytest.raises(ValueError, match="two or more, but 1 and 1 were given"):
        fluency(["a"], ["a"])
    for said, true in (("a cube", ["a", "b"]), (["a", "b"], "a cube")):
        with pytest.raises(TypeError, match="but a single text was given"):
            fluency(said, true)
    for nothing in ([], "", [""], ["a cone", "?"]):
        with pytest.raises(ValueError, match="must have a word, but picture 1 has none"):
            fluency(["a", "b"], ["a cube", nothing])
