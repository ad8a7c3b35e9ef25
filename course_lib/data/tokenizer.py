"""Text → numbers and back, learned from scratch: byte-pair encoding, and WordPiece.

ByteBPE    Radford et al.: Language Models are Unsupervised Multitask Learners (GPT-2), 2019. Start
           from the 256 bytes and merge the most frequent pair, again and again. No text is unknown.
WordPiece  Schuster and Nakajima: Japanese and Korean Voice Search, ICASSP 2012; Devlin et al.:
           BERT, 2018. Merge the pair that is more frequent than its halves let expect; read a word
           by the longest tokens that fit, and as [UNK] where none does.

Reference  tokenizers: BpeTrainer with ByteLevel and all its bytes, and the model WordPiece. Equal
           merges, ties too; equal ids and equal decoded text
Differs
  * ByteBPE's special tokens have the last ids, as GPT-2's and CLIP's; the reference's the first.
  * The reference's WordPieceTrainer is its BpeTrainer with ##: it counts pairs and has no score.
    The authors' own trainer was never published; the score here is the one that is told of it.
    It likes rare letters that only meet each other, so `least` matters.
  * Both know a special token in a text only if asked to (`read_special`): what a student types
    never turns into one by accident.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch

from course_lib.data.merging import Pairs, merged, most_frequent
from course_lib.data.numbering import (
    Merge,
    id_of,
    kept,
    merges,
    names_of,
    numbered,
    remembered,
    several,
    write_json,
)
from course_lib.data.words import SIGNS, bert_text, bert_words, byte_words, cut_out, unspelt

ALPHABET = sorted(SIGNS)  # GPT-2's order of the bytes: those that print first
LONGEST = 100  # letters of a word that WordPiece reads; a longer one is unknown


class ByteBPE:
    """Byte-level BPE. Tokens 0 to 255 are the bytes, then come the merges, then the special ones.

    `ids` token → id, `special` those of it that are special, `history` the merges in their order.
    A token is written in the 256 signs of course_lib.data.words: "Ġ" is a space, "Ã©" an é.
    Raises ValueError for a merge of unknown tokens, and a special token that is empty or not new.
    """

    def __init__(self, history: Iterable[Sequence], special: Iterable[str] = ()) -> None:
        self.history = merges(history)
        tokens = numbered(ALPHABET)
        self._rules: dict[tuple[int, int], tuple[int, int]] = {}
        for rank, (left, right, _) in enumerate(self.history):
            pair = id_of(tokens, left), id_of(tokens, right)
            self._rules[pair] = rank, tokens.setdefault(left + right, len(tokens))
        special = tuple(several(special, "special tokens"))
        self.ids = numbered([*tokens, *special])
        self.special = {name: self.ids[name] for name in special}
        self._names, self._known = {i: name for name, i in self.ids.items()}, {}

    @classmethod
    def train(
        cls, texts: Iterable[str], size: int, special: Iterable[str] = (), least: int = 2
    ) -> ByteBPE:
        """Texts → a tokenizer of `size` tokens; fewer if no pair is there `least` times any more.

        Of equally frequent pairs, the one whose left token is older is merged first, then the one
        whose right token is; bytes are as old as their place in ALPHABET. Raises ValueError if the
        bytes and the special tokens alone are more than `size`, or if one text is given.
        """
        special, names = tuple(several(special, "special tokens")), list(ALPHABET)
        if size < len(names) + len(special):
            raise ValueError(
                f"at least {len(names) + len(special)} tokens are needed, 256 of them for the "
                f"bytes, but a size of {size} was asked for"
            )
        ids = {sign: number for number, sign in enumerate(names)}

        def named(left: int, right: int) -> int:
            token = names[left] + names[right]
            if token not in ids:
                ids[token] = len(names)
                names.append(token)
            return ids[token]

        words = Counter(word for text in several(texts) for word in byte_words(text))
        pairs = Pairs({tuple(ids[sign] for sign in word): n for word, n in words.items()})
        steps, history = most_frequent(pairs, least, named), []
        while len(names) + len(special) < size and (step := next(steps, None)):
            history.append(Merge(names[step[0]], names[step[1]], step[2]))
        return cls(history, special)

    def __len__(self) -> int:
        return len(self.ids)

    def id_of(self, token: str) -> int:
        """A token, as `tokens` writes it → its id. Raises ValueError for an unknown one."""
        return id_of(self.ids, token)

    def encode(self, text: str, read_special: bool = False) -> list[int]:
        """Text → ids; the names of special tokens in it are text, unless `read_special`.

        Raises ValueError for half of a surrogate pair.
        """
        out: list[int] = []
        for place, part in enumerate(cut_out(text, self.special if read_special else ())):
            if place % 2:
                out.append(self.special[part])
            else:
                for word in byte_words(part):
                    out += remembered(self._known, word, self._pieces)
        return out

    def tokens(self, text: str, read_special: bool = False) -> list[str]:
        """Text → its tokens, to look at."""
        return [self._names[number] for number in self.encode(text, read_special)]

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """Ids → text, special tokens by their names. Bytes that are no UTF-8 become U+FFFD.

        Raises ValueError for an id that is none.
        """
        names = names_of(self._names, ids)
        kept_names = (name for name in names if not (skip_special and name in self.special))
        return unspelt(kept_names, self.special)

    def save(self, path: str | os.PathLike) -> None:
        """→ one JSON file, whole or not at all. Raises OSError in one sentence."""
        write_json(
            path, {"kind": "ByteBPE", "special": list(self.special), "history": self.history}
        )

    @classmethod
    def load(cls, path: str | os.PathLike) -> ByteBPE:
        """The tokenizer that `save` wrote. Raises ValueError if the file is another."""
        content = kept(path, "ByteBPE", ("history", "special"))
        return cls(content["history"], content["special"])

    def _pieces(self, word: str) -> list[int]:
        return merged([self.ids[sign] for sign in word], self._rules)


class WordPiece:
    """WordPiece. Special tokens first, then letters, then what was learned; "##" goes on a word.

    `ids` token → id, `special` those of it that are special, with [UNK] among them, `history` the
    merges in their order. `lower`: small letters without accents, so `decode` does not give the
    text back, but BERT's words with spaces between them.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        special: Iterable[str] = ("[UNK]",),
        lower: bool = True,
        history: Iterable[Sequence] = (),
    ) -> None:
        special = tuple(several(special, "special tokens"))
        if "[UNK]" not in special:
            raise ValueError(f"[UNK] must be among the special tokens, but they are {special}")
        self.ids = numbered([*special, *tokens])
        self.special = {name: self.ids[name] for name in special}
        self.lower, self.history = lower, merges(history)
        self._names, self._known = {i: name for name, i in self.ids.items()}, {}

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        size: int,
        special: Iterable[str] = ("[UNK]",),
        least: int = 2,
        lower: bool = True,
    ) -> WordPiece:
        """Texts → a tokenizer of `size` tokens; fewer if no pair is there `least` times any more.

        Merges the pair of the highest score, count(ab) / (count(a) · count(b)); of equal ones the
        first in the order of the alphabet. [UNK] follows the special tokens if it is not among
        them. Raises ValueError if the letters alone are more than `size`, or if one text is given.
        """
        special = tuple(several(special, "special tokens"))
        special = special if "[UNK]" in special else (*special, "[UNK]")
        words = Counter(word for text in several(texts) for word in bert_words(text, lower))
        short = {word: times for word, times in words.items() if len(word) <= LONGEST}
        pairs = Pairs({(w[0], *(f"##{c}" for c in w[1:])): n for w, n in short.items()})
        tokens, history = dict.fromkeys(sorted(pairs.symbols)), []
        if size < len(tokens) + len(special):
            raise ValueError(
                f"at least {len(tokens) + len(special)} tokens are needed, {len(tokens)} of them "
                f"for the letters, but a size of {size} was asked for"
            )
        while len(tokens) + len(special) < size:
            frequent = [pair for pair, count in pairs.counts.items() if count >= least]
            if not frequent:
                break
            best = min(frequent, key=lambda pair: (-score(pairs, pair), pair))
            new = best[0] + best[1].removeprefix("##")
            history.append(Merge(*best, pairs.counts[best]))
            pairs.merge(best, new)
            tokens.setdefault(new)
        return cls(list(tokens), special, lower, history)

    def __len__(self) -> int:
        return len(self.ids)

    def id_of(self, token: str) -> int:
        """A token, as `tokens` writes it → its id. Raises ValueError for an unknown one."""
        return id_of(self.ids, token)

    def encode(self, text: str, read_special: bool = False) -> list[int]:
        """Text → ids; the names of special tokens in it are text, unless `read_special`."""
        out: list[int] = []
        for place, part in enumerate(cut_out(text, self.special if read_special else ())):
            if place % 2:
                out.append(self.special[part])
            else:
                for word in bert_words(part, self.lower):
                    out += remembered(self._known, word, self._pieces)
        return out

    def tokens(self, text: str, read_special: bool = False) -> list[str]:
        """Text → its tokens, to look at."""
        return [self._names[number] for number in self.encode(text, read_special)]

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """Ids → words with spaces between them. Raises ValueError for an id that is none."""
        names = names_of(self._names, ids)
        return bert_text(name for name in names if not (skip_special and name in self.special))

    def save(self, path: str | os.PathLike) -> None:
        """→ one JSON file, whole or not at all. Raises OSError in one sentence."""
        tokens = [token for token in self.ids if token not in self.special]
        content = {"special": list(self.special), "tokens": tokens, "lower": self.lower}
        write_json(path, {"kind": "WordPiece", **content, "history": self.history})

    @classmethod
    def load(cls, path: str | os.PathLike) -> WordPiece:
        """The tokenizer that `save` wrote. Raises ValueError if the file is another."""
        keys = ("tokens", "special", "lower", "history")
        content = kept(path, "WordPiece", keys)
        return cls(*(content[key] for key in keys))

    def _pieces(self, word: str) -> list[int]:
        return longest_match(word, self.ids)


def score(pairs: Pairs[str], pair: tuple[str, str]) -> float:
    """WordPiece's: how often a pair is there, for each pair that its halves could make."""
    return pairs.counts[pair] / (pairs.symbols[pair[0]] * pairs.symbols[pair[1]])


def longest_match(word: str, ids: Mapping[str, int]) -> list[int]:
    """A word → the longest token that starts it, then the longest "##" one that goes on, and on.

    [UNK] alone if that ends in nothing, or the word has more than 100 letters.
    """
    out, start = [], 0
    while start < len(word) <= LONGEST:
        mark = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if mark + word[start:end] in ids), None)
        if end is None:
            return [ids["[UNK]"]]
        out.append(ids[mark + word[start:end]])
        start = end
    return out or [ids["[UNK]"]]


def padded(
    rows: Sequence[Sequence[int]],
    pad: int,
    length: int | None = None,
    side: Literal["right", "left"] = "right",
) -> tuple[torch.Tensor, torch.Tensor]:
    """B rows of ids → tokens int64 (B, L), is_pad bool (B, L). L is `length` or the longest row's.

    `side` says where the padding goes: right, or left for a decoder that goes on writing. A `pad`
    inside a row stays a token of it. Raises ValueError if a row is longer than `length`.
    """
    if side not in ("right", "left"):
        raise ValueError(f"the side must be 'right' or 'left', but {side!r} was given")
    longest = max(map(len, rows), default=0)
    length = longest if length is None else length
    if longest > length:
        raise ValueError(f"rows of at most {length} tokens are expected, but one has {longest}")
    tokens = torch.full((len(rows), length), pad, dtype=torch.int64)
    is_pad = torch.ones(len(rows), length, dtype=torch.bool)
    for number, row in enumerate(rows):
        place = slice(len(row)) if side == "right" else slice(length - len(row), length)
        tokens[number, place] = torch.as_tensor(row, dtype=torch.int64)
        is_pad[number, place] = False
    return tokens, is_pad
