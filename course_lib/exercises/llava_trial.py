"""Exercise of notebook 13_llava: the test that a wrong mask cannot pass."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.llava_counted import counted
from course_lib.exercises.llava_masks import (
    counted_all_ends,
    counted_and_pads,
    counted_by_sums,
    counted_first_reply,
    counted_fixed_assistant,
    counted_fixed_end,
    counted_fixed_marks,
    counted_from_the_first,
    counted_last_end_lost,
    counted_last_reply,
    counted_no_pads,
    counted_one_early,
    counted_one_late,
    counted_question_end,
    counted_two_each,
    counted_with_mark,
    counted_without_end,
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


def counted_without_a_loop(tokens, assistant, end):
    _demand_array(tokens)
    return counted_by_sums(tokens, assistant, end)


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
asserts which tokens count: more than one turn, a reply of more than one word, marks and pads, and
another set of marks as well. Assert that the ids are left as they were. It must let every right
implementation pass, also one that returns a list (which the check above would not).
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
            "last end lost",
            counted_last_end_lost,
            "Your test accepts a mask that loses the `end` of the *last* reply, in front of "
            "the pads: have it counted, and pads behind it.",
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
            "Your test accepts a mask that stands one place early.",
        ),
        Misconception(
            "one place late",
            counted_one_late,
            "Your test accepts a mask that stands one place late.",
        ),
        Misconception(
            "marks fixed",
            counted_fixed_marks,
            "Your test accepts a function that knows only one set of marks: call it a second time "
            "with others.",
        ),
        Misconception(
            "assistant's mark fixed",
            counted_fixed_assistant,
            "Your test accepts a function in which 2 stands in place of `assistant`: change both "
            "marks in the second call, and assert all that counts.",
        ),
        Misconception(
            "end mark fixed",
            counted_fixed_end,
            "Your test accepts a function in which 3 stands in place of `end`: change both marks "
            "in the second call, and assert all that counts.",
        ),
        Misconception(
            "the question's end in place of the reply's",
            counted_question_end,
            "Your test accepts a mask that counts the `end` of a question in place of the reply's: "
            "assert *where* it counts.",
        ),
        Misconception(
            "two tokens of each reply",
            counted_two_each,
            "Your test accepts a mask that counts two tokens behind each mark: let a reply have "
            "two words or more.",
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
            counted_without_a_loop,
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
