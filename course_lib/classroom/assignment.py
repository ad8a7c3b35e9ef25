"""An assignment: exercises judged by the machine, questions read by people, points, late policy.

assignments/NAME/ holds one, and nothing of it but the released bundle reaches a student:

    assignment.toml  title, minutes, points of each exercise, late policy, written questions; limits
                     of the sandbox, where they are not the usual ones
    notebook.py      the student's notebook as jupytext percent text; exercises stand as empty
                     cells with the tag `exercise:NAME`, written questions as `written:NAME`
    exercises.py     exercises that the package does not answer: `EXERCISES`, and if constants
                     differ from student to student, `varied(variant)`

Points are written as `"sift.finish" = 8` for an exercise of the course and as
`rotation_vote = 14` for one of exercises.py.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import math
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import course_lib
from course_lib.classroom.sandbox import Limits
from course_lib.exercises.engine import PUBLIC_SEED, Exercise
from course_lib.exercises.judge import show
from course_lib.exercises.probe import NotPlainError, plain

ASSIGNMENTS = Path(course_lib.__file__).parent.parent / "assignments"
ANSWER = "*Write your answer here, in place of this line.*"  # the empty cell of a written question


@dataclass(frozen=True)
class Task:
    """An exercise judged by the machine; `lesson`: its file in course_lib.exercises, or ""."""

    exercise: Exercise
    points: float
    lesson: str = ""


@dataclass(frozen=True)
class Written:
    """A question graded by hand. `rubric`: what earns points, and how many of them."""

    name: str
    title: str
    prompt: str  # Markdown
    rubric: tuple[tuple[str, float], ...]
    points: float

    def __post_init__(self) -> None:
        total = sum(points for _, points in self.rubric)
        if not self.name.isidentifier():
            raise ValueError(f"a written question's name must be an identifier, not {self.name!r}")
        if total != self.points:
            raise ValueError(
                f"the rubric of {self.name!r} gives {total:g} points in all, but the question is "
                f"worth {self.points:g}"
            )


@dataclass(frozen=True)
class LatePolicy:
    """What a late submission loses. Shares are of the earned points, 0 to 1."""

    grace_minutes: float
    lost_per_day: float  # for each day begun after the deadline
    most_lost: float

    def __post_init__(self) -> None:
        told = vars(self).values()
        if min(told) < 0 or self.lost_per_day > 1 or self.most_lost > 1:
            raise ValueError(f"lateness costs shares of 0 to 1, and minutes from 0; not {self}")

    def keeps(self, hours_late: float) -> float:
        """Share of the points that is kept, 0 to 1; negative hours are early."""
        if hours_late * 60 <= self.grace_minutes:
            return 1.0
        return 1.0 - min(self.most_lost, self.lost_per_day * math.ceil(hours_late / 24))


@dataclass(frozen=True)
class Assignment:
    """What is handed out and how it counts. `version` changes when what a student gets changes.
    `limits`: what a submission may use while it is graded.

    `variant` is 0, or the number from which a student's own constants and public data follow.
    """

    name: str
    title: str
    minutes: int
    tasks: tuple[Task, ...]
    written: tuple[Written, ...]
    late: LatePolicy
    version: str
    variant: int = 0
    limits: Limits = field(default_factory=Limits)

    @property
    def points(self) -> float:
        """All points that can be earned."""
        return sum(item.points for item in (*self.tasks, *self.written))

    @property
    def public_seed(self) -> int:
        """The seed of the public cases."""
        return self.variant or PUBLIC_SEED

    def task(self, name: str) -> Task:
        """The task of that name. Raises ValueError, which names the known ones."""
        known = {task.exercise.name: task for task in self.tasks}
        if name not in known:
            raise ValueError(f"{self.name} has no exercise {name!r}; there are: {', '.join(known)}")
        return known[name]

    def template(self) -> str:
        """The text of notebook.py."""
        return (ASSIGNMENTS / self.name / "notebook.py").read_text(encoding="utf-8")


def names() -> list[str]:
    """Every assignment, in the order of the alphabet."""
    return sorted(path.parent.name for path in ASSIGNMENTS.glob("*/assignment.toml"))


@lru_cache(maxsize=64)
def load(name: str, variant: int = 0) -> Assignment:
    """The assignment of that name, with the constants of a variant.

    Raises ValueError for an unknown name, and for an assignment.toml that is not complete.
    """
    if name not in names():
        raise ValueError(f"there is no assignment {name!r}; there are: {', '.join(names())}")
    path = ASSIGNMENTS / name / "assignment.toml"
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    new = new_exercises(name, variant)
    try:
        late = LatePolicy(**told["late"])
        written = tuple(_written(question) for question in told.get("written", []))
        tasks = _tasks(name, told["points"], new)
        title, minutes = told["title"], int(told["minutes"])
        limits = Limits(**told.get("limits", {}))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name} of {name!r} is not complete: {error}") from None
    used = [task.exercise.name for task in tasks] + [question.name for question in written]
    if len(set(used)) < len(used):
        raise ValueError(f"two questions of {name!r} share a name: {', '.join(used)}")
    version = load(name).version if variant else ""
    found = Assignment(name, title, minutes, tasks, written, late, version, variant, limits)
    return found if variant else Assignment(**vars(found) | {"version": _fingerprint(found)})


def _written(told: Mapping[str, Any]) -> Written:
    rubric = tuple((text, float(points)) for text, points in told["rubric"])
    return Written(told["name"], told["title"], told["prompt"], rubric, float(told["points"]))


def _tasks(name: str, points: Mapping[str, float], new: Mapping[str, Exercise]) -> tuple[Task, ...]:
    tasks = []
    for key, worth in points.items():
        lesson, _, exercise = key.rpartition(".")
        known = course_exercises(lesson) if lesson else new
        if exercise not in known:
            raise ValueError(
                f"assignment {name!r} gives points to {key!r}, which does not exist; "
                f"there are: {', '.join(known)}"
            )
        tasks.append(Task(known[exercise], float(worth), lesson))
    if unused := set(new) - {task.exercise.name for task in tasks if not task.lesson}:
        raise ValueError(f"assignment {name!r} gives no points to {', '.join(sorted(unused))}")
    return tuple(tasks)


def course_exercises(lesson: str) -> dict[str, Exercise]:
    """The exercises of a file of course_lib.exercises by name."""
    module = importlib.import_module(f"course_lib.exercises.{lesson}")
    return {exercise.name: exercise for exercise in module.EXERCISES}


def new_exercises(name: str, variant: int = 0) -> dict[str, Exercise]:
    """The exercises of assignments/NAME/exercises.py by name, with the constants of a variant."""
    module = _module(name)
    varied = module.varied(variant) if hasattr(module, "varied") else ()
    return {exercise.name: exercise for exercise in (*module.EXERCISES, *varied)}


@lru_cache(maxsize=16)
def _module(name: str) -> ModuleType:
    path = ASSIGNMENTS / name / "exercises.py"
    spec = importlib.util.spec_from_file_location(f"course_assignment_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path.name} of {name!r} cannot be imported: {said}") from None
    return module


def exercise_fingerprint(exercise: Exercise) -> str:
    """Sixteen characters that change with what a student reads of an exercise and fills in."""
    return _digest([exercise.box().markdown, exercise.stub_cell(), exercise.imports])


def _fingerprint(assignment: Assignment) -> str:
    tasks = [
        [task.lesson, task.points, exercise_fingerprint(task.exercise), _public_data(task)]
        for task in assignment.tasks
    ]
    written = [asdict(question) for question in assignment.written]
    late, template = asdict(assignment.late), assignment.template()
    return _digest([assignment.title, assignment.minutes, late, tasks, written, template])


def _public_data(task: Task) -> list[str]:
    """The public cases of a new exercise in a few digits, the same on every machine."""
    if task.lesson or task.exercise.kind == "test":
        return []
    return [_few_digits(case) for case in task.exercise.cases_for(PUBLIC_SEED)]


def _few_digits(case: Mapping[str, Any]) -> str:
    try:
        return show(plain(case))
    except NotPlainError:  # a random generator
        return ", ".join(case)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:16]
