"""The speeds that the course promises, measured beside its peers in one run (`make bench`)."""

import cv2
import pytest

from benchmarks import features


@pytest.mark.timing
@pytest.mark.parametrize(
    "make", [features.sift_row, features.surf_row, features.brief_row], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("name", features.PHOTOS)
def test_detectors_keep_their_pace(make, name: str) -> None:
    cv2.setNumThreads(1)
    row = make(name, rounds=3)
    if row.ratio > row.limit:  # another program may have taken the core: measure once more, longer
        row = make(name, rounds=10)
    assert row.ratio <= row.limit, row


@pytest.mark.timing
def test_matching_keeps_its_pace_and_agrees() -> None:
    cv2.setNumThreads(1)
    for row in features.matching_rows(rounds=3):
        assert row.ratio <= row.limit, row
        assert "the same matches" in row.note
