"""Rendered scenes kept on disk, so that a thousand lines of training read them as arrays.

    pictures = cached(20_000, size=64, want=("rgb", "instance"))   # a Rendered, read from disk

A folder of .npy files stands for one question: split, seed, recipe, number, size, what is wanted,
and the code that draws. It appears whole or not at all: until the last byte is written it is called
.part. What is cut or altered is noticed by size and SHA-256, said in one sentence, and drawn anew.

COURSE_CACHE    the folder of caches    (default: ~/.cache/from-sift-to-llava)
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np

from course_lib.world.render import Modality, Rendered, render
from course_lib.world.scene import Recipe, Scenes, Split, sample

CHUNK = 256  # scenes at a time


def place() -> Path:
    """The folder of caches: $COURSE_CACHE, else ~/.cache/from-sift-to-llava."""
    if chosen := os.environ.get("COURSE_CACHE"):
        return Path(chosen).expanduser().absolute()
    return Path.home() / ".cache" / "from-sift-to-llava"


def stream(
    n: int,
    size: int = 64,
    want: Sequence[Modality] = ("rgb",),
    split: Split = "train",
    seed: int = 0,
    recipe: Recipe | None = None,
    chunk: int = CHUNK,
) -> Iterator[tuple[Scenes, Rendered]]:
    """Scenes 0 … n − 1, drawn `chunk` at a time: memory does not grow with n."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"at least 1 scene is expected, but {n!r} were asked for")
    if isinstance(chunk, bool) or not isinstance(chunk, (int, np.integer)) or chunk < 1:
        raise ValueError(f"a chunk holds at least 1 scene, but {chunk!r} were asked for")
    for start in range(0, n, chunk):
        scenes = sample(range(start, min(start + chunk, n)), seed, split, recipe)
        yield scenes, render(scenes, size, want)


def cached(
    n: int,
    size: int = 64,
    want: Sequence[Modality] = ("rgb",),
    split: Split = "train",
    seed: int = 0,
    recipe: Recipe | None = None,
) -> Rendered:
    """The pictures of scenes 0 … n − 1 → a Rendered whose arrays are read-only files (np.memmap).

    They are drawn at the first call. Raises OSError in one sentence where the disk is full; then
    nothing is left behind.
    """
    recipe = recipe or Recipe()
    chunks = stream(n, size, want, split, seed, recipe)
    question = {"n": n, "size": size, "want": sorted(want), "split": split, "seed": seed,
                "recipe": asdict(recipe), "code": _code()}  # fmt: skip
    name = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]
    folder = place() / f"world-{split}-{n}x{size}-{name}"
    if folder.exists() and (fault := _fault(folder)):
        warnings.warn(f"{folder} is drawn anew, for {fault}", stacklevel=2)
        shutil.rmtree(folder)
    if not folder.exists():
        _write(folder, question, chunks)
    return Rendered(**{m: np.load(folder / f"{m}.npy", mmap_mode="r") for m in want})


@lru_cache(maxsize=1)
def _code() -> str:
    """A digest of the files that decide how a picture looks."""
    names = ("draws", "layout", "solids", "camera", "scene", "bodies", "rays", "shadows", "tables",
             "shading", "raster", "render")  # fmt: skip
    here = Path(__file__).parent
    return hashlib.sha256(b"".join((here / f"{n}.py").read_bytes() for n in names)).hexdigest()


def _fault(folder: Path) -> str:
    """What is wrong with a cache: "" if its files are those that were written."""
    try:
        files = json.loads((folder / "files.json").read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError):
        return "its list of files cannot be read"
    for name, (size, digest) in files.items():
        path = folder / name
        found = path.stat().st_size if path.exists() else 0
        if found != size:
            return f"{name} holds {found} bytes instead of {size}"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return f"{name} has another SHA-256 than when it was written"
    return ""


def _write(folder: Path, question: dict, chunks: Iterator[tuple[Scenes, Rendered]]) -> None:
    """Draw and write a whole folder, or nothing."""
    import psutil

    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f"{folder.name}.*.part"):  # by a process that was killed
        owner = left.name.split(".")[-2]
        if not psutil.pid_exists(int(owner)) or int(owner) == os.getpid():
            shutil.rmtree(left, ignore_errors=True)
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        files = _fill(part, question, chunks)
        text = json.dumps({"question": question, "files": files}, indent=1)
        (part / "files.json").write_text(text, encoding="utf-8")
        try:
            os.replace(part, folder)
        except OSError:
            if not folder.exists():
                raise
            # Another process was faster: its files are the same.
    except OSError as error:
        raise OSError(
            error.errno, f"the cache {folder} cannot be written ({error.strerror}); make room or "
            "set COURSE_CACHE to another folder"
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _fill(part: Path, question: dict, chunks: Iterator[tuple[Scenes, Rendered]]) -> dict:
    """Append chunk after chunk to each modality's file → {name: [bytes, SHA-256]}.

    Plain writes: on a full disk they raise, where a memory map would kill the process.
    """
    open_files, digests = {}, {}
    try:
        for _, pictures in chunks:
            for modality in question["want"]:
                array = getattr(pictures, modality)
                name = f"{modality}.npy"
                data = [np.ascontiguousarray(array).data]
                if name not in open_files:
                    open_files[name] = (part / name).open("wb")
                    digests[name] = hashlib.sha256()
                    data.insert(0, _header(question["n"], array))
                for piece in data:
                    open_files[name].write(piece)
                    digests[name].update(piece)
        for file in open_files.values():
            file.flush()
            os.fsync(file.fileno())
        return {n: [f.tell(), digests[n].hexdigest()] for n, f in open_files.items()}
    finally:
        for file in open_files.values():
            file.close()


def _header(n: int, array: np.ndarray) -> bytes:
    """The beginning of an .npy file of n rows like those of `array`."""
    import io

    head = io.BytesIO()
    kind = {"descr": array.dtype.str, "fortran_order": False, "shape": (n, *array.shape[1:])}
    np.lib.format.write_array_header_1_0(head, kind)
    return head.getvalue()
