"""New exercises of the assignment `masked`: other masks than a random one, and what they leave."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: block-wise masking ----------------------------------------------------------------


def hide_blocks(blocks, rows, columns, most):
    """Hide blocks of patches, one after the other, while no more than `most` patches are hidden.

    blocks: whole numbers (K, 4): first row, first column, height, width; may reach over the edge
    → bool (rows, columns), True where hidden
    """
    hidden = np.zeros((rows, columns), bool)
    for top, left, height, width in blocks:
        proposed = hidden.copy()
        proposed[top : top + height, left : left + width] = True
        if proposed.sum() <= most:
            hidden = proposed
    return hidden


def hide_blocks_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for rows, columns, k in [(8, 11, 6), (12, 7, 6), (9, 14, 8)]:
        top, left = rng.integers(0, rows, k), rng.integers(0, columns - 1, k)
        top[1] = rows - 1  # this one reaches over the edge
        height, width = rng.integers(2, 4, k), rng.integers(1, 5, k)
        blocks = np.stack([top, left, height, width], 1)
        most = int(hide_blocks(blocks, rows, columns, rows * columns).sum())
        # All of them together are just allowed; a large one between them is not.
        large = [int(rng.integers(0, 2)), 0, rows - 1, columns]
        blocks = np.insert(blocks, k // 2, large, axis=0)
        cases.append({"blocks": blocks, "rows": rows, "columns": columns, "most": most})
    return cases


def blocks_stop_at_once(blocks, rows, columns, most):
    hidden = np.zeros((rows, columns), bool)
    for top, left, height, width in blocks:
        proposed = hidden.copy()
        proposed[top : top + height, left : left + width] = True
        if proposed.sum() > most:
            break
        hidden = proposed
    return hidden


def blocks_by_area(blocks, rows, columns, most):
    hidden, left_over = np.zeros((rows, columns), bool), most
    for top, left, height, width in blocks:
        if height * width <= left_over:
            hidden[top : top + height, left : left + width] = True
            left_over -= height * width
    return hidden


def blocks_until_enough(blocks, rows, columns, most):
    hidden = np.zeros((rows, columns), bool)
    for top, left, height, width in blocks:
        if hidden.sum() < most:
            hidden[top : top + height, left : left + width] = True
    return hidden


def blocks_exchanged(blocks, rows, columns, most):
    return hide_blocks(np.asarray(blocks)[:, [1, 0, 3, 2]], rows, columns, most)


def blocks_kept(blocks, rows, columns, most):
    return ~hide_blocks(blocks, rows, columns, most)


def blocks_with_end(blocks, rows, columns, most):
    larger = np.asarray(blocks) + np.array([0, 0, 1, 1])
    return hide_blocks(larger, rows, columns, most)


def blocks_strictly_less(blocks, rows, columns, most):
    return hide_blocks(blocks, rows, columns, most - 1)


def blocks_that_fit(blocks, rows, columns, most):
    blocks = np.asarray(blocks)
    inside = (blocks[:, 0] + blocks[:, 2] <= rows) & (blocks[:, 1] + blocks[:, 3] <= columns)
    return hide_blocks(blocks[inside], rows, columns, most)


HIDE_BLOCKS = Exercise(
    name="hide_blocks",
    title="Hide in blocks",
    kind="implement",
    difficulty=3,
    importance=4,
    minutes=15,
    prompt="""
BEiT hides **blocks** of patches, so that a hidden patch cannot be guessed from its neighbours. Here
the blocks are given: row k of `blocks` is `(first row, first column, height, width)`. Go through
them in their order and hide each one, **unless more than `most` patches would then be hidden in
all**; such a block is skipped, and the next one is tried. Blocks may overlap, and what reaches over
the edge of the picture is cut off.

Return a bool array `(rows, columns)`, True where a patch is hidden.
""",
    solution=hide_blocks,
    cases=hide_blocks_cases,
    misconceptions=(
        Misconception(
            "stops at the first",
            blocks_stop_at_once,
            "You stop at the first block that is too much: it is skipped, and a smaller one may "
            "still fit.",
        ),
        Misconception(
            "area counted twice",
            blocks_by_area,
            "You add up the areas of the blocks: what two blocks share, or what lies outside, is "
            "not hidden twice. Count the hidden patches.",
        ),
        Misconception(
            "one block too many",
            blocks_until_enough,
            "You ask whether `most` has been reached before you hide a block, and then hide all of "
            "it: ask what *would* be hidden.",
        ),
        Misconception(
            "rows and columns exchanged",
            blocks_exchanged,
            "You take the first number for the column: it is the row, and the third is the height.",
        ),
        Misconception(
            "True where kept",
            blocks_kept,
            "Your mask is True where a patch is kept; it is called hidden for what True means.",
        ),
        Misconception(
            "end included",
            blocks_with_end,
            "Your blocks are one row and one column too large: `top : top + height` has already "
            "`height` rows.",
        ),
        Misconception(
            "most not reached",
            blocks_strictly_less,
            "You skip a block with which exactly `most` patches are hidden: that many are allowed.",
        ),
        Misconception(
            "blocks at the edge left out",
            blocks_that_fit,
            "You leave out blocks that reach over the edge: they are cut off, not left out.",
        ),
    ),
    hints=(
        "How many patches would be hidden with this block? Try it on a copy.",
        "A slice that reaches over the end of an array is cut off by NumPy itself.",
    ),
)

# --- repair: an error per patch, weighed wrongly --------------------------------------------------


def whiten_patches(patches):
    """Each patch with mean 0 and standard deviation 1, as a target of MAE.

    patches: (N, P) floats, P pixels each → (N, P)
    """
    mean = patches.mean(axis=1, keepdims=True)
    deviation = patches.std(axis=1, keepdims=True)
    return (patches - mean) / (deviation + 1e-6)


def whiten_patches_faulty(patches):
    """Each patch with mean 0 and standard deviation 1, as a target of MAE.

    patches: (N, P) floats, P pixels each → (N, P)
    """
    mean = patches.mean(axis=1, keepdims=True)
    deviation = patches.std(keepdims=True)
    return (patches - mean) / (deviation + 1e-6)


def whiten_patches_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, p in [(5, 12), (7, 8), (3, 27)]:
        contrast = rng.uniform(0.02, 3, (n, 1))
        cases.append({"patches": rng.normal(rng.normal(0, 2, (n, 1)), contrast, (n, p))})
    return cases


def whiten_all(patches):
    return (patches - patches.mean()) / (patches.std() + 1e-6)


def whiten_each_pixel(patches):
    return (patches - patches.mean(axis=0)) / (patches.std(axis=0) + 1e-6)


def whiten_by_variance(patches):
    centred = patches - patches.mean(axis=1, keepdims=True)
    return centred / (patches.var(axis=1, keepdims=True) + 1e-6)


def whiten_without_mean(patches):
    return patches / (patches.std(axis=1, keepdims=True) + 1e-6)


def whiten_mean_of_all(patches):
    return (patches - patches.mean()) / (patches.std(axis=1, keepdims=True) + 1e-6)


WHITEN_PATCHES = Exercise(
    name="whiten_patches",
    title="Repair: targets in which the sky counts for nothing",
    kind="repair",
    difficulty=2,
    importance=4,
    minutes=8,
    prompt="""
MAE predicts each patch in its **own** light and contrast: mean 0 and standard deviation 1 *within*
the patch (1e-6 is added to the deviation). With this function the loss is decided by the few
patches with strong contrast, and nearly flat ones count for nothing. Shapes are right, and no error
is raised. Find the fault and mend it.
""",
    solution=whiten_patches,
    stub=whiten_patches_faulty,
    cases=whiten_patches_cases,
    misconceptions=(
        Misconception(
            "mean of all too",
            whiten_all,
            "Now mean and deviation are both those of all patches: each patch has its own.",
        ),
        Misconception(
            "over the patches",
            whiten_each_pixel,
            "You go over the patches (axis 0): each pixel's place gets mean 0, and not each patch.",
        ),
        Misconception(
            "variance",
            whiten_by_variance,
            "You divide by the variance: the deviation is its root.",
        ),
        Misconception(
            "mean left in",
            whiten_without_mean,
            "The mean is no longer subtracted: it was right.",
        ),
        Misconception(
            "mean of all",
            whiten_mean_of_all,
            "The deviation is each patch's own now, but the mean is that of all patches.",
        ),
    ),
    hints=(
        "Give it two patches, one with strong contrast. What deviation has each in the result?",
        "Over which axis does `mean` go, and over which does `std`?",
    ),
    rtol=1e-9,
    atol=1e-10,
)

# --- ablate: a classifier without the class token -------------------------------------------------


def pooled_scores(tokens, is_kept, head):
    """Scores of the classes from one feature of each picture: the mean of its kept patches.

    tokens: (B, 1 + N, D) floats, the class token first; is_kept: bool (B, N), at least one True a
    row; head: (D, K) → (B, K)
    """
    kept = is_kept[:, :, None]
    feature = (tokens[:, 1:] * kept).sum(axis=1) / kept.sum(axis=1)
    return feature @ head


def pooled_scores_full(tokens, is_kept, head):
    """Scores of the classes from one feature of each picture: its class token.

    tokens: (B, 1 + N, D) floats, the class token first; is_kept: bool (B, N), at least one True a
    row; head: (D, K) → (B, K)
    """
    feature = tokens[:, 0]
    return feature @ head


def pooled_scores_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for pictures, patches, width, classes in [(3, 7, 5, 4), (2, 9, 6, 3), (4, 5, 8, 2)]:
        is_kept = rng.random((pictures, patches)) < 0.5
        is_kept[:, :3] = [True, True, False]
        tokens = rng.normal(0.5, 2, (pictures, 1 + patches, width))
        case = {"tokens": tokens, "is_kept": rng.permuted(is_kept, axis=1)}
        cases.append(case | {"head": rng.normal(0, 1, (width, classes))})
    return cases


def pooled_of_all(tokens, is_kept, head):
    return tokens[:, 1:].mean(axis=1) @ head


def pooled_with_class(tokens, is_kept, head):
    kept = np.concatenate([np.ones((len(tokens), 1)), is_kept], axis=1)[:, :, None]
    return (tokens * kept).sum(axis=1) / kept.sum(axis=1) @ head


def pooled_of_hidden(tokens, is_kept, head):
    return pooled_scores(tokens, ~is_kept, head)


def pooled_off_by_one(tokens, is_kept, head):
    kept = is_kept[:, :, None]
    return (tokens[:, :-1] * kept).sum(axis=1) / kept.sum(axis=1) @ head


def pooled_by_all_places(tokens, is_kept, head):
    return (tokens[:, 1:] * is_kept[:, :, None]).mean(axis=1) @ head


def pooled_sum(tokens, is_kept, head):
    return (tokens[:, 1:] * is_kept[:, :, None]).sum(axis=1) @ head


def pooled_added(tokens, is_kept, head):
    return tokens[:, 0] @ head + pooled_scores(tokens, is_kept, head)


POOLED_SCORES = Exercise(
    name="pooled_scores",
    title="Ablate: take the class token away",
    kind="ablate",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
Is the class token worth its place? This classifier reads the class token alone. Change the function
so that its head reads the **mean of the kept patches** instead; the class token then takes no part.
Everything else stays as it is, so that one thing only is compared.
""",
    solution=pooled_scores,
    stub=pooled_scores_full,
    cases=pooled_scores_cases,
    misconceptions=(
        Misconception(
            "all patches",
            pooled_of_all,
            "You average over all patches: those that `is_kept` marks are meant.",
        ),
        Misconception(
            "class token in the mean",
            pooled_with_class,
            "Your mean still has the class token in it: an ablation takes it away altogether.",
        ),
        Misconception(
            "class token beside the mean",
            pooled_added,
            "You add the mean to the class token: an ablation takes it away altogether.",
        ),
        Misconception(
            "hidden patches",
            pooled_of_hidden,
            "You average over the patches that are not kept.",
        ),
        Misconception(
            "one place off",
            pooled_off_by_one,
            "Your mask begins at the class token: patch i is token i + 1.",
        ),
        Misconception(
            "divided by all places",
            pooled_by_all_places,
            "You divide by the number of all patches: divide by the number of kept ones.",
        ),
        Misconception(
            "sum",
            pooled_sum,
            "You take the sum: a picture with more kept patches would get larger scores.",
        ),
    ),
    hints=(
        "`tokens[:, 1:]` are the patches. Which of them take part?",
        "`is_kept[:, :, None]` has the right shape to be multiplied with them.",
    ),
)

# --- predict: tokens of a masked encoder, with constants of one's own -----------------------------


def counts_of(height, width, patch, hidden_share):
    """Tokens and pairs, counted one by one."""
    places = [(y, x) for y in range(0, height, patch) for x in range(0, width, patch)]
    kept = round(len(places) * (1 - hidden_share))
    tokens = [*range(kept), "class"]
    pairs = sum(1 for _ in tokens for _ in tokens)
    return {"kept": kept, "encoder_pairs": pairs, "decoder_tokens": len(places) + 1}


def masked_tokens(variant):
    """The exercise, with a picture and a share that follow from the variant."""
    rng = np.random.default_rng(variant)
    patch = int(rng.choice([8, 12, 16]))
    rows, columns = (int(n) for n in rng.choice(np.arange(2, 7), 2, replace=False) * 4)
    share = float(rng.choice([0.625, 0.6875, 0.75, 0.8125]))
    right = counts_of(rows * patch, columns * patch, patch, share)
    n, kept = rows * columns, right["kept"]
    return Exercise(
        name="masked_tokens",
        title="Who is in the encoder?",
        kind="predict",
        difficulty=2,
        importance=4,
        minutes=5,
        prompt=f"""
An MAE reads pictures of **{rows * patch} × {columns * patch}** pixels in patches of
{patch} × {patch}, hides **{share:.2%}** of them, and has one class token. Say

* `"kept"`: how many **patches** the encoder sees,
* `"encoder_pairs"`: how many pairs (query, key) one head of the encoder looks at in one picture,
  the class token included,
* `"decoder_tokens"`: how many tokens enter the decoder, the class token included.
""",
        solution=right,
        measure=lambda: counts_of(rows * patch, columns * patch, patch, share),
        misconceptions=(
            Misconception(
                "hidden for kept",
                right | {"kept": n - kept, "encoder_pairs": (n - kept + 1) ** 2},
                "You let the encoder see the hidden patches: it sees the others.",
            ),
            Misconception(
                "no class token",
                right | {"encoder_pairs": kept**2},
                "You left out the class token, which asks and is asked like the patches.",
            ),
            Misconception(
                "each pair once",
                right | {"encoder_pairs": (kept + 1) * kept // 2},
                "You count each pair once: a as query of b and b as query of a are two, and a "
                "token looks at itself too.",
            ),
            Misconception(
                "mask tokens in the encoder",
                right | {"encoder_pairs": (n + 1) ** 2},
                "You count mask tokens in the encoder: they only enter the decoder.",
            ),
            Misconception(
                "decoder sees what the encoder saw",
                right | {"decoder_tokens": kept + 1},
                "You give the decoder the kept patches only: at every hidden place it gets a mask "
                "token.",
            ),
            Misconception(
                "decoder gets hidden ones only",
                right | {"decoder_tokens": n - kept + 1},
                "You give the decoder the mask tokens only: it needs the encoded patches as well.",
            ),
        ),
        hints=(
            "How many patches has the picture along each side?",
            "T tokens look at T tokens each. What is T in the encoder?",
        ),
    )


# --- test: places of the patches ------------------------------------------------------------------


def put_back(kept, places, n, filler):
    """Encoded patches at their places, the filler everywhere else."""
    full = np.tile(np.asarray(filler, float), (n, 1))
    full[np.asarray(places)] = kept
    return full


def test_put_back(put_back):
    """Assert what a right `put_back` does.

    put_back: a function of kept (K, d), places: K whole numbers below n, n, filler (d,) → (n, d)
    """
    kept = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    filler = np.array([-1.0, -2.0, -3.0])
    before = kept.copy(), filler.copy()
    full = put_back(kept, np.array([3, 1]), 5, filler)
    expected = [[-1, -2, -3], [4, 5, 6], [-1, -2, -3], [1, 2, 3], [-1, -2, -3]]
    assert np.shape(full) == (5, 3)
    assert np.allclose(full, expected)
    assert np.array_equal(kept, before[0])
    assert np.array_equal(filler, before[1])


def put_back_sorted(kept, places, n, filler):
    return put_back(kept, np.sort(places), n, filler)


def put_back_in_front(kept, places, n, filler):
    return put_back(kept, np.arange(len(kept)), n, filler)


def put_back_zeros(kept, places, n, filler):
    return put_back(kept, places, n, np.zeros(len(filler)))


def put_back_inverted(kept, places, n, filler):
    free = np.setdiff1d(np.arange(n), places)
    full = put_back(kept, places, n, filler)
    return full[np.concatenate([np.asarray(places), free])]


def put_back_added(kept, places, n, filler):
    full = put_back(kept, places, n, filler)
    full[np.asarray(places)] += filler
    return full


def put_back_one_number(kept, places, n, filler):
    return put_back(kept, places, n, np.full(len(filler), filler[0]))


def put_back_into_kept(kept, places, n, filler):
    full = put_back(kept, places, n, filler)
    kept[:] = 0
    return full


def put_back_by_lookup(kept, places, n, filler):
    where = {int(place): row for row, place in enumerate(places)}
    return np.array([kept[where[i]] if i in where else filler for i in range(n)], float)


def put_back_by_stack(kept, places, n, filler):
    chosen = np.full(n, len(kept))
    chosen[np.asarray(places)] = np.arange(len(kept))
    return np.vstack([kept, filler]).astype(np.float32)[chosen]


TEST_PUT_BACK = Exercise(
    name="test_put_back",
    title="Write the test of the way back",
    kind="test",
    difficulty=3,
    importance=5,
    minutes=12,
    prompt="""
Before the decoder, every encoded patch returns to its place: `put_back(kept, places, n, filler)`
returns an array `(n, d)` in which row `places[i]` is `kept[i]`, and every other row is `filler`.
The places come in **any order**. Nothing is written into the arguments. Write a test that `assert`s
this. It is then run on several right implementations (one computes in float32) and on many wrong
ones: accept every right one, reject all others.
""",
    solution=test_put_back,
    subject=put_back,
    misconceptions=(
        Misconception(
            "places sorted",
            put_back_sorted,
            "Your test accepts a function that sorts the places, so that patches change their "
            "seats: give it places that are not in order.",
        ),
        Misconception(
            "in front",
            put_back_in_front,
            "Your test accepts a function that puts the patches in front, whatever their places.",
        ),
        Misconception(
            "zeros, not the filler",
            put_back_zeros,
            "Your test accepts a function that ignores the filler and puts zeros.",
        ),
        Misconception(
            "the way there",
            put_back_inverted,
            "Your test accepts a function that gathers where it should scatter: say which row must "
            "be where.",
        ),
        Misconception(
            "filler added",
            put_back_added,
            "Your test accepts a function that adds the filler to the patches as well.",
        ),
        Misconception(
            "one number of the filler",
            put_back_one_number,
            "Your test accepts a function that uses the filler's first number only: give it a "
            "filler with different numbers.",
        ),
        Misconception(
            "argument overwritten",
            put_back_into_kept,
            "Your test accepts a function that writes into `kept`: keep a copy, and compare it "
            "after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "by lookup",
            put_back_by_lookup,
            "one that looks up each row in a dictionary.",
        ),
        Misconception(
            "in float32",
            put_back_by_stack,
            "one that returns float32. Compare with a tolerance.",
        ),
    ),
    hints=(
        "Two kept patches, five places: which small example has its places out of order?",
        "Write the expected array by hand, and copies of the arguments before the call.",
    ),
)

EXERCISES = (HIDE_BLOCKS, WHITEN_PATCHES, POOLED_SCORES, TEST_PUT_BACK)


def varied(variant):
    """The exercises whose constants differ from student to student."""
    return (masked_tokens(variant),)
