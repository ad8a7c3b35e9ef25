"""benchmarks/parity: the comparison sees what differs, and only that; no accelerator is needed."""

import pytest
import torch
from torch import nn

from benchmarks import parity

CPU = torch.device("cpu")


def test_every_case_equals_itself_on_the_cpu() -> None:
    lines = list(parity.report(parity.CASES, CPU))
    assert [line.case for line in lines] == list(parity.CASES)
    for line in lines:
        assert line.difference == 0, line
        assert line.is_small


def test_rounding_alone_stays_far_below_the_limit() -> None:
    # "Device" float64: `.to` takes a type as well, and its sums round otherwise.
    for name, case in parity.CASES.items():
        line = parity.compare(name, case, torch.float64)
        assert line.relative < parity.LIMIT / 10, line


def test_a_planted_difference_is_found_and_named() -> None:
    def case(device):
        found = {"output": torch.tensor([1.0, -4.0]), "∂ a": torch.ones(2), "∂ b": torch.zeros(3)}
        if device.type != "cpu":
            found["∂ b"] = torch.tensor([0, 0, 0.02])
        return {name: tensor.to(CPU) for name, tensor in found.items()}

    line = parity.compare("planted", case, torch.device("meta"))
    assert (line.case, line.output) == ("planted", "∂ b")
    assert line.relative == pytest.approx(0.02)  # beside the steepest gradient, not its own 0
    assert not line.is_small
    assert str(line) == "| planted | ∂ b | 2.0e-02 | 2.0e-02 | **differs** |"


def test_outputs_are_measured_by_themselves_and_nan_is_never_small() -> None:
    def case(value):
        return lambda device: {
            "great": torch.tensor([1e3]),
            "small": torch.tensor([1e-3 if device.type == "cpu" else value]),
        }

    line = parity.compare("scaled", case(1.1e-3), torch.device("meta"))
    assert line.output == "small"
    assert line.relative == pytest.approx(0.1, rel=1e-4)
    line = parity.compare("broken", case(float("nan")), torch.device("meta"))
    assert line.output == "small"
    assert not line.is_small


def test_a_wrong_network_on_one_device_is_seen() -> None:
    class Drifting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * (1 + 1e-3 * (x.dtype == torch.float64))

    line = parity.compare("drift", parity.module_case(Drifting, 2, 3), torch.float64)
    assert not line.is_small
    assert line.relative == pytest.approx(1e-3, rel=0.1)


def test_cases_that_return_other_things_are_refused() -> None:
    def case(device):
        return {"output" if device.type == "cpu" else "other": torch.zeros(2)}

    with pytest.raises(ValueError, match=r"gives {'output': \(2,\)} on the CPU, but {'other'"):
        parity.compare("names", case, torch.device("meta"))
    with pytest.raises(ValueError, match=r"nothing gives \{\}"):
        parity.compare("nothing", lambda device: {}, CPU)


def test_without_an_accelerator_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(parity, "best_device", lambda: "cpu")
    assert parity.main() == 0
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setattr(parity, "best_device", lambda: "meta")
    good = {name: lambda device: {"output": torch.ones(1)} for name in ("good", "fine")}
    bad = {"bad": lambda device: {"output": torch.ones(1) + (device.type != "cpu")}}
    assert parity.main({**good, **bad}) == 1
    assert "| bad | output | 1.0e+00 | 1.0e+00 | **differs** |" in capsys.readouterr().out
