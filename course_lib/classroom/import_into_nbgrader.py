"""Put marks into nbgrader's gradebook: python import_scores.py scores.json [gradebook.db]

Runs where nbgrader is installed and needs nothing of the course. What is there already of the
assignment is updated; running it twice changes nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def import_scores(scores: dict[str, Any], database: Path) -> int:
    """Write all scores → the number of students. Raises what nbgrader raises."""
    from nbgrader.api import Gradebook

    name = scores["assignment"]
    with Gradebook(f"sqlite:///{database}") as book:
        book.update_or_create_assignment(name)
        book.update_or_create_notebook(name, name)
        for cells, kind in ((scores["cells"], "code"), (scores["written"], "markdown")):
            for cell, points in cells.items():
                book.update_or_create_grade_cell(cell, name, name, max_score=points, cell_type=kind)
        for student, own in scores["students"].items():
            book.update_or_create_student(student)
            submission = book.update_or_create_submission(name, student)
            for cell, points in own["auto"].items():
                grade = book.find_grade(cell, name, name, student)
                grade.auto_score, grade.needs_manual_grade = points, False
            for cell in scores["written"]:
                grade = book.find_grade(cell, name, name, student)
                grade.manual_score = own["manual"].get(cell)
                grade.needs_manual_grade = cell not in own["manual"]
            for notebook in submission.notebooks:
                notebook.late_submission_penalty = own["penalty"]
            book.db.commit()
    return len(scores["students"])


if __name__ == "__main__":
    source = Path(sys.argv[1] if len(sys.argv) > 1 else "scores.json")
    target = Path(sys.argv[2] if len(sys.argv) > 2 else "gradebook.db")
    count = import_scores(json.loads(source.read_text(encoding="utf-8")), target)
    print(f"{count} students written to {target}")
