"""captioning: every matching tried, cases by hand; nothing is gained by saying less, or more."""

from itertools import permutations

import numpy as np
import pytest

from course_lib.evaluate.captioning import captioning, matched, objects_of, share
from course_lib.world.captions import captions, noisy_captions
from course_lib.world.grammar import score
from course_lib.world.graph import VALUES
from course_lib.world.scene import sample

N = 120
SCENES = sample(range(N), split="test")
TRUTH = [caption.text for caption in captions(SCENES, range(N))]
NAMES = tuple(VALUES)


def slow_share(said: list[dict], true: list[dict]) -> float:
    """The best of all ways to give each object of the shorter list one of the longer."""
    short, long = sorted((said, true), key=len)
    best = 0
    for chosen in permutations(long, len(short)):
        best = max(best, sum(a.get(n) == b[n] for a, b in zip(short, chosen, strict=True)
                             for n in NAMES if n in b))  # fmt: skip
    return best / max(sum(map(len, said)), sum(map(len, true)))


def drawn(rng: np.random.Generator, most: int) -> list[dict]:
    """Up to `most` objects, each with one to four attributes of few values: many are alike."""
    objects = []
    for _ in range(rng.integers(1, most + 1)):
        names = rng.permutation(NAMES)[: rng.integers(1, 5)].tolist()
        objects.append({n: str(rng.choice(VALUES[n][:2])) for n in names})
    return objects


def test_the_best_matching_is_found() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        said, true = drawn(rng, 4), drawn(rng, 4)
        shares.append(share(said, true))
        assert shares[-1] == pytest.approx(slow_share(said, true))
        pairs = matched(said, true)
        assert len(pairs) == min(len(said), len(true))
        for side in zip(*pairs, strict=True):
            assert len(set(side)) == len(side)
    assert len(set(shares)) > 20


def test_matching_by_hand() -> None:
    # In order of mention the first would take its twin's place: 2 + 1 facts instead of 3 + 2.
    said = objects_of("a small red cube and a red sphere")
    true = objects_of("a large red sphere and a small red cube")
    assert matched(said, true) == [(0, 1), (1, 0)]
    assert share(said, true) == 5 / 6
    # Greedily the first takes the best for it, and the second is left with nothing.
    said = objects_of("a small red cube, a small red sphere")
    true = objects_of("a small red cone, a small blue cube")
    assert share(said, true) == 4 / 6
    # Equals stay in order, however many there are.
    cube = {"shape": "cube"}
    assert matched([cube] * 40, [cube] * 3) == [(0, 0), (1, 1), (2, 2)]
    late = [{"colour": "red"}] * 1200 + [cube]
    assert (1200, 0) in matched(late, [cube, {"colour": "red"}])


def test_shares_by_hand() -> None:
    truth = objects_of("a small red shiny cube and a large blue matte sphere")
    assert truth == [
        {"size": "small", "colour": "red", "material": "shiny", "shape": "cube"},
        {"size": "large", "colour": "blue", "material": "matte", "shape": "sphere"},
    ]
    for text, expected in (
        ("a large blue matte sphere and a small red shiny cube", 1),
        ("a small red shiny cube and a large blue matte cone", 7 / 8),
        ("a small red shiny cube", 4 / 8),
        ("a cube", 1 / 8),
        ("a small red shiny cube and a large blue matte sphere and a small red shiny cube", 8 / 12),
        ("cube shiny red small, sphere matte blue large", 1),
        ("", 0),
        ("nothing is there", 0),
    ):
        assert share(objects_of(text), truth) == expected, text
        assert share(truth, objects_of(text)) == expected, text
    assert share([], []) == 1


def test_relations_tables_and_numbers_are_no_facts_here() -> None:
    text = (
        "there are two objects on a wooden table. there is a red cube. to its left there is a cone."
    )
    assert objects_of(text) == [{"colour": "red", "shape": "cube"}, {"shape": "cone"}]


def test_where_only_objects_are_named_it_is_the_grammars_score() -> None:
    noisy = noisy_captions(SCENES, range(N), rate=1.0, split="test")
    shares = []
    for caption, truth in zip(noisy, TRUTH, strict=True):
        text = caption.caption.text
        shares.append(share(objects_of(text), objects_of(truth)))
        assert shares[-1] == pytest.approx(score(text, truth))
    assert 0.3 < np.mean(shares) < 0.95


def test_true_captions_are_right_and_all_others_are_not() -> None:
    found = captioning(TRUTH, TRUTH)
    assert found.facts == found.exact == found.complete == 1
    assert set(found.by.values()) == set(found.by_count.values()) == {1}
    assert found.n == N
    assert 0.1 < found.chance < 0.6
    assert 0.2 < found.shuffled < 0.6
    other = captioning([t.replace(" and ", ", ") for t in TRUTH], TRUTH)
    assert other.facts == other.complete == 1
    assert other.exact == np.mean([" and " not in t for t in TRUTH])
    shown = captioning([t.upper() + "." for t in TRUTH], [t + "." for t in TRUTH])
    assert shown.exact == 1


def test_saying_less_or_more_costs() -> None:
    """Truncation is never rewarded: each word less is a fact less, and a made-up object costs."""
    last = 1.0
    for keep in (6, 5, 4, 3, 2, 1):
        cut = [" and a ".join(t.replace(", ", " and ").split(" and a ")[:keep]) for t in TRUTH]
        facts = captioning(cut, TRUTH).facts
        assert facts <= last
        last = facts
    assert last < 0.5
    more = captioning([f"{t} and a small red shiny cube" for t in TRUTH], TRUTH)
    assert more.complete == more.exact == 0
    counts = SCENES.count
    assert more.facts == pytest.approx(np.mean(counts / (counts + 1)))
    assert more.by["size"] == pytest.approx(counts.sum() / (counts + 1).sum())


def test_parts_are_those_of_a_slow_oracle() -> None:
    noisy = [c.caption.text for c in noisy_captions(SCENES, range(N), rate=0.7, split="test")]
    found = captioning(noisy, TRUTH, seed=3)
    pairs = [(objects_of(a), objects_of(b)) for a, b in zip(noisy, TRUTH, strict=True)]
    each = [share(*pair) for pair in pairs]
    assert found.facts == pytest.approx(sum(each) / N)
    assert found.exact == sum(a == b for a, b in zip(noisy, TRUTH, strict=True)) / N
    assert found.complete == sum(x == 1 for x in each) / N
    for n in range(1, 7):
        own = [x for x, (_, true) in zip(each, pairs, strict=True) if len(true) == n]
        assert found.by_count[n] == pytest.approx(sum(own) / len(own))
    usual = max(set(TRUTH), key=lambda t: (TRUTH.count(t), -TRUTH.index(t)))
    most = objects_of(usual)
    assert found.chance == pytest.approx(sum(share(most, true) for _, true in pairs) / N)
    for name in NAMES:
        right = most_ = 0
        for said, true in pairs:
            right += sum(said[i].get(name) == true[j][name] for i, j in matched(said, true))
            most_ += max(sum(name in o for o in said), len(true))
        assert found.by[name] == pytest.approx(right / most_)
    assert len(set(found.by.values())) == 4


def test_the_dealt_captions_are_others() -> None:
    """With captions that have nothing in common, no dealt one has a fact right."""
    two = ["a small red matte cube", "a large blue shiny sphere"]
    for seed in range(4):
        found = captioning(two, two, seed)
        assert found.facts == 1
        assert found.shuffled == 0
    three = ["a red cube", "a blue sphere", "a grey cone"]
    assert captioning(three, three).shuffled == 0
    assert captioning(["a red cube"] * 3, three).shuffled == pytest.approx(1 / 3)


def test_attributes_that_nobody_mentions_are_left_out() -> None:
    found = captioning(["a red cube", "a cone"], ["a red cone", "a cone"])
    assert found.by == {"colour": 1, "shape": 0.5}
    # The most frequent is "a red cone" (the first of equals): 1 and 1 of 2 facts right.
    expected = "facts 0.750 (chance 0.750, shuffled 0.250), exact 0.500, 2 captions"
    assert str(found) == expected


def test_errors_are_one_sentence() -> None:
    with pytest.raises(TypeError, match="two lists of captions are expected, but a single text"):
        captioning("a cube", ["a cube"])
    for predicted, truth in ((["a"], ["a", "b"]), (["a"], ["a"]), ([], [])):
        numbers = f"{len(predicted)} and {len(truth)} were given"
        with pytest.raises(ValueError, match=numbers):
            captioning(predicted, truth)
