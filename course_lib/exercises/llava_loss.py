"""Exercise of notebook 13_llava: what an answer costs, behind a picture."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: the loss of an answer -------------------------------------------------------------


def answer_loss(logits, tokens, counts):
    """What the answer costs, in a text with one picture; all that counts stands behind it.

    logits: (S, V), at each place those for the next one; tokens: ids (L,), one of them the image
    token, which has become N = S − L + 1 places; counts: bool (L,) → float
    """
    wanted = np.flatnonzero(counts)
    before = wanted + len(logits) - len(tokens) - 1
    log_sum = np.log(np.exp(logits).sum(axis=1))
    return (log_sum[before] - logits[before, tokens[wanted]]).mean()


def answer_loss_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for L, N, V, at, counting in [(9, 4, 6, 1, (5, 6)), (8, 3, 7, 2, (4, 6)), (7, 5, 5, 0, (3, 4))]:
        counts = np.zeros(L, bool)
        counts[list(counting)] = True
        tokens = rng.integers(0, V - 1, L)
        tokens[at] = V - 1
        cases.append({
            "logits": 2 * rng.normal(size=(L - 1 + N, V)), "tokens": tokens, "counts": counts
        })  # fmt: skip
    return cases


def _log_p(logits):
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def _moved(logits, tokens, counts, shift):
    wanted = np.flatnonzero(counts)
    return -_log_p(logits)[wanted + shift, tokens[wanted]].mean()


def answer_unshifted(logits, tokens, counts):
    return _moved(logits, tokens, counts, len(logits) - len(tokens))


def answer_as_if_no_picture(logits, tokens, counts):
    return _moved(logits, tokens, counts, -1)


def answer_neither(logits, tokens, counts):
    return _moved(logits, tokens, counts, 0)


def answer_two_places(logits, tokens, counts):
    return _moved(logits, tokens, counts, len(logits) - len(tokens) - 2)


def answer_wrong_way(logits, tokens, counts):
    return _moved(logits, tokens, counts, len(logits) - len(tokens) + 1)


def answer_and_question(logits, tokens, counts):
    return _moved(logits, tokens, np.arange(len(tokens)) > 0, len(logits) - len(tokens) - 1)


def answer_over_all(logits, tokens, counts):
    return answer_loss(logits, tokens, counts) * counts.mean()


def answer_sum(logits, tokens, counts):
    return answer_loss(logits, tokens, counts) * counts.sum()


def answer_negative(logits, tokens, counts):
    return -answer_loss(logits, tokens, counts)


def answer_of_bare_logits(logits, tokens, counts):
    wanted = np.flatnonzero(counts)
    return -logits[wanted + len(logits) - len(tokens) - 1, tokens[wanted]].mean()


def answer_over_places(logits, tokens, counts):
    log_p = logits - np.log(np.exp(logits).sum(axis=0, keepdims=True))
    wanted = np.flatnonzero(counts)
    return -log_p[wanted + len(logits) - len(tokens) - 1, tokens[wanted]].mean()


def answer_log_of_mean(logits, tokens, counts):
    wanted = np.flatnonzero(counts)
    p = np.exp(_log_p(logits))[wanted + len(logits) - len(tokens) - 1, tokens[wanted]]
    return -np.log(p.mean())


def answer_likeliest(logits, tokens, counts):
    wanted = np.flatnonzero(counts)
    return -_log_p(logits)[wanted + len(logits) - len(tokens) - 1].max(axis=1).mean()


ANSWER_LOSS = Exercise(
    name="answer_loss",
    title="The loss, behind a picture",
    kind="implement",
    difficulty=4,
    importance=5,
    minutes=12,
    prompt="""
A text of L tokens, one of which is the image token. The language model has read S places, for the
image token has become N patches, S = L − 1 + N. At each **place** it gives logits (V numbers) for
what stands at the **next place**. `counts` (L,) says which **tokens** count; all of these stand
behind the picture. Return the mean of −log p over the tokens that count, p by a softmax over the V
words.

Two shifts meet here: a token behind the picture stands N − 1 places further back than in the text,
and what foretells it stands one place before it.

By hand: tokens [7, 4, 5] with the image token 7 and N = 3, so S = 5; only the last token, 5,
counts. In the text it is token 2, among the places it is place 4, and it is foretold by the logits
at place 3.
""",
    solution=answer_loss,
    cases=answer_loss_cases,
    misconceptions=(
        Misconception(
            "not shifted",
            answer_unshifted,
            "You read the logits at the token's *own* place, where the model has already seen it, "
            "or you count N further places and forget that the image token goes. What foretells a "
            "token stands one place before it.",
        ),
        Misconception(
            "picture forgotten",
            answer_as_if_no_picture,
            "You take logits as if the text had kept its length: your answers are compared with "
            "what the model foretells among the patches. Behind the picture all places are moved.",
        ),
        Misconception(
            "neither shift",
            answer_neither,
            "Both shifts are missing: the picture's N − 1 further places, and the one place before "
            "the token.",
        ),
        Misconception(
            "shifted twice",
            answer_two_places,
            "You go two places back. The logits at a place are for the next one: one place.",
        ),
        Misconception(
            "shifted the wrong way",
            answer_wrong_way,
            "You take the logits at the place *behind* the token: they foretell what comes two "
            "tokens later. It is the place before.",
        ),
        Misconception(
            "question counted",
            answer_and_question,
            "All tokens count in yours. Only those with `counts` do: what the user says nobody is "
            "to foretell.",
        ),
        Misconception(
            "divided by all",
            answer_over_all,
            "You divide by all L tokens; only those that count are averaged, or a long question "
            "would make an answer cheap.",
        ),
        Misconception(
            "sum",
            answer_sum,
            "You add up over the tokens that count; their mean is asked for.",
        ),
        Misconception(
            "sign lost",
            answer_negative,
            "Your loss is negative: −log p of a p below 1 is positive.",
        ),
        Misconception(
            "no softmax",
            answer_of_bare_logits,
            "You average the logits themselves. log p is the logit less log Σ exp(logits) of its "
            "place.",
        ),
        Misconception(
            "softmax over the places",
            answer_over_places,
            "Your softmax runs down the places (`axis=0`); at each place it must run over the V "
            "words.",
        ),
        Misconception(
            "log of the mean",
            answer_log_of_mean,
            "You average the probabilities and take the logarithm then: each token pays its own "
            "−log p.",
        ),
        Misconception(
            "the likeliest word",
            answer_likeliest,
            "You take the greatest log p at each place. The loss asks for the token that *is* "
            "there, right or wrong.",
        ),
    ),
    hints=(
        "`np.flatnonzero(counts)` are the places of the tokens in the *text*.",
        "Behind the picture add N − 1 = S − L for the place among the S; then one place back.",
        "−log p is log Σ exp(logits) of a place less the logit of the token.",
    ),
)
