"""Exercises of notebook 12_blip: soft targets, hard negatives, three uses of a text, the filter.

Here are the two predictions and the order of the lesson; the others are one subject a file. All of
it is NumPy on a handful of numbers. The number of pairs, of candidates, of words and of tokens are
never alike, and the queue is never as long as the batch.
"""

from __future__ import annotations

from course_lib.exercises import blip_quiz
from course_lib.exercises.blip_captions import CAPTION_LOSS
from course_lib.exercises.blip_contrast import AFTER_STEP, HARD_CONTRAST
from course_lib.exercises.blip_filter import KEPT_CAPTIONS
from course_lib.exercises.blip_negatives import HARD_NEGATIVES
from course_lib.exercises.blip_targets import SOFT_TARGETS
from course_lib.exercises.blip_trial import TEST_SOFT_TARGETS
from course_lib.exercises.blip_uses import THREE_USES
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
            "a mismatch alone",
            FIRST | {"itm_blind": 0.407},
            'That is −ln(2/3): what *one mismatch* costs if you say "no pair" with probability '
            "2/3. One question in three is a pair and costs −ln(1/3). The loss is the mean over "
            "all 192.",
        ),
        Misconception(
            "a pair alone",
            FIRST | {"itm_blind": 1.099},
            'That is −ln(1/3): what *one pair* costs if you say "a pair" with probability 1/3. '
            "Two questions in three are mismatches and cost −ln(2/3). The loss is the mean over "
            "all 192.",
        ),
        Misconception(
            "the answer, not its loss",
            FIRST | {"itm_blind": 0.333},
            "1/3 is the best blind *answer*, the share of pairs. Asked for is the loss that it "
            "brings, as a mean over pairs and mismatches.",
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
            "all in bits",
            {"itc": 12.022, "itm": 1.0, "itm_blind": 0.918, "lm": 9.0},
            "All four are right, in *bits*: you have taken the logarithm to base 2. A loss takes "
            "the natural one, and comes out in nats: multiply by ln 2.",
        ),
        Misconception(
            "comparison in bits",
            FIRST | {"itc": 12.022},
            "You count all 4,160 candidates, but 12.02 is log₂ 4,160, in bits. The loss takes the "
            "natural logarithm.",
        ),
        Misconception(
            "coin in bits",
            FIRST | {"itm": 1.0},
            "One half for each verdict is one *bit*, log₂ 2. The loss takes the natural logarithm.",
        ),
        Misconception(
            "shares in bits",
            FIRST | {"itm_blind": 0.918},
            "The shares are right, 1/3 and 2/3, but 0.918 is in bits. The loss takes the natural "
            "logarithm.",
        ),
        Misconception(
            "words in bits",
            FIRST | {"lm": 9.0},
            "9 is log₂ 512: with 9 bits one can number 512 tokens. The loss takes the natural "
            "logarithm.",
        ),
        Misconception(
            "smoothing taken away",
            FIRST | {"lm": 5.614},
            "5.61 is 0.9 · ln 512. What the smoothing takes from the true word it gives to the "
            "others, which cost just as much here.",
        ),
        Misconception(
            "this notebook's words",
            FIRST | {"lm": 5.820},
            "5.82 is ln 337, of the words that this notebook has. Here V is 512.",
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
        "Two of them come from the slow copy, which computes under `no_grad`.",
        "Which of them does `itc` not contain at all?",
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
