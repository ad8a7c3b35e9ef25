"""The engine: four states, diagnosis, plain data, and that its own failures are noticed."""

import dataclasses
import random
import re

import numpy as np
import pytest

from course_lib.exercises import audit, blip, cells, engine, ledger, render, start
from course_lib.exercises.engine import (
    RIGHT,
    Exercise,
    Misconception,
    State,
    Verdict,
    assess,
    check,
    close,
    probe,
)
from course_lib.exercises.probe import NotPlainError, plain


def scaled(a, factor):
    """Multiply."""
    return a * factor


def scaled_cases(seed):
    rng = np.random.default_rng(seed)
    return [{"a": rng.normal(size=shape), "factor": 3.0} for shape in [(2, 5), (4, 3), (7, 1)]]


def added(a, factor):
    return a + factor


def transposed(a, factor):
    return (a * factor).T


def scaled_already(a, factor):
    return factor * a


def subtracted(a, factor):
    return a - factor


def unscaled(a, factor):
    return a.copy()


SCALED = Exercise(
    name="scaled",
    title="Scale",
    kind="implement",
    difficulty=1,
    importance=2,
    minutes=3,
    prompt="Multiply `a` by `factor`.",
    solution=scaled,
    cases=scaled_cases,
    misconceptions=(
        Misconception("added", added, "You add."),
        Misconception("transposed", transposed, "You transpose."),
        Misconception("nothing", unscaled, "You do nothing."),
    ),
    hints=("a", "b"),
)
COUNT = Exercise(
    name="count",
    title="Count",
    kind="predict",
    difficulty=1,
    importance=2,
    minutes=3,
    prompt="How many?",
    solution=120,
    atol=10,
    misconceptions=(
        Misconception("half", 60, "Half."),
        Misconception("twice", 240, "Twice."),
        Misconception("none", 0, "None."),
    ),
    hints=("a", "b"),
)
REPAIR = dataclasses.replace(
    SCALED,
    kind="repair",
    stub=added,
    misconceptions=(
        *SCALED.misconceptions[1:],
        Misconception("minus", subtracted, "You subtract."),
    ),
)


@pytest.fixture(autouse=True)
def fresh_ledger(monkeypatch):
    monkeypatch.setattr(engine, "LEDGER", ledger.Ledger())


def run_cell(source, name):
    """What a notebook's cell defines."""
    namespace = {"np": np}
    exec(compile(source, "cell", "exec"), namespace)
    return namespace[name]


# --- the four states ---


def test_untouched_stub_is_not_attempted_and_counts_nothing():
    stub = run_cell(SCALED.stub_cell(), "scaled")
    for _ in range(4):
        assert check(SCALED, stub).state == State.NOT_ATTEMPTED
    assert "3 more attempts" in repr(SCALED.show_solution())


def test_right_and_partial_score():
    assert check(SCALED, scaled).state == State.RIGHT

    def right_once(a, factor):
        return a * factor if a.shape == (4, 3) else a * factor + 1e-3

    report = check(SCALED, right_once)
    assert report.state == State.WRONG
    assert report.score == pytest.approx(1 / 3)
    assert report.details[0].startswith("case 1: 10 of 10 values differ; most at [")


@pytest.mark.parametrize("misconception", SCALED.misconceptions, ids=lambda m: m.name)
def test_wrong_is_diagnosed_by_outputs_not_by_source(misconception):
    def rewritten(a, factor):
        return np.asarray(misconception.answer(a, factor)) + 0.0

    report = check(SCALED, rewritten)
    assert (report.state, report.misconception) == (State.WRONG, misconception.name)
    assert report.sentence == misconception.sentence


def test_error_names_the_students_own_line():
    source = "def scaled(a, factor):\n    b = a.T\n    return np.linalg.inv(b @ b[0:1])\n"
    report = check(SCALED, run_cell(source, "scaled"))
    assert report.state == State.ERROR
    assert re.fullmatch(r"case 1: (ValueError|LinAlgError): .* \(line 3\)", report.details[0])


def test_the_deepest_line_of_the_students_is_named():
    source = (
        "def helper(a):\n    b = a.T\n    return b.missing\n\n"
        "def scaled(a, factor):\n    return helper(a)\n"
    )
    assert check(SCALED, run_cell(source, "scaled")).details[0].endswith("(line 3)")


def test_error_message_is_short_and_without_addresses():
    def bad(a, factor):
        raise ValueError(f"{object()}\n" + "x" * 1000)

    (line,) = check(SCALED, bad).details
    assert len(line) < 220
    assert "\n" not in line
    assert not re.search(r"0x[0-9a-f]", line)


def test_an_error_in_one_case_keeps_the_marks_of_the_others():
    def fails_once(a, factor):
        return a * factor if len(a) > 2 else 1 / 0

    report = check(SCALED, fails_once)
    assert report.state == State.ERROR
    assert report.score == pytest.approx(2 / 3)


def test_the_case_that_raised_is_shown():
    def wrong_then_raises(a, factor):
        return a * 7 if len(a) < 7 else undefined_name  # noqa: F821

    report = check(SCALED, wrong_then_raises)
    assert report.state == State.ERROR
    assert report.details[0].startswith("case 3: NameError")


def test_renamed_arguments_go_by_position():
    assert check(SCALED, lambda image, k: image * k).state == State.RIGHT
    assert check(SCALED, lambda factor, a: a * factor).state == State.RIGHT  # each by its name
    assert check(SCALED, lambda image, k: image + k).misconception == "added"
    assert check(SCALED, lambda **given: given["a"] * given["factor"]).state == State.RIGHT
    assert check(SCALED, lambda image: image * 3).state == State.ERROR

    def writes(image, k):
        image *= k
        return image

    assert "writes into its argument `a`" in check(SCALED, writes).details[0]


def test_a_raise_that_is_left_is_told():
    def written(a, factor):
        b = a * factor
        raise NotImplementedError
        return b

    report = check(SCALED, written)
    assert report.state == State.NOT_ATTEMPTED
    assert report.summary == "the line `raise NotImplementedError` is still there"
    stub = check(SCALED, run_cell(SCALED.stub_cell(), "scaled"))
    assert stub.summary == "fill in the cell above, then check again"

    def in_one_case(a, factor):
        if len(a) > 4:
            raise NotImplementedError
        return a * factor

    report = check(SCALED, in_one_case)
    assert report.state == State.ERROR
    assert report.details == ("case 3: the line `raise NotImplementedError` is still there",)


@pytest.mark.parametrize("answer", [None, 3, "scaled", np.ones(3)], ids=repr)
def test_no_function_is_an_error(answer):
    report = check(SCALED, answer)
    assert report.state == State.ERROR
    assert "a function called `scaled` is expected" in report.details[0]


def test_exit_is_caught_and_interrupt_is_not():
    def leaves(a, factor):
        raise SystemExit(1)

    def interrupted(a, factor):
        raise KeyboardInterrupt

    assert check(SCALED, leaves).state == State.ERROR
    with pytest.raises(KeyboardInterrupt):
        check(SCALED, interrupted)


def test_writing_into_an_argument_is_wrong_and_said():
    def writes(a, factor):
        a *= factor
        return a

    report = check(SCALED, writes)
    assert report.state == State.WRONG
    assert "writes into its argument `a`" in report.details[0]
    assert check(SCALED, scaled).state == State.RIGHT  # the cases themselves were not touched


def test_a_random_generator_may_advance():
    def draw(rng):
        """Draw."""
        return rng.uniform(size=3)

    drawn = dataclasses.replace(
        SCALED,
        name="draw",
        solution=draw,
        cases=lambda seed: [{"rng": np.random.default_rng(seed + i)} for i in range(2)],
        misconceptions=(),
    )
    assert check(drawn, draw).state == State.RIGHT
    assert check(drawn, lambda rng: rng.normal(size=3)).state == State.WRONG


# --- predict, repair, test ---


def test_prediction_within_tolerance_and_diagnosed():
    assert check(COUNT, None).state == State.NOT_ATTEMPTED
    assert [check(COUNT, value).state for value in (111, 130, 120.0)] == [State.RIGHT] * 3
    assert check(COUNT, 131).state == State.WRONG
    assert check(COUNT, 65).sentence == "Half."
    assert "120" not in repr(check(COUNT, 131))  # what is to be found is not given away
    assert check(COUNT, "many").state == State.WRONG


def test_choice_forgives_case_and_refuses_other_words():
    assert check(start.SURVIVES, " Brightness").state == State.RIGHT
    report = check(start.SURVIVES, "hue")
    assert report.state == State.ERROR
    assert "must be one of 'brightness', 'contrast'" in report.summary


def test_measured_values_in_a_dictionary():
    measured = dataclasses.replace(
        COUNT,
        kind="ablate",
        solution={"with": 0.9, "without": 0.5},
        rtol=0.1,
        atol=0,
        misconceptions=(),
    )
    assert measured.stub_cell() == 'count = {"with": None, "without": None}\n'
    assert check(measured, {"with": None, "without": None}).state == State.NOT_ATTEMPTED
    assert check(measured, {"without": 0.52, "with": 0.85}).state == State.RIGHT
    assert check(measured, {"with": 0.9, "without": 0.7}).details == (
        "'without': the value differs",
    )


TWO_FIELDS = dataclasses.replace(
    COUNT,
    solution={"views": 8, "pairs": 56},
    atol=0,
    misconceptions=(
        Misconception("both", {"views": 4, "pairs": 12}, "Pictures, not views."),
        Misconception("pictures", {"views": 4, "pairs": 56}, "Four pictures have two views."),
        Misconception("once", {"views": 8, "pairs": 28}, "Each pair counts twice."),
    ),
)


@pytest.mark.parametrize(
    ("views", "pairs", "said"),
    [
        (4, 12, "both"),  # a whole answer before a part of it
        (4, 56, "pictures"),
        (4, 99, "pictures"),  # another field is wrong as well
        (4, 28, "pictures"),  # two mistakes: the first one
        (8, 28, "once"),
        (99, 28, "once"),
        (8, 12, ""),  # half of "both" is not "both"
        (99, 99, ""),
    ],
)
def test_a_prediction_in_fields_is_diagnosed_by_field(views, pairs, said):
    report = check(TWO_FIELDS, {"views": views, "pairs": pairs})
    assert (report.state, report.misconception) == (State.WRONG, said)


def test_only_predictions_are_diagnosed_by_field():
    measured = dataclasses.replace(TWO_FIELDS, kind="ablate")
    assert check(measured, {"views": 4, "pairs": 99}).misconception == ""
    for odd in ({"views": 4}, [4, 56], 4, {"views": 4, "pairs": "many"}, {"views": 4, "x": 1}):
        assert check(TWO_FIELDS, odd).state == State.WRONG
    assert assess(TWO_FIELDS, []).state == State.ERROR  # the answer never came back


@pytest.mark.parametrize(
    ("solution", "answer", "said"),
    [
        ((91, 6, 3, 2), [91, 6, None, None], "2 of 4 filled in"),
        ({"a": (1, 2), "b": 3}, {"a": (1, None), "b": 3}, "2 of 3 filled in"),
        ({"a": 1, "b": 3}, {"a": None, "b": 3}, "1 of 2 filled in"),
    ],
)
def test_half_filled_in_is_no_attempt(solution, answer, said):
    several = dataclasses.replace(COUNT, solution=solution, misconceptions=())
    report = check(several, answer)
    assert (report.state, report.summary) == (State.NOT_ATTEMPTED, said)
    assert "return" not in repr(report)


def test_a_wrong_number_is_counted_from_one():
    several = dataclasses.replace(COUNT, solution=(91, 6), atol=0, misconceptions=())
    assert check(several, [90, 6]).details == ("number 1: the value differs",)


def test_repair_untouched_still_faulty_repaired():
    untouched = check(REPAIR, run_cell(REPAIR.stub_cell(), "scaled"))
    assert untouched.state == State.NOT_ATTEMPTED
    assert untouched.summary == "mend the cell above, then check again"
    with_comment = REPAIR.stub_cell().replace("return a + factor", "return (a  +  factor)  # hm")
    assert check(REPAIR, run_cell(with_comment, "scaled")).state == State.NOT_ATTEMPTED
    touched = REPAIR.stub_cell().replace("return a + factor", "return factor + a")
    report = check(REPAIR, run_cell(touched, "scaled"))
    assert report.state == State.WRONG
    assert "planted fault is still there" in report.sentence
    assert check(REPAIR, run_cell(REPAIR.solution_cell(), "scaled")).state == State.RIGHT


def test_students_test_is_scored_by_what_it_rejects():
    exercise = CENTRE

    def everything(centre):
        assert centre is not None

    def nothing(f):  # the argument's name is the student's own affair
        raise AssertionError

    accepts = check(exercise, everything)
    assert (accepts.state, accepts.score) == (State.WRONG, 0)
    rejects = check(exercise, nothing)
    assert (rejects.state, rejects.score) == (State.WRONG, 0)
    assert "`raise AssertionError`, fails on the right implementation" in rejects.sentence
    assert rejects.summary == "it must first pass on the right one"

    def compares_arrays(centre):
        assert centre(PATCH) == PATCH - PATCH.mean()

    crashes = check(exercise, compares_arrays)
    assert (crashes.state, crashes.score) == (State.ERROR, 0)
    assert "ask `np.array_equal` or `np.allclose`" in crashes.sentence

    def only_the_mean(centre):
        assert abs(centre(PATCH).mean()) < 1e-9

    partial = check(exercise, only_the_mean)
    assert partial.misconception == "zero"
    assert 0 < partial.score < 1

    def broken(centre):
        return undefined_name  # noqa: F821

    assert check(exercise, broken).state == State.ERROR
    stub = run_cell(exercise.stub_cell(), "test_centre")
    assert check(exercise, stub).state == State.NOT_ATTEMPTED


PATCH = np.array([[1.0, 2, 4], [8, 16, 40]])


def centre(image):
    return image - image.mean()


def test_centre(centre):
    """The mean is 0, and differences stay."""
    image = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 40.0]])
    n = centre(image)
    assert abs(n.mean()) < 1e-5
    assert abs(n[1, 2] - n[0, 0] - 39) < 1e-5


test_centre.__test__ = False  # a solution, not one of ours
CENTRE = dataclasses.replace(
    SCALED,
    name="test_centre",
    kind="test",
    solution=test_centre,
    subject=centre,
    cases=None,
    misconceptions=(
        Misconception("not moved", lambda image: image + 0, "Nothing moves."),
        Misconception("zero", lambda image: image * 0, "All is zero."),
        Misconception("scaled too", lambda image: (image - image.mean()) / 9, "It is scaled."),
    ),
)


@pytest.mark.parametrize(
    "verdict",
    [
        lambda f: False,
        lambda f: True,
        lambda f: abs(f(PATCH).mean()) < 1e-9,
        lambda f: (f(PATCH).mean() < 1e-9, "mean"),
    ],
)
def test_a_returned_verdict_earns_nothing(verdict):
    report = check(CENTRE, verdict)
    assert (report.state, report.score) == (State.WRONG, 0)
    assert report.sentence == (
        "Your test returns a verdict and asserts nothing: write `assert` in front of it."
    )


def test_a_verdict_after_an_assert():
    def half(centre):
        assert abs(centre(PATCH).mean()) < 1e-9
        return centre(PATCH).std() > 0

    report = check(CENTRE, half)
    assert report.state == State.WRONG
    assert 0 < report.score < 1
    assert "which nobody reads" in report.sentence

    def returns_too(centre):
        test_centre(centre)
        return True

    assert check(CENTRE, returns_too).state == State.RIGHT


def test_pytest_fails_with_a_verdict_not_with_a_traceback():
    def expects_an_error(centre):
        with pytest.raises(ZeroDivisionError):
            centre(PATCH)

    report = check(CENTRE, expects_an_error)
    assert (report.state, report.summary) == (State.WRONG, "it must first pass on the right one")
    assert re.fullmatch(
        r"Line \d+, `with pytest.raises\(ZeroDivisionError\): centre\(PATCH\)`, fails on the right "
        r"implementation: nothing is raised there.",
        report.sentence,
    )

    def fails_itself(centre):
        try:
            test_centre(centre)
        except AssertionError:
            pytest.fail("it is not centred")

    assert check(CENTRE, fails_itself).state == State.RIGHT

    def interrupted(centre):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(CENTRE, interrupted)


def test_a_test_without_an_assert_is_told():
    def only_words(centre):
        """The mean is zero."""

    def only_calls(centre):
        centre(np.arange(6.0).reshape(2, 3))

    for empty in (only_words, only_calls, lambda f: None):
        report = check(CENTRE, empty)
        assert (report.state, report.score) == (State.WRONG, 0)
        assert report.sentence == "Your test asserts nothing yet."

    def by_numpy(centre):
        np.testing.assert_equal(centre(PATCH).shape, PATCH.shape)

    def by_helper(centre):
        asserted_elsewhere(centre)

    for weak in (by_numpy, by_helper):
        assert "asserts nothing" not in check(CENTRE, weak).sentence


def asserted_elsewhere(centre):
    assert centre(PATCH).shape == PATCH.shape


def test_a_raise_left_in_a_test_is_told():
    def unfinished(centre):
        assert centre(PATCH).shape == PATCH.shape
        raise NotImplementedError

    report = check(CENTRE, unfinished)
    assert report.state == State.NOT_ATTEMPTED
    assert report.summary == "the line `raise NotImplementedError` is still there"


def test_the_assert_that_fails_on_the_right_one_is_named():
    def too_exact(centre):
        n = centre(PATCH)
        assert n.shape == PATCH.shape
        assert n.mean() == 0.1

    line = too_exact.__code__.co_firstlineno + 3
    assert check(CENTRE, too_exact).sentence == (
        f"Line {line}, `assert n.mean() == 0.1`, fails on the right implementation: "
        "compare floats with a tolerance."
    )

    def wrong_shape(centre):
        assert (
            centre(PATCH).shape
            == (3, 3)
        )  # fmt: skip

    said = check(CENTRE, wrong_shape).sentence
    assert "`assert ( centre(PATCH).shape == (3, 3) )`, fails on the right" in said
    assert "tolerance" not in said

    lost = run_cell("def test_centre(f):\n    assert f is None\n", "test_centre")
    said = check(CENTRE, lost).sentence
    assert said == "Line 2 fails on the right implementation."


def test_a_students_test_prints_no_warnings(recwarn):
    def divides(centre):
        n = centre(PATCH)
        assert np.isfinite(np.log(n - n) / 0).sum() == 0

    check(CENTRE, divides)
    assert not recwarn.list


def in_float32(image):
    return centre(image.astype(np.float32))


def refuses(image):
    raise ValueError("no")


TOLERANT = dataclasses.replace(
    CENTRE,
    also_right=(Misconception("single precision", in_float32, "32 bits are enough."),),
)


def test_an_over_strict_test_is_refused():
    def strict(centre):
        test_centre(centre)
        assert centre(PATCH).dtype == np.float64

    assert check(CENTRE, strict).state == State.RIGHT
    report = check(TOLERANT, strict)
    assert (report.state, report.score) == (State.WRONG, 0)
    assert report.sentence == "Your test rejects a right implementation: 32 bits are enough."
    assert "`assert centre(PATCH).dtype == np.float64`, fails on it." in report.details[0]

    def lenient(centre):
        n = centre(PATCH)
        assert abs(n.mean()) < 1e-5
        assert abs(np.ptp(n) - 39) < 1e-5

    assert check(TOLERANT, lenient).state == State.RIGHT
    crashing = Misconception("refuses", refuses, "It may refuse.")
    crashed = check(dataclasses.replace(TOLERANT, also_right=(crashing,)), lenient)
    assert crashed.state == State.WRONG
    assert crashed.sentence == "Your test crashes on a right implementation (refuses)."
    assert crashed.details[0].startswith("ValueError: no")


def test_the_audit_holds_the_solution_to_every_right_one():
    assert audit.audit(CENTRE) == audit.audit(TOLERANT) == []
    refused = Misconception("refuses", refuses, "It may refuse.")
    broken = audit.audit(dataclasses.replace(TOLERANT, also_right=(refused,)))
    assert any("implementation (refuses)." in sentence for sentence in broken)
    unfinished = Misconception("same", centre, "no full stop")
    broken = audit.audit(dataclasses.replace(TOLERANT, also_right=(unfinished,)))
    assert broken == ["the sentence of 'same' does not end like a sentence"]


def test_counting_calls_does_not_beat_kind_test():
    exercise = CENTRE
    states = []
    for seed in range(12):
        calls = iter(range(10**6))

        def counts(centre, calls=calls):
            assert next(calls) == 0

        outputs = probe(exercise, counts, exercise.cases_for(seed))
        states.append(assess(exercise, outputs, seed).state)
    assert states.count(State.RIGHT) <= 4  # the right one stands first by luck alone
    functions = [case["centre"] for case in exercise.cases_for(1)]
    assert len({(f.__name__, f.__qualname__, f.__doc__, f.__code__) for f in functions}) == 1


# --- the probe returns plain data, the judge survives anything ---


def test_plain_data():
    torch = pytest.importorskip("torch")

    @dataclasses.dataclass
    class Box:
        x: float
        names: tuple

    class Sub(np.ndarray):
        def __eq__(self, other):
            return True

    assert plain((1, np.float32(0.5), [np.array(2)])) == [1, 0.5, [2]]
    assert plain(Box(1.5, ("a",))) == {"x": 1.5, "names": ["a"]}
    assert type(plain(np.ones(3).view(Sub))) is np.ndarray
    tensor = torch.ones(2, 3, requires_grad=True, dtype=torch.bfloat16)
    assert plain(tensor).tolist() == [[1.0] * 3] * 2
    assert plain(np.array([1, None], object)) == [1, None]
    for odd in (object(), {1, 2}, (i for i in "a"), lambda: 0, np.ma.ones(3), Box):
        with pytest.raises(NotPlainError, match="are expected"):
            plain(odd)
    cycle = []
    cycle.append(cycle)
    with pytest.raises(NotPlainError, match="nested deeper"):
        plain(cycle)


def test_an_always_equal_answer_is_no_plain_data():
    class Yes(float):
        def __eq__(self, other):
            return True

        __hash__ = None

        def __sub__(self, other):
            return 0.0

    report = check(SCALED, lambda a, factor: Yes())
    assert report.state == State.ERROR
    assert "a Yes came back" in report.details[0]


@pytest.mark.parametrize(
    ("got", "expected", "said"),
    [
        (np.ones((16, 8)), np.ones(128), "shape (128,) expected, (16, 8) got"),
        (np.ones(3), np.ones(3, int), "an array of type integer expected, float (float64) got"),
        (
            np.array([1, 2]),
            np.array([1.5, 2.0]),
            "whole numbers came back where fractions are expected: 1 of 2 values differ",
        ),
        (np.array([1, 3]), np.array([1.0, 2.0]), "1 of 2 values differ; most at [1]"),
        ([1.0, None], [1.0, 2.0], "item 2 of 2: is None"),
        ({"a": 1}, {"a": 2}, "'a': the value differs; 2 expected, 1 got"),
        (np.array([1, np.nan, np.inf]), np.ones(3), "NaN or infinity in 2 of 3 places"),
        (
            [[1.0], [1.0]],
            np.ones((2, 1)),
            "an array of shape (2, 1) expected, a list of 2 got: wrap it in `np.array`",
        ),
        (None, 1.0, "a number expected, None (is `return` missing?) got"),
        (True, 1, "a number expected, True or False got"),
        ([1, 2], [1, 2, 3], "a list or tuple of 3 expected, a list of 2 got"),
        ({"a": 1}, {"a": 1, "b": 2}, "a dictionary with ['a', 'b'] expected, ['a'] got"),
        ([1, [2, 4]], [1, [2, 3]], "item 2 of 2: item 2 of 2: the value differs; 3"),
        (100_001, 100_000, "the value differs; 100000 expected, 100001 got"),
        (
            np.array([1, 2]),
            np.array([1, 3]),
            "1 of 2 values differ; most at [1]: 3 expected, 2 got",
        ),
        (np.array([True, False]), np.array([True, True]), "1 of 2 values differ; most at [1]"),
        (np.ones((2, 3)), np.arange(6.0).reshape(2, 3), "5 of 6 values differ; most at [1, 2]"),
        (np.array([100_001]), np.array([100_000]), "1 of 1 values differ"),
        (np.uint8([250]), np.uint8([5]), "most at [0]: 5 expected, 250 got"),
        ("yes", "no", "the value differs; 'no' expected, 'yes' got"),
    ],
)
def test_differences_are_named(got, expected, said):
    verdict = close(got, expected)
    assert not verdict.right
    assert str(verdict).startswith(said) or said in str(verdict)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (np.float32([1 / 3]), np.array([1 / 3])),
        (np.int8([1, 2]), np.uint8([1, 2])),
        (np.array([np.nan, np.inf]), np.array([np.nan, np.inf])),
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (3.0, 3),
        (3, 3.0),
        (np.ones(3, int), np.ones(3)),
        (float("nan"), float("nan")),
        (np.zeros((0, 2)), np.zeros((0, 2))),
        (None, None),
    ],
)
def test_what_counts_as_the_same(got, expected):
    assert close(got, expected) == RIGHT


@pytest.mark.parametrize("got", [[1.0], [[1.0], [1.0, 1.0]], "text"])
def test_a_list_of_another_shape_is_not_told_to_become_an_array(got):
    assert "np.array" not in str(close(got, np.ones(2)))


@pytest.mark.filterwarnings("error")
def test_whole_numbers_against_infinity_are_wrong_without_a_warning():
    verdict = close(np.array([1, 0]), np.array([0.0, -np.inf]))
    assert str(verdict).startswith("2 of 2 values differ; most at [1]")


def test_a_comparison_that_raises_means_wrong_not_a_crash():
    def up_to_scale(got, expected):
        return close(got / np.linalg.norm(got), expected / np.linalg.norm(expected))

    free = dataclasses.replace(SCALED, compare=up_to_scale)
    assert check(free, lambda a, factor: -(-7 * a)).state == State.RIGHT
    for answer in (None, "text", [], {"a": 1}):
        assert check(free, lambda a, factor, answer=answer: answer).state == State.WRONG


def test_missing_results_are_wrong_and_the_rest_keeps_its_marks():
    outputs = probe(SCALED, scaled, SCALED.cases_for(5))
    assert assess(SCALED, outputs, 5).state == State.RIGHT
    assert assess(SCALED, outputs, 6).state == State.WRONG  # other seed, other answers
    killed = assess(SCALED, outputs[:2], 5)
    assert (killed.state, killed.score) == (State.ERROR, pytest.approx(2 / 3))
    assert assess(SCALED, [], 5).score == 0
    surplus = [*outputs[:2], {"value": 1}, {"error": "one too many"}]
    assert assess(SCALED, surplus, 5).state == State.WRONG
    assert assess(CENTRE, [], 5).state == State.ERROR


def test_a_killed_trial_earns_only_what_came_back():
    exercise = CENTRE
    outputs = probe(exercise, test_centre, exercise.cases_for(5))
    accepted = outputs.index({"value": True})
    killed = assess(exercise, outputs[: accepted + 2], 5)
    assert killed.state == State.ERROR
    assert killed.score == pytest.approx((accepted + 1) / (len(outputs) - 1))


# --- the engine's own failures ---


def test_a_lying_judge_is_found_out():
    lying = dataclasses.replace(SCALED, compare=lambda got, expected: RIGHT)
    broken = audit.wrong_answers_are_caught(lying)
    assert len(broken) == len(list(audit.bank(lying)))
    refusing = dataclasses.replace(SCALED, compare=lambda got, expected: Verdict(False, "no"))
    assert audit.solution_is_right(refusing)


def test_a_failing_solution_is_the_exercises_fault_not_the_students():
    def scaled(a, factor):
        return a / [] * factor

    broken = dataclasses.replace(SCALED, solution=scaled)
    with pytest.raises(RuntimeError, match="the solution of 'scaled' fails on case 1"):
        check(broken, added)


def test_a_solution_that_writes_into_its_argument_is_refused():
    def scaled(a, factor):
        a *= factor
        return a

    with pytest.raises(RuntimeError, match="'changed'"):
        check(dataclasses.replace(SCALED, solution=scaled), added)


def test_a_solution_that_needs_its_module_is_found_out():
    def scaled(a, factor):
        """Multiply."""
        return unscaled(a, factor) * factor

    broken = audit.cell_is_self_contained(dataclasses.replace(SCALED, solution=scaled))
    assert "unscaled" in broken[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prompt": " "}, "the prompt is empty"),
        ({"hints": ("one",)}, "at least 2 hints"),
        ({"hints": ("one", " ")}, "a hint is empty"),
        ({"minutes": -3}, "at least 1 minute is expected, but -3"),
        ({"cases": lambda seed: 2 * scaled_cases(seed)}, "case 3 is one of those before it"),
        ({"misconceptions": SCALED.misconceptions[:2]}, "at least 3 misconceptions"),
        ({"cases": lambda seed: scaled_cases(0)}, "another seed gives the same"),
        ({"cases": lambda seed: scaled_cases(None)}, "the same seed gives other cases"),
        ({"cases": lambda seed: scaled_cases(seed)[:1]}, "at least 2 cases"),
        (
            {"cases": lambda seed: [{"a": np.full((2, 3), i + seed), "factor": 2} for i in (1, 2)]},
            "is constant",
        ),
        (
            {"cases": lambda seed: [c | {"factor": 1.0} for c in scaled_cases(seed)]},
            "passes on seed",
        ),
        ({"equivalent": {"arithmetic 3:11 * → /": "no"}}, "is caught: remove it"),
        ({"equivalent": {"drop 9:9 abs": "gone"}}, "there is no mutant 'drop 9:9 abs'"),
        (
            {"misconceptions": (*SCALED.misconceptions, Misconception("again", added, "Twice."))},
            "'again' is not named by its sentence",
        ),
        (
            {"misconceptions": (*SCALED.misconceptions, Misconception("fine", scaled, "Not so."))},
            "misconception 'fine' passes",
        ),
        ({"stub": scaled_already}, "the stub as it is handed out passes"),
    ],
)
def test_the_audit_names_a_planted_fault(changes, said):
    assert audit.audit(SCALED) == []
    assert any(said in sentence for sentence in audit.audit(dataclasses.replace(SCALED, **changes)))


def test_a_test_that_calls_nothing_is_told_so():
    def test_soft_targets(soft_targets):
        assert 1 + 1 == 2

    report = check(blip.TEST_SOFT_TARGETS, test_soft_targets)
    assert report.state == State.WRONG
    assert report.sentence == (
        "Your test accepts everything: call the function, and assert what a right one returns."
    )


def test_the_audit_minds_how_long_a_check_takes(monkeypatch):
    monkeypatch.setattr(audit, "SLOW", 0)
    assert "checking the solution takes 0.0" in audit.audit(SCALED)[0]


def test_the_audit_of_predictions_and_tests():
    assert audit.audit(COUNT) == []
    assert "`measure`" in audit.audit(dataclasses.replace(COUNT, measure=lambda: 140))[0]
    assert audit.audit(REPAIR) == []

    def test_centre(centre):
        patch = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 40.0]])
        assert abs(centre(patch).mean()) < 1e-9

    weak = dataclasses.replace(CENTRE, solution=test_centre)
    assert any("All is zero." in sentence for sentence in audit.audit(weak))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "not a name"}, "Python identifier"),
        ({"kind": "essay"}, "must be one of"),
        ({"difficulty": 6}, "difficulty must be 1 to 5"),
        ({"solution": added}, "must be called like it"),
        ({"solution": 3}, "must be a function"),
        ({"cases": None}, "cases belong to functions"),
        ({"kind": "repair"}, "needs its faulty stub"),
        ({"kind": "predict"}, "must be a value"),
        ({"subject": scaled}, "belongs to kind 'test'"),
        ({"also_right": SCALED.misconceptions[:1]}, "`also_right` belongs to kind 'test'"),
        ({"misconceptions": SCALED.misconceptions[:1] * 2}, "share a name"),
    ],
)
def test_a_bad_definition_is_refused_in_a_sentence(changes, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(SCALED, **changes)


# --- cells, ledger and looks ---


def test_cells():
    assert SCALED.stub_cell() == (
        'def scaled(a, factor):\n    """Multiply."""\n'
        "    raise NotImplementedError  # replace this line\n"
    )
    assert REPAIR.stub_cell() == "def scaled(a, factor):\n    return a + factor\n"
    assert COUNT.stub_cell() == "count = None\n"
    assert COUNT.solution_cell() == "count = 120\n"
    assert cells.stub_of(added, "x").splitlines()[0] == "def x(a, factor):"


def test_solution_opens_after_three_attempts_or_a_pass():
    left = []
    for answer in (added, unscaled, None):
        left.append(repr(SCALED.show_solution()))
        check(SCALED, answer)
    assert [int(re.search(r"\d", text)[0]) for text in left] == [3, 2, 1]
    assert "return a * factor" in repr(SCALED.show_solution())
    check(COUNT, 120)
    assert "count = 120" in repr(COUNT.show_solution())


def test_summary_keeps_the_best_and_calibration_the_first():
    check(SCALED, scaled)
    check(SCALED, added)
    check(COUNT, 60, confidence=90)
    check(COUNT, 120, confidence=100)
    table = repr(engine.summary([SCALED, COUNT, start.CUT_PATCH]))
    assert "| Scale | implement | ✔ right |" in table
    assert "○ not attempted" in table
    assert table.endswith("2 of 3 right.")
    assert repr(engine.calibration()) == (
        "1 prediction: 90 % sure on average, 0 % right (from 3 on it is judged)."
    )
    assert repr(engine.summary(start)).endswith(f"0 of {len(start.EXERCISES)} right.")
    with pytest.raises(ValueError, match="0 to 100"):
        check(COUNT, 120, confidence=101)
    for share in (0.7, 1, 1.0):
        with pytest.raises(ValueError, match=r"confidence is in percent: 70, not 0\.7"):
            check(COUNT, 120, confidence=share)


@pytest.mark.parametrize(("answer", "word"), [(60, "too sure"), (120, "well calibrated")])
def test_calibration_is_judged_from_three_on(answer, word):
    for i in range(3):
        assert "too" not in repr(engine.calibration())
        check(dataclasses.replace(COUNT, name=f"count{i}"), answer, confidence=90)
    assert repr(engine.calibration()).endswith(f"right: {word}.")


def test_hints_expected_and_box():
    assert repr(SCALED.hint(2)) == "**Hint 2 of 2:** b"
    for tier in (0, 3):
        assert "There are 2 hints" in SCALED.hint(tier)._repr_markdown_()
    assert "●○○○○ · Importance ●●○○○ · 3 min" in SCALED.box()._repr_markdown_()
    case = scaled_cases(0)[0]
    assert f"{case['a'][0, 0] * 3:.4f}" in repr(SCALED.expected())
    assert "120" not in repr(COUNT.expected())


def luminance(colour):
    """WCAG 2 relative luminance of #rrggbb."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_looks_differ_without_colour_and_have_contrast():
    looks = render.LOOKS.values()
    assert set(render.LOOKS) == set(State)
    assert len({look.icon for look in looks}) == len({look.edge.split()[0] for look in looks}) == 4
    for look in looks:
        assert contrast(render.INK, look.ground) >= 4.5
        assert contrast(look.edge.split()[1], look.ground) >= 3  # WCAG's bound for graphics


def test_html_escapes_and_sets_both_colours():
    def bad(a, factor):
        raise ValueError("<script>`x`")

    page = check(SCALED, bad)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert f"color:{render.INK}" in page
    assert "background:#" in page


def test_reports_are_the_same_every_time():
    random.seed(None)
    answers = (scaled, added, None, lambda a, factor: object())
    assert [repr(check(SCALED, a)) for a in answers] == [repr(check(SCALED, a)) for a in answers]


def test_nothing_of_our_own_is_printed(capsys, recwarn):
    check(start.PATCH_DISTANCE, lambda a, b: 3)
    check(CENTRE, test_centre)
    assert capsys.readouterr() == ("", "")
    assert not recwarn.list


def test_in_a_real_cell():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    setup = "import numpy as np\nfrom course_lib.exercises import start\n"
    shell.run_cell(setup + "from course_lib.exercises.engine import check").raise_error()
    exercise = start.CUT_PATCH
    states = {}
    faulty = exercise.stub_cell().replace("first = ", "first = image.missing or ")
    for source in (exercise.stub_cell(), faulty, exercise.solution_cell()):
        shell.run_cell(source).raise_error()
        report = shell.run_cell("check(start.CUT_PATCH, cut_patch)").result
        states[report.state] = report
    assert list(states) == [State.NOT_ATTEMPTED, State.ERROR, State.RIGHT]
    assert states[State.ERROR].details[0].endswith("(line 6)")
    source = "def test_normalise(f):\n    n = f(np.eye(3))\n    assert n.mean() == 0.1\n"
    shell.run_cell(source).raise_error()
    report = shell.run_cell("check(start.TEST_NORMALISE, test_normalise)").result
    assert "Line 3, `assert n.mean() == 0.1`, fails on the right" in report.sentence
    assert "tolerance" in report.sentence
