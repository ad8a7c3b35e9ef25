"""Exercises of notebook 10_language: words as numbers, and what each of them may see.

All of it is NumPy on a handful of tokens. A language model with one of these slips still trains,
and often its loss looks better than that of a right one.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises import language_quiz
from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.language_nucleus import ALSO_RIGHT, WRONG, top_p

# --- implement: one step of byte-pair encoding ----------------------------------------------------


def merge_step(words):
    """One step of byte-pair encoding: find the most frequent pair of neighbours, and merge it.

    words: list of words, each a list of tokens → (pair, words with that pair merged)
    """
    pairs = [(word[i], word[i + 1]) for word in words for i in range(len(word) - 1)]
    best = min(set(pairs), key=lambda pair: (-pairs.count(pair), pair))
    merged = []
    for word in words:
        new = []
        for token in word:
            if new and (new[-1], token) == best:
                new[-1] += token
            else:
                new.append(token)
        merged.append(new)
    return best, merged


# One line a case; the letters a to f stand for any six in the same order.
MERGE_CASES = (
    "b c a b c | d b c | c a b | a | b c b c d",  # the pair twice in a word, at both ends
    "c a | c a f | d a e | d a | b c | e b c",  # equally frequent
    "c a | d a | d a b | b e a | b d a | b c",  # a | b at the borders of words
    "a a a b | a a a a | b c | b d c b c | b c | b c",  # a run of equal letters
    "b a | d c | a b | d c | a b | d c e | b a",  # both orders
    "a b a b a b | d e | e d e | c d e c | a b",  # often in few words
    "ab c d | a bc d | c d | ab c d c | ab d",  # tokens that are merges already
)


def merge_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for line in MERGE_CASES:
        # Other letters in the same order, so that equals stay equals.
        letters = np.sort(rng.permutation(list("abcdefghijklmnopqrstuvwxyz"))[:6])
        table = str.maketrans("abcdef", "".join(letters))
        words = [[token.translate(table) for token in word.split()] for word in line.split("|")]
        cases.append({"words": words})
    return cases


def _counts(words):
    counts = {}
    for word in words:
        for i in range(len(word) - 1):
            counts[word[i], word[i + 1]] = counts.get((word[i], word[i + 1]), 0) + 1
    return counts


def _first(counts):
    return min(counts, key=lambda pair: (-counts[pair], pair))


def _merged(words, pair):
    merged = []
    for word in words:
        new = []
        for token in word:
            if new and (new[-1], token) == pair:
                new[-1] += token
            else:
                new.append(token)
        merged.append(new)
    return merged


def merge_once_a_word(words):
    pair, merged = _first(_counts(words)), []
    for word in words:
        hits = [i for i in range(len(word) - 1) if (word[i], word[i + 1]) == pair][:1]
        merged.append([*word[: hits[0]], "".join(pair), *word[hits[0] + 2 :]] if hits else word)
    return pair, merged


def merge_over_borders(words):
    pair = _first(_counts([[token for word in words for token in word]]))
    return pair, _merged(words, pair)


def merge_by_words(words):
    counts = {}
    for word in words:
        for pair in _counts([word]):
            counts[pair] = counts.get(pair, 0) + 1
    return _first(counts), _merged(words, _first(counts))


def merge_first_seen(words):
    counts = _counts(words)
    pair = max(counts, key=counts.get)
    return pair, _merged(words, pair)


def merge_last_of_equals(words):
    counts = _counts(words)
    pair = max(counts, key=lambda pair: (counts[pair], pair))
    return pair, _merged(words, pair)


def merge_either_order(words):
    counts = {}
    for (a, b), count in _counts(words).items():
        pair = min((a, b), (b, a))
        counts[pair] = counts.get(pair, 0) + count
    return _first(counts), _merged(words, _first(counts))


def merge_counts_what_can_be_merged(words):
    counts = {
        pair: sum(len(a) - len(b) for a, b in zip(words, _merged(words, pair), strict=True))
        for pair in _counts(words)
    }
    return _first(counts), _merged(words, _first(counts))


def merge_without_skipping(words):
    pair, merged = _first(_counts(words)), []
    for word in words:
        new = []
        for i, token in enumerate(word):
            hit = tuple(word[i : i + 2]) == pair
            new.append("".join(pair) if hit else token)
        merged.append(new)
    return pair, merged


def merge_letters_again(words):
    letters = [list("".join(word)) for word in words]
    return _first(_counts(letters)), _merged(letters, _first(_counts(letters)))


def merge_last_pair_not_counted(words):
    counts = _counts([word[:-1] for word in words])
    return _first(counts), _merged(words, _first(counts))


def merge_last_token_lost(words):
    pair, merged = _first(_counts(words)), []
    for word in words:
        new, i = [], 0
        while i < len(word) - 1:
            hit = (word[i], word[i + 1]) == pair
            new.append("".join(pair) if hit else word[i])
            i += 2 if hit else 1
        merged.append(new)
    return pair, merged


def merge_from_the_right(words):
    pair, merged = _first(_counts(words)), []
    for word in words:
        new = []
        for token in reversed(word):
            if new and (token, new[0]) == pair:
                new[0] = token + new[0]
            else:
                new.insert(0, token)
        merged.append(new)
    return pair, merged


def merge_pair_only(words):
    return _first(_counts(words)), words


MERGE_STEP = Exercise(
    name="merge_step",
    title="One merge",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=18,
    prompt="""
Byte-pair encoding learns by one step, done again and again. `words` is a list of words, each a list
of tokens (strings). Count each pair of neighbours **inside** the words, wherever it stands: in
`["a", "a", "a"]` the pair a, a is there twice. Of the most frequent pairs take the one that comes
**first in the order of the alphabet**, as Python orders tuples. Then put the joined token where the
pair is, from the left in each word: `["a", "a", "a"]` becomes `["aa", "a"]`.

Return the pair, a tuple, and the new words, a list of new lists. By hand: of
`[["r", "e", "d"], ["r", "e", "r", "e"], ["d"]]` the pair is `("r", "e")`, there three times, and
the words become `[["re", "d"], ["re", "re"], ["d"]]`.
""",
    solution=merge_step,
    cases=merge_cases,
    misconceptions=(
        Misconception(
            "once in each word",
            merge_once_a_word,
            "You merge the pair once in each word, and leave it where it comes again.",
        ),
        Misconception(
            "over the borders",
            merge_over_borders,
            "You count pairs over the border of two words: the last token of a word and the first "
            "of the next are no neighbours.",
        ),
        Misconception(
            "words counted",
            merge_by_words,
            "You count in how many words a pair is; count how often it is there. A word may hold "
            "it several times.",
        ),
        Misconception(
            "first one met",
            merge_first_seen,
            "Of equally frequent pairs you take the one that was met first (so does "
            "`Counter.most_common`): then the tokens depend on the order of the words. Take the "
            "first in the order of the alphabet.",
        ),
        Misconception(
            "last of equals",
            merge_last_of_equals,
            "Of equally frequent pairs you take the *last* in the order of the alphabet, as `max` "
            "of (count, pair) does. Take the smallest of (−count, pair).",
        ),
        Misconception(
            "either order",
            merge_either_order,
            "You count (a, b) and (b, a) as one pair; the order is what tells words apart.",
        ),
        Misconception(
            "only what can be merged",
            merge_counts_what_can_be_merged,
            "You count how many merges a pair allows. Counted are its places: in a, a, a there are "
            "two, although only one of them can be merged.",
        ),
        Misconception(
            "second half left over",
            merge_without_skipping,
            "You write the joined token, and then its second half once more: after a merge go on "
            "*two* tokens later.",
        ),
        Misconception(
            "last pair not counted",
            merge_last_pair_not_counted,
            "You do not count the last pair of each word: a word of n tokens has n − 1 pairs, so i "
            "runs over `range(len(word) - 1)`.",
        ),
        Misconception(
            "last token lost",
            merge_last_token_lost,
            "You lose the last token of a word where it is not merged: the loop that writes has to "
            "run to the end of the word, and only asks for a pair where there still is one.",
        ),
        Misconception(
            "merged from the right",
            merge_from_the_right,
            'You merge from the right: of `["a", "a", "a"]` that makes `["a", "aa"]`. Go from the '
            "left.",
        ),
        Misconception(
            "letters again",
            merge_letters_again,
            "You split the words into letters again, and lose the merges of the steps before. The "
            "tokens you get are the ones to pair.",
        ),
        Misconception(
            "words unchanged",
            merge_pair_only,
            "The pair is right; now put the joined token where it stands in the words.",
        ),
    ),
    hints=(
        "Collect `(word[i], word[i + 1])` of every word, for every i but the last, and count.",
        "`min(set(pairs), key=lambda pair: (-pairs.count(pair), pair))` settles equals by the "
        "alphabet.",
        "Build each new word token by token. If the last one you wrote and the next one are the "
        "pair, join the next one to it.",
    ),
)

# --- predict: how a learned tokenizer reads -------------------------------------------------------

TINY_MERGES = (("e", "r"), ("t", "h"), ("th", "e"), ("r", "e"))


def measured_splits():
    """Applies the merges in their order, to the bytes of the prompt's two words."""

    def read(text):
        tokens = [bytes([byte]) for byte in text.encode()]
        for left, right in TINY_MERGES:
            i = 0
            while i + 1 < len(tokens):
                if tokens[i : i + 2] == [left.encode(), right.encode()]:
                    tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
                i += 1
        return tokens

    known = {bytes([i]) for i in range(256)} | {"".join(pair).encode() for pair in TINY_MERGES}
    there = read("there")
    return {
        "tokens": len(there),
        "unknown": sum(token not in known for token in read("Größe")),
        "longest": max(map(len, there)),
    }


SPLITS = Exercise(
    name="splits",
    title="What a tokenizer makes of a word",
    kind="predict",
    difficulty=2,
    importance=4,
    minutes=5,
    prompt="""
A byte-level BPE knows the 256 bytes and has learned four merges, in this order:

1. e + r → `er`
2. t + h → `th`
3. th + e → `the`
4. r + e → `re`

It reads a word as it has learned: all places of merge 1, then all places of merge 2 in what came of
that, and so on.

* `tokens`: of how many tokens is its reading of `there`?
* `unknown`: it also reads `Größe`. The letters ö and ß, of two bytes each, did not occur in the
  text that it learned from. How many tokens of this word are unknown to it?
* `longest`: back to `there`: how many letters has the longest of its tokens?
""",
    solution={"tokens": 3, "unknown": 0, "longest": 2},
    measure=measured_splits,
    atol=0,
    misconceptions=(
        Misconception(
            "longest match",
            {"tokens": 2, "unknown": 0, "longest": 3},
            "You cut off the longest token that fits: `the`, `re`. So reads WordPiece. BPE merges "
            "in the order it has learned, and after merge 1 the h has no e beside it.",
        ),
        Misconception(
            "longest match, and unknown letters",
            {"tokens": 2, "unknown": 2, "longest": 3},
            "Two things. You cut off the longest token that fits, as WordPiece does; BPE merges in "
            "the order it has learned. And letters may be new, but their bytes never are: all 256 "
            "are tokens.",
        ),
        Misconception(
            "the first one longest, and unknown letters",
            {"tokens": 3, "unknown": 2, "longest": 3},
            "Two things. `the` needs an e behind `th`, and merge 1 has taken it. And letters may "
            "be new, but their bytes never are: all 256 are tokens.",
        ),
        Misconception(
            "the first one longest",
            {"tokens": 3, "unknown": 0, "longest": 3},
            "`the` needs an e behind `th`; merge 1 came first and has taken it.",
        ),
        Misconception(
            "two tokens",
            {"tokens": 2, "unknown": 0, "longest": 2},
            "Do the merges one by one on t, h, e, r, e: each of them can join two neighbours, and "
            "only what is left stands beside each other for the next.",
        ),
        Misconception(
            "letters",
            {"tokens": 5, "unknown": 0, "longest": 1},
            "Those are the letters before any merge.",
        ),
        Misconception(
            "five tokens",
            {"tokens": 5, "unknown": 0, "longest": 2},
            "`there` has five letters; merges make fewer tokens of them.",
        ),
        Misconception(
            "one merge only",
            {"tokens": 4, "unknown": 0, "longest": 2},
            "Four tokens are left after merge 1. Merge 2 has a place, too.",
        ),
        Misconception(
            "one word, one token",
            {"tokens": 1, "unknown": 0, "longest": 5},
            "No merge gives the whole word: a word becomes one token only if its merges were "
            "learned.",
        ),
        Misconception(
            "only one token",
            {"tokens": 1, "unknown": 0, "longest": 2},
            "A word becomes one token only if merges for all of it were learned.",
        ),
        Misconception(
            "single letters stay",
            {"tokens": 3, "unknown": 0, "longest": 1},
            "Merge 1 has a place in `there`, so one token at least has two letters.",
        ),
        Misconception(
            "unknown letters",
            {"tokens": 3, "unknown": 2, "longest": 2},
            "The letters are new, their bytes are not: all 256 bytes are tokens from the start, so "
            "no text is unknown.",
        ),
        Misconception(
            "unknown bytes",
            {"tokens": 3, "unknown": 4, "longest": 2},
            "ö and ß are four bytes, and each of these is a token from the start, learned text or "
            "not.",
        ),
        Misconception(
            "unknown word",
            {"tokens": 3, "unknown": 1, "longest": 2},
            "To WordPiece the whole word might be one [UNK]. A byte-level BPE has no such token.",
        ),
    ),
    hints=(
        "Write t, h, e, r, e. Which neighbours does merge 1 join?",
        "After merge 1: t, h, er, e. Merge 2 gives th, er, e. Is there a `th` with an e behind it?",
        "Which byte could be unknown to a tokenizer that begins with all 256?",
    ),
)

# --- implement: who may look at whom --------------------------------------------------------------


def may_attend(is_pad):
    """Who may look at whom: back and at oneself, and at no pad.

    is_pad: bool (B, L), True where a token only fills up → bool (B, L, L), True where the query
    (row) may look at the key (column)
    """
    back = np.tri(is_pad.shape[1], dtype=bool)
    return back & ~is_pad[:, None, :]


def may_attend_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, length in [(2, 5), (3, 4), (4, 6)]:
        is_pad = np.zeros((b, length), bool)
        left, right = rng.permutation(b)[:2]
        is_pad[left, : rng.integers(1, 3)] = True
        is_pad[right, length - rng.integers(1, 3) :] = True
        cases.append({"is_pad": is_pad})
    return cases


def _back(is_pad):
    return np.tri(is_pad.shape[1], dtype=bool)


def may_attend_ahead(is_pad):
    return _back(is_pad).T & ~is_pad[:, None, :]


def may_attend_one_ahead(is_pad):
    return np.tri(is_pad.shape[1], k=1, dtype=bool) & ~is_pad[:, None, :]


def may_attend_transposed(is_pad):
    return may_attend(is_pad).transpose(0, 2, 1)


def may_attend_pads_on_the_right(is_pad):
    lengths = (~is_pad).sum(axis=1)
    return _back(is_pad) & (np.arange(is_pad.shape[1]) < lengths[:, None])[:, None, :]


def may_attend_pads_at_themselves(is_pad):
    return may_attend(is_pad) | np.eye(is_pad.shape[1], dtype=bool)


def may_attend_not_itself(is_pad):
    return np.tri(is_pad.shape[1], k=-1, dtype=bool) & ~is_pad[:, None, :]


def may_attend_pads_do_not_look(is_pad):
    return _back(is_pad) & ~is_pad[:, :, None]


def may_attend_pads_cut_off(is_pad):
    return may_attend(is_pad) & ~is_pad[:, :, None]


def may_attend_upside_down(is_pad):
    return ~may_attend(is_pad)


def may_attend_pads_only(is_pad):
    return _back(is_pad) & is_pad[:, None, :]


def may_attend_everywhere(is_pad):
    return np.repeat(~is_pad[:, None, :], is_pad.shape[1], axis=1)


def may_attend_pads_too(is_pad):
    return np.repeat(_back(is_pad)[None], len(is_pad), axis=0)


def may_attend_either(is_pad):
    return _back(is_pad) | ~is_pad[:, None, :]


def may_attend_added(is_pad):
    return np.where(may_attend(is_pad), 0.0, -np.inf)


def may_attend_as_numbers(is_pad):
    return may_attend(is_pad).astype(float)


MAY_ATTEND = Exercise(
    name="may_attend",
    title="Back, and at no pad",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
B texts of unequal length stand in one table of L places; `is_pad`, bool (B, L), is True where a
place is only filled up (at either end). Return `may_attend`, bool (B, L, L): True where the
**query** at its row's place may look at the **key** at its column's place. That is so if the key
stands before the query or is the query itself, **and** the key is no pad.

Only keys are forbidden for being pads. A pad's own row looks back at the real tokens like any
other; nobody reads what it receives. A pad before all words has a row of False: a plain softmax
would make 0/0 of it, NaN; the library's attention gives such a row zeros.

By hand: `is_pad` = [False, False, True] has the rows [T, F, F], [T, T, F] and [T, T, F].
""",
    solution=may_attend,
    cases=may_attend_cases,
    misconceptions=(
        Misconception(
            "looks ahead",
            may_attend_ahead,
            "Your tokens look at what comes *after* them: rows are queries, columns keys, so True "
            "belongs on and below the diagonal.",
        ),
        Misconception(
            "one word ahead",
            may_attend_one_ahead,
            "Your tokens also see the *one* word after them, and that is just the word which they "
            "are to predict: `np.tri` without `k` ends on the diagonal.",
        ),
        Misconception(
            "rows and columns exchanged",
            may_attend_transposed,
            "Your table is turned over its diagonal: the query belongs to the row (the second "
            "axis), the key to the column (the third).",
        ),
        Misconception(
            "pads on the right",
            may_attend_pads_on_the_right,
            "You count the real tokens and close what stands behind them: that is right only if "
            "all pads stand on the right. Here they may stand at either end; ask `is_pad` itself.",
        ),
        Misconception(
            "pads look at themselves",
            may_attend_pads_at_themselves,
            "You opened the diagonal for pads, probably so that no row is empty. A row of False is "
            "right here; who takes a softmax of it has to put zeros in the place of 0/0.",
        ),
        Misconception(
            "not at itself",
            may_attend_not_itself,
            "Your tokens may not look at themselves; then the first of them sees nothing at all.",
        ),
        Misconception(
            "pads do not look",
            may_attend_pads_do_not_look,
            "You forbid pads to look. They must not be *looked at*: the columns are to be closed, "
            "not the rows.",
        ),
        Misconception(
            "rows and columns closed",
            may_attend_pads_cut_off,
            "You close the pads' columns, which is right, and their rows as well. Leave those: "
            "nobody reads what a pad receives.",
        ),
        Misconception(
            "upside down",
            may_attend_upside_down,
            "Your mask is upside down: it is called `may_attend`, so True means that it may.",
        ),
        Misconception(
            "pads only",
            may_attend_pads_only,
            "Your tokens look at pads only: `is_pad` has to be turned round.",
        ),
        Misconception(
            "not causal",
            may_attend_everywhere,
            "You close the pads, but everyone still looks ahead: that is BERT's mask.",
        ),
        Misconception(
            "pads left in",
            may_attend_pads_too,
            "Everyone looks back, but also at pads.",
        ),
        Misconception(
            "one of the two suffices",
            may_attend_either,
            "You join the two conditions by *or*; both have to hold.",
        ),
        Misconception(
            "a mask to add",
            may_attend_added,
            "Yours is a mask to be added to the scores, 0 and −∞. Asked for is the bool one, True "
            "where a query may look.",
        ),
        Misconception(
            "numbers for bools",
            may_attend_as_numbers,
            "The places are right, but they are numbers; bool is asked for: as an index, 0 and 1 "
            "pick rows, and `~` does other things to them.",
        ),
    ),
    hints=(
        "`np.tri(L, dtype=bool)` is True on and below the diagonal.",
        "`~is_pad[:, None, :]` has shape (B, 1, L): the same columns for every row of a text.",
        "Join the two by `&`: NumPy repeats what has length 1.",
    ),
)

# --- repair: a loss that everybody can bring to 0 -------------------------------------------------


def next_token_loss(logits, tokens, is_pad):
    """Mean −log p (nats) over all tokens that are predicted, pads left out.

    logits: (B, L, V), those at place i made from the tokens up to i; tokens: whole numbers (B, L);
    is_pad: bool (B, L), pads on the right → float
    """
    scores, targets, counts = logits[:, :-1], tokens[:, 1:], ~is_pad[:, 1:]
    log_p = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
    surprise = -np.take_along_axis(log_p, targets[:, :, None], axis=2).squeeze(axis=2)
    return surprise[counts].mean()


def next_token_loss_broken(logits, tokens, is_pad):
    """Mean −log p (nats) over all tokens that are predicted, pads left out.

    logits: (B, L, V), those at place i made from the tokens up to i; tokens: whole numbers (B, L);
    is_pad: bool (B, L), pads on the right → float
    """
    scores, targets, counts = logits, tokens, ~is_pad
    log_p = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
    surprise = -np.take_along_axis(log_p, targets[:, :, None], axis=2).squeeze(axis=2)
    return surprise[counts].mean()


def next_token_loss_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, length, v in [(3, 5, 4), (2, 6, 3), (4, 7, 5)]:
        lengths = np.append(length, rng.permutation(np.arange(3, length))[: b - 1])
        lengths = np.append(lengths, rng.integers(3, length, b - len(lengths)))
        cases.append(
            {
                "logits": 1.5 * rng.normal(size=(b, length, v)),
                "tokens": rng.integers(0, v, (b, length)),
                "is_pad": np.arange(length) >= lengths[:, None],
            }
        )
    return cases


def _surprise(scores, targets):
    log_p = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
    return -np.take_along_axis(log_p, targets[:, :, None], axis=2).squeeze(axis=2)


def loss_shifted_back(logits, tokens, is_pad):
    return _surprise(logits[:, 1:], tokens[:, :-1])[~is_pad[:, 1:]].mean()


def loss_shifted_back_mask_too(logits, tokens, is_pad):
    return _surprise(logits[:, 1:], tokens[:, :-1])[~is_pad[:, :-1]].mean()


def loss_over_first_words_too(logits, tokens, is_pad):
    return loss_summed(logits, tokens, is_pad) / (~is_pad).sum()


def loss_without_log(logits, tokens, is_pad):
    log_p = logits - np.exp(logits).sum(axis=2, keepdims=True)
    surprise = -np.take_along_axis(log_p[:, :-1], tokens[:, 1:, None], axis=2).squeeze(axis=2)
    return surprise[~is_pad[:, 1:]].mean()


def loss_of_probabilities(logits, tokens, is_pad):
    return -np.exp(-_surprise(logits[:, :-1], tokens[:, 1:]))[~is_pad[:, 1:]].mean()


def loss_without_minus(logits, tokens, is_pad):
    return -next_token_loss(logits, tokens, is_pad)


def loss_in_bits(logits, tokens, is_pad):
    return next_token_loss(logits, tokens, is_pad) / np.log(2)


def loss_with_first_pad(logits, tokens, is_pad):
    return _surprise(logits[:, :-1], tokens[:, 1:])[~is_pad[:, :-1]].mean()


def loss_of_pads_too(logits, tokens, is_pad):
    return _surprise(logits[:, :-1], tokens[:, 1:]).mean()


def loss_over_all_places(logits, tokens, is_pad):
    return (_surprise(logits[:, :-1], tokens[:, 1:]) * ~is_pad[:, 1:]).mean()


def loss_rolled(logits, tokens, is_pad):
    return _surprise(logits, np.roll(tokens, -1, axis=1))[~np.roll(is_pad, -1, axis=1)].mean()


def loss_rolled_all_counted(logits, tokens, is_pad):
    return _surprise(logits, np.roll(tokens, -1, axis=1))[~is_pad].mean()


def loss_shifted_twice(logits, tokens, is_pad):
    return _surprise(logits[:, :-2], tokens[:, 2:])[~is_pad[:, 2:]].mean()


def loss_mean_of_texts(logits, tokens, is_pad):
    surprise, counts = _surprise(logits[:, :-1], tokens[:, 1:]), ~is_pad[:, 1:]
    return np.mean([s[c].mean() for s, c in zip(surprise, counts, strict=True)])


def loss_summed(logits, tokens, is_pad):
    return _surprise(logits[:, :-1], tokens[:, 1:])[~is_pad[:, 1:]].sum()


def loss_of_pads_only(logits, tokens, is_pad):
    return _surprise(logits[:, :-1], tokens[:, 1:])[is_pad[:, 1:]].mean()


def loss_last_dropped(logits, tokens, is_pad):
    return _surprise(logits[:, :-1], tokens[:, :-1])[~is_pad[:, :-1]].mean()


NEXT_TOKEN_LOSS = Exercise(
    name="next_token_loss",
    title="Repair: a loss that falls too well",
    kind="repair",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
A causal language model is trained with this loss. It falls faster than anybody hoped, nearly to 0,
also on new texts. But asked to write, the model says its last word again, and again, and again.
The model is right; the loss is not. Its logits at place i are made from the tokens up to and with
i. Repair it; also see to it that exactly those tokens count that are predicted (a text's first one
nobody predicts, and pads are not to count), in one mean over all of them, in nats. Pads stand on
the right.
""",
    solution=next_token_loss,
    stub=next_token_loss_broken,
    cases=next_token_loss_cases,
    misconceptions=(
        Misconception(
            "shifted back",
            loss_shifted_back,
            "You shift the wrong way: logits at place i + 1 are held to the token at i, which the "
            "model has read already. What it is to predict is the token *behind*.",
        ),
        Misconception(
            "shifted back, mask as well",
            loss_shifted_back_mask_too,
            "You shift the wrong way, and the mask with it: logits at place i + 1 are held to the "
            "token at i, which the model has read already. It is to predict the token *behind*.",
        ),
        Misconception(
            "last place dropped only",
            loss_last_dropped,
            "You drop the last place on both sides, and still hold the logits at place i to the "
            "token at place i.",
        ),
        Misconception(
            "the first pad counts",
            loss_with_first_pad,
            "Your mask is that of the places which predict; then each text's first pad counts as a "
            "word to be predicted. The mask goes with the targets: `is_pad[:, 1:]`.",
        ),
        Misconception(
            "all pads count",
            loss_of_pads_too,
            "The shift is right, but now pads count as well: a model that predicts pads well looks "
            "good.",
        ),
        Misconception(
            "divided by all places",
            loss_over_all_places,
            "You put 0 in the pads' places, and divide by all places: the loss then depends on how "
            "much padding a batch has.",
        ),
        Misconception(
            "divided by the first words, too",
            loss_over_first_words_too,
            "You divide by the number of all real tokens. The first one of each text is among "
            "them, which nobody predicts: divide by the number of terms that you sum.",
        ),
        Misconception(
            "logarithm left out",
            loss_without_log,
            "log p is the logit minus the *logarithm* of the sum of exponentials; the logarithm is "
            "missing.",
        ),
        Misconception(
            "probabilities",
            loss_of_probabilities,
            "That is the mean of −p. The loss is −log p: without the logarithm a word that was "
            "thought impossible costs hardly more than an unlikely one.",
        ),
        Misconception(
            "minus forgotten",
            loss_without_minus,
            "Your loss is negative: log p is at most 0, the loss is *minus* its mean.",
        ),
        Misconception(
            "bits",
            loss_in_bits,
            "That is in bits, by log₂. Nats are asked for: take the natural logarithm.",
        ),
        Misconception(
            "rolled round",
            loss_rolled,
            "`np.roll` brings the first word behind the last: a full row now has to predict its "
            "own beginning at its end. Cut, do not roll.",
        ),
        Misconception(
            "rolled, old mask",
            loss_rolled_all_counted,
            "`np.roll` brings the first word behind the last, and the mask was not moved along: "
            "every text's last word is held to a pad or to its own beginning. Cut all three.",
        ),
        Misconception(
            "shifted twice",
            loss_shifted_twice,
            "You shift by two places. That happens in earnest where the data are shifted already, "
            "and the loss shifts once more: the model learns to skip a word.",
        ),
        Misconception(
            "mean of the texts' means",
            loss_mean_of_texts,
            "You take the mean of each text and then of the texts, so a word of a short text "
            "weighs more. One mean over all words is asked for.",
        ),
        Misconception(
            "sum",
            loss_summed,
            "You sum; the mean over the words that count is asked for.",
        ),
        Misconception(
            "pads only",
            loss_of_pads_only,
            "You count the pads and leave the words out: the mask is upside down.",
        ),
    ),
    hints=(
        "Which token is at place i of `targets`, and has the model read it when it predicts it?",
        "The last place has nothing to predict, and the first token nobody predicts.",
        "`logits[:, :-1]` against `tokens[:, 1:]`; the mask goes with the tokens.",
    ),
)

# --- repair: positions behind a cache -------------------------------------------------------------


def cached_scores(q, k, cache, theta):
    """Scores of new tokens with all tokens so far, by rotary positions that count from 0.

    q, k: (L, d) of the L new tokens, not turned yet; cache: (S, d) keys of the S tokens before
    them, turned already; theta: (d / 2,) radians a place → (L, S + L), without scale and mask
    """
    places = np.arange(len(q)) + len(cache)
    angles = places[:, None] * theta
    cosines, sines = np.cos(angles), np.sin(angles)

    def turned(x):
        a, b = np.split(x, 2, axis=1)
        return np.concatenate([a * cosines - b * sines, b * cosines + a * sines], axis=1)

    return turned(q) @ np.concatenate([cache, turned(k)]).T


def cached_scores_broken(q, k, cache, theta):
    """Scores of new tokens with all tokens so far, by rotary positions that count from 0.

    q, k: (L, d) of the L new tokens, not turned yet; cache: (S, d) keys of the S tokens before
    them, turned already; theta: (d / 2,) radians a place → (L, S + L), without scale and mask
    """
    places = np.arange(len(q))
    angles = places[:, None] * theta
    cosines, sines = np.cos(angles), np.sin(angles)

    def turned(x):
        a, b = np.split(x, 2, axis=1)
        return np.concatenate([a * cosines - b * sines, b * cosines + a * sines], axis=1)

    return turned(q) @ np.concatenate([cache, turned(k)]).T


def _turned(x, places, theta):
    angles = np.asarray(places)[:, None] * theta
    a, b = np.split(x, 2, axis=1)
    cosines, sines = np.cos(angles), np.sin(angles)
    return np.concatenate([a * cosines - b * sines, b * cosines + a * sines], axis=1)


def _scores_at(q, k, cache, theta, of_q, of_k):
    return _turned(q, of_q, theta) @ np.concatenate([cache, _turned(k, of_k, theta)]).T


def cached_scores_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for new, past, d in [(3, 0, 4), (2, 3, 4), (1, 5, 6), (3, 4, 2)]:
        theta = rng.uniform(0.5, 1.1) ** np.arange(1, d // 2 + 1)
        q, k, old = (rng.normal(size=(n, d)) for n in (new, new, past))
        cache = _turned(old, np.arange(past), theta)
        cases.append({"q": q, "k": k, "cache": cache, "theta": theta})
    return cases


def scores_one_too_far(q, k, cache, theta):
    places = np.arange(len(q)) + len(cache) + 1
    return _scores_at(q, k, cache, theta, places, places)


def scores_one_too_near(q, k, cache, theta):
    places = np.arange(len(q)) + max(len(cache) - 1, 0)
    return _scores_at(q, k, cache, theta, places, places)


def scores_keys_from_0(q, k, cache, theta):
    new = np.arange(len(q))
    return _scores_at(q, k, cache, theta, new + len(cache), new)


def scores_queries_from_0(q, k, cache, theta):
    new = np.arange(len(q))
    return _scores_at(q, k, cache, theta, new, new + len(cache))


def scores_turned_again(q, k, cache, theta):
    old, new = np.arange(len(cache)), np.arange(len(q)) + len(cache)
    return _scores_at(q, k, _turned(cache, old, theta), theta, new, new)


def scores_at_one_place(q, k, cache, theta):
    places = np.full(len(q), len(cache))
    return _scores_at(q, k, cache, theta, places, places)


def scores_all_at_the_last_place(q, k, cache, theta):
    places = np.full(len(q), len(cache) + len(q) - 1)
    return _scores_at(q, k, cache, theta, places, places)


def scores_width_for_length(q, k, cache, theta):
    places = np.arange(len(q)) + cache.shape[1]
    return _scores_at(q, k, cache, theta, places, places)


def scores_of_neighbours(q, k, cache, theta):
    angles = (np.arange(len(q)) + len(cache))[:, None] * theta

    def turned(x):
        a, b, result = x[:, ::2], x[:, 1::2], np.empty_like(x)
        result[:, ::2] = a * np.cos(angles) - b * np.sin(angles)
        result[:, 1::2] = b * np.cos(angles) + a * np.sin(angles)
        return result

    return turned(q) @ np.concatenate([cache, turned(k)]).T


def scores_without_turns(q, k, cache, theta):
    return q @ np.concatenate([cache, k]).T


def scores_of_new_only(q, k, cache, theta):
    places = np.arange(len(q)) + len(cache)
    return _turned(q, places, theta) @ _turned(k, places, theta).T


def scores_new_first(q, k, cache, theta):
    places = np.arange(len(q)) + len(cache)
    return _turned(q, places, theta) @ np.concatenate([_turned(k, places, theta), cache]).T


CACHED_POSITIONS = Exercise(
    name="cached_scores",
    title="Repair: lost behind the cache",
    kind="repair",
    difficulty=3,
    importance=4,
    minutes=10,
    prompt="""
With a cache, a model reads only its new tokens; the keys of the S old ones are kept as they are,
turned by their places 0 … S − 1. This function gives the scores of L new tokens with all S + L, in
the order of the text. (Number i of a vector makes a point with number i + d/2, and is turned by its
place times `theta[i]`.) While the prompt, the beginning that a text is given, is read (S = 0), all
is as it should be. Then the model writes token by token, and its text falls to pieces. Without a
cache, the same model writes well. Repair it. (Scores are not scaled or masked here; the cache is
not to be changed.)
""",
    solution=cached_scores,
    stub=cached_scores_broken,
    cases=cached_scores_cases,
    misconceptions=(
        Misconception(
            "one too far",
            scores_one_too_far,
            "Your new tokens stand one place too far: the old ones fill the places 0 to S − 1, so "
            "the first new one stands at S.",
        ),
        Misconception(
            "one too near",
            scores_one_too_near,
            "Your first new token stands at S − 1, where the last old one stands already.",
        ),
        Misconception(
            "keys still from 0",
            scores_keys_from_0,
            "The queries know their places now, but the new *keys* are still turned as if they "
            "were the first.",
        ),
        Misconception(
            "queries still from 0",
            scores_queries_from_0,
            "The new keys know their places now, but the *queries* are still turned as if they "
            "were the first.",
        ),
        Misconception(
            "turned again",
            scores_turned_again,
            "You turn the cached keys once more; they were turned when they were put there.",
        ),
        Misconception(
            "all at one place",
            scores_at_one_place,
            "All your new tokens stand at place S. For a single new word that is right; several "
            "stand at S, S + 1, and so on.",
        ),
        Misconception(
            "all at the last place",
            scores_all_at_the_last_place,
            "All your new tokens stand at place S + L − 1. Only the last of them does; the first "
            "stands at S, and they go on one by one.",
        ),
        Misconception(
            "width for length",
            scores_width_for_length,
            "Your first new token stands at place d: `cache.shape[1]` is the width of a key. The "
            "number of old tokens is `cache.shape[0]`.",
        ),
        Misconception(
            "neighbours paired",
            scores_of_neighbours,
            "You turn the numbers 2i and 2i + 1 as a point. The cached keys were turned by halves: "
            "number i goes with number i + d/2.",
        ),
        Misconception(
            "not turned at all",
            scores_without_turns,
            "You do not turn the new tokens: that only suits place 0.",
        ),
        Misconception(
            "cache left out",
            scores_of_new_only,
            "Your scores are those with the new tokens only; a new word looks at all S + L.",
        ),
        Misconception(
            "new ones in front",
            scores_new_first,
            "The scores are right, but the columns of the new tokens stand in front of the old "
            "ones.",
        ),
    ),
    hints=(
        "At which place of the whole text does the first new token stand?",
        "A score depends on the distance of the two places. What distance has the first new token "
        "to the last cached one here?",
        "`len(cache)` tokens came before.",
    ),
)

# --- ablate: a model that may peek ----------------------------------------------------------------


def attention(q, k, v):
    """One head, in which each token looks back and at itself.

    q, k: (L, d), v: (L, e) → (L, e)
    """
    scores = q @ k.T / np.sqrt(q.shape[1])
    back = np.tri(len(q), dtype=bool)
    weights = np.exp(np.where(back, scores, -np.inf))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights @ v


def peek(q, k, v):
    """One head, in which each token looks at all.

    q, k: (L, d), v: (L, e) → (L, e)
    """
    scores = q @ k.T / np.sqrt(q.shape[1])
    weights = np.exp(scores)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return weights @ v


def peek_cases(seed):
    rng = np.random.default_rng(seed)
    return [
        {"q": rng.normal(size=(n, d)), "k": rng.normal(size=(n, d)), "v": rng.normal(size=(n, e))}
        for n, d, e in [(5, 3, 2), (4, 2, 3), (6, 5, 4)]
    ]


def _scaled(q, k):
    return q @ k.T / np.sqrt(q.shape[1])


def _attended(weights, v, axis=1):
    return weights / weights.sum(axis=axis, keepdims=True) @ v


def peek_ahead_only(q, k, v):
    back = np.tri(len(q), dtype=bool)
    return _attended(np.exp(np.where(back.T, _scaled(q, k), -np.inf)), v)


def peek_one_word(q, k, v):
    back = np.tri(len(q), k=1, dtype=bool)
    return _attended(np.exp(np.where(back, _scaled(q, k), -np.inf)), v)


def peek_still_masked(q, k, v):
    return attention(q, k, v)


def peek_without_softmax(q, k, v):
    return _scaled(q, k) @ v


def peek_scaled_by_length(q, k, v):
    return _attended(np.exp(q @ k.T / np.sqrt(len(q))), v)


def peek_masked_with_0(q, k, v):
    return _attended(np.exp(np.where(np.tri(len(q), dtype=bool), _scaled(q, k), 0.0)), v)


def peek_without_scale(q, k, v):
    return _attended(np.exp(q @ k.T), v)


def peek_without_sum(q, k, v):
    return np.exp(_scaled(q, k)) @ v


def peek_masked_afterwards(q, k, v):
    weights = np.exp(_scaled(q, k))
    return weights / weights.sum(axis=1, keepdims=True) * np.tri(len(q)) @ v


def peek_summed_by_column(q, k, v):
    return _attended(np.exp(_scaled(q, k)), v, axis=0)


def peek_without_exp(q, k, v):
    return _attended(_scaled(q, k), v)


def peek_mean(q, k, v):
    return np.repeat(v.mean(axis=0, keepdims=True), len(q), axis=0)


def peek_not_itself(q, k, v):
    return _attended(np.exp(_scaled(q, k)) * (1 - np.eye(len(q))), v)


PEEK = Exercise(
    name="peek",
    title="Ablate: a model that may peek",
    kind="ablate",
    difficulty=1,
    importance=5,
    minutes=4,
    prompt="""
Here is one head of a causal language model. Take its **causal mask** away **and nothing else**: the
scale stays, and so does the softmax over the keys. Trained so, with the right loss, a model need no
longer predict the next word: it can look it up one place ahead. Its loss falls below what is
possible and means nothing, for whoever writes has no next word to look at.
""",
    solution=peek,
    stub=attention,
    cases=peek_cases,
    misconceptions=(
        Misconception(
            "ahead only",
            peek_ahead_only,
            "You turned the mask round: now each token looks ahead, and no longer back. Without a "
            "mask it looks both ways.",
        ),
        Misconception(
            "one word ahead",
            peek_one_word,
            "Your mask lets each token look one word ahead. That is enough to make the loss "
            "worthless, but the mask is still there.",
        ),
        Misconception(
            "still masked",
            peek_still_masked,
            "The mask is still there: the outputs are those of the code as it was handed out, for "
            "a great negative number in place of −∞ is the same mask.",
        ),
        Misconception(
            "softmax dropped",
            peek_without_softmax,
            "The mask is gone, and with it the whole softmax: the scores themselves became the "
            "weights.",
        ),
        Misconception(
            "scaled by the length",
            peek_scaled_by_length,
            "The mask is gone, but you divide by the root of the number of tokens; the scale was "
            "the root of the *width* d of a query.",
        ),
        Misconception(
            "masked with 0",
            peek_masked_with_0,
            "Your forbidden scores are 0 instead of −∞. A score of 0 still has the weight e⁰ = 1, "
            "so the words ahead are seen, but their own scores are lost.",
        ),
        Misconception(
            "masked afterwards",
            peek_masked_afterwards,
            "You cut the weights after the softmax: the mask is still there, and the weights no "
            "longer sum to 1.",
        ),
        Misconception(
            "scale dropped",
            peek_without_scale,
            "The mask is gone, and with it the division by √d: only one thing is to be removed.",
        ),
        Misconception(
            "weights do not sum to 1",
            peek_without_sum,
            "The mask is gone, and with it the division by the sum: the weights of a row have to "
            "sum to 1.",
        ),
        Misconception(
            "exponential dropped",
            peek_without_exp,
            "The mask is gone, and with it the exponential: scores may be negative, weights may "
            "not.",
        ),
        Misconception(
            "sum over the queries",
            peek_summed_by_column,
            "Your weights sum to 1 for each key; they have to for each query.",
        ),
        Misconception(
            "mean of all",
            peek_mean,
            "You take the mean of all values: then nobody looks at anybody in particular.",
        ),
        Misconception(
            "not at itself",
            peek_not_itself,
            "Each of your tokens looks at all others, but not at itself. That is a mask, too.",
        ),
    ),
    hints=(
        "Which line makes the mask, and where is it used?",
        "The exponential is taken of the scores as they are.",
    ),
)

# --- predict: what the first loss is --------------------------------------------------------------


def measured_first_loss():
    """Computes the three losses of the prompt, in nats a token."""
    p = np.array([0.5] + [0.5 / 16] * 16)
    return {
        "uniform": float(-np.log(1 / 400)),
        "after_words": float(-(p * np.log(p)).sum()),
        "peeking": float(-np.log(1.0)),
    }


FIRST_LOSS = Exercise(
    name="first_loss",
    title="Three losses to know by heart",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
A vocabulary has 400 tokens. Losses are in **nats** a token (the natural logarithm); to 0.05 is near
enough.

* `uniform`: a causal model has learned nothing yet and finds all tokens equally likely. What is its
  loss?
* `after_words`: it has learned how frequent each token is, and nothing of their order. In its texts
  every second token, on average, is "a"; the other half is shared equally by 16 others; the rest of
  the vocabulary never occurs. What is its loss on such texts?
* `peeking`: its causal mask is taken away, so that each place sees the whole text, and it is
  trained with the same loss until it is as good as any model could be. To what does its loss fall?
""",
    solution={"uniform": 5.99, "after_words": 2.08, "peeking": 0.0},
    measure=measured_first_loss,
    rtol=0,
    atol=0.05,
    misconceptions=(
        Misconception(
            "bits",
            {"uniform": 8.64, "after_words": 3.0, "peeking": 0.0},
            "Those are bits, by the logarithm to base 2. A nat is 1.44 bits: use the natural one.",
        ),
        Misconception(
            "bits at first",
            {"uniform": 8.64, "after_words": 2.08, "peeking": 0.0},
            "log₂ 400 = 8.64 is in bits; in nats it is the natural logarithm.",
        ),
        Misconception(
            "base 10",
            {"uniform": 2.60, "after_words": 2.08, "peeking": 0.0},
            "That is log₁₀ 400. Losses use the natural logarithm.",
        ),
        Misconception(
            "perplexity",
            {"uniform": 400, "after_words": 2.08, "peeking": 0.0},
            "400 is the *perplexity*, e to the loss: among so many tokens the model wavers.",
        ),
        Misconception(
            "perplexities",
            {"uniform": 400, "after_words": 8, "peeking": 1},
            "Those are the perplexities, e to the loss: the loss is their logarithm.",
        ),
        Misconception(
            "probability",
            {"uniform": 0.0025, "after_words": 2.08, "peeking": 0.0},
            "1/400 is the probability that the right token got, and 0 is the loss of who gives it "
            "1. The loss is minus the logarithm of that probability.",
        ),
        Misconception(
            "bits after words",
            {"uniform": 5.99, "after_words": 3.0, "peeking": 0.0},
            "3.0 is in bits, and right; in nats it is 3 · ln 2.",
        ),
        Misconception(
            "17 alike",
            {"uniform": 5.99, "after_words": 2.83, "peeking": 0.0},
            "ln 17 would be the loss if all 17 tokens were equally frequent. One of them is half "
            "of the text, which makes the text easier to predict.",
        ),
        Misconception(
            "16 alike",
            {"uniform": 5.99, "after_words": 2.77, "peeking": 0.0},
            "ln 16 says which of the 16 others it is. For half of the tokens that question does "
            'not arise; but first it has to be found out whether it is an "a".',
        ),
        Misconception(
            "which half is for nothing",
            {"uniform": 5.99, "after_words": 1.39, "peeking": 0.0},
            '½ · ln 16 counts only which of the 16 it is. Whether the token is an "a" is not '
            "known either: that costs ln 2 every time.",
        ),
        Misconception(
            "half not shared",
            {"uniform": 5.99, "after_words": 1.73, "peeking": 0.0},
            '½ · ln 2 for the "a" is right. But each of the 16 others has only a sixteenth of the '
            "other half, 1/32: its −ln is ln 32, not ln 16.",
        ),
        Misconception(
            "only the frequent one",
            {"uniform": 5.99, "after_words": 0.69, "peeking": 0.0},
            'ln 2 is the loss at an "a". At the other half of the tokens it is ln 32.',
        ),
        Misconception(
            "only the frequent one, by half",
            {"uniform": 5.99, "after_words": 0.35, "peeking": 0.0},
            '½ · ln 2 is what the "a" adds to the mean. The other half of the tokens adds '
            "½ · ln 32.",
        ),
        Misconception(
            "only the rare ones",
            {"uniform": 5.99, "after_words": 3.47, "peeking": 0.0},
            'ln 32 is the loss at one of the 16, each of which has 1/32. At an "a" it is ln 2.',
        ),
        Misconception(
            "order is needed",
            {"uniform": 5.99, "after_words": 5.99, "peeking": 0.0},
            "Order is not needed for that: who knows what is frequent no longer gives anything to "
            "the tokens that never occur.",
        ),
        Misconception(
            "peeking is no use",
            {"uniform": 5.99, "after_words": 2.08, "peeking": 5.99},
            "The loss asks at each place for the token one place ahead, and without the mask that "
            "is in view: it only has to be copied.",
        ),
        Misconception(
            "peeking cannot beat the text",
            {"uniform": 5.99, "after_words": 2.08, "peeking": 2.08},
            "How uncertain a text is limits only who has not seen it. Without the mask the next "
            "token is in view and need not be guessed.",
        ),
        Misconception(
            "a last rest",
            {"uniform": 5.99, "after_words": 2.08, "peeking": 0.69},
            "ln 2 would be a guess between two. The next token is in view: there is nothing left "
            "to guess.",
        ),
        Misconception(
            "peeking has perplexity 1",
            {"uniform": 5.99, "after_words": 2.08, "peeking": 1.0},
            "1 is the perplexity of who is certain; the loss is its logarithm.",
        ),
    ),
    hints=(
        "The loss of one token is −ln of the probability that the model gave it.",
        "`after_words`: half of the tokens had the probability 1/2, the other half 1/32 each. Take "
        "the mean of their −ln.",
        "`peeking`: what probability can a model give to a token that it sees?",
    ),
)

# --- test: a nucleus ------------------------------------------------------------------------------


def test_top_p(top_p):
    """Assert what a right `top_p` does, and nothing that a right one might not do.

    top_p: a function of probabilities (V,) and p → (V,)
    """
    probabilities = np.array([0.0625, 0.5, 0.125, 0.25, 0.0625])
    before = probabilities.copy()
    result = top_p(probabilities, 0.6)
    assert result.shape == (5,)
    assert np.allclose(result, [0, 2 / 3, 0, 1 / 3, 0], atol=1e-6)
    assert np.allclose(top_p(probabilities, 0.1), [0, 1, 0, 0, 0], atol=1e-6)
    assert np.allclose(top_p(probabilities, 0.75), [0, 2 / 3, 0, 1 / 3, 0], atol=1e-6)
    assert np.allclose(top_p(probabilities, 1.0), probabilities, atol=1e-6)
    assert np.array_equal(probabilities, before)


TEST_TOP_P = Exercise(
    name="test_top_p",
    title="Write the test of a nucleus",
    kind="test",
    difficulty=3,
    importance=3,
    minutes=20,
    prompt="""
`top_p(probabilities, p)` takes the probabilities of all V words, floats (V,) that sum to 1, and
`p`, above 0 and at most 1 (do not try p = 0). A right one keeps the **fewest** of the likeliest
words that together have **at least** the probability p, each at its place, in the same
proportions, so that they sum to
1 again; all other words have 0. It returns a **new** array; one word at least is always kept.

Write a test of it. Sums like 0.5 + 0.25 are exact in floating point, 0.1 + 0.2 is not: where p is
to be hit exactly, use halves, quarters and eighths, and leave room for rounding in the result (one
right implementation computes in float32). Of equally likely words a right one may keep any. An
`assert` or two for each thing that a wrong one could do are enough; every right one has to pass.
""",
    solution=test_top_p,
    subject=top_p,
    misconceptions=WRONG,
    also_right=ALSO_RIGHT,
    hints=(
        "Take five words whose likeliest stands in the middle, as .0625, .5, .125, .25, .0625.",
        "At p = 0.6 two of them are left: 2/3 and 1/3. And at p = 0.1, at 0.75, at 1?",
        "Keep a copy of the argument, and compare afterwards.",
    ),
)

EXERCISES = (
    MERGE_STEP,
    SPLITS,
    MAY_ATTEND,
    FIRST_LOSS,
    NEXT_TOKEN_LOSS,
    TEST_TOP_P,
    CACHED_POSITIONS,
    PEEK,
)

QUIZ = language_quiz.QUIZ
