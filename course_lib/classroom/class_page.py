"""The class at a glance: distribution, exercises, common mistakes, what a person must look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.by_hand import standing
from course_lib.classroom.pages import INK, page, picture
from course_lib.classroom.results import Result, slug
from course_lib.classroom.roster import NO_TABLE, Roll
from course_lib.classroom.similarity import Group
from course_lib.classroom.statistics import ExerciseStatistics, by_exercise, mistakes, totals
from course_lib.exercises.engine import State

BINS = 10
# Bars are told apart by hatch as well as by colour.
BARS = {
    State.RIGHT: ("#009E73", ""),
    State.WRONG: ("#D55E00", "///"),
    State.ERROR: ("#CC79A7", "..."),
    State.NOT_ATTEMPTED: ("#8a9aa8", ""),
}

CLASS = """{% extends "frame" %}
{% block title %}{{ assignment.title }} – the class{% endblock %}
{% block body %}
<h1>{{ assignment.title }}</h1>
<p class="soft">{{ numbers.students }} submissions · {{ assignment.points|points }} points</p>
<table><tr><th class="n">mean</th><th class="n">median</th><th class="n">standard deviation</th>
<th class="n">lowest</th><th class="n">highest</th>
<th class="n">written answers to be read</th></tr>
<tr>{% for value in numbers.row %}<td class="n">{{ value }}</td>{% endfor %}</tr></table>
<figure>{{ distribution }}</figure>
<h2>Exercises</h2>
<figure>{{ states }}</figure>
<div class="wide"><table>
<tr><th>exercise</th><th class="n">points</th><th class="n">earned</th>
<th class="n">discrimination</th>
<th class="n">right</th><th class="n">wrong</th><th class="n">error</th>
<th class="n">not attempted</th></tr>
{% for item in exercises %}
<tr><td>{{ item.title }}<br><code class="name soft">{{ item.name }}</code></td>
<td class="n">{{ item.points|points }}</td><td class="n">{{ item.share|percent }}</td>
<td class="n">{{ item.discrimination|signed }}</td>
{% for name in ("right", "wrong", "error", "not attempted") %}
<td class="n">{{ item.states[name] }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
<p class="soft">Discrimination is the correlation of an exercise with all the others: below 0.2 it
does not tell who knows the subject; below 0 something may be wrong with it.</p>
<h2>Common mistakes</h2>
{% if mistakes %}<table><tr><th class="n">students</th><th>exercise</th><th>mistake</th></tr>
{% for item in mistakes %}<tr><td class="n">{{ item.count }}</td>
<td><code class="name">{{ item.exercise }}</code></td>
<td><strong>{{ item.name }}.</strong> {{ item.sentence|told }}</td></tr>{% endfor %}</table>
{% else %}<p>None was recognised.</p>{% endif %}
<h2>To look at</h2>
{% if not look and not groups %}<p>Nothing.</p>{% endif %}
{% if groups %}<p>{{ groups|length }} groups of answers are built alike:
<a href="similarity.html">similarity.html</a>.</p>{% endif %}
{% if look %}<table><tr><th>student</th><th>what</th></tr>
{% for item in look %}<tr><td><a href="{{ item.page }}">{{ item.student }}</a>
<span class="soft">{{ roll.full_name(item.student) }}</span></td>
<td><ul>{% for line in item.lines %}<li>{{ line }}</li>{% endfor %}</ul></td></tr>{% endfor %}
</table>{% endif %}
{% if roll.absent %}<h2>Handed in nothing</h2>
<ul>{% for student in roll.absent %}<li>{{ student }}
<span class="soft">{{ roll.full_name(student) }}</span></li>{% endfor %}</ul>{% endif %}
<h2>Students</h2>
<table><tr><th>student</th><th class="n">machine</th><th class="n">by hand</th>
<th class="n">kept</th><th class="n">total</th></tr>
{% for item in students %}<tr><td><a href="{{ item.page }}">{{ item.student }}</a></td>
<td class="n">{{ item.stands.earned|points }}</td>
<td class="n">{{ item.stands.by_hand|points }}{{ " …" if item.stands.waiting else "" }}</td>
<td class="n">{{ item.keeps|percent }}</td>
<td class="n">{{ item.stands.total|points }}</td></tr>{% endfor %}</table>
{% endblock %}
"""


def class_page(
    results: Sequence[Result],
    assignment: Assignment,
    graded: Mapping[str, Any],
    groups: Sequence[Group],
    roll: Roll = NO_TABLE,
) -> str:
    """The page of the class; at least one result is needed."""
    marks = totals(results, graded)
    exercises = by_exercise(results, assignment)
    stands = [standing(result, graded) for result in results]
    row = [marks.mean(), np.median(marks), marks.std(), marks.min(), marks.max()]
    waiting = sum(len(one.waiting) for one in stands)
    return page(
        CLASS,
        assignment=assignment,
        numbers={"students": len(results), "row": [*(f"{v:.1f}" for v in row), waiting]},
        distribution=_distribution(marks, assignment.points),
        states=_states(exercises),
        exercises=exercises,
        mistakes=mistakes(results),
        look=[item for result in results if (item := _to_look_at(result))],
        groups=groups,
        roll=roll,
        students=[
            {
                "student": result["student"],
                "page": _page_of(result),
                "stands": one,
                "keeps": result["late"]["keeps"],
            }
            for result, one in zip(results, stands, strict=True)
        ],
    )


def _page_of(result: Result) -> str:
    return f"feedback/{slug(result['student'])}.html"


def _to_look_at(result: Result) -> dict[str, Any] | None:
    """What a person should see of one submission; None if it is as it should be."""
    lines = [*result["problems"], *result["notes"]]
    lines += [f"{item['exercise']}: {item['what']}".lstrip(": ") for item in result["borrowed"]]
    for item in result["exercises"]:
        if item["judge_fault"]:
            lines.append(f"{item['name']} could not be judged: {item['judge_fault']}")
        lines += [f"{item['name']}: {said}" for said in item["said"]]
    if not lines:
        return None
    return {"student": result["student"], "page": _page_of(result), "lines": lines}


def _distribution(marks: np.ndarray, points: float) -> Markup:
    """How many students have how many points."""
    figure, axes = _figure(2.6)
    edges = np.linspace(0, points, BINS + 1)
    counts, _ = np.histogram(np.clip(marks, 0, points), edges)
    axes.bar(edges[:-1], counts, width=np.diff(edges) * 0.94, align="edge", color="#0072B2")
    axes.set_xlabel("points", color=INK)
    axes.set_ylabel("students", color=INK)
    axes.yaxis.get_major_locator().set_params(integer=True)
    pairs = zip(edges, edges[1:], counts, strict=False)
    told = ", ".join(f"{a:.3g} to {b:.3g}: {n}" for a, b, n in pairs)
    return picture(figure, f"Students by points. {told}.")


def _states(exercises: Sequence[ExerciseStatistics]) -> Markup:
    """For each exercise, how many were right, wrong, in error, not attempted."""
    figure, axes = _figure(0.9 + 0.34 * len(exercises))
    names = [item.name for item in exercises]
    left = np.zeros(len(names))
    for state, (colour, hatch) in BARS.items():
        counts = np.array([item.states[str(state)] for item in exercises], dtype=float)
        axes.barh(
            names, counts, left=left, label=str(state), color=colour, hatch=hatch, edgecolor=INK
        )
        left += counts
    axes.invert_yaxis()
    axes.set_xlabel("students", color=INK)
    axes.legend(
        ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, labelcolor=INK
    )
    told = "; ".join(
        f"{item.name}: " + ", ".join(f"{n} {state}" for state, n in item.states.items())
        for item in exercises
    )
    return picture(figure, f"States by exercise. {told}.")


def _figure(height: float) -> tuple[Any, Any]:
    """A figure of the page's width whose text and lines have the page's colour."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK)
    return figure, axes
