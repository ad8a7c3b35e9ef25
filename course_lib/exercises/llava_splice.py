"""Exercise of notebook 13_llava: a picture inside a text."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

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
    for L, N, D, at, mark in [(6, 3, 2, 2, 8), (5, 4, 3, 1, 3), (7, 2, 4, 4, 0), (4, 3, 2, 3, 5)]:
        tokens, V = rng.permutation(8)[:L], 9
        tokens[tokens == mark] = V - 1
        tokens[at] = mark
        cases.append({
            "tokens": tokens, "words": rng.normal(size=(V, D)),
            "patches": rng.normal(size=(N, D)), "image_token": mark,
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


def _around(tokens, words, image_token, back=0, on=1):
    """The words before the picture, without the last `back`, and those from `on` places behind."""
    at = np.argmax(tokens == image_token)
    return words[tokens[: at - back]], words[tokens[at + on :]]


def spliced_mark_behind(tokens, words, patches, image_token):
    before, behind = _around(tokens, words, image_token, on=0)
    return np.concatenate([before, patches, behind])


def spliced_word_before_lost(tokens, words, patches, image_token):
    before, behind = _around(tokens, words, image_token, back=1)
    return np.concatenate([before, patches, behind])


def spliced_word_behind_lost(tokens, words, patches, image_token):
    before, behind = _around(tokens, words, image_token, on=2)
    return np.concatenate([before, patches, behind])


def spliced_before_only(tokens, words, patches, image_token):
    return np.concatenate([_around(tokens, words, image_token)[0], patches])


def spliced_behind_only(tokens, words, patches, image_token):
    return np.concatenate([patches, _around(tokens, words, image_token)[1]])


def spliced_cut(tokens, words, patches, image_token):
    return spliced(tokens, words, patches, image_token)[: len(tokens)]


def spliced_before_the_last_word(tokens, words, patches, image_token):
    others, at = _without(tokens, image_token), np.argmax(tokens == image_token) - 1
    return np.concatenate([words[others[:at]], patches, words[others[at:]]])


def spliced_sum(tokens, words, patches, image_token):
    return spliced(tokens, words, patches.sum(axis=0, keepdims=True), image_token)


def spliced_greatest(tokens, words, patches, image_token):
    return spliced(tokens, words, patches.max(axis=0, keepdims=True), image_token)


def spliced_in_the_table(tokens, words, patches, image_token):
    at = np.argmax(tokens == image_token)
    return np.concatenate([words[:at], patches, words[at + 1 :]])


def spliced_in_its_row(tokens, words, patches, image_token):
    return np.concatenate([words[:image_token], patches, words[image_token + 1 :]])


def spliced_id_as_place(tokens, words, patches, image_token):
    before, behind = words[tokens[:image_token]], words[tokens[image_token + 1 :]]
    return np.concatenate([before, patches, behind])


def spliced_largest_id(tokens, words, patches, image_token):
    return spliced(tokens, words, patches, tokens.max())


def spliced_no_picture(tokens, words, patches, image_token):
    return words[tokens]


def spliced_no_picture_no_mark(tokens, words, patches, image_token):
    return words[_without(tokens, image_token)]


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
        Misconception(
            "image token kept behind",
            spliced_mark_behind,
            "Your text is one vector too long: the image token's own vector still stands "
            "behind the patches. `tokens[at:]` begins with it, and `np.insert` takes nothing "
            "out.",
        ),
        Misconception(
            "word before lost",
            spliced_word_before_lost,
            "The word before your picture is missing: `tokens[:at]` already ends in front of "
            "the image token.",
        ),
        Misconception(
            "word behind lost",
            spliced_word_behind_lost,
            "The word behind your picture is missing: only the image token goes, so the rest "
            "begins at `at + 1`.",
        ),
        Misconception(
            "words behind forgotten",
            spliced_before_only,
            "Your text ends with the picture: the words behind the image token are missing, "
            "and with them, mostly, the question.",
        ),
        Misconception(
            "words before forgotten",
            spliced_behind_only,
            "Your text begins with the picture: the words before the image token are missing.",
        ),
        Misconception(
            "cut to its old length",
            spliced_cut,
            "The picture stands where it should, but you have cut the text to its old length "
            "L: its last N − 1 words are gone. It is longer now.",
        ),
        Misconception(
            "one word too early",
            spliced_before_the_last_word,
            "Your picture stands one word too early: the word before the image token comes "
            "before the patches.",
        ),
        Misconception(
            "their sum",
            spliced_sum,
            "You put one vector, the sum of the patches, in place of N. What is *where* is "
            "gone before the first word has been read.",
        ),
        Misconception(
            "the greatest of each",
            spliced_greatest,
            "You put one vector, the greatest numbers of all patches, in place of N. Each "
            "patch is a word of its own.",
        ),
        Misconception(
            "table cut at the place",
            spliced_in_the_table,
            "You cut the *table* `words`, which is in the order of the ids. The vectors of "
            "the text, in its order, are `words[tokens]`.",
        ),
        Misconception(
            "table cut at the id",
            spliced_in_its_row,
            "You return the whole table `words` with the patches in one of its rows. The "
            "text says which vectors come, and in which order: `words[tokens]`.",
        ),
        Misconception(
            "id taken for the place",
            spliced_id_as_place,
            "You cut the text at place number `image_token`. That is an id; the place is "
            "where this id stands among the `tokens`.",
        ),
        Misconception(
            "greatest id",
            spliced_largest_id,
            "You look for the greatest id. The image token often has it, but not here "
            "always: compare with `image_token`.",
        ),
        Misconception(
            "no picture",
            spliced_no_picture,
            "Your text holds words alone, and the image token's own vector among them. The "
            "patches belong in its place.",
        ),
        Misconception(
            "no picture, no mark",
            spliced_no_picture_no_mark,
            "Your text holds words alone: the image token has gone, but nothing has come in "
            "its place.",
        ),
    ),
    hints=(
        "`np.argmax(tokens == image_token)` is the place of the image token.",
        "`words[tokens[:at]]` are the vectors of the words before it; which slice holds those "
        "behind it?",
        "`np.concatenate` puts three arrays (…, D) one behind the other.",
    ),
)
