"""Exercise of notebook 13_llava: on which side the pads stand."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

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


def prompts_mask_by_id_inverted(rows, pad):
    tokens, _ = prompts(rows, pad)
    return tokens, tokens != pad


def prompts_beginnings(rows, pad):
    short = min(len(row) for row in rows)
    tokens = np.array([row[:short] for row in rows])
    return tokens, np.zeros(tokens.shape, bool)


def prompts_ends_taken_out(rows, pad):
    return prompts([[token for token in row if token != pad] for row in rows], pad)


def prompts_zeros(rows, pad):
    tokens, is_pad = prompts(rows, pad)
    return np.where(is_pad, 0, tokens), is_pad


def prompts_without_mask(rows, pad):
    return prompts(rows, pad)[0]


def prompts_all_hidden(rows, pad):
    tokens, is_pad = prompts(rows, pad)
    return tokens, np.ones_like(is_pad)


def prompts_first_word_hidden(rows, pad):
    tokens, _ = prompts(rows, pad)
    spare = tokens.shape[1] - np.array([[len(row)] for row in rows])
    return tokens, np.arange(tokens.shape[1]) <= spare


def prompts_last_pad_read(rows, pad):
    tokens, _ = prompts(rows, pad)
    spare = tokens.shape[1] - np.array([[len(row)] for row in rows])
    return tokens, np.arange(tokens.shape[1]) < spare - 1


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
below pads as in training, so every prompt but the longest is continued from a pad, and gets
nonsense for an answer. Repair it: pads on the **left**, in `tokens` and in `is_pad` (True at pads).

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
        Misconception(
            "mask by the id, inverted",
            prompts_mask_by_id_inverted,
            "Your mask is True at the words, and goes by the *id*: is_pad is True at the "
            "pads, and a pad's id inside a prompt is to be read.",
        ),
        Misconception(
            "cut to the shortest beginning",
            prompts_beginnings,
            "You have cut all rows to the length of the shortest, and with that the ends of "
            "the longer ones, where the question stands.",
        ),
        Misconception(
            "ends taken out",
            prompts_ends_taken_out,
            "You have taken the pad's id out of the prompts. Inside one it ends an earlier "
            "turn, and is to be read.",
        ),
        Misconception(
            "zeros",
            prompts_zeros,
            "Your pads are zeros; `pad` says which id they have.",
        ),
        Misconception(
            "mask not returned",
            prompts_without_mask,
            "You return the tokens alone. `is_pad` belongs to them: both are asked for, "
            "`tokens, is_pad`.",
        ),
        Misconception(
            "everything hidden",
            prompts_all_hidden,
            "Your mask is True everywhere, so the words are hidden, too. It begins as True, "
            "and becomes False where a prompt stands.",
        ),
        Misconception(
            "first word hidden",
            prompts_first_word_hidden,
            "Your mask is one place too long: it hides the first word of each prompt, too.",
        ),
        Misconception(
            "last pad read",
            prompts_last_pad_read,
            "Your mask is one place too short: the pad in front of each prompt is read as a word.",
        ),
    ),
    hints=(
        "A row of n ids fills the *last* n columns.",
        "`tokens[i, length - len(ids):] = ids`, and the same places in `is_pad`.",
    ),
)
