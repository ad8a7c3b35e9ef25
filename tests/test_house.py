"""The plan of the house holds: floors, tables of contents, sizes, imports that cost nothing."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import course_lib
from course_lib.doctor import ROOT
from course_lib.exercises.engine import Exercise

HOUSE = Path(course_lib.__file__).parent
FLOORS = {
    "blocks": 0,
    "backbones": 1,
    "data": 1,
    "world": 1,
    "features": 2,
    "selfsup": 2,
    "vision_language": 2,
    "detection": 2,  # to come: DETR, and OWL-ViT and Grounding DINO, which read words
    "train": 2,
    "evaluate": 2,
    "show": 2,
    "exercises": 3,
    "classroom": 4,
}
PAPERS = {"features", "selfsup", "vision_language", "detection"}
PROTOCOL = {"train", "evaluate", "show"}
TOOLS = {"cli", "doctor", "lab", "lessons"}  # stand beside the house; no room may import them
SOURCES = sorted(p for p in HOUSE.rglob("*.py"))


def imported_rooms(path: Path) -> set[str]:
    """Rooms of course_lib that a file imports, wherever in the file the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute here"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            if parts[0] == "course_lib" and len(parts) > 1:
                found.add(parts[1])
    return found & (FLOORS.keys() | TOOLS)


def may_import(room: str, other: str) -> bool:
    """A room imports itself and lower floors; a detector may also ask what a picture shows."""
    if other in TOOLS:
        return False
    if room == other or (room, other) == ("detection", "vision_language"):
        return True
    return FLOORS[other] < FLOORS[room]


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent != HOUSE], ids=lambda p: p.stem)
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(HOUSE).parts[0]
    wrong = {other for other in imported_rooms(path) if not may_import(room, other)}
    assert not wrong, f"{room}/{path.name} imports {wrong}, which is not on a floor below"


def test_the_rule_itself_can_fail() -> None:
    assert not may_import("features", "evaluate")
    assert not may_import("evaluate", "features")
    assert not may_import("blocks", "data")
    assert not may_import("show", "lessons")
    assert may_import("exercises", "features")
    assert may_import("classroom", "exercises")
    assert not may_import("exercises", "classroom")


@pytest.mark.parametrize(
    "room", [p for p in HOUSE.iterdir() if p.name in FLOORS], ids=lambda p: p.name
)
def test_a_rooms_init_is_its_table_of_contents(room: Path) -> None:
    tree = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    assert len(tree.body) == 1, f"{room.name}/__init__.py holds its docstring only"
    listed = re.findall(r"^ *(\w+) {2,}\S", ast.get_docstring(tree, clean=False), re.M)
    there = sorted(p.stem for p in room.glob("*.py") if p.stem != "__init__")
    missing, gone = sorted(set(there) - set(listed)), sorted(set(listed) - set(there))
    assert not missing, f"add to the table of contents in {room.name}/__init__.py: {missing}"
    assert not gone, f"take out of the table of contents in {room.name}/__init__.py: {gone}"


def test_every_room_has_its_floor() -> None:
    rooms = {p.name for p in HOUSE.iterdir() if (p / "__init__.py").exists()}
    assert rooms <= FLOORS.keys(), f"give {rooms - FLOORS.keys()} a floor in {Path(__file__).name}"


@pytest.mark.parametrize(
    "room", [p for p in HOUSE.iterdir() if p.name in FLOORS], ids=lambda p: p.name
)
def test_every_file_is_tested_in_its_room(room: Path) -> None:
    tests = "".join(
        p.read_text(encoding="utf-8") for p in (ROOT / "tests" / room.name).glob("test_*.py")
    )
    if room.name == "exercises":
        return  # tests/exercises/test_bank.py finds every lesson's exercises by itself
    for path in room.glob("*.py"):
        if path.stem != "__init__":
            assert re.search(rf"\b{path.stem}\b", tests), (
                f"no test in tests/{room.name} knows it: {path.stem}"
            )


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_files_are_ten_minutes_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    room = path.relative_to(HOUSE).parts[0]
    limit = {"blocks": 150}.get(room, 300 if room not in PAPERS else 250)
    if room == "exercises":
        limit = 1600  # a bank of exercises is read one exercise at a time
    assert lines <= limit, f"{lines} lines; the limit of this room is {limit}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(HOUSE)))
def test_functions_fit_on_a_screen_and_say_their_types(path: Path) -> None:
    # What a student reads as a stub has no types; the engine around it does.
    is_bank = any(isinstance(value, Exercise) for value in vars(_module(path)).values())
    for node in _functions(path):
        if not (is_bank or node.name.startswith("_")):
            untyped = [a.arg for a in node.args.args if a.annotation is None]
            assert set(untyped) <= {"self", "cls"}, f"{node.name}: {untyped} have no types"
            assert node.returns is not None, f"{node.name} does not say what it returns"
        length = (
            node.end_lineno - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines())
        )
        assert length <= 45, f"{node.name} has {length} lines besides its docstring"


def _module(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    """Functions and methods of a file; those inside another function are its own affair."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef):
                yield inner


def test_ruff_has_nothing_to_say() -> None:
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, f"run: make format\n{done.stdout[-2000:]}"


def test_no_file_is_called_utils() -> None:
    assert not [p for p in SOURCES if p.stem in {"utils", "misc", "common", "helpers"}]


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torch_and_opencv_are_not_imported_before_they_are_needed() -> None:
    heavy = "('torch', 'cv2', 'matplotlib', 'numpy')"
    code = f"import sys, course_lib; print([m for m in {heavy} if m in sys.modules])"
    assert fresh(code).strip() == "[]"
    rooms = "course_lib.features.sift, course_lib.evaluate.repeatability, course_lib.show.images"
    exercises = "course_lib.exercises.sift, course_lib.data.photos"
    code = f"import sys, {rooms}, {exercises}; print('torch' in sys.modules)"
    assert fresh(code).strip() == "False"


@pytest.mark.timing
def test_importing_the_library_takes_a_fifth_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import course_lib; print(time.perf_counter() - t)"
    assert min(float(fresh(code)) for _ in range(3)) <= 0.2


def test_the_library_never_imports_the_references() -> None:
    references = {"kornia", "mahotas", "timm", "transformers", "lightly", "open_clip"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in names:
                root = name.split(".")[0]
                assert root not in references, f"{path.name} imports {root}"
                if root == "skimage":
                    assert path == HOUSE / "data" / "photos.py"
