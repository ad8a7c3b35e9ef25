"""A bundle: all that one student gets, read on the student's side; `release` makes it.

NAME.ipynb     the notebook: boxes, stubs, public checks, questions
bundle.json    which assignment, version and variant this is, and what is asked
public.wire    public cases of new exercises, and what is expected there
README.md      how to work offline, check and hand in
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import course_lib
from course_lib.classroom import wire
from course_lib.classroom.assignment import Assignment, LatePolicy, Task, Written
from course_lib.classroom.public import PublicTask
from course_lib.exercises.render import Card, Report

SCHEMA = 1
FILE = "bundle.json"
DATA = "public.wire"
EPOCH = (2000, 1, 1, 0, 0, 0)  # of every file in an archive, so that equal bundles are equal bytes


class BundleError(RuntimeError):
    """A bundle is not to be had, or does not fit: one sentence, with what to do about it."""


@dataclass(frozen=True)
class Bundle:
    """What bundle.json says. `variant` is 0 where all students have the same."""

    assignment: str
    title: str
    version: str
    variant: int
    student: str  # "" where all students have the same bundle
    library: str  # the version of course_lib that made it
    minutes: int
    late: LatePolicy
    tasks: tuple[PublicTask, ...]
    written: tuple[Written, ...]

    @property
    def stem(self) -> str:
        """How the notebook and the bundle are called."""
        return f"{self.assignment}-{self.student}" if self.student else self.assignment

    @property
    def metadata(self) -> dict[str, str]:
        """The handshake, as the notebook holds it."""
        handshake = {"assignment": self.assignment, "version": self.version}
        return handshake | {"variant": str(self.variant), "student": self.student}

    def as_assignment(self) -> Assignment:
        """The assignment as far as a bundle knows it: stubs stand for the new solutions."""
        tasks = tuple(Task(task.exercise, task.points, task.lesson) for task in self.tasks)
        return Assignment(
            self.assignment,
            self.title,
            self.minutes,
            tasks,
            self.written,
            self.late,
            self.version,
            self.variant,
        )

    def task(self, name: str) -> PublicTask:
        """The task of that name. Raises ValueError, which names the known ones."""
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(task.name for task in self.tasks)
        raise ValueError(f"{self.assignment} has no exercise {name!r}; there are: {known}")

    def check(self, name: str, answer: Any) -> Report | Card:
        """The public check of one answer."""
        return self.task(name).check(answer, self.variant)

    def outdated(self) -> list[str]:
        """Where the bundle and the installed package do not fit together."""
        problems = [f"{task.name}: {said}" for task in self.tasks if (said := task.outdated())]
        installed = course_lib.__version__
        if problems and installed != self.library:
            problems.append(f"the bundle was made with course_lib {self.library}, not {installed}")
        return problems

    def to_json(self) -> str:
        """The text of bundle.json."""
        told = asdict(self) | {"schema": SCHEMA}
        for task in told["tasks"]:
            del task["cases"], task["expected"]
        return json.dumps(told, ensure_ascii=False, indent=1) + "\n"

    def public_data(self) -> bytes:
        """The bytes of public.wire."""
        return wire.encode({task.name: [task.cases, task.expected] for task in self.tasks})


def read_bundle(folder: Path) -> Bundle:
    """The bundle in a folder. Raises BundleError if there is none, or none that is understood."""
    path = folder / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        schema = told.pop("schema")
        if schema != SCHEMA:
            raise BundleError(
                f"{FILE} has form {schema}, but the installed course_lib reads form {SCHEMA}: "
                "install the version that your lecturer names"
            )
        data = wire.decode((folder / DATA).read_bytes())
        tasks = tuple(_read_task(task, *data[task["name"]]) for task in told.pop("tasks"))
        written = tuple(_read_written(question) for question in told.pop("written"))
        late = LatePolicy(**told.pop("late"))
        return Bundle(**told, late=late, tasks=tasks, written=written)
    except FileNotFoundError as error:
        raise BundleError(
            f"there is no {Path(error.filename).name} beside the notebook: unpack the bundle again "
            "and put your notebook into its folder"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{FILE} is damaged ({error}): unpack the bundle again") from None


def _read_task(told: dict[str, Any], cases: list, expected: list) -> PublicTask:
    data = {"choices": tuple(told["choices"]), "cases": cases, "expected": expected}
    return PublicTask(**told | data)


def _read_written(told: dict[str, Any]) -> Written:
    rubric = tuple((text, points) for text, points in told["rubric"])
    return Written(**told | {"rubric": rubric})


def packed(files: dict[str, bytes]) -> bytes:
    """Files by name → the bytes of a zip archive, the same for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()
