"""Exercise of notebook 13_llava: whose words the loss counts."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

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
