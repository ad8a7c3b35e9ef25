"""Exercise of notebook 13_llava: which of the eye's tokens are read."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- repair: which tokens of the tower ------------------------------------------------------------


def tower_tokens(x, blocks):
    """What LLaVA takes from a vision transformer.

    x: (1 + N, C), the class token and N patches; blocks: (depth, C, C), the weights of each block
    → (N, C), the patches behind the last block but one, as they are
    """
    for weight in blocks[:-1]:
        x = x + np.tanh(x @ weight)
    return x[1:]


def tower_tokens_broken(x, blocks):
    """What LLaVA takes from a vision transformer.

    x: (1 + N, C), the class token and N patches; blocks: (depth, C, C), the weights of each block
    → (N, C), the patches behind the last block but one, as they are
    """
    for weight in blocks:
        x = x + np.tanh(x @ weight)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    return x[1:]


def tower_tokens_cases(seed):
    rng = np.random.default_rng(seed)
    return [
        {"x": rng.normal(size=(1 + n, c)), "blocks": rng.normal(size=(depth, c, c))}
        for n, c, depth in [(4, 3, 3), (3, 5, 4), (6, 4, 2)]
    ]


def _through(x, blocks):
    for weight in blocks:
        x = x + np.tanh(x @ weight)
    return x


def _normed(x):
    return (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)


def tower_last_block(x, blocks):
    return _through(x, blocks)[1:]


def tower_penultimate_normalised(x, blocks):
    return _normed(_through(x, blocks[:-1]))[1:]


def tower_two_too_few(x, blocks):
    return _through(x, blocks[:-2])[1:]


def tower_first_block_skipped(x, blocks):
    return _through(x, blocks[1:])[1:]


def tower_class_token_kept(x, blocks):
    return _through(x, blocks[:-1])


def tower_class_token_alone(x, blocks):
    return _through(x, blocks[:-1])[:1]


def tower_last_patch_lost(x, blocks):
    return _through(x, blocks[:-1])[:-1]


def tower_mean(x, blocks):
    return _through(x, blocks[:-1])[1:].mean(axis=0)


def tower_first_block_alone(x, blocks):
    return _through(x, blocks[:1])[1:]


def tower_last_but_one_alone(x, blocks):
    return _through(x, blocks[-2:-1])[1:]


def tower_last_alone(x, blocks):
    return _through(x, blocks[-1:])[1:]


def tower_two_too_few_normalised(x, blocks):
    return _normed(_through(x, blocks[:-2]))[1:]


def tower_first_skipped_normalised(x, blocks):
    return _normed(_through(x, blocks[1:]))[1:]


def tower_half_normalised(x, blocks):
    x = _through(x, blocks[:-1])
    return (x - x.mean(axis=1, keepdims=True))[1:]


def tower_both_ends_lost(x, blocks):
    return _through(x, blocks[:-1])[1:-1]


def tower_column_lost(x, blocks):
    return _through(x, blocks[:-1])[:, 1:]


def tower_class_token_normalised(x, blocks):
    return _normed(_through(x, blocks[:-1]))


def tower_class_token_of_the_last(x, blocks):
    return _through(x, blocks)


TOWER_TOKENS = Exercise(
    name="tower_tokens",
    title="Repair: features from the wrong floor",
    kind="repair",
    difficulty=2,
    importance=4,
    minutes=5,
    prompt="""
LLaVA takes the picture's patches behind the **last block but one** of CLIP's tower, **not
normalised**, and without the class token. CLIP trained its last block to fill the class token, the
one place that its loss reads; the patches behind it were nobody's concern. The function below runs
and has the right shape, but it takes what one usually takes from a transformer: the patches behind
*all* blocks, brought to mean 0 and variance 1. Repair it. (`x + np.tanh(x @ weight)` stands for a
whole block.)
""",
    solution=tower_tokens,
    stub=tower_tokens_broken,
    cases=tower_tokens_cases,
    misconceptions=(
        Misconception(
            "last block",
            tower_last_block,
            "You have taken the normalisation away; but your patches still come from behind the "
            "*last* block. One block less.",
        ),
        Misconception(
            "normalised all the same",
            tower_penultimate_normalised,
            "The right block, but you still normalise: that norm was trained for what comes out of "
            "the *last* block.",
        ),
        Misconception(
            "two blocks too few",
            tower_two_too_few,
            "You have left out two blocks. Behind the last but one: only the last is not run.",
        ),
        Misconception(
            "first block left out",
            tower_first_block_skipped,
            "You have left out the *first* block. It is the last one that is not run.",
        ),
        Misconception(
            "class token kept",
            tower_class_token_kept,
            "Your first row is the class token: it is no patch, and has no place in the picture.",
        ),
        Misconception(
            "class token alone",
            tower_class_token_alone,
            "You return the class token alone. It says what is in the picture, but not where; "
            "LLaVA takes the patches.",
        ),
        Misconception(
            "last patch lost",
            tower_last_patch_lost,
            "The class token stands first, not last: `x[:-1]` keeps it and loses a patch.",
        ),
        Misconception(
            "mean of the patches",
            tower_mean,
            "You return one vector, the mean. The language model is to look at single patches.",
        ),
        Misconception(
            "one block run",
            tower_first_block_alone,
            "You run the first block and no other. All blocks but the last are run, one "
            "after the other (is your `return` inside the loop?).",
        ),
        Misconception(
            "last but one alone",
            tower_last_but_one_alone,
            "You run the last block but one, and it alone. Its input is what comes out of "
            "the blocks before it: run these first.",
        ),
        Misconception(
            "last alone",
            tower_last_alone,
            "You run the last block, and it alone. It is the one block that is *not* run.",
        ),
        Misconception(
            "two blocks too few, normalised",
            tower_two_too_few_normalised,
            "You have left out two blocks, and the norm is still there. −2 names the last "
            "block *but one*, which is run: `blocks[:-1]`.",
        ),
        Misconception(
            "first block left out, normalised",
            tower_first_skipped_normalised,
            "You have left out the *first* block, and the norm is still there. It is the "
            "last block that is not run.",
        ),
        Misconception(
            "half a norm",
            tower_half_normalised,
            "The right block, but you still take away each token's mean, which is half of "
            "the norm. The patches are taken as they are.",
        ),
        Misconception(
            "last patch lost, too",
            tower_both_ends_lost,
            "Your last patch is missing: the class token stands first, and behind the "
            "patches stands nothing.",
        ),
        Misconception(
            "column in place of a row",
            tower_column_lost,
            "You have taken away a *column*, the first number of each token. The class token "
            "is the first row.",
        ),
        Misconception(
            "class token kept, normalised",
            tower_class_token_normalised,
            "Your first row is the class token, which is no patch, and the norm is still there.",
        ),
        Misconception(
            "class token kept, last block",
            tower_class_token_of_the_last,
            "Your tokens still come from behind the *last* block, and the first of them is "
            "the class token, which is no patch.",
        ),
    ),
    hints=(
        "`blocks[:-1]` are all blocks but the last.",
        "What does the line between the loop and `return` do, and who asked for it?",
    ),
)
