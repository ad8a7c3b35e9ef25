"""The wire: what goes in comes out, and bytes of a stranger run nothing and break nothing."""

import json
import math
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.classroom import returned, wire
from course_lib.classroom.probes import Probe
from course_lib.classroom.sandbox import Limits

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value):
    assert repr(wire.decode(wire.encode(value), only_plain=True)) == repr(value)


@pytest.mark.parametrize("name", ["?", "<i1", "<u8", ">i4", "<f2", "<f4", "<f8", "<c16", "<U3"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_arrays_keep_type_shape_and_bytes(name, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(name)
    got = wire.decode(wire.encode({"a": [array]}), only_plain=True)["a"][0]
    assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
    got[...] = got  # it may be written into


def test_cases_hold_tuples_tensors_scalars_and_generators():
    rng, torch_rng = np.random.default_rng(3), torch.Generator().manual_seed(4)
    tensor = torch.arange(3.0, dtype=torch.bfloat16).requires_grad_()
    case = {"a": (1, [2]), "b": tensor, "c": np.float32(0.1), "d": rng, "e": torch_rng, 7: None}
    got = wire.decode(wire.encode(case))
    assert got["a"] == (1, [2])
    assert got["b"].dtype == torch.bfloat16
    assert got["b"].requires_grad
    assert got["b"].tolist() == [0, 1, 2]
    assert type(got["c"]) is np.float32
    assert got["d"].random() == rng.random()
    assert torch.rand(1, generator=got["e"]) == torch.rand(1, generator=torch_rng)
    assert got[7] is None


@pytest.mark.parametrize(
    "value",
    [object(), len, {1, 2}, np.array([None]), np.ma.array([1]), "\ud800", b"x", {"a": print}],
    ids=lambda value: type(value).__name__,  # addresses would differ from process to process
)
def test_what_is_no_plain_data_is_refused(value):
    with pytest.raises(wire.WireError):
        wire.encode(value)


def message(tree, blobs=b""):
    head = json.dumps(tree).encode()
    return struct.pack(">I", len(head)) + head + blobs


def nested(depth):
    return message(json.loads("[" * depth + "]" * depth))


LIES = {
    "empty": b"",
    "short": b"\0\0\0\xff[1",
    "no JSON": b"\0\0\0\x02{x",
    "pickle": pickle.dumps(print),
    "objects": message({"array": ["|O", [1], 0, 8]}, b"x" * 8),
    "record": message({"array": ["V8", [1], 0, 8]}, b"x" * 8),
    "dates": message({"array": ["<M8[s]", [1], 0, 8]}, b"x" * 8),
    "too few bytes": message({"array": ["<f8", [9], 0, 8]}, b"x" * 8),
    "outside": message({"array": ["<f8", [1], 99, 8]}, b"x" * 8),
    "below zero": message({"array": ["<f8", [-1, -1], 0, 8]}, b"x" * 8),
    "endless shape": message({"array": ["<f8", [2**70, 0, 2**70], 0, 0]}),
    "truth of seven": message({"array": ["|b1", [1], 0, 1]}, b"\x07"),
    "no letter": message({"array": ["<U1", [1], 0, 4]}, b"\xff\xff\xff\x7f"),
    "half a letter": message("\ud800"),
    "two kinds": message({"dict": [], "array": []}),
    "unknown kind": message({"module": "os"}),
    "tuple": message({"tuple": [1]}),
    "generator": message({"generator": {"dict": [["bit_generator", "seed"]]}}),
    "number for a key": message({"dict": [[1, 2]]}),
    "deep": nested(40),
    "very deep": b"\0\0\x40\0" + b"[" * 2**14,
    "long number": message(0).replace(b"\x01", b"\x00", 1)[:0] + b"\0\0\x20\0" + b"9" * 2**13,
    "many commas": message("," * (8 * wire.ITEMS + 1)),
    "many lists": struct.pack(">I", 15 * wire.ITEMS) + b"[" + b"{},[]," * (3 * wire.ITEMS),
    "a seed of nine": message({"torch_generator": ["|u1", [9], 0, 9]}, b"x" * 9),
    "many items": message([0] * (wire.ITEMS + 1)),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused_in_a_sentence(name):
    with pytest.raises(wire.WireError):
        wire.decode(LIES[name], only_plain=True)


def test_a_case_that_lies_is_refused_too():
    for lie in ("a seed of nine", "generator", "truth of seven"):
        with pytest.raises(wire.WireError):
            wire.decode(LIES[lie])


def test_commas_and_brackets_are_counted_before_they_are_read(monkeypatch):
    monkeypatch.setattr(wire.json, "loads", lambda _: pytest.fail("read"))
    with pytest.raises(wire.WireError, match="items came back"):
        wire.decode(LIES["many lists"])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(content):
    for text in (content, struct.pack(">I", len(content)) + content):
        try:
            wire.decode(text, only_plain=True)
        except wire.WireError:
            continue


def test_frames_are_cut_where_they_end_and_counted():
    stream = wire.HEAD.pack(b"A", 3, 2) + b"xy" + wire.HEAD.pack(b"B", 0, 0)
    frames = wire.Frames(100)
    got = [frame for n in range(len(stream)) for frame in frames.feed(stream[n : n + 1])]
    assert got == [(b"A", 3, b"xy"), (b"B", 0, b"")]
    with pytest.raises(wire.WireError, match="MB came back"):
        list(wire.Frames(50).feed(wire.HEAD.pack(b"A", 0, 2**31)))
    with pytest.raises(wire.WireError, match="MB came back"):
        list(wire.Frames(50).feed(bytes(51)))


PROBE = Probe("f", "implement", True, "", cases=({"x": 1, "y": 2}, {"x": 3, "y": 4}))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"value": math.inf}, {"value": math.inf}),
        ({"value": 1, "score": 9, "right": True}, {"value": 1}),
        ({"value": 1, "untouched": True}, {"untouched": True}),
        ({"value": 1, "error": "a\nb\x00c"}, {"error": "a bc"}),
        ({"value": 1, "changed": ["y", "z", 3]}, {"value": 1, "changed": ["y"]}),
        ({"value": 1, "returned": 1, "where": 5}, {"value": 1}),
        ("value", {"error": "what came back is no result"}),
    ],
)
def test_an_output_keeps_only_what_it_may_have(sent, kept):
    assert returned.checked(PROBE, wire.encode([sent, {"value": 2}])) == [kept, {"value": 2}]


@pytest.mark.parametrize(
    "value", [np.random.default_rng(0), torch.zeros(2), {3: 4}], ids=lambda v: type(v).__name__
)
def test_what_only_a_bent_desk_sends_is_an_error(value):
    message = wire.encode([{"value": value}, {"value": 2}])
    assert wire.decode(message)  # as a case it may be
    assert all("error" in output for output in returned.checked(PROBE, message))


@pytest.mark.parametrize("sent", [[], [{"value": 1}] * 3, {"value": 1}, None])
def test_results_that_are_too_few_or_too_many_are_none(sent):
    got = returned.checked(PROBE, wire.encode(sent))
    assert got == [{"error": "what came back is no list of results"}] * 2


def test_a_long_error_is_cut_and_a_lost_test_rejects_nothing():
    (got, _) = returned.checked(PROBE, wire.encode([{"error": "x" * 999}, {}]))
    assert len(got["error"]) == 300
    test = Probe("t", "test", True, "", ways=("w",) * 2)
    assert returned.lost_outputs(test, "time", Limits()) == [{}]
    assert "20 s" in returned.lost_outputs(PROBE, "time", Limits())[1]["error"]
