"""Exercises of notebook 12_blip: soft targets, hard negatives, three uses of a text, the filter.

All of it is NumPy on a handful of numbers. The number of pairs, of candidates, of words and of
tokens are never alike, and the queue is never as long as the batch.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises import blip_quiz
from course_lib.exercises.engine import Exercise, Misconception

# --- predict: the three first losses --------------------------------------------------------------

FIRST = {"itc": 8.333, "itm": 0.693, "itm_blind": 0.637, "lm": 6.238}

FIRST_LOSSES = Exercise(
    name="first_losses",
    title="Three losses that one knows before the training",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
A batch holds B = 64 pairs, the queue Q = 4,096 older features, the vocabulary V = 512 tokens. To
two decimals, in nats:

* `itc`: the loss of the comparison, if a picture finds all its candidates (the texts of the batch
  **and** those of the queue) equally alike;
* `itm`: the loss of the match head as long as it gives both verdicts one half, whatever it sees;
* `itm_blind`: the head is asked about 64 pairs and 128 mismatches. What is the **lowest** loss that
  it can reach without looking at the pictures or the texts?
* `lm`: the loss of the next word, if all tokens are equally likely. (The labels are smoothed. Does
  it matter here?)
""",
    solution=FIRST,
    rtol=5e-4,
    atol=4e-3,
    misconceptions=(
        Misconception(
            "queue forgotten",
            FIRST | {"itc": 4.159},
            "4.16 is ln 64: the features of the queue are candidates, too, 4,160 in all.",
        ),
        Misconception(
            "batch forgotten",
            FIRST | {"itc": 8.318},
            "8.32 is ln 4,096, the queue alone. The texts of the batch are candidates, too, and "
            "the only ones among which the partner is.",
        ),
        Misconception(
            "twice the batch",
            FIRST | {"itc": 8.348},
            "8.35 is ln 4,224: you count the batch twice. A picture has 64 texts of the batch and "
            "4,096 of the queue.",
        ),
        Misconception(
            "blind is a coin",
            FIRST | {"itm_blind": 0.693},
            "A coin is not the best blind guess: two of three questions are mismatches, and who "
            'always says "a pair with probability 1/3" pays only 0.637.',
        ),
        Misconception(
            "a certain no",
            FIRST | {"itm_blind": 0.0},
            'Who is *certain* of "no pair" pays nothing for 128 questions, and without bound for '
            "the other 64. The best blind answer is the share, 1/3.",
        ),
        Misconception(
            "knows the shares already",
            FIRST | {"itm": 0.637},
            "0.637 is what the head reaches once it has learned that one question in three is a "
            "pair. With one half for each verdict it pays ln 2.",
        ),
        Misconception(
            "three verdicts",
            FIRST | {"itm": 1.099},
            "1.10 is ln 3. There are three *kinds* of questions, but only two verdicts.",
        ),
        Misconception(
            "bits",
            FIRST | {"lm": 9.0},
            "9 is the number of bits; the loss takes the natural logarithm.",
        ),
        Misconception(
            "smoothing added",
            FIRST | {"lm": 6.862},
            "You have added a tenth for the smoothing. The smoothed target is still a "
            "distribution: if all words have the same logarithm, any target pays just that.",
        ),
    ),
    hints=(
        "If all of K candidates are equally likely, the loss is ln K.",
        "The best blind answer is the share of pairs, s = 1/3: −s ln s − (1 − s) ln(1 − s).",
        "Smoothing gives weights that sum to 1; −Σ weight · ln(1/V) is ln V whatever they are.",
    ),
)

# --- predict: who receives a gradient? ------------------------------------------------------------

LEARNS = {
    "fast": "yes",
    "slow": "no",
    "queue": "no",
    "temperature": "yes",
    "head": "no",
}

WHO_LEARNS = Exercise(
    name="who_learns",
    title="Who receives a gradient?",
    kind="predict",
    difficulty=2,
    importance=4,
    minutes=4,
    prompt="""
Call `backward()` on the **comparison's** loss (ITC) alone. Which of these receive a gradient,
`"yes"` or `"no"`? The text encoder (`fast`) · the slow text encoder (`slow`) · the features in
the `queue` · the `temperature` τ · the match `head`.
""",
    solution=LEARNS,
    misconceptions=(
        Misconception(
            "slow encoder trained",
            LEARNS | {"slow": "yes"},
            "The slow encoder is moved by its own rule, the running average. If gradients reached "
            "it, it would run after the loss like the fast one, and the features of the queue "
            "would no longer fit those of today.",
        ),
        Misconception(
            "queue trained",
            LEARNS | {"queue": "yes"},
            "The queue holds numbers from earlier batches; the texts that they come from are gone. "
            "There is nothing left that a gradient could change for good.",
        ),
        Misconception(
            "slow encoder and queue trained",
            LEARNS | {"slow": "yes", "queue": "yes"},
            "All candidates are constants here, those of today's slow encoder and those of the "
            "queue. Only the side that asks learns.",
        ),
        Misconception(
            "temperature fixed",
            LEARNS | {"temperature": "no"},
            "τ divides every logit of the fast encoders, and is learned, as in CLIP.",
        ),
        Misconception(
            "match head trained",
            LEARNS | {"head": "yes"},
            "The match head belongs to the other loss (ITM). The comparison ends in features, "
            "before picture and text have met.",
        ),
        Misconception(
            "text encoder constant",
            LEARNS | {"fast": "no"},
            "In one of the two directions the *text* asks, with its fast feature: so the text "
            "encoder learns.",
        ),
    ),
    hints=(
        "Two of them are computed without a gradient: the slow copy's features.",
        "Which of them does `itc` not contain at all?",
    ),
)

# --- implement: soft targets ----------------------------------------------------------------------


def soft_targets(slow_logits, alpha, first):
    """What the comparison shall answer: the slow encoder's opinion, mixed with the truth.

    slow_logits: (B, M); alpha: from 0 to 1; the partner of row i is column first + i → (B, M)
    """
    opinion = np.exp(slow_logits)
    targets = alpha * opinion / opinion.sum(axis=1, keepdims=True)
    rows = np.arange(len(targets))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_targets_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, m, alpha, first in [(3, 11, 0.4, 0), (2, 9, 0.15, 2), (4, 13, 0.7, 4)]:
        slow_logits = 1.5 * rng.normal(size=(b, m))
        cases.append({"slow_logits": slow_logits, "alpha": alpha, "first": first})
    return cases


def _opinion(logits):
    e = np.exp(logits)
    return e / e.sum(axis=1, keepdims=True)


def _mixed(logits, alpha, column):
    targets, rows = alpha * _opinion(logits), np.arange(len(logits))
    targets[rows, column] += 1 - alpha
    return targets


def soft_not_one(slow_logits, alpha, first):
    targets, rows = alpha * _opinion(slow_logits), np.arange(len(slow_logits))
    targets[rows, first + rows] += 1
    return targets


def soft_all_of_the_opinion(slow_logits, alpha, first):
    targets, rows = _opinion(slow_logits), np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_turned_round(slow_logits, alpha, first):
    return soft_targets(slow_logits, 1 - alpha, first)


def soft_off_by_the_batch(slow_logits, alpha, first):
    return _mixed(slow_logits, alpha, first + len(slow_logits) + np.arange(len(slow_logits)))


def soft_queue_in_front(slow_logits, alpha, first):
    b, m = slow_logits.shape
    return _mixed(slow_logits, alpha, m - b + np.arange(b))


def soft_first_ignored(slow_logits, alpha, first):
    return _mixed(slow_logits, alpha, np.arange(len(slow_logits)))


def soft_one_column(slow_logits, alpha, first):
    return _mixed(slow_logits, alpha, np.full(len(slow_logits), first))


def soft_every_column(slow_logits, alpha, first):
    targets = alpha * _opinion(slow_logits)
    targets[:, first : first + len(targets)] += 1 - alpha
    return targets


def soft_over_rows(slow_logits, alpha, first):
    targets, rows = alpha * _opinion(slow_logits.T).T, np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_truth_only(slow_logits, alpha, first):
    return _mixed(slow_logits, 0.0, first + np.arange(len(slow_logits)))


def soft_opinion_only(slow_logits, alpha, first):
    return _opinion(slow_logits)


def soft_hard_opinion(slow_logits, alpha, first):
    targets, rows = np.zeros(slow_logits.shape), np.arange(len(slow_logits))
    targets[rows, slow_logits.argmax(axis=1)] += alpha
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_without_softmax(slow_logits, alpha, first):
    targets, rows = alpha * slow_logits, np.arange(len(slow_logits))
    targets[rows, first + rows] += 1 - alpha
    return targets


def soft_partner_replaced(slow_logits, alpha, first):
    targets, rows = alpha * _opinion(slow_logits), np.arange(len(slow_logits))
    targets[rows, first + rows] = 1 - alpha
    return targets


SOFT_TARGETS = Exercise(
    name="soft_targets",
    title="Targets that admit a second right answer",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=9,
    prompt="""
`slow_logits` (B, M) are the logits of the slow encoders: each of B pictures with M candidate texts.
The target of row i is a **distribution** over the candidates,

$$q_i = \\alpha \\cdot \\text{softmax}(\\ell_i)
+ (1 - \\alpha) \\cdot \\text{one-hot}(\\text{partner}_i).$$

Where do the partners stand? In front are the pairs of all processes, in their order, and behind
them the queue. The partner of row i is column `first + i`; `first` is 0 on the first process.

By hand: one row, logits ln 3, 0, 0, `alpha` 0.5, `first` 1. The softmax is 0.6, 0.2, 0.2; half of
it is 0.3, 0.1, 0.1; the partner, column 1, gets the other half: **0.3, 0.6, 0.1**, which sum to 1.
""",
    solution=soft_targets,
    cases=soft_targets_cases,
    misconceptions=(
        Misconception(
            "does not sum to one",
            soft_not_one,
            "Your rows sum to 1 + alpha: the partner's share is 1 − alpha, not 1. A target that is "
            "no distribution has no loss at which the network could rest.",
        ),
        Misconception(
            "the whole opinion",
            soft_all_of_the_opinion,
            "Your softmax is not multiplied by alpha, so your rows sum to 2 − alpha.",
        ),
        Misconception(
            "alpha the wrong way round",
            soft_turned_round,
            "Your alpha is the weight of the truth. It is the weight of the slow encoder's "
            "*opinion*: with alpha 0 the targets are the plain labels.",
        ),
        Misconception(
            "off by the batch",
            soft_off_by_the_batch,
            "Your partners stand one batch too far to the right, behind the pairs of this process. "
            "They begin at column `first`.",
        ),
        Misconception(
            "queue in front",
            soft_queue_in_front,
            "Your partners are the last columns, as if the queue stood in front. It stands behind: "
            "in your targets the right answer is somebody of an earlier batch.",
        ),
        Misconception(
            "first ignored",
            soft_first_ignored,
            "You take column i for the partner of row i. That is right on the first process only: "
            "add `first`.",
        ),
        Misconception(
            "one partner for all",
            soft_one_column,
            "All your rows have the same partner, column `first`. Row i has column first + i.",
        ),
        Misconception(
            "everybody's partner",
            soft_every_column,
            "You add 1 − alpha to the columns of *all* partners in each row: `targets[:, …]` is a "
            "block. Give rows and columns as two lists of indices.",
        ),
        Misconception(
            "softmax over the rows",
            soft_over_rows,
            "Your softmax runs down the columns. Each row, one picture, chooses among its M "
            "candidates: `axis=1`.",
        ),
        Misconception(
            "truth only",
            soft_truth_only,
            "Your targets are the plain labels; the slow encoder is not asked.",
        ),
        Misconception(
            "opinion only",
            soft_opinion_only,
            "Your targets are the slow encoder's opinion alone. Nothing would ever tell the two "
            "encoders which text belongs to which picture.",
        ),
        Misconception(
            "opinion of one",
            soft_hard_opinion,
            "You give alpha to the one candidate that the slow encoder likes best. Its opinion is "
            "the whole softmax, which may be divided among several.",
        ),
        Misconception(
            "logits for probabilities",
            soft_without_softmax,
            "You mix the logits themselves; take their softmax first.",
        ),
        Misconception(
            "partner's opinion lost",
            soft_partner_replaced,
            "You *set* the partner to 1 − alpha, and lose what the slow encoder gave it: add.",
        ),
    ),
    hints=(
        "`np.exp(slow_logits)`, divided by its sum over `axis=1`, is the softmax.",
        "`rows = np.arange(B)`; `targets[rows, first + rows]` are the B partners.",
        "`+=` keeps the slow encoder's opinion of the partner.",
    ),
)

# --- implement: three uses of one text ------------------------------------------------------------


def prepared(tokens, use, end, match, write):
    """One text for one of its three uses.

    tokens: whole numbers (L,), the first says "a text begins"; use: "alone", "match" or "write";
    end, match, write: ids → (tokens (L,), who may look at whom bool (L, L), is a picture seen?)
    """
    tokens = tokens.copy()
    tokens[0] = {"alone": tokens[0], "match": match, "write": write}[use]
    is_end = tokens == end
    is_pad = np.cumsum(is_end) > is_end
    may_attend = np.repeat(~is_pad[None], len(tokens), axis=0)
    if use == "write":
        may_attend = np.tril(may_attend)
    return tokens, may_attend, use != "alone"


def prepared_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for use, n, pads_are_ends in [
        ("write", 9, False),
        ("match", 8, True),
        ("alone", 10, False),
        ("write", 7, True),
    ]:
        start, end, match, write = rng.permutation(np.arange(20, 30))[:4].tolist()
        words = int(rng.integers(2, n - 3))
        tokens = np.full(n, end if pads_are_ends else 0)
        tokens[: words + 2] = [start, *rng.integers(1, 20, words), end]
        cases.append({"tokens": tokens, "use": use, "end": end, "match": match, "write": write})
    return cases


def _masked(tokens, use, end, match, write, causal, hides=None):
    """The pieces of `prepared`, with the parts that people get wrong as arguments."""
    led, _, sees = prepared(tokens, use, end, match, write)
    is_end = tokens == end
    is_pad = np.cumsum(is_end) > is_end if hides is None else hides(is_end)
    may = np.repeat(~is_pad[None], len(tokens), axis=0)
    return led, np.tril(may) if causal else may, sees


def prepared_never_causal(tokens, use, end, match, write):
    return _masked(tokens, use, end, match, write, causal=False)


def prepared_always_causal(tokens, use, end, match, write):
    return _masked(tokens, use, end, match, write, causal=True)


def prepared_marks_exchanged(tokens, use, end, match, write):
    return prepared(tokens, use, end, write, match)


def prepared_without_mark(tokens, use, end, match, write):
    return prepared(tokens, use, end, tokens[0], tokens[0])


def prepared_mark_in_front(tokens, use, end, match, write):
    mark = {"alone": tokens[0], "match": match, "write": write}[use]
    longer = tokens if use == "alone" else np.concatenate([[mark], tokens])
    return (longer, *prepared(longer, use, end, match, write)[1:])


def prepared_picture_alone(tokens, use, end, match, write):
    return (*prepared(tokens, use, end, match, write)[:2], True)


def prepared_picture_in_matching_only(tokens, use, end, match, write):
    return (*prepared(tokens, use, end, match, write)[:2], use == "match")


def prepared_pads_seen(tokens, use, end, match, write):
    def hides(is_end):
        return np.zeros(len(is_end), bool)

    return _masked(tokens, use, end, match, write, use == "write", hides)


def prepared_end_hidden(tokens, use, end, match, write):
    return _masked(
        tokens, use, end, match, write, use == "write", lambda is_end: np.cumsum(is_end) > 0
    )


def prepared_by_name_of_the_pad(tokens, use, end, match, write):
    return _masked(tokens, use, end, match, write, use == "write", lambda is_end: tokens == 0)


def prepared_not_oneself(tokens, use, end, match, write):
    led, may, sees = prepared(tokens, use, end, match, write)
    return led, np.tril(may, -1) if use == "write" else may, sees


def prepared_judge_blind(tokens, use, end, match, write):
    return (*prepared(tokens, use, end, match, write)[:2], use == "write")


THREE_USES = Exercise(
    name="prepared",
    title="One text, three uses",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
One text transformer, three uses. `tokens` (L,) is a text: a first token that says "a text begins",
words, the token `end`, and then pads (zeros, or `end` once more). Return three things: the tokens,
a mask bool (L, L), True where the row may look at the column, and whether the picture is seen.

| `use` | first token | who sees whom | picture |
|---|---|---|---|
| `"alone"`: to be compared | stays | all see all | no |
| `"match"`: do they belong together? | `match`, [ENC] | all see all | yes |
| `"write"`: the next word | `write`, [DEC] | each sees itself and what is before it | yes |

The mark stands **in the place of** the first token; the text gets no longer. Nobody looks at what
stands behind the *first* end token.
""",
    solution=prepared,
    cases=prepared_cases,
    misconceptions=(
        Misconception(
            "causal mask forgotten",
            prepared_never_causal,
            "Your writer sees the words that it shall predict. Its loss will fall to nearly "
            'nothing, and it will write rubbish: `"write"` needs the lower triangle.',
        ),
        Misconception(
            "causal everywhere",
            prepared_always_causal,
            "Your readers look back only. Then the first place, from which the verdict is read, "
            'has seen nothing but the mark: only `"write"` is causal.',
        ),
        Misconception(
            "marks exchanged",
            prepared_marks_exchanged,
            "You have mixed up the marks: [ENC] (`match`) leads a text that is judged, [DEC] "
            "(`write`) one that is written.",
        ),
        Misconception(
            "marks forgotten",
            prepared_without_mark,
            "Your first token always stays. The layers are shared, so only the mark tells a text "
            "that is read with a picture from one that is written.",
        ),
        Misconception(
            "mark in front",
            prepared_mark_in_front,
            "You put the mark in front of the text, which gets longer by one and whose words all "
            "move to another position. It takes the *place* of the first token.",
        ),
        Misconception(
            "picture seen alone",
            prepared_picture_alone,
            "A text that is compared must not see the picture: its feature is computed once, and "
            "compared with all pictures.",
        ),
        Misconception(
            "writer blind",
            prepared_picture_in_matching_only,
            "Your writer sees no picture. It would be a language model, and its captions would be "
            "the same for all pictures.",
        ),
        Misconception(
            "pads seen",
            prepared_pads_seen,
            "The pads can be looked at in yours: then what a text means depends on how long the "
            "longest of its batch is.",
        ),
        Misconception(
            "end hidden",
            prepared_end_hidden,
            "You hide the first end token, too. It belongs to the text: only what stands behind it "
            "is padding.",
        ),
        Misconception(
            "pads by their id",
            prepared_by_name_of_the_pad,
            "You hide what is 0. In some texts the pads are end tokens: look for the first end, "
            "and hide what is behind it.",
        ),
        Misconception(
            "not oneself",
            prepared_not_oneself,
            "In your causal mask nobody sees itself, and the first token nothing at all. The "
            "diagonal belongs to it: a place predicts the *next* word.",
        ),
        Misconception(
            "judge blind",
            prepared_judge_blind,
            "Your judge sees no picture. Whether a text fits cannot be told from the text alone.",
        ),
    ),
    hints=(
        "`np.cumsum(tokens == end)` is 0 before the first end, 1 at it, and 1 or more behind it.",
        "A pad is where this sum is larger than `tokens == end` at the same place.",
        "`np.repeat(~is_pad[None], L, axis=0)` hides the pads from every row; `np.tril` takes away "
        "what comes later.",
    ),
)

# --- implement: hard negatives --------------------------------------------------------------------


def negative_chances(logits, same):
    """With which probability each text is drawn as a picture's false partner.

    logits: (B, C), each picture with each text; same: bool (B, C), True where the text is the
    picture's own, or the very same words → (B, C), each row sums to 1
    """
    alike = np.exp(logits)
    weights = alike / alike.sum(axis=1, keepdims=True) + 0.0001
    weights[same] = 0
    return weights / weights.sum(axis=1, keepdims=True)


def negative_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, c, wide in [(3, 7, 1.0), (4, 6, 2.5), (2, 9, 5.0)]:
        same = np.zeros((b, c), bool)
        same[np.arange(b), np.arange(b)] = True
        same[0, b] = same[b - 1, b + 1] = True  # the same words once more
        logits = wide * rng.normal(size=(b, c)) + 1.5 * same
        cases.append({"logits": logits, "same": same})
    return cases


def _drawn(weights, same):
    weights = np.where(same, 0, weights)
    return weights / weights.sum(axis=1, keepdims=True)


def negative_or_positive(logits, same):
    return _drawn(_opinion(logits) + 1e-4, np.zeros(same.shape, bool))


def negative_twins_drawn(logits, same):
    return _drawn(_opinion(logits) + 1e-4, np.eye(*same.shape, dtype=bool))


def negative_only_positives(logits, same):
    return _drawn(_opinion(logits) + 1e-4, ~same)


def negative_easiest(logits, same):
    return _drawn(_opinion(-logits) + 1e-4, same)


def negative_hardest_only(logits, same):
    best = np.where(same, -np.inf, logits).argmax(axis=1)
    return (np.arange(logits.shape[1]) == best[:, None]).astype(float)


def negative_at_random(logits, same):
    return _drawn(np.ones(logits.shape), same)


def negative_over_rows(logits, same):
    return _drawn(_opinion(logits.T).T + 1e-4, same)


def negative_not_renewed(logits, same):
    return np.where(same, 0, _opinion(logits) + 1e-4)


def negative_without_floor(logits, same):
    return _drawn(_opinion(logits), same)


def negative_positives_by_the_floor(logits, same):
    weights = np.where(same, 0, _opinion(logits)) + 1e-4
    return weights / weights.sum(axis=1, keepdims=True)


def negative_masked_to_zero(logits, same):
    return _opinion(np.where(same, 0, logits))


def negative_floor_after_masking(logits, same):
    e = np.where(same, 0, np.exp(logits))
    return _drawn(e / e.sum(axis=1, keepdims=True) + 1e-4, same)


HARD_NEGATIVES = Exercise(
    name="negative_chances",
    title="Hard negatives, and never the positive",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=8,
    prompt="""
The match head needs mismatches, and easy ones teach it nothing. So each picture is given a false
text that is **like** its own: drawn with a probability that grows with the similarity. From
`logits` (B, C), each picture with each text of the batch:

1. take the softmax of each row and add 0.0001, so that nobody is out of reach;
2. give 0 to those that are `same` (True for the picture's own text, and for any other that is the
   very same words);
3. divide by the sum, so that each row sums to 1.

By hand: one row, logits ln 6, ln 3, 0, the first is `same`. The softmax is 0.6, 0.3, 0.1; with the
floor and without the first 0, 0.3001, 0.1001; divided by their sum: 0, **0.74988**, **0.25012**.
""",
    solution=negative_chances,
    cases=negative_cases,
    misconceptions=(
        Misconception(
            "the positive is drawn",
            negative_or_positive,
            "Your hard negatives may be the positive itself, and it is the likeliest of all. The "
            "head would be told that true pairs are false.",
        ),
        Misconception(
            "twins are drawn",
            negative_twins_drawn,
            "You leave out the diagonal only. A picture whose caption is the very same words is "
            "true for both: leave out all that is `same`.",
        ),
        Misconception(
            "positives only",
            negative_only_positives,
            "You draw among those that are `same`: the mask is the wrong way round.",
        ),
        Misconception(
            "the easiest",
            negative_easiest,
            "The *least* similar texts are likeliest in yours: the sign of the logits is wrong. "
            "That a cube is no torus the head knows after a few steps.",
        ),
        Misconception(
            "the hardest only",
            negative_hardest_only,
            "You always take the most similar text. It is to be *drawn*: the most similar one is "
            "often right as well, and the same in every epoch.",
        ),
        Misconception(
            "at random",
            negative_at_random,
            "All false texts are equally likely in yours, and most of those are easy.",
        ),
        Misconception(
            "softmax over the rows",
            negative_over_rows,
            "Your softmax runs down the columns. A picture chooses among the texts of its row.",
        ),
        Misconception(
            "does not sum to one",
            negative_not_renewed,
            "Your rows lack what the positives had: divide by the sum once more.",
        ),
        Misconception(
            "no floor",
            negative_without_floor,
            "The 0.0001 is missing. Early in the training a softmax may be sharp and wrong; what "
            "it gives 0 would never be met.",
        ),
        Misconception(
            "floor for the positives too",
            negative_positives_by_the_floor,
            "You add the floor after the mask, and so the positive is drawn now and then.",
        ),
        Misconception(
            "logits set to zero",
            negative_masked_to_zero,
            "You set the logits of the positives to 0, but e⁰ is 1, not 0. Set the *weights* to 0.",
        ),
        Misconception(
            "masked before the softmax",
            negative_floor_after_masking,
            "You leave the positives out before the softmax, so that the floor counts less beside "
            "the others. Softmax over all first, then the floor, then the mask.",
        ),
    ),
    hints=(
        "`weights = np.exp(logits)`, divided by its sum over `axis=1, keepdims=True`.",
        "`weights[same] = 0` sets many places at once.",
        "The sums have to be computed anew after that.",
    ),
)

# --- repair: the loss of the words ----------------------------------------------------------------


def caption_loss(log_p, tokens, end, smoothing):
    """The loss of the next words, smoothed; what stands behind the first end costs nothing.

    log_p: (B, L, V), place t tells the token at t + 1; tokens: whole numbers (B, L) → float
    """
    said, target = log_p[:, :-1], tokens[:, 1:]
    own = np.take_along_axis(said, target[:, :, None], axis=2)[:, :, 0]
    paid = -(1 - smoothing) * own - smoothing * said.mean(axis=2)
    is_end = target == end
    counts = np.cumsum(is_end, axis=1) <= is_end
    return (paid * counts).sum() / counts.sum()


def caption_loss_broken(log_p, tokens, end, smoothing):
    """The loss of the next words, smoothed; what stands behind the first end costs nothing.

    log_p: (B, L, V), place t tells the token at t + 1; tokens: whole numbers (B, L) → float
    """
    said, target = log_p[:, :-1], tokens[:, 1:]
    own = np.take_along_axis(said, target[:, :, None], axis=2)[:, :, 0]
    is_end = target == end
    counts = np.cumsum(is_end, axis=1) <= is_end
    truth = -(1 - smoothing) * own * counts
    smooth = -smoothing * said.mean(axis=2)
    return (truth + smooth).sum() / counts.sum()


def caption_loss_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, n, v, pad_is_end, smoothing in [(3, 8, 6, True, 0.1), (2, 9, 7, False, 0.25)]:
        end = v - 1
        tokens = np.full((b, n), end if pad_is_end else 0)
        for row, length in zip(tokens, rng.permutation(np.arange(2, n - 2))[:b], strict=True):
            row[: length + 2] = [v - 2, *rng.integers(0, v - 2, length), end]
        logits = 1.5 * rng.normal(size=(b, n, v))
        log_p = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
        cases.append({"log_p": log_p, "tokens": tokens, "end": end, "smoothing": smoothing})
    return cases


def _paid(log_p, target, smoothing):
    own = np.take_along_axis(log_p, target[..., None], axis=2)[..., 0]
    return -(1 - smoothing) * own - smoothing * log_p.mean(axis=2)


def _counting(target, end):
    is_end = target == end
    return np.cumsum(is_end, axis=1) <= is_end


def caption_over_all_places(log_p, tokens, end, smoothing):
    paid = _paid(log_p[:, :-1], tokens[:, 1:], smoothing)
    return (paid * _counting(tokens[:, 1:], end)).mean()


def caption_with_pads(log_p, tokens, end, smoothing):
    return _paid(log_p[:, :-1], tokens[:, 1:], smoothing).mean()


def caption_without_end(log_p, tokens, end, smoothing):
    paid = _paid(log_p[:, :-1], tokens[:, 1:], smoothing)
    counts = np.cumsum(tokens[:, 1:] == end, axis=1) == 0
    return (paid * counts).sum() / counts.sum()


def caption_by_names(log_p, tokens, end, smoothing):
    paid = _paid(log_p[:, :-1], tokens[:, 1:], smoothing)
    counts = tokens[:, 1:] != end
    return (paid * counts).sum() / counts.sum()


def caption_not_shifted(log_p, tokens, end, smoothing):
    counts = _counting(tokens, end)
    return (_paid(log_p, tokens, smoothing) * counts).sum() / counts.sum()


def caption_not_smoothed(log_p, tokens, end, smoothing):
    return caption_loss(log_p, tokens, end, 0.0)


def caption_smoothed_twice(log_p, tokens, end, smoothing):
    return caption_loss(log_p, tokens, end, 1 - smoothing)


def caption_sum_of_smooth(log_p, tokens, end, smoothing):
    said, target = log_p[:, :-1], tokens[:, 1:]
    own = np.take_along_axis(said, target[..., None], axis=2)[..., 0]
    paid = -(1 - smoothing) * own - smoothing * said.sum(axis=2)
    counts = _counting(target, end)
    return (paid * counts).sum() / counts.sum()


def caption_to_the_others(log_p, tokens, end, smoothing):
    said, target = log_p[:, :-1], tokens[:, 1:]
    own = np.take_along_axis(said, target[..., None], axis=2)[..., 0]
    others = (said.sum(axis=2) - own) / (said.shape[2] - 1)
    counts = _counting(target, end)
    return ((-(1 - smoothing) * own - smoothing * others) * counts).sum() / counts.sum()


def caption_mean_of_means(log_p, tokens, end, smoothing):
    paid, counts = _paid(log_p[:, :-1], tokens[:, 1:], smoothing), _counting(tokens[:, 1:], end)
    return ((paid * counts).sum(axis=1) / counts.sum(axis=1)).mean()


CAPTION_LOSS = Exercise(
    name="caption_loss",
    title="Repair: a loss that pays for nothing",
    kind="repair",
    difficulty=3,
    importance=4,
    minutes=8,
    prompt="""
This loss runs, falls, and depends on the *length of the longest caption in the batch*: the same
captions with more pads behind them cost more. Repair it.

Place t of `log_p` (B, L, V) tells the token at t + 1. Each word, and the first end token, costs −(1
− ε) log p(the token) − ε · the mean of log p over all V tokens; what stands behind the first end
costs **nothing**. The loss is the mean over all tokens that count, in the whole batch. Pads may be
end tokens or zeros, and 0 is a word, too.
""",
    solution=caption_loss,
    stub=caption_loss_broken,
    cases=caption_loss_cases,
    misconceptions=(
        Misconception(
            "mean over all places",
            caption_over_all_places,
            "You divide by all places, pads included. Then the loss gets smaller the more pads "
            "there are: divide by the number of tokens that count.",
        ),
        Misconception(
            "pads count",
            caption_with_pads,
            "Now the pads count altogether, truth and smoothing. Neither may.",
        ),
        Misconception(
            "end left out",
            caption_without_end,
            "You leave out the first end token. It has to be told, too, or the captioner never "
            "learns to stop.",
        ),
        Misconception(
            "pads by their id",
            caption_by_names,
            "You leave out what *is* an end token. The first one counts, and pads may have another "
            "id: what counts is the place, up to the first end.",
        ),
        Misconception(
            "not shifted",
            caption_not_shifted,
            "You hold place t to the token at t, which the network has just read. It tells the "
            "*next* one: `log_p[:, :-1]` with `tokens[:, 1:]`.",
        ),
        Misconception(
            "smoothing thrown out",
            caption_not_smoothed,
            "You threw the smoothing out. It is right for the tokens that count, and wrong only "
            "behind the end.",
        ),
        Misconception(
            "smoothing the wrong way round",
            caption_smoothed_twice,
            "The weights are exchanged: the truth has 1 − ε, the mean over all tokens ε.",
        ),
        Misconception(
            "sum in place of mean",
            caption_sum_of_smooth,
            "You take the sum of log p over the vocabulary; ε is spread over its V tokens: the "
            "mean.",
        ),
        Misconception(
            "spread over the others",
            caption_to_the_others,
            "You spread ε over the other V − 1 tokens. Here, as in the library and in torch, the "
            "true one has its share as well: the mean over all V.",
        ),
        Misconception(
            "mean of means",
            caption_mean_of_means,
            "You average each caption first, so that a word of a short caption counts more. The "
            "mean over all tokens of the batch is asked for.",
        ),
    ),
    hints=(
        "Which of the two terms is multiplied by `counts`?",
        "What one place pays is the sum of both terms; multiply that sum.",
    ),
    equivalent={
        "constant 7:69 0 → -1": "the last axis has one place, which is the last as well",
    },
)

# --- repair: after the step -----------------------------------------------------------------------


def after_step(slow, fast, keep, queue, pointer, newest):
    """The slow weights follow; the newest features replace the oldest.

    slow, fast: (D, E); keep: near 1; queue: (Q, E); newest: (n, E), n ≤ Q
    → (slow (D, E), queue (Q, E), the place of the now oldest)
    """
    slow = keep * slow + (1 - keep) * fast
    places = (pointer + np.arange(len(newest))) % len(queue)
    queue = queue.copy()
    queue[places] = newest
    return slow, queue, (pointer + len(newest)) % len(queue)


def after_step_broken(slow, fast, keep, queue, pointer, newest):
    """The slow weights follow; the newest features replace the oldest.

    slow, fast: (D, E); keep: near 1; queue: (Q, E); newest: (n, E), n ≤ Q
    → (slow (D, E), queue (Q, E), the place of the now oldest)
    """
    slow = (1 - keep) * slow + keep * fast
    places = (pointer + np.arange(len(newest))) % len(queue)
    queue = queue.copy()
    queue[places] = newest
    return slow, queue, (pointer + len(newest)) % len(queue)


def after_step_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for d, e, q, n, pointer, keep in [(3, 2, 7, 4, 5, 0.9), (2, 5, 9, 3, 2, 0.995)]:
        slow, fast = rng.normal(size=(2, d, e))
        cases.append({
            "slow": slow, "fast": fast, "keep": keep, "queue": rng.normal(size=(q, e)),
            "pointer": pointer, "newest": rng.normal(size=(n, e)),
        })  # fmt: skip
    return cases


def _stepped(slow, fast, keep, queue, pointer, newest, places=None, to=None):
    followed, filled, moved = after_step(slow, fast, keep, queue, pointer, newest)
    if places is not None:
        filled = queue.copy()
        filled[places] = newest[: len(places)]
    return followed, filled, moved if to is None else to


def after_step_copied(slow, fast, keep, queue, pointer, newest):
    return (fast.copy(), *_stepped(slow, fast, keep, queue, pointer, newest)[1:])


def after_step_frozen(slow, fast, keep, queue, pointer, newest):
    return (slow.copy(), *_stepped(slow, fast, keep, queue, pointer, newest)[1:])


def after_step_added(slow, fast, keep, queue, pointer, newest):
    return (keep * slow + fast, *_stepped(slow, fast, keep, queue, pointer, newest)[1:])


def after_step_at_the_front(slow, fast, keep, queue, pointer, newest):
    return _stepped(slow, fast, keep, queue, pointer, newest, np.arange(len(newest)))


def after_step_cut_off(slow, fast, keep, queue, pointer, newest):
    places = np.arange(pointer, min(pointer + len(newest), len(queue)))
    return _stepped(slow, fast, keep, queue, pointer, newest, places)


def after_step_last_places(slow, fast, keep, queue, pointer, newest):
    places = (pointer - len(newest) + np.arange(len(newest))) % len(queue)
    return _stepped(slow, fast, keep, queue, pointer, newest, places)


def after_step_not_wrapped(slow, fast, keep, queue, pointer, newest):
    return _stepped(slow, fast, keep, queue, pointer, newest, to=pointer + len(newest))


def after_step_by_one(slow, fast, keep, queue, pointer, newest):
    return _stepped(slow, fast, keep, queue, pointer, newest, to=(pointer + 1) % len(queue))


def after_step_shifted(slow, fast, keep, queue, pointer, newest):
    followed, _, moved = after_step(slow, fast, keep, queue, pointer, newest)
    return followed, np.concatenate([newest, queue[: len(queue) - len(newest)]]), moved


AFTER_STEP = Exercise(
    name="after_step",
    title="Repair: a slow encoder that is not slow",
    kind="repair",
    difficulty=2,
    importance=4,
    minutes=5,
    prompt="""
Three things happen after each step: the slow weights move a little towards the fast ones, of which
they **keep** a share `keep` (0.995) of themselves; the newest features take the places of the
oldest in the queue, from `pointer` on and, behind its end, from its start; `pointer` moves on to
the now oldest. With this code the training is no better than without any slow encoder: what lies in
the queue no longer fits the features of today. Find the line.
""",
    solution=after_step,
    stub=after_step_broken,
    cases=after_step_cases,
    misconceptions=(
        Misconception(
            "copied",
            after_step_copied,
            "Your slow weights *are* the fast ones after each step. That is a queue without a slow "
            "encoder: its features age within a few steps.",
        ),
        Misconception(
            "frozen",
            after_step_frozen,
            "Your slow weights never move: then they stay what they were before the training.",
        ),
        Misconception(
            "added",
            after_step_added,
            "Your shares do not sum to 1: the weights grow with every step. The fast ones get "
            "1 − keep.",
        ),
        Misconception(
            "always at the front",
            after_step_at_the_front,
            "Your newest features always take the first places: the others stay for ever.",
        ),
        Misconception(
            "cut off at the end",
            after_step_cut_off,
            "Features that do not fit in before the end of the queue are lost in yours. They go on "
            "at its start: `% len(queue)`.",
        ),
        Misconception(
            "before the pointer",
            after_step_last_places,
            "You write *before* the pointer: those are the youngest. The oldest begin at it.",
        ),
        Misconception(
            "pointer not wrapped",
            after_step_not_wrapped,
            "Your pointer runs out of the queue: take it modulo the queue's length.",
        ),
        Misconception(
            "pointer by one",
            after_step_by_one,
            "Your pointer moves by one place, but as many were written as there are new features.",
        ),
        Misconception(
            "shifted",
            after_step_shifted,
            "You push the whole queue along. Then the pointer no longer says where the oldest are; "
            "only the places from the pointer on are to be written.",
        ),
    ),
    hints=(
        "With `keep` 0.995, how much of the slow weights is left after one step of this code?",
        "`keep` belongs to what is kept.",
    ),
)

# --- ablate: no opinion of the slow encoder -------------------------------------------------------


def soft_contrast(image, slow_image, slow_text, queue, tau, alpha):
    """The comparison of B pictures with the slow encoder's texts and the queue's.

    image, slow_image, slow_text: (B, E), queue: (Q, E), all of length 1 → float
    """
    candidates = np.concatenate([slow_text, queue])
    opinion = np.exp(slow_image @ candidates.T / tau)
    targets = alpha * opinion / opinion.sum(axis=1, keepdims=True)
    rows = np.arange(len(image))
    targets[rows, rows] += 1 - alpha
    logits = image @ candidates.T / tau
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -(targets * log_p).sum(axis=1).mean()


def hard_contrast(image, slow_image, slow_text, queue, tau, alpha):
    """The comparison of B pictures with the slow encoder's texts and the queue's; plain labels.

    image, slow_image, slow_text: (B, E), queue: (Q, E), all of length 1 → float
    """
    candidates = np.concatenate([slow_text, queue])
    logits = image @ candidates.T / tau
    own = np.diag(logits)
    return (np.log(np.exp(logits).sum(axis=1)) - own).mean()


def _units(rng, n, e):
    x = rng.normal(size=(n, e))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def hard_contrast_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, q, e, tau, alpha in [(3, 7, 5, 0.5, 0.4), (4, 6, 3, 0.3, 0.7)]:
        image, slow_image, slow_text, queue = (_units(rng, n, e) for n in (b, b, b, q))
        cases.append({
            "image": image, "slow_image": slow_image, "slow_text": slow_text, "queue": queue,
            "tau": tau, "alpha": alpha,
        })  # fmt: skip
    return cases


def _plain(logits, column=None):
    rows = np.arange(len(logits))
    own = logits[rows, rows if column is None else column]
    return (np.log(np.exp(logits).sum(axis=1)) - own).mean()


def contrast_without_queue(image, slow_image, slow_text, queue, tau, alpha):
    return _plain(image @ slow_text.T / tau)


def contrast_opinion_only(image, slow_image, slow_text, queue, tau, alpha):
    return soft_contrast(image, slow_image, slow_text, queue, tau, 1.0)


def contrast_smoothed(image, slow_image, slow_text, queue, tau, alpha):
    logits = image @ np.concatenate([slow_text, queue]).T / tau
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = np.diag(log_p)
    return -((1 - alpha) * own + alpha * log_p.mean(axis=1)).mean()


def contrast_lowered(image, slow_image, slow_text, queue, tau, alpha):
    return (1 - alpha) * hard_contrast(image, slow_image, slow_text, queue, tau, alpha)


def contrast_off_by_the_batch(image, slow_image, slow_text, queue, tau, alpha):
    logits = image @ np.concatenate([slow_text, queue]).T / tau
    return _plain(logits, np.arange(len(image)) + len(image) - 1)


def contrast_of_the_slow(image, slow_image, slow_text, queue, tau, alpha):
    return _plain(slow_image @ np.concatenate([slow_text, queue]).T / tau)


def contrast_without_own(image, slow_image, slow_text, queue, tau, alpha):
    logits = image @ np.concatenate([slow_text, queue]).T / tau
    e = np.exp(logits)
    np.fill_diagonal(e, 0)
    return (np.log(e.sum(axis=1)) - np.diag(logits)).mean()


HARD_CONTRAST = Exercise(
    name="hard_contrast",
    title="Ablate: nobody else may be right",
    kind="ablate",
    difficulty=2,
    importance=3,
    minutes=6,
    prompt="""
Here is one direction of the comparison, complete: candidates of the slow encoder, in front those of
the batch, behind them the queue, and soft targets. Take the **slow encoder's opinion** out of the
targets and nothing else: the queue stays, and the partner is the only right answer. (MoCo's labels
are of that kind.)
""",
    solution=hard_contrast,
    stub=soft_contrast,
    cases=hard_contrast_cases,
    misconceptions=(
        Misconception(
            "queue gone too",
            contrast_without_queue,
            "The queue is gone, too. Only the *targets* were to become hard; the candidates stay.",
        ),
        Misconception(
            "opinion only",
            contrast_opinion_only,
            "You kept the opinion and took the truth away: alpha is to be 0, not 1.",
        ),
        Misconception(
            "smoothed",
            contrast_smoothed,
            "You replaced the opinion by equal shares for all: that is label smoothing. The "
            "partner is to have everything.",
        ),
        Misconception(
            "partner's share left as it was",
            contrast_lowered,
            "The partner still has 1 − alpha only, so your targets no longer sum to 1.",
        ),
        Misconception(
            "labels off",
            contrast_off_by_the_batch,
            "Your labels are shifted to the end of the batch's columns and beyond, into the queue. "
            "The partner of row i is column i.",
        ),
        Misconception(
            "the slow encoder asked",
            contrast_of_the_slow,
            "Your logits are those of the *slow* picture features. Nobody would receive a "
            "gradient: the fast ones ask.",
        ),
        Misconception(
            "partner left out of the sum",
            contrast_without_own,
            "The partner is missing in your sum. It is a candidate, too.",
        ),
    ),
    hints=(
        "Which value of alpha gives it? What is left of the code then?",
        "Σ target · log p has one term in each row: log p of column i.",
    ),
)

# --- implement: the filter ------------------------------------------------------------------------


def kept_captions(web, written, least):
    """Which of two captions of each picture remain for the next training.

    web, written: (N,), the probability that the caption of the web, and the one that was written,
    matches its picture → (rows (M,) of the pictures, is it written? bool (M,)); the web's first
    """
    both = np.concatenate([web, written])
    keep = both > least
    rows = np.tile(np.arange(len(web)), 2)
    is_written = np.arange(len(both)) >= len(web)
    return rows[keep], is_written[keep]


def kept_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, least in [(9, 0.5), (12, 0.75), (8, 0.25)]:
        web, written = rng.uniform(size=(2, n))
        web[:2], written[:2] = (0.97, 0.98), (0.99, 0.02)  # both good; the web's alone
        web[2:4], written[2:4] = (0.01, 0.03), (0.96, 0.04)  # the written alone; none
        web[4] = written[5] = least  # not above it
        order = np.concatenate([[0], 1 + rng.permutation(n - 1)])
        cases.append({"web": web[order], "written": written[order], "least": least})
    return cases


def _of(n, web_keep, written_keep):
    keep = np.concatenate([web_keep, written_keep])
    return np.tile(np.arange(n), 2)[keep], (np.arange(2 * n) >= n)[keep]


def kept_wrong_way(web, written, least):
    return _of(len(web), web < least, written < least)


def kept_at_least(web, written, least):
    return _of(len(web), web >= least, written >= least)


def kept_web_always(web, written, least):
    return _of(len(web), np.ones(len(web), bool), written > least)


def kept_written_always(web, written, least):
    return _of(len(web), web > least, np.ones(len(web), bool))


def kept_better_of_two(web, written, least):
    return _of(len(web), (web > least) & (web >= written), (written > least) & (written > web))


def kept_as_replacement(web, written, least):
    return _of(len(web), web > least, (written > least) & ~(web > least))


def kept_both_or_none(web, written, least):
    both = (web > least) & (written > least)
    return _of(len(web), both, both)


def kept_written_first(web, written, least):
    rows, flags = kept_captions(web, written, least)
    order = np.argsort(~flags, kind="stable")
    return rows[order], flags[order]


def kept_by_picture(web, written, least):
    rows, flags = kept_captions(web, written, least)
    order = np.argsort(rows, kind="stable")
    return rows[order], flags[order]


def kept_places(web, written, least):
    return np.flatnonzero(np.concatenate([web, written]) > least), kept_captions(
        web, written, least
    )[1]


def kept_flags_turned(web, written, least):
    rows, flags = kept_captions(web, written, least)
    return rows, ~flags


KEPT_CAPTIONS = Exercise(
    name="kept_captions",
    title="The filter: which captions remain?",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=7,
    prompt="""
Each of N pictures has two captions: one from the web, one that the captioner has written. The match
head has given each a probability that it fits its picture, `web` (N,) and `written` (N,). Each
caption is judged **for itself**, and kept if its probability is **above** `least`: a picture may
keep both, one, or none. Return the rows (numbers) of the pictures that the kept captions belong to,
those of the web first, in the order of the pictures, then the written ones; and for each True if it
was written.

By hand: `web` 0.9, 0.2, 0.7, `written` 0.8, 0.6, 0.1, `least` 0.5. Kept are the web's of 0 and 2,
the written ones of 0 and 1: rows **0, 2, 0, 1**, written **False, False, True, True**.
""",
    solution=kept_captions,
    cases=kept_cases,
    misconceptions=(
        Misconception(
            "threshold the wrong way round",
            kept_wrong_way,
            "You keep the captions that do *not* match: the noise, and nothing else.",
        ),
        Misconception(
            "equality kept",
            kept_at_least,
            "A caption whose probability is just `least` is kept in yours; *above* is asked for.",
        ),
        Misconception(
            "web always kept",
            kept_web_always,
            "You keep every caption of the web. They are where the noise is: the filter judges "
            "both kinds.",
        ),
        Misconception(
            "written always kept",
            kept_written_always,
            "You keep every caption that was written. The captioner errs as well: the filter "
            "judges both kinds.",
        ),
        Misconception(
            "the better of two",
            kept_better_of_two,
            "You keep one caption a picture, the better one. If both match, both are kept: two "
            "ways of saying it.",
        ),
        Misconception(
            "only as a replacement",
            kept_as_replacement,
            "In yours a written caption is kept only if that of the web was thrown out. Each is "
            "judged for itself.",
        ),
        Misconception(
            "both or none",
            kept_both_or_none,
            "You keep a picture's captions only if *both* match. Each is judged for itself.",
        ),
        Misconception(
            "written first",
            kept_written_first,
            "The written ones come first in yours; those of the web shall.",
        ),
        Misconception(
            "sorted by picture",
            kept_by_picture,
            "You go through the pictures one by one. First all of the web, then all written ones.",
        ),
        Misconception(
            "places in place of rows",
            kept_places,
            "Your numbers run up to 2N: they are places in the joined list. A written caption "
            "belongs to the picture N places before.",
        ),
        Misconception(
            "flags turned round",
            kept_flags_turned,
            "Your flags are True for the captions of the web.",
        ),
    ),
    hints=(
        "`np.concatenate([web, written]) > least` judges all 2N at once.",
        "`np.tile(np.arange(N), 2)` says which picture each of the 2N belongs to.",
    ),
)

# --- test: soft targets on trial ------------------------------------------------------------------


def test_soft_targets(soft_targets):
    """Assert what a right `soft_targets` does, and nothing that a right one might not do.

    soft_targets: a function of slow_logits (B, M), alpha and first → targets (B, M)
    """
    slow_logits = np.array([
        [0.3, -1.0, 2.0, 0.5, 1.1, -0.4, 0.0],
        [1.4, 0.2, -0.7, 0.9, 0.1, 1.6, -2.0],
    ])  # fmt: skip
    before, alpha, first = slow_logits.copy(), 0.3, 2
    expected = np.zeros((2, 7))
    for i in range(2):
        total = sum(np.exp(x) for x in before[i])
        for j in range(7):
            expected[i, j] = alpha * np.exp(before[i, j]) / total
        expected[i, first + i] += 0.7
    got = np.asarray(soft_targets(slow_logits, alpha, first))
    assert got.shape == (2, 7)
    assert np.abs(got - expected).max() < 1e-5
    assert np.array_equal(slow_logits, before)


def soft_in_place(slow_logits, alpha, first):
    slow_logits[:] = soft_targets(slow_logits, alpha, first)
    return slow_logits


def soft_in_float32(slow_logits, alpha, first):
    return soft_targets(slow_logits.astype(np.float32), np.float32(alpha), first)


def soft_by_matrices(slow_logits, alpha, first):
    shifted = slow_logits - slow_logits.max(axis=1, keepdims=True)
    truth = np.eye(*slow_logits.shape, k=first)
    return alpha * _opinion(shifted) + (1 - alpha) * truth


TEST_SOFT_TARGETS = Exercise(
    name="test_soft_targets",
    title="Write the test that wrong targets cannot pass",
    kind="test",
    difficulty=3,
    importance=4,
    minutes=12,
    prompt="""
With wrong targets the loss still falls, towards something else. Write a test that calls
`soft_targets(slow_logits, alpha, first)` (the function of this lesson's exercise) with numbers that
**you** choose, NumPy arrays (B, M), and asserts what a right one returns. Choose a `first` that is
not 0, an `alpha` that is not one half, and more candidates than two batches. Assert also that the
argument is left as it was. Every right implementation must pass, also one that computes in float32.
""",
    solution=test_soft_targets,
    subject=soft_targets,
    misconceptions=(
        Misconception(
            "does not sum to one",
            soft_not_one,
            "Your test accepts targets that sum to 1 + alpha.",
        ),
        Misconception(
            "alpha the wrong way round",
            soft_turned_round,
            "Your test accepts targets in which alpha is the weight of the truth: at one half "
            "nobody can tell.",
        ),
        Misconception(
            "off by the batch",
            soft_off_by_the_batch,
            "Your test accepts targets whose partners stand one batch too far to the right.",
        ),
        Misconception(
            "first ignored",
            soft_first_ignored,
            "Your test accepts targets that ignore `first`: choose another value than 0.",
        ),
        Misconception(
            "one partner for all",
            soft_one_column,
            "Your test accepts targets in which all rows have one partner: give it two rows or "
            "more.",
        ),
        Misconception(
            "softmax over the rows",
            soft_over_rows,
            "Your test accepts a softmax down the columns.",
        ),
        Misconception(
            "truth only",
            soft_truth_only,
            "Your test accepts the plain labels: choose an alpha above 0.",
        ),
        Misconception(
            "opinion of one",
            soft_hard_opinion,
            "Your test accepts targets that give all of alpha to one candidate.",
        ),
        Misconception(
            "partner's opinion lost",
            soft_partner_replaced,
            "Your test accepts targets that lose the slow encoder's opinion of the partner.",
        ),
        Misconception(
            "argument overwritten",
            soft_in_place,
            "Your test accepts a function that writes into its argument: keep a copy, and compare "
            "after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "in float32",
            soft_in_float32,
            "one that computes in float32, which rounds in the seventh digit. Allow 1e-5.",
        ),
        Misconception(
            "by matrices",
            soft_by_matrices,
            "one that subtracts the greatest logit first and adds a shifted identity.",
        ),
    ),
    hints=(
        "Two rows and seven candidates are enough; write the formula as two loops.",
        "`assert np.abs(got - expected).max() < 1e-5`, and compare the argument with a copy.",
    ),
)

EXERCISES = (
    FIRST_LOSSES,
    THREE_USES,
    SOFT_TARGETS,
    WHO_LEARNS,
    AFTER_STEP,
    HARD_CONTRAST,
    HARD_NEGATIVES,
    CAPTION_LOSS,
    KEPT_CAPTIONS,
    TEST_SOFT_TARGETS,
)

QUIZ = blip_quiz.QUIZ
