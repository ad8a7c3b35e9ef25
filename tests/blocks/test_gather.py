"""gather: without a process group it is nothing; with one, see tests/train/test_distributed.py."""

from __future__ import annotations

import pytest
import torch

from course_lib.blocks.gather import gather, mean_across, rank, world_size


def test_one_process_is_the_whole_world():
    x = torch.randn(3, 2, requires_grad=True)
    assert (rank(), world_size()) == (0, 1)
    assert gather(x) is x
    assert mean_across(x) is x


def test_what_cannot_be_joined_or_averaged_is_named():
    with pytest.raises(ValueError, match="a scalar was given"):
        gather(torch.tensor(1.0))
    with pytest.raises(TypeError, match=r"torch\.int64 was given"):
        mean_across(torch.arange(3))
