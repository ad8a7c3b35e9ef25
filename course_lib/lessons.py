"""The notebooks as files: built from their text twins, executed, measured, solved.

notebooks/source/NN_name.py (jupytext percent) is the source one edits; notebooks/NN_name.ipynb is
built from it and executed. What would change at every build (widget ids, timings of cells) is left
out of the file, so that a difference in a diff is a difference in the lesson.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import jupytext
import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode

import course_lib
from course_lib.doctor import ROOT
from course_lib.exercises.engine import Exercise

NOTEBOOKS = ROOT / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def find(names: list[str] | None = None) -> list[Path]:
    """Paths of the notebooks, in order: all that have a twin, or those named ("01_sift")."""
    known = {
        twin.stem: NOTEBOOKS / f"{twin.stem}.ipynb" for twin in (NOTEBOOKS / "source").glob("*.py")
    }
    wanted = sorted(known) if names is None else [Path(name).stem for name in names]
    if unknown := [name for name in wanted if name not in known]:
        raise ValueError(
            f"there is no lesson {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        )
    return [known[name] for name in wanted]


def twin(path: Path) -> Path:
    """notebooks/01_sift.ipynb → notebooks/source/01_sift.py."""
    return path.parent / "source" / f"{path.stem}.py"


def read_twin(path: Path) -> NotebookNode:
    """The notebook that the text twin of `path` describes: no outputs, stable cell ids."""
    notebook = jupytext.read(twin(path))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "course": {"library": course_lib.__version__},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def in_step(path: Path) -> bool:
    """Does the built notebook hold exactly the cells and tags of its twin?"""
    if not path.exists():
        return False
    built, source = nbformat.read(path, as_version=4), read_twin(path)

    def essence(cells: list[NotebookNode]) -> list[tuple]:
        return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in cells]

    return essence(built.cells) == essence(source.cells)


def library_hash() -> str:
    """A fingerprint of the library's sources: a notebook executed with another one is stale."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "course_lib").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def is_stale(path: Path) -> bool:
    """Has its twin or the library changed since this notebook was executed?"""
    if not in_step(path):
        return True
    return nbformat.read(path, as_version=4).metadata.course.get("library_hash") != library_hash()


@contextmanager
def peak_memory(process_id: int):
    """Watch a process while the block runs → list with its peak resident memory in MB."""
    process, peak, done = psutil.Process(process_id), [0.0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            with suppress(psutil.Error):
                peak[0] = max(peak[0], process.memory_info().rss / 1e6)
            done.wait(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def execute(notebook: NotebookNode, timeout: int = 600) -> dict[str, float]:
    """Run every cell in a fresh kernel, outputs into `notebook` → {"seconds", "peak_mb"}."""
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    with client.setup_kernel():
        started = time.perf_counter()
        with peak_memory(client.km.provisioner.pid) as peak:
            for number, cell in enumerate(notebook.cells):
                client.execute_cell(cell, number)
        seconds = time.perf_counter() - started
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return {"seconds": round(seconds, 1), "peak_mb": round(peak[0])}


def build(path: Path) -> str:
    """Execute the twin's cells and write the notebook, whole or not at all → one line of news."""
    notebook = read_twin(path)
    measured = execute(notebook)
    notebook.metadata.course.update(library_hash=library_hash(), measured=measured)
    nbformat.validate(notebook)
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, path)
    seconds, peak, size = *measured.values(), path.stat().st_size / 1e6
    return f"{path.stem}: {seconds} s, {peak} MB at peak, file {size:.2f} MB"


def exercises_of(path: Path) -> dict[str, Exercise]:
    """This lesson's exercises by name, in order: 01_sift → those of course_lib.exercises.sift."""
    module = importlib.import_module(f"course_lib.exercises.{path.stem.partition('_')[2]}")
    return {exercise.name: exercise for exercise in module.EXERCISES}


def solved(path: Path) -> NotebookNode:
    """The lesson with every stub replaced by its solution, not yet executed."""
    notebook, exercises = read_twin(path), exercises_of(path)
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", []):
            if tag.startswith("exercise:"):
                cell.source = exercises[tag.removeprefix("exercise:")].solution_cell()
    return notebook
