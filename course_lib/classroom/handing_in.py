"""One file to hand in: the notebook without its outputs, and a manifest that names its bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import course_lib
from course_lib.classroom.bundle import BundleError, packed
from course_lib.classroom.checking import Checked, look, read_work
from course_lib.classroom.roster import valid_student
from course_lib.classroom.whole import write_whole

SCHEMA = 1
PLACEHOLDER = "YOUR-ID"  # in the README of a bundle


def hand_in(notebook: Path, student: str, to: Path) -> tuple[Path, Checked]:
    """Write ASSIGNMENT-STUDENT.zip in folder `to` → its path, and what is in it.

    An incomplete notebook is packed all the same. Raises BundleError where there is no notebook or
    no bundle, or where the bundle is another student's; ValueError for a name unfit for a file.
    """
    if valid_student(student) == PLACEHOLDER:
        raise ValueError(
            f"{PLACEHOLDER} stands for yours: the name by which your lecturer knows you"
        )
    bundle, submission = read_work(notebook)
    if bundle.student and bundle.student != student:
        raise BundleError(
            f"this bundle was made for {bundle.student}, but {student} hands it in: its constants "
            "are not yours"
        )
    found = look(bundle, submission)
    content = without_outputs(notebook.read_bytes())
    name = f"{bundle.assignment}.ipynb"
    manifest = {
        "schema": SCHEMA,
        **bundle.metadata,
        "student": student,
        "course_lib": course_lib.__version__,
        "notebook": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "missing": [row.name for row in found.rows if not row.is_there],
    }
    told = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
    to.mkdir(parents=True, exist_ok=True)
    path = to / f"{bundle.assignment}-{student}.zip"
    write_whole(path, packed({name: content, "manifest.json": told}))
    return path, found


def without_outputs(data: bytes) -> bytes:
    """The bytes of a notebook without outputs and counts, which are never judged."""
    content = json.loads(data.decode("utf-8-sig"))
    for cell in content["cells"]:
        if cell.get("cell_type") == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"
