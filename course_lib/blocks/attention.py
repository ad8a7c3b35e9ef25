"""Multi-head attention: every token asks a question, and gets a mixture of the answers.

Vaswani et al.: Attention Is All You Need, NeurIPS 2017, §3.2. Of T queries q, S keys k and S values
v, all of width d: softmax(q kᵀ / √d) v, eq. 1, once for every head.

Two functions compute the same. `explicit_attention` makes the (T, S) table of weights;
`fused_attention` is torch's kernel, which never holds the whole table. `attend` takes the faster
one: the fused, except in bfloat16 on CPUs (`python -m benchmarks.attention` measures both).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

KeysValues = tuple[torch.Tensor, torch.Tensor]  # of a context, (B, heads, S, D / heads) each


def attention_weights(
    q: torch.Tensor, k: torch.Tensor, may_attend: torch.Tensor | None = None
) -> torch.Tensor:
    """q (…, T, d), k (…, S, d), may_attend bool, broadcast to (…, T, S) → weights (…, T, S).

    A row sums to 1; the row of a query that may attend to nothing is 0 throughout.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if may_attend is None:
        return scores.softmax(dim=-1)
    # The least finite number, not −∞: a row of −∞ would give NaN, and NaN in every gradient.
    scores = scores.masked_fill(~may_attend, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(~may_attend, 0)


def explicit_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, may_attend: torch.Tensor | None = None
) -> torch.Tensor:
    """q (…, T, d), k and v (…, S, d), may_attend as in `attention_weights` → (…, T, d)."""
    return attention_weights(q, k, may_attend) @ v


def fused_attention(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, may_attend: torch.Tensor | None = None
) -> torch.Tensor:
    """The same as `explicit_attention`, in one kernel and without the table of weights."""
    return scaled_dot_product_attention(q, k, v, attn_mask=may_attend)


def attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, may_attend: torch.Tensor | None = None
) -> torch.Tensor:
    """The same as `explicit_attention`, by whichever of the two is faster for `q`."""
    # On CPUs the fused kernel gains nothing from bfloat16; the explicit one's matrix products do.
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        return explicit_attention(q, k, v, may_attend)
    return fused_attention(q, k, v, may_attend)


class Attention(nn.Module):
    """Multi-head attention of tokens (width D) to themselves, or to a context (width C, or D).

    Query, key and value are three layers, not one packed layer (as in timm): initial weights scaled
    by fan-in and fan-out then mean what they say, and cross-attention needs no slicing.
    """

    def __init__(
        self, dim: int, heads: int, qkv_bias: bool = True, context_dim: int | None = None
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(
                f"the width is a multiple of the number of heads, but {dim} and {heads} were given"
            )
        self.heads, context_dim = heads, dim if context_dim is None else context_dim
        self.query = nn.Linear(dim, dim, bias=qkv_bias)
        self.key = nn.Linear(context_dim, dim, bias=qkv_bias)
        self.value = nn.Linear(context_dim, dim, bias=qkv_bias)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        may_attend: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """x (B, T, D), context (B, S, C) or None for x itself → (B, T, D).

        may_attend is bool, True where a query (row) may look at a key (column): (T, S) for all,
        (B, T, S), or (B, heads, T, S); any dimension may be 1, so `~is_pad[:, None]` will do.
        A query that may attend to nothing receives zeros (then `out` adds its bias). Raises
        ValueError for other shapes and types.
        """
        return self.read(x, self.keys_values(self._context(x, context)), may_attend)

    def keys_values(self, context: torch.Tensor) -> KeysValues:
        """context (B, S, C) → its keys and its values, to be read now or kept for later."""
        return self._split(self.key(context)), self._split(self.value(context))

    def read(
        self, x: torch.Tensor, keys_values: KeysValues, may_attend: torch.Tensor | None = None
    ) -> torch.Tensor:
        """x (B, T, D), a context's keys and values → (B, T, D), as `forward` gives for it."""
        keys, values = keys_values
        mixed = attend(self._split(self.query(x)), keys, values, self._mask(may_attend, x, keys))
        return self.out(mixed.transpose(1, 2).flatten(2))  # from (B, heads, T, d)

    def weights(
        self,
        x: torch.Tensor,
        context: torch.Tensor | None = None,
        may_attend: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The same arguments as `forward` → its attention weights (B, heads, T, S)."""
        keys = self._split(self.key(self._context(x, context)))
        return attention_weights(self._split(self.query(x)), keys, self._mask(may_attend, x, keys))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) → (B, heads, T, D / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _context(self, x: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
        """The context, x itself if there is none; refuse what cannot be attended to."""
        context = x if context is None else context
        for name, tokens, layer in (("x", x, self.query), ("context", context, self.key)):
            if tokens.ndim != 3 or tokens.shape[-1] != layer.in_features or len(tokens) != len(x):
                raise ValueError(
                    f"{name} must have shape (B, tokens, {layer.in_features}) and the batch size "
                    f"of x, but {tuple(tokens.shape)} was given"
                )
        return context

    def _mask(
        self, may_attend: torch.Tensor | None, x: torch.Tensor, keys: torch.Tensor
    ) -> torch.Tensor | None:
        """The mask with a dimension for the heads; refuse what does not fit."""
        if may_attend is None:
            return None
        shape = (len(x), self.heads, x.shape[1], keys.shape[2])
        if may_attend.ndim == 3:
            may_attend = may_attend[:, None]
        fits = may_attend.ndim in (2, 4) and all(
            have in (1, want)
            for have, want in zip(may_attend.shape[::-1], shape[::-1], strict=False)
        )
        if may_attend.dtype != torch.bool or not fits:
            raise ValueError(
                "may_attend must be bool and fit (B, heads, T, S) = "
                f"{shape}, but {may_attend.dtype} of shape {tuple(may_attend.shape)} was given"
            )
        return may_attend
