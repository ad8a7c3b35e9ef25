"""factors: the protocol that every encoder of the course goes through."""

import numpy as np
import pytest
import torch

from course_lib.evaluate.extract import extract
from course_lib.evaluate.factors import (
    FACTORS,
    ONE,
    known_factors,
    labels_of,
    one_object,
    share_of_gap,
)
from course_lib.evaluate.linear_probe import linear_probe
from course_lib.world.render import render
from course_lib.world.scene import sample


def mean_colour(images: torch.Tensor) -> torch.Tensor:
    """Knows a little of the colour and nothing of the shape."""
    return images[:, :, 20:44, 20:44].mean(dim=(2, 3))


def test_pictures_and_labels_are_those_of_the_same_scenes() -> None:
    images, labels = one_object(12, "test"), labels_of(12, "test")
    scenes = sample(range(12), split="test", recipe=ONE)
    assert images.dtype == np.uint8
    assert (images == render(scenes, 64).rgb).all()
    for i in range(12):
        (only,) = scenes.names(i)
        named = {f: words[labels[i, k]] for k, (f, words) in enumerate(FACTORS.items())}
        assert named == only


def test_what_is_known_is_what_the_probe_finds_beside_its_controls() -> None:
    found = known_factors(mean_colour)
    assert list(found) == [f"{f} {kind}" for f in FACTORS for kind in ("probe", "knn")]
    a, b = extract(mean_colour, one_object(2000)), extract(mean_colour, one_object(1000, "test"))
    probe = linear_probe(a, labels_of(2000)[:, 1], b, labels_of(1000, "test")[:, 1])
    colour = found["colour probe"]
    assert colour["value"] == pytest.approx(probe.value, abs=1e-3)
    assert colour["value"] > colour["chance"] + 0.2
    assert abs(colour["shuffled"] - colour["chance"]) < 0.06
    assert abs(found["shape probe"]["value"] - found["shape probe"]["chance"]) < 0.1


def test_the_share_of_the_gap_by_hand() -> None:
    random, labelled = {"shape": 0.2, "size": 0.5}, {"shape": 1.0, "size": 0.9}
    # shape: 0.4 of 0.8 is 1/2; size: 0.1 of 0.4 is 1/4
    found = {"shape": 0.6, "size": 0.6, "else": 7.0}
    assert share_of_gap(found, random, labelled) == pytest.approx(3 / 8)
    assert share_of_gap(random, random, labelled) == 0
    assert share_of_gap(labelled, random, labelled) == pytest.approx(1)


def test_a_gap_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="with labels size is no better than at random"):
        share_of_gap({"size": 0.6}, {"size": 0.5}, {"size": 0.5})
