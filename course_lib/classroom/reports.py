"""A student's feedback: what was right, what went wrong and why, and what to read again.

It holds no hidden input, no expected value and no word about other students.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from course_lib.classroom.assignment import ASSIGNMENTS, Assignment, Task
from course_lib.classroom.by_hand import Standing, read_of, standing
from course_lib.classroom.discreet import told_note
from course_lib.classroom.pages import page
from course_lib.classroom.results import Result, slug
from course_lib.classroom.whole import write_whole
from course_lib.exercises.engine import State

FEEDBACK = """{% extends "frame" %}
{% from "state" import state with context %}
{% block title %}{{ assignment.title }} – {{ result.student }}{% endblock %}
{% block body %}
<h1>{{ assignment.title }}</h1>
<p class="soft">Feedback for <strong>{{ result.student }}</strong></p>
<p><span class="total">{{ standing.total|points }}</span> of {{ assignment.points|points }} points
{% if standing.waiting %}<span class="soft">– so far: {{ standing.waiting|length }} written
{{ "answer is" if standing.waiting|length == 1 else "answers are" }} still to be read</span>
{% endif %}</p>
{% if result.late.keeps < 1 %}
<p>Handed in {{ result.late.hours|points }} hours after the deadline:
{{ result.late.keeps|percent }} of {{ before_late|points }} points are kept.</p>
{% endif %}
{% if result.problems %}
<h2>About the file that you handed in</h2>
<ul>{% for problem in result.problems %}<li>{{ problem|told }}</li>{% endfor %}</ul>
{% endif %}
<h2>Exercises</h2>
{% for item in result.exercises %}
<section class="card {{ item.state.split()[-1] }}">
<div class="head"><h3>{{ item.title }}</h3>
<span>{{ item.marks|points }} of {{ item.points|points }} points</span></div>
<p>{{ state(item.state) }}{% if item.summary %} · {{ item.summary|told }}{% endif %}
{% if item.kind not in ("predict", "ablate") and item.cases %}
<span class="soft">&nbsp;· {{ item.ran }} of {{ item.cases }} hidden
{{ "implementations were tried" if item.kind == "test" else "cases were run" }}</span>
{% endif %}</p>
{% if item.sentence %}<p>{{ item.sentence|told }}</p>{% endif %}
{% if item.details %}
<ul>{% for line in item.details %}<li>{{ line|told }}</li>{% endfor %}</ul>
{% endif %}
{% set more = advice[item.name] %}
{% if more.hint or more.lesson %}
<p class="soft">{% if more.hint %}Hint: {{ more.hint|told }}{% endif %}
{% if more.lesson %} To read again: lesson <code>{{ more.lesson }}</code>.{% endif %}</p>
{% endif %}
</section>
{% endfor %}
{% if written %}
<h2>Written answers</h2>
{% for item in written %}
<section class="card {{ 'attempted' if item.graded is none else '' }}">
<div class="head"><h3>{{ item.question.title }}</h3>
<span>{% if item.graded is none %}to be read{% else %}{{ item.graded.points|sum|points }} of
{{ item.question.points|points }} points{% endif %}</span></div>
{% if item.graded is not none %}
<table><tr><th>What earns points</th><th class="n">points</th></tr>
{% for criterion, most in item.question.rubric %}
<tr><td>{{ criterion }}</td>
<td class="n">{{ item.graded.points[loop.index0]|points }} of {{ most|points }}</td></tr>
{% endfor %}</table>
{% if item.graded.comment %}<p>{{ item.graded.comment }}</p>{% endif %}
{% endif %}
</section>
{% endfor %}
{% endif %}
{% if notes %}
<h2>While your notebook ran</h2>
<ul>{% for note in notes %}<li>{{ note }}</li>{% endfor %}</ul>
{% endif %}
<p class="soft">The marks come from hidden cases: other inputs than those of the public checks.
Code runs in the order of the notebook; what it prints, plots or warns of costs nothing.</p>
{% endblock %}
"""


def feedback(result: Result, assignment: Assignment, graded: Mapping[str, Any]) -> str:
    """The page of one student; `graded` is what was marked by hand."""
    stands = standing(result, graded)
    states = {item["name"]: item["state"] for item in result["exercises"]}
    return page(
        FEEDBACK,
        result=result,
        notes=[told_note(note) for note in result["notes"]],
        assignment=assignment,
        standing=stands,
        before_late=_before_late(stands),
        advice={
            task.exercise.name: _advice(task, states.get(task.exercise.name, ""))
            for task in assignment.tasks
        },
        written=[
            {"question": question, "graded": read_of(result, question.name, graded)}
            for question in assignment.written
        ],
    )


def write_feedback(
    folder: Path, result: Result, assignment: Assignment, graded: Mapping[str, Any]
) -> Path:
    """Write the page beside the results → its path."""
    path = folder / "feedback" / f"{slug(result['student'])}.html"
    write_whole(path, feedback(result, assignment, graded))
    return path


def _before_late(stands: Standing) -> float:
    return stands.earned + stands.by_hand


def _advice(task: Task, state: str) -> dict[str, str]:
    """The first hint and the lesson, where something is not right yet."""
    if state == State.RIGHT:
        return {"hint": "", "lesson": ""}
    return {"hint": task.exercise.hints[0], "lesson": lesson_of(task)}


def lesson_of(task: Task) -> str:
    """The lesson that an exercise comes from, as `01_sift`; "" for an assignment's own."""
    if not task.lesson:
        return ""
    sources = (ASSIGNMENTS.parent / "notebooks" / "source").glob(f"*_{task.lesson}.py")
    return next((path.stem for path in sorted(sources)), task.lesson)
