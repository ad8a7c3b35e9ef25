"""Byte-level BPE and WordPiece: slow oracles, cases by hand, and the library `tokenizers`."""

import json
import os
import pickle
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from course_lib.data import numbering
from course_lib.data.merging import merged
from course_lib.data.tokenizer import ALPHABET, ByteBPE, Merge, WordPiece, longest_match, padded
from course_lib.data.words import SIGNS, bert_words, byte_words, unspelt

HARD = json.loads((Path(__file__).parent / "hard_texts.json").read_text(encoding="utf-8"))
CAPTIONS = [
    "a small red cube stands behind the large green sphere",
    "two dogs are running on the beach, and a third one isn't",
    "the cat sat on the mat; the cat's hat sat on the cat",
    "Ein Café im Süden: 3 Stühle, 2 Tische.",
]
# Signs that Python's tables know, so that the reference's know them as well.
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cn")))


def bpe() -> ByteBPE:
    return ByteBPE.train(CAPTIONS * 3 + HARD, 500, ("<pad>", "<start>", "<start>>"))


def slow_bpe(texts: list[str], size: int, least: int) -> list[tuple[str, str, int]]:
    """Sennrich's loop: count all pairs anew, merge the best, again."""
    words = [
        (list(word), n) for word, n in Counter(w for t in texts for w in byte_words(t)).items()
    ]
    names, steps = list(ALPHABET), []
    while len(names) < size:
        counts: Counter = Counter()
        for word, n in words:
            for left, right in pairwise(word):
                counts[left, right] += n
        order = {name: number for number, name in enumerate(names)}
        ranked = sorted(counts, key=lambda p: (-counts[p], order[p[0]], order[p[1]]))
        if not ranked or counts[ranked[0]] < least:
            break
        left, right = ranked[0]
        steps.append((left, right, counts[left, right]))
        if left + right not in order:
            names.append(left + right)
        for word, _ in words:
            place = 0
            while place < len(word) - 1:
                if word[place] == left and word[place + 1] == right:
                    word[place : place + 2] = [left + right]
                place += 1
    return steps


def slow_merged(symbols: list[int], rules: dict) -> list[int]:
    """Look through the whole word for the pair of the lowest rank, merge it once, again."""
    symbols = list(symbols)
    while True:
        found = [
            (rules[pair][0], place) for place, pair in enumerate(pairwise(symbols)) if pair in rules
        ]
        if not found:
            return symbols
        place = min(found)[1]
        symbols[place : place + 2] = [rules[tuple(symbols[place : place + 2])][1]]


# ----------------------------------------------------------------------------------- byte-level BPE


def test_gages_word_by_hand() -> None:
    tokenizer = ByteBPE.train(["aaabdaaabac"], 259)
    assert tokenizer.history == (("a", "a", 4), ("a", "b", 2), ("aa", "ab", 2))
    assert tokenizer.tokens("aaabdaaabac") == ["aaab", "d", "aaab", "a", "c"]
    assert tokenizer.encode("aaabdaaabac")[::2] == [258, 258, tokenizer.id_of("c")]
    assert tokenizer.tokens("aaaaa") == ["aa", "aa", "a"]
    assert [tokenizer.id_of(sign) for sign in ("!", "a", "aa", "aaab")] == [0, 64, 256, 258]
    assert tokenizer.tokens(" é\n") == ["Ġ", "Ã", "©", "Ċ"]
    assert tokenizer.decode([tokenizer.id_of("Ã")]) == "\ufffd"


def test_words_are_gpt2s() -> None:
    text = "Hello  it's 1st!\n\n x"
    expected = ["Hello", "Ġ", "Ġit", "'s", "Ġ1", "st", "!", "ĊĊ", "Ġx"]
    assert byte_words(text) == expected
    assert unspelt(expected) == text
    assert len(set(SIGNS)) == 256
    assert all(sign.isprintable() and not sign.isspace() for sign in SIGNS)
    assert set(SIGNS) == set(pre_tokenizers.ByteLevel.alphabet())


@pytest.mark.parametrize("least", [1, 2, 3])
def test_training_is_the_slow_loop(least: int) -> None:
    texts = CAPTIONS + HARD[5:45]
    expected = slow_bpe(texts, 300, least)
    assert list(ByteBPE.train(texts, 300, least=least).history) == expected
    assert len(expected) == 44


@given(st.lists(st.text("ab ", max_size=40), max_size=5))
def test_training_is_the_slow_loop_where_pairs_overlap(texts: list[str]) -> None:
    assert list(ByteBPE.train(texts, 268, least=1).history) == slow_bpe(texts, 268, 1)


def reference(tokenizer: ByteBPE) -> Tokenizer:
    theirs = Tokenizer(
        models.BPE(
            vocab={t: i for t, i in tokenizer.ids.items() if t not in tokenizer.special},
            merges=[(step.left, step.right) for step in tokenizer.history],
        )
    )
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    theirs.add_special_tokens(list(tokenizer.special))
    return theirs


@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize("texts", [CAPTIONS, HARD, [" ".join(CAPTIONS)] * 2 + HARD[::3]])
def test_merges_are_the_references(texts: list[str], least: int) -> None:
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=450,
            min_frequency=least,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    ours = ByteBPE.train(texts, 450, least=least)
    content = json.loads(theirs.to_str())["model"]
    assert [[step.left, step.right] for step in ours.history] == content["merges"]
    assert ours.ids == content["vocab"]


def test_ids_are_the_references() -> None:
    ours = bpe()
    theirs = reference(ours)
    for read_special in (False, True):
        theirs.encode_special_tokens = not read_special
        for text in [*HARD, *CAPTIONS, "<start>>a<start> <pad"]:
            ids = theirs.encode(text).ids
            assert ours.encode(text, read_special) == ids, text
            assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)
            assert ours.decode(ids, skip_special=True) == theirs.decode(ids)


OURS = bpe()
THEIRS = reference(OURS)


@given(TEXT)
def test_ids_of_any_text_are_the_references(text: str) -> None:
    assert OURS.encode(text, read_special=True) == THEIRS.encode(text).ids


@given(st.text(st.characters(exclude_categories=("Cs",))), st.booleans())
def test_any_text_comes_back(text: str, read_special: bool) -> None:
    assert OURS.decode(OURS.encode(text, read_special)) == text
    assert "".join(OURS.tokens(text)) == "".join(SIGNS[byte] for byte in text.encode())


@pytest.mark.parametrize("text", HARD)
def test_hard_texts_come_back(text: str) -> None:
    assert OURS.decode(OURS.encode(text)) == text


@given(st.lists(st.integers(0, len(OURS) - 1)))
def test_any_ids_are_some_text(ids: list[int]) -> None:
    assert OURS.decode(ids) == THEIRS.decode(ids, skip_special_tokens=False)


@given(st.integers(0, 2**32), st.text("abc", max_size=30))
def test_merging_takes_the_lowest_rank_first_then_the_leftmost(seed: int, text: str) -> None:
    # Rules in an order that no training gives: a token may be merged before its parts are.
    draw, symbols = random.Random(seed), [ord(c) for c in text]
    pairs = list({(draw.randint(97, 106), draw.randint(97, 106)) for _ in range(25)})
    rules = {pair: (rank, 100 + rank % 9) for rank, pair in enumerate(pairs)}
    assert merged(symbols, rules) == slow_merged(symbols, rules)


def test_training_is_the_same_for_any_order_of_texts() -> None:
    backwards = ByteBPE.train(CAPTIONS[::-1], 270)
    assert backwards.history == ByteBPE.train(iter(CAPTIONS), 270).history
    assert len(backwards) == 270


def test_training_ends_when_nothing_is_frequent() -> None:
    assert len(ByteBPE.train(["abc"], 300)) == 256
    assert len(ByteBPE.train(["abc"], 300, least=1)) == 258
    assert len(ByteBPE.train([], 300, ("<pad>",))) == 257


def test_special_tokens_are_read_only_if_asked_for() -> None:
    tokenizer = bpe()
    assert tokenizer.special == {"<pad>": 497, "<start>": 498, "<start>>": 499}
    text = "a<pad> <start>>b"
    assert not set(tokenizer.encode(text)) & set(tokenizer.special.values())
    ids = tokenizer.encode(text, read_special=True)
    assert [n for n in ids if n > 496] == [497, 499]
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special=True) == "a b"
    assert tokenizer.decode(torch.tensor(ids)) == text


def test_a_character_is_whole_although_its_bytes_are_apart() -> None:
    tokenizer = ByteBPE.train([], 257, ("<x>",))
    ids = tokenizer.encode("😀")
    assert len(ids) == 4
    assert tokenizer.decode(ids) == "😀"
    assert tokenizer.decode([*ids[:2], 256, *ids[2:]]) == "\ufffd<x>\ufffd\ufffd"


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.parametrize("unit", ["a", "the cat sat on the mat ", " ", "e\u0301"])
def test_long_texts_are_read_in_seconds(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    tokenizer = ByteBPE.train(["a" * 64, *CAPTIONS], 300)
    made: list = []
    assert seconds(lambda: made.extend(tokenizer.encode(text))) < 8  # under 1; the oracle: hours
    assert tokenizer.decode(made) == text
    piece = WordPiece.train(CAPTIONS, 60)
    assert seconds(lambda: piece.encode(text)) < 8


def test_five_thousand_captions_are_learned_in_seconds() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("etaoinshrdlucmfw", k=draw.randint(2, 8))) for _ in range(2000)]
    often = [1 / (rank + 1) for rank in range(2000)]
    captions = [" ".join(draw.choices(words, often, k=10)) for _ in range(5000)]
    made: list = []
    assert seconds(lambda: made.append(ByteBPE.train(captions, 1000))) < 8
    assert seconds(lambda: made.append(WordPiece.train(captions, 1000))) < 12
    assert [len(tokenizer) for tokenizer in made] == [1000, 1000]


# ---------------------------------------------------------------------------------------- WordPiece


def slow_wordpiece(words: Counter, size: int, least: int) -> list[tuple[str, str, int]]:
    split = [([word[0], *("##" + c for c in word[1:])], n) for word, n in words.items()]
    known = {symbol for symbols, _ in split for symbol in symbols}
    steps = []
    while len(known) < size:
        single, double = Counter(), Counter()
        for symbols, n in split:
            for place, symbol in enumerate(symbols):
                single[symbol] += n
                if place:
                    double[symbols[place - 1], symbol] += n
        scores = {p: n / (single[p[0]] * single[p[1]]) for p, n in double.items() if n >= least}
        if not scores:
            break
        best = sorted(p for p, value in scores.items() if value == max(scores.values()))[0]
        steps.append((*best, double[best]))
        new = best[0] + best[1][2:]
        known.add(new)
        for symbols, _ in split:
            place = 0
            while place < len(symbols) - 1:
                if (symbols[place], symbols[place + 1]) == best:
                    symbols[place : place + 2] = [new]
                place += 1
    return steps


def test_wordpiece_by_hand() -> None:
    # gs scores 5/(20·5) = 1/20, all others 1/36: then ug is the first of them in the alphabet.
    texts = ["hug"] * 10 + ["pug"] * 5 + ["pun"] * 12 + ["bun"] * 4 + ["hugs"] * 5
    made = WordPiece.train(texts, 11, ("[PAD]", "[UNK]"))
    assert made.history == (("##g", "##s", 5), ("##u", "##g", 15))
    letters = ["##g", "##n", "##s", "##u", "b", "h", "p"]
    assert list(made.ids) == ["[PAD]", "[UNK]", *letters, "##gs", "##ug"]
    assert made.tokens("Hugs, bun!") == ["h", "##ug", "##s", "[UNK]", "b", "##u", "##n", "[UNK]"]
    assert made.decode(made.encode("hugs bun")) == "hugs bun"


def test_the_longest_piece_wins_and_one_gap_spoils_the_word() -> None:
    ids = {
        t: i for i, t in enumerate(["[UNK]", "un", "##aff", "##able", "u", "##a", "una", "##ff"])
    }
    names = list(ids)
    for word, pieces in {
        "unaffable": ["una", "##ff", "##able"],
        "una": ["una"],
        "unaffablx": ["[UNK]"],
        "xun": ["[UNK]"],
        "u" + 99 * "a": ["u", *["##a"] * 99],
        "u" + 100 * "a": ["[UNK]"],
    }.items():
        assert [names[number] for number in longest_match(word, ids)] == pieces


@pytest.mark.parametrize("least", [1, 2, 4])
def test_wordpiece_training_is_the_slow_loop(least: int) -> None:
    texts = CAPTIONS * 2 + ["stands standing stood", "cats hats mats"]
    words = Counter(word for text in texts for word in bert_words(text))
    made = WordPiece.train(texts, 120, least=least)
    assert list(made.history) == slow_wordpiece(words, 119, least)
    assert len(made.history) > 10


def test_wordpiece_reads_as_the_reference() -> None:
    for lower in (True, False):
        ours = WordPiece.train(CAPTIONS * 2 + HARD, 900, ("[PAD]", "[UNK]"), lower=lower)
        theirs = Tokenizer(models.WordPiece(vocab=ours.ids, unk_token="[UNK]"))
        theirs.normalizer = normalizers.BertNormalizer(lowercase=lower)
        theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        theirs.decoder = decoders.WordPiece()
        theirs.add_special_tokens(["[PAD]", "[UNK]"])
        for read_special in (False, True):
            theirs.encode_special_tokens = not read_special
            for text in [*HARD, *CAPTIONS]:
                ids = theirs.encode(text).ids
                assert ours.encode(text, read_special) == ids, text
                assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)
                assert ours.decode(ids, skip_special=True) == theirs.decode(ids)


def test_wordpiece_has_unknown_tokens_whatever_is_asked_for() -> None:
    made = WordPiece.train(CAPTIONS, 70, ("[PAD]", "[CLS]"))
    assert made.special == {"[PAD]": 0, "[CLS]": 1, "[UNK]": 2}
    assert made.encode("語") == [2]
    assert made.encode("[PAD]", read_special=True) == [0]
    assert 0 not in made.encode("[PAD]")
    long = WordPiece.train(["z" * 101, "ab ab"], 5)  # words that are never read teach nothing
    assert list(long.ids) == ["[UNK]", "##b", "a", "ab"]


# -------------------------------------------------------------------------------------------- files


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    for made in (bpe(), WordPiece.train(CAPTIONS, 80, ("[PAD]", "[UNK]"), lower=False)):
        made.save(tmp_path / "new" / "tokenizer.json")
        back = type(made).load(tmp_path / "new" / "tokenizer.json")
        assert (back.ids, back.special, back.history) == (made.ids, made.special, made.history)
        assert isinstance(back.history[0], Merge)
        for text in HARD:
            assert back.encode(text, True) == made.encode(text, True)
            assert pickle.loads(pickle.dumps(back)).encode(text) == made.encode(text)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["tokenizer.json"]


def test_a_file_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokenizer.json"
    bpe().save(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"could not be written \(No space .* before is whole"):
        ByteBPE.train([], 256).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for text, message in {
        "{": "t.json is expected to be JSON",
        "[]": "expected to have kind, history, special, but it has only: list",
        '{"kind": "ByteBPE"}': "expected to have history, special, but it has only: kind",
        '{"kind": "W", "history": [], "special": []}': "a ByteBPE is expected in t.json, but",
        '{"kind": "ByteBPE", "history": [["a"]], "special": []}': "is two tokens and a count",
        '{"kind": "ByteBPE", "history": [["a", "xy", 1]], "special": []}': "but 'xy' was given",
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            ByteBPE.load(path)
    with pytest.raises(FileNotFoundError):
        WordPiece.load(tmp_path / "none.json")


# ------------------------------------------------------------------------------------------- padded


def test_rows_are_padded_on_the_side_asked_for() -> None:
    tokens, is_pad = padded([[7, 0], [], [1, 2, 3]], 0)
    assert tokens.tolist() == [[7, 0, 0], [0, 0, 0], [1, 2, 3]]
    assert is_pad.tolist() == [[False, False, True], [True] * 3, [False] * 3]
    tokens, is_pad = padded([[7, 0], (1, 2, 3)], 9, 4, side="left")
    assert tokens.tolist() == [[9, 9, 7, 0], [9, 1, 2, 3]]
    assert is_pad.tolist() == [[True, True, False, False], [True, False, False, False]]
    assert (tokens.dtype, is_pad.dtype) == (torch.int64, torch.bool)
    assert padded([], 0)[0].shape == (0, 0)
    assert padded([], 0, 5)[1].shape == (0, 5)
    assert padded([[1]], 0, 1)[0].tolist() == [[1]]


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="rows of at most 2 tokens are expected, but one has 3"):
        padded([[1], [1, 2, 3]], 0, 2)
    with pytest.raises(ValueError, match="must be 'right' or 'left', but 'top' was given"):
        padded([[1]], 0, side="top")


# ---------------------------------------------------------------------------------------- bad input


def test_slips_are_told_in_a_sentence() -> None:
    for train in (ByteBPE.train, WordPiece.train):
        with pytest.raises(ValueError, match="several texts are expected, but one string was giv"):
            train("a caption", 400)
        with pytest.raises(ValueError, match="several special tokens are expected, but one string"):
            train(["a"], 400, "<pad>")
    with pytest.raises(ValueError, match=r"at least 257 tokens are needed, 256 .* size of 256 was"):
        ByteBPE.train(["a"], 256, ("<pad>",))
    with pytest.raises(ValueError, match="at least 4 tokens are needed, 3 of them for the letters"):
        WordPiece.train(["abc"], 3)
    for special in (("a",), ("<x>", "<x>")):
        with pytest.raises(ValueError, match=f"but {special[0]!r} is there twice"):
            ByteBPE([], special)
    with pytest.raises(ValueError, match="but '' is among them"):
        WordPiece(["", "a"])
    with pytest.raises(ValueError, match=r"\[UNK\] must be among .* they are \('\[PAD\]',\)"):
        WordPiece(["a"], ("[PAD]",))


def test_what_has_no_number_is_refused() -> None:
    for made in (ByteBPE.train([], 256), WordPiece(["a"])):
        for wrong in (len(made), -1):
            with pytest.raises(ValueError, match=f"tokens are expected, but {wrong} was given"):
                made.decode([0, wrong])
        with pytest.raises(ValueError, match="tokens is expected, but 'xyz' was given"):
            made.id_of("xyz")
    with pytest.raises(ValueError, match=r"'\\ud800' at place 2 is half of a surrogate pair"):
        OURS.encode("ab\ud800c")


def test_many_words_are_forgotten_at_once_and_long_ones_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(numbering, "KEPT", 3)
    known: dict = {}
    for word in ("a", "b", "a", "c", "d", "e" * 65):
        assert numbering.remembered(known, word, lambda w: [len(w)]) == [len(word)]
    assert known == {"d": [1]}
