"""Exercises of notebook 12_blip: the slow encoder with its queue, and what its opinion is for."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

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


def after_step_keep_written_out(slow, fast, keep, queue, pointer, newest):
    return after_step(slow, fast, 0.995, queue, pointer, newest)


def after_step_keep_half_written_out(slow, fast, keep, queue, pointer, newest):
    followed = 0.995 * slow + (1 - keep) * fast
    return (followed, *_stepped(slow, fast, keep, queue, pointer, newest)[1:])


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
            "keep written out",
            after_step_keep_written_out,
            "You have written 0.995 in place of the argument `keep`. It is right for one value "
            "only; the notebook's own short training takes another.",
        ),
        Misconception(
            "keep half written out",
            after_step_keep_half_written_out,
            "You have written 0.995 for the slow weights' share and left 1 − keep for the fast "
            "ones': together they are 1 only if `keep` is 0.995.",
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


def contrast_of_the_fast_opinion(image, slow_image, slow_text, queue, tau, alpha):
    return soft_contrast(image, image, slow_text, queue, tau, alpha)


def contrast_smoothed(image, slow_image, slow_text, queue, tau, alpha):
    logits = image @ np.concatenate([slow_text, queue]).T / tau
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = np.diag(log_p)
    return -((1 - alpha) * own + alpha * log_p.mean(axis=1)).mean()


def contrast_lowered(image, slow_image, slow_text, queue, tau, alpha):
    return (1 - alpha) * hard_contrast(image, slow_image, slow_text, queue, tau, alpha)


def contrast_alpha_for_the_partner(image, slow_image, slow_text, queue, tau, alpha):
    return alpha * hard_contrast(image, slow_image, slow_text, queue, tau, alpha)


def contrast_off_by_the_batch(image, slow_image, slow_text, queue, tau, alpha):
    logits = image @ np.concatenate([slow_text, queue]).T / tau
    return _plain(logits, np.arange(len(image)) + len(image) - 1)


def contrast_of_the_slow(image, slow_image, slow_text, queue, tau, alpha):
    return _plain(slow_image @ np.concatenate([slow_text, queue]).T / tau)


def contrast_truth_set(image, slow_image, slow_text, queue, tau, alpha):
    candidates, rows = np.concatenate([slow_text, queue]), np.arange(len(image))
    opinion = np.exp(slow_image @ candidates.T / tau)
    targets = alpha * opinion / opinion.sum(axis=1, keepdims=True)
    targets[rows, rows] = 1
    logits = image @ candidates.T / tau
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -(targets * log_p).sum(axis=1).mean()


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
            "nothing taken out",
            soft_contrast,
            "The slow encoder's opinion is still in your targets, with the weight alpha.",
        ),
        Misconception(
            "the truth set, the opinion kept",
            contrast_truth_set,
            "Your partner has 1, but the opinion is still there in all other places: your targets "
            "sum to more than 1.",
        ),
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
            "the fast encoder's opinion",
            contrast_of_the_fast_opinion,
            "There is still an opinion in your targets, now the *fast* encoder's of itself, which "
            "tells it to go on as it is. No opinion is to be left: the partner has everything.",
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
            "alpha for the partner",
            contrast_alpha_for_the_partner,
            "Your partner has alpha, which was the weight of the *opinion*, and nobody has the "
            "rest: your targets do not sum to 1. The partner is to have 1.",
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
