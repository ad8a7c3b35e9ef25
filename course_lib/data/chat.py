"""Conversations → tokens, and which of them count: what an assistant is to learn to say.

    user       <image>\\nis there a red cube?
    assistant  yes

A language model knows no speakers. A template puts marks around what each of them says, and the
loss counts the assistant's words and the token that ends them, and nothing else: nobody wants a
model that goes on asking itself.

Sources    VICUNA: Zheng et al.: Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena, NeurIPS
           2023; LLaVA-1.5's conversations. CHATML: Yang et al.: Qwen2 Technical Report, 2024
Reference  transformers' apply_chat_template with the assistant's mask: equal texts, ids, masks
Differs
  * Spaces around what is said are taken away; an empty reply is refused.
  * What is said cannot become a mark: the name of a special token in it is refused. Of them only
    "<image>" may stand in the user's words, where a picture is to be.
  * `length` counts a picture with all its places, and no picture is cut off. The authors cut the
    text first, then what the pictures have made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from course_lib.data.published import Published
from course_lib.data.tokenizer import ByteBPE, padded

IMAGE = "<image>"
Tokenizer = ByteBPE | Published
Turn = tuple[str, str | None]  # what the user says and the assistant's reply; None: to be written


@dataclass(frozen=True)
class Template:
    """What stands around the words of a conversation. `marks` in it are special tokens."""

    system: str  # before the first turn
    user: str  # before the user's words
    assistant: str  # behind them: the prompt ends with it
    reply: str  # between the prompt and the assistant's words; counts with them
    end: str  # the token that ends the assistant's words; counts, too
    behind: str  # behind the end
    marks: tuple[str, ...]


VICUNA = Template(
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions. ",
    "USER: ", " ASSISTANT:", " ", "</s>", "", ("</s>",),
)  # fmt: skip
CHATML = Template(
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n",
    "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "", "<|im_end|>", "\n",
    ("<|im_start|>", "<|im_end|>"),
)  # fmt: skip


def pieces(turns: Iterable[Turn], template: Template) -> list[tuple[str, bool]]:
    """Turns → the conversation's text in pieces, and whether each counts: by turns not and yes.

    Raises ValueError if there is no turn, if a reply is empty, or is None before the last turn.
    """
    said: list[tuple[str, bool]] = []
    before, turns = template.system, list(turns)
    for number, (user, reply) in enumerate(turns):
        said.append((f"{before}{template.user}{user.strip()}{template.assistant}", False))
        if reply is None and number == len(turns) - 1:
            return said
        if reply is None or not reply.strip():
            raise ValueError(f"turn {number} needs a reply in words, but it has {reply!r}")
        said.append((f"{template.reply}{reply.strip()}{template.end}", True))
        before = template.behind
    if not said:
        raise ValueError("at least one turn is expected, but there is none")
    return [*said, (before, False)] if before else said


def written(turns: Iterable[Turn], template: Template) -> str:
    """Turns → the whole conversation as one text; raises what `pieces` raises."""
    return "".join(text for text, _ in pieces(turns, template))


def encoded(
    tokenizer: Tokenizer,
    turns: Iterable[Turn],
    template: Template,
    length: int | None = None,
    image_places: int = 1,
) -> tuple[list[int], list[bool]]:
    """Turns → the ids of the conversation, and which of them count.

    At most `length` places are kept, the first ones; a picture takes `image_places` of them, each
    other token 1. A reply that is cut loses its end token, so that nobody learns to end there.
    Raises ValueError for what `pieces` refuses; for a mark that the tokenizer does not know, or
    that somebody says; where the tokenizer joins a reply with its prompt; if a picture, a prompt
    that waits for its reply, or all that counts would be cut off.
    """
    turns = list(turns)
    _check_words(tokenizer, turns, template)
    text, ids, counts = "", [], []
    for piece, counting in pieces(turns, template):
        text += piece
        longer = tokenizer.encode(text, read_special=True)
        if longer[: len(ids)] != ids:
            raise ValueError(
                f"a border between tokens is expected before {piece!r}, but the tokenizer joins "
                "its beginning with what stands before"
            )
        counts += [counting] * (len(longer) - len(ids))
        ids = longer
    if length is None:
        return ids, counts
    image = tokenizer.ids.get(IMAGE)
    kept = _kept([image_places if number == image else 1 for number in ids], length)
    waits, cut = turns[-1][1] is None, kept < len(ids)
    for what, is_lost in (
        ("a picture", image in ids[kept:]),
        ("a prompt that waits for its reply", cut and waits),
        ("all that counts", cut and not any(counts[:kept])),
    ):
        if is_lost:
            raise ValueError(
                f"{length} places are too few for {len(ids)} tokens: {what} is cut off"
            )
    return ids[:kept], counts[:kept]


def batch(
    tokenizer: Tokenizer,
    conversations: Sequence[Iterable[Turn]],
    template: Template,
    length: int | None = None,
    image_places: int = 1,
    side: Literal["right", "left"] = "right",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """B conversations → tokens int64 (B, L), is_pad bool (B, L), counts bool (B, L).

    Pads stand on `side` and hold the template's end token. Raises what `encoded` raises.
    """
    rows = [encoded(tokenizer, turns, template, length, image_places) for turns in conversations]
    tokens, is_pad = padded([ids for ids, _ in rows], tokenizer.id_of(template.end), side=side)
    counts, _ = padded([counts for _, counts in rows], 0, side=side)
    return tokens, is_pad, counts.bool()


def _check_words(tokenizer: Tokenizer, turns: Sequence[Turn], template: Template) -> None:
    if missing := [mark for mark in template.marks if mark not in tokenizer.ids]:
        raise ValueError(f"the tokenizer must know {', '.join(missing)}, but it does not")
    names = {*tokenizer.special, *template.marks, IMAGE}
    for user, reply in turns:
        for words, allowed in ((user, {IMAGE}), (reply or "", set())):
            if said := sorted(name for name in names - allowed if name in words):
                raise ValueError(f"nobody may say {said[0]!r}, a special token, but {words!r} does")
        if IMAGE in user and IMAGE not in tokenizer.ids:
            raise ValueError(f"the tokenizer must know {IMAGE}, but it does not")


def _kept(places: Sequence[int], length: int) -> int:
    """How many tokens, from the first, fit into `length` places."""
    total = 0
    for number, n in enumerate(places):
        total += n
        if total > length:
            return number
    return len(places)
