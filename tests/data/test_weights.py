"""weights, weights_table: a hub on this machine serves tiny models, and fails in every way we know.

It has the hub's addresses: the list of a repository's files under /api, and each file under
/resolve/, by branch or commit, with its ETag, commit and size. huggingface_hub's client is the real
one; only its pauses are cut.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import timm
import torch
import transformers
from torch import nn

from course_lib.backbones import vit
from course_lib.data import weights
from course_lib.data.safetensors_files import INDEX, WHOLE, RefusedError
from course_lib.data.weights import NotHereError, here, load, offline_note, published
from course_lib.data.weights_table import CLIP, WEIGHTS, Preprocessing, Weights
from course_lib.doctor import ROOT
from course_lib.selfsup import dino, mae
from course_lib.vision_language import blip, llava

COMMIT, OTHER = "0123456789abcdef0123456789abcdef01234567", "f" * 40
SIZES = {
    "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 24,
    "image_size": 16, "patch_size": 4,
}  # fmt: skip


def vit_reference() -> nn.Module:
    return transformers.ViTModel(transformers.ViTConfig(**SIZES), add_pooling_layer=False)


def mae_reference() -> nn.Module:
    decoder = {
        "decoder_hidden_size": 8, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 32,
    }  # fmt: skip
    return transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**SIZES, **decoder))


def clip_reference() -> nn.Module:
    sizes = {name: value for name, value in SIZES.items() if "size" not in name}
    text = sizes | {"hidden_size": 12, "intermediate_size": 24, "vocab_size": 30}
    config = transformers.CLIPConfig(text_config=text, vision_config=SIZES, projection_dim=5)
    return transformers.CLIPModel(config)


def repository(folder: Path, reference: nn.Module, shards: bool = False) -> Path:
    """What the hub has of a model: weights, settings, vocabulary, and files nobody asks for."""
    reference.config.save_pretrained(folder)
    size = "3KB" if shards else "1GB"
    huggingface_hub.save_torch_state_dict(reference.state_dict(), folder, max_shard_size=size)
    assert (folder / INDEX).is_file() == shards
    assert (len(list(folder.glob("*.safetensors"))) > 3) == shards
    settings = {"image_mean": CLIP[0], "size": 16}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    for name in ("vocab.json", "merges.txt", "tokenizer.json"):
        (folder / name).write_text(f"{{}}  {name}", encoding="utf-8")
    for name in ("README.md", "pytorch_model.bin", "tf_model.h5", "training_args.bin", "run.py"):
        (folder / name).write_bytes(b"never fetched")
    return folder


FETCHED = {"config.json", "preprocessor_config.json", "vocab.json", "merges.txt", "tokenizer.json"}


class Handler(BaseHTTPRequestHandler):
    """Serves `hub.folder`, doing the next of `hub.faults[file]`; logs (method, file, range)."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.server.hub
        listed = re.fullmatch(r"/api/models/me/tiny/revision/([^?]+).*", self.path)
        wanted = re.fullmatch(r"/me/tiny/resolve/([^/]+)/([^?]+)", self.path)
        at, file = (listed[1], "api") if listed else wanted.groups() if wanted else ("", "")
        with hub.door:
            asked = self.headers.get("Range")
            hub.log.append((self.command, file, asked))
            faults = hub.faults.get(file if self.command == "GET" else f"HEAD {file}", [])
            fault = faults.pop(0) if faults else None
        if fault is None and at not in (COMMIT, hub.branch):
            fault = 404
        if isinstance(fault, int):
            self.answer(fault, {"X-Error-Code": "RevisionNotFound"} if fault == 404 else {}, b"")
        elif fault == "slow":
            hub.released.wait(20)
            self.close_connection = True
        elif listed:
            names = [{"rfilename": path.name} for path in sorted(hub.folder.iterdir())]
            about = {"id": "me/tiny", "sha": COMMIT, "siblings": names}
            self.answer(200, {"Content-Type": "application/json"}, json.dumps(about).encode())
        elif (hub.folder / file).is_file():
            self.serve((hub.folder / file).read_bytes(), file, asked, fault)
        else:
            self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"")

    def serve(self, whole: bytes, file: str, asked: str | None, fault: str | None) -> None:
        body = {"wrong": whole[:-1] + bytes([whole[-1] ^ 1]), "empty": b""}.get(fault, whole)
        digest = hashlib.sha256 if file.endswith(".safetensors") else hashlib.sha1  # LFS, or git
        headers = {
            "ETag": f'"{digest(whole).hexdigest()}"',
            "X-Repo-Commit": self.server.hub.commits.get(file, COMMIT),
            "X-Linked-Size": str(0 if fault == "empty" else len(whole)),
            "Accept-Ranges": "bytes",
        }
        first, status = 0, 200
        if asked:
            first, status = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]), 206
            headers["Content-Range"] = f"bytes {first}-{len(whole) - 1}/{len(whole)}"
        end = {"cut": first + (len(whole) - first) // 2, "short": len(whole) - 9}.get(fault)
        told = {"short": len(whole) - 9 - first}.get(fault, len(body) - first)
        self.answer(status, headers, body[first:end], told)

    def answer(self, status: int, headers: dict, body: bytes, told: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if told is None else told))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection = told is not None and told != len(body)

    def log_message(self, *args: object) -> None:
        pass


class Hub:
    """The server and what a test sets or reads of it."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache, self.branch = folder, cache, "main"
        self.faults: dict[str, list[int | str]] = {}
        self.commits: dict[str, str] = {}  # other than COMMIT
        self.log: list[tuple[str, str, str | None]] = []
        self.door, self.released = threading.Lock(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.hub = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fetched(self) -> list[str]:
        return [file for method, file, _ in self.log if method == "GET" and file != "api"]

    def left(self) -> list[str]:
        """Files in the cache, but for locks and notes."""
        blobs = [path for path in self.cache.rglob("*") if path.is_file() or path.is_symlink()]
        return sorted(
            path.name
            for path in blobs
            if not {".locks", "refs", ".no_exist"} & set(path.parts) and path.suffix != ".TAG"
        )


ROW = Weights(
    "me/tiny", COMMIT, "public domain", 1_000_000, False, Preprocessing(16, None, CLIP, ""), None
)


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Weights]:
    """row(**changes) puts a row of the table under the name "tiny"."""

    def put(**changes: object) -> Weights:
        monkeypatch.setitem(WEIGHTS, "tiny", replace(ROW, **changes))
        return WEIGHTS["tiny"]

    put()
    return put


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Connections are allowed, the cache is this test's, and its client does not wait."""
    monkeypatch.setenv("COURSE_OFFLINE", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.3)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr(weights, "TIMEOUT", 0.3)
    no_pause = SimpleNamespace(sleep=lambda seconds: None, time=lambda: 0.0)
    monkeypatch.setattr(huggingface_hub.file_download, "time", no_pause)
    monkeypatch.setattr(huggingface_hub.file_download, "_ETAG_RETRY_TIMEOUT", 0.3)
    monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", no_pause.sleep)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    reference = vit_reference()
    return repository(tmp_path_factory.mktemp("one"), reference), reference.eval()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    torch.manual_seed(1)
    reference = mae_reference()
    return repository(tmp_path_factory.mktemp("shards"), reference, shards=True), reference.eval()


def serve(folder: Path, cache: Path) -> Iterator[Hub]:
    hub = Hub(folder, cache)
    threading.Thread(target=hub.server.serve_forever, args=(0.01,), daemon=True).start()
    yield hub
    hub.released.set()
    hub.server.shutdown()
    hub.server.server_close()


@pytest.fixture
def hub(one_file: tuple, row: Callable, online: Path) -> Iterator[Hub]:
    yield from serve(one_file[0], online)


@pytest.fixture
def hub_of_shards(shards: tuple, row: Callable, online: Path) -> Iterator[Hub]:
    yield from serve(shards[0], online)


def digests(folder: Path) -> dict[str, str]:
    files = folder.glob("*.safetensors")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def same_outputs(model: vit.ViT, reference: nn.Module, dtype: torch.dtype) -> None:
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2)).to(dtype)
    model, reference = model.eval(), reference.to(dtype)
    torch.testing.assert_close(
        model.tokens(images), reference(images).last_hidden_state, atol=1e-5, rtol=1e-5
    )
    reference.float()


# --- a folder -----------------------------------------------------------------------------------


def test_a_folder_becomes_our_model(one_file: tuple, row: Callable) -> None:
    folder, reference = one_file
    size = (folder / WHOLE).stat().st_size
    row(sha256=digests(folder), size=size, exact=True)
    found = published("tiny", folder=folder)
    assert found.row is WEIGHTS["tiny"]
    assert found.config == json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert found.preprocessor["size"] == 16
    assert set(found.vocabulary) == {"vocab.json", "merges.txt", "tokenizer.json"}
    assert found.vocabulary["merges.txt"].read_text(encoding="utf-8").endswith("merges.txt")
    assert found.commit is None
    for dtype in (None, torch.float32, torch.float64):
        model = load(vit.from_reference, "tiny", dtype=dtype, folder=folder)
        same_outputs(model, reference, dtype or torch.float32)
        assert all(parameter.requires_grad for parameter in model.parameters())
    assert load(vit.from_reference, "tiny", folder=folder).prefix.dtype == torch.bfloat16


def test_shards_become_our_mae(shards: tuple, row: Callable) -> None:
    folder, reference = shards
    row(sha256=digests(folder))
    model = load(mae.from_reference, "tiny", dtype=torch.float64, folder=folder)
    config = published("tiny", folder=folder).config
    plain = mae.from_reference(reference.double().state_dict(), config).double()
    images = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    noise = torch.rand(3, 16, dtype=torch.float64)
    hidden = noise.argsort(1).argsort(1) >= 4
    theirs = reference(images, noise=noise)
    torch.testing.assert_close(model.loss(images, hidden), theirs.loss, atol=1e-5, rtol=1e-5)
    for one in (model, plain):
        one.loss(images, hidden).backward()
    for (name, ours), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours.grad, other.grad), name
    # The tables of positions are in the file: they are its, not the constructor's.
    assert torch.equal(model.decoder_positions, plain.decoder_positions)
    assert model.encoder.positions.dtype == torch.float64
    reference.float()


def test_dinos_teacher_and_centre_are_filled_too(tmp_path: Path, row: Callable) -> None:
    from lightly.models.modules import DINOProjectionHead
    from safetensors.torch import save_file

    torch.manual_seed(3)
    options = {"img_size": 16, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3}
    backbone = timm.models.VisionTransformer(**options, num_classes=0)
    head = DINOProjectionHead(12, 10, 6, 9, batch_norm=False, norm_last_layer=True)
    state = {f"backbone.{name}": t for name, t in backbone.state_dict().items()}
    state |= {f"head.{name}": t for name, t in head.state_dict().items()}
    plain = dino.from_reference(state, options)
    save_file(state, tmp_path / WHOLE)
    timms = {"architecture": "vit", "num_features": 12}  # its config.json is no list of options
    (tmp_path / "config.json").write_text(json.dumps(timms), encoding="utf-8")
    row(config=options)
    model = load(dino.from_reference, "tiny", dtype=None, folder=tmp_path)
    assert set(dict(model.named_buffers())) == set(dict(plain.named_buffers()))
    for name, tensor in (*plain.state_dict().items(), *plain.named_buffers()):
        assert torch.equal(model.get_parameter(name) if "student" in name or "teacher" in name
                           else model.get_buffer(name), tensor)  # fmt: skip
    assert [p.requires_grad for p in model.parameters()] == [
        p.requires_grad for p in plain.parameters()
    ]
    with torch.no_grad():
        model.student.head.prototypes.zero_()
    assert model.teacher.head.prototypes.abs().max() > 0


def test_clip_arrives_as_it_was(tmp_path: Path, row: Callable) -> None:
    reference = clip_reference()
    repository(tmp_path, reference, shards=True)
    found = published("tiny", folder=tmp_path)
    state = reference.state_dict()
    assert set(found.state_dict) <= set(state)
    for name, tensor in found.state_dict.items():
        assert torch.equal(tensor, state[name])
    assert {name for name in state if name not in found.state_dict} <= {
        "text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"
    }  # fmt: skip
    assert found.config["projection_dim"] == 5


def test_a_model_left_partly_unfilled_is_refused(one_file: tuple, row: Callable) -> None:
    def half(state: dict, config: dict) -> nn.Module:
        return nn.ModuleList([vit.from_reference(state, config), nn.Linear(2, 3)])

    with pytest.raises(ValueError, match=r"these are on the meta device: 1\.weight, 1\.bias$"):
        load(half, "tiny", folder=one_file[0])


def test_a_folder_that_is_not_what_it_should_be(
    one_file: tuple, tmp_path: Path, row: Callable
) -> None:
    folder = tmp_path / "copy"
    with pytest.raises(NotHereError, match=f"the files of me/tiny is expected at {folder}$"):
        published("tiny", folder=folder)
    repository(folder, vit_reference())
    own = digests(folder)[WHOLE]
    row(sha256={WHOLE: "0" * 64})
    with pytest.raises(RefusedError, match=f"has the SHA-256 {'0' * 64}, but this one {own}$"):
        published("tiny", folder=folder)
    row(exact=True, size=7)
    with pytest.raises(RefusedError, match=r"me/tiny have 7 bytes, but these have [\d,]+$"):
        published("tiny", folder=folder)
    row()
    (folder / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RefusedError, match=r"^config\.json in .* is not a list of settings"):
        published("tiny", folder=folder)
    (folder / "config.json").unlink()
    with pytest.raises(RefusedError, match=r"^config\.json is missing in .*copy"):
        published("tiny", folder=folder)
    (folder / WHOLE).unlink()
    with pytest.raises(RefusedError, match=r"only as pytorch_model\.bin, tf_model\.h5, training"):
        published("tiny", folder=folder)
    (folder / INDEX).write_text('{"weight_map": {"a": "x.safetensors"}}', encoding="utf-8")
    with pytest.raises(NotHereError, match=r"^x\.safetensors is missing in .*copy$"):
        published("tiny", folder=folder)
    assert (folder / "vocab.json").is_file()  # nothing of one's own is deleted


# --- a hub --------------------------------------------------------------------------------------


def test_it_is_fetched_once_and_nothing_else_is(hub: Hub, one_file: tuple, row: Callable) -> None:
    row(sha256=digests(hub.folder))
    assert not here("tiny")
    model = load(vit.from_reference, "tiny", dtype=torch.float32, endpoint=hub.url)
    same_outputs(model, one_file[1], torch.float32)
    assert sorted(hub.fetched()) == sorted({*FETCHED, WHOLE})
    assert here("tiny")
    hub.log.clear()
    found = published("tiny", endpoint=hub.url)
    assert hub.log == []
    assert found.commit == COMMIT
    assert set(found.vocabulary) == {"vocab.json", "merges.txt", "tokenizer.json"}


def test_shards_are_fetched_by_the_index(hub_of_shards: Hub, shards: tuple) -> None:
    hub = hub_of_shards
    (hub.folder / "model.fp16.safetensors").write_bytes(b"of no index")
    found = published("tiny", endpoint=hub.url)
    assert sorted(hub.fetched()) == sorted({*FETCHED, INDEX, *digests(hub.folder)} - {
        "model.fp16.safetensors"
    })  # fmt: skip
    assert set(found.state_dict) == set(shards[1].state_dict())
    (hub.folder / "model.fp16.safetensors").unlink()
    shard = next(hub.cache.rglob("snapshots/*/model-00002*"))
    shard.unlink()
    assert not here("tiny")
    hub.log.clear()
    published("tiny", endpoint=hub.url)
    assert hub.fetched() == []  # the blob was still there
    assert here("tiny")


def test_offline_it_says_what_to_do(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    with pytest.raises(NotHereError) as caught:
        published("tiny", endpoint=hub.url)
    assert str(caught.value) == (
        "The weights tiny are not on this machine, and COURSE_OFFLINE=1 forbids to fetch them: when"
        " online, run  python -c \"from course_lib.data.weights import published; published('tiny')"
        '"  to fetch about 1 MB from me/tiny on the Hugging Face hub '
        f"(revision {COMMIT}; public domain)."
    )
    assert hub.log == []
    monkeypatch.setenv("COURSE_OFFLINE", "0")
    published("tiny", endpoint=hub.url)
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    hub.log.clear()
    load(vit.from_reference, "tiny")
    assert hub.log == []


def test_what_huggingface_hub_forbids_is_obeyed(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(NotHereError, match=r"could not be fetched \(OfflineModeIsEnabled"):
        published("tiny", endpoint=hub.url)
    assert hub.log == []


def test_without_a_revision_the_commit_is_told(
    hub: Hub, row: Callable, capsys: pytest.CaptureFixture
) -> None:
    hub.branch = "refs%2Fpr%2F9"
    row(revision=None, branch="refs/pr/9")
    assert "(refs/pr/9 as it then is, since we know no revision of it;" in offline_note("tiny")
    assert published("tiny", endpoint=hub.url).commit == COMMIT
    assert capsys.readouterr().err.endswith(f"tiny: refs/pr/9 of me/tiny is commit {COMMIT}\n")
    assert here("tiny")
    hub.log.clear()
    assert published("tiny", endpoint=hub.url).commit == COMMIT
    assert hub.log == []


def refused(hub: Hub, kind: type[Exception] = NotHereError) -> str:
    """The sentence of the error; there is one, and no weights, whole or half, are in the cache."""
    with pytest.raises(kind) as caught:
        published("tiny", endpoint=hub.url)
    said = str(caught.value)
    assert "\n" not in said
    assert "127.0.0.1" not in said
    assert not here("tiny")
    weight_blobs = {*digests(hub.folder).values(), *digests(hub.folder)}
    left = hub.left()
    assert not [name for name in left if name.endswith(".incomplete") or name in weight_blobs]
    return said


def test_a_cut_connection_goes_on_where_it_stopped(hub: Hub, row: Callable) -> None:
    row(sha256=digests(hub.folder))
    hub.faults[WHOLE] = ["cut", "cut", "cut"]
    found = published("tiny", endpoint=hub.url)
    whole = (hub.folder / WHOLE).read_bytes()
    assert (next(hub.cache.rglob(f"snapshots/*/{WHOLE}"))).read_bytes() == whole
    assert len(found.state_dict) > 0
    ranges = [asked for method, file, asked in hub.log if (method, file) == ("GET", WHOLE)]
    starts = [int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) for asked in ranges[1:]]
    assert ranges[0] is None
    assert len(whole) // 2 - 1000 < starts[0] < starts[1] < starts[2] < len(whole)


def test_a_connection_that_is_always_cut_leaves_nothing(hub: Hub) -> None:
    hub.faults[WHOLE] = ["slow"] * 20
    assert "could not be fetched (ReadTimeout" in refused(hub)
    hub.faults.clear()
    published("tiny", endpoint=hub.url)


def test_other_bytes_are_found_out_and_deleted(hub: Hub, row: Callable) -> None:
    for known in ({}, digests(hub.folder)):  # by the table, or by what the hub announces
        row(sha256=known)
        hub.faults[WHOLE] = ["wrong"]
        own = digests(hub.folder)[WHOLE]
        assert f"{WHOLE} of me/tiny has the SHA-256 {own}, but this one" in refused(
            hub, RefusedError
        )
    row(sha256={WHOLE: "0" * 64})  # the hub is at one with itself, but not with the table
    assert f"has the SHA-256 {'0' * 64}" in refused(hub, RefusedError)
    row(size=5, exact=True)
    assert "have 5 bytes, but these have" in refused(hub, RefusedError)
    row(sha256=digests(hub.folder))
    published("tiny", endpoint=hub.url)


def test_an_empty_file_is_found_out(hub: Hub) -> None:
    hub.faults = {WHOLE: ["empty"], f"HEAD {WHOLE}": ["empty"]}
    assert "has the SHA-256" in refused(hub, RefusedError)


def test_a_length_that_is_not_true_is_found_out(hub: Hub) -> None:
    hub.faults[WHOLE] = ["short"] * 20
    assert "(OSError, Consistency check failed" in refused(hub)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
@pytest.mark.parametrize("file", ["api", "config.json", WHOLE])
def test_an_answer_of_http_is_told(hub: Hub, status: int, file: str) -> None:
    hub.faults = {file: [status] * 20, f"HEAD {file}": [status] * 20}
    assert f"could not be fetched (HTTP {status}): when online, run" in refused(hub)


def test_a_hub_that_does_not_answer_is_given_up(hub: Hub) -> None:
    hub.faults["api"] = ["slow"]
    assert "could not be fetched (ReadTimeout" in refused(hub)
    hub.faults = {f"HEAD {WHOLE}": ["slow"] * 20}
    assert "could not be fetched (ReadTimeout" in refused(hub)


def test_nobody_there_is_told(hub: Hub) -> None:
    hub.url = "http://127.0.0.1:9"
    assert "could not be fetched (ConnectError" in refused(hub)


def test_a_revision_that_is_gone_is_told(hub: Hub, row: Callable) -> None:
    row(revision=OTHER)
    assert "HTTP 404): when online, run" in refused(hub)


def test_pickles_alone_are_refused_before_anything_is_fetched(hub: Hub, tmp_path: Path) -> None:
    hub.folder = tmp_path / "pickles"
    hub.folder.mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        (hub.folder / name).write_bytes(b"{}")
    with pytest.raises(RefusedError, match=r"^me/tiny has its weights only as pytorch_model\.bin"):
        published("tiny", endpoint=hub.url)
    assert [file for _, file, _ in hub.log] == ["api"]


@pytest.mark.parametrize("place", ["../../../../x.safetensors", "pytorch_model.bin"])
def test_a_hostile_index_reaches_nothing(hub: Hub, tmp_path: Path, place: str) -> None:
    hub.folder = repository(tmp_path / "hostile", vit_reference())
    text = json.dumps({"weight_map": {"a": place}})
    (hub.folder / INDEX).write_text(text, encoding="utf-8")
    with pytest.raises(RefusedError, match=f"{re.escape(INDEX)} may only name"):
        published("tiny", endpoint=hub.url)
    assert set(hub.fetched()) <= {*FETCHED, INDEX}
    assert not here("tiny")
    (hub.folder / INDEX).unlink()
    published("tiny", endpoint=hub.url)  # and it does not stay in the way


def test_a_cut_file_of_the_hub_itself_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.folder = repository(tmp_path / "cut", vit_reference())
    whole = (hub.folder / WHOLE).read_bytes()
    (hub.folder / WHOLE).write_bytes(whole[:-100])
    assert "is no whole safetensors file" in refused(hub, RefusedError)


def test_files_of_two_commits_are_not_mixed(hub: Hub, row: Callable) -> None:
    row(revision=None)
    hub.commits[WHOLE] = OTHER
    with pytest.raises(NotHereError, match="me/tiny changed while it was fetched"):
        published("tiny", endpoint=hub.url)


def test_ones_token_is_not_sent_to_a_mirror(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    seen = []
    real = Handler.do_GET
    monkeypatch.setattr(
        Handler, "do_GET", lambda self: (seen.append(self.headers["Authorization"]), real(self))[1]
    )
    published("tiny", endpoint=hub.url)
    assert seen
    assert set(seen) == {None}


# --- BLIP and LLaVA -----------------------------------------------------------------------------

# Widths of the two networks differ, and 4 × 4 patches of 16 pixels.
EYE = SIZES | {"hidden_size": 24, "intermediate_size": 60}
BERT = {
    "vocab_size": 31, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 12, "bos_token_id": 29,
    "sep_token_id": 28, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
LLAMA = {
    "model_type": "llama", "vocab_size": 41, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 28,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
QWEN = LLAMA | {"model_type": "qwen2", "tie_word_embeddings": True}
PICTURE = 40  # the id that stands for a picture
ROUNDED = 2e-6  # transformers' norms of a LLaMA and a Qwen2 go by way of float32
TEXTS = torch.tensor([[29, 3, 4, 5, 28], [29, 7, 8, 9, 28]])
ASKED = torch.tensor([[5, PICTURE, 7, 8], [9, 10, PICTURE, 11]])


def blip_reference() -> nn.Module:
    config = transformers.BlipConfig(vision_config=EYE, text_config=BERT)
    return transformers.BlipForConditionalGeneration(config)


def llava_reference(tower: str) -> nn.Module:
    """CLIP's tower and LLaMA, or SigLIP's and a Qwen2 whose output is its word vectors."""
    text, how = (LLAMA, "default") if tower == "clip" else (QWEN, "full")
    config = transformers.LlavaConfig(
        vision_config=EYE | {"model_type": f"{tower}_vision_model"}, text_config=text,
        image_token_index=PICTURE, vision_feature_select_strategy=how,
    )  # fmt: skip
    return transformers.LlavaForConditionalGeneration(config)


PLACES = {  # of a LLaVA's weights: in transformers, and in files from before its version 4.52
    "lm_head.": "language_model.lm_head.",
    "model.language_model.": "language_model.model.",
    "model.vision_tower.": "vision_tower.vision_model.",
    "model.multi_modal_projector.": "multi_modal_projector.",
}


def of_the_hub(reference: nn.Module, old: bool) -> dict[str, torch.Tensor]:
    """A LLaVA's weights by new or old names; an output that is tied is there once."""
    state = dict(reference.state_dict())
    if reference.config.text_config.tie_word_embeddings:
        del state["lm_head.weight"]
    places = PLACES if old else {}
    renamed = {}
    for name, tensor in state.items():
        start = next((new for new in places if name.startswith(new)), "")
        renamed[places.get(start, "") + name.removeprefix(start)] = tensor
    return renamed


def written(
    folder: Path, reference: nn.Module, state: dict[str, torch.Tensor], shards: bool = False
) -> Path:
    """A repository whose weights have the names of `state`; what is tied may be there twice."""
    from safetensors.torch import save_file

    repository(folder, reference)
    (folder / WHOLE).unlink()
    names = sorted(state)
    parts = [names[k::4] for k in range(4)] if shards else [names]
    files = [f"model-{k:05}-of-00004.safetensors" for k in range(1, 5)] if shards else [WHOLE]
    for file, own in zip(files, parts, strict=True):
        save_file({name: state[name].clone() for name in own}, folder / file)
    if shards:
        places = {name: file for file, own in zip(files, parts, strict=True) for name in own}
        text = json.dumps({"metadata": {}, "weight_map": places})
        (folder / INDEX).write_text(text, encoding="utf-8")
    return folder


def made(reference: nn.Module) -> nn.Module:
    """The reference in float64, no parameter 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(4)
    for parameter in reference.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    return reference.double().eval()


def their_logits(reference: nn.Module, images: torch.Tensor) -> torch.Tensor:
    if reference.config.model_type == "blip":
        return reference(pixel_values=images, input_ids=TEXTS).logits
    wide = torch.stack([
        torch.cat([torch.full((16 if i == PICTURE else 1,), i) for i in row.tolist()])
        for row in ASKED
    ])  # fmt: skip
    return reference(pixel_values=images, input_ids=wide).logits


def our_logits(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return model(images, ASKED if isinstance(model, llava.LLaVA) else TEXTS)


@pytest.fixture
def as_in_the_table(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Weights]:
    """A row of the table as it is, but for the address and what is known of the very bytes."""

    def put(name: str) -> Weights:
        real = WEIGHTS[name]
        row = replace(
            real, repository="me/tiny", revision=real.revision and COMMIT, sha256={}, exact=False
        )
        monkeypatch.setitem(WEIGHTS, name, row)
        return row

    return put


KINDS = {
    "blip": ("blip_captioning_base", blip_reference, lambda reference: reference.state_dict()),
    "clip llama, old names": (
        "llava_1.5_7b", lambda: llava_reference("clip"), lambda r: of_the_hub(r, True)
    ),
    "clip llama, new names": (
        "llava_1.5_7b", lambda: llava_reference("clip"), lambda r: of_the_hub(r, False)
    ),
    "siglip qwen2, old names": (
        "llava_0.5b", lambda: llava_reference("siglip"), lambda r: of_the_hub(r, True)
    ),
    "siglip qwen2, new names": (
        "llava_0.5b", lambda: llava_reference("siglip"), lambda r: of_the_hub(r, False)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_networks_that_read_and_see_are_fetched(
    kind: str, tmp_path: Path, online: Path, as_in_the_table: Callable
) -> None:
    name, build, named = KINDS[kind]
    row = as_in_the_table(name)
    torch.manual_seed(5)
    reference = made(build())
    state = named(reference)
    written(tmp_path / "hub", reference, state, shards=name == "llava_1.5_7b")
    from_reference = blip.from_reference if kind == "blip" else llava.from_reference
    for hub in serve(tmp_path / "hub", online):
        hub.branch = row.branch.replace("/", "%2F")
        model = load(from_reference, name, dtype=torch.float64, endpoint=hub.url).eval()
        assert set(published(name, endpoint=hub.url).state_dict) == set(state)
        assert here(name)
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    close = 1e-9 if kind == "blip" else ROUNDED
    torch.testing.assert_close(
        our_logits(model, images), their_logits(reference, images), atol=close, rtol=0
    )
    assert load(from_reference, name, folder=tmp_path / "hub").state_dict().keys() == (
        model.state_dict().keys()
    )


HEAD = "text_decoder.cls.predictions"
WORDS = "text_decoder.bert.embeddings.word_embeddings.weight"


def test_blip_as_files_have_it(tmp_path: Path, row: Callable) -> None:
    reference = made(blip_reference())
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    expected = their_logits(reference, images)
    state = reference.state_dict()
    tied = {f"{HEAD}.decoder.weight": state[WORDS], f"{HEAD}.decoder.bias": state[f"{HEAD}.bias"]}
    places = {"text_decoder.bert.embeddings.position_ids": torch.arange(12)[None]}
    once = {name: tensor for name, tensor in state.items() if name not in tied}
    for number, form in enumerate((once, once | tied, once | places, once | tied | places)):
        folder = written(tmp_path / str(number), reference, form)
        model = load(blip.from_reference, "tiny", dtype=torch.float64, folder=folder).eval()
        torch.testing.assert_close(our_logits(model, images), expected, atol=1e-9, rtol=1e-9)
    refuse = partial(refusal, tmp_path, blip.from_reference, reference)
    odd = tied | {f"{HEAD}.decoder.weight": state[WORDS] + 1}
    assert "the head is tied here, but text_decoder.cls.predictions.decoder.weight" in refuse(
        once | odd
    )
    lost = {name: t for name, t in once.items() if name != "vision_model.post_layernorm.bias"}
    assert "in the model, but not filled: vision.norm.bias" in refuse(lost)
    assert "theirs, without a home here: stranger" in refuse(once | {"stranger": torch.ones(2)})
    renamed = dict(once)
    renamed["text_decoder.bert.embeddings.words.weight"] = renamed.pop(WORDS)
    said = refuse(renamed)
    assert "without a home here: text_decoder.bert.embeddings.words.weight" in said
    assert "not filled: writer.text.words.weight" in said


@pytest.mark.parametrize("tower", ["clip", "siglip"])
def test_llava_as_files_have_it(tower: str, tmp_path: Path, row: Callable) -> None:
    reference = made(llava_reference(tower))
    images = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    expected = their_logits(reference, images)
    once = of_the_hub(reference, old=True)
    words = once["language_model.model.embed_tokens.weight"]
    rotations = {
        f"language_model.model.layers.{k}.self_attn.rotary_emb.inv_freq": torch.ones(2)
        for k in range(2)
    }
    places = {"vision_tower.vision_model.embeddings.position_ids": torch.arange(17)[None]}
    forms = [once, once | rotations | places]
    if tower == "siglip":
        forms.append(once | {"language_model.lm_head.weight": words})
    for number, form in enumerate(forms):
        folder = written(tmp_path / str(number), reference, form, shards=True)
        model = load(llava.from_reference, "tiny", dtype=torch.float64, folder=folder).eval()
        torch.testing.assert_close(our_logits(model, images), expected, atol=ROUNDED, rtol=0)
    refuse = partial(refusal, tmp_path, llava.from_reference, reference)
    if tower == "siglip":
        odd = {"language_model.lm_head.weight": words + 1}
        assert "ties lm_head to embed_tokens, but the two differ" in refuse(once | odd)
    else:
        lost = {name: t for name, t in once.items() if "lm_head" not in name}
        assert "in the model, but not filled: language.output.weight" in refuse(lost)
    lost = {name: t for name, t in once.items() if name != "multi_modal_projector.linear_2.bias"}
    assert "in the model, but not filled: projector.2.bias" in refuse(lost)
    assert "theirs, without a home here: stranger" in refuse(once | {"stranger": torch.ones(2)})
    key = "language_model.model.layers.1.self_attn.k_proj.weight"
    renamed = dict(once)
    renamed[key.replace("k_proj", "key")] = renamed.pop(key)
    said = refuse(renamed)
    assert "model.layers.1.self_attn.key.weight" in said
    assert "not filled: language.blocks.1.attention.qkv.weight" in said
    twice = key.replace("language_model.model", "model.language_model")
    assert "1 weights are there twice, by two names" in refuse(once | {twice: once[key]})


def refusal(folder: Path, from_reference: Callable, reference: nn.Module, state: dict) -> str:
    """The sentence with which weights of these names are refused."""
    at = written(folder / "refused", reference, state)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        load(from_reference, "tiny", dtype=torch.float64, folder=at)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the table ----------------------------------------------------------------------------------


def test_an_unknown_name_gives_the_known_ones() -> None:
    known = ", ".join(WEIGHTS)
    for ask in (published, here, offline_note):
        with pytest.raises(ValueError, match=f"^published weights are {known}, but 'x' was asked"):
            ask("x")


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_the_table_says_what_it_can(name: str) -> None:
    row = WEIGHTS[name]
    assert row.revision is None or re.fullmatch("[0-9a-f]{40}", row.revision)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in row.sha256.values())
    assert all(file.endswith(".safetensors") for file in row.sha256)
    assert row.licence
    assert row.preprocessing.source
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.repository)
    said = offline_note(name)
    assert row.repository in said
    assert row.megabytes in said
    assert "\n" not in said
    command = re.search('python -c "(.+?)"', said)[1]
    compile(command, "note", "exec")


def test_the_row_of_dino_fits_timms_network() -> None:
    theirs = timm.create_model("vit_small_patch16_224.dino", pretrained=False)
    row = WEIGHTS["dino_vits16"]
    assert row.size == 4 * sum(parameter.numel() for parameter in theirs.parameters())
    ours = vit.from_reference(theirs.state_dict(), row.config).eval()
    image = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(ours(image), theirs.eval()(image), atol=1e-4, rtol=1e-4)


def test_sizes_of_the_table_are_those_of_the_networks() -> None:
    vision = transformers.CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        image_size=336, patch_size=14,
    )  # fmt: skip
    text = transformers.LlamaConfig(vocab_size=32_064)
    # SigLIP's tower to the last block but one, without its head, and Qwen1.5 of half a billion.
    siglip = transformers.SiglipVisionConfig(
        hidden_size=1152, intermediate_size=4304, num_hidden_layers=26, num_attention_heads=16,
        image_size=384, patch_size=14, vision_use_head=False,
    )  # fmt: skip
    qwen = transformers.Qwen2Config(
        vocab_size=152_000, hidden_size=1024, intermediate_size=2816, num_hidden_layers=24,
        num_attention_heads=16, num_key_value_heads=16, tie_word_embeddings=True,
    )  # fmt: skip
    kind = transformers.LlavaForConditionalGeneration
    with torch.device("meta"):
        large = kind(transformers.LlavaConfig(vision_config=vision, text_config=text))
        small = kind(transformers.LlavaConfig(vision_config=siglip, text_config=qwen))
        told = transformers.BlipForConditionalGeneration(transformers.BlipConfig())
        models = {
            "llava_1.5_7b": (large.parameters(), 2),
            "llava_0.5b": (small.parameters(), 2),
            # Its file has the output layer beside the vectors of words that are the same.
            "blip_captioning_base": (told.state_dict().values(), 4),
            "mae_vitb16": (
                transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig()).parameters(), 4
            ),
            "clip_vitb32": (transformers.CLIPModel(transformers.CLIPConfig()).parameters(), 4),
        }  # fmt: skip
    assert {*models, "dino_vits16"} == set(WEIGHTS)  # that one's size is tested with its network
    for name, (tensors, each) in models.items():
        size = each * sum(tensor.numel() for tensor in tensors)
        header = 100_000 if WEIGHTS[name].exact else 0  # of the names
        assert 0 <= WEIGHTS[name].size - size <= header, name


# --- memory -------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
import torch
from torch import nn
from course_lib.blocks.convert import load_reference
from course_lib.data.weights_table import WEIGHTS, Weights
from course_lib.data import weights

def kilobytes(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what))

class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(512, 512, bias=False) for _ in range(64))

def from_reference(state_dict, config):
    return load_reference(Stack(), dict(state_dict), {"l*": "layers.*.weight"})

WEIGHTS["tiny"] = Weights("me/tiny", None, "", 1, False, None, None, config={"any": 1})
weights.published("tiny", folder=sys.argv[1], dtype=torch.bfloat16).state_dict["l0"]  # imports
for dtype in (torch.bfloat16, None):
    model = None
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is in use
    before = kilobytes("VmRSS")
    model = weights.load(from_reference, "tiny", dtype=dtype, folder=sys.argv[1])
    with torch.no_grad():
        total = sum(float(parameter.sum()) for parameter in model.parameters())  # of every page
    size = sum(parameter.nbytes for parameter in model.parameters())
    print((kilobytes("VmHWM") - before) * 1024 / size, size, total)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_loading_takes_one_copy_in_memory(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {f"l{i}": torch.full((512, 512), i / 64) for i in range(64)}
    save_file(state, tmp_path / WHOLE)  # 67 MB
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for line, each in zip(done.stdout.splitlines(), (2, 4), strict=True):
        ratio, size, total = map(float, line.split())
        assert size == 64 * 512 * 512 * each
        assert total == sum(float(tensor.sum()) for tensor in state.values())
        assert ratio <= 1.3
