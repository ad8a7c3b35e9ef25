"""passport: rows are kept, replaced and shown; nothing is lost to crashes, rivals or damage."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from course_lib.evaluate import passport as module
from course_lib.evaluate.inputs import Measured
from course_lib.evaluate.passport import Passport, default_path

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "passport.json"


def filled(path: Path) -> Passport:
    passport = Passport.load(path)
    passport.stamp("chance", "06_vit", {"shape": 0.2, "kNN": 0.1})
    passport.stamp("random init", "06_vit", {"shape": 0.31, "rank": 12.34}, seed=7)
    return passport


def test_a_stamp_is_there_after_loading_again(path: Path) -> None:
    filled(path)
    chance, random = Passport.load(path).rows()
    assert (chance.method, chance.lesson, chance.scores) == (
        "chance", "06_vit", {"shape": 0.2, "kNN": 0.1},
    )  # fmt: skip
    assert (random.seed, random.budget) == (7, "quick")
    assert random.when.endswith("+00:00")
    assert json.loads(path.read_text())["version"] == 1
    assert [p.name for p in path.parent.iterdir() if "part" in p.name] == []


def test_an_empty_passport_needs_no_file(path: Path) -> None:
    passport = Passport.load(path)
    assert (passport.rows(), passport.columns(), passport.scores()) == ([], [], {})
    assert not path.exists()
    assert repr(passport) == "Passport(passport.json: 0 rows)"


def test_the_same_method_and_budget_is_replaced_in_its_place(path: Path) -> None:
    passport = filled(path)
    passport.stamp("chance", "07_mae", {"shape": 0.25})
    assert [row.method for row in passport.rows()] == ["chance", "random init"]
    assert passport.scores()["chance"] == {"shape": 0.25}
    passport.stamp("chance", "07_mae", {"shape": 0.5}, budget="full")
    assert list(passport.scores()) == ["chance (quick)", "random init", "chance (full)"]


def test_columns_stand_in_the_order_of_their_appearance(path: Path) -> None:
    assert filled(path).columns() == ["shape", "kNN", "rank"]


def test_the_table_in_markdown(path: Path) -> None:
    passport = filled(path)
    passport.stamp("a|b", "07_mae", {"rank": -0.5, "kNN": None}, budget="full")
    assert passport.table().splitlines() == [
        "| method | lesson | budget | shape | kNN | rank |",
        "| :-- | :-- | :-- | --: | --: | --: |",
        "| chance | 06_vit | quick | 0.20 | 0.10 | – |",
        "| random init | 06_vit | quick | 0.31 | – | 12.3 |",
        "| a\\|b | 07_mae | full | – | – | -0.50 |",
    ]
    assert passport.table()._repr_markdown_() == repr(passport.table()) == passport.table()


def test_scores_may_be_measurements_and_nan_is_none(path: Path) -> None:
    passport = Passport.load(path)
    passport.stamp("m", "l", {"a": Measured(0.5, 0.1), "b": np.float32(0.25), "c": np.nan, "d": 1})
    assert passport.scores()["m"] == {"a": 0.5, "b": 0.25, "c": None, "d": 1}


@pytest.mark.parametrize("score", [np.inf, "high", [1, 2]])
def test_a_score_that_is_no_number(path: Path, score) -> None:
    passport = filled(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="the score of a must be a finite number, but"):
        passport.stamp("m", "l", {"a": score})
    assert path.read_bytes() == before


@pytest.mark.parametrize("arguments", [("", "l", {"a": 1}), ("m", " ", {"a": 1}), ("m", "l", {})])
def test_a_row_needs_names_and_scores(path: Path, arguments: tuple) -> None:
    with pytest.raises(ValueError, match="needs a method, a lesson and at least one score"):
        Passport.load(path).stamp(*arguments)


DAMAGE = {
    "empty": b"",
    "cut": b'{"version": 1, "rows": [{"method": "cha',
    "not text": b"\xff\xfe\x00",
    "a list": b"[]",
    "no rows": b'{"version": 1}',
    "no version": b'{"rows": []}',
    "another row": b'{"version": 1, "rows": [{"name": "chance"}]}',
    "a row of numbers": b'{"version": 1, "rows": [3]}',
    "text for a score": b'{"version": 1, "rows": [{"method": "m", "lesson": "l", "seed": 0, '
    b'"budget": "quick", "when": "", "scores": {"a": "b"}}]}',
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_file_is_moved_aside_and_named(path: Path, damage: bytes) -> None:
    for n in (1, 2):
        path.write_bytes(damage)
        with pytest.warns(UserWarning, match=rf"kept as .*passport\.damaged-{n}\.json") as caught:
            passport = Passport.load(path)
        assert len(caught) == 1
        assert "\n" not in str(caught[0].message)
        assert passport.rows() == []
        assert not path.exists()
        assert (path.parent / f"passport.damaged-{n}.json").read_bytes() == damage
    passport.stamp("m", "l", {"a": 1})
    assert len(Passport.load(path).rows()) == 1


def test_damage_between_loading_and_stamping_loses_nothing_either(path: Path) -> None:
    passport = filled(path)
    path.write_bytes(b"{")
    with pytest.warns(UserWarning, match=r"damaged-1\.json"):
        passport.stamp("m", "l", {"a": 1})
    assert [row.method for row in passport.rows()] == ["m"]


def test_a_newer_passport_is_left_alone(path: Path) -> None:
    path.write_text('{"version": 2, "pages": []}')
    with pytest.raises(ValueError, match="version 2, but this course reads versions up to 1"):
        Passport.load(path)
    with pytest.raises(ValueError, match="update the course"):
        Passport(path).stamp("m", "l", {"a": 1})
    assert path.read_text() == '{"version": 2, "pages": []}'


def test_a_full_disk_leaves_the_old_file_and_no_part(path: Path, monkeypatch) -> None:
    passport = filled(path)
    before = path.read_bytes()

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\); give"):
        passport.stamp("m", "l", {"a": 1})
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.part"))


def test_the_file_changes_only_by_being_replaced_as_a_whole(path: Path, monkeypatch) -> None:
    passport = filled(path)
    before = path.read_bytes()
    seen = []

    def replace(part: Path, target: Path) -> None:
        seen.append((json.loads(part.read_bytes())["version"], target, path.read_bytes()))

    monkeypatch.setattr(module.os, "replace", replace)
    passport.stamp("m", "l", {"a": 1})
    assert seen == [(1, path, before)]
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    passport = Passport.load(tmp_path / "file" / "passport.json")
    with pytest.raises(OSError, match=r"give Passport\.load\(path\) a file in a folder"):
        passport.stamp("m", "l", {"a": 1})


STAMPS = """
import sys
from course_lib.evaluate.passport import Passport
passport = Passport.load(sys.argv[1])
for i in range(int(sys.argv[3])):
    passport.stamp(f"{sys.argv[2]} {i}", "lesson", {"score": i}, budget="quick")
"""


def stamping(path: Path, name: str, n: int) -> subprocess.Popen:
    command = [sys.executable, "-c", STAMPS, str(path), name, str(n)]
    return subprocess.Popen(command, cwd=ROOT)


def test_processes_that_stamp_at_once_lose_nothing(path: Path) -> None:
    rivals = [stamping(path, name, 40) for name in ("a", "b", "c")]
    assert [rival.wait(60) for rival in rivals] == [0, 0, 0]
    found = {row.method for row in Passport.load(path).rows()}
    assert found == {f"{name} {i}" for name in "abc" for i in range(40)}


def test_a_kill_leaves_a_whole_file_and_no_lock_behind(path: Path) -> None:
    filled(path)
    size = path.stat().st_size
    for trial in range(3):
        process = stamping(path, f"trial {trial}", 10**6)
        while path.stat().st_size == size and process.poll() is None:
            time.sleep(0.002)
        time.sleep(0.01 * trial)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Passport.load(path).stamp("after", "lesson", {"score": trial})
        methods = [row.method for row in Passport.load(path).rows()]
        assert methods[:2] == ["chance", "random init"]
        assert f"trial {trial} 0" in methods
        size = path.stat().st_size


def test_where_the_passport_lies(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("COURSE_PASSPORT", raising=False)
    assert default_path() == ROOT / "data" / "passport.json"
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    monkeypatch.chdir(tmp_path)
    assert default_path() == tmp_path / "passport.json"
    monkeypatch.setenv("COURSE_PASSPORT", str(tmp_path / "mine.json"))
    assert Passport.load().path == tmp_path / "mine.json"
