"""The attention that `attend` chooses beside the other one: `python -m benchmarks.attention`.

Forward and backward, one thread. The other path is the peer, so a ratio under 1 is what the choice
gains here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from benchmarks.features import Row, race
from course_lib.blocks.attention import attend, explicit_attention, fused_attention

# (B, heads, tokens, width of a head): 64-pixel pictures in TINY, 224-pixel pictures in S/16.
SHAPES = {"64 px, TINY": (128, 4, 65, 32), "224 px, S/16": (8, 6, 197, 64)}


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 matrices faster than float32 ones."""
    a = torch.randn(256, 256)
    b = a.bfloat16()
    half, single = race(lambda: b @ b, lambda: a @ a)
    return half < single


def attention_row(name: str, dtype: torch.dtype, rounds: int) -> Row:
    # In bfloat16 the choice must clearly pay; in float32 the two are close (0.94 to 1.31 was
    # seen), and it must not cost much.
    other, peer, limit = fused_attention, "fused", 0.8
    if dtype == torch.float32:
        other, peer, limit = explicit_attention, "explicit", 1.5
    ours, theirs = race(_step(attend, name, dtype), _step(other, name, dtype), rounds=rounds)
    return Row(f"attention, {name}, {str(dtype)[6:]}", peer, ours, theirs, limit)


def _step(attention: Callable[..., torch.Tensor], name: str, dtype: torch.dtype) -> Callable:
    """A function that runs `attention` forward and backward, as in training."""
    q, k, v = (torch.randn(SHAPES[name], dtype=dtype, requires_grad=True) for _ in range(3))
    gradient = torch.randn_like(q)
    return lambda: attention(q, k, v).backward(gradient)


def rows(rounds: int = 5) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    torch.set_num_threads(1)
    for dtype in [torch.float32, *([torch.bfloat16] if has_bfloat16() else [])]:
        for name in SHAPES:
            yield attention_row(name, dtype, rounds)


def main() -> None:
    print("| what | ours | peer | peer's | ratio | at most | cv2 alone | |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows():
        print(row, flush=True)
    if not has_bfloat16():
        print("\nThis CPU has no arithmetic for bfloat16: its rows are left out.")


if __name__ == "__main__":
    main()
