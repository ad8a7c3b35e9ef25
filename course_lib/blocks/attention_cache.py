"""What a decoder with cross-attention keeps of its past, so that nothing is computed twice.

A word's keys and values never change once it has been read, since nobody looks ahead: a next word
costs one row of attention instead of the whole table. Those of a context never change at all.

B texts, S tokens read, L new ones, N tokens of the context; keys and values are (B, heads, ·, d).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from course_lib.blocks.attention import KeysValues


@dataclass
class Cache:
    """Grows by each call of the network that is handed it; that network also makes it."""

    own: list[KeysValues] = field(default_factory=list)  # each block's, of the tokens read
    cross: list[KeysValues] = field(default_factory=list)  # each block's, of the context, or empty
    is_pad: torch.Tensor | None = None  # bool (B, S); None as long as B is not known
    may_look: torch.Tensor | None = None  # bool (B, 1, 1, N), at the context; None: at all of it

    @property
    def length(self) -> int:
        """S, the number of tokens read, pads among them."""
        return 0 if self.is_pad is None else self.is_pad.shape[1]

    def extend(self, block: int, new: KeysValues) -> KeysValues:
        """A block's keys and values of new tokens → those of all, (B, heads, S + L, d)."""
        if block == len(self.own):
            self.own.append(new)
        else:
            pairs = zip(self.own[block], new, strict=True)
            self.own[block] = tuple(torch.cat(pair, dim=2) for pair in pairs)
        return self.own[block]

    def extend_pads(self, is_pad: torch.Tensor) -> torch.Tensor:
        """The pads of new tokens, bool (B, L) → of all, (B, S + L).

        Raises ValueError for another number of texts.
        """
        before = is_pad[:, :0] if self.is_pad is None else self.is_pad
        if len(before) != len(is_pad):
            raise ValueError(f"the cache is for {len(before)} texts, but {len(is_pad)} were given")
        self.is_pad = torch.cat([before, is_pad], dim=1)
        return self.is_pad

    def select(self, rows: torch.Tensor) -> None:
        """Text r becomes what text rows[r] was; there may be more than before, or fewer."""
        for pairs in (self.own, self.cross):
            pairs[:] = [tuple(x.index_select(0, rows) for x in pair) for pair in pairs]
        for name in ("is_pad", "may_look"):
            if (mask := getattr(self, name)) is not None:
                setattr(self, name, mask.index_select(0, rows))
