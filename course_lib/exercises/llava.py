"""Exercises of notebook 13_llava: a picture inside a text, which words count, who may learn, what
a blind network knows.

All of it is NumPy on one text at a time: ids, a table of words, a handful of patches. Nearly every
mistake here is silent, for shapes fit and a loss falls; what suffers is the answers.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question

# --- implement: a picture in a text ---------------------------------------------------------------


def spliced(tokens, words, patches, image_token):
    """The vectors that the language model reads, for a text with one picture in it.

    tokens: ids (L,), one of them image_token; words: (V, D), the vector of each id;
    patches: (N, D), the picture's, projected → (L − 1 + N, D)
    """
    at = np.argmax(tokens == image_token)
    before = words[tokens[:at]]
    behind = words[tokens[at + 1 :]]
    return np.concatenate([before, patches, behind])


def spliced_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for L, N, D, at in [(6, 3, 2, 2), (5, 4, 3, 1), (7, 2, 4, 4)]:
        tokens, V = rng.permutation(8)[:L], 9
        tokens[at] = V - 1
        cases.append({
            "tokens": tokens, "words": rng.normal(size=(V, D)),
            "patches": rng.normal(size=(N, D)), "image_token": V - 1,
        })  # fmt: skip
    return cases


def _without(tokens, image_token):
    return tokens[tokens != image_token]


def spliced_at_the_end(tokens, words, patches, image_token):
    return np.concatenate([words[_without(tokens, image_token)], patches])


def spliced_in_front(tokens, words, patches, image_token):
    return np.concatenate([patches, words[_without(tokens, image_token)]])


def spliced_as_one(tokens, words, patches, image_token):
    return spliced(tokens, words, patches.mean(axis=0, keepdims=True), image_token)


def spliced_first_patch(tokens, words, patches, image_token):
    return spliced(tokens, words, patches[:1], image_token)


def spliced_mean_everywhere(tokens, words, patches, image_token):
    mean = np.repeat(patches.mean(axis=0, keepdims=True), len(patches), axis=0)
    return spliced(tokens, words, mean, image_token)


def spliced_mark_kept(tokens, words, patches, image_token):
    own = words[[image_token]]
    return spliced(tokens, words, np.concatenate([own, patches]), image_token)


def spliced_mark_added(tokens, words, patches, image_token):
    return spliced(tokens, words, patches + words[image_token], image_token)


def spliced_over_the_words(tokens, words, patches, image_token):
    at, x = np.argmax(tokens == image_token), words[tokens]
    x[at : at + len(patches)] = patches[: len(x) - at]
    return x


def spliced_behind_the_next_word(tokens, words, patches, image_token):
    tokens, at = tokens.copy(), np.argmax(tokens == image_token)
    tokens[at : at + 2] = tokens[at : at + 2][::-1]
    return spliced(tokens, words, patches, image_token)


def spliced_backwards(tokens, words, patches, image_token):
    return spliced(tokens, words, patches[::-1], image_token)


def spliced_without_first(tokens, words, patches, image_token):
    return spliced(tokens, words, patches[1:], image_token)


SPLICED = Exercise(
    name="spliced",
    title="A picture inside a text",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
`tokens` (L,) are the ids of a text. Exactly one of them is `image_token`: there the picture is
meant. `words` (V, D) holds the vector of every id, `patches` (N, D) the picture's patches, which
the projector has already brought to width D. Return what the language model reads: the words'
vectors in their order, and **in place of the image token, all N patches in theirs**. The image
token's own vector is not among them: (L − 1 + N, D).

By hand: `words` [[1], [2], [3]], `tokens` [0, 2, 1] with `image_token` 2, `patches` [[8], [9]]. The
language model reads [[1], [8], [9], [2]].
""",
    solution=spliced,
    cases=spliced_cases,
    misconceptions=(
        Misconception(
            "appended at the end",
            spliced_at_the_end,
            "Your picture stands behind the text. It belongs where the image token stands: "
            "attention looks back only, so a word in front of the picture has not seen it.",
        ),
        Misconception(
            "always in front",
            spliced_in_front,
            "Your picture stands in front of the text, wherever the image token is. With two "
            "pictures, or a mark before the picture, that is another text.",
        ),
        Misconception(
            "one vector",
            spliced_as_one,
            "You put one vector, the mean of the patches, in place of N. What is *where* is gone "
            "before the first word has been read.",
        ),
        Misconception(
            "first patch only",
            spliced_first_patch,
            "Only one patch has come into your text, the first one: the image token stands for all "
            "N of them.",
        ),
        Misconception(
            "N times the mean",
            spliced_mean_everywhere,
            "Your N places all hold the same vector, the mean. Each patch is a word of its own.",
        ),
        Misconception(
            "image token kept",
            spliced_mark_kept,
            "Your text is one vector too long: the image token's own vector still stands before "
            "the patches. It only says where they are to go.",
        ),
        Misconception(
            "image token added",
            spliced_mark_added,
            "You add the image token's vector to every patch. It takes no part: many models do not "
            "even have a vector for it.",
        ),
        Misconception(
            "words overwritten",
            spliced_over_the_words,
            "Your text has kept its length L: the patches have overwritten the words behind the "
            "image token. The words have to make room.",
        ),
        Misconception(
            "one word too far",
            spliced_behind_the_next_word,
            "Your picture stands one word too late: the word behind the image token comes behind "
            "the patches.",
        ),
        Misconception(
            "patches backwards",
            spliced_backwards,
            "Your patches stand in reverse order. Their order is all that says where in the "
            "picture each one was.",
        ),
        Misconception(
            "first patch lost",
            spliced_without_first,
            "Your first patch is missing. A class token has been taken away before; `patches` "
            "holds patches only.",
        ),
    ),
    hints=(
        "`np.argmax(tokens == image_token)` is the place of the image token.",
        "`words[tokens[:at]]` are the vectors of the words before it; which slice holds those "
        "behind it?",
        "`np.concatenate` puts three arrays (…, D) one behind the other.",
    ),
)

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
            "The right block, but normalised: the last norm belongs to the tower's own head, "
            "whose block you have left out.",
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
    ),
    hints=(
        "`blocks[:-1]` are all blocks but the last.",
        "What does the line between the loop and `return` do, and who asked for it?",
    ),
)

# --- predict: who learns --------------------------------------------------------------------------

LEARNS = {"tower": "never", "projector": "both", "language": "stage 2", "places": 625}

WHO_LEARNS = Exercise(
    name="who_learns",
    title="Who learns when, and how long is a text?",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=5,
    prompt="""
LLaVA-1.5 is made of CLIP's tower, a projector with new, random weights, and Vicuna, a language
model that can talk. In **stage 1** it sees captions, in **stage 2** conversations.

* `tower`, `projector`, `language`: when does each of them learn? Say `"never"`, `"stage 1"`,
  `"stage 2"` or `"both"`.
* `places`: the tower sees 336 × 336 pixels in patches of 14 × 14. A conversation has 50 tokens, one
  of which is the image token. How many places does the language model read?
""",
    solution=LEARNS,
    misconceptions=(
        Misconception(
            "tower in stage 1",
            LEARNS | {"tower": "stage 1"},
            "The tower stands still in both stages: gradients from a projector that knows nothing "
            "would only spoil what 400 million pairs have taught it.",
        ),
        Misconception(
            "tower tuned",
            LEARNS | {"tower": "stage 2"},
            "Later models do tune the tower. LLaVA and LLaVA-1.5 leave it as it is, in both "
            "stages.",
        ),
        Misconception(
            "tower in both stages",
            LEARNS | {"tower": "both"},
            "The tower never learns here: it comes trained from CLIP, and stays as it is.",
        ),
        Misconception(
            "projector in neither stage",
            LEARNS | {"projector": "never"},
            "The projector is the only part that is new. If it never learns, patches arrive as "
            "random vectors, and the best language model is blind.",
        ),
        Misconception(
            "projector in stage 1 only",
            LEARNS | {"projector": "stage 1"},
            "In stage 2 the language model begins to move, and the projector moves with it.",
        ),
        Misconception(
            "projector in stage 2 only",
            LEARNS | {"projector": "stage 2"},
            "Then who learns in stage 1? The projector, alone: it is what stage 1 is for.",
        ),
        Misconception(
            "language model in both stages",
            LEARNS | {"language": "both"},
            "In stage 1 the language model is frozen: a random projector would feed it noise, and "
            "teach it to overlook pictures.",
        ),
        Misconception(
            "language model in stage 1",
            LEARNS | {"language": "stage 1"},
            "It is the other way round: in stage 1 the language model is frozen, in stage 2 it "
            "learns to follow instructions.",
        ),
        Misconception(
            "language model never",
            LEARNS | {"language": "never"},
            "Some models leave it frozen (BLIP-2, Flamingo). LLaVA tunes it in stage 2: this is "
            "the *instruction tuning* of the paper's title.",
        ),
        Misconception(
            "one place too many",
            LEARNS | {"places": 626},
            "626 is one too many: the image token makes room for the patches and goes, and the "
            "class token does not come in: 49 words + 24 · 24 patches.",
        ),
        Misconception(
            "both too many",
            LEARNS | {"places": 627},
            "627 counts the image token and the class token, and neither of them is read.",
        ),
        Misconception(
            "one vector",
            LEARNS | {"places": 50},
            "50 would be one vector for the picture. Each of its 24 · 24 patches has a place.",
        ),
        Misconception(
            "patches alone",
            LEARNS | {"places": 576},
            "576 patches, and the 49 other tokens of the conversation.",
        ),
        Misconception(
            "one side",
            LEARNS | {"places": 73},
            "336 / 14 = 24 is one side of the grid; it has 24 · 24 patches.",
        ),
    ),
    hints=(
        "Which of the three parts knows nothing at the beginning? It has to learn first, alone.",
        "336 / 14 = 24 patches along each side.",
    ),
)

# --- implement: whose words count -----------------------------------------------------------------


def counted(tokens, assistant, end):
    """Which tokens of a conversation the loss counts: the assistant's words and their end.

    tokens: ids (L,); assistant: the mark before each reply; end: the mark behind whatever anybody
    says, and the pads → bool (L,)
    """
    counts, speaking = [], False
    for token in tokens:
        counts.append(speaking)
        if token == assistant:
            speaking = True
        if token == end:
            speaking = False
    return np.array(counts)


USER, ASSISTANT, END = 1, 2, 3


def conversation(rng, lengths, pads, user=USER, assistant=ASSISTANT, end=END):
    """Question and reply lengths of each turn → ids: marks 1, 2, 3, words 10 to 29."""
    tokens = []
    for asked, said in lengths:
        for mark, n in ((user, asked), (assistant, said)):
            tokens += [mark, *rng.integers(10, 30, n).tolist(), end]
    return np.array(tokens + [end] * pads)


def counted_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for turns, pads in [(2, 3), (3, 0), (2, 1), (1, 2)]:
        lengths = rng.integers(1, 5, (turns, 2))
        cases.append({
            "tokens": conversation(rng, lengths, pads), "assistant": ASSISTANT, "end": END
        })  # fmt: skip
    # Another template: other marks.
    tokens = conversation(rng, rng.integers(1, 5, (2, 2)), 2, user=5, assistant=4, end=7)
    return [*cases, {"tokens": tokens, "assistant": 4, "end": 7}]


def counted_without_end(tokens, assistant, end):
    return counted(tokens, assistant, end) & (tokens != end)


def counted_everything(tokens, assistant, end):
    return np.ones(len(tokens), bool)


def counted_no_pads(tokens, assistant, end):
    """All but the pads at the end."""
    real = len(tokens)
    while real > 1 and tokens[real - 2] == end:
        real -= 1
    return np.arange(len(tokens)) < real


def counted_and_pads(tokens, assistant, end):
    real = counted_no_pads(tokens, assistant, end)
    return counted(tokens, assistant, end) | ~real


def counted_with_mark(tokens, assistant, end):
    return counted(tokens, assistant, end) | (tokens == assistant)


def counted_all_ends(tokens, assistant, end):
    real = counted_no_pads(tokens, assistant, end)
    return counted(tokens, assistant, end) | (real & (tokens == end))


def counted_questions(tokens, assistant, end):
    real = counted_no_pads(tokens, assistant, end)
    return real & ~counted(tokens, assistant, end)


def counted_from_the_first(tokens, assistant, end):
    real = counted_no_pads(tokens, assistant, end)
    return real & (np.cumsum(tokens == assistant) > 0) & (np.arange(len(tokens)) != np.argmax(
        tokens == assistant))  # fmt: skip


def counted_last_reply(tokens, assistant, end):
    last = np.flatnonzero(tokens == assistant)[-1]
    return counted(tokens, assistant, end) & (np.arange(len(tokens)) > last)


def counted_first_reply(tokens, assistant, end):
    return counted(tokens, assistant, end) & (np.cumsum(tokens == assistant) == 1)


def counted_one_early(tokens, assistant, end):
    return np.append(counted(tokens, assistant, end)[1:], False)


COUNTED = Exercise(
    name="counted",
    title="Whose words count",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
A conversation as ids: before what the user says stands a mark of its own, before each reply stands
`assistant`, and behind whatever anybody says stands `end`. The pads at the end of the row are more
`end` tokens. Return bool (L,): True for the tokens that the loss counts, **every reply's words and
the `end` behind them**, and nothing else: no question, no mark before it, no other `end`, no pad.

By hand, with `assistant` 2 and `end` 3:

```text
tokens   1 14 15  3   2 20  3   1 16  3   2 21 22  3   3  3
counts   .  .  .  .   .  T  T   .  .  .   .  T  T  T   .  .
```
""",
    solution=counted,
    cases=counted_cases,
    misconceptions=(
        Misconception(
            "end not counted",
            counted_without_end,
            "Your replies count without the `end` behind them. Then nothing ever teaches the "
            "model to stop, and it goes on until somebody stops it. Leaving out all tokens with "
            "the *number* of a pad does the same.",
        ),
        Misconception(
            "everything counts",
            counted_everything,
            "Everything counts in yours, questions and pads as well.",
        ),
        Misconception(
            "questions counted",
            counted_no_pads,
            "Your loss also counts the questions: the model learns to ask, and most of its loss is "
            "about what no picture decides.",
        ),
        Misconception(
            "pads counted",
            counted_and_pads,
            "Your loss counts the pads: easy tokens which make the mean look good, the better the "
            "longer the batch was padded.",
        ),
        Misconception(
            "mark counted",
            counted_with_mark,
            "You count the mark before the reply, too. It is given with the prompt; nobody has to "
            "foretell it.",
        ),
        Misconception(
            "every end counted",
            counted_all_ends,
            "You count the `end` behind the *questions*, too. The assistant does not decide when a "
            "user has finished.",
        ),
        Misconception(
            "questions alone",
            counted_questions,
            "It is just the other way round: your loss counts the questions and not the replies.",
        ),
        Misconception(
            "all from the first reply on",
            counted_from_the_first,
            "Behind the first reply everything counts in yours, the next questions as well: at an "
            "`end` the assistant stops speaking.",
        ),
        Misconception(
            "last reply only",
            counted_last_reply,
            "Only the last reply counts in yours. Every reply of a conversation is a lesson; "
            "attention is causal, so none of them sees a later one.",
        ),
        Misconception(
            "first reply only",
            counted_first_reply,
            "Only the first reply counts in yours; the next mark begins another one.",
        ),
        Misconception(
            "one place early",
            counted_one_early,
            "You mark the places *before* the tokens that count, where they are foretold. Mark "
            "the tokens; the loss does the shift, and two shifts are one too many.",
        ),
    ),
    hints=(
        "Go through the tokens with one variable that says whether the assistant is speaking.",
        "Write down first whether this token counts, and only then look at what it changes: the "
        "mark does not count, the `end` does.",
        "An `end` behind a question, or a pad, comes while the assistant is silent, and changes "
        "nothing.",
    ),
)

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

# --- repair: prompts that are to be continued -----------------------------------------------------


def prompts(rows, pad):
    """Prompts of unequal length, ready to be continued.

    rows: B lists of ids; pad: an id → tokens (B, L) and is_pad, bool (B, L)
    """
    length = max(len(ids) for ids in rows)
    tokens = np.full((len(rows), length), pad)
    is_pad = np.ones((len(rows), length), bool)
    for i, ids in enumerate(rows):
        tokens[i, length - len(ids) :] = ids
        is_pad[i, length - len(ids) :] = False
    return tokens, is_pad


def prompts_broken(rows, pad):
    """Prompts of unequal length, ready to be continued.

    rows: B lists of ids; pad: an id → tokens (B, L) and is_pad, bool (B, L)
    """
    length = max(len(ids) for ids in rows)
    tokens = np.full((len(rows), length), pad)
    is_pad = np.ones((len(rows), length), bool)
    for i, ids in enumerate(rows):
        tokens[i, : len(ids)] = ids
        is_pad[i, : len(ids)] = False
    return tokens, is_pad


def prompts_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for pad, lengths in [(3, (4, 7, 5)), (9, (6, 3)), (0, (3, 8, 5, 6))]:
        rows = [rng.integers(10, 30, n).tolist() for n in lengths]
        for row in rows:
            row[1] = pad  # behind an earlier turn stands the end token, the pads' namesake
        cases.append({"rows": rows, "pad": pad})
    return cases


def prompts_mask_by_id(rows, pad):
    tokens, _ = prompts(rows, pad)
    return tokens, tokens == pad


def prompts_mask_inverted(rows, pad):
    tokens, is_pad = prompts(rows, pad)
    return tokens, ~is_pad


def prompts_mask_on_the_right(rows, pad):
    return prompts(rows, pad)[0], prompts_broken(rows, pad)[1]


def prompts_tokens_on_the_right(rows, pad):
    return prompts_broken(rows, pad)[0], prompts(rows, pad)[1]


def prompts_turned_round(rows, pad):
    tokens, is_pad = prompts_broken(rows, pad)
    return tokens[:, ::-1], is_pad[:, ::-1]


def prompts_cut(rows, pad):
    short = min(len(row) for row in rows)
    tokens = np.array([row[-short:] for row in rows])
    return tokens, np.zeros(tokens.shape, bool)


def prompts_nothing_hidden(rows, pad):
    tokens, is_pad = prompts(rows, pad)
    return tokens, np.zeros_like(is_pad)


PROMPTS = Exercise(
    name="prompts",
    title="Repair: prompts that end with a pad",
    kind="repair",
    difficulty=2,
    importance=4,
    minutes=6,
    prompt="""
In training, pads stand on the right, and nobody minds. For writing, a whole batch of prompts goes
on at its **last column**, all rows at once: the next word of each row is foretold there. The code
below pads as in training, so every prompt but the longest is continued from a pad: short questions
get nonsense for answers, long ones do not. Repair it: pads on the **left**, in `tokens` and in
`is_pad` (True at pads).

`pad` is the id of the end token. It may also stand *inside* a prompt, behind an earlier turn.
""",
    solution=prompts,
    stub=prompts_broken,
    cases=prompts_cases,
    misconceptions=(
        Misconception(
            "mask by the id",
            prompts_mask_by_id,
            "Your mask is True wherever the pad's *id* stands, also inside the prompts: there it "
            "ends an earlier turn, and is to be read. A mask knows places, not ids.",
        ),
        Misconception(
            "mask inverted",
            prompts_mask_inverted,
            "Your mask is True at the words. It is named for what True means: is_pad.",
        ),
        Misconception(
            "mask still on the right",
            prompts_mask_on_the_right,
            "Your tokens have moved, your mask has not: words are hidden, and pads are read.",
        ),
        Misconception(
            "tokens still on the right",
            prompts_tokens_on_the_right,
            "Your mask has moved, your tokens have not.",
        ),
        Misconception(
            "turned round",
            prompts_turned_round,
            "You have turned whole rows round: the pads are on the left, and the prompts read "
            "backwards.",
        ),
        Misconception(
            "cut to the shortest",
            prompts_cut,
            "You have cut all rows to the length of the shortest, and with them the picture's "
            "place or the beginning of a question.",
        ),
        Misconception(
            "nothing hidden",
            prompts_nothing_hidden,
            "Your mask hides nothing: the prompts would read their pads as words, and an answer "
            "would depend on what else is in the batch.",
        ),
    ),
    hints=(
        "A row of n ids fills the *last* n columns.",
        "`tokens[i, length - len(ids):] = ids`, and the same places in `is_pad`.",
    ),
)

# --- ablate: a network that sees nothing of its own -----------------------------------------------


def with_pictures(pictures, which):
    """What each question is shown: its own picture.

    pictures: (B, H, W) floats; which: (Q,), the picture that each question is about → (Q, H, W)
    """
    return pictures[which]


def blindfold(pictures, which):
    """What each question is shown: the mean of all pictures.

    pictures: (B, H, W) floats; which: (Q,), the picture that each question is about → (Q, H, W)
    """
    mean = pictures.mean(axis=0, keepdims=True)
    return np.repeat(mean, len(which), axis=0)


def blindfold_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for b, h, w, which in [(3, 2, 4, (0, 0, 1, 2, 2)), (4, 3, 2, (3, 1, 1, 0, 2, 3)),
                           (5, 4, 3, (0, 4, 4))]:  # fmt: skip
        cases.append({"pictures": rng.uniform(size=(b, h, w)), "which": np.array(which)})
    return cases


def blind_black(pictures, which):
    return np.zeros((len(which), *pictures.shape[1:]))


def blind_each_ones_mean(pictures, which):
    return np.broadcast_to(
        pictures.mean(axis=(1, 2), keepdims=True), pictures.shape
    )[which].copy()  # fmt: skip


def blind_grey(pictures, which):
    return np.full((len(which), *pictures.shape[1:]), pictures.mean())


def blind_others(pictures, which):
    return np.roll(pictures, 1, axis=0)[which]


def blind_mean_of_questions(pictures, which):
    return np.repeat(pictures[which].mean(axis=0, keepdims=True), len(which), axis=0)


def blind_by_picture(pictures, which):
    return np.repeat(pictures.mean(axis=0, keepdims=True), len(pictures), axis=0)


def blind_once(pictures, which):
    return pictures.mean(axis=0)


BLINDFOLD = Exercise(
    name="blindfold",
    title="Ablate: take the picture away",
    kind="ablate",
    difficulty=2,
    importance=5,
    minutes=6,
    prompt="""
Q questions about B pictures, `which` (Q,) says about which; the function below shows each question
its picture. Make of it the **blind control**: every question is shown the same thing, the **mean of
all B pictures**, each of them counted once. Whatever is right now was not seen.

Nothing of a question's own picture may be left in it, and the network must still be shown something
like a picture: what it answers to something that it has never met, such as a black square, says
little.
""",
    solution=blindfold,
    stub=with_pictures,
    cases=blindfold_cases,
    misconceptions=(
        Misconception(
            "black",
            blind_black,
            "You show a black square. That is blind, but no picture ever looked so: the network "
            "may answer oddly because it is *odd*. The mean has at least a table's colour.",
        ),
        Misconception(
            "each picture's own mean",
            blind_each_ones_mean,
            "Each question is shown the mean of its *own* picture: that still tells whether it is "
            "bright, or reddish. A control that leaks flatters the blind.",
        ),
        Misconception(
            "one grey",
            blind_grey,
            "You show one number everywhere. The mean is taken over the pictures alone, pixel by "
            "pixel.",
        ),
        Misconception(
            "another's picture",
            blind_others,
            "You show each question another picture. That is a good control too, but the other "
            "one, *shuffled*: the network sees something, and is misled.",
        ),
        Misconception(
            "mean of what is asked",
            blind_mean_of_questions,
            "In your mean a picture counts once for each question about it. Each of the B pictures "
            "counts once.",
        ),
        Misconception(
            "one for each picture",
            blind_by_picture,
            "You return one for each of B pictures; one for each of Q questions is asked for.",
        ),
        Misconception(
            "one for all",
            blind_once,
            "You return one picture. Every question needs its copy, (Q, H, W).",
        ),
    ),
    hints=(
        "`pictures.mean(axis=0)` is the mean of all pictures, pixel by pixel, (H, W).",
        "`np.repeat(x, n, axis=0)` repeats an array (1, H, W) n times.",
    ),
)

# --- predict: the shortcut ------------------------------------------------------------------------

SOME = {"one": 1.0, "two": 0.5, "three": 0.333, "all": 0.611, "blind": 0.125}


def some_colour():
    """The values of SOME, counted."""
    by_number = [Fraction(1, n) for n in (1, 2, 3)]
    values = [*by_number, sum(by_number) / 3, Fraction(1, 8)]
    return dict(zip(SOME, map(float, values), strict=True))


SHORTCUT = Exercise(
    name="shortcut",
    title="Right for the wrong reason",
    kind="predict",
    difficulty=2,
    importance=5,
    minutes=5,
    prompt="""
A network has a bad habit. Asked "what colour is the cube?", it looks at the picture and names the
colour of **some** object, any of them, equally likely. In the scenes stand one, two or three
objects, each number in a third of the scenes; there is one question a scene, its cube is one of
the objects, and no two objects of a scene share a colour. To three decimals:

* `one`, `two`, `three`: which share of its answers is right in scenes of so many objects?
* `all`: and over all scenes together?
* `blind`: which share has a network that never looks, and always says "red"? There are eight
  colours, all equally frequent.
""",
    solution=SOME,
    measure=some_colour,
    rtol=3e-3,
    atol=2e-3,
    misconceptions=(
        Misconception(
            "at chance",
            {"one": 0.125, "two": 0.125, "three": 0.125, "all": 0.125, "blind": 0.125},
            "It does look: it never names a colour that is not in the picture. With one object "
            "that is enough to be right every time.",
        ),
        Misconception(
            "one in eight beside",
            SOME | {"one": 0.125},
            "With one object, *some* object is the right one: always right, without having "
            "understood the question.",
        ),
        Misconception(
            "always right",
            {"one": 1.0, "two": 1.0, "three": 1.0, "all": 1.0, "blind": 0.125},
            "With two objects it names the other one's colour half of the time.",
        ),
        Misconception(
            "plain middle",
            SOME | {"all": 0.5},
            "1/2 is the share among scenes of two objects, or what one gets by counting scenes of "
            "three objects three times. Each number has a third of the questions: the mean of 1, "
            "1/2 and 1/3.",
        ),
        Misconception(
            "one in n of the wrong",
            SOME | {"two": 0.333, "three": 0.25, "all": 0.528},
            "With n objects it has n colours to choose from, not n + 1.",
        ),
        Misconception(
            "blind at one half",
            SOME | {"blind": 0.5},
            "Blind it is right when the cube happens to be red: one time in eight. One half "
            "would be for *yes* and *no*.",
        ),
        Misconception(
            "blind as good",
            SOME | {"blind": 0.611},
            "Who never looks does not know which colours are there: one in eight. So the blind "
            "control alone does *not* uncover this habit; the number of objects does.",
        ),
    ),
    hints=(
        "With n objects of n colours, one of its n possible answers is right.",
        "`all`: each number of objects has a third of the questions.",
    ),
)

# --- test: the mask on trial ----------------------------------------------------------------------


def test_counted(counted):
    """Assert what a right `counted` does, and nothing that a right one might not do.

    counted: a function of ids (L,) as a NumPy array, the marks assistant and end → L booleans
    """
    tokens = np.array([1, 14, 15, 3, 2, 20, 3, 1, 16, 3, 2, 21, 22, 3, 3, 3])
    expected = [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0]
    before = tokens.copy()
    assert [int(c) for c in counted(tokens, 2, 3)] == expected
    assert np.array_equal(tokens, before)
    other = np.where(tokens == 2, 8, np.where(tokens == 3, 9, tokens))
    assert [int(c) for c in counted(other, 8, 9)] == expected


def counted_fixed_marks(tokens, assistant, end):
    return counted(tokens, ASSISTANT, END)


def counted_in_place(tokens, assistant, end):
    found = counted(tokens, assistant, end)
    tokens[~found] = -100
    return found


def _demand_array(tokens):
    if not isinstance(tokens, np.ndarray):
        raise TypeError(f"tokens must be a NumPy array, but a {type(tokens).__name__} was given")


def counted_as_list(tokens, assistant, end):
    _demand_array(tokens)
    return counted(tokens, assistant, end).tolist()


def counted_by_sums(tokens, assistant, end):
    _demand_array(tokens)
    i = np.arange(len(tokens))
    begins = np.maximum.accumulate(np.where(tokens == assistant, i, -1))
    stops = np.maximum.accumulate(np.where(tokens == end, i, -1))
    stopped = np.concatenate([[-1], stops[:-1]])  # the last end before this token
    return (begins > stopped) & (i > begins)


TEST_COUNTED = Exercise(
    name="test_counted",
    title="Write the test of a mask",
    kind="test",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
A mask that counts a token too many or too few never fails: the loss falls, and weeks later somebody
wonders why the model does not stop, or asks itself questions. Write the test. It calls
`counted(tokens, assistant, end)` (of the exercise above) on a conversation that **you** make up and
asserts which tokens count: more than one turn, words, marks and pads, and another set of marks as
well. Assert that the ids are left as they were. It must let every right implementation pass, also
one that returns a list.
""",
    solution=test_counted,
    subject=counted,
    misconceptions=(
        Misconception(
            "end not counted",
            counted_without_end,
            "Your test accepts a mask without the `end` behind the replies: such a model never "
            "stops.",
        ),
        Misconception(
            "questions counted",
            counted_no_pads,
            "Your test accepts a mask that counts the questions, too.",
        ),
        Misconception(
            "pads counted",
            counted_and_pads,
            "Your test accepts a mask that counts the pads: put some at the end of your ids.",
        ),
        Misconception(
            "mark counted",
            counted_with_mark,
            "Your test accepts a mask that counts the assistant's mark.",
        ),
        Misconception(
            "every end counted",
            counted_all_ends,
            "Your test accepts a mask that counts the `end` of the user's words.",
        ),
        Misconception(
            "all from the first reply on",
            counted_from_the_first,
            "Your test accepts a mask in which everything behind the first reply counts: have the "
            "user ask again.",
        ),
        Misconception(
            "last reply only",
            counted_last_reply,
            "Your test accepts a mask with the last reply only: use two turns.",
        ),
        Misconception(
            "first reply only",
            counted_first_reply,
            "Your test accepts a mask with the first reply only: use two turns.",
        ),
        Misconception(
            "one place early",
            counted_one_early,
            "Your test accepts a mask that is moved by one place.",
        ),
        Misconception(
            "marks fixed",
            counted_fixed_marks,
            "Your test accepts a function that knows only one set of marks: call it a second time "
            "with others.",
        ),
        Misconception(
            "arguments overwritten",
            counted_in_place,
            "Your test accepts a function that writes −100 over the ids it was given: keep a copy, "
            "and compare after the call.",
        ),
    ),
    also_right=(
        Misconception(
            "as a list",
            counted_as_list,
            "one that returns a list of booleans. Compare values, not types.",
        ),
        Misconception(
            "without a loop",
            counted_by_sums,
            "one that compares the places of the last mark and the last end, without a loop.",
        ),
    ),
    hints=(
        "Two turns and two pads, written down by hand, with the expected zeros and ones below "
        "them, are enough.",
        "`[int(c) for c in counted(tokens, 2, 3)]` is a list of zeros and ones, whatever came "
        "back.",
        "Then the same conversation with other marks, and a copy of the ids to compare with.",
    ),
)

EXERCISES = (
    SPLICED,
    TOWER_TOKENS,
    COUNTED,
    ANSWER_LOSS,
    WHO_LEARNS,
    BLINDFOLD,
    SHORTCUT,
    PROMPTS,
    TEST_COUNTED,
)

QUIZ = (
    Question(
        prompt="What does the language model of LLaVA know of where in the picture a patch was?",
        choices=(
            "Nothing: attention treats patches as a bag",
            "The projector writes its row and column into each vector",
            "The order in which the patches stand in the text, and what the tower has put in",
        ),
        correct=2,
        why=(
            "The language model counts places, with patches as with words.",
            "The projector is the same for each patch, and is not told which one it has.",
            "Row by row, one place after another, like words; and the tower has positions of its "
            "own.",
        ),
    ),
    Question(
        prompt=(
            "A network answers 61 % of the questions about colours rightly, a blind one 13 %. "
            "What is shown by that?"
        ),
        choices=(
            "That it has understood the questions",
            "That it looks; which object it looks at is not known yet",
            "Nothing: the blind one is not trained to be blind",
        ),
        correct=1,
        why=(
            "Naming *some* object's colour, with one to three objects, is right just as often.",
            "Divide the questions by the number of objects: the habit is right with one, and at "
            "one third with three.",
            "It shows that the picture is used: the same network was only shown another thing.",
        ),
    ),
    Question(
        prompt="Why does the end token behind a reply count in the loss?",
        choices=(
            "Because it is the pad, and pads count",
            "So that the model learns to stop; and it is the assistant who decides that",
            "So that the loss has at least one token",
        ),
        correct=1,
        why=(
            "It has the *id* of the pad here; a pad must not count.",
            "A model that was never taught to end goes on, and begins to ask itself questions.",
            "An empty reply is refused before.",
        ),
    ),
    Question(
        prompt="In stage 1 the projector learns alone. What keeps the language model from moving?",
        choices=(
            "No gradients flow through it",
            "Its learning rate is small",
            "Gradients flow *through* it to the projector, but its own weights are not updated",
        ),
        correct=2,
        why=(
            "Then none would reach the projector, which stands before it.",
            "It is not updated at all.",
            "That is why stage 1 still costs a pass back through the whole language model.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 10: a cache keeps keys and values. What of LLaVA's picture has to be "
            "computed again for each new word?"
        ),
        choices=(
            "The tower, since the question has changed",
            "Nothing: its places are read once, and their keys and values are kept",
            "The projector",
        ),
        correct=1,
        why=(
            "The tower never sees a word.",
            "A picture is a long beginning of the text. That is also why it costs memory: 576 "
            "places in each block.",
            "Its vectors went in with the prompt.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 11: CLIP hardly noticed that *left of* had become *right of*. Can a "
            "language model behind CLIP's tower answer such a question?"
        ),
        choices=(
            "Yes, if the patches tell it: what was lost in the one vector need not be lost in them",
            "No: what CLIP does not know LLaVA cannot know",
            "Yes, because it is larger",
        ),
        correct=0,
        why=(
            "And because its loss asks for it: a question about sides has one right answer, where "
            "a caption among strangers could do without.",
            "CLIP's *vector* was never asked. The patches before the pooling still lie where they "
            "lie; whether they say enough is to be measured.",
            "Size alone teaches nothing that no loss asks for.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 06: what would a vision tower without any positions leave to the language "
            "model?"
        ),
        choices=(
            "The order of the patches in the text would still say where each was",
            "Nothing at all",
            "Only the class token",
        ),
        correct=0,
        why=(
            "Patches could no longer know their places *in the tower*, but they are still written "
            "down row by row.",
            "What is in each patch is still there.",
            "LLaVA does not take it.",
        ),
    ),
)
