"""Who may look at whom: the masks that turn one transformer into a reader, a writer, or both.

Each gives `may_attend`, bool, True where a query (row, T) may look at a key (column, S), in a shape
that course_lib.blocks.attention takes. Two masks are joined by `&`:

    causal(L) & bidirectional(is_pad)  # a writer whose batch has pads

A row in which nothing is left attends to nothing, and receives zeros there.
Prefix: Raffel et al.: Exploring the Limits of Transfer Learning, JMLR 2020, §3.2.1, figure 4.
"""

from __future__ import annotations

import torch


def bidirectional(is_pad: torch.Tensor) -> torch.Tensor:
    """is_pad bool (B, S) → (B, 1, 1, S): everyone looks at every token that is no pad.

    The rows of pads stay, since nobody looks at what they receive. Raises ValueError for another
    shape or type.
    """
    if is_pad.dtype != torch.bool or is_pad.ndim != 2:
        raise ValueError(
            "is_pad must be bool of shape (B, tokens), "
            f"but {is_pad.dtype} of shape {tuple(is_pad.shape)} was given"
        )
    return ~is_pad[:, None, None]


def causal(L: int, past: int = 0, device: torch.device | None = None) -> torch.Tensor:
    """L new tokens behind `past` old ones → (L, past + L): each looks back and at itself.

    Raises ValueError for a negative number, or no token at all.
    """
    if L < 1 or past < 0:
        raise ValueError(
            f"at least 1 new token and 0 old ones are expected, but {L} and {past} were given"
        )
    return torch.ones(L, past + L, dtype=torch.bool, device=device).tril(past)


def prefix(L: int, visible: int, device: torch.device | None = None) -> torch.Tensor:
    """L tokens → (L, L): the first `visible` see each other, each later one what is before it.

    Raises ValueError if `visible` is not one of 0 … L.
    """
    if not 0 <= visible <= L:
        raise ValueError(f"0 to {L} of {L} tokens can be visible, but {visible} was given")
    return causal(L, device=device) | (torch.arange(L, device=device) < visible)
