"""Exercise of notebook 12_blip: one text, compared, judged or written."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: three uses of one text ------------------------------------------------------------


def prepared(tokens, use, end, match, write):
    """One text for one of its three uses.

    tokens: whole numbers (L,), the first says "a text begins"; use: "alone", "match" or "write";
    end, match, write: ids → (tokens (L,), who may look at whom bool (L, L), is a picture seen?)
    """
    tokens = tokens.copy()
    tokens[0] = {"alone": tokens[0], "match": match, "write": write}[use]
    is_end = tokens == end
    is_pad = np.cumsum(is_end) > is_end
    may_attend = np.repeat(~is_pad[None], len(tokens), axis=0)
    if use == "write":
        may_attend = np.tril(may_attend)
    return tokens, may_attend, use != "alone"


def prepared_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for use, n, pads_are_ends in [
        ("write", 9, False),
        ("match", 8, True),
        ("alone", 10, False),
        ("write", 7, True),
    ]:
        start, end, match, write = rng.permutation(np.arange(20, 30))[:4].tolist()
        words = int(rng.integers(2, n - 3))
        tokens = np.full(n, end if pads_are_ends else 0)
        tokens[: words + 2] = [start, *rng.integers(1, 20, words), end]
        cases.append({"tokens": tokens, "use": use, "end": end, "match": match, "write": write})
    return cases


def _masked(tokens, use, end, match, write, causal, hides=None):
    """The pieces of `prepared`, with the parts that people get wrong as arguments."""
    led, _, sees = prepared(tokens, use, end, match, write)
    is_end = tokens == end
    is_pad = np.cumsum(is_end) > is_end if hides is None else hides(is_end)
    may = np.repeat(~is_pad[None], len(tokens), axis=0)
    return led, np.tril(may) if causal else may, sees


def prepared_never_causal(tokens, use, end, match, write):
    return _masked(tokens, use, end, match, write, causal=False)


def prepared_always_causal(tokens, use, end, match, write):
    return _masked(tokens, use, end, match, write, causal=True)


def prepared_marks_exchanged(tokens, use, end, match, write):
    return prepared(tokens, use, end, write, match)


def prepared_without_mark(tokens, use, end, match, write):
    return prepared(tokens, use, end, tokens[0], tokens[0])


def prepared_mark_in_front(tokens, use, end, match, write):
    mark = {"alone": tokens[0], "match": match, "write": write}[use]
    longer = tokens if use == "alone" else np.concatenate([[mark], tokens])
    return (longer, *prepared(longer, use, end, match, write)[1:])


def prepared_picture_alone(tokens, use, end, match, write):
    return (*prepared(tokens, use, end, match, write)[:2], True)


def prepared_picture_in_matching_only(tokens, use, end, match, write):
    return (*prepared(tokens, use, end, match, write)[:2], use == "match")


def prepared_pads_seen(tokens, use, end, match, write):
    def hides(is_end):
        return np.zeros(len(is_end), bool)

    return _masked(tokens, use, end, match, write, use == "write", hides)


def prepared_rows_hidden(tokens, use, end, match, write):
    led, _, sees = prepared(tokens, use, end, match, write)
    is_end = tokens == end
    is_pad = np.cumsum(is_end) > is_end
    may = np.repeat(~is_pad[:, None], len(tokens), axis=1)
    return led, np.tril(may) if use == "write" else may, sees


def prepared_rows_hidden_too(tokens, use, end, match, write):
    led, may, sees = prepared(tokens, use, end, match, write)
    return led, may & may[-1][:, None], sees  # the last row of each mask sees all but the pads


def prepared_upper_triangle(tokens, use, end, match, write):
    led, may, sees = prepared(tokens, use, end, match, write)
    return led, np.triu(np.repeat(may[-1:], len(may), axis=0)) if use == "write" else may, sees


def prepared_transposed(tokens, use, end, match, write):
    led, may, sees = prepared(tokens, use, end, match, write)
    return led, may.T, sees


def prepared_true_for_hidden(tokens, use, end, match, write):
    led, may, sees = prepared(tokens, use, end, match, write)
    return led, ~may, sees


def prepared_end_hidden(tokens, use, end, match, write):
    return _masked(
        tokens, use, end, match, write, use == "write", lambda is_end: np.cumsum(is_end) > 0
    )


def prepared_by_name_of_the_pad(tokens, use, end, match, write):
    return _masked(tokens, use, end, match, write, use == "write", lambda is_end: tokens == 0)


def prepared_not_oneself(tokens, use, end, match, write):
    led, may, sees = prepared(tokens, use, end, match, write)
    return led, np.tril(may, -1) if use == "write" else may, sees


def prepared_judge_blind(tokens, use, end, match, write):
    return (*prepared(tokens, use, end, match, write)[:2], use == "write")


THREE_USES = Exercise(
    name="prepared",
    title="One text, three uses",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=10,
    prompt="""
One text transformer, three uses. `tokens` (L,) is a text: a first token that says "a text begins",
words, the token `end`, and then pads (zeros, or `end` once more). Return three things: the tokens,
a mask bool (L, L), True where the row may look at the column, and whether the picture is seen.

| `use` | first token | who sees whom | picture |
|---|---|---|---|
| `"alone"`: to be compared | stays | all see all | no |
| `"match"`: do they belong together? | `match`, [ENC] | all see all | yes |
| `"write"`: the next word | `write`, [DEC] | each sees itself and what is before it | yes |

The mark stands **in the place of** the first token; the text gets no longer. Nobody looks at what
stands behind the *first* end token.
""",
    solution=prepared,
    cases=prepared_cases,
    misconceptions=(
        Misconception(
            "causal mask forgotten",
            prepared_never_causal,
            "Your writer sees the words that it shall predict. Its loss will fall to nearly "
            'nothing, and what it writes will be half wrong: `"write"` needs the lower triangle.',
        ),
        Misconception(
            "causal everywhere",
            prepared_always_causal,
            "Your readers look back only. Then the first place, which is what a text is "
            'compared or judged by, has seen no word: only `"write"` is causal.',
        ),
        Misconception(
            "marks exchanged",
            prepared_marks_exchanged,
            "You have mixed up the marks: [ENC] (`match`) leads a text that is judged, [DEC] "
            "(`write`) one that is written.",
        ),
        Misconception(
            "marks forgotten",
            prepared_without_mark,
            "Your first token always stays. The mark tells the layers that are shared what the "
            "text is for; without it they would have to guess it.",
        ),
        Misconception(
            "mark in front",
            prepared_mark_in_front,
            "You put the mark in front of the text, which gets longer by one and whose words all "
            "move to another position. It takes the *place* of the first token.",
        ),
        Misconception(
            "picture seen alone",
            prepared_picture_alone,
            "A text that is compared must not see the picture: its feature is computed once, and "
            "compared with all pictures.",
        ),
        Misconception(
            "writer blind",
            prepared_picture_in_matching_only,
            "Your writer sees no picture. It would be a language model, and its captions would be "
            "the same for all pictures.",
        ),
        Misconception(
            "pads seen",
            prepared_pads_seen,
            "The pads can be looked at in yours: then what a text means depends on how long the "
            "longest of its batch is.",
        ),
        Misconception(
            "pads' rows hidden",
            prepared_rows_hidden,
            "You hide the pads' *rows*: the pads look at nothing, and everybody still looks at "
            "them. A pad is to be hidden from all, and that is its column.",
        ),
        Misconception(
            "pads' rows hidden too",
            prepared_rows_hidden_too,
            "You hide the pads' columns, which is right, and their rows as well. A pad may look "
            "like everybody else: nobody reads what it makes of it, and a softmax over a row "
            "without a single True is NaN.",
        ),
        Misconception(
            "upper triangle",
            prepared_upper_triangle,
            "Your writer sees itself and what comes *after* it: that is the upper triangle. The "
            "row looks at the column, so what is before it stands to the left: `np.tril`.",
        ),
        Misconception(
            "transposed",
            prepared_transposed,
            "Your mask is transposed: its *column* looks at its row. Asked for is True where the "
            "row may look at the column.",
        ),
        Misconception(
            "True for hidden",
            prepared_true_for_hidden,
            "Your mask is turned round: True where one may *not* look. Here True is a permission.",
        ),
        Misconception(
            "end hidden",
            prepared_end_hidden,
            "You hide the first end token, too. It belongs to the text: only what stands behind it "
            "is padding.",
        ),
        Misconception(
            "pads by their id",
            prepared_by_name_of_the_pad,
            "You hide what is 0. In some texts the pads are end tokens: look for the first end, "
            "and hide what is behind it.",
        ),
        Misconception(
            "not oneself",
            prepared_not_oneself,
            "In your causal mask nobody sees itself, and the first token nothing at all. The "
            "diagonal belongs to it: a place predicts the *next* word.",
        ),
        Misconception(
            "judge blind",
            prepared_judge_blind,
            "Your judge sees no picture. Whether a text fits cannot be told from the text alone.",
        ),
    ),
    hints=(
        "`np.cumsum(tokens == end)` is 0 before the first end, 1 at it, and 1 or more behind it.",
        "A pad is where this sum is larger than `tokens == end` at the same place.",
        "`np.repeat(~is_pad[None], L, axis=0)` hides the pads from every row; `np.tril` takes away "
        "what comes later.",
    ),
)
