"""history: exact in JSON, the same text every run."""

from __future__ import annotations

import numpy as np
import pytest

from course_lib.train.history import History


def measured() -> History:
    history = History(total=5, seconds=0.1 + 0.2)
    for step in range(3):
        history.append({"loss": 1 / (step + 3), "lr": 1e-3 * step})
    return history


def test_it_is_read_as_arrays():
    history = measured()
    assert len(history) == 3
    np.testing.assert_array_equal(history["loss"], [1 / 3, 1 / 4, 1 / 5])
    assert history.last() == {"loss": 1 / 5, "lr": 2e-3}
    assert len(History(3)) == 0


def test_json_keeps_every_bit():
    history = measured()
    assert History.from_json(history.to_json()) == history
    history.interrupted = True
    assert History.from_json(history.to_json()).interrupted


def test_its_text_holds_no_number_that_a_machine_changes():
    slow, fast = measured(), measured()
    fast.seconds, fast.scalars["loss"][2] = 9.0, 0.5
    assert repr(slow) == repr(fast) == "History(3 of 5 steps: loss, lr)"


def test_what_is_missing_is_named():
    with pytest.raises(KeyError, match="no 'cost' was measured; there are: loss, lr"):
        measured()["cost"]
    with pytest.raises(ValueError, match="must measure the same: \\['loss', 'lr'\\] before"):
        measured().append({"loss": 1.0})
