"""Greedy generation beside transformers: `python -m benchmarks.generation` prints the table.

A small LLaMA (width 128, 4 blocks, 1,000 words) goes on with prompts of 16 words, 64 words a text,
with a cache of keys and values. Both networks have the same weights and write the same texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.features import Row, race
from course_lib.backbones import causal_lm

PROMPT, STEPS = 16, 64
LIMIT = 1 / 3


def generation_row(batch: int, rounds: int) -> Row:
    config = LlamaConfig(
        vocab_size=1000,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    theirs = LlamaForCausalLM(config).eval()
    ours = causal_lm.from_reference(theirs.state_dict(), config.to_dict())
    prompt = torch.randint(1, config.vocab_size, (batch, PROMPT))
    mask = torch.ones_like(prompt)

    def write() -> torch.Tensor:
        return ours.generate(prompt, steps=STEPS)

    def peer_writes() -> torch.Tensor:
        return theirs.generate(
            prompt, attention_mask=mask, max_new_tokens=STEPS, do_sample=False
        )[:, PROMPT:]  # fmt: skip

    same = "the same" if torch.equal(write(), peer_writes()) else "other"
    mine, peer = race(write, peer_writes, rounds=rounds)
    words = batch * STEPS
    note = f"{words / mine:,.0f} and {words / peer:,.0f} words/s, {same} texts"
    return Row(f"{STEPS} words, batch {batch}", "transformers", mine, peer, LIMIT, None, note)


def rows(rounds: int = 5) -> Iterator[Row]:
    """Every line of the table, measured as it is asked for."""
    for batch in (1, 8):
        yield generation_row(batch, rounds)


def main() -> None:
    """Measure, and print the table as it grows."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers"))
    print(f"Milliseconds, {torch.get_num_threads()} threads; {versions}.\n")
    print(
        "| what | ours | peer | peer's | ratio | at most | | |",
        "|---|---|---|---|---|---|---|---|",
        sep="\n",
    )
    for row in rows():
        print(row, flush=True)


if __name__ == "__main__":
    main()
