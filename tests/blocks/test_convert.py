"""blocks/convert: every name has a home on both sides, or one sentence lists all that have none."""

import pytest
import torch
from torch import nn

from course_lib.blocks.convert import check_filled, load_reference, rename, unfilled


class Ours(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
        self.query, self.key = nn.Linear(2, 3), nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(2)


TABLE = {
    "enc.block_*.lin.*": "layers.*.*",
    "enc.qk_*": ("query.*", "key.*"),
    "bn.*": "norm.*",
}


def theirs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"enc.qk_weight": (6, 2), "enc.qk_bias": (6,), "head.weight": (9, 2)}
    for i in range(2):
        shapes |= {f"enc.block_{i}.lin.weight": (2, 2), f"enc.block_{i}.lin.bias": (2,)}
    shapes |= {f"bn.{name}": (2,) for name in ("weight", "bias", "running_mean", "running_var")}
    state = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    return state | {"bn.num_batches_tracked": torch.tensor(7)}


def test_every_tensor_arrives_where_the_table_says() -> None:
    state = theirs()
    model = load_reference(Ours(), state, TABLE, ignored=["head.*"])
    assert torch.equal(model.layers[1].weight, state["enc.block_1.lin.weight"])
    assert torch.equal(model.layers[0].bias, state["enc.block_0.lin.bias"])
    assert torch.equal(model.query.weight, state["enc.qk_weight"][:3])
    assert torch.equal(model.key.weight, state["enc.qk_weight"][3:])
    assert torch.equal(model.key.bias, state["enc.qk_bias"][3:])
    assert torch.equal(model.norm.running_var, state["bn.running_var"])
    assert model.norm.num_batches_tracked == 7


def test_one_error_lists_both_sides_and_the_model_stays() -> None:
    state = theirs()
    state["surprise.weight"] = state.pop("enc.block_0.lin.bias")
    state["enc.block_1.lin.weight"] = torch.zeros(4, 4)
    state["enc.block_7.lin.bias"] = torch.zeros(2)
    state["enc.qk_bias"] = torch.zeros(5)
    model = Ours()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="these weights do not fit Ours: ") as caught:
        load_reference(model, state, TABLE)
    for part in (
        "theirs, without a home here: head.weight, surprise.weight",
        "not to be split evenly: enc.qk_bias (5,)",
        "in the model, but not filled: layers.0.bias, query.bias, key.bias",
        "filled, but not in the model: layers.7.bias",
        "of another shape: layers.1.weight (4, 4), here (2, 2)",
    ):
        assert part in str(caught.value)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_missing_part_is_never_forgotten() -> None:
    for name in set(theirs()) - {"head.weight"}:
        state = theirs()
        del state[name]
        with pytest.raises(ValueError, match="in the model, but not filled"):
            load_reference(Ours(), state, TABLE, ignored=["head.*"])


def test_two_tensors_for_one_place_are_a_fault() -> None:
    table = {"a": "x", "b": "x"}
    _, faults = rename({"a": torch.zeros(1), "b": torch.ones(1)}, table)
    assert faults["filled twice"] == ["x"]


def test_stars_do_not_cross_dots_and_the_first_line_counts() -> None:
    one = torch.zeros(1)
    table = {"a.special": "first", "a.*": "b.*", "c.*.d.*": "e.*.*"}
    renamed, faults = rename({"a.special": one, "a.x": one, "c.1.d.2": one, "a.x.y": one}, table)
    assert set(renamed) == {"first", "b.x", "e.1.2"}
    assert faults["theirs, without a home here"] == ["a.x.y"]
    _, faults = rename({"axb": one}, {"a.b": "c"})
    assert faults["theirs, without a home here"] == ["axb"]  # a dot is a dot


def test_a_wholly_wrong_file_makes_a_sentence_of_bearable_length() -> None:
    state = {f"layer{i}.weight": torch.zeros(1) for i in range(300)}
    with pytest.raises(ValueError, match=r"layer7\.weight and 292 more;") as caught:
        load_reference(Ours(), state, TABLE)
    assert len(str(caught.value)) < 1000


class Tied(nn.Module):
    """A frozen layer, two that are one, a buffer in the file and one that is computed here."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(5, 3)
        self.still = nn.Linear(3, 2).requires_grad_(False)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.words.weight
        self.norm = nn.BatchNorm1d(2)
        self.own = nn.Parameter(torch.ones(4))
        self.fixed = nn.Parameter(torch.ones(2), requires_grad=False)
        nn.init.normal_(self.own)
        self.register_buffer("angles", torch.arange(4.0) / 4, persistent=False)


def test_an_unfilled_model_takes_the_tensors_themselves() -> None:
    plain = Tied()
    plain.norm.running_mean += 3
    state = {name: tensor.bfloat16() for name, tensor in plain.state_dict().items()}
    names = {name: name for name in state}
    with unfilled():
        model = Tied()
        assert all(parameter.is_meta for parameter in model.parameters())
        load_reference(model, state, names)  # inside, as a from_reference that builds and fills
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.bfloat16
        same = "words.weight" if name == "head.weight" else name
        assert tensor.data_ptr() == state[same].data_ptr()
    grads = [(name, p.requires_grad) for name, p in plain.named_parameters()]
    assert [(name, p.requires_grad) for name, p in model.named_parameters()] == grads
    assert all(isinstance(parameter, nn.Parameter) for parameter in model.parameters())
    assert model.head.weight is model.words.weight
    assert torch.equal(model.angles, plain.angles)
    check_filled(model)


def test_a_filled_model_gets_copies() -> None:
    state = {name: tensor.clone() for name, tensor in Tied().state_dict().items()}
    model = load_reference(Tied(), state, {name: name for name in state})
    state["own"].zero_()
    assert model.own.abs().min() > 0
    assert model.head.weight is model.words.weight


def test_outside_of_unfilled_all_is_as_ever() -> None:
    with pytest.raises(RuntimeError, match="on the way"), unfilled():
        raise RuntimeError("on the way")
    assert not any(parameter.is_meta for parameter in Tied().parameters())


def test_a_model_of_shapes_only_stays_so_after_an_error() -> None:
    with unfilled():
        model = Ours()
    with pytest.raises(ValueError, match="theirs, without a home here: head"):
        load_reference(model, theirs(), TABLE)
    assert all(parameter.is_meta for parameter in model.parameters())
    with pytest.raises(
        ValueError, match=r"of Ours must be filled, but these .* layers\.0\.weight, .* and 2 more$"
    ):
        check_filled(model)


def test_what_no_file_can_fill_is_refused() -> None:
    state = Tied().state_dict()
    names = {name: name for name in state}
    with torch.device("meta"):
        model = Tied()
    with pytest.raises(ValueError, match=r"where nothing can fill them: angles$"):
        load_reference(model, state, names)
    with torch.device("meta"):
        check = Ours()
    load_reference(check, theirs(), TABLE, ignored=["head.*"])  # its buffers are in the file
    check_filled(check)
    assert check.norm.num_batches_tracked == 7
    with pytest.raises(ValueError, match=r"these are on the meta device: own, .* angles"):
        check_filled(model)
