"""The page and the table of answers that are built alike, side by side for a person to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from course_lib.classroom.assignment import Assignment
from course_lib.classroom.pages import page
from course_lib.classroom.similarity import Group
from course_lib.classroom.tables import table

SHOWN = 6_000  # characters of an answer

SIMILAR = """{% extends "frame" %}
{% block title %}{{ assignment.title }} – answers built alike{% endblock %}
{% block body %}
<h1>{{ assignment.title }}: answers built alike</h1>
<p>Names, numbers, comments and layout are left out of the comparison, and so is what the stub, our
solution or many students have too; of written answers five words in a row are compared.
<strong>Alike does not mean copied:</strong> read before you
ask.</p>
{% if not groups %}<p>No two answers are alike.</p>{% endif %}
{% for group in groups %}
<h2>{{ group.exercise }}: {{ group.students|join(", ") }} ({{ group.share|percent }})</h2>
{% for student in group.students %}
<h3>{{ student }}</h3>
<pre tabindex="0"><code>{{ sources[student][group.exercise][:shown] }}</code></pre>
{% endfor %}
{% endfor %}
{% endblock %}
"""


def similarity_page(
    groups: Sequence[Group], sources: Mapping[str, Mapping[str, str]], assignment: Assignment
) -> str:
    """The page; `sources` holds the answers, {student: {exercise or question: answer}}."""
    return page(SIMILAR, assignment=assignment, groups=groups, sources=sources, shown=SHOWN)


def similarity_table(groups: Sequence[Group]) -> str:
    """The groups as CSV, a row for each student of a group."""
    rows = [
        [number, group.exercise, group.share, student]
        for number, group in enumerate(groups, 1)
        for student in group.students
    ]
    return table(["group", "exercise", "share", "student"], rows)
