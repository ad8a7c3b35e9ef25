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
