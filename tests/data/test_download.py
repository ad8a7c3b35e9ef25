"""download, storage and archives against a server on this machine that fails in every way we know.

The server counts the bytes it sends and logs each request, so that "resumed" is a number.
"""

import errno
import gzip
import hashlib
import io
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from course_lib.data import archives, storage
from course_lib.data import download as module
from course_lib.data.archives import unpack
from course_lib.data.download import download
from course_lib.data.storage import DownloadError, downloads, offline
from course_lib.doctor import ROOT

BODY = bytes(range(256)) * 1200  # 307,200 bytes, more than one chunk
OTHER = BODY[::-1]
DIGEST = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.body`, doing the next of `server.faults` first; logs (status, first, sent)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site = self.server.site
        with site.door:
            fault = site.faults.pop(0) if site.faults else None
            site.ranges.append((self.headers.get("Range"), self.headers.get("If-Range")))
        if isinstance(fault, int):
            self.answer(fault, {"Content-Length": "0"}, b"")
            return
        if fault == "redirect":
            self.answer(302, {"Location": site.url + "?moved", "Content-Length": "0"}, b"")
            return
        body, first, status = site.body, 0, 200
        headers = {"ETag": site.etag} if site.etag else {}
        asked = self.headers.get("Range")
        fits = self.headers.get("If-Range") in (None, site.etag) or fault == "deaf to If-Range"
        if asked and site.knows_range and fits:
            first, status = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]), 206
            if first >= len(body):
                self.answer(416, {"Content-Length": "0"}, b"")
                return
            first += 10 * (fault == "shifted")
            headers["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        if fault == "chunked":
            self.answer(status, headers | {"Transfer-Encoding": "chunked"}, b"")
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            return
        end = {"cut": first + 100_000, "stall": first + 100_000}.get(fault, len(body))
        headers["Content-Length"] = str(len(body) - first)
        self.answer(status, headers, body[first:end], first, pause=site.pause)
        if fault == "stall":
            site.released.wait(20)
        self.close_connection = True

    def answer(
        self, status: int, headers: dict, body: bytes, first: int = 0, pause: float = 0
    ) -> None:
        self.server.site.log.append((status, first, len(body)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(body), 20_000):
            self.wfile.write(body[start : start + 20_000])
            time.sleep(pause)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Says nothing of connections that a test cuts or leaves."""

    daemon_threads = True

    def handle_error(self, *args: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*args)


class Site:
    """The server and what a test sets or reads of it."""

    def __init__(self) -> None:
        self.body, self.etag, self.knows_range, self.pause = BODY, '"first"', True, 0.0
        self.faults: list[int | str] = []
        self.log: list[tuple[int, int, int]] = []
        self.ranges: list[tuple[str | None, str | None]] = []
        self.door = threading.Lock()
        self.released = threading.Event()  # ends a stall
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.site = self
        self.url = f"http://127.0.0.1:{self.server.server_port}/set.bin"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("COURSE_OFFLINE", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(module, "PAUSES", (0.01, 0.01, 0.01))
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield site
    site.released.set()
    site.server.shutdown()
    site.server.server_close()


def get(site: Site, path: Path, **options) -> Path:
    options = {"progress": False, "timeout": 5, "size": len(BODY), "sha256": DIGEST} | options
    return download(options.pop("urls", site.url), path, **options)


def refused(site: Site, path: Path, **options) -> str:
    """The sentence of the error; it is one, and nothing but the lock is left on disk."""
    with pytest.raises(DownloadError) as caught:
        get(site, path, **options)
    said = str(caught.value)
    assert "\n" not in said
    assert re.match(rf"{path.name} (is missing|is not the published file)", said)
    assert set(os.listdir(path.parent)) <= {path.name + ".lock"}
    return said


def is_whole(path: Path) -> bool:
    """The file is right, and alone but for its lock."""
    return path.read_bytes() == BODY and set(os.listdir(path.parent)) <= {
        path.name,
        path.name + ".lock",
    }


class FullFile(io.BytesIO):
    """Takes 150,000 bytes, then says what a full disk says."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.real = path.open("ab")  # to be flushed to disk

    def write(self, data: bytes) -> int:
        if self.tell() + len(data) > 150_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)

    def fileno(self) -> int:
        return self.real.fileno()

    def close(self) -> None:
        self.real.close()
        super().close()


def full_after_150_000(path: Path, mode: str) -> FullFile:
    """In place of `open` where a file is written."""
    assert mode in ("ab", "wb")
    return FullFile(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "set.bin"


def test_a_file_is_fetched_once(site: Site, path: Path) -> None:
    assert get(site, path) == path
    assert is_whole(path)
    get(site, path)
    assert site.log == [(200, 0, len(BODY))]


@pytest.mark.parametrize("etag", ['"first"', 'W/"weak"', None])
def test_a_connection_cut_three_times_goes_on_where_it_stopped(
    site: Site, path: Path, etag: str | None
) -> None:
    site.faults, site.etag = ["cut", "cut", "cut"], etag
    get(site, path)
    assert is_whole(path)
    assert [first for _, first, _ in site.log] == [0, 100_000, 200_000, 300_000]
    assert sum(sent for *_, sent in site.log) == len(BODY)
    condition = etag if etag == '"first"' else None  # a weak ETag may not be a condition
    assert site.ranges[1] == ("bytes=100000-", condition)


def test_as_many_cuts_as_one_likes_while_bytes_come(site: Site, path: Path) -> None:
    site.body = BODY * 3
    site.faults = ["cut"] * 9  # more than there are pauses
    digest = hashlib.sha256(site.body).hexdigest()
    get(site, path, sha256=digest, size=len(site.body))
    assert path.read_bytes() == site.body


def test_a_stalled_connection_is_left_after_the_timeout(site: Site, path: Path) -> None:
    site.faults = ["stall"]
    start = time.monotonic()
    get(site, path, timeout=0.2)
    assert time.monotonic() - start < 10  # the stall lasts 20
    assert is_whole(path)
    assert [first for _, first, _ in site.log][-1] == 100_000


def test_a_slow_server_is_waited_for(site: Site, path: Path) -> None:
    site.pause = 0.05  # 0.8 s in all
    get(site, path, timeout=0.4)
    assert is_whole(path)


@pytest.mark.parametrize("faults", [[503], [500, 429], ["redirect"], ["chunked"], ["cut", 503]])
def test_what_passes(site: Site, path: Path, faults: list) -> None:
    site.faults = faults
    get(site, path)
    assert is_whole(path)


def test_a_server_that_knows_no_range_starts_over(site: Site, path: Path) -> None:
    site.faults, site.knows_range = ["cut"], False
    get(site, path)
    assert is_whole(path)
    assert [(status, first) for status, first, _ in site.log] == [(200, 0), (200, 0)]


def test_one_that_starts_over_and_is_cut_forever_is_given_up(site: Site, path: Path) -> None:
    site.faults, site.knows_range = ["cut"] * 50, False
    with pytest.raises(DownloadError, match="the connection was lost after 100,000 of 307,200 byt"):
        get(site, path)
    assert len(site.log) == 5  # the first brings bytes, the four after it nothing new
    assert not path.exists()


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose digest was computed: what was seen not to fit is never hashed."""
    files = []

    def spy(path: Path) -> str:
        files.append(path)
        return storage.sha256_of(path)

    monkeypatch.setattr(module, "sha256_of", spy)
    return files


@pytest.mark.parametrize("second", ["fine", "deaf to If-Range", "longer", "shifted"])
def test_a_file_that_changed_meanwhile_is_never_mixed(
    site: Site, path: Path, second: str, checked: list[Path]
) -> None:
    """Old beginning, new end: found by mark, length or first byte, before any digest."""
    site.body, site.etag, site.faults = OTHER, '"old"', ["cut", 404]
    if second == "longer":
        site.body, site.etag = OTHER + b"more", None
    with pytest.raises(DownloadError, match="HTTP 404"):
        get(site, path, size=None)
    part = path.with_name("set.bin.part")
    assert part.stat().st_size == 100_000
    site.body, site.faults = BODY, [second]
    if second in ("fine", "deaf to If-Range"):
        site.etag = '"new"'
    get(site, path, size=None)
    assert is_whole(path)
    assert site.ranges[2] == ("bytes=100000-", None if second == "longer" else '"old"')
    assert site.log[-1] == (200, 0, len(BODY))
    assert checked == [part]


def test_a_wrong_file_is_removed_and_named(site: Site, path: Path) -> None:
    site.body = OTHER
    got = hashlib.sha256(OTHER).hexdigest()
    host = site.url.split("/")[2]
    assert refused(site, path) == (
        f"set.bin is missing and could not be downloaded ({host}: what came has the SHA-256 {got})"
        f": fetch {site.url} (307,200 bytes, SHA-256 {DIGEST}) elsewhere and save it as {path}"
    )
    assert len(site.log) == 1  # what came in one piece would come so again


def test_a_wrong_file_after_a_resumption_is_fetched_whole(site: Site, path: Path) -> None:
    path.parent.mkdir()
    part = path.with_name("set.bin.part")
    part.write_bytes(b"x" * 1000)
    note = f'{{"url": "{site.url}", "mark": "\\"first\\"", "total": 307200, "sha256": "{DIGEST}"}}'
    path.with_name("set.bin.part.json").write_text(note)
    get(site, path)
    assert is_whole(path)
    assert [first for _, first, _ in site.log] == [1000, 0]


OF_ANOTHER = f'{{"url": "", "mark": "", "total": {len(BODY)}, "sha256": "{"0" * 64}"}}'


@pytest.mark.parametrize("note", [None, "", "{", "{}", '{"url": 1}', "[]", OF_ANOTHER])
def test_a_part_of_which_nothing_is_known_is_not_used(
    site: Site, path: Path, note: str | None
) -> None:
    path.parent.mkdir()
    path.with_name("set.bin.part").write_bytes(b"x" * 1000)
    if note is not None:
        path.with_name("set.bin.part.json").write_text(note)
    get(site, path)
    assert is_whole(path)
    assert site.ranges == [(None, None)]


def test_a_part_that_was_already_whole_is_only_checked(site: Site, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("set.bin.part").write_bytes(BODY)
    note = f'{{"url": "{site.url}", "mark": "", "total": {len(BODY)}, "sha256": "{DIGEST}"}}'
    path.with_name("set.bin.part.json").write_text(note)
    get(site, path)
    assert is_whole(path)
    assert site.log == []


def test_a_part_longer_than_the_file_starts_over(site: Site, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("set.bin.part").write_bytes(BODY + b"x")
    note = f'{{"url": "{site.url}", "mark": "\\"first\\"", "total": 307200, "sha256": "{DIGEST}"}}'
    path.with_name("set.bin.part.json").write_text(note)
    get(site, path)
    assert is_whole(path)
    assert [status for status, *_ in site.log] == [416, 200]


def test_another_size_is_found_out_before_a_byte_is_kept(
    site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "it offers 307,200 bytes where 5 are expected" in refused(site, path, size=5)
    site.faults = ["chunked"]  # names no length, so the first chunk tells
    monkeypatch.setattr(module, "open", full_after_150_000, raising=False)
    assert "it sends more than the 5 bytes" in refused(site, path, size=5)


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (500, 4), (503, 4)])
def test_an_answer_that_stays_is_named(site: Site, path: Path, status: int, attempts: int) -> None:
    site.faults = [status] * 9
    assert f": HTTP {status} " in refused(site, path)
    assert len(site.log) == attempts


def test_the_second_address_goes_on_with_the_firsts_part(site: Site, path: Path) -> None:
    site.faults = ["cut", 404]
    get(site, path, urls=[site.url, site.url + "?mirror"])
    assert is_whole(path)
    assert site.log[-1][:2] == (206, 100_000)
    assert site.ranges[-1] == ("bytes=100000-", None)


def test_no_connection_names_every_address(site: Site, path: Path) -> None:
    dead = "http://127.0.0.1:9/set.bin"
    said = refused(site, path, urls=[dead, "http://192.0.2.1/set.bin"], instead="digits()")
    assert "(127.0.0.1:9: no connection, [Errno 111] Connection refused; 192.0.2.1: no c" in said
    assert said.endswith(f"elsewhere and save it as {path}, or use digits()")


@pytest.mark.parametrize("name", ["COURSE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_refuses_at_once(
    site: Site, path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COURSE_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv(name, "1")
    path.parent.mkdir()
    assert refused(site, path, instead="digits()") == (
        f"set.bin is missing and could not be downloaded ({name}=1 forbids connections): fetch "
        f"{site.url} (307,200 bytes, SHA-256 {DIGEST}) elsewhere and save it as {path}, "
        "or use digits()"
    )
    assert site.ranges == []
    path.write_bytes(BODY)  # by hand, as the sentence says
    assert get(site, path) == path
    path.write_bytes(OTHER)
    with pytest.raises(DownloadError, match=r"set\.bin is not the published file and could not"):
        get(site, path)
    assert path.read_bytes() == OTHER  # the reader's own file is not ours to delete


def test_a_wrong_file_put_there_by_hand_is_replaced_online(site: Site, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(OTHER)
    get(site, path)
    assert is_whole(path)


def test_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for course, hub, found in [
        ("1", "0", "COURSE_OFFLINE=1"), ("0", "1", None), ("", "true", "HF_HUB_OFFLINE=true"),
        ("", "", None), ("no", "1", None),
    ]:  # fmt: skip
        monkeypatch.setenv("COURSE_OFFLINE", course)
        monkeypatch.setenv("HF_HUB_OFFLINE", hub)
        assert offline() == found
    monkeypatch.delenv("COURSE_DATA", raising=False)
    assert downloads() == ROOT / "data" / "downloads"
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert downloads() == tmp_path


FULL_DISK = "because the disk of {} is full; {} bytes more are needed: free space there, or set CO"


def test_a_disk_without_room_is_found_before_a_byte_is_written(
    site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(path.parents[1])._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    assert FULL_DISK.format(path.parent, "307,200") in refused(site, path)


def test_a_disk_that_fills_up_is_emptied_again(
    site: Site, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open", full_after_150_000, raising=False)
    assert refused(site, path) == (
        f"set.bin is missing, because the disk of {path.parent} is full; 307,200 bytes more are "
        "needed: free space there, or set COURSE_DATA to a folder on another disk"
    )


def test_a_folder_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match=r"cannot be written \((Not|File).*COURSE_DATA"):
        get(site, tmp_path / "file" / "set.bin")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"urls": "file:///etc/passwd"}, "urls must begin with http"),
        ({"urls": []}, r"urls must begin with http.*\(\) was given"),
        ({"sha256": "abc"}, "sha256 must be 64 digits"),
        ({"sha256": DIGEST.upper()}, "sha256 must be 64 digits"),
    ],
)
def test_no_address_and_no_digest(site: Site, path: Path, changed: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        get(site, path, **changed)


SCRIPT = f"""
import sys
from course_lib.data.download import download
download(sys.argv[1], sys.argv[2], "{DIGEST}", {len(BODY)}, progress=True)
print("done")
"""


def start(site: Site, path: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, site.url, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def wait_for_bytes(part: Path, n: int) -> None:
    end = time.monotonic() + 30
    while not part.exists() or part.stat().st_size < n:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_then_resumed(site: Site, path: Path, sent: int) -> None:
    site.faults = ["stall"]
    part = path.with_name("set.bin.part")
    process = start(site, path)
    wait_for_bytes(part, 90_000)
    process.send_signal(sent)
    process.communicate(timeout=20)
    assert process.returncode != 0
    kept = part.stat().st_size
    assert 90_000 <= kept <= 100_000
    assert not path.exists()
    get(site, path)
    assert is_whole(path)
    assert site.log == [(200, 0, 100_000), (206, kept, len(BODY) - kept)]


def test_of_two_processes_one_downloads(site: Site, path: Path) -> None:
    site.faults = ["stall"]
    first = start(site, path)
    wait_for_bytes(path.with_name("set.bin.part"), 90_000)
    second = start(site, path)
    assert second.stderr.readline() == "another process is at work on set.bin; waiting\n"
    site.released.set()
    assert [process.communicate(timeout=30)[0] for process in (first, second)] == ["done\n"] * 2
    assert is_whole(path)
    assert sum(sent for *_, sent in site.log) == len(BODY)  # in two pieces, by the first


# ---- archives


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_an_archives_members_come_out_side_by_side(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", {"top/x.bin": b"x", "top/in/y.bin": b"y", "z": b"z"})
    folder = unpack(archive, tmp_path / "a", ["x.bin", "y.bin"], progress=False)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {"x.bin": b"x", "y.bin": b"y"}
    archive.unlink()
    assert unpack(archive, folder, ["x.bin", "y.bin"], progress=False) == folder


@pytest.mark.parametrize("name", ["../x.bin", "/tmp/../x.bin", "a/../../../x.bin", "..\\x.bin"])
def test_no_name_in_an_archive_leads_outside(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    archive = packed(tmp_path / "a.tar.gz", {name: b"evil", "ok/x.bin": b"x", "../y": b"evil"})
    unpack(archive, home / "a", ["x.bin"], progress=False)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {
        "a.tar.gz", "home/a/x.bin", "home/a.lock",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_is_no_member(tmp_path: Path, kind: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("top/x.bin")
        entry.type, entry.linkname = kind, str(secret)
        tar.addfile(entry)
    with pytest.raises(DownloadError, match=r"lacks x\.bin"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "a", ["x.bin"], progress=False)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.95, "scratched", "two glued"])
def test_a_broken_archive_leaves_no_folder(tmp_path: Path, kept: float | str) -> None:
    archive, draw = tmp_path / "a.tar.gz", random.Random(0)
    noise = {f"{name}.bin": bytes(draw.choices(b"abcdef", k=50_000)) for name in "xyz"}
    whole = bytearray(packed(archive, noise).read_bytes())
    half = gzip.decompress(whole)[:80_000]
    if kept == "scratched":  # 0xff begins a block of a kind that there is not
        deflate = zlib.compressobj(wbits=-15)
        whole = (
            gzip.compress(b"")[:10]
            + deflate.compress(half)
            + deflate.flush(zlib.Z_FULL_FLUSH)
            + b"\xff" * 1000
        )
    elif kept == "two glued":  # a whole .gz of half a .tar, then something else
        whole = gzip.compress(half) + b"something else"
    else:
        del whole[int(kept * len(whole)) :]
    archive.write_bytes(whole)
    with pytest.raises(DownloadError) as caught:
        unpack(archive, tmp_path / "a", [*noise, "end.bin"], progress=False)
    assert re.fullmatch(
        rf"a is missing, because {archive} is cut short or no \.tar\.gz \(.*\): "
        "delete that file and download it anew",
        str(caught.value),
    )
    assert sorted(os.listdir(tmp_path)) == ["a.lock", "a.tar.gz"]


def test_a_full_disk_while_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "a.tar.gz", {"x.bin": bytes(200_000)})
    monkeypatch.setattr(archives, "open", full_after_150_000, raising=False)
    with pytest.raises(DownloadError, match=r"a is missing, because the disk of .* is full: free"):
        unpack(archive, tmp_path / "a", ["x.bin"], progress=False)
    assert sorted(os.listdir(tmp_path)) == ["a.lock", "a.tar.gz"]


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", {"x.bin": b"x"})
    (tmp_path / "a.part").mkdir()
    (tmp_path / "a.part" / "old.bin").write_text("half")
    unpack(archive, tmp_path / "a", ["x.bin"], progress=False)
    assert os.listdir(tmp_path / "a") == ["x.bin"]
    assert sorted(os.listdir(tmp_path)) == ["a", "a.lock", "a.tar.gz"]


def test_the_lock_is_held_and_freed_when_its_holder_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with storage.alone(tmp_path / "x", False):
            with pytest.raises(Timeout):
                FileLock(tmp_path / "x.lock").acquire(timeout=0)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    FileLock(tmp_path / "x.lock").acquire(timeout=0).lock.release()
