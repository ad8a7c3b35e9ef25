"""Labelled pictures in one shape: photo crops and digits offline, CIFAR-10 and STL-10 downloaded.

    train, test = photo_crops(2000, 32), photo_crops(500, 32, "test")      offline
    train, test = digits().split()                                        offline
    train, test = cifar10("train"), cifar10("test")                       170 MB, once
    unlabelled = stl10("unlabeled")                                       2.6 GB, once

What, licence, bytes and digests: data/README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from course_lib.data.archives import unpack
from course_lib.data.download import download
from course_lib.data.photos import PHOTOS, photo
from course_lib.data.storage import DownloadError, downloads

OFFLINE_SETS = "photo_crops() or digits(), which need no network"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures with one class each.

    images   uint8 (N, H, W, 3) RGB; of STL-10 a view of the file, read from disk when indexed
    labels   int64 (N,), numbers of `classes`, or −1 where no label is known
    classes  the names, by number
    name     what a figure or a table calls the set
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise ValueError(
                "images must be uint8 of shape (N, H, W, 3), "
                f"but {self.images.dtype} of shape {self.images.shape} was given"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels must be int64 of shape ({len(self.images)},), one for each picture, "
                f"but {self.labels.dtype} of shape {self.labels.shape} was given"
            )
        if len(self) and not -1 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(
                f"labels must lie from −1 to {len(self.classes) - 1}, "
                f"but these run from {self.labels.min()} to {self.labels.max()}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> Labelled:
        """The pictures of these numbers, in this order, copied into memory."""
        images = np.ascontiguousarray(self.images[indices])
        return Labelled(images, self.labels[indices], self.classes, self.name)

    def subset(self, n: int, seed: int = 0, *, per_class: bool = False) -> Labelled:
        """`n` pictures drawn without replacement, or `n` of each class, shuffled.

        With one seed, a larger subset holds every smaller one: a few-shot curve adds pictures.
        ValueError if there are not so many.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        if not per_class:
            if not 1 <= n <= len(self):
                raise ValueError(f"n must lie from 1 to {len(self)}, but {n} was given")
            return self.take(order[:n])
        fewest = self._fewest(1)
        if not 1 <= n <= fewest:
            raise ValueError(
                f"n per class must lie from 1 to {fewest}, as the rarest class of {self.name} has "
                f"{fewest}, but {n} was given"
            )
        return self.take(order[self._rank(order) < n])

    def split(self, test_share: float = 0.2, seed: int = 0) -> tuple[Labelled, Labelled]:
        """(train, test) without a common picture; of each class, `test_share` goes to the test.

        At least one picture of each class goes each way; ValueError for a class with one picture.
        """
        if not 0 < test_share < 1:
            raise ValueError(f"test_share must lie between 0 and 1, but {test_share} was given")
        self._fewest(2)
        order = np.random.default_rng(seed).permutation(len(self))
        counts = np.bincount(self.labels, minlength=len(self.classes))
        of_test = np.clip(np.rint(test_share * counts), 1, counts - 1)
        is_test = self._rank(order) < of_test[self.labels[order]]
        return self.take(order[~is_test]), self.take(order[is_test])

    def _rank(self, order: np.ndarray) -> np.ndarray:
        """How many pictures of the same class come before each in `order` → int64 (N,)."""
        labels = self.labels[order]
        rank = np.empty(len(self), np.int64)
        for k in range(len(self.classes)):
            rank[labels == k] = np.arange((labels == k).sum())
        return rank

    def _fewest(self, least: int) -> int:
        """Pictures of the rarest class; one sentence if that is below `least`."""
        if (self.labels < 0).any():
            raise ValueError(f"{self.name} holds pictures without a label; take(…) chooses others")
        counts = np.bincount(self.labels, minlength=len(self.classes))
        if (fewest := int(counts.min())) < least:
            rarest = self.classes[int(counts.argmin())]
            raise ValueError(
                f"each class must have at least {least} pictures, but {rarest!r} of {self.name} "
                f"has {fewest}"
            )
        return fewest


def digits() -> Labelled:
    """1,797 handwritten digits, 8 × 8, as grey RGB; inside scikit-learn, so offline.

    Counts of ink from 0 to 16 become 0 to 255. It is the test part of a set of the UCI repository
    (E. Alpaydin and C. Kaynak, 1998); `split` cuts it.
    """
    from sklearn.datasets import load_digits

    stored = load_digits()
    grey = np.rint(stored.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=3)
    return Labelled(images, stored.target.astype(np.int64), tuple("0123456789"), "digits")


# The right view of the stereo pair would be the left one's double.
CROPPED = tuple(name for name in PHOTOS if name != "motorcycle_right")
ROWS, COLUMNS = 2, 4  # cells of a photograph; of each row, one cell is the test's


def photo_crops(n: int, size: int = 32, split: str = "train", seed: int = 0) -> Labelled:
    """`n` square crops of the course's photographs, labelled by photograph: real and offline.

    → images (n, size, size, 3) at the photographs' own resolution, classes in turn, shuffled.
    Each photograph is cut into 2 × 4 cells; a crop lies in one cell, and two cells belong to the
    test, so that train and test share no pixel. ValueError for a size that fits into no cell.
    """
    _one_of("split", split, ("train", "test"))
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, but {n!r} was given")
    rng = np.random.default_rng([seed, split == "test"])
    labels = rng.permutation(np.arange(n) % len(CROPPED))
    images = np.empty((n, size, size, 3), np.uint8)
    for k, name in enumerate(CROPPED):
        picture = photo(name)
        height, width = picture.shape[0] // ROWS, picture.shape[1] // COLUMNS
        if not 1 <= size <= min(height, width):
            raise ValueError(
                f"size must lie from 1 to {min(height, width)}, the size of a cell of {name!r}, "
                f"but {size} was given"
            )
        for i in np.flatnonzero(labels == k):
            row, column = _cell(rng, split)
            y = row * height + rng.integers(height - size + 1)
            x = column * width + rng.integers(width - size + 1)
            images[i] = picture[y : y + size, x : x + size]
    return Labelled(images, labels, CROPPED, f"photo crops, {split}")


def _cell(rng: np.random.Generator, split: str) -> tuple[int, int]:
    """A random (row, column) of the split: the test has (0, 1) and (1, 2), from inside."""
    row = int(rng.integers(ROWS))
    if split == "test":
        return row, 1 + row
    return row, int((2 + row + rng.integers(COLUMNS - 1)) % COLUMNS)


@dataclass(frozen=True)
class Published:
    """A .tar.gz that its makers offer: where, its SHA-256, its bytes, and the files we read."""

    urls: tuple[str, ...]
    sha256: str
    size: int
    members: tuple[str, ...]

    def fetch(self, progress: bool) -> Path:
        """→ the folder of the members, downloaded and unpacked if it is not there."""
        file = self.urls[0].rsplit("/", 1)[-1]
        folder = downloads() / file.removesuffix(".tar.gz")
        if folder.is_dir():
            return folder
        archive = download(
            self.urls,
            folder.with_name(file),
            self.sha256,
            self.size,
            instead=OFFLINE_SETS,
            progress=progress,
        )
        return unpack(archive, folder, self.members, progress=progress)


CIFAR10 = Published(
    urls=(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
    ),
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    size=170_052_171,
    members=(
        *(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
    ),
)
STL10 = Published(
    urls=(
        "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        "https://cs.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    ),
    sha256="f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
    size=2_640_397_119,
    members=(
        *("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin"),
        *("class_names.txt", "fold_indices.txt"),
    ),
)


def cifar10(split: str = "train", *, progress: bool = True) -> Labelled:
    """CIFAR-10 (Krizhevsky 2009): 50,000 "train" or 10,000 "test" pictures of 32 × 32, 10 classes.

    Read from the binary version: torchvision's class reads the Python version, which is a pickle,
    and to unpickle a file is to run whatever is in it.
    A record is a label byte and three planes, red first, each row by row. Raises DownloadError.
    """
    _one_of("split", split, ("train", "test"))
    folder = CIFAR10.fetch(progress)
    files = ["test_batch.bin"] if split == "test" else CIFAR10.members[:5]
    records = np.concatenate([_records(folder / file, 1 + 3 * 32 * 32) for file in files])
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    classes = tuple((folder / "batches.meta.txt").read_text(encoding="utf-8").split())
    labels = records[:, 0].astype(np.int64)
    return Labelled(np.ascontiguousarray(images), labels, classes, f"CIFAR-10, {split}")


def stl10(split: str = "train", fold: int | None = None, *, progress: bool = True) -> Labelled:
    """STL-10 (Coates, Lee and Ng 2011): 96 × 96; 5,000 "train", 8,000 "test", 100,000 "unlabeled".

    `fold` 0 to 9 takes 1,000 of the training pictures, as its authors define for the protocol.
    Pictures stay on disk until they are indexed. The file holds planes, red first, each *column* by
    column, and labels from 1; here labels are from 0, and −1 in "unlabeled". Raises DownloadError.
    """
    _one_of("split", split, ("train", "test", "unlabeled"))
    if fold is not None and (split != "train" or fold not in range(10)):
        raise ValueError(f"fold must lie from 0 to 9, of split 'train', but {fold!r} was given")
    folder = STL10.fetch(progress)
    planes = _records(folder / f"{split}_X.bin", 3 * 96 * 96).reshape(-1, 3, 96, 96)
    images = planes.transpose(0, 3, 2, 1)  # (N, C, x, y) → (N, y, x, C), no byte is read
    if split == "unlabeled":
        labels = np.full(len(images), -1, np.int64)
    else:
        labels = _records(folder / f"{split}_y.bin", 1)[:, 0].astype(np.int64) - 1
    classes = tuple((folder / "class_names.txt").read_text(encoding="utf-8").split())
    whole = Labelled(images, labels, classes, f"STL-10, {split}")
    if fold is None:
        return whole
    lines = (folder / "fold_indices.txt").read_text(encoding="utf-8").splitlines()
    return whole.take(np.array(lines[fold].split(), np.int64))


def _records(path: Path, length: int) -> np.ndarray:
    """A file of records of `length` bytes → uint8 (N, length), mapped from disk."""
    size = path.stat().st_size if path.is_file() else 0
    if size == 0 or size % length:
        raise DownloadError(
            f"{path.name} is missing or cut short ({size:,} bytes; a multiple of {length:,} is "
            f"expected): delete the folder {path.parent} and load the set again"
        )
    return np.memmap(path, np.uint8, "r").reshape(-1, length)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, but {value!r} was given")
