"""A cache is whole or not there, whatever happens while it is written."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from course_lib.world import cache
from course_lib.world.cache import cached, stream
from course_lib.world.render import render
from course_lib.world.scene import Recipe, sample

FEW = Recipe(objects=(1, 2))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "CHUNK", 8)
    return tmp_path


def only(folder):
    (found,) = folder.iterdir()
    return found


def test_it_holds_what_render_draws(folder) -> None:
    got = cached(20, 24, ("rgb", "depth", "instance"), seed=3, recipe=FEW)
    expected = render(sample(range(20), 3, recipe=FEW), 24, ("rgb", "depth", "instance"))
    for name in ("rgb", "depth", "instance"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))
        assert isinstance(getattr(got, name), np.memmap)
    np.testing.assert_array_equal(got.boxes_xyxy, expected.boxes_xyxy)
    with pytest.raises(ValueError, match="read-only"):
        got.rgb[0] = 0
    files = json.loads((only(folder) / "files.json").read_text())["files"]
    for name, (size, digest) in files.items():
        data = (only(folder) / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (size, digest)


def test_the_second_call_draws_nothing(monkeypatch) -> None:
    first = np.array(cached(9, 16).rgb)
    monkeypatch.setattr(cache, "render", None)
    np.testing.assert_array_equal(cached(9, 16).rgb, first)


def test_every_question_has_its_own_folder(folder, monkeypatch) -> None:
    cached(4, 16)
    for other in (
        {"seed": 1},
        {"split": "test"},
        {"recipe": FEW},
        {"want": ("depth",)},
        {"size": 17},
    ):
        cached(**{"n": 4, "size": 16, **other})
    cached(5, 16)
    assert len(list(folder.iterdir())) == 7
    monkeypatch.setattr(cache, "_code", lambda: "other code")
    cached(4, 16)
    assert len(list(folder.iterdir())) == 8


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped", "list"])
def test_damage_is_said_and_mended(folder, damage) -> None:
    expected = np.array(cached(9, 16).rgb)
    path = only(folder) / ("files.json" if damage == "list" else "rgb.npy")
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "flipped":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    else:
        path.write_bytes(data[: len(data) // 2])
    with pytest.warns(UserWarning, match="is drawn anew, for"):
        mended = cached(9, 16).rgb
    np.testing.assert_array_equal(mended, expected)


def test_a_killed_writer_leaves_nothing_that_counts(folder) -> None:
    code = "from course_lib.world.cache import cached; print('go', flush=True); cached(100_000, 64)"
    victim = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    victim.stdout.readline()
    until = time.monotonic() + 30
    while time.monotonic() < until and not any(folder.glob("*.part/rgb.npy")):
        time.sleep(0.05)
    assert any(folder.glob("*.part/rgb.npy"))
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    assert [p.suffix for p in folder.iterdir()] == [".part"]
    # The same question once more, made short: the dead writer's rest is swept away.
    (name,) = (p.name for p in folder.iterdir())
    whole = folder / name.split(".")[0]
    cache._write(whole, {"n": 4, "want": ["rgb"]}, stream(4, 16))
    assert [p.name for p in folder.iterdir()] == [whole.name]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(folder, monkeypatch) -> None:
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot be written \(No space left on device\)") as found:
        cached(4, 16)
    assert found.value.errno == errno.ENOSPC
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_device_that_is_really_full(tmp_path) -> None:
    part = tmp_path / "x.part"
    part.mkdir()
    (part / "rgb.npy").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        cache._fill(part, {"n": 600, "want": ["rgb"]}, stream(600, 16))


def test_an_interrupted_writer_leaves_nothing(folder, monkeypatch) -> None:
    def interrupted(*_):
        yield next(stream(20, 16))
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "stream", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached(20, 16)
    assert list(folder.iterdir()) == []


def test_a_stream_is_the_same_in_any_chunk() -> None:
    parts = [pictures.rgb for _, pictures in stream(11, 16, chunk=4)]
    assert [len(p) for p in parts] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(parts), render(sample(range(11)), 16).rgb)


@pytest.mark.parametrize("n", [0, -3, 2.5, True])
def test_numbers_of_scenes_that_are_none(folder, n) -> None:
    with pytest.raises(ValueError, match="at least 1 scene is expected"):
        next(stream(n))
    assert list(folder.iterdir()) == []


def test_a_bad_request_leaves_nothing(folder) -> None:
    with pytest.raises(ValueError, match="want must be some of"):
        cached(4, 16, ("colour",))
    assert list(folder.iterdir()) == []
