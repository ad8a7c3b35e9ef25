"""blocks/mlp: one number at a time, with the error function of the standard library."""

import math

import pytest
import torch

from course_lib.blocks.mlp import MLP


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


def test_a_hidden_layer_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MLP(4, ratio=0.1)
