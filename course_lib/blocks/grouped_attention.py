"""Causal attention for decoders: grouped queries with rotary positions, and the cache of the past.

Ainslie et al.: GQA: Training Generalized Multi-Query Transformer Models, EMNLP 2023. What a decoder
has to keep of its past, and to read again for each new word, are keys and values. R heads of
queries share one head of them: with R = 1 that is the attention of 2017, with one head for all
(Shazeer 2019) the smallest cache.

L new tokens, S with those of the past; H = G · R heads of queries, G of keys and values, d wide.
"""

from __future__ import annotations

import torch
from torch import nn

from course_lib.blocks.attention import attend, attention_weights
from course_lib.blocks.rotary import rotate

Turns = tuple[torch.Tensor, torch.Tensor]  # what course_lib.blocks.rotary.turns gives


class Cache:
    """Keys and values of all tokens read so far, in every block. Its whole room is made at once.

    `turns` (capacity, d) are the rotary turns of all places, for which there is room.
    """

    def __init__(self, turns: Turns, depth: int, batch: int, key_heads: int) -> None:
        self.turns, self.length = turns, 0  # tokens read, pads among them
        self.capacity, d = turns[0].shape
        # Keys, then values: (2, depth, B, G, capacity, d).
        self.room = turns[0].new_empty(2, depth, batch, key_heads, self.capacity, d)
        self.is_pad: torch.Tensor | None = None  # bool (B, capacity); None: no pads so far

    def grow(self, B: int, L: int, is_pad: torch.Tensor | None) -> torch.Tensor | None:
        """Make ready for B rows of L more tokens, with is_pad (B, L) or None: no pads.

        Gives that of all tokens, (B, S), or None. Raises ValueError for another number of rows,
        and if there is no room.
        """
        rows, start, end = self.room.shape[2], self.length, self.length + L
        if rows != B or end > self.capacity:
            raise ValueError(
                f"the cache has room for {rows} rows of {self.capacity} tokens, "
                f"but {B} rows of {start} + {L} were given"
            )
        # Views of all blocks at once: slices inside each block would cost more than its sums.
        self.new_keys, self.new_values = (x.unbind() for x in self.room[..., start:end, :])
        self.keys, self.values = (x.unbind() for x in self.room[..., :end, :])
        self.length = end
        if is_pad is not None:
            if self.is_pad is None:
                self.is_pad = is_pad.new_zeros(B, self.capacity)
            self.is_pad[:, start:end] = is_pad
        return None if self.is_pad is None else self.is_pad[:, :end]

    def extend(
        self, block: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A block's keys and values (B, G, L, d) of the new tokens → of all, (B, G, S, d).

        A cache keeps numbers only: no gradient flows through it.
        """
        self.new_keys[block].copy_(keys.detach())
        self.new_values[block].copy_(values.detach())
        return self.keys[block], self.values[block]

    def select(self, rows: torch.Tensor) -> None:
        """Row r becomes what row rows[r] was; there may be more rows than before, or fewer."""
        self.room = self.room.index_select(2, rows)
        if self.is_pad is not None:
            self.is_pad = self.is_pad.index_select(0, rows)


class GroupedAttention(nn.Module):
    """Attention of tokens (B, L, D) to themselves and to a cached past.

    Query, key and value are one packed layer, in this order. The R queries of a group stand below
    each other as R · L rows of one head, so that no key and no value is ever copied.
    """

    def __init__(
        self, dim: int, heads: int, key_heads: int, head_dim: int, qkv_bias: bool, block: int
    ) -> None:
        """`block` is the number of the block, under which a cache keeps its keys and values."""
        super().__init__()
        if min(heads, key_heads) < 1 or heads % key_heads:
            raise ValueError(
                "the heads of queries must be a multiple of those of keys, "
                f"but {heads} and {key_heads} were given"
            )
        self.heads, self.key_heads, self.head_dim = heads, key_heads, head_dim
        self.block = block
        self.qkv = nn.Linear(dim, (heads + 2 * key_heads) * head_dim, bias=qkv_bias)
        self.out = nn.Linear(heads * head_dim, dim, bias=False)

    def forward(
        self,
        x: torch.Tensor,
        turns: Turns,
        may_attend: torch.Tensor | None = None,
        cache: Cache | None = None,
    ) -> torch.Tensor:
        """x (B, L, D) or (B · L, D), turns (L, d) or (B, 1, L, d), may_attend bool → x's shape.

        may_attend is (L, S) or (B, 1, L, S), True where a query (row) may look at a key (column).
        A query that may look at nothing receives zeros.
        """
        q, k, v = self._read(x, turns)
        if cache is not None:
            k, v = cache.extend(self.block, k, v)
        mixed = attend(q, k, v, self._repeated(may_attend))  # (B, G, R · L, d)
        L = turns[0].shape[-2]
        if L > 1:
            mixed = mixed.reshape(len(k), self.heads, L, -1).transpose(1, 2)
        return self.out(mixed.reshape(*x.shape[:-1], -1))

    def weights(
        self, x: torch.Tensor, turns: Turns, may_attend: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The same arguments as `forward` → its attention weights (B, H, L, L)."""
        q, k, _ = self._read(x, turns)
        weights = attention_weights(q, k, self._repeated(may_attend))
        return weights.view(len(k), self.heads, -1, k.shape[2])

    def _read(
        self, x: torch.Tensor, turns: Turns
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x as in `forward` → queries (B, G, R · L, d), keys and values (B, G, L, d)."""
        H, G, d, L = self.heads, self.key_heads, self.head_dim, turns[0].shape[-2]
        heads = self.qkv(x).view(-1, L, H + 2 * G, d).transpose(1, 2)
        qk, v = heads.split_with_sizes((H + G, G), dim=1)
        q, k = rotate(qk, *turns).split_with_sizes((H, G), dim=1)
        return q.reshape(-1, G, H // G * L, d), k, v

    def _repeated(self, may_attend: torch.Tensor | None) -> torch.Tensor | None:
        """(…, L, S) → (…, R · L, S)."""
        if may_attend is None or self.heads == self.key_heads:
            return may_attend
        times = self.heads // self.key_heads
        return may_attend.repeat(*[1] * (may_attend.ndim - 2), times, 1)
