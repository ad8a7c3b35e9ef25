"""Published weights by name: fetched once from the Hugging Face hub, verified, read by the tensor.

    found = published("mae_vitb16")  # its config, its state_dict, its vocabulary
    model = load(mae.from_reference, "mae_vitb16")

Only safetensors, config.json, preprocessor_config.json and vocabularies are ever fetched. Where
they stand is up to huggingface_hub (HF_HOME); COURSE_OFFLINE and HF_HUB_OFFLINE forbid connections.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from course_lib.blocks.convert import check_filled, unfilled
from course_lib.data.safetensors_files import INDEX, RefusedError, Tensors, chosen, weight_files
from course_lib.data.storage import offline, sha256_of
from course_lib.data.weights_table import WEIGHTS, Weights

Module = TypeVar("Module", bound=nn.Module)
VOCABULARY = (
    "vocab.json", "merges.txt", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json",
)  # fmt: skip
SETTINGS = ("config.json", "preprocessor_config.json")
TIMEOUT = 30.0  # seconds without an answer; HF_HUB_DOWNLOAD_TIMEOUT is huggingface_hub's own


class NotHereError(OSError):
    """Weights that are not on this machine and could not be fetched: one sentence, what to do."""


@dataclass(frozen=True)
class Published:
    """Weights as their authors published them."""

    row: Weights
    config: dict[str, Any]  # what `from_reference` takes
    preprocessor: dict[str, Any]  # preprocessor_config.json; empty if there is none
    state_dict: Tensors
    vocabulary: dict[str, Path]  # the files of VOCABULARY that there are
    commit: str | None  # of the repository; None for a folder of one's own


def published(
    name: str,
    *,
    dtype: torch.dtype | None = None,
    folder: str | os.PathLike | None = None,
    endpoint: str | None = None,
) -> Published:
    """The weights of that name in WEIGHTS, fetched if they are not here; `dtype` as for Tensors.

    folder    a copy of the repository's files, which is read instead of the hub
    endpoint  another address of the hub, such as a mirror's

    Raises NotHereError without a connection or if it fails, RefusedError for weights that are not
    the published ones, or of another kind than safetensors, ValueError for a name that is unknown.
    """
    row = _row(name)
    if folder is not None:
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise NotHereError(f"a folder with the files of {row.repository} is expected at {root}")
    else:
        root = _cached(row) or _fetched(name, row, endpoint)
    try:
        _verify(row, root)
        tensors = Tensors(root, dtype)
        config, preprocessor = (_settings(root, file) for file in SETTINGS)
    except FileNotFoundError as error:
        raise NotHereError(f"{Path(error.filename).name} is missing in {root}") from None
    except RefusedError:
        if folder is None:
            _forget(root)
        raise
    if not (row.config or config):
        raise RefusedError(f"config.json is missing in {root}, so that one cannot know the network")
    commit = root.name if folder is None else None
    vocabulary = {file: root / file for file in VOCABULARY if (root / file).is_file()}
    config = dict(row.config or config)
    return Published(row, config, preprocessor, tensors, vocabulary, commit)


def load(
    from_reference: Callable[[Mapping[str, torch.Tensor], Mapping[str, Any]], Module],
    name: str,
    *,
    dtype: torch.dtype | None = torch.bfloat16,
    folder: str | os.PathLike | None = None,
    endpoint: str | None = None,
) -> Module:
    """A paper's `from_reference` and a name → the model, in `dtype`, with no second copy in memory.

    With `dtype` None the parameters are views of the mapped file, in the file's own types. Buffers
    that only the constructor computes keep theirs. Raises as `published`, and ValueError for a
    model that its `from_reference` leaves partly unfilled.
    """
    found = published(name, dtype=dtype, folder=folder, endpoint=endpoint)
    with unfilled():
        model = from_reference(found.state_dict, found.config)
    check_filled(model)
    return model


def here(name: str) -> bool:
    """Whether `published(name)` needs no connection. Raises ValueError for an unknown name."""
    return _cached(_row(name)) is not None


def offline_note(name: str) -> str:
    """What a lesson prints in place of a result: what is missing, how large, and how to get it."""
    return _note(name, _row(name))


def _row(name: str) -> Weights:
    if name not in WEIGHTS:
        raise ValueError(f"published weights are {', '.join(WEIGHTS)}, but {name!r} was asked for")
    return WEIGHTS[name]


def _note(name: str, row: Weights, why: str = "") -> str:
    which = f"revision {row.revision}"
    if row.revision is None:
        which = f"{row.branch} as it then is, since we know no revision of it"
    return (
        f"The weights {name} are not on this machine{why}: when online, run  python -c "
        f"\"from course_lib.data.weights import published; published('{name}')\"  to fetch "
        f"{row.megabytes} from {row.repository} on the Hugging Face hub ({which}; {row.licence})."
    )


def _cached(row: Weights) -> Path | None:
    """The folder of huggingface_hub's cache that has all of the weights, if there is one."""
    from huggingface_hub import try_to_load_from_cache

    at = row.revision or row.branch
    config = try_to_load_from_cache(row.repository, "config.json", revision=at)
    if not isinstance(config, str):
        return None
    root = Path(config).parent
    try:
        return root if all((root / file).is_file() for file in weight_files(root)) else None
    except RefusedError:
        return None


def _fetched(name: str, row: Weights, endpoint: str | None) -> Path:
    """Fetch what there is to fetch → the folder. Raises NotHereError, RefusedError."""
    if setting := offline():
        raise NotHereError(_note(name, row, f", and {setting} forbids to fetch them"))
    from huggingface_hub import HfApi, hf_hub_download

    at = row.revision or row.branch
    token = None if endpoint is None else False  # one's own token is for the hub, not for a mirror

    def get(file: str) -> Path:
        return Path(
            hf_hub_download(
                row.repository, file, revision=at, endpoint=endpoint, token=token,
                etag_timeout=TIMEOUT,
            )
        )  # fmt: skip

    try:
        about = HfApi(endpoint=endpoint, token=token).model_info(
            row.repository, revision=at, timeout=TIMEOUT
        )
        names = {file.rfilename for file in about.siblings or ()}
        first = chosen(names, row.repository)  # before anything is fetched in vain
        got = [get(file) for file in (*SETTINGS, *VOCABULARY, INDEX) if file in names]
        root = got[0].parent if got else get(first).parent
        got += [get(file) for file in _wanted(root)] if first == INDEX else [get(first)]
    except RefusedError:
        raise
    except Exception as error:  # the hub's errors have no class in common, and change their names
        why = f", and could not be fetched ({_why(error)})"
        raise NotHereError(_note(name, row, why)) from None
    if len({path.parent for path in got}) != 1:
        raise NotHereError(f"{row.repository} changed while it was fetched; please fetch it again.")
    if row.revision is None:
        print(f"{name}: {row.branch} of {row.repository} is commit {root.name}", file=sys.stderr)
    return root


def _wanted(root: Path) -> list[str]:
    """What an index in the cache names; one that is refused does not stay there."""
    try:
        return list(weight_files(root))
    except RefusedError:
        _forget(root)
        raise


def _why(error: BaseException) -> str:
    """The hub's error in a few words, without its advice."""
    while error.__cause__ is not None and getattr(error, "response", None) is None:
        error = error.__cause__
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}, {said[0].rstrip('.')}" if said else type(error).__name__


def _verify(row: Weights, root: Path) -> None:
    """Raise RefusedError unless size and SHA-256 of the weights are those that are known."""
    files = [root / file for file in weight_files(root)]
    size = sum(file.stat().st_size for file in files)
    if row.exact and size != row.size:
        raise RefusedError(
            f"the weights of {row.repository} have {row.size:,} bytes, but these have {size:,}"
        )
    for file in files:
        # The cache names a large file by the SHA-256 that the hub announces for it.
        announced = re.fullmatch("[0-9a-f]{64}", file.resolve().name)
        wanted = row.sha256.get(file.name) or (announced and announced[0])
        if wanted and (found := sha256_of(file)) != wanted:
            raise RefusedError(
                f"{file.name} of {row.repository} has the SHA-256 {wanted}, but this one {found}"
            )


def _settings(root: Path, file: str) -> dict[str, Any]:
    """A file of settings as a dict, empty if there is none."""
    if not (root / file).is_file():
        return {}
    try:
        found = json.loads((root / file).read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RefusedError(f"{file} in {root} is not a list of settings in JSON")
    return found


def _forget(root: Path) -> None:
    """Delete what is wrong from the cache: the settings and weights of one revision, blobs too."""
    for path in root.iterdir():
        if path.name in SETTINGS or path.name == INDEX or path.suffix == ".safetensors":
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
