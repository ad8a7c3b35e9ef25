"""blocks/ema: a slow average, by hand and as lightly takes it; whose what is, and bad input."""

import pytest
import torch
from torch import nn

from course_lib.blocks.ema import follow, slow_copy


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2, bias=False))


def numbers(model: nn.Module) -> list[float]:
    return [value for p in model.parameters() for value in p.flatten().tolist()]


def test_by_hand() -> None:
    student, teacher = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    student.weight.data = torch.tensor([[8.0, -4.0]])
    teacher.weight.data = torch.tensor([[0.0, 4.0]])
    follow(teacher, student, 0.75)  # 0.75 · 0 + 0.25 · 8 = 2 and 0.75 · 4 − 0.25 · 4 = 2
    assert teacher.weight.tolist() == [[2.0, 2.0]]
    follow(teacher, student, 0.5)  # (2 + 8) / 2 = 5 and (2 − 4) / 2 = −1
    assert teacher.weight.tolist() == [[5.0, -1.0]]


@pytest.mark.parametrize("momentum", [0.0, 0.1, 0.5, 0.996, 1.0])
def test_every_number_of_every_parameter(momentum: float) -> None:
    student, teacher = network(0), network(1)
    before, new = numbers(teacher), numbers(student)
    follow(teacher, student, momentum)
    expected = [momentum * t + (1 - momentum) * s for t, s in zip(before, new, strict=True)]
    assert numbers(teacher) == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert numbers(student) == new


def test_the_ends_are_exact_in_half_precision_too() -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        student, teacher = network(0).to(dtype), network(1).to(dtype)
        before = numbers(teacher)
        follow(teacher, student, 1.0)
        assert numbers(teacher) == before
        follow(teacher, student, 0.0)
        assert numbers(teacher) == numbers(student)


def test_the_distance_to_a_student_that_stands_shrinks_by_the_momentum() -> None:
    student, teacher = network(0), network(1)
    gap = torch.tensor(numbers(teacher)) - torch.tensor(numbers(student))
    for _ in range(10):
        follow(teacher, student, 0.9)
    left = torch.tensor(numbers(teacher)) - torch.tensor(numbers(student))
    assert torch.allclose(left, 0.9**10 * gap, rtol=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.99, 1.0])
def test_equals_lightly(momentum: float) -> None:
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    student, teacher = network(0), slow_copy(network(1))
    theirs = network(1)
    deactivate_requires_grad(theirs)
    for step in range(5):
        follow(teacher, student, momentum)
        update_momentum(student, theirs, m=momentum)
        for parameter in student.parameters():
            parameter.data += torch.sin(torch.full_like(parameter, step))
    for ours, expected in zip(teacher.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


def test_a_teacher_is_the_students_equal_and_nobodys_part() -> None:
    student = network(0)
    student(torch.randn(7, 3))  # moves BatchNorm's statistics
    teacher = slow_copy(student)
    assert type(teacher) is type(student)
    for name, tensor in student.state_dict().items():
        assert torch.equal(teacher.state_dict()[name], tensor), name
        assert teacher.state_dict()[name].data_ptr() != tensor.data_ptr(), name
    before = numbers(teacher)
    for parameter in student.parameters():
        parameter.data += 1
    assert numbers(teacher) == before
    assert all(p.requires_grad for p in student.parameters())


def test_no_gradient_reaches_the_teacher() -> None:
    student = network(0)
    teacher, x = slow_copy(student), torch.randn(4, 3)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(x).requires_grad
    (student(x) - teacher(x) + 1).square().sum().backward()
    follow(teacher, student, 0.5)
    assert all(p.grad is None and p.grad_fn is None for p in teacher.parameters())
    assert all(p.is_leaf for p in student.parameters())
    follow(teacher, student, 0.5)  # again, for a graph would have grown


def test_parameters_are_moved_in_place_and_buffers_are_each_networks_own() -> None:
    student, teacher = network(0), slow_copy(network(1))
    places = [p.data_ptr() for p in teacher.parameters()]
    student(torch.randn(7, 3))
    buffers = {name: b.clone() for name, b in teacher.named_buffers()}
    follow(teacher, student, 0.5)
    assert [p.data_ptr() for p in teacher.parameters()] == places
    assert all(torch.equal(b, buffers[name]) for name, b in teacher.named_buffers())
    assert not torch.equal(student[1].running_mean, teacher[1].running_mean)


@pytest.mark.parametrize("momentum", [-0.1, 1.1, float("nan")])
def test_a_momentum_is_a_share(momentum: float) -> None:
    before = network(1)
    teacher = slow_copy(before)
    with pytest.raises(ValueError, match=rf"from 0 to 1, but {momentum} was given"):
        follow(teacher, network(0), momentum)
    assert numbers(teacher) == numbers(before)


@pytest.mark.parametrize(
    "other",
    [
        lambda: nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)),
        lambda: nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)),
        lambda: nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1, bias=False)),
    ],
    ids=["fewer", "more", "another shape"],
)
def test_only_networks_of_one_build_follow(other) -> None:
    with pytest.raises(ValueError, match="a student of the same build, but these two differ"):
        follow(network(1), other(), 0.5)
