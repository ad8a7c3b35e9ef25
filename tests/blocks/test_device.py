"""The one device function and the one budget switch obey their variables, and say what is wrong."""

import pytest

from course_lib import doctor
from course_lib.blocks.device import budget, by_budget, device


def test_device_and_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    monkeypatch.delenv("COURSE_BUDGET", raising=False)
    assert (device().type, budget(), by_budget(quick=1, full=2)) == ("cpu", "quick", 1)
    monkeypatch.setenv("COURSE_BUDGET", "full")
    assert by_budget(quick=1, full=2) == 2
    monkeypatch.setenv("COURSE_BUDGET", "endless")
    with pytest.raises(ValueError, match="quick or full, but it is 'endless'"):
        budget()
    monkeypatch.setenv("COURSE_DEVICE", "toaster")
    assert "cpu, cuda or mps" in doctor.check_device().found
    monkeypatch.setenv("COURSE_DEVICE", "cuda:7")
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="torch sees no such device"):
            device()
