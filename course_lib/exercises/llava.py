"""Exercises of notebook 13_llava: a picture inside a text, which words count, who may learn, what
a blind network knows.

Here are the two predictions and the order of the lesson; the others are one subject a file. All of
it is NumPy on one text at a time: ids, a table of words, a handful of patches. Nearly every mistake
here is silent, for shapes fit and a loss falls; what suffers is the answers.
"""

from __future__ import annotations

from fractions import Fraction

from course_lib.exercises import llava_quiz
from course_lib.exercises.engine import Exercise, Misconception, Verdict, close
from course_lib.exercises.llava_blindfold import BLINDFOLD
from course_lib.exercises.llava_counted import COUNTED
from course_lib.exercises.llava_loss import ANSWER_LOSS
from course_lib.exercises.llava_prompts import PROMPTS
from course_lib.exercises.llava_splice import SPLICED
from course_lib.exercises.llava_tower import TOWER_TOKENS
from course_lib.exercises.llava_trial import TEST_COUNTED

# --- predict: who learns --------------------------------------------------------------------------

WHEN = ("never", "stage 1", "stage 2", "both")
LEARNS = {"tower": "never", "projector": "both", "language": "stage 2", "places": 625}


def _spelt(got, expected):
    """`close`, which says so where a word is none of those that are asked for."""
    for name in ("tower", "projector", "language"):
        told = got.get(name) if isinstance(got, dict) else None
        if isinstance(told, str) and told.strip().casefold() not in WHEN:
            return Verdict(False, f"{name!r}: {told!r} is none of {', '.join(map(repr, WHEN))}")
    return close(got, expected)


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
    compare=_spelt,
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
            "words alone",
            LEARNS | {"places": 49},
            "49 are the words alone. The picture is read as well: a place for each of its patches.",
        ),
        Misconception(
            "one side",
            LEARNS | {"places": 73},
            "336 / 14 = 24 is one side of the grid; it has 24 · 24 patches.",
        ),
        Misconception(
            "one side and the image token",
            LEARNS | {"places": 74},
            "74 is 50 + 24: 24 patches are one side of the grid, which has 24 · 24 of them; "
            "and the image token goes.",
        ),
        Misconception(
            "patches and class token",
            LEARNS | {"places": 577},
            "577 are the tower's tokens, the class token among them. That one is not read, "
            "and the 49 other tokens of the conversation are.",
        ),
        Misconception(
            "one patch too few",
            LEARNS | {"places": 624},
            "624 is one too few: 24 · 24 = 576 are patches alone, the class token is not "
            "among them.",
        ),
        Misconception(
            "a patch for the grid",
            LEARNS | {"places": 245},
            "245 is 49 + 14 · 14: but 14 is the side of one patch, in pixels. Count how many "
            "of them stand along a side of the picture.",
        ),
        Misconception(
            "pixels of CLIP",
            LEARNS | {"places": 305},
            "305 is 49 + 16 · 16, with the 224 pixels of the first LLaVA. The tower of "
            "LLaVA-1.5 sees 336.",
        ),
        Misconception(
            "pixels",
            LEARNS | {"places": 112_945},
            "112,945 counts pixels. The language model reads one vector for each *patch* of "
            "14 × 14 of them.",
        ),
    ),
    hints=(
        "Which of the three parts knows nothing at the beginning? It has to learn first, alone.",
        "336 / 14 = 24 patches along each side.",
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
        Misconception(
            "share of wrong answers",
            {"one": 0.0, "two": 0.5, "three": 0.667, "all": 0.389, "blind": 0.875},
            "These are the shares of *wrong* answers; those of right ones are asked for.",
        ),
        Misconception(
            "in percent",
            {"one": 100.0, "two": 50.0, "three": 33.3, "all": 61.1, "blind": 12.5},
            "These are percent. A share lies between 0 and 1.",
        ),
        Misconception(
            "halved each time",
            SOME | {"three": 0.25, "all": 0.583},
            "One object more does not halve the share: with three objects one of *three* "
            "colours is the right one.",
        ),
        Misconception(
            "one colour too many",
            {"one": 0.5, "two": 0.333, "three": 0.25, "all": 0.361, "blind": 0.125},
            "With n objects it has n colours to choose from, not n + 1: one object's colour "
            "is always the right one.",
        ),
        Misconception(
            "two always right",
            SOME | {"two": 1.0},
            "With two objects it names the other one's colour half of the time.",
        ),
        Misconception(
            "chance of the others",
            SOME | {"three": 0.667},
            "With three objects two of its three possible answers are wrong, not right.",
        ),
        Misconception(
            "sum of the three",
            SOME | {"all": 1.833},
            "You have added up 1, 1/2 and 1/3; each number of objects has a third of the "
            "questions, so divide by three.",
        ),
        Misconception(
            "product of the three",
            SOME | {"all": 0.167},
            "You have multiplied 1, 1/2 and 1/3. A question comes from one kind of scene, "
            "not from all three: their mean.",
        ),
        Misconception(
            "blind never right",
            SOME | {"blind": 0.0},
            "Who always says red is right wherever the cube *is* red: one time in eight.",
        ),
        Misconception(
            "a third, rounded",
            SOME | {"three": 0.33},
            "Three decimals are asked for: 1/3 is 0.333.",
        ),
        Misconception(
            "an eighth, rounded up",
            SOME | {"blind": 0.13},
            "Three decimals are asked for: 1/8 is 0.125.",
        ),
        Misconception(
            "an eighth, rounded down",
            SOME | {"blind": 0.12},
            "Three decimals are asked for: 1/8 is 0.125.",
        ),
    ),
    hints=(
        "With n objects of n colours, one of its n possible answers is right.",
        "`all`: each number of objects has a third of the questions.",
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

QUIZ = llava_quiz.QUIZ
