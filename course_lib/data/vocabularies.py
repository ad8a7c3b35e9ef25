"""Published vocabularies, read from their files: CLIP's, BERT's, Qwen2's, LLaMA's.

A published network only understands the numbers of its own tokenizer, to the last odd character.
Each of these is byte-pair encoding or WordPiece with its own rules for words and for bytes:

CLIP    vocab.json, merges.txt       bytes; small letters; </w> ends a word; start and end token
BERT    vocab.txt                    WordPiece; small letters without accents; [CLS] and [SEP]
Qwen2   the same as CLIP's or        bytes; Unicode's NFC; neither start nor end
        tokenizer.json
LLaMA   tokenizer.json               letters, ▁ for a space; unknown ones as bytes <0x..>; start <s>

Reference  transformers: CLIPTokenizer, BertTokenizer, Qwen2Tokenizer; tokenizers: Tokenizer. Equal
           ids and equal decoded text
Differs
  * `read_special=False` is the default here: "[SEP]" in a text is then five characters, as the
    reference reads it with `encode_special_tokens`. Added tokens that are not special count as
    special for this; only `skip_special` tells the two apart.
  * Added tokens are looked for in the text as it was given, the reference's "normalized": true
    ones in the normalised text. Flags that take spaces along or ask for whole words are refused.
  * CLIP's authors also repair broken Unicode and HTML, which the reference leaves out.
  * Unicode: see course_lib.data.words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from course_lib.data.numbering import read_json
from course_lib.data.published import (
    Published,
    Rules,
    byte_pieces,
    clip_text,
    letter_pieces,
    rules_of,
)
from course_lib.data.tokenizer import longest_match, padded
from course_lib.data.words import (
    GPT2,
    QWEN2,
    SIGNS,
    bert_text,
    bert_words,
    byte_words,
    clip_words,
    composed,
    llama_text,
    llama_words,
    unspelt,
)

Path_ = str | os.PathLike
BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
QWEN2_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def read_clip(vocab: Path_, merges: Path_) -> Published:
    """CLIP's vocab.json and merges.txt → its tokenizer: <|startoftext|>, text, <|endoftext|>.

    Raises ValueError if a byte, a merged token or one of the two is missing.
    """
    ids = read_json(vocab, ())
    pieces = partial(byte_pieces, ids=ids, rules=rules_of(_merges(merges), ids), end="</w>")
    special = ("<|startoftext|>", "<|endoftext|>")
    _whole(ids, [*SIGNS, *(f"{sign}</w>" for sign in SIGNS), *special], Path(vocab).name)
    text = partial(clip_text, plain=special)
    return Published(ids, clip_words, pieces, text, special, ends=(special[:1], special[1:]))


def clip_batch(clip: Published, texts: Sequence[str], length: int = 77) -> torch.Tensor:
    """B texts → int64 (B, length), as CLIP's networks take them: zeros follow the end token.

    A longer text is cut, and its last token is the end token. Raises ValueError for a `length`
    that has no place for start and end.
    """
    if length < 2:
        raise ValueError(f"a length of at least 2 is expected, for start and end, not {length}")
    rows = [clip.encode(text) for text in texts]
    return padded(
        [row[: length - 1] + row[-1:] if len(row) > length else row for row in rows], 0, length
    )[0]


def read_qwen2(vocab: Path_, merges: Path_, special: Sequence[str] = QWEN2_SPECIAL) -> Published:
    """Qwen2's vocab.json and merges.txt → its tokenizer.

    The special tokens that are not in the file get the ids after it, in their order. Raises
    ValueError if a byte or a merged token is missing.
    """
    ids = read_json(vocab, ())
    _whole(ids, SIGNS, Path(vocab).name)
    rules = rules_of(_merges(merges), ids)
    for name in special:
        ids.setdefault(name, len(ids))
    pieces = partial(byte_pieces, ids=ids, rules=rules)
    words = partial(_nfc_words, patterns=(QWEN2,))
    return Published(ids, words, pieces, partial(unspelt, plain=special), special)


def read_bert(vocab: Path_, lower: bool = True) -> Published:
    """BERT's vocab.txt, one token a line → its tokenizer: [CLS], text, [SEP].

    `lower` as in the "uncased" ones: small letters, no accents. Raises ValueError if one of BERT's
    special tokens is missing.
    """
    ids = {token: number for number, token in enumerate(_lines(vocab))}
    _whole(ids, BERT_SPECIAL, Path(vocab).name)
    words, pieces = partial(bert_words, lower=lower), partial(longest_match, ids=ids)
    return Published(ids, words, pieces, bert_text, BERT_SPECIAL, ends=(["[CLS]"], ["[SEP]"]))


def read_tokenizer_json(path: Path_) -> Published:
    """A tokenizer.json of byte-pair encoding, Qwen2's or GPT-2's or LLaMA's kind → its tokenizer.

    Raises ValueError for a step that has no like here, and if a byte or merged token is missing.
    """
    name, file = Path(path).name, read_json(path, ("model", "added_tokens"))
    try:
        return _from_json(name, file)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{name} is no whole tokenizer.json: {error!r} while reading") from error


def _from_json(name: str, file: dict) -> Published:
    model = file["model"]
    _only(name, "model", model, {"type": "BPE", "dropout": None})
    _only(name, "model", model, {"continuing_subword_prefix": None, "end_of_word_suffix": None})
    added = {}
    for token in file["added_tokens"]:
        no = {"lstrip": False, "rstrip": False, "single_word": False}
        _only(name, f"added token {token['content']}", token, no)
        added[token["content"]] = token["id"]
    vocab = model["vocab"]
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    parts = _llama_parts if model.get("byte_fallback") else _byte_parts
    words, later, pieces, text = parts(name, file, vocab, rules_of(pairs, vocab), added)
    special = [token["content"] for token in file["added_tokens"] if token["special"]]
    ends = _ends(name, file)
    return Published({**vocab, **added}, words, pieces, text, special, added, ends, later)


def _byte_parts(name: str, file: dict, ids: dict, rules: Rules, added: dict) -> tuple:
    """How a tokenizer.json of byte-level BPE cuts, spells and joins."""
    _whole(ids, SIGNS, name)
    forms = _steps(file, "normalizer", "normalizers")
    if forms not in ([], [{"type": "NFC"}]):
        raise _unlike(name, "normalizer", forms)
    *cuts, last = _steps(file, "pre_tokenizer", "pretokenizers") or [{"type": None}]
    _only(name, "pre_tokenizer", last, {"type": "ByteLevel", "add_prefix_space": False})
    for cut in cuts:
        _only(
            name, "pre_tokenizer", cut, {"type": "Split", "behavior": "Isolated", "invert": False}
        )
    patterns = tuple(cut["pattern"]["Regex"] for cut in cuts)
    patterns += (GPT2,) if last.get("use_regex", True) else ()
    words = partial(_nfc_words if forms else byte_words, patterns=patterns)
    whole = ids if file["model"].get("ignore_merges") else ()
    pieces = partial(byte_pieces, ids=ids, rules=rules, whole=whole)
    return words, None, pieces, partial(unspelt, plain=added)


def _llama_parts(name: str, file: dict, ids: dict, rules: Rules, added: dict) -> tuple:
    """How LLaMA's tokenizer.json, in its older or newer form, cuts, spells and joins."""
    _whole(ids, [f"<0x{byte:02X}>" for byte in range(256)], name)
    forms = _steps(file, "normalizer", "normalizers")
    cuts = _steps(file, "pre_tokenizer", "pretokenizers")
    older = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    if (forms, cuts) == (older, []):
        words = later = llama_words
    elif not forms and len(cuts) == 1:
        _only(name, "pre_tokenizer", cuts[0], {"type": "Metaspace", "replacement": "▁"})
        scheme, alone = cuts[0].get("prepend_scheme", "always"), cuts[0].get("split", True)
        first = "never" if scheme == "never" else "missing"
        words = partial(llama_words, mark=first, alone=alone)
        later = partial(llama_words, mark="missing" if scheme == "always" else "never", alone=alone)
    else:
        raise _unlike(name, "normalizer and pre_tokenizer", [*forms, *cuts])
    joins = [step["type"] for step in _steps(file, "decoder", "decoders")]
    if joins[:3] != ["Replace", "ByteFallback", "Fuse"] or joins[3:] not in ([], ["Strip"]):
        raise _unlike(name, "decoder", joins)
    pieces = partial(letter_pieces, ids=ids, rules=rules)
    return words, later, pieces, partial(llama_text, mark="Strip" in joins)


def _ends(name: str, file: dict) -> tuple[list[str], list[str]]:
    """The tokens that the file puts before and after a text."""
    ends: tuple[list[str], list[str]] = ([], [])
    for step in _steps(file, "post_processor", "processors"):
        if step["type"] == "TemplateProcessing":
            side = 0
            for part in step["single"]:
                if "Sequence" in part:
                    side = 1
                else:
                    ends[side].extend(step["special_tokens"][part["SpecialToken"]["id"]]["tokens"])
        elif step["type"] != "ByteLevel":  # which only moves the places of tokens in the text
            raise _unlike(name, "post_processor", step)
    return ends


def _steps(file: dict, part: str, inner: str) -> list[dict]:
    """The steps of a part of the file, one after the other."""
    step = file.get(part)
    if step is None:
        return []
    if step["type"] != "Sequence":
        return [step]
    return [one for child in step[inner] for one in _steps({part: child}, part, inner)]


def _only(name: str, part: str, step: dict, expected: dict[str, Any]) -> None:
    """Raise ValueError unless a step of the file has these options; none is as good as False."""
    for key, value in expected.items():
        if (step.get(key) or None) != (value or None):
            raise _unlike(name, part, {key: step.get(key)})


def _unlike(name: str, part: str, found: Any) -> ValueError:
    return ValueError(
        f"a tokenizer.json of Qwen2's, GPT-2's or LLaMA's kind is expected, but {name} has "
        f"{found!r} in its {part}, which has no like here"
    )


def _nfc_words(text: str, patterns: tuple[str, ...]) -> list[str]:
    return byte_words(composed(text), patterns)


def _lines(path: Path_) -> list[str]:
    # Not splitlines, for which some tokens are line ends.
    lines = Path(path).read_text(encoding="utf-8").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _merges(path: Path_) -> list[list[str]]:
    lines = _lines(path)
    return [line.split(" ") for line in lines if line and not line.startswith("#version")]


def _whole(ids: Mapping[str, int], tokens: Iterable[str], name: str) -> None:
    """Raise ValueError if a token is missing."""
    if missing := [token for token in tokens if token not in ids]:
        raise ValueError(
            f"{name} is expected to have a number for {missing[0]!r}, but it and "
            f"{len(missing) - 1} others are missing"
        )
