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
        first, second = counting
        tokens[second] = (tokens[first] + rng.integers(1, V - 1)) % (V - 1)  # another word
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


def _before(logits, counts):
    """The places that tell the tokens that count."""
    return np.flatnonzero(counts) + len(logits) - len(counts) - 1


def _log_p_of(logits, tokens, counts):
    """log p of each token that counts, where it should be looked up."""
    return _log_p(logits)[_before(logits, counts), tokens[counts]]


def answer_of_the_next(logits, tokens, counts):
    wanted = np.flatnonzero(counts)
    return -_log_p(logits)[wanted + len(logits) - len(tokens), tokens[wanted + 1]].mean()


def answer_token_before(logits, tokens, counts):
    return -_log_p_of(logits, np.roll(tokens, 1), counts).mean()


def answer_token_by_place(logits, tokens, counts):
    before = _before(logits, counts)
    return -_log_p(logits)[before, tokens[before]].mean()


def answer_each_with_each(logits, tokens, counts):
    return -_log_p(logits)[_before(logits, counts)][:, tokens[counts]].mean()


def answer_last_places(logits, tokens, counts):
    n = counts.sum()
    return -_log_p(logits)[np.arange(-n - 1, -1), tokens[counts]].mean()


def answer_first_only(logits, tokens, counts):
    return -_log_p_of(logits, tokens, counts)[0]


def answer_and_all_behind(logits, tokens, counts):
    return answer_loss(logits, tokens, np.maximum.accumulate(counts))


def answer_over_the_steps(logits, tokens, counts):
    return -_log_p_of(logits, tokens, counts).sum() / (len(logits) - 1)


def answer_over_the_places(logits, tokens, counts):
    return -_log_p_of(logits, tokens, counts).sum() / len(logits)


def answer_over_the_others(logits, tokens, counts):
    return -_log_p_of(logits, tokens, counts).sum() / (len(tokens) - 1)


def answer_one_by_one(logits, tokens, counts):
    return -_log_p_of(logits, tokens, counts)


def answer_softmax_over_all(logits, tokens, counts):
    told = logits[_before(logits, counts), tokens[counts]]
    return (np.log(np.exp(logits).sum()) - told).mean()


def answer_softmax_twice(logits, tokens, counts):
    return answer_loss(np.exp(_log_p(logits)), tokens, counts)


def answer_probability(logits, tokens, counts):
    return np.exp(_log_p_of(logits, tokens, counts)).mean()


def answer_perplexity(logits, tokens, counts):
    return np.exp(answer_loss(logits, tokens, counts))


def answer_in_bits(logits, tokens, counts):
    return answer_loss(logits, tokens, counts) / np.log(2)


ANSWER_LOSS = Exercise(
    name="answer_loss",
    title="The loss, behind a picture",
    kind="implement",
    difficulty=4,
    importance=5,
    minutes=12,
    prompt="""
A text of L tokens, one of which is the image token (which one, you need not know: S − L tells all).
The language model has read S places, for the
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
            "You take logits as if the text had kept its length, so each answer is held against "
            "another place, near the picture a patch. Behind it all places are moved by N − 1.",
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
        Misconception(
            "counted where it is foretold",
            answer_of_the_next,
            "You count the token *behind* each one that counts. `counts` is about the tokens "
            "to be told, not about the places that tell them.",
        ),
        Misconception(
            "token before",
            answer_token_before,
            "The right logits, but held against the token *before* the one that counts: the "
            "place goes back by one, and the token does not.",
        ),
        Misconception(
            "place among the tokens",
            answer_token_by_place,
            "You look up `tokens` at a place among the S. The L tokens are counted as in the "
            "text; only the logits are moved.",
        ),
        Misconception(
            "each with each",
            answer_each_with_each,
            "You hold every place against every word that counts. Each place has its own: "
            "`log_p[before, tokens[wanted]]`, both indices at once.",
        ),
        Misconception(
            "the last places",
            answer_last_places,
            "You take the last places of all, as if the answer ended the text. `counts` says "
            "where it stands.",
        ),
        Misconception(
            "first word only",
            answer_first_only,
            "Only the first token that counts is in your loss: `np.argmax` finds one, "
            "`np.flatnonzero` all.",
        ),
        Misconception(
            "all behind the first",
            answer_and_all_behind,
            "From the first token that counts on you take all of them. Between and behind "
            "the replies stand tokens that do not count.",
        ),
        Misconception(
            "divided by the steps",
            answer_over_the_steps,
            "The right sum, but divided by the S − 1 places that have a next one. Divide by "
            "the tokens that count, `counts.sum()`.",
        ),
        Misconception(
            "divided by the other tokens",
            answer_over_the_others,
            "The right sum, but divided by L − 1. Divide by the tokens that count, `counts.sum()`.",
        ),
        Misconception(
            "divided by the places",
            answer_over_the_places,
            "The right sum, but divided by the S places, so a larger picture makes an answer "
            "cheap. Divide by the tokens that count.",
        ),
        Misconception(
            "no mean",
            answer_one_by_one,
            "You return −log p of each token, and rightly; their mean is asked for.",
        ),
        Misconception(
            "softmax over all",
            answer_softmax_over_all,
            "Your softmax runs over all places and words together. At each place it runs "
            "over the V words: `axis=1`.",
        ),
        Misconception(
            "softmax twice",
            answer_softmax_twice,
            "You take the softmax of a softmax. It belongs once over the logits.",
        ),
        Misconception(
            "no logarithm",
            answer_probability,
            "You average p itself. The loss is −log p.",
        ),
        Misconception(
            "perplexity",
            answer_perplexity,
            "That is the perplexity, exp of the loss. The loss itself is asked for.",
        ),
        Misconception(
            "bits",
            answer_in_bits,
            "Your logarithm has base 2. The natural one is meant, as in `np.log`.",
        ),
    ),
    hints=(
        "`np.flatnonzero(counts)` are the places of the tokens in the *text*.",
        "Behind the picture add N − 1 = S − L for the place among the S; then one place back.",
        "−log p is log Σ exp(logits) of a place less the logit of the token.",
    ),
)
