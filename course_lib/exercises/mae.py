"""Exercises of notebook 09_mae: hiding exactly, filling the gaps, an error that counts the hidden.

All of it is NumPy on one small picture. Each step of a masked autoencoder is an index, and an index
that points the wrong way runs without an error.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question

# --- implement: hide, and remember the way back ---------------------------------------------------


def hide(noise, ratio):
    """Hide a share of N patches: those with the greatest noise.

    noise: (N,) floats, all different; ratio: between 0 and 1
    → {"visible": whole numbers (M,), "restore": whole numbers (N,), "hidden": bool (N,)}
    """
    shuffle = np.argsort(noise)
    restore = np.argsort(shuffle)
    keep = int(len(noise) * (1 - ratio) + 1e-9)
    return {"visible": shuffle[:keep], "restore": restore, "hidden": restore >= keep}


def hide_cases(seed):
    rng = np.random.default_rng(seed)
    sizes = [(8, 0.75), (12, 0.5), (11, 0.4), (10, 0.8)]
    return [{"noise": rng.random(n), "ratio": r} for n, r in sizes]


def hide_sorted_once(noise, ratio):
    right = hide(noise, ratio)
    return {**right, "restore": np.argsort(noise)}


def hide_order_for_rank(noise, ratio):
    shuffle, keep = np.argsort(noise), len(hide(noise, ratio)["visible"])
    return {"visible": shuffle[:keep], "restore": shuffle, "hidden": shuffle >= keep}


def hide_so_many(noise, keep):
    shuffle = np.argsort(noise)
    restore = np.argsort(shuffle)
    return {"visible": shuffle[:keep], "restore": restore, "hidden": restore >= keep}


def hide_rounded(noise, ratio):
    return hide_so_many(noise, round(len(noise) * (1 - ratio)))


def hide_a_hair_too_few(noise, ratio):
    return hide_so_many(noise, int(len(noise) * (1 - ratio)))


def hide_true_is_visible(noise, ratio):
    right = hide(noise, ratio)
    return {**right, "hidden": ~right["hidden"]}


def hide_keeps_the_share(noise, ratio):
    return hide(noise, 1 - ratio)


def hide_by_threshold(noise, ratio):
    shuffle = np.argsort(noise)
    hidden = noise > 1 - ratio
    return {
        "visible": shuffle[: (~hidden).sum()],
        "restore": np.argsort(shuffle),
        "hidden": hidden,
    }


def hide_the_smallest(noise, ratio):
    return hide(-noise, ratio)


def hide_in_shuffled_order(noise, ratio):
    right = hide(noise, ratio)
    return {**right, "hidden": np.arange(len(noise)) >= len(right["visible"])}


def hide_ascending(noise, ratio):
    right = hide(noise, ratio)
    return {**right, "visible": np.sort(right["visible"])}


HIDE = Exercise(
    name="hide",
    title="Hide exactly so many, and find the way back",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
The authors hide patches with two sorts. Each of N patches gets a random number, `noise`. Shuffle
the patches by ascending noise; the first ⌊N · (1 − ratio)⌋ stay visible, in Python
`int(N * (1 - ratio) + 1e-9)`: of 10 patches at 0.8 these are 2, but `10 * (1 - 0.8)` is
1.9999999999999996. Return a dictionary:

* `"visible"`: the numbers of the visible patches, **in shuffled order** (smallest noise first);
* `"restore"`: for each patch of the picture, at which place of the shuffled order it stands, so
  that `shuffled[restore]` is the picture's order again;
* `"hidden"`: bool (N,), in the picture's order, True where a patch is hidden.

By hand: noise 0.7, 0.1, 0.9, 0.4 and ratio 0.5. The shuffled order is 1, 3, 0, 2, so 1 and 3 are
visible; patch 0 stands at place 2, patch 1 at 0, patch 2 at 3, patch 3 at 1.
""",
    solution=hide,
    cases=hide_cases,
    misconceptions=(
        Misconception(
            "sorted once",
            hide_sorted_once,
            "Your `restore` is the shuffled order itself: it says which patch stands at a place. "
            "The way back says at which place a patch stands: the inverse, `argsort` once more.",
        ),
        Misconception(
            "order for rank",
            hide_order_for_rank,
            "Your `restore` is the shuffled order, `argsort(noise)`, and your mask is made of it. "
            "What is wanted is each patch's *rank*, its place in that order: `argsort` once more.",
        ),
        Misconception(
            "rounded",
            hide_rounded,
            "You round the number of visible patches (or cut off that of the hidden ones): of 11 "
            "at 0.4, 6.6 would stay, and ⌊6.6⌋ is 6.",
        ),
        Misconception(
            "a hair too few",
            hide_a_hair_too_few,
            "`int(10 * (1 - 0.8))` is 1, because floating point makes 1.9999999999999996 of it: "
            "9 of 10 patches are hidden at 0.8. Add 1e-9 before you cut off.",
        ),
        Misconception(
            "True for visible",
            hide_true_is_visible,
            "Your mask is upside down: it is called `hidden`, so True means hidden.",
        ),
        Misconception(
            "keeps the share it should hide",
            hide_keeps_the_share,
            "You keep N · ratio patches; `ratio` is the share that is *hidden*.",
        ),
        Misconception(
            "threshold",
            hide_by_threshold,
            "You hide every patch whose noise is above 1 − ratio: that is the right share only on "
            "average, and pictures with unequally many visible patches make no batch.",
        ),
        Misconception(
            "hides the smallest",
            hide_the_smallest,
            "You hide the patches with the *smallest* noise; those stay visible here.",
        ),
        Misconception(
            "mask in shuffled order",
            hide_in_shuffled_order,
            "Your mask is right in the shuffled order, but it is asked for in the picture's: send "
            "it through `restore`.",
        ),
        Misconception(
            "visible ones sorted",
            hide_ascending,
            "Your visible patches are the right ones, but in ascending order: then `restore` does "
            "not lead back from them. Leave them as the noise has put them.",
        ),
    ),
    hints=(
        "`np.argsort(noise)` is the shuffled order: which patch stands at each place.",
        "The inverse of a permutation is its `argsort`.",
        "A patch is hidden if its place in the shuffled order is `keep` or more.",
    ),
)

# --- repair: what the decoder reads ---------------------------------------------------------------


def decoder_input(tokens, visible, mask_token, positions):
    """What MAE's decoder reads: visible tokens at their places, mask tokens elsewhere, all placed.

    tokens: (M, D), visible: (M,) their patches' numbers, mask_token: (D,), positions: (N, D)
    → (N, D) in the order of the picture
    """
    line = np.tile(mask_token, (len(positions), 1))
    line[visible] = tokens
    return line + positions


def decoder_input_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, m, d in [(6, 2, 3), (9, 4, 2), (7, 5, 4)]:
        visible = rng.permutation(n)[:m]
        while (visible == np.sort(visible)).all() or visible.max() < m:
            visible = rng.permutation(n)[:m]
        cases.append(
            {
                "tokens": rng.normal(size=(m, d)),
                "visible": visible,
                "mask_token": rng.normal(size=d),
                "positions": rng.normal(size=(n, d)),
            }
        )
    return cases


def decoder_input_broken(tokens, visible, mask_token, positions):
    """What MAE's decoder reads: visible tokens at their places, mask tokens elsewhere, all placed.

    tokens: (M, D), visible: (M,) their patches' numbers, mask_token: (D,), positions: (N, D)
    → (N, D) in the order of the picture
    """
    N, M = len(positions), len(tokens)
    line = np.concatenate([tokens, np.tile(mask_token, (N - M, 1))]) + positions
    shuffle = np.concatenate([visible, np.setdiff1d(np.arange(N), visible)])
    return line[np.argsort(shuffle)]


def decoder_places_for_hidden_only(tokens, visible, mask_token, positions):
    line = mask_token + positions
    line[visible] = tokens
    return line


def decoder_places_for_visible_only(tokens, visible, mask_token, positions):
    line = np.tile(mask_token, (len(positions), 1))
    line[visible] = tokens + positions[visible]
    return line


def decoder_never_put_back(tokens, visible, mask_token, positions):
    rest = np.tile(mask_token, (len(positions) - len(tokens), 1))
    return np.concatenate([tokens, rest]) + positions


def decoder_put_back_the_wrong_way(tokens, visible, mask_token, positions):
    N, M = len(positions), len(tokens)
    line = np.concatenate([tokens, np.tile(mask_token, (N - M, 1))])
    shuffle = np.concatenate([visible, np.setdiff1d(np.arange(N), visible)])
    return line[shuffle] + positions


def decoder_placed_first_then_the_wrong_way(tokens, visible, mask_token, positions):
    N, M = len(positions), len(tokens)
    line = np.concatenate([tokens, np.tile(mask_token, (N - M, 1))]) + positions
    shuffle = np.concatenate([visible, np.setdiff1d(np.arange(N), visible)])
    return line[shuffle]


def decoder_without_positions(tokens, visible, mask_token, positions):
    return decoder_input(tokens, visible, mask_token, 0 * positions)


def decoder_visible_sorted(tokens, visible, mask_token, positions):
    return decoder_input(tokens, np.sort(visible), mask_token, positions)


def decoder_without_mask_token(tokens, visible, mask_token, positions):
    line = np.zeros_like(positions)
    line[visible] = tokens
    return line + positions


def decoder_tokens_added(tokens, visible, mask_token, positions):
    line = np.tile(mask_token, (len(positions), 1))
    line[visible] += tokens
    return line + positions


DECODER_INPUT = Exercise(
    name="decoder_input",
    title="Repair: a decoder that is lost in its own picture",
    kind="repair",
    difficulty=4,
    importance=5,
    minutes=10,
    prompt="""
The encoder read M visible patches in shuffled order; now the decoder needs a full row of N tokens:
the visible ones where they belong, the mask token wherever a patch is hidden, and to each the
**position of its own place**. This function runs, and its shape is right. The network even learns
a little: the mean colours. But it never paints an edge where the edge is. Find the slip with a
small example, and repair it.
""",
    solution=decoder_input,
    stub=decoder_input_broken,
    cases=decoder_input_cases,
    misconceptions=(
        Misconception(
            "positions for hidden places only",
            decoder_places_for_hidden_only,
            "Your visible tokens have no position: the decoder gets all places anew, also those of "
            "the visible patches.",
        ),
        Misconception(
            "positions for visible places only",
            decoder_places_for_visible_only,
            "Your mask tokens have no position, so all hidden patches look alike to the decoder, "
            "and it paints the same into each of them.",
        ),
        Misconception(
            "never put back",
            decoder_never_put_back,
            "Your row begins with all visible tokens: they have not been put back to their places.",
        ),
        Misconception(
            "put back the wrong way",
            decoder_put_back_the_wrong_way,
            "You index with the shuffled order itself, which shuffles once more; the way back is "
            "its inverse.",
        ),
        Misconception(
            "placed first, then put back the wrong way",
            decoder_placed_first_then_the_wrong_way,
            "`argsort` was right: it makes the way back of the shuffled order. The slip is another "
            "one: which positions are added, and when?",
        ),
        Misconception(
            "no positions",
            decoder_without_positions,
            "Every token is at its place, but no position has been added: to the decoder all "
            "hidden patches are the same vector.",
        ),
        Misconception(
            "visible sorted",
            decoder_visible_sorted,
            "You sorted `visible`, but not the tokens: now they stand in one another's places. "
            "Token m belongs to patch `visible[m]`.",
        ),
        Misconception(
            "zeros for the hidden",
            decoder_without_mask_token,
            "Your hidden patches hold zeros: the mask token is learned, and has to stand there.",
        ),
        Misconception(
            "added to the mask token",
            decoder_tokens_added,
            "At visible places you add the token to the mask token; it must take its place.",
        ),
    ),
    hints=(
        "Which patch gets `positions[0]` in the code above: patch 0 of the picture, or the first "
        "of the shuffled row?",
        "First put every token at its place, then add the positions.",
        "A row of mask tokens, `line[visible] = tokens`, and then `+ positions`.",
    ),
)

# --- implement: the error that counts -------------------------------------------------------------


def masked_loss(prediction, pixels, hidden):
    """MAE's loss for one picture, with normalised targets.

    prediction: (N, P) floats, pixels: (N, P) floats, hidden: bool (N,) → float
    """
    mean = pixels.mean(axis=1, keepdims=True)
    variance = pixels.var(axis=1, keepdims=True, ddof=1)
    target = (pixels - mean) / np.sqrt(variance + 1e-6)
    return ((prediction - target)[hidden] ** 2).mean()


def masked_loss_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, p, h in [(5, 4, 2), (4, 6, 3), (6, 3, 4)]:
        hidden = np.zeros(n, bool)
        hidden[rng.permutation(n)[:h]] = True
        level = rng.random((n, 1))
        # One patch is nearly of one colour: there the 1e-6 is seen.
        spread = np.array([1e-3, *rng.uniform(0.1, 0.4, n - 1)])[:, None]
        pixels = level + spread * rng.normal(size=(n, p))
        hidden[0], hidden[-1] = True, False
        cases.append({"prediction": rng.normal(size=(n, p)), "pixels": pixels, "hidden": hidden})
    return cases


def loss_over_all(prediction, pixels, hidden):
    return masked_loss(prediction, pixels, np.ones_like(hidden))


def loss_over_visible(prediction, pixels, hidden):
    return masked_loss(prediction, pixels, ~hidden)


def loss_divided_by_all(prediction, pixels, hidden):
    return masked_loss(prediction, pixels, hidden) * hidden.mean()


def loss_summed_over_pixels(prediction, pixels, hidden):
    return masked_loss(prediction, pixels, hidden) * pixels.shape[1]


def loss_of_plain_pixels(prediction, pixels, hidden):
    return ((prediction - pixels)[hidden] ** 2).mean()


def loss_normalised_by_picture(prediction, pixels, hidden):
    target = (pixels - pixels.mean()) / np.sqrt(pixels.var(ddof=1) + 1e-6)
    return ((prediction - target)[hidden] ** 2).mean()


def loss_normalised_by_place(prediction, pixels, hidden):
    mean, variance = pixels.mean(axis=0), pixels.var(axis=0, ddof=1)
    return ((prediction - (pixels - mean) / np.sqrt(variance + 1e-6))[hidden] ** 2).mean()


def loss_with_both_normalised(prediction, pixels, hidden):
    mean = prediction.mean(axis=1, keepdims=True)
    variance = prediction.var(axis=1, keepdims=True, ddof=1)
    return masked_loss((prediction - mean) / np.sqrt(variance + 1e-6), pixels, hidden)


def loss_with_biased_variance(prediction, pixels, hidden):
    mean, variance = pixels.mean(axis=1, keepdims=True), pixels.var(axis=1, keepdims=True)
    return ((prediction - (pixels - mean) / np.sqrt(variance + 1e-6))[hidden] ** 2).mean()


def loss_epsilon_outside(prediction, pixels, hidden):
    mean = pixels.mean(axis=1, keepdims=True)
    deviation = pixels.std(axis=1, keepdims=True, ddof=1)
    return ((prediction - (pixels - mean) / (deviation + 1e-6))[hidden] ** 2).mean()


def loss_without_epsilon(prediction, pixels, hidden):
    mean = pixels.mean(axis=1, keepdims=True)
    deviation = pixels.std(axis=1, keepdims=True, ddof=1)
    return ((prediction - (pixels - mean) / deviation)[hidden] ** 2).mean()


def loss_mean_removed_only(prediction, pixels, hidden):
    target = pixels - pixels.mean(axis=1, keepdims=True)
    return ((prediction - target)[hidden] ** 2).mean()


def loss_divided_by_variance(prediction, pixels, hidden):
    mean = pixels.mean(axis=1, keepdims=True)
    variance = pixels.var(axis=1, keepdims=True, ddof=1)
    return ((prediction - (pixels - mean) / (variance + 1e-6))[hidden] ** 2).mean()


MASKED_LOSS = Exercise(
    name="masked_loss",
    title="The error on what was hidden",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
Write MAE's loss for one picture of N patches with P numbers each. The target is **normalised patch
by patch**: from each patch its own mean is taken, and it is divided by √(variance + 10⁻⁶), with
the unbiased variance (divided by P − 1). The loss is the mean squared error **over the hidden
patches only**.

By hand: one hidden patch with pixels 0, 2, 4 has mean 2 and variance 4; its target is −1, 0, 1. A
prediction of zeros has the loss (1 + 0 + 1) / 3 = 0.667.
""",
    solution=masked_loss,
    cases=masked_loss_cases,
    misconceptions=(
        Misconception(
            "over all patches",
            loss_over_all,
            "Your mean runs over all patches. The visible ones stand in front of the network: to "
            "copy them is easy, and teaches it to copy.",
        ),
        Misconception(
            "over the visible",
            loss_over_visible,
            "Your mean runs over the *visible* patches: `hidden` is True where a patch is hidden.",
        ),
        Misconception(
            "divided by all patches",
            loss_divided_by_all,
            "You sum over the hidden patches and divide by all N: then the loss changes with the "
            "ratio for no reason. Divide by the number of hidden ones.",
        ),
        Misconception(
            "summed over the pixels",
            loss_summed_over_pixels,
            "You sum the P numbers of a patch; the loss is their mean.",
        ),
        Misconception(
            "plain pixels",
            loss_of_plain_pixels,
            "Your target is the pixels as they are: normalise each patch first.",
        ),
        Misconception(
            "statistics of the whole picture",
            loss_normalised_by_picture,
            "You normalise with mean and deviation of the whole picture: then most patches stay "
            "nearly constant, and their pattern counts for little. Each patch has its own.",
        ),
        Misconception(
            "statistics over the patches",
            loss_normalised_by_place,
            "Your mean runs over the patches, for each pixel of a patch; it must run over the "
            "pixels, for each patch.",
        ),
        Misconception(
            "prediction normalised too",
            loss_with_both_normalised,
            "You normalise the prediction as well; only the target is. The network has to learn "
            "that its output has mean 0 and deviation 1.",
        ),
        Misconception(
            "biased variance",
            loss_with_biased_variance,
            "Your variance is divided by P; the authors' by P − 1: `ddof=1`.",
        ),
        Misconception(
            "divided by the variance",
            loss_divided_by_variance,
            "You divide by the variance; the deviation is its root.",
        ),
        Misconception(
            "10⁻⁶ outside the root",
            loss_epsilon_outside,
            "You add 10⁻⁶ to the deviation; it belongs under the root, to the *variance*. In a "
            "nearly even patch that is a great difference.",
        ),
        Misconception(
            "10⁻⁶ forgotten",
            loss_without_epsilon,
            "You divide by the deviation alone. The 10⁻⁶ under the root keeps an even patch from "
            "being divided by 0.",
        ),
        Misconception(
            "mean removed only",
            loss_mean_removed_only,
            "You take the mean away, and do not divide: a patch of strong contrast then counts far "
            "more than a faint one.",
        ),
    ),
    hints=(
        "`axis=1, keepdims=True` gives one mean for each patch.",
        "`pixels.var(..., ddof=1)` divides by P − 1.",
        "Take the rows of the hidden patches, `[hidden]`, before the last mean.",
    ),
)

# --- predict: the price of an encoder that sees a fifth -------------------------------------------

ENCODER_COST = Exercise(
    name="encoder_cost",
    title="What does an encoder cost that sees a fifth?",
    kind="predict",
    difficulty=2,
    importance=4,
    minutes=3,
    prompt="""
A picture has 100 patches, 80 % are hidden, and the encoder reads the visible ones alone (forget
the class token). Compared with an encoder that reads all patches:

* `tokens`: how many tokens does it read?
* `scores`: by what factor is the number of scores (entries of the attention matrices) **divided**?
* `mlp`: by what factor is the work of the MLPs divided?
""",
    solution={"tokens": 20, "scores": 25, "mlp": 5},
    misconceptions=(
        Misconception(
            "the hidden ones",
            {"tokens": 80, "scores": 25, "mlp": 5},
            "80 are hidden; the encoder reads the other ones.",
        ),
        Misconception(
            "everything linear",
            {"tokens": 20, "scores": 5, "mlp": 5},
            "Every token compares itself with every token: a fifth of the rows *and* of the "
            "columns.",
        ),
        Misconception(
            "everything quadratic",
            {"tokens": 20, "scores": 25, "mlp": 25},
            "An MLP reads one token at a time: its work falls as the number of tokens, not as its "
            "square.",
        ),
        Misconception(
            "the share of the scores",
            {"tokens": 20, "scores": 0.04, "mlp": 5},
            "0.04 is the share of the scores that is left, which is right; the factor by which "
            "their number is divided is 1 / 0.04.",
        ),
        Misconception(
            "the share of the MLPs' work",
            {"tokens": 20, "scores": 25, "mlp": 0.2},
            "0.2 is the share of the MLPs' work that is left, which is right; the factor by which "
            "it is divided is 1 / 0.2.",
        ),
        Misconception(
            "mask tokens are read",
            {"tokens": 100, "scores": 1, "mlp": 1},
            "That is an encoder that reads mask tokens, as BERT does. MAE's reads the visible "
            "patches alone, and is the cheaper for it.",
        ),
    ),
    hints=(
        "One token in five is left.",
        "The matrix of scores has one row and one column for each token.",
    ),
)

# --- predict: which mask is the hardest? ----------------------------------------------------------

MASK_ORDER = Exercise(
    name="mask_order",
    title="Which mask is hard?",
    kind="predict",
    difficulty=2,
    importance=4,
    minutes=3,
    prompt="""
Three quarters of the patches are hidden: at random (`"random"`), as one block (`"block"`), or by a
grid (`"grid"`) that leaves one patch in every square of 2 × 2. One network paints all three: the
one that was trained for **long**. On which is its mean squared error on the hidden patches (the
error itself, not a part of the mean colour's) smallest (`easiest`), and on which greatest
(`hardest`)?
""",
    solution={"easiest": "grid", "hardest": "block"},
    misconceptions=(
        Misconception(
            "random is easiest",
            {"easiest": "random", "hardest": "block"},
            "At random some visible patches lie side by side, and "
            "elsewhere a wide hole is left. The grid leaves none: every hidden patch touches a "
            "visible one, if only by a corner.",
        ),
        Misconception(
            "a grid is hard",
            {"easiest": "random", "hardest": "grid"},
            "The grid looks merciless, but it leaves a visible patch beside every hidden one. Ask "
            "how far it is from a hidden patch to the next visible one.",
        ),
        Misconception(
            "a block is compact",
            {"easiest": "block", "hardest": "random"},
            "A block is compact, and that makes it hard: deep inside it no neighbour is left to "
            "continue from.",
        ),
        Misconception(
            "a block leaves the rest whole",
            {"easiest": "block", "hardest": "grid"},
            "A block leaves the rest whole, but it is the hidden part that is to be painted: deep "
            "inside it no neighbour is left, and in the grid there is always one.",
        ),
        Misconception(
            "a block both times",
            {"easiest": "block", "hardest": "block"},
            "A block is one wide hole: deep inside it there is nothing to continue from. That "
            "cannot be the easiest.",
        ),
        Misconception(
            "a grid both times",
            {"easiest": "grid", "hardest": "grid"},
            "The grid leaves a visible patch beside every hidden one; that cannot be the hardest.",
        ),
        Misconception(
            "random is hardest",
            {"easiest": "grid", "hardest": "random"},
            "At random the holes are small; a block is one hole, as wide as can be.",
        ),
    ),
    hints=(
        "How far is it from a hidden patch to the nearest visible one, in each of the three?",
        "Could you paint the middle of a block of 7 × 7 patches?",
    ),
)

# --- ablate: let the encoder see the gaps ---------------------------------------------------------


def encode(patches, hidden, mask_token, positions, network):
    """MAE's encoder on one picture.

    patches: (N, D) embedded, hidden: bool (N,), mask_token: (D,), positions: (N, D);
    network: a function of tokens (T, D) → (T, D)
    """
    tokens = patches + positions
    return network(tokens[~hidden])


def mask_tokens_in_encoder(patches, hidden, mask_token, positions, network):
    """An encoder that reads a mask token for each hidden patch, as BERT does.

    patches: (N, D) embedded, hidden: bool (N,), mask_token: (D,), positions: (N, D);
    network: a function of tokens (T, D) → (T, D)
    """
    tokens = np.where(hidden[:, None], mask_token, patches) + positions
    return network(tokens)


class _Mixing:
    """A network in which every token depends on every other: (T, D) → (T, D)."""

    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        scores = np.exp(0.3 * np.tanh(x @ self.weight @ x.T))
        return np.tanh(x + scores / scores.sum(axis=1, keepdims=True) @ x)


def ablation_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, d, h in [(5, 3, 3), (7, 2, 4), (6, 4, 2)]:
        hidden = np.zeros(n, bool)
        hidden[rng.permutation(n)[:h]] = True
        cases.append(
            {
                "patches": rng.normal(size=(n, d)),
                "hidden": hidden,
                "mask_token": rng.normal(size=d),
                "positions": rng.normal(size=(n, d)),
                "network": _Mixing(rng.normal(size=(d, d))),
            }
        )
    return cases


def ablated_hidden_shown(patches, hidden, mask_token, positions, network):
    return network(patches + positions)


def ablated_mask_without_place(patches, hidden, mask_token, positions, network):
    return network(np.where(hidden[:, None], mask_token, patches + positions))


def ablated_visible_masked(patches, hidden, mask_token, positions, network):
    return network(np.where(hidden[:, None], patches, mask_token) + positions)


def ablated_appended(patches, hidden, mask_token, positions, network):
    seen = (patches + positions)[~hidden]
    return network(np.concatenate([seen, mask_token + positions[hidden]]))


def ablated_visible_returned(patches, hidden, mask_token, positions, network):
    return mask_tokens_in_encoder(patches, hidden, mask_token, positions, network)[~hidden]


def ablated_put_in_afterwards(patches, hidden, mask_token, positions, network):
    line = np.tile(mask_token, (len(patches), 1))
    line[~hidden] = network((patches + positions)[~hidden])
    return line


MASK_TOKENS_IN_ENCODER = Exercise(
    name="mask_tokens_in_encoder",
    title="Ablate: mask tokens already in the encoder",
    kind="ablate",
    difficulty=3,
    importance=4,
    minutes=6,
    prompt="""
Above all, MAE differs from BERT in this: its encoder never meets a mask token. Here is its
encoder. Make of it **BERT's**: it reads all N places in the order of the picture, and at each
hidden one the mask token stands *in place of the patch*. Positions, as before, are added
everywhere. Return the output of the network for all N. (The authors measured what this costs,
table 1c: more than three times the work, and a linear probe on ImageNet that falls from 73.5 to
59.6 %. In use, no picture has a mask token in it.)
""",
    solution=mask_tokens_in_encoder,
    stub=encode,
    cases=ablation_cases,
    misconceptions=(
        Misconception(
            "hidden patches shown",
            ablated_hidden_shown,
            "Your encoder reads the hidden patches themselves: now there is nothing left to guess. "
            "The mask token has to stand in their place.",
        ),
        Misconception(
            "mask token without a place",
            ablated_mask_without_place,
            "Your mask tokens have no position: the network cannot know which gap is which.",
        ),
        Misconception(
            "the visible masked",
            ablated_visible_masked,
            "You put the mask token over the *visible* patches and show the hidden ones.",
        ),
        Misconception(
            "appended",
            ablated_appended,
            "Your mask tokens stand behind the visible ones; the order of the picture is asked "
            "for.",
        ),
        Misconception(
            "only the visible returned",
            ablated_visible_returned,
            "The network reads the right tokens, but you return the visible ones alone; all N are "
            "asked for.",
        ),
        Misconception(
            "put in behind the encoder",
            ablated_put_in_afterwards,
            "You put the mask tokens in *behind* the encoder: that is what MAE does. Here the "
            "network itself is to read them.",
        ),
    ),
    hints=(
        "`np.where(hidden[:, None], a, b)` takes a row of `a` where a patch is hidden.",
        "Replace first, then add the positions, and pass all N to the network.",
    ),
)

# --- test: is it really random? -------------------------------------------------------------------


def random_hidden(batch, patches, ratio, rng):
    """Which patches are hidden: bool (batch, patches), in each row another choice, equally many."""
    keep = int(patches * (1 - ratio) + 1e-9)
    noise = rng.random((batch, patches))
    limit = np.sort(noise, axis=1)[:, keep]
    return noise >= limit[:, None]


def test_random_hidden(random_hidden):
    """Assert what a right `random_hidden` does, and nothing that a right one might not do.

    random_hidden: a function of batch, patches, ratio, rng → bool (batch, patches), True: hidden
    """
    hidden = random_hidden(2000, 10, 0.75, np.random.default_rng(0))
    assert hidden.shape == (2000, 10)
    assert (hidden.sum(axis=1) == 8).all()  # all but ⌊2.5⌋
    assert np.abs(hidden.mean(axis=0) - 0.8).max() < 0.06
    # Two given patches are both hidden in 8/10 · 7/9 of the rows.
    both = hidden[:, :, None] & hidden[:, None, :]
    apart = ~np.eye(10, dtype=bool)
    assert np.abs(both.mean(axis=0)[apart] - 56 / 90).max() < 0.06
    rng = np.random.default_rng(0)
    again, later = (random_hidden(2000, 10, 0.75, rng) for _ in range(2))
    assert (again == hidden).all()
    assert (later != hidden).any()
    assert (random_hidden(50, 10, 0.8, rng).sum(axis=1) == 8).all()


def hidden_by_coins(batch, patches, ratio, rng):
    return rng.random((batch, patches)) < ratio


def hidden_alike(batch, patches, ratio, rng):
    return np.tile(random_hidden(1, patches, ratio, rng), (batch, 1))


def hidden_share_kept(batch, patches, ratio, rng):
    return ~random_hidden(batch, patches, ratio, rng)


def _count(patches, ratio):
    return patches - int(patches * (1 - ratio) + 1e-9)


def hidden_so_many(batch, patches, count, rng):
    return rng.permuted(np.tile(np.arange(patches) < count, (batch, 1)), axis=1)


def hidden_rounded_the_other_way(batch, patches, ratio, rng):
    return hidden_so_many(batch, patches, int(patches * ratio + 1e-9), rng)


def hidden_a_hair_too_many(batch, patches, ratio, rng):
    return hidden_so_many(batch, patches, patches - int(patches * (1 - ratio)), rng)


def hidden_but_the_first(batch, patches, ratio, rng):
    count = _count(patches, ratio)
    order = rng.random((batch, patches - 1)).argsort(axis=1).argsort(axis=1)
    rest = order < count
    return np.concatenate([np.zeros((batch, 1), bool), rest], axis=1)


def hidden_in_a_run(batch, patches, ratio, rng):
    count = _count(patches, ratio)
    start = rng.integers(0, patches, (batch, 1))
    return (np.arange(patches) - start) % patches < count


def hidden_with_replacement(batch, patches, ratio, rng):
    count = _count(patches, ratio)
    hidden = np.zeros((batch, patches), bool)
    np.put_along_axis(hidden, rng.integers(0, patches, (batch, count)), True, axis=1)
    return hidden


def hidden_by_its_own_seed(batch, patches, ratio, rng):
    return random_hidden(batch, patches, ratio, np.random.default_rng(0))


def hidden_by_nobodys_seed(batch, patches, ratio, rng):
    return random_hidden(batch, patches, ratio, np.random.default_rng())


def hidden_by_permutation(batch, patches, ratio, rng):
    return hidden_so_many(batch, patches, _count(patches, ratio), rng)


def hidden_one_by_one(batch, patches, ratio, rng):
    hidden = np.zeros((batch, patches), bool)
    for row in hidden:
        row[rng.permutation(patches)[: _count(patches, ratio)]] = True
    return hidden


TEST_RANDOM_HIDDEN = Exercise(
    name="test_random_hidden",
    title="Write the test that only chance can pass",
    kind="test",
    difficulty=4,
    importance=4,
    minutes=15,
    prompt="""
`random_hidden(batch, patches, ratio, rng)` returns bool (batch, patches), True where a patch is
hidden. Write a test of it. A right one hides in each row **exactly** all but ⌊patches · (1 −
ratio)⌋, also where floating point is a hair off (of 10 patches at 0.8 it hides 8); every choice of
patches is **equally likely**; rows differ; and all chance comes from `rng` (a NumPy generator), so
that a seed repeats it, and the next call on the same `rng` gives something else.

Chance can only be tested with many rows and some room: of 2,000 rows with probability 0.75, a
frequency is off by about 0.01 and almost never by more than 0.05. Right implementations may
use `rng` in other ways than yours would.
""",
    solution=test_random_hidden,
    subject=random_hidden,
    misconceptions=(
        Misconception(
            "a coin for each patch",
            hidden_by_coins,
            "Your test accepts a coin thrown for each patch: the share is right on average, but "
            "rows hide unequally many.",
        ),
        Misconception(
            "one mask for all rows",
            hidden_alike,
            "Your test accepts one mask for the whole batch.",
        ),
        Misconception(
            "the share is kept",
            hidden_share_kept,
            "Your test accepts a mask that is upside down, and hides 25 % for 75. Try a "
            "ratio other than one half.",
        ),
        Misconception(
            "the first is never hidden",
            hidden_but_the_first,
            "Your test accepts a function that never hides the first patch: count over many rows "
            "how often each patch is hidden.",
        ),
        Misconception(
            "neighbours in a row",
            hidden_in_a_run,
            "Your test accepts a function that always hides neighbours in a row. Each single patch "
            "is hidden equally often there; ask how often *two* given ones are hidden together.",
        ),
        Misconception(
            "drawn with replacement",
            hidden_with_replacement,
            "Your test accepts patches drawn with replacement: some are drawn twice, and then too "
            "few are hidden.",
        ),
        Misconception(
            "a seed of its own",
            hidden_by_its_own_seed,
            "Your test accepts a function with a fixed seed of its own: every call hides the same. "
            "Call it twice with one generator.",
        ),
        Misconception(
            "nobody's seed",
            hidden_by_nobodys_seed,
            "Your test accepts a function that does not use `rng`: the same seed must give the "
            "same mask again.",
        ),
        Misconception(
            "rounded the other way",
            hidden_rounded_the_other_way,
            "Your test accepts a function that hides ⌊patches · ratio⌋. With 16 patches at 0.75 "
            "that is the same: also try a share that does not come out even, as 10 at 0.75.",
        ),
        Misconception(
            "a hair too many",
            hidden_a_hair_too_many,
            "Your test accepts a function that leaves `int(patches * (1 - ratio))` visible. For 10 "
            "patches at 0.8 that is `int(1.9999999999999996)`, so 9 are hidden, where 8 are due: "
            "also try that.",
        ),
    ),
    also_right=(
        Misconception(
            "by permutation",
            hidden_by_permutation,
            "one that permutes a row of so many True. The same seed hides other patches there than "
            "in yours: compare no exact masks, only what every right one does.",
        ),
        Misconception(
            "row by row",
            hidden_one_by_one,
            "one that draws row after row. It is as random, but uses `rng` otherwise.",
        ),
    ),
    hints=(
        "With 10 patches and 0.75, each row has 8 hidden ones: `hidden.sum(axis=1)`. With 10 and "
        "0.8, too.",
        "`hidden.mean(axis=0)` is how often each patch was hidden: near 0.8 in 2,000 rows.",
        "Two patches are both hidden in 8/10 · 7/9 of the rows: "
        "`(hidden[:, 0] & hidden[:, 1]).mean()`.",
    ),
)

EXERCISES = (
    HIDE,
    DECODER_INPUT,
    MASKED_LOSS,
    ENCODER_COST,
    MASK_ORDER,
    MASK_TOKENS_IN_ENCODER,
    TEST_RANDOM_HIDDEN,
)

QUIZ = (
    Question(
        prompt="Language models hide 15 % of the words. Why does MAE hide 75 % of the patches?",
        choices=(
            "Pictures have more patches than sentences have words",
            "One missing patch can be continued from its neighbours without knowing what it shows",
            "Otherwise the encoder would be too slow",
        ),
        correct=1,
        why=(
            "The number is not the reason; 64 patches are fewer than most paragraphs have words.",
            "Pixels repeat themselves, words do not. Only a wide gap asks for more.",
            "It is faster, which is welcome; but the authors chose the ratio by what was learned.",
        ),
    ),
    Question(
        prompt="Reconstruction gets better and better. The linear probe on shapes …",
        choices=(
            "… rises with it, for who can paint a thing knows it",
            "… need not: the error is mostly about colour and light, and little about shape",
            "… falls, for features must forget pixels",
        ),
        correct=1,
        why=(
            "To paint a hidden patch it often suffices to continue an edge.",
            "That is why both are measured, and why MAE is usually fine-tuned rather than probed.",
            "There is no such law: in this lesson both rise, the one faster than the other.",
        ),
    ),
    Question(
        prompt="What does the class token learn in MAE?",
        choices=(
            "A summary, because the decoder reads it",
            "Nothing of its own: no term of the loss asks it for anything",
            "The class of the picture",
        ),
        correct=1,
        why=(
            "The decoder *may* read it, as it may read every token; no loss says that it must "
            "hold a summary.",
            "It learns what happens to be of use to the others. Hence our mean of the patches.",
            "There are no classes in this lesson; the name comes from the supervised network.",
        ),
    ),
    Question(
        prompt="From lesson 06: which control shows what the architecture gives away for nothing?",
        choices=(
            "Chance",
            "The same network with random weights",
            "Shuffled labels",
        ),
        correct=1,
        why=(
            "Chance knows nothing of the network.",
            "It reads colour at 0.65 in this lesson without having learned anything.",
            "Shuffled labels catch a leak between training and test.",
        ),
    ),
    Question(
        prompt="From lesson 07: SimCLR needs two views of a picture. What plays their part in MAE?",
        choices=(
            "Two masks of one picture",
            "Nothing: the visible part has to tell the hidden part of the same picture",
            "The encoder and the decoder",
        ),
        correct=1,
        why=(
            "One mask a picture; nobody compares two of them.",
            "So no augmentation has to be chosen, and nothing is made invariant: colour is kept.",
            "They are two halves of one network, not two pictures.",
        ),
    ),
    Question(
        prompt="From lesson 08: DINO could collapse to one answer for all pictures. Can MAE?",
        choices=(
            "Yes, unless the prediction is centred",
            "No: its targets are pixels, which are given and do not move",
            "Only with a mask ratio of 100 %",
        ),
        correct=1,
        why=(
            "Centring holds a *learned* target apart; here none is learned.",
            "One colour for all pictures has nearly twice the error of each picture's own mean "
            "colour (0.040 and 0.021 in section 6), and from both there is a way down.",
            "Then nobody could know anything, but the pixels would still differ: no collapse, only "
            "a bad painter.",
        ),
    ),
)
