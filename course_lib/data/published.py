"""A tokenizer that somebody else has trained: its rules for words, its merges, its added tokens.

`Published` puts them together; the readers of course_lib.data.vocabularies say which ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from course_lib.data.merging import merged
from course_lib.data.numbering import id_of, names_of, remembered
from course_lib.data.words import cut_out, unspelt

Rules = Mapping[tuple[int, int], tuple[int, int]]  # as course_lib.data.merging.merged has them


class Published:
    """A tokenizer as its files say: text → words → pieces → ids, and back.

    `ids` token → id, `special` those of it that are special, `start` and `end` the ids that
    `encode` puts around a text. `words` cuts a text, `later` what follows an added token in it,
    `pieces` gives a word's ids, `text` joins tokens.
    """

    def __init__(
        self,
        ids: Mapping[str, int],
        words: Callable[[str], list[str]],
        pieces: Callable[[str], list[int]],
        text: Callable[[Iterable[str]], str],
        special: Iterable[str] = (),
        added: Iterable[str] = (),
        ends: tuple[Sequence[str], Sequence[str]] = ((), ()),
        later: Callable[[str], list[str]] | None = None,
    ) -> None:
        self.ids = dict(ids)
        self.special = {name: id_of(ids, name) for name in special}
        self.start, self.end = ([id_of(ids, name) for name in names] for names in ends)
        self._added = {name: id_of(ids, name) for name in (*self.special, *added)}
        self._words, self._later, self._pieces, self._text = words, later or words, pieces, text
        self._names, self._known = {i: name for name, i in self.ids.items()}, {}

    def __len__(self) -> int:
        return len(self.ids)

    def id_of(self, token: str) -> int:
        """A token, as the files write it → its id. Raises ValueError for an unknown one."""
        return id_of(self.ids, token)

    def encode(self, text: str, ends: bool = True, read_special: bool = False) -> list[int]:
        """Text → ids, between the start and end tokens of the original if `ends`.

        The names of added tokens in it are text, unless `read_special`. Raises ValueError for half
        of a surrogate pair.
        """
        out = list(self.start) if ends else []
        for place, part in enumerate(cut_out(text, self._added if read_special else ())):
            if place % 2:
                out.append(self._added[part])
            else:
                for word in self._later(part) if place else self._words(part):
                    out += remembered(self._known, word, self._pieces)
        return out + self.end if ends else out

    def tokens(self, text: str, ends: bool = True, read_special: bool = False) -> list[str]:
        """Text → its tokens, to look at."""
        return [self._names[number] for number in self.encode(text, ends, read_special)]

    def decode(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """Ids → text, special tokens by their names. Raises ValueError for an id that is none."""
        names = names_of(self._names, ids)
        return self._text(name for name in names if not (skip_special and name in self.special))


def rules_of(merges: Iterable[Sequence[str]], ids: Mapping[str, int]) -> Rules:
    """Pairs of tokens, the first merge first → the rules of `merged`.

    Raises ValueError for a line that is no pair, and for a token without an id.
    """
    rules = {}
    for rank, pair in enumerate(merges):
        if len(pair) != 2:
            raise ValueError(f"a merge is two tokens, but merge {rank} is {' '.join(pair)!r}")
        left, right = pair
        rules[id_of(ids, left), id_of(ids, right)] = rank, id_of(ids, left + right)
    return rules


def byte_pieces(
    word: str,
    ids: Mapping[str, int],
    rules: Rules,
    end: str = "",
    whole: Collection[str] = (),
) -> list[int]:
    """A word spelt in bytes → ids. `end` marks its last byte, as CLIP's </w>.

    A word in `whole` is one token, even if no merges lead to it.
    """
    if word in whole:
        return [ids[word]]
    return merged([ids[sign] for sign in (*word[:-1], word[-1] + end)], rules)


def letter_pieces(word: str, ids: Mapping[str, int], rules: Rules) -> list[int]:
    """A word in letters → ids; a letter that has none is written as its bytes <0x..>."""
    letters: list[int] = []
    for letter in word:
        if letter in ids:
            letters.append(ids[letter])
        else:
            letters += [ids[f"<0x{byte:02X}>"] for byte in letter.encode()]
    return merged(letters, rules)


def clip_text(tokens: Iterable[str], plain: Collection[str]) -> str:
    """CLIP's tokens → text; </w> becomes a space, none at the ends."""
    return unspelt(tokens, plain).replace("</w>", " ").strip()
