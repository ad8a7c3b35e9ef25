"""A class whose true marks are known: to try the grading on before students do.

Answers are our own: solutions, stubs, misconceptions, mutants, weakened tests, answers that give up
half-way, cells that do not compile. What each is worth is known by how it was made, and where it is
not, from an oracle that shares nothing with the judge.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_lib.classroom.answers import is_stub
from course_lib.classroom.assignment import Assignment, Task
from course_lib.classroom.cell_sources import answer_cell, weaker_tests
from course_lib.classroom.notebook import build_notebook, tagged
from course_lib.classroom.oracle import defined_by, let_pass, true_marks, true_share
from course_lib.classroom.results import Result
from course_lib.classroom.whole import write_whole
from course_lib.exercises import trial
from course_lib.exercises.engine import Exercise

MUTANTS = 6  # of each exercise
BROKEN = 25  # each of so many notebooks is a download that broke off
WELL_DONE = 0.45  # share of the exercises that a student simply solves


@dataclass(frozen=True)
class Answer:
    """A cell's source and what it is truly worth.

    `misconception` is the mistake that must be named, "" if none has to. `place`: "own" cell,
    "untagged" cell, a "copy" of the stub after it, or "missing".
    """

    label: str
    source: str
    share: Fraction
    misconception: str = ""
    place: str = "own"


def write_class(
    assignment: Assignment,
    students: int,
    seed: int,
    hidden: int,
    to: Path,
    handout: NotebookNode | None = None,
) -> Path:
    """Write `to/submitted/STUDENT/ASSIGNMENT/…ipynb` for each, and the truth → truth.json.

    `hidden` is the seed of the hidden cases; `handout` the notebook as it is handed out.
    """
    told = {"assignment": assignment.name, "version": assignment.version, "variant": "0"}
    handout = handout or build_notebook(assignment, told)
    generator = random.Random(seed)
    draws = {task.exercise.name: _draws(task, hidden, generator) for task in assignment.tasks}
    truth: dict[str, Any] = {}
    last: dict[str, Answer] = {}
    for number in range(1, students + 1):
        student = f"student-{number:03d}"
        broken = number % BROKEN == 0
        chosen = last if broken else {name: next(draw) for name, draw in draws.items()}
        last = chosen
        path = to / "submitted" / student / assignment.name / f"{assignment.name}.ipynb"
        text = json.dumps(fill_in(handout, chosen, assignment), ensure_ascii=False, indent=1)
        write_whole(path, text[: len(text) // 2] if broken else text + "\n")
        truth[student] = _truth(chosen, assignment, broken)
    path = to / "truth.json"
    write_whole(path, json.dumps(truth, ensure_ascii=False, indent=1) + "\n")
    return path


def differences(truth: Path, results: Sequence[Result]) -> list[str]:
    """Where marks or names of mistakes are not those of truth.json, a line each.

    Raises ValueError for a file that is not this class's, and OSError.
    """
    true, found = json.loads(truth.read_text(encoding="utf-8")), []
    if strange := [one["student"] for one in results if one["student"] not in true]:
        raise ValueError(f"{truth.name} knows nothing of {strange[0]}: it is another class's")
    for result in results:
        for item in result["exercises"]:
            expected = true[result["student"]]["exercises"][item["name"]]
            mistake = expected["misconception"]
            if item["marks"] != expected["marks"] or mistake not in ("", item["misconception"]):
                found.append(
                    f"{result['student']}, {item['name']} ({expected['answer']}): "
                    f"{item['marks']:g} of {expected['marks']:g} points, "
                    f"{item['misconception'] or 'no mistake'} for {mistake or 'none'}"
                )
    return found


def _truth(chosen: dict[str, Answer], assignment: Assignment, broken: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for task in assignment.tasks:
        answer = chosen[task.exercise.name]
        share = Fraction(0) if broken else answer.share
        told[task.exercise.name] = {
            "answer": "a broken file" if broken else answer.label,
            "marks": true_marks(task.points, share),
            "misconception": "" if broken else answer.misconception,
        }
    total = round(sum(item["marks"] for item in told.values()), 2)
    return {"exercises": told, "marks": total}


def fill_in(handout: NotebookNode, chosen: dict[str, Answer], assignment: Assignment) -> Any:
    """The hand-out with a student's answers in it."""
    notebook = deepcopy(handout)
    cells = []
    for cell in notebook.cells:
        answer = chosen.get(tagged(cell, "exercise"))
        if answer is None:
            cells.append(cell)
            continue
        stub = deepcopy(cell)
        stub.id = f"copy-{cell.id}"
        if answer.place != "missing":
            cell.source = answer.source
            if answer.place == "untagged":
                cell.metadata = {}
            cells.append(cell)
        if answer.place == "copy":
            cells.append(stub)
    cells.append(new_code_cell("print('that is all')", id="last"))
    notebook.cells = cells
    return notebook


def _draws(task: Task, hidden: int, generator: random.Random) -> Iterator[Answer]:
    """Answers to an exercise without end; each on the menu comes before one comes again."""
    answers = menu(task.exercise, hidden, generator)
    solution, others = answers[0], answers[1:]
    generator.shuffle(others)
    for answer in cycle(others):
        while generator.random() < WELL_DONE:
            yield solution
        yield answer


def menu(exercise: Exercise, hidden: int, generator: random.Random) -> list[Answer]:
    """All answers to an exercise, the solution first; lambdas among the mistakes are left out."""
    solution, stub = exercise.solution_cell(), exercise.stub_cell()
    one, none = Fraction(1), Fraction(0)
    answers = [
        Answer("solution", solution, one),
        Answer("stub", stub, none),
        Answer("syntax error", solution + "\n)\n", none),
        Answer("error before the answer", "1 / 0\n" + solution, none),
        Answer("no cell", "", none, place="missing"),
        Answer("no tag", solution, one, place="untagged"),
        Answer("copied stub", solution, one, place="copy"),
    ]
    if exercise.kind == "test":
        made = weaker_tests(exercise)
        made.append(("accepts everything", f"def {exercise.name}(f):\n    return None\n"))
        made.append(("rejects everything", f"def {exercise.name}(f):\n    assert False\n"))
        return answers + [_weighed_test(exercise, label, source, hidden) for label, source in made]
    for m in exercise.misconceptions:
        with suppress(ValueError):  # a lambda: its source cannot stand alone
            wrong = _weighed(exercise, m.name, answer_cell(exercise, m.answer), hidden)
            answers.append(Answer(wrong.label, wrong.source, wrong.share, m.name))
    if exercise.is_function:
        answers += _mutants(exercise, hidden, generator)
        answers += _gives_up(exercise, solution, hidden)
    return answers


def _weighed(exercise: Exercise, label: str, source: str, hidden: int) -> Answer:
    return Answer(label, source, true_share(exercise, defined_by(exercise, source), hidden))


def _weighed_test(exercise: Exercise, label: str, source: str, hidden: int) -> Answer:
    """A test of ours; the first mistake that it lets pass must be named, if it asserts at all."""
    test = defined_by(exercise, source)
    named = let_pass(exercise, test) if "assert " in source else ""
    return Answer(label, source, true_share(exercise, test, hidden), named)


def _mutants(exercise: Exercise, hidden: int, generator: random.Random) -> list[Answer]:
    """Some mutants that end by themselves; how the planted fault looks is the stub's affair."""
    found = [m for m in trial.mutants_of(exercise) if m.id not in exercise.equivalent]
    generator.shuffle(found)
    answers = []
    for mutant in found:
        if len(answers) == MUTANTS:
            break
        if not is_stub(mutant.source, exercise) and _ends(exercise, mutant.function, hidden):
            share = true_share(exercise, mutant.function, hidden)
            answers.append(Answer(f"mutant {mutant.id}", mutant.source + "\n", share))
    return answers


def _ends(exercise: Exercise, function: Callable, hidden: int) -> bool:
    """Whether no loop of a mutant was stopped by its guard."""
    for case in exercise.cases_for(hidden):
        try:
            function(**deepcopy(case))
        except TimeoutError:
            return False
        except Exception:
            continue
    return True


def _gives_up(exercise: Exercise, solution: str, hidden: int) -> list[Answer]:
    """The solution that raises from its n-th call on: n − 1 cases are right, whatever they are."""
    cases = len(exercise.cases_for(hidden))
    answers = []
    for calls in {1, cases // 2, cases - 1} - {0}:
        limited = (
            f"{solution}\n\ndef _limited(right, calls=[]):\n"
            "    def answer(*values, **named):\n        calls.append(1)\n"
            f"        if len(calls) > {calls}:\n            raise RuntimeError('no idea')\n"
            "        return right(*values, **named)\n\n    return answer\n\n\n"
            f"{exercise.name} = _limited({exercise.name})\n"
        )
        answers.append(Answer(f"gives up after {calls}", limited, Fraction(calls, cases)))
    return answers
