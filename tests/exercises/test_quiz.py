"""Questions: what a saved notebook shows, and what a live one answers."""

import subprocess
import sys

import pytest

from course_lib.exercises.quiz import WIDGET, Question, Quiz

QUESTION = Question(
    prompt="Is 1 < 2 for `int`?",
    choices=("yes", "no & never", "`maybe`"),
    correct=0,
    why=("One is less.", "It is less.", "Order is certain."),
)


def test_text_holds_the_choices_and_no_answer():
    assert repr(Quiz([QUESTION])) == (
        "1. Is 1 < 2 for `int`?\n  ( ) yes\n  ( ) no & never\n  ( ) `maybe`"
    )


def test_html_unfolds_each_choice_and_escapes():
    bundle = Quiz([QUESTION, QUESTION])._repr_mimebundle_()
    page = bundle["text/html"]
    assert page.count("<details><summary>") == 6
    assert "1 &lt; 2" in page
    assert "no &amp; never" in page
    assert page.count("✔ right: One is less.") == 2
    assert page.count("✘ wrong: ") == 4
    assert bundle["text/plain"].startswith("1. Is")


def test_emphasis_is_rendered_and_code_kept():
    question = Question("Is *a* **not** `2 * x * y`, 3 * 4 * 5?", ("*b*", "`c**d`"), 0, ("x", "y"))
    page = question.as_html()
    assert "Is <em>a</em> <strong>not</strong> <code" in page
    assert ">2 * x * y</code>, 3 * 4 * 5?" in page
    assert "<em>b</em>" in page
    assert ">c**d</code>" in page
    prompt, buttons, _ = question.widget().children
    assert "<em>a</em>" in prompt.value
    assert [text for text, _ in buttons.options] == ["b", "c**d"]


def test_clicking_answers():
    bundle = Quiz([QUESTION])._repr_mimebundle_()
    assert set(bundle[WIDGET]) >= {"model_id"}
    _, buttons, said = QUESTION.widget().children
    assert buttons.value is None
    assert said.value == ""
    buttons.value = 1
    assert "✘ wrong: It is less." in said.value
    buttons.value = 0
    assert "✔ right: One is less." in said.value
    buttons.value = None  # taken back
    assert said.value == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"choices": ("yes",)}, "two different choices"),
        ({"choices": ("a", "a", "b")}, "two different choices"),
        ({"why": ("x",)}, "3 sentences are expected"),
        ({"correct": 3}, "must be 0 to 2"),
    ],
)
def test_a_bad_question_is_refused_in_a_sentence(changes, said):
    fields = {"prompt": "?", "choices": ("a", "b", "c"), "correct": 1, "why": ("x", "y", "z")}
    with pytest.raises(ValueError, match=said):
        Question(**(fields | changes))


def test_ipywidgets_is_imported_only_when_shown():
    code = (
        "import sys; from course_lib.exercises import start;"
        "from course_lib.exercises.quiz import Quiz;"
        "Quiz(start.QUIZ); repr(Quiz(start.QUIZ));"
        "heavy = {'ipywidgets', 'torch', 'cv2', 'matplotlib', 'IPython'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
