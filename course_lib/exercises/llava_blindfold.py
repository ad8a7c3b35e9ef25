"""Exercise of notebook 13_llava: what is answered without seeing."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

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
                           (5, 6, 3, (0, 4, 4))]:  # fmt: skip
        cases.append({"pictures": rng.uniform(size=(b, h, w)), "which": np.array(which)})
    return cases


def blind_to_nothing(pictures, which):
    return np.stack([pictures[i] for i in which])


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


def blind_white(pictures, which):
    return np.ones((len(which), *pictures.shape[1:]))


def blind_half(pictures, which):
    return np.full((len(which), *pictures.shape[1:]), 0.5)


def blind_first(pictures, which):
    return np.repeat(pictures[:1], len(which), axis=0)


def blind_all_others(pictures, which):
    others = (pictures.sum(axis=0) - pictures) / (len(pictures) - 1)
    return others[which]


def blind_next(pictures, which):
    return pictures[(which + 1) % len(pictures)]


def blind_next_question(pictures, which):
    return pictures[np.roll(which, 1)]


def blind_last_question(pictures, which):
    return pictures[np.roll(which, -1)]


def blind_turned_round(pictures, which):
    return pictures[which[::-1]]


def blind_asked_about(pictures, which):
    return np.repeat(pictures[np.unique(which)].mean(axis=0, keepdims=True), len(which), axis=0)


def blind_once_of_questions(pictures, which):
    return pictures[which].mean(axis=0)


def blind_sum(pictures, which):
    return np.repeat(pictures.sum(axis=0, keepdims=True), len(which), axis=0)


def blind_median(pictures, which):
    return np.repeat(np.median(pictures, axis=0, keepdims=True), len(which), axis=0)


def blind_less_the_mean(pictures, which):
    return pictures[which] - pictures.mean(axis=0)


def blind_rows_repeated(pictures, which):
    return np.repeat(pictures.mean(axis=0), len(which), axis=0)


def blind_tiled(pictures, which):
    return np.tile(pictures.mean(axis=0), (len(which), 1))


def blind_mean_indexed(pictures, which):
    return pictures.mean(axis=0)[which]


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
            "nothing changed",
            blind_to_nothing,
            "Every question is still shown its own picture.",
        ),
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
        Misconception(
            "white",
            blind_white,
            "You show a white square. That is blind, but no picture ever looked so: the "
            "network may answer oddly because it is *odd*.",
        ),
        Misconception(
            "half grey",
            blind_half,
            "You show 0.5 everywhere. That is blind, but no picture ever looked so; the mean "
            "has at least a table's colour.",
        ),
        Misconception(
            "first picture",
            blind_first,
            "You show everybody the first picture. That is blind to all the others, but a "
            "real scene is no neutral one: questions about *it* are answered by looking.",
        ),
        Misconception(
            "mean of the others",
            blind_all_others,
            "Each question is shown the mean of all pictures but its own. Then each sees "
            "something else, and its own picture is told by what is missing.",
        ),
        Misconception(
            "the next picture",
            blind_next,
            "You show each question another picture. That is a good control too, but the "
            "other one, *shuffled*: the network sees something, and is misled.",
        ),
        Misconception(
            "the question before",
            blind_next_question,
            "Each question is shown the picture of the one before. That is *shuffled*, not "
            "blind; and two questions about one picture follow one another, so some are "
            "shown their own.",
        ),
        Misconception(
            "the question behind",
            blind_last_question,
            "Each question is shown the picture of the next one. That is *shuffled*, not "
            "blind; and two questions about one picture follow one another, so some are "
            "shown their own.",
        ),
        Misconception(
            "questions turned round",
            blind_turned_round,
            "You have turned the order of the questions round. That is *shuffled*, not "
            "blind: each is shown a real picture, and some are shown their own.",
        ),
        Misconception(
            "mean of those asked about",
            blind_asked_about,
            "Your mean leaves out pictures that nobody asks about. It is that of all B.",
        ),
        Misconception(
            "one for all, by questions",
            blind_once_of_questions,
            "You return one picture, in which each counts once for each question about it. "
            "Every question needs a copy, and each of the B pictures counts once.",
        ),
        Misconception(
            "sum",
            blind_sum,
            "You show the sum of all pictures, which is far too bright for a picture. Their "
            "mean is asked for.",
        ),
        Misconception(
            "median",
            blind_median,
            "You show the median of each pixel. That is blind as well, but the mean is asked for.",
        ),
        Misconception(
            "less the mean",
            blind_less_the_mean,
            "You show what makes each picture *different* from the mean: that is all that "
            "there is to see. Show the mean itself.",
        ),
        Misconception(
            "rows repeated",
            blind_rows_repeated,
            "You have repeated the *rows* of the mean picture: without `keepdims=True` its "
            "first axis is H, no longer B.",
        ),
        Misconception(
            "rows tiled",
            blind_tiled,
            "Your copies of the mean stand below one another as one high picture. `np.tile` "
            "needs a number for each axis, (Q, 1, 1).",
        ),
        Misconception(
            "mean indexed",
            blind_mean_indexed,
            "You index the mean picture with `which`: its first axis is H, and what comes "
            "back are rows. Repeat it, once for each question.",
        ),
    ),
    hints=(
        "`pictures.mean(axis=0)` is the mean of all pictures, pixel by pixel, (H, W).",
        "`np.repeat(x, n, axis=0)` repeats an array (1, H, W) n times.",
    ),
)
