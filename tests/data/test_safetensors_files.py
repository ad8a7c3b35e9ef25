"""safetensors_files: every tensor arrives, nothing but safetensors is read, and no cut file."""

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from course_lib.data.safetensors_files import INDEX, WHOLE, RefusedError, Tensors, chosen, parts

STATE = {
    "a.weight": torch.arange(12.0).view(3, 4) / 7,
    "b": torch.tensor([1, 2, 3]),
    "c": torch.tensor(0.1, dtype=torch.float16),
}


def sharded(folder: Path, weight_map: dict | None = None) -> Path:
    save_file({"a.weight": STATE["a.weight"]}, folder / "model-1.safetensors")
    save_file({"b": STATE["b"], "c": STATE["c"]}, folder / "model-2.safetensors")
    own = {"a.weight": "model-1.safetensors"} | dict.fromkeys("bc", "model-2.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map or own}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", ["one file", "an index", "another name"])
def test_every_tensor_arrives(tmp_path: Path, kind: str) -> None:
    if kind == "an index":
        sharded(tmp_path)
        save_file({"other": torch.zeros(1)}, tmp_path / WHOLE)  # the index counts
    else:
        name = WHOLE if kind == "one file" else "weights.safetensors"
        save_file(STATE, tmp_path / name)
        (tmp_path / "pytorch_model.bin").write_bytes(b"not read")
    found = Tensors(tmp_path)
    assert set(found) == set(STATE)
    assert len(found) == 3
    assert "b" in found
    assert "d" not in found
    for name, tensor in found.items():
        assert tensor.dtype == STATE[name].dtype
        assert torch.equal(tensor, STATE[name])
    with pytest.raises(KeyError):
        found["d"]


def test_floats_are_converted_and_integers_are_not(tmp_path: Path) -> None:
    found = Tensors(sharded(tmp_path), torch.bfloat16)
    assert [found[name].dtype for name in STATE] == [torch.bfloat16, torch.int64, torch.bfloat16]
    assert torch.equal(found["a.weight"], STATE["a.weight"].bfloat16())
    with pytest.raises(ValueError, match=r"must be a floating-point type or None, not torch\.int8"):
        Tensors(tmp_path, torch.int8)


def test_what_is_written_into_a_tensor_does_not_reach_the_file(tmp_path: Path) -> None:
    found = Tensors(sharded(tmp_path))
    found["a.weight"].zero_()
    assert torch.equal(found["a.weight"], STATE["a.weight"])


def test_asking_for_a_name_reads_no_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Tensors(sharded(tmp_path))
    monkeypatch.setattr(Tensors, "__getitem__", None)
    assert "b" in found
    assert list(found) == list(STATE)


def test_a_tensor_is_real_wherever_it_is_asked_for(tmp_path: Path) -> None:
    found = Tensors(sharded(tmp_path), torch.bfloat16)
    with torch.device("meta"):
        assert found["a.weight"].device.type == "cpu"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pt", "a.pth", "a.ckpt", "tf_model.h5"])
def test_a_pickle_is_never_opened(tmp_path: Path, name: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "went off",))

    torch.save(Bomb(), tmp_path / name)
    with pytest.raises(RefusedError) as caught:
        Tensors(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} has its weights only as {name}, which are never opened here: unlike "
        "safetensors, a pickle runs whatever program its author put in it"
    )
    assert not (tmp_path / "went off").exists()


def test_one_must_know_which_file_to_read() -> None:
    assert chosen({WHOLE, "model.fp16.safetensors", "README.md"}, "x") == WHOLE
    assert chosen({WHOLE, INDEX}, "x") == INDEX
    assert chosen({"a.safetensors", "onnx/b.safetensors"}, "x") == "a.safetensors"
    with pytest.raises(RefusedError, match=r"but there are a\.safetensors, b\.safetensors"):
        chosen({"b.safetensors", "a.safetensors"}, "x")
    for names in (set(), {"onnx/b.safetensors", "config.json"}):
        with pytest.raises(RefusedError, match=r"is expected in x, but it has no weights at all"):
            chosen(names, "x")


@pytest.mark.parametrize(
    "place",
    ["../../x.safetensors", "/etc/x.safetensors", "..\\x.safetensors", "sub/x.safetensors",
     "C:x.safetensors", "..", "", ".x.safetensors", "x\0.safetensors"],
)  # fmt: skip
def test_an_index_may_not_leave_its_folder(tmp_path: Path, place: str) -> None:
    folder = sharded(tmp_path, {"a.weight": "model-1.safetensors", "b": place})
    with pytest.raises(RefusedError, match="may only name files beside it, but it puts b in"):
        Tensors(folder)


def test_an_index_may_not_name_a_pickle(tmp_path: Path) -> None:
    folder = sharded(tmp_path, {"a.weight": "pytorch_model.bin"})
    with pytest.raises(RefusedError, match=r"safetensors files, not 'pytorch_model\.bin'"):
        Tensors(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3, "b": "x"}}',
             '{"weight_map": {"a": []}}', "\x00"],
)  # fmt: skip
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / INDEX).write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match="is no index of safetensors files"):
        parts(tmp_path / INDEX)


def test_files_must_hold_what_the_index_says(tmp_path: Path) -> None:
    places = {"a.weight": "model-1.safetensors", "b": "model-2.safetensors"}
    with pytest.raises(RefusedError, match=r"same tensors, but only one names c"):
        Tensors(sharded(tmp_path, places))
    places |= {"c": "model-1.safetensors"}
    with pytest.raises(RefusedError, match=r"model-1\.safetensors and the index .* names c"):
        Tensors(sharded(tmp_path, places))
    (tmp_path / "model-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError):
        Tensors(tmp_path)


def test_a_header_must_cover_the_file_to_the_last_byte(tmp_path: Path) -> None:
    path = tmp_path / WHOLE
    save_file(STATE, path)
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header, numbers = json.loads(whole[8 : 8 + length]), whole[8 + length :]

    def changed(name: str, **entry: list) -> bytes:
        text = json.dumps(header | {name: header[name] | entry}).encode()
        return struct.pack("<Q", len(text)) + text + numbers

    for wrong in (
        b"", b"<html>Not Found</html>", whole[:20], whole[:-1], whole + b"x",
        changed("a.weight", shape=[3, 5]),
        changed("a.weight", data_offsets=[0, 4800]),
        changed("a.weight", data_offsets=header["b"]["data_offsets"]),
        struct.pack("<Q", 1 << 60) + whole[8:],
    ):  # fmt: skip
        path.write_bytes(wrong)
        with pytest.raises(RefusedError, match=r"^model\.safetensors is no whole safetensors file"):
            Tensors(tmp_path)
