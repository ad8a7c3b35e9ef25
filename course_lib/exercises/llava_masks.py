"""Masks of the loss: the mistakes that COUNTED names, and some that TEST_COUNTED is tried on.

All of them are made of a right one that works otherwise than the solution.
"""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Misconception

USER, ASSISTANT, END = 1, 2, 3


def counted_by_sums(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    """A right one, without a loop: the last mark stands behind the last end."""
    i = np.arange(len(tokens))
    begins = np.maximum.accumulate(np.where(tokens == assistant, i, -1))
    stops = np.maximum.accumulate(np.where(tokens == end, i, -1))
    stopped = np.concatenate([[-1], stops[:-1]])  # the last end before this token
    return (begins > stopped) & (i > begins)


def counted_without_end(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, assistant, end) & (tokens != end)


def counted_everything(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.ones(len(tokens), bool)


def counted_no_pads(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    """All but the pads at the end."""
    real = len(tokens)
    while real > 1 and tokens[real - 2] == end:
        real -= 1
    return np.arange(len(tokens)) < real


def counted_and_pads(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    real = counted_no_pads(tokens, assistant, end)
    return counted_by_sums(tokens, assistant, end) | ~real


def counted_with_mark(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, assistant, end) | (tokens == assistant)


def counted_all_ends(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    real = counted_no_pads(tokens, assistant, end)
    return counted_by_sums(tokens, assistant, end) | (real & (tokens == end))


def counted_questions(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    real = counted_no_pads(tokens, assistant, end)
    return real & ~counted_by_sums(tokens, assistant, end)


def counted_from_the_first(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    real = counted_no_pads(tokens, assistant, end)
    return real & (np.cumsum(tokens == assistant) > 0) & (np.arange(len(tokens)) != np.argmax(
        tokens == assistant))  # fmt: skip


def counted_last_reply(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    last = np.flatnonzero(tokens == assistant)[-1]
    return counted_by_sums(tokens, assistant, end) & (np.arange(len(tokens)) > last)


def counted_first_reply(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, assistant, end) & (np.cumsum(tokens == assistant) == 1)


def counted_one_early(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.append(counted_by_sums(tokens, assistant, end)[1:], False)


def counted_one_late(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.append(False, counted_by_sums(tokens, assistant, end)[:-1])


def counted_first_word_lost(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, assistant, end) & counted_one_late(tokens, assistant, end)


def counted_one_behind(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, assistant, end) | counted_one_late(tokens, assistant, end)


def counted_last_end_lost(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    """As if all `end` tokens at the row's end were pads."""
    pads = np.minimum.accumulate((tokens == end)[::-1])[::-1]
    return counted_by_sums(tokens, assistant, end) & ~pads


def counted_pads_and_ends(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, assistant, end) | (tokens == end)


def counted_inverted(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return ~counted_by_sums(tokens, assistant, end)


def counted_all_words(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return (tokens != assistant) & (tokens != end)


def counted_great_ids(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return tokens > max(assistant, end)


def counted_all_but_ends(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return tokens != end


def counted_on_and_on(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.arange(len(tokens)) > np.argmax(tokens == assistant)


def counted_on_and_on_with_mark(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.cumsum(tokens == assistant) > 0


def counted_from_mark_to_mark(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_on_and_on(tokens, assistant, end) & (tokens != assistant)


def counted_last_and_pads(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.arange(len(tokens)) > np.flatnonzero(tokens == assistant)[-1]


def counted_more_marks_than_ends(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.cumsum(tokens == assistant) > np.cumsum(tokens == end)


def counted_behind_odd_ends(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    ends = np.cumsum(tokens == end) - (tokens == end)
    return ends % 2 == 1


def counted_from_odd_ends(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.cumsum(tokens == end) % 2 == 1


def counted_fixed_marks(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, ASSISTANT, END)


def counted_fixed_assistant(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, ASSISTANT, end)


def counted_fixed_end(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return counted_by_sums(tokens, assistant, END)


def counted_question_end(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    """The replies' words, and in place of each reply's `end` the one before its mark."""
    found = counted_by_sums(tokens, assistant, end) & (tokens != end)
    marks = np.flatnonzero(tokens == assistant)
    found[marks - 1] = True
    return found


def counted_two_each(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    found = np.zeros(len(tokens), bool)
    for mark in np.flatnonzero(tokens == assistant):
        found[mark + 1 : mark + 3] = True
    return found


def counted_as_labels(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.where(counted_by_sums(tokens, assistant, end), tokens, -100)


def counted_as_places(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return np.flatnonzero(counted_by_sums(tokens, assistant, end))


def counted_themselves(tokens: np.ndarray, assistant: int, end: int) -> np.ndarray:
    return tokens[counted_by_sums(tokens, assistant, end)]


MISTAKES = (
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
        "Your marks stand one place early: the assistant's mark counts, the `end` does not. "
        "Write down first whether a token counts, and look then at what it changes; where it "
        "is foretold is for the loss to know.",
    ),
    Misconception(
        "one place late",
        counted_one_late,
        "Your marks stand one place late: each reply loses its first word, and what "
        "stands behind its `end` counts.",
    ),
    Misconception(
        "first word lost",
        counted_first_word_lost,
        "The first word of each reply is missing. The reply begins right behind the "
        "mark: `at + 1`.",
    ),
    Misconception(
        "one place too long",
        counted_one_behind,
        "Your replies go on one token behind their `end`, to the user's mark or a pad.",
    ),
    Misconception(
        "last end lost",
        counted_last_end_lost,
        "The `end` of your last reply is missing: it has the pads' id, and went with "
        "them. The first in that row of `end` tokens is the assistant's; the pads stand "
        "behind it.",
    ),
    Misconception(
        "every end and pad",
        counted_pads_and_ends,
        "You count every `end`: the user's, too, and the pads. Only one behind a reply "
        "is the assistant's.",
    ),
    Misconception(
        "inverted",
        counted_inverted,
        "It is just the other way round: your mask is True where the loss must not look, "
        "at questions and pads.",
    ),
    Misconception(
        "everybody's words",
        counted_all_words,
        "You leave out two marks, and all words count, the user's as well. Who says a "
        "word cannot be seen from the word: it hangs on which mark came last.",
    ),
    Misconception(
        "words by their ids",
        counted_great_ids,
        "You tell words from marks by the size of their ids, so everybody's words count, and no "
        "`end`. Who says a word hangs on which mark came last.",
    ),
    Misconception(
        "all but the ends",
        counted_all_but_ends,
        "You leave out the `end` tokens alone: questions and marks count, and nothing "
        "ever teaches the model to stop.",
    ),
    Misconception(
        "on and on",
        counted_on_and_on,
        "Behind the first mark everything counts in yours, questions and pads: at an "
        "`end` the assistant stops speaking.",
    ),
    Misconception(
        "on and on, with the mark",
        counted_on_and_on_with_mark,
        "From the first mark on everything counts in yours, the mark, questions and "
        "pads: at an `end` the assistant stops speaking.",
    ),
    Misconception(
        "from mark to mark",
        counted_from_mark_to_mark,
        "Your replies go on to the next mark, or to the row's end: the next question and the pads "
        "count, too. A reply ends at its `end`.",
    ),
    Misconception(
        "last reply and pads",
        counted_last_and_pads,
        "Only what stands behind the last mark counts in yours, pads included. Every "
        "reply counts, each as far as its `end`.",
    ),
    Misconception(
        "more marks than ends",
        counted_more_marks_than_ends,
        "Nothing counts in yours. Take the first `end` *behind* the mark, for what the user says "
        "has one, too; and count its place from the start of the row, not from the mark.",
    ),
    Misconception(
        "behind odd ends",
        counted_behind_odd_ends,
        "You count by whether an odd number of ends has come: that takes in the "
        "assistant's mark, and every second pad.",
    ),
    Misconception(
        "from odd ends on",
        counted_from_odd_ends,
        "You count from each odd `end` to the next: that takes in the user's `end` and "
        "the mark, leaves out the reply's own `end`, and counts every second pad.",
    ),
    Misconception(
        "marks fixed",
        counted_fixed_marks,
        "Your function has 2 or 3, the marks of the example, in place of an argument: take "
        "`assistant` and `end`.",
    ),
    Misconception(
        "labels",
        counted_as_labels,
        "You return labels, with −100 where nothing counts. The right tokens count; but "
        "a mask is asked for, True or False.",
    ),
    Misconception(
        "places",
        counted_as_places,
        "You return the places of the right tokens. A mask is asked for: one True or "
        "False for each of the L tokens.",
    ),
    Misconception(
        "the tokens themselves",
        counted_themselves,
        "You return the right tokens themselves. A mask is asked for: one True or False "
        "for each of the L tokens.",
    ),
)
