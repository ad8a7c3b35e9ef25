"""Three toy exercises, for submissions that attack: a function, a number, and a test."""

import numpy as np

from course_lib.classroom.probes import Probe, probe_of
from course_lib.exercises.engine import Exercise, Misconception, assess

SEED = 5  # secret: no submission may learn what it gives
COMMON = {"difficulty": 1, "importance": 1, "minutes": 1, "prompt": "Write it.", "hints": ("Do.",)}


def twice(values):
    """An array → the same array, doubled."""
    return 2 * values


def squared(values):
    return values**2


def cases(seed):
    rng = np.random.default_rng(seed)
    return [{"values": rng.normal(size=(2 + n, 3))} for n in range(4)]


def centred(values):
    """An array minus its mean."""
    return values - values.mean()


def not_centred(values):
    return values - values.min()


def centred_in_place(values):
    values -= values.mean()
    return values


def test_centred(centre):
    """A test of `centre`: an array minus its mean; the argument stays as it was."""
    given = np.array([1.0, 2.0, 6.0])
    result = centre(given)
    assert np.allclose(result, [-2.0, -1.0, 3.0])
    assert np.array_equal(given, [1.0, 2.0, 6.0])


TWICE = Exercise(
    name="twice",
    title="Twice",
    kind="implement",
    solution=twice,
    cases=cases,
    misconceptions=(Misconception("squared", squared, "Doubled is not squared."),),
    **COMMON,
)
NUMBER = Exercise(
    name="number",
    title="A number",
    kind="predict",
    solution=12,
    misconceptions=(Misconception("ten", 10, "That is ten."),),
    **COMMON,
)
TEST = Exercise(
    name="test_centred",
    title="A test",
    kind="test",
    solution=test_centred,
    subject=centred,
    misconceptions=(
        Misconception("minimum", not_centred, "Your test accepts the minimum."),
        Misconception("overwritten", centred_in_place, "Your test accepts overwriting."),
    ),
    **COMMON,
)
TOYS = (TWICE, NUMBER, TEST)
PROBES: tuple[Probe, ...] = tuple(probe_of(exercise, SEED) for exercise in TOYS)
HONEST = (("import numpy as np", ""), *((e.solution_cell(), e.name) for e in TOYS))


def scores(ran) -> dict[str, float]:
    """What the judge gives for what came back, by exercise."""
    return {e.name: assess(e, ran.outputs[e.name], SEED).score for e in TOYS}
