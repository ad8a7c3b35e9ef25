"""Exercise of notebook 12_blip: what each word of a caption costs."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

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
            words = rng.integers(1, v - 2, length)
            words[rng.integers(length)] = 0
            row[: length + 2] = [v - 2, *words, end]
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


def _over(counts, log_p, tokens, smoothing):
    paid = _paid(log_p[:, :-1], tokens[:, 1:], smoothing)
    return (paid * counts).sum() / counts.sum()


def caption_without_zeros(log_p, tokens, end, smoothing):
    counts = _counting(tokens[:, 1:], end) & (tokens[:, 1:] != 0)
    return _over(counts, log_p, tokens, smoothing)


def caption_zeros_for_pads(log_p, tokens, end, smoothing):
    return _over(tokens[:, 1:] != 0, log_p, tokens, smoothing)


def caption_zeros_and_ends_for_pads(log_p, tokens, end, smoothing):
    return _over((tokens[:, 1:] != 0) & (tokens[:, 1:] != end), log_p, tokens, smoothing)


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


def caption_second_term_dropped(log_p, tokens, end, smoothing):
    return (1 - smoothing) * caption_loss(log_p, tokens, end, 0.0)


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
            "zeros left out",
            caption_without_zeros,
            "You stop at the first end, which is right, and leave out the zeros before it as well. "
            "In a caption 0 is a word: the place says what is a pad, not the id.",
        ),
        Misconception(
            "zeros for pads",
            caption_zeros_for_pads,
            "You take zeros for pads. 0 is a word, too, which now costs nothing, and pads that are "
            "end tokens cost something: what counts is the place, up to the first end.",
        ),
        Misconception(
            "zeros and ends for pads",
            caption_zeros_and_ends_for_pads,
            "You take every zero and every end token for a pad. 0 is a word, too, and the first "
            "end has to be told: what counts is the place, up to the first end.",
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
            "second term dropped",
            caption_second_term_dropped,
            "You dropped the term of the smoothing, and the truth is left with 1 − ε: the weights "
            "no longer sum to 1. The term is right for the tokens that count, and wrong only "
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
