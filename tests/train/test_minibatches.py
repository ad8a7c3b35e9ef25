"""minibatches: a function of seed and step, every example once an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course_lib.train.minibatches import batch_size, minibatches, moved, step_seed

X = torch.randn(96, 5, generator=torch.Generator().manual_seed(1))
Y = torch.arange(96)


def test_a_batch_depends_on_seed_and_step_alone():
    one, other = (minibatches(X, Y, batch_size=16, seed=3) for _ in range(2))
    generator = torch.Generator()
    forward = [one(s, generator)[0] for s in range(20)]
    backward = [other(s, generator)[0] for s in reversed(range(20))][::-1]
    assert all(map(torch.equal, forward, backward))
    assert not torch.equal(forward[0], minibatches(X, Y, batch_size=16, seed=4)(0, generator)[0])


def test_each_example_comes_once_an_epoch_in_a_new_order():
    draw = minibatches(np.arange(50), batch_size=8, seed=0)  # 6 batches, 2 examples left out
    epochs = [torch.cat([draw(6 * e + k, None) for k in range(6)]).tolist() for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 48
    assert epochs[0] != epochs[1] != epochs[2]
    left_out = {frozenset(set(range(50)) - set(epoch)) for epoch in epochs}
    assert len(left_out) > 1


def test_images_and_labels_stay_together():
    images, labels = minibatches(X, torch.arange(96), batch_size=32)(5, None)
    assert torch.equal(images, X[labels])


def test_seeds_of_steps_share_nothing():
    seeds = [step_seed(a, b, c) for a in range(10) for b in range(50) for c in range(3)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= s < 2**63 for s in seeds)
    bits = np.array([[s >> k & 1 for k in range(63)] for s in seeds])
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.07


@pytest.mark.parametrize(
    ("arrays", "size", "message"),
    [
        ((X, Y[:5]), 4, r"these have \[5, 96\]"),
        ((X,), 97, "from 1 to 96"),
        ((X,), 0, "from 1 to 96"),
    ],
)
def test_wrong_minibatches_are_named(arrays, size, message):
    with pytest.raises(ValueError, match=message):
        minibatches(*arrays, batch_size=size)


def test_the_parts_of_a_batch_keep_their_places():
    batch = {"views": (torch.ones(4, 2), [torch.zeros(4)]), "name": "toy"}
    meta = moved(batch, torch.device("meta"))
    assert batch_size(batch) == batch_size(meta) == 4
    assert meta["views"][0].device.type == meta["views"][1][0].device.type == "meta"
    assert (type(meta["views"]), type(meta["views"][1]), meta["name"]) == (tuple, list, "toy")
    with pytest.raises(ValueError, match=r"batch is empty: its shape is \(0, 3\)"):
        batch_size([torch.ones(0, 3)])
    for nothing in (None, (), {}, torch.tensor(1.0)):
        with pytest.raises(ValueError, match="must hold tensors"):
            batch_size(nothing)
