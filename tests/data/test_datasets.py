"""datasets: every picture where its file says, splits that share nothing, and what is refused.

The archives here are of the published format, small, and made from pictures whose every pixel is
known: red holds the row, green the column, blue the picture's number.
"""

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sklearn
import torchvision
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from course_lib.data import datasets
from course_lib.data.datasets import CIFAR10, STL10, Labelled, cifar10, digits, photo_crops, stl10
from course_lib.data.storage import DownloadError
from course_lib.doctor import ROOT

CARD = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
CIFAR_CLASSES = ["airplane", "automobile", "bird", "cat", "deer"]
CIFAR_CLASSES += ["dog", "frog", "horse", "ship", "truck"]
STL_CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


def picture(size: int, number: int) -> np.ndarray:
    """(size, size, 3): row, column, number."""
    image = np.empty((size, size, 3), np.uint8)
    for y in range(size):
        for x in range(size):
            image[y, x] = y, x, number
    return image


def cifar_record(label: int, image: np.ndarray) -> bytes:
    """Label, then red, green and blue, each row after row: written out pixel by pixel."""
    out = bytearray([label])
    for c in range(3):
        for y in range(32):
            for x in range(32):
                out.append(image[y, x, c])
    return bytes(out)


def stl_record(image: np.ndarray) -> bytes:
    """Red, green and blue, each column after column."""
    out = bytearray()
    for c in range(3):
        for x in range(96):
            for y in range(96):
                out.append(image[y, x, c])
    return bytes(out)


def cifar_files() -> dict[str, bytes]:
    """Three records a file; picture k of the five training files has the label k mod 10."""
    files = {}
    for i in range(1, 6):
        numbers = range(3 * (i - 1), 3 * i)
        files[f"data_batch_{i}.bin"] = b"".join(
            cifar_record(k % 10, picture(32, k)) for k in numbers
        )
    files["test_batch.bin"] = b"".join(cifar_record(9 - k, picture(32, 200 + k)) for k in range(3))
    files["batches.meta.txt"] = "\n".join([*CIFAR_CLASSES, "", ""]).encode()
    return {f"cifar-10-batches-bin/{name}": data for name, data in files.items()}


def stl_files() -> dict[str, bytes]:
    """Six training pictures labelled 1, 2, 3, 10, 5, 6; folds that take them two by two."""
    folds = [f"{k % 6} {(k + 3) % 6} \n" for k in range(10)]
    files = {
        "train_X.bin": b"".join(stl_record(picture(96, k)) for k in range(6)),
        "train_y.bin": bytes([1, 2, 3, 10, 5, 6]),
        "test_X.bin": stl_record(picture(96, 100)),
        "test_y.bin": bytes([8]),
        "unlabeled_X.bin": b"".join(stl_record(picture(96, k)) for k in (50, 51)),
        "class_names.txt": "".join(f"{name}\n" for name in STL_CLASSES).encode(),
        "fold_indices.txt": "".join(folds).encode(),
    }
    return {f"stl10_binary/{name}": data for name, data in files.items()}


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, dict], Path]:
    """Lay a small archive where a download would stand; its digest replaces the published one."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))

    def place(name: str, files: dict[str, bytes]) -> Path:
        published = getattr(datasets, name)
        archive = tmp_path / published.urls[0].split("/")[-1]
        with tarfile.open(archive, "w:gz") as tar:
            for member, data in files.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        monkeypatch.setattr(datasets, name, replace(published, sha256=digest))
        return tmp_path

    return place


def test_cifar10_reads_what_its_files_hold(placed: Callable) -> None:
    folder = placed("CIFAR10", cifar_files())
    train, test = cifar10("train", progress=False), cifar10("test", progress=False)
    assert np.array_equal(train.images, np.stack([picture(32, k) for k in range(15)]))
    assert train.labels.tolist() == [k % 10 for k in range(15)]
    assert train.classes == test.classes == tuple(CIFAR_CLASSES)
    assert np.array_equal(test.images, np.stack([picture(32, 200 + k) for k in range(3)]))
    assert test.labels.tolist() == [9, 8, 7]
    assert train.images.flags.c_contiguous
    assert (train.name, test.name) == ("CIFAR-10, train", "CIFAR-10, test")
    (folder / "cifar-10-binary.tar.gz").unlink()  # needed once
    assert len(cifar10("test", progress=False)) == 3


def test_stl10_reads_what_its_files_hold(placed: Callable) -> None:
    placed("STL10", stl_files())
    train, test = stl10("train", progress=False), stl10("test", progress=False)
    assert np.array_equal(train.images, np.stack([picture(96, k) for k in range(6)]))
    assert train.labels.tolist() == [0, 1, 2, 9, 4, 5]
    assert np.array_equal(test.images[0], picture(96, 100))
    assert test.labels.tolist() == [7]
    assert train.classes == tuple(STL_CLASSES)
    unlabelled = stl10("unlabeled", progress=False)
    assert unlabelled.labels.tolist() == [-1, -1]
    assert np.array_equal(unlabelled.images[1], picture(96, 51))
    assert isinstance(unlabelled.images, np.memmap)  # 2.8 GB, published, stay on disk
    fold = stl10("train", fold=4, progress=False)
    assert fold.labels.tolist() == [4, 1]
    assert np.array_equal(fold.images, np.stack([picture(96, 4), picture(96, 1)]))


def test_stl10_equals_torchvisions(placed: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise, for it has no symmetry; torchvision's check of the published digests is put aside."""
    rng = np.random.default_rng(0)
    files = stl_files()
    for part, n in [("train", 6), ("test", 1), ("unlabeled", 2)]:
        files[f"stl10_binary/{part}_X.bin"] = rng.bytes(n * 3 * 96 * 96)
    folder = placed("STL10", files)
    (folder / "theirs").mkdir()
    stl10(progress=False)
    (folder / "theirs" / "stl10_binary").symlink_to(folder / "stl10_binary")
    monkeypatch.setattr(torchvision.datasets.STL10, "_check_integrity", lambda self: True)
    for split in ("train", "test", "unlabeled"):
        ours = stl10(split, progress=False)
        theirs = torchvision.datasets.STL10(folder / "theirs", split)
        assert np.array_equal(ours.images, theirs.data.transpose(0, 2, 3, 1))
        assert np.array_equal(ours.images[0], np.asarray(theirs[0][0]))
        assert np.array_equal(ours.labels, theirs.labels)
        assert list(ours.classes) == theirs.classes


@pytest.mark.parametrize("load", [cifar10, stl10])
def test_offline_says_what_to_do(
    load: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    published = {cifar10: CIFAR10, stl10: STL10}[load]
    file = published.urls[0].split("/")[-1]
    with pytest.raises(DownloadError) as caught:
        load()
    assert str(caught.value) == (
        f"{file} is missing and could not be downloaded (COURSE_OFFLINE=1 forbids connections): "
        f"fetch {published.urls[0]} ({published.size:,} bytes, SHA-256 {published.sha256}) "
        f"elsewhere and save it as {tmp_path / file}, "
        "or use photo_crops() or digits(), which need no network"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("published", [CIFAR10, STL10])
def test_the_card_says_what_the_code_checks(published: datasets.Published) -> None:
    for fact in (published.sha256, f"{published.size:,}", *published.urls):
        assert fact in CARD


def test_an_archive_that_lacks_a_file_leaves_no_folder(placed: Callable) -> None:
    files = cifar_files()
    del files["cifar-10-batches-bin/data_batch_4.bin"]
    folder = placed("CIFAR10", files)
    with pytest.raises(DownloadError, match=r"cifar-10-binary is missing, .*lacks data_batch_4"):
        cifar10(progress=False)
    assert not (folder / "cifar-10-binary").exists()


def test_a_file_cut_short_or_deleted_in_the_folder(placed: Callable) -> None:
    folder = placed("STL10", stl_files()) / "stl10_binary"
    stl10(progress=False)
    file = folder / "train_X.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DownloadError) as caught:
        stl10(progress=False)
    assert str(caught.value) == (
        "train_X.bin is missing or cut short (165,887 bytes; a multiple of 27,648 is expected): "
        f"delete the folder {folder} and load the set again"
    )
    file.write_bytes(file.read_bytes()[: 5 * 27648])  # whole records, but one too few
    with pytest.raises(ValueError, match=r"labels must be int64 of shape \(5,\).*\(6,\)"):
        stl10(progress=False)
    file.unlink()
    with pytest.raises(DownloadError, match="missing or cut short"):
        stl10(progress=False)


def test_a_label_beyond_the_classes_is_refused(placed: Callable) -> None:
    files = cifar_files()
    broken = bytearray(files["cifar-10-batches-bin/test_batch.bin"])
    broken[0] = 10
    files["cifar-10-batches-bin/test_batch.bin"] = bytes(broken)
    placed("CIFAR10", files)
    with pytest.raises(ValueError, match=r"labels must lie from −1 to 9, but .* 7 to 10"):
        cifar10("test", progress=False)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: cifar10("valid"), "split must be one of train, test, but 'valid' was given"),
        (lambda: stl10("unlabelled"), "split must be one of train, test, unlabeled, but"),
        (lambda: stl10("train", 10), "fold must lie from 0 to 9, of split 'train', but 10 was gi"),
        (lambda: stl10("test", 0), "fold must lie from 0 to 9, of split 'train', but 0 was given"),
        (lambda: photo_crops(3, split="all"), "split must be one of train, test, but 'all' was"),
        (lambda: photo_crops(0), "n must be a whole number of at least 1, but 0 was given"),
        (lambda: photo_crops(2.0), "n must be a whole number of at least 1, but 2.0 was given"),
        (lambda: photo_crops(3, 87), "size must lie from 1 to 86, the size of a cell of 'text', b"),
        (lambda: photo_crops(3, 0), "size must lie from 1 to .*, but 0 was given"),
    ],
)
def test_what_is_asked_wrongly(call: Callable, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


# ---- digits and photo crops


def test_digits_are_scikit_learns() -> None:
    file = Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"
    assert hashlib.sha256(file.read_bytes()).hexdigest() in CARD

    stored, found = load_digits(), digits()
    assert found.images.shape == (1797, 8, 8, 3)
    assert (found.images.min(), found.images.max()) == (0, 255)
    assert np.abs(found.images - stored.images[..., None] * 255 / 16).max() <= 0.5
    assert np.array_equal(found.labels, stored.target)
    train, test = found.split()
    assert (len(train), len(test)) == (1438, 359)
    knn = KNeighborsClassifier(1).fit(train.images[..., 0].reshape(-1, 64), train.labels)
    assert knn.score(test.images[..., 0].reshape(-1, 64), test.labels) > 0.95


def marked(name: str) -> np.ndarray:
    """A photograph's stand-in: each pixel has a colour of its own, 172 × 448 the smallest."""
    height, width = (172, 448) if name == "text" else (301, 451)
    number = np.arange(height * width).reshape(height, width)
    return np.stack([number >> 16, number >> 8, number], axis=-1).astype(np.uint8)


def pixels(crops: Labelled, label: int) -> set[int]:
    """The numbers of all source pixels that a class's crops show."""
    images = crops.images[crops.labels == label].astype(int)
    return set(((images[..., 0] << 16) + (images[..., 1] << 8) + images[..., 2]).ravel().tolist())


def test_train_and_test_crops_share_no_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "photo", marked)
    train, test = photo_crops(3000, 40), photo_crops(1200, 40, "test")
    for label in range(len(train.classes)):
        seen, tested = pixels(train, label), pixels(test, label)
        assert not seen & tested
        height, width = marked(train.classes[label]).shape[:2]
        assert len(seen) > 0.55 * height * width  # of 3/4
        assert len(tested) > 0.2 * height * width  # of 1/4


def test_a_crop_is_a_piece_of_its_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "photo", marked)
    crops = photo_crops(60, 86)  # the largest there is
    for image, label in zip(crops.images.astype(int), crops.labels, strict=True):
        number = (image[0, 0, 0] << 16) + (image[0, 0, 1] << 8) + image[0, 0, 2]
        source = marked(crops.classes[label])
        y, x = divmod(int(number), source.shape[1])
        assert np.array_equal(image, source[y : y + 86, x : x + 86])


def test_crops_are_balanced_and_drawn_by_seed() -> None:
    first, again = photo_crops(250, 16, seed=3), photo_crops(250, 16, seed=3)
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.labels, again.labels)
    assert set(np.bincount(first.labels).tolist()) == {20, 21}  # 12 classes
    assert not np.array_equal(first.images, photo_crops(250, 16, seed=4).images)
    assert "motorcycle_left" in first.classes
    assert "motorcycle_right" not in first.classes  # nearly the same pixels


def test_crops_can_be_told_apart_but_not_by_pixels_alone() -> None:
    """Far above chance (1/12) and far from solved: room for an encoder to show something."""
    train, test = photo_crops(1000, 32), photo_crops(400, 32, "test")
    knn = KNeighborsClassifier(20).fit(train.images.reshape(1000, -1), train.labels)
    assert 0.3 < knn.score(test.images.reshape(400, -1), test.labels) < 0.6


# ---- Labelled


def numbered(counts: tuple[int, ...]) -> Labelled:
    """Class k has counts[k] pictures; each picture holds its own number."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 2, 3, 3), np.uint8)
    images[..., 0] = np.arange(len(labels))[:, None, None]
    return Labelled(images, labels, tuple("abcdefg"[: len(counts)]), "numbered")


def numbers(data: Labelled) -> list[int]:
    return data.images[:, 0, 0, 0].tolist()


def test_a_subset_keeps_pictures_and_labels_together_and_grows() -> None:
    whole = numbered((30, 20, 10))
    smaller: list[int] = []
    for n in (1, 7, 30, 60):
        subset = whole.subset(n, seed=5)
        assert len(set(numbers(subset))) == n
        assert [whole.labels[i] for i in numbers(subset)] == subset.labels.tolist()
        assert numbers(subset)[: len(smaller)] == smaller
        smaller = numbers(subset)
    assert numbers(whole.subset(60, seed=5)) != numbers(whole.subset(60, seed=6))
    smaller = []
    for n in (1, 3, 10):
        subset = whole.subset(n, seed=5, per_class=True)
        assert np.bincount(subset.labels).tolist() == [n, n, n]
        assert [whole.labels[i] for i in numbers(subset)] == subset.labels.tolist()
        assert set(smaller) < set(numbers(subset))
        smaller = numbers(subset)
    assert sorted(subset.labels.tolist()) != subset.labels.tolist()  # shuffled


def test_every_picture_is_as_likely_as_another() -> None:
    whole = numbered((4, 8))
    drawn = np.zeros(12)
    for seed in range(600):
        drawn[numbers(whole.subset(2, seed, per_class=True))] += 1
    expected = np.repeat([600 * 2 / 4, 600 * 2 / 8], [4, 8])
    assert np.abs(drawn - expected).max() < 5 * np.sqrt(expected.max())


@pytest.mark.parametrize(
    ("share", "of_test"), [(0.2, [6, 4, 1]), (0.01, [1, 1, 1]), (0.99, [29, 19, 1])]
)
def test_a_split_is_a_partition_class_by_class(share: float, of_test: list[int]) -> None:
    whole = numbered((30, 20, 2)) if share == 0.99 else numbered((30, 20, 3))
    train, test = whole.split(share, seed=1)
    assert sorted(numbers(train) + numbers(test)) == list(range(len(whole)))
    assert np.bincount(test.labels).tolist() == of_test
    assert [whole.labels[i] for i in numbers(test)] == test.labels.tolist()
    assert numbers(whole.split(share, seed=2)[1]) != numbers(test)


def test_what_labelled_refuses() -> None:
    images, labels = np.zeros((4, 2, 3, 3), np.uint8), np.array([0, 0, 1, 1])
    for bad in (images.astype(float), images[..., 0], images[..., :2]):
        with pytest.raises(ValueError, match=r"images must be uint8 of shape \(N, H, W, 3\), but"):
            Labelled(bad, labels, ("a", "b"), "x")
    for bad in (labels.astype(np.int32), labels[:3], labels[None]):
        with pytest.raises(ValueError, match=r"labels must be int64 of shape \(4,\), one for"):
            Labelled(images, bad, ("a", "b"), "x")
    with pytest.raises(ValueError, match="labels must lie from −1 to 0, but these run from 0 to 1"):
        Labelled(images, labels, ("a",), "x")
    with pytest.raises(ValueError, match="labels must lie from −1 to 1, but these run from -2 to"):
        Labelled(images, labels - 2, ("a", "b"), "x")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda d: d.subset(0), "n must lie from 1 to 5, but 0 was given"),
        (lambda d: d.subset(6), "n must lie from 1 to 5, but 6 was given"),
        (lambda d: d.subset(2, per_class=True), "n per class must lie from 1 to 1, as the rarest"),
        (
            lambda d: d.split(),
            "each class must have at least 2 pictures, but 'b' of",
        ),
        (lambda d: d.split(0.0), "test_share must lie between 0 and 1, but 0.0 was given"),
        (lambda d: d.split(1), "test_share must lie between 0 and 1, but 1 was given"),
        (
            lambda d: replace(d, labels=d.labels - 1).subset(1, per_class=True),
            "numbered holds pictures without a label",
        ),
    ],
)
def test_subsets_and_splits_that_cannot_be(call: Callable, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(numbered((4, 1)))
