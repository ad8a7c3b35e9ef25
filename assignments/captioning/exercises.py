"""New exercises of the assignment `captioning`: how a sentence is searched for, and judged."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: beam search -----------------------------------------------------------------------


def beam_search(first, after, width, most, alpha):
    """The best sentence that a beam finds under a model that looks back one token; 0 is the end.

    first: (V,) log-probabilities of the first token, after: (V, V), row t for what follows token t,
    width: sentences kept in each step, most: tokens in a sentence at most, alpha: length exponent
    → list of tokens, with the end if it has ended
    """
    live, done = [([], 0.0)], []
    for _ in range(most):
        grown = []
        for tokens, total in live:
            scores = after[tokens[-1]] if tokens else first
            grown += [([*tokens, t], total + score) for t, score in enumerate(scores)]
        grown.sort(key=lambda sentence: -sentence[1])
        live = []
        for tokens, total in grown[:width]:
            (live if tokens[-1] else done).append((tokens, total))
    best = max(live + done, key=lambda sentence: sentence[1] / len(sentence[0]) ** alpha)
    return best[0]


def as_logs(table):
    return table - np.log(np.exp(table).sum(axis=-1, keepdims=True))


@lru_cache(maxsize=32)
def beam_search_cases(seed):
    """One case for each wrong answer, on which nothing else gives what it gives."""
    rng = np.random.default_rng(seed)
    answers = [beam_search, *BEAM_WRONG]
    cases = []
    for number in range(1, len(answers)):
        for draw in range(400):
            case = beam_search_draw(rng)
            told = [tuple(answer(**case)) for answer in answers]
            if told.count(told[number]) == 1 or (draw > 100 and told[number] != told[0]):
                break
        cases.append(case)
    return cases


def beam_search_draw(rng):
    tokens, width, most = (int(rng.integers(*ends)) for ends in ((3, 6), (2, 4), (4, 6)))
    after, first = rng.normal(0, 1.6, (tokens, tokens)), rng.normal(0, 1.2, tokens)
    first[0] -= 1.0
    after[:, 0] += 0.5
    case = {"first": as_logs(first), "after": as_logs(after), "width": width, "most": most}
    return case | {"alpha": float(rng.choice([0.3, 0.5, 0.6, 0.7]))}


def beam_greedy(first, after, width, most, alpha):
    return beam_search(first, after, 1, most, alpha)


def beam_no_length(first, after, width, most, alpha):
    return beam_search(first, after, width, most, 0.0)


def beam_full_length(first, after, width, most, alpha):
    return beam_search(first, after, width, most, 1.0)


def beam_never_ends(first, after, width, most, alpha):
    live = [([], 0.0)]
    for _ in range(most):
        grown = []
        for tokens, total in live:
            scores = after[tokens[-1]] if tokens else first
            grown += [([*tokens, t], total + score) for t, score in enumerate(scores)]
        live = sorted(grown, key=lambda sentence: -sentence[1])[:width]
    return live[0][0]


def beam_only_ended(first, after, width, most, alpha):
    return _beam(first, after, width, most, alpha, also_live=False)


def beam_first_ended(first, after, width, most, alpha):
    return _beam(first, after, width, most, alpha, stop_early=True)


def beam_refilled(first, after, width, most, alpha):
    return _beam(first, after, width, most, alpha, refill=True)


def _beam(first, after, width, most, alpha, also_live=True, stop_early=False, refill=False):
    """Beam search with the ways to get it wrong."""
    live, done = [([], 0.0)], []
    for _ in range(most):
        grown = []
        for tokens, total in live:
            scores = after[tokens[-1]] if tokens else first
            grown += [([*tokens, t], total + score) for t, score in enumerate(scores)]
        grown.sort(key=lambda sentence: -sentence[1])
        if refill:  # ended sentences take no place
            done += [s for s in grown if s[0][-1] == 0]
            live = [s for s in grown if s[0][-1] != 0][:width]
        else:
            kept = grown[:width]
            done += [s for s in kept if s[0][-1] == 0]
            live = [s for s in kept if s[0][-1] != 0]
        if stop_early and done:
            break
    chosen = live + done if also_live or not done else done
    return max(chosen, key=lambda sentence: sentence[1] / len(sentence[0]) ** alpha)[0]


def beam_counts_the_start(first, after, width, most, alpha):
    return beam_search(np.asarray(first) + 1, after, width, most, alpha)


BEAM_WRONG = (
    *(beam_greedy, beam_no_length, beam_full_length, beam_never_ends, beam_only_ended),
    *(beam_first_ended, beam_refilled, beam_counts_the_start),
)

BEAM_SEARCH = Exercise(
    name="beam_search",
    title="Search with a beam",
    kind="implement",
    difficulty=4,
    importance=4,
    minutes=20,
    prompt="""
A sentence is extended token by token; token **0 ends** it. `first[t]` is the log-probability that
it begins with t, `after[s, t]` that t follows s. A beam search works like this:

1. Begin with one empty sentence, which is live.
2. In each of `most` steps extend **every live sentence by every token**, and keep the `width` ones
   with the largest sum of log-probabilities (the plain sum). Those that end with 0 are **done**,
   the others stay live. A sentence that was done in an earlier step takes no place in later ones.
3. At last, choose among all that are done **or still live** the one with the largest
   `sum / length ** alpha`; the length counts all its tokens, the end included.

Return its tokens as a list of whole numbers.
""",
    solution=beam_search,
    cases=beam_search_cases,
    misconceptions=(
        Misconception(
            "greedy",
            beam_greedy,
            "You keep one sentence in each step: that is greedy search, and it cannot come back "
            "from a token that only looked good.",
        ),
        Misconception(
            "no length",
            beam_no_length,
            "You compare plain sums at the end. Every token makes a sum smaller, so that short "
            "sentences win: divide by length ** alpha.",
        ),
        Misconception(
            "alpha left out",
            beam_full_length,
            "You divide by the length itself: it is to be raised to the power alpha.",
        ),
        Misconception(
            "the end does not end",
            beam_never_ends,
            "Your sentences go on behind their end: what has token 0 last is done.",
        ),
        Misconception(
            "only ended ones",
            beam_only_ended,
            "You choose among the sentences that have ended: those still live after the last step "
            "take part too.",
        ),
        Misconception(
            "stops at the first end",
            beam_first_ended,
            "You stop as soon as one sentence has ended: a longer one may be better.",
        ),
        Misconception(
            "every end is kept",
            beam_refilled,
            "You set aside every sentence that ends before you keep `width`: an end must be among "
            "the best `width` to count, and takes a place in that step.",
        ),
    ),
    hints=(
        "Keep two lists of pairs (tokens, sum): the live sentences and the done ones.",
        "Sort what has grown by its sum, cut at `width`, and only then ask which have ended.",
    ),
)

# --- repair: a precision that can be bought with repetition ---------------------------------------


def clipped_precision(caption, references, n):
    """BLEU's modified precision: the share of a caption's n-grams that the references allow.

    caption: words; references: lists of words; n: words in a gram, at most the caption's → float
    """
    said = Counter(tuple(caption[i : i + n]) for i in range(len(caption) - n + 1))
    allowed = Counter()
    for words in references:
        allowed |= Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return sum((said & allowed).values()) / sum(said.values())


def clipped_precision_faulty(caption, references, n):
    """BLEU's modified precision: the share of a caption's n-grams that the references allow.

    caption: words; references: lists of words; n: words in a gram, at most the caption's → float
    """
    said = Counter(tuple(caption[i : i + n]) for i in range(len(caption) - n + 1))
    allowed = Counter()
    for words in references:
        allowed += Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return sum((said & allowed).values()) / sum(said.values())


WORDS = ("a", "red", "cube", "on", "green", "left", "of", "ball")


def clipped_precision_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, further in [(1, 0), (2, 1), (1, 1), (2, 0)]:
        words = [str(word) for word in rng.choice(WORDS, 2 * n, replace=False)]
        one, other = words[:n], words[n:]
        said = [one] * int(rng.integers(6, 9)) + [other] * int(rng.integers(6, 9))
        caption = joined([said[i] for i in rng.permutation(len(said))], "zebra")
        often = int(rng.integers(2, 4))
        # Each gram has a reference of its own that says it most often.
        references = [joined([other] + [one] * often, "the"), joined([one] + [other] * 2, "the")]
        references += [joined([one, other], "and")] * further
        cases.append({"caption": caption, "references": references, "n": n})
    return cases


def joined(grams, between):
    return [word for gram in grams for word in [*gram, between]][:-1]


def counted(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def precision_not_clipped(caption, references, n):
    known = set().union(*(counted(words, n) for words in references))
    said = counted(caption, n)
    return sum(count for gram, count in said.items() if gram in known) / sum(said.values())


def precision_of_kinds(caption, references, n):
    known = set().union(*(counted(words, n) for words in references))
    said = set(counted(caption, n))
    return len(said & known) / len(said)


def precision_in_every(caption, references, n):
    allowed = counted(references[0], n)
    for words in references[1:]:
        allowed &= counted(words, n)
    said = counted(caption, n)
    return sum((said & allowed).values()) / sum(said.values())


def precision_best_reference(caption, references, n):
    said = counted(caption, n)
    shares = [sum((said & counted(words, n)).values()) for words in references]
    return max(shares) / sum(said.values())


def recall_of_references(caption, references, n):
    allowed = Counter()
    for words in references:
        allowed |= counted(words, n)
    return sum((counted(caption, n) & allowed).values()) / sum(allowed.values())


CLIPPED_PRECISION = Exercise(
    name="clipped_precision",
    title="Repair: the the the the",
    kind="repair",
    difficulty=3,
    importance=4,
    minutes=10,
    imports="from collections import Counter\n\nimport numpy as np",
    prompt="""
BLEU asks which share of a caption's n-grams the references allow. A gram is allowed **as often as
the one reference that has it most often**, so that "the the the the" earns nothing by repeating.
Here the more references there are, the more repetition pays; with one reference the function is
right. Find the fault and mend it. (`Counter` knows `+`, `&` and `|`.)
""",
    solution=clipped_precision,
    stub=clipped_precision_faulty,
    cases=clipped_precision_cases,
    misconceptions=(
        Misconception(
            "not clipped at all",
            precision_not_clipped,
            "Now every repetition of a known gram counts: a gram is allowed only as often as a "
            "reference has it.",
        ),
        Misconception(
            "each gram once",
            precision_of_kinds,
            "You count each different gram once: what a reference says twice, a caption may say "
            "twice.",
        ),
        Misconception(
            "in every reference",
            precision_in_every,
            "You allow only what all references say: one of them is enough.",
        ),
        Misconception(
            "one reference for all grams",
            precision_best_reference,
            "You choose one reference for the whole caption: each gram looks for the reference "
            "that has it most often.",
        ),
        Misconception(
            "recall",
            recall_of_references,
            "You divide by what the references say, which is a recall: divide by the grams of the "
            "caption.",
        ),
    ),
    hints=(
        "A gram stands once in each of three references. How often is it allowed?",
        "`Counter | Counter` takes the larger count of each gram.",
    ),
    equivalent={
        "arithmetic 9:66 - → +": "what is cut short at the end is no n-gram that a caption has",
        "constant 9:83 1 → 2": "one gram more, too short to be one of the caption's",
    },
)

# --- predict: the cache of a decoder, with constants of one's own ---------------------------------


def cache_of(layers, heads, size, tokens, batch):
    """Bytes of keys and values in float16, from real arrays; tokens computed without a cache."""
    one = np.zeros((2, layers, heads, 1, size), np.float16)
    return {
        "bytes_of_a_token": one.nbytes,
        "megabytes": batch * tokens * one.nbytes / 1e6,
        "tokens_without": sum(length for length in range(1, tokens + 1)),
    }


def cache_size(variant):
    """The exercise, with a decoder that follows from the variant."""
    rng = np.random.default_rng(variant)
    layers, heads = int(rng.choice([6, 10, 12, 24])), int(rng.choice([5, 7, 8, 14]))
    size, batch = int(rng.choice([32, 48, 64])), int(rng.choice([3, 5, 9]))
    tokens = int(rng.integers(4, 13)) * 25
    right = cache_of(layers, heads, size, tokens, batch)
    return Exercise(
        name="cache_size",
        title="What does a cache cost, and what does it save?",
        kind="predict",
        difficulty=2,
        importance=4,
        minutes=6,
        prompt=f"""
A decoder has **{layers} layers** with **{heads} heads** of **{size}** numbers each, in float16. It
writes captions of **{tokens} tokens**, **{batch}** pictures at a time. Say

* `"bytes_of_a_token"`: how many bytes one token of one caption takes in the cache (keys and
  values),
* `"megabytes"`: how many MB (10⁶ bytes) the cache takes at the end, to 1 %,
* `"tokens_without"`: how many tokens must be sent through the decoder for **one** caption *without*
  a cache, where every step computes all tokens up to there (1 in the first step, {tokens} in the
  last).
""",
        solution=right,
        measure=lambda: cache_of(layers, heads, size, tokens, batch),
        rtol=0.01,
        misconceptions=(
            Misconception(
                "keys only",
                right
                | {
                    "bytes_of_a_token": right["bytes_of_a_token"] // 2,
                    "megabytes": right["megabytes"] / 2,
                },
                "You count the keys or the values: both are kept.",
            ),
            Misconception(
                "float32",
                right
                | {
                    "bytes_of_a_token": right["bytes_of_a_token"] * 2,
                    "megabytes": right["megabytes"] * 2,
                },
                "You count four bytes a number: float16 has two.",
            ),
            Misconception(
                "one layer",
                right
                | {
                    "bytes_of_a_token": right["bytes_of_a_token"] // layers,
                    "megabytes": right["megabytes"] / layers,
                },
                "You count one layer: each has keys and values of its own.",
            ),
            Misconception(
                "one picture",
                right | {"megabytes": right["megabytes"] / batch},
                "You count the cache of one picture: all of the batch are in memory at once.",
            ),
            Misconception(
                "one pass a token",
                right | {"tokens_without": tokens},
                "That is the work *with* a cache: without it, each step computes all earlier "
                "tokens anew.",
            ),
            Misconception(
                "square",
                right | {"tokens_without": tokens**2},
                "You let every step compute all tokens: the first step has only one, so it is "
                "about half of that.",
            ),
        ),
        hints=(
            "Keys and values, each layer, each head: how many numbers does one token leave?",
            "1 + 2 + … + T: where have you met this sum?",
        ),
    )


EXERCISES = (BEAM_SEARCH, CLIPPED_PRECISION)


def varied(variant):
    """The exercises whose constants differ from student to student."""
    return (cache_size(variant),)
