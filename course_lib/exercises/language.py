"""Exercises of notebook 10_language: words as numbers, and what each of them may see.

All of it is NumPy on a handful of tokens. A language model with one of these slips still trains,
and often its loss looks better than that of a right one.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question

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


def merge_pair_only(words):
    return _first(_counts(words)), words


MERGE_STEP = Exercise(
    name="merge_step",
    title="One merge",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=10,
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
    minutes=4,
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
    minutes=6,
    prompt="""
B texts of unequal length stand in one table of L places; `is_pad`, bool (B, L), is True where a
place is only filled up (at either end). Return `may_attend`, bool (B, L, L): True where the
**query** at its row's place may look at the **key** at its column's place. That is so if the key
stands before the query or is the query itself, **and** the key is no pad.

Only keys are forbidden for being pads. A pad's own row looks back at the real tokens like any
other; nobody reads what it receives. A pad before all words has a row of False.

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
    """Mean −log p (nats) over all words that are told, pads left out.

    logits: (B, L, V), those at place i made from the tokens up to i; tokens: whole numbers (B, L);
    is_pad: bool (B, L), pads on the right → float
    """
    told, words, counts = logits[:, :-1], tokens[:, 1:], ~is_pad[:, 1:]
    log_p = told - np.log(np.exp(told).sum(axis=2, keepdims=True))
    surprise = -np.take_along_axis(log_p, words[:, :, None], axis=2).squeeze(axis=2)
    return surprise[counts].mean()


def next_token_loss_broken(logits, tokens, is_pad):
    """Mean −log p (nats) over all words that are told, pads left out.

    logits: (B, L, V), those at place i made from the tokens up to i; tokens: whole numbers (B, L);
    is_pad: bool (B, L), pads on the right → float
    """
    told, words, counts = logits, tokens, ~is_pad
    log_p = told - np.log(np.exp(told).sum(axis=2, keepdims=True))
    surprise = -np.take_along_axis(log_p, words[:, :, None], axis=2).squeeze(axis=2)
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


def _surprise(told, words):
    log_p = told - np.log(np.exp(told).sum(axis=2, keepdims=True))
    return -np.take_along_axis(log_p, words[:, :, None], axis=2).squeeze(axis=2)


def loss_shifted_back(logits, tokens, is_pad):
    return _surprise(logits[:, 1:], tokens[:, :-1])[~is_pad[:, 1:]].mean()


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
    minutes=8,
    prompt="""
A causal language model is trained with this loss. It falls faster than anybody hoped, nearly to 0,
also on new texts. But asked to write, the model says its last word again, and again, and again.
The model is right; the loss is not. Its logits at place i are made from the tokens up to and with
i. Repair it; also see to it that exactly the words that are told count, in the mean over all of
them. Pads stand on the right.
""",
    solution=next_token_loss,
    stub=next_token_loss_broken,
    cases=next_token_loss_cases,
    misconceptions=(
        Misconception(
            "shifted back",
            loss_shifted_back,
            "You shift the wrong way: logits at place i + 1 are held to the token at i, which the "
            "model has read already. What it is to tell is the token *behind*.",
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
            "Your mask is that of the places which tell; then each text's first pad counts as a "
            "word to be told. The mask goes with the told words: `is_pad[:, 1:]`.",
        ),
        Misconception(
            "all pads count",
            loss_of_pads_too,
            "The shift is right, but now pads count as well: a model that tells pads well looks "
            "good.",
        ),
        Misconception(
            "divided by all places",
            loss_over_all_places,
            "You put 0 in the pads' places, and divide by all places: the loss then depends on how "
            "much padding a batch has.",
        ),
        Misconception(
            "rolled round",
            loss_rolled,
            "`np.roll` brings the first word behind the last: a full row now has to tell its own "
            "beginning at its end. Cut, do not roll.",
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
        "Which token is the one at place i in `words`, and has the model read it when it tells it?",
        "The last place has nothing to tell, and the first word nobody tells.",
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
    minutes=8,
    prompt="""
With a cache, a model reads only its new words; the keys of the S old ones are kept as they are,
turned by their places 0 … S − 1. This function gives the scores of L new tokens with all S + L, in
the order of the text. While the prompt is read (S = 0) it gives what it should. Then the model
writes word by word, and its text falls to pieces. Without a cache, the same model writes well.
Repair it. (Scores are not scaled or masked here; the cache is not to be changed.)
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
scale stays, and so does the softmax over the keys. Trained so, with the right loss, a model tells
every next word: it looks it up one place ahead. The loss falls to nearly 0 and means nothing, for
whoever writes has no next word to look at.
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

# --- test: a nucleus ------------------------------------------------------------------------------


def top_p(probabilities, p):
    """Keep the fewest of the likeliest words that together have at least the probability p.

    probabilities: (V,) floats that sum to 1; p: above 0, at most 1 → (V,) floats that sum to 1
    """
    order = np.argsort(-probabilities)
    before = np.cumsum(probabilities[order]) - probabilities[order]
    nucleus = order[before < p]
    kept = np.zeros_like(probabilities)
    kept[nucleus] = probabilities[nucleus]
    return kept / kept.sum()


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


def _nucleus(probabilities, words):
    kept = np.zeros_like(probabilities)
    kept[words] = probabilities[words]
    return kept / kept.sum()


def _sums(probabilities):
    order = np.argsort(-probabilities)
    return order, np.cumsum(probabilities[order])


def top_p_without_the_last(probabilities, p):
    order, sums = _sums(probabilities)
    return _nucleus(probabilities, order[sums <= p])


def top_p_without_the_last_but_one(probabilities, p):
    order, sums = _sums(probabilities)
    return _nucleus(probabilities, order[: max((sums <= p).sum(), 1)])


def top_p_one_too_many(probabilities, p):
    order, sums = _sums(probabilities)
    return _nucleus(probabilities, order[: (sums <= p).sum() + 1])


def top_p_not_renewed(probabilities, p):
    return np.where(top_p(probabilities, p) > 0, probabilities, 0)


def top_p_by_threshold(probabilities, p):
    return _nucleus(probabilities, probabilities >= probabilities.max() * (1 - p))


def top_p_share_of_words(probabilities, p):
    order, _ = _sums(probabilities)
    return _nucleus(probabilities, order[: int(np.ceil(p * len(order)))])


def top_p_two_words(probabilities, p):
    order, _ = _sums(probabilities)
    return _nucleus(probabilities, order if p == 1 else order[:2])


def top_p_not_sorted(probabilities, p):
    before = np.cumsum(probabilities) - probabilities
    return _nucleus(probabilities, before < p)


def top_p_in_sorted_order(probabilities, p):
    return -np.sort(-top_p(probabilities, p))


def top_p_of_the_rare(probabilities, p):
    order = np.argsort(probabilities)
    before = np.cumsum(probabilities[order]) - probabilities[order]
    return _nucleus(probabilities, order[before < p])


def top_p_evenly(probabilities, p):
    kept = top_p(probabilities, p)
    return (kept > 0) / (kept > 0).sum()


def top_p_softmax(probabilities, p):
    kept = np.where(top_p(probabilities, p) > 0, np.exp(probabilities), 0)
    return kept / kept.sum()


def top_p_in_place(probabilities, p):
    probabilities[:] = top_p(probabilities, p)
    return probabilities


def top_p_keeps_all(probabilities, p):
    return probabilities.copy()


def top_p_from_below(probabilities, p):
    order = np.argsort(probabilities)
    cut = np.cumsum(probabilities[order]) <= 1 - p
    cut[-1] = False
    return _nucleus(probabilities, order[~cut])


def top_p_in_float32(probabilities, p):
    return top_p(probabilities.astype(np.float32), p)


def top_p_last_of_equals(probabilities, p):
    return top_p(probabilities[::-1], p)[::-1]


TEST_TOP_P = Exercise(
    name="test_top_p",
    title="Write the test of a nucleus",
    kind="test",
    difficulty=3,
    importance=3,
    minutes=12,
    prompt="""
`top_p(probabilities, p)` takes the probabilities of all V words, floats (V,) that sum to 1, and
`p`, above 0 and at most 1. A right one keeps the **fewest** of the likeliest words that together
have **at least** the probability p, each at its place, in the same proportions, so that they sum to
1 again; all other words have 0. It returns a **new** array; one word at least is always kept.

Write a test of it. Sums like 0.5 + 0.25 are exact in floating point, 0.1 + 0.2 is not: where p is
to be hit exactly, use halves, quarters and eighths, and leave room for rounding in the result (one
right implementation computes in float32). Of equally likely words a right one may keep any.
""",
    solution=test_top_p,
    subject=top_p,
    misconceptions=(
        Misconception(
            "the word that reaches p is cut",
            top_p_without_the_last,
            "Your test accepts a function that cuts the word with which p is reached. If the first "
            "word alone is above p, nothing is left, and the result is NaN.",
        ),
        Misconception(
            "the word that reaches p is cut, but for the first",
            top_p_without_the_last_but_one,
            "Your test accepts a function that cuts the word with which p is reached (but never "
            "the likeliest): with .5, .25, .25 and p = 0.6 two words are due.",
        ),
        Misconception(
            "one too many at equality",
            top_p_one_too_many,
            "Your test accepts a function that takes one word more where p is reached exactly. "
            "With .5, .25, .25 and p = .5 one word has *at least* p.",
        ),
        Misconception(
            "does not sum to 1",
            top_p_not_renewed,
            "Your test accepts a function that sets the others to 0 and leaves it at that: what is "
            "kept has to sum to 1 again.",
        ),
        Misconception(
            "a threshold",
            top_p_by_threshold,
            "Your test accepts a function that keeps words by how likely they are beside the "
            "likeliest (that is min-p), not by their sum.",
        ),
        Misconception(
            "a share of the words",
            top_p_share_of_words,
            "Your test accepts a function that keeps the share p of the *words*, not of the "
            "probability.",
        ),
        Misconception(
            "two words always",
            top_p_two_words,
            "Your test accepts a function that keeps two words, whatever p is (that is top-k). Try "
            "several p.",
        ),
        Misconception(
            "not sorted",
            top_p_not_sorted,
            "Your test accepts a function that adds up the words in the order of the vocabulary: "
            "do not give it probabilities that fall from the first to the last.",
        ),
        Misconception(
            "in sorted order",
            top_p_in_sorted_order,
            "Your test accepts a function that returns the right numbers, sorted: then they are "
            "other words'. Hold each place to its value.",
        ),
        Misconception(
            "the least likely",
            top_p_of_the_rare,
            "Your test accepts a function that keeps the *least* likely words.",
        ),
        Misconception(
            "evenly",
            top_p_evenly,
            "Your test accepts a function that makes all kept words equally likely. Hold the "
            "values to their proportions.",
        ),
        Misconception(
            "softmax of probabilities",
            top_p_softmax,
            "Your test accepts a function that takes a softmax of the kept probabilities; they are "
            "only to be divided by their sum.",
        ),
        Misconception(
            "argument overwritten",
            top_p_in_place,
            "Your test accepts a function that writes into its argument: keep a copy and compare "
            "after the call.",
        ),
        Misconception(
            "keeps everything",
            top_p_keeps_all,
            "Your test accepts a function that keeps every word.",
        ),
    ),
    also_right=(
        Misconception(
            "from below",
            top_p_from_below,
            "one that adds up from the least likely and cuts what together has at most 1 − p. That "
            "is the same nucleus, unless p is hit by a sum that is rounded.",
        ),
        Misconception(
            "in float32",
            top_p_in_float32,
            "one that computes in float32, which rounds in the seventh digit. Allow 1e-6.",
        ),
        Misconception(
            "the last of equals",
            top_p_last_of_equals,
            "one that keeps the last of equally likely words, where yours keeps the first. Do not "
            "cut between equals.",
        ),
    ),
    hints=(
        "Take five words whose likeliest stands in the middle, as .0625, .5, .125, .25, .0625.",
        "At p = 0.6 two of them are left: 2/3 and 1/3. And at p = 0.1, at 0.75, at 1?",
        "Keep a copy of the argument, and compare afterwards.",
    ),
)

# --- predict: what the first loss is --------------------------------------------------------------


def measured_first_loss():
    """Computes the three losses of the prompt, in nats a token."""
    told = np.array([0.5] + [0.5 / 16] * 16)
    return {
        "uniform": float(-np.log(1 / 400)),
        "after_words": float(-(told * np.log(told)).sum()),
        "peeking": float(-np.log(1.0)),
    }


FIRST_LOSS = Exercise(
    name="first_loss",
    title="Three losses to know by heart",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=5,
    prompt="""
A vocabulary has 400 tokens. Losses are in **nats** a token (the natural logarithm); to 0.05 is near
enough.

* `uniform`: a causal model has learned nothing yet and finds all tokens equally likely. What is its
  loss?
* `after_words`: it has learned how frequent each token is, and nothing of their order. In its texts
  every second token, on average, is "a"; the other half is shared equally by 16 others; the rest of
  the vocabulary never occurs. What is its loss on such texts?
* `peeking`: its causal mask is taken away, and it is trained until it is as good as it can be. To
  what does its loss fall?
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
            "of the text, which makes the text easier to tell.",
        ),
        Misconception(
            "16 alike",
            {"uniform": 5.99, "after_words": 2.77, "peeking": 0.0},
            "ln 16 says which of the 16 others it is. For half of the tokens that question does "
            'not arise; but first it has to be told whether it is an "a".',
        ),
        Misconception(
            "which half is for nothing",
            {"uniform": 5.99, "after_words": 1.39, "peeking": 0.0},
            '½ · ln 16 counts only which of the 16 it is. Whether the token is an "a" is not '
            "known either: that costs ln 2 every time.",
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

EXERCISES = (
    MERGE_STEP,
    SPLITS,
    MAY_ATTEND,
    NEXT_TOKEN_LOSS,
    CACHED_POSITIONS,
    PEEK,
    TEST_TOP_P,
    FIRST_LOSS,
)

QUIZ = (
    Question(
        prompt="One model pays 1.2 nats a token, another 2.0, with another tokenizer. Which knows "
        "its language better?",
        choices=(
            "The first: its loss is lower",
            "The second: its tokens are longer",
            "That cannot be said from losses a token",
        ),
        correct=2,
        why=(
            "With short tokens every single one is easy; there are only more of them.",
            "A greater loss may come of longer tokens, or of a worse model.",
            "Compare what the same *text* costs: sum over its tokens, or divide by its bytes.",
        ),
    ),
    Question(
        prompt="Why can a causal model keep the keys and values of the words that it has read?",
        choices=(
            "Nobody looks ahead, so no later word changes what was made of an earlier one",
            "Rotary positions do not depend on the place",
            "The weights are no longer trained when it writes",
        ),
        correct=0,
        why=(
            "In BERT a new word would change the vectors of all words, and nothing could be kept.",
            "They do: a key is turned by its place, once, and kept so.",
            "True, and not enough: BERT's are not trained then, either.",
        ),
    ),
    Question(
        prompt="All places of a text move on by 100. What do rotary positions make of that?",
        choices=(
            "Other scores: every query and key is turned further",
            "The same scores: both are turned by the same angle more",
            "An error, unless the model has seen so long a text",
        ),
        correct=1,
        why=(
            "Each of the two is turned further, but by the same angle; their product stays.",
            "A score depends on the two contents and on the *difference* of the places.",
            "The angles can be computed for every place. *Distances* never seen are the trouble.",
        ),
    ),
    Question(
        prompt="A language model's loss falls to nearly 0 in a few hundred steps, on new texts as "
        "well. What do you suspect first?",
        choices=(
            "Overfitting",
            "Too high a learning rate",
            "That the word to be told can be seen",
        ),
        correct=2,
        why=(
            "Overfitting shows as a gap: new texts would not be told so well.",
            "That makes losses rise or waver, not vanish.",
            "The mask is missing, or the words were not shifted against the logits. No honest "
            "loss is below the text's own uncertainty.",
        ),
    ),
    Question(
        prompt="From lesson 07: with 128 pictures, a network that only guesses pays ln 255 in "
        "NT-Xent. What is the like for a language model?",
        choices=(
            "ln of the number of tokens in the vocabulary",
            "ln of the length of the text",
            "ln of the number of texts in the batch",
        ),
        correct=0,
        why=(
            "Both are a choice among candidates: there 255 views, here V tokens.",
            "The length says how many such choices there are, not among how many tokens.",
            "The other texts of the batch are no candidates here.",
        ),
    ),
    Question(
        prompt="From lesson 09: MAE learns from the patches that it hides. What does a causal "
        "model hide?",
        choices=(
            "15 % of the words",
            "Nothing: it has no mask token",
            "From each word, all that come after it",
        ),
        correct=2,
        why=(
            "That is BERT, which can look both ways and so learns from few of the words.",
            "It has no mask token, for its mask is in the attention.",
            "So every word but the first is told from what stands before it, and a text of L words "
            "is L − 1 lessons at once.",
        ),
    ),
)
