"""Text → words, and tokens → text: what happens before and after a tokenizer looks anything up.

A tokenizer never joins pieces across the border of a word, so the rules of this file decide what
can become a token at all: with GPT-2's, "dog" and " dog" may be tokens, "hot dog" may not.

Sources    GPT2, CLIP, QWEN2: the patterns that the three publish. `bert_words`: the basic tokenizer
           of Devlin et al., BERT, 2018. `llama_word`: SentencePiece, Kudo and Richardson, 2018.
Reference  transformers' CLIPTokenizer, Qwen2Tokenizer, BertTokenizer: equal words
Differs
  * Python's and the reference's Unicode tables are of different versions: a letter, an accent or a
    sign that only one of them knows may be treated otherwise.
  * Of the Chinese signs, the reference leaves out U+2B820 to U+2B91F, which BERT's authors have.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable
from itertools import groupby
from typing import Literal

import regex

Mark = Literal["always", "missing", "never"]

# A contraction; a word, a number or signs, each with the space before it; other white space.
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# No spaces; digits one by one.
CLIP = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
# A word may take one sign before it along; digits one by one; line ends apart from spaces.
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHINESE = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # a byte as LLaMA writes it


def _alphabet() -> str:
    """A sign for each byte: itself where Latin-1 prints it, else the next one from U+0100 on."""
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in itself else next(others)) for byte in range(256))


SIGNS = _alphabet()  # the sign of byte i stands at place i
BYTES = {sign: byte for byte, sign in enumerate(SIGNS)}


def whole(text: str) -> str:
    """The text. Raises ValueError for half of a surrogate pair, which no UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            "a text of whole characters is expected, but "
            f"{text[error.start]!r} at place {error.start} is half of a surrogate pair"
        ) from None
    return text


def spelt(text: str) -> str:
    """Text → its UTF-8 bytes, one visible sign each, as GPT-2 writes them: " é" is "ĠÃ©"."""
    return "".join([SIGNS[byte] for byte in text.encode()])


def unspelt(tokens: Iterable[str], plain: Container[str] = ()) -> str:
    """Tokens → the text whose bytes they spell; those in `plain` are text as they are.

    Bytes that are no UTF-8 become U+FFFD.
    """
    parts = []
    for is_plain, run in groupby(tokens, key=lambda token: token in plain):
        signs = "".join(run)
        parts.append(
            signs if is_plain else bytes([BYTES[s] for s in signs]).decode(errors="replace")
        )
    return "".join(parts)


def cut(text: str, pattern: str) -> list[str]:
    """Text → the matches of a pattern and what stands between them: together, the text again."""
    parts, end = [], 0
    for match in regex.finditer(pattern, text):
        parts += [text[end : match.start()], match[0]]
        end = match.end()
    return [part for part in (*parts, text[end:]) if part]


def byte_words(text: str, patterns: tuple[str, ...] = (GPT2,)) -> list[str]:
    """Text → words, spelt in bytes; each pattern cuts the words of the one before it.

    Raises ValueError for half of a surrogate pair.
    """
    words = [whole(text)] if text else []
    for pattern in patterns:
        words = [part for word in words for part in cut(word, pattern)]
    return [spelt(word) for word in words]


def composed(text: str) -> str:
    """Unicode's form NFC: "e" and an accent become "é", so that both ways to type it are one.

    Raises ValueError for half of a surrogate pair.
    """
    return unicodedata.normalize("NFC", whole(text))


def lowered(text: str) -> str:
    """Small letters, each for itself: Python alone would make the last Σ of a word a ς."""
    return text.replace("Σ", "σ").lower()


def clip_words(text: str) -> list[str]:
    """CLIP's: NFC, small letters, the words of CLIP's pattern, those of GPT-2's within them."""
    words = regex.findall(CLIP, lowered(composed(text)))  # white space is in none of them
    return [part for word in words for part in byte_words(word)]


def bert_words(text: str, lower: bool = True) -> list[str]:
    """BERT's: runs of letters and digits; every sign of punctuation and every Chinese sign alone.

    Control characters vanish; `lower` also takes the accents away: "Café!" is "cafe", "!".
    """
    text = "".join([_cleaned(character) for character in text])
    if lower:
        parts = unicodedata.normalize("NFD", text)
        text = lowered("".join([c for c in parts if unicodedata.category(c) != "Mn"]))
    return "".join([f" {c} " if _is_punctuation(c) else c for c in text]).split()


def _cleaned(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if character in "\0\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs"):
        return ""
    if any(first <= ord(character) <= last for first, last in CHINESE):
        return f" {character} "
    return character


def _is_punctuation(character: str) -> bool:
    # All of ASCII's signs, among them $ + < = > ^ ` | ~, which Unicode does not call punctuation.
    if character.isascii():
        return "!" <= character <= "~" and not character.isalnum()
    return unicodedata.category(character).startswith("P")


def llama_words(text: str, mark: Mark = "always", alone: bool = False) -> list[str]:
    """LLaMA's: ▁ for each space; the whole text is one word, or each ▁ begins one if `alone`.

    `mark`: put a ▁ before the text always, if it is missing there, or never. Raises ValueError for
    half of a surrogate pair.
    """
    word = whole(text).replace(" ", "▁")
    if word and (mark == "always" or (mark == "missing" and word[0] != "▁")):
        word = f"▁{word}"
    return re.findall("▁[^▁]*|[^▁]+", word) if alone else [word] if word else []


def llama_text(tokens: Iterable[str], mark: bool = True) -> str:
    """LLaMA's tokens → text; `mark`: the space that a ▁ at the start stands for is taken away.

    A run of bytes <0x..> that is no UTF-8 becomes U+FFFD, once for each.
    """
    parts = []
    for is_bytes, run in groupby(tokens, key=lambda token: bool(BYTE.fullmatch(token))):
        if is_bytes:
            data = bytes([int(token[3:5], 16) for token in run])
            try:
                parts.append(data.decode())
            except UnicodeDecodeError:
                parts.append("\ufffd" * len(data))
        else:
            parts.append("".join(run).replace("▁", " "))
    text = "".join(parts)
    return text.removeprefix(" ") if mark else text


def bert_text(tokens: Iterable[str]) -> str:
    """BERT's tokens → text: words with a space between, but none before . ? ! and ,"""
    first, *others = [*tokens, ""]
    return first + "".join(
        token[2:]
        if token.startswith("##")
        else token
        if token[:1] in (*".?!,", "")
        else f" {token}"
        for token in others
    )


def cut_out(text: str, names: Iterable[str]) -> list[str]:
    """Text → its parts; every second one is a name, the longest where several fit."""
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.split(f"({pattern})", text) if pattern else [text]
