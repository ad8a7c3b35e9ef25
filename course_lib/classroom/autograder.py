"""Gradescope's autograder: one archive that grades there as `course grade` grades here.

It holds the hidden exercises and the secret, so it is for Gradescope's own upload form and for
nobody else. There, too, a submission runs in the sandbox or not at all: where a container does not
allow it, the autograder fails with the sentence that says so, and no marks are given. Lateness is
Gradescope's own affair, and everybody has the same numbers: it does not tell who the student is by
the name from which a variant follows.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import course_lib
from course_lib.classroom.assignment import ASSIGNMENTS, load
from course_lib.classroom.bundle import packed

ROOT = Path(course_lib.__file__).parent.parent
ENDINGS = {".py", ".js", ".css"}

SETUP = """#!/usr/bin/env bash
set -euo pipefail
apt-get update
apt-get install -y bubblewrap util-linux python3 python3-venv
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  { echo "Python 3.11 or newer is needed: choose a newer base image, as Ubuntu 24.04"; exit 1; }
python3 -m venv /autograder/venv
/autograder/venv/bin/python -m pip install -r /autograder/source/course/requirements.txt
"""

RUN = """#!/usr/bin/env bash
set -euo pipefail
home=${{AUTOGRADER:-/autograder}}
work=$(mktemp -d)
mkdir -p "$work/in/submitted/student/{name}" "$home/results"
cp -rP "$home/submission/." "$work/in/submitted/student/{name}/"
chmod 600 "$home/source/secret.toml"
export PYTHONPATH="$home/source/course" PATH="$home/venv/bin:$PATH"
python3 -m course_lib.cli grade {name} --submissions "$work/in" --to "$work/out" \\
    --secret "$home/source/secret.toml" --workers 1
cp "$work"/out/exports/gradescope/*/results.json "$home/results/results.json"
"""


def autograder(name: str, secret: bytes) -> bytes:
    """The bytes of the zip for an assignment. Raises ValueError for an unknown one."""
    load(name)
    files = {
        "setup.sh": SETUP.encode(),
        "run_autograder": RUN.format(name=name).encode(),
        "secret.toml": f'secret = "{secret.hex()}"\n'.encode(),
        "course/requirements.txt": requirements().encode(),
    }
    sources = [path for path in (ROOT / "course_lib").rglob("*") if path.suffix in ENDINGS]
    sources += [path for path in (ASSIGNMENTS / name).iterdir() if path.is_file()]
    for path in sources:
        files[f"course/{path.relative_to(ROOT).as_posix()}"] = path.read_bytes()
    return packed(files)


def requirements() -> str:
    """What the course needs, as pip reads it."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return "\n".join(told["project"]["dependencies"]) + "\n"
