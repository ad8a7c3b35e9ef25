"""blocks/mlp: one number at a time, with the error function of the standard library."""

import math

import pytest
import torch

from course_lib.blocks.mlp import MLP, quick_gelu


@torch.no_grad()
def test_is_two_linear_maps_with_an_exact_gelu() -> None:
    torch.manual_seed(0)
    model, x = MLP(6, ratio=1.5).double(), torch.randn(2, 3, 6, dtype=torch.float64)
    assert model.fc1.weight.shape == (9, 6)
    for b in range(2):
        for t in range(3):
            hidden = [
                float(x[b, t] @ row + bias)
                for row, bias in zip(model.fc1.weight, model.fc1.bias, strict=True)
            ]
            bent = [h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden]
            expected = model.fc2.weight @ torch.tensor(bent, dtype=torch.float64) + model.fc2.bias
            # tanh's approximation would be off by up to 5e-4 for each hidden value.
            assert torch.allclose(model(x)[b, t], expected, atol=1e-12)


@torch.no_grad()
def test_quick_gelu_is_x_times_a_sigmoid_and_near_the_exact_one() -> None:
    x = torch.linspace(-8, 8, 401, dtype=torch.float64)
    expected = [v / (1 + math.exp(-1.702 * v)) for v in x.tolist()]
    assert torch.allclose(quick_gelu(x), torch.tensor(expected, dtype=torch.float64), atol=1e-12)
    exact = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.tolist()]
    off = max(abs(a - b) for a, b in zip(quick_gelu(x).tolist(), exact, strict=True))
    assert off == pytest.approx(0.02, abs=0.0005)
    torch.manual_seed(0)
    model = MLP(6, activation="quick_gelu").double()
    x = torch.randn(2, 6, dtype=torch.float64)
    hidden = model.fc1(x)
    assert torch.allclose(model(x), model.fc2(hidden * torch.sigmoid(1.702 * hidden)), atol=1e-12)


@torch.no_grad()
def test_gelu_tanh_is_the_approximation_by_tanh() -> None:
    torch.manual_seed(0)
    model, x = MLP(6, activation="gelu_tanh").double(), torch.randn(2, 6, dtype=torch.float64)
    hidden = model.fc1(x)
    bent = [
        0.5 * v * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
        for v in hidden.flatten().tolist()
    ]
    expected = model.fc2(torch.tensor(bent, dtype=torch.float64).view_as(hidden))
    assert torch.allclose(model(x), expected, atol=1e-12)


def test_other_activations_are_refused() -> None:
    with pytest.raises(ValueError, match="gelu, gelu_tanh, quick_gelu, not 'relu'"):
        MLP(4, activation="relu")


def test_a_hidden_layer_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MLP(4, ratio=0.1)
