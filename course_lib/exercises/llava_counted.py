"""Exercise of notebook 13_llava: whose words the loss counts."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise
from course_lib.exercises.llava_masks import ASSISTANT, END, MISTAKES, USER

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
    misconceptions=MISTAKES,
    hints=(
        "Go through the tokens with one variable that says whether the assistant is speaking.",
        "Write down first whether this token counts, and only then look at what it changes: the "
        "mark does not count, the `end` does.",
        "An `end` behind a question, or a pad, comes while the assistant is silent, and changes "
        "nothing.",
    ),
)
