"""data/chat: texts, ids, masks are those of transformers' chat templates; a slow oracle; cuts."""

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from course_lib.data.chat import CHATML, VICUNA, Template, batch, encoded, pieces, written
from course_lib.data.published import Published
from course_lib.data.tokenizer import ByteBPE
from course_lib.data.vocabularies import read_tokenizer_json

SPECIAL = ("<image>", "</s>", "<|im_start|>", "<|im_end|>")
TEXTS = [
    "is there a red cube? yes", "what colour is the small sphere? it is blue.",
    "how many cones are there? there are two. ASSISTANT: USER: system user assistant",
    VICUNA.system, CHATML.system,
] * 3  # fmt: skip
TURNS = [
    [("<image>\nis there a red cube?", "yes")],
    [
        ("<image>\nwhat colour is it?", "it is blue."),
        ("how many are there?", "two"),
        ("why?", "no"),
    ],
    [("<image>\n<image>\nwhich is the same colour?", "ASSISTANT: USER: both, I think")],
    [("hello  there", "a reply\nin two lines"), ("<image> and now?", "is <image a mark? no")],
]
# What transformers' files hold, with the assistant's part marked as such.
JINJA = {
    "vicuna": (
        "{{ system }}{% for m in messages %}{% if m.role == 'user' %}"
        "{{ 'USER: ' + m.content + ' ' }}{% else %}{{ 'ASSISTANT:' }}"
        "{% generation %}{{ ' ' + m.content + '</s>' }}{% endgeneration %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    ),
    "chatml": (
        "{% for m in messages %}{% if loop.first and m.role != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
        "{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
        "{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
}
TEMPLATES = {"vicuna": VICUNA, "chatml": CHATML}


def bytes_reference() -> Tokenizer:
    """Byte-level BPE of GPT-2's kind, as Qwen2's files hold it."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=letters, show_progress=False)
    trained.train_from_iterator(TEXTS, trainer)
    trained.add_special_tokens([AddedToken(name, normalized=False) for name in SPECIAL])
    return trained


def llama_reference() -> Tokenizer:
    """LLaMA's kind: one ▁ in front of the text, none behind a special token; <s> first."""
    trained = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace("▁", "first", split=False)
    joins = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    trained.decoder = decoders.Sequence([*joins, decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words = [word for text in TEXTS for word in text.split()]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False)
    trained.train_from_iterator(words, trainer)
    names = ["<unk>", "<s>", *SPECIAL]
    trained.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    ends = [("<s>", trained.token_to_id("<s>"))]
    trained.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=ends)
    return trained


KINDS = {"bytes": bytes_reference, "llama": llama_reference}


@pytest.fixture(scope="module", params=KINDS)
def both(request, tmp_path_factory) -> tuple[Published, PreTrainedTokenizerFast]:
    theirs, path = KINDS[request.param](), tmp_path_factory.mktemp("chat") / "tokenizer.json"
    theirs.save(str(path))
    return read_tokenizer_json(path), PreTrainedTokenizerFast(tokenizer_object=theirs)


def messages(turns: list) -> list[dict[str, str]]:
    said = []
    for user, reply in turns:
        said.append({"role": "user", "content": user})
        if reply is not None:
            said.append({"role": "assistant", "content": reply})
    return said


@pytest.fixture(scope="module")
def ours() -> ByteBPE:
    return ByteBPE.train(TEXTS, 400, special=SPECIAL)


# ------------------------------------------------------------------------------- equal to the rest


@pytest.mark.parametrize("turns", TURNS, ids=lambda turns: f"{len(turns)} turns")
@pytest.mark.parametrize("name", TEMPLATES)
def test_texts_ids_and_masks_are_transformers(both: tuple, name: str, turns: list) -> None:
    published, theirs = both
    template = TEMPLATES[name]
    how = {"chat_template": JINJA[name], "system": VICUNA.system}
    whole = theirs.apply_chat_template(messages(turns), tokenize=False, **how)
    assert written(turns, template) == whole
    expected = theirs(whole)  # <s> in front, where the kind has one
    ids, counts = encoded(published, turns, template)
    assert ids == expected["input_ids"]
    # Their mask, by characters: a token counts if what it stands for lies in the assistant's part.
    part, places = "", []
    for piece, counting in pieces(turns, template):
        places += [counting] * len(piece)
        part += piece
    marked = theirs.apply_chat_template(
        messages(turns), return_assistant_tokens_mask=True, return_dict=True, **how
    )
    extra = len(ids) - len(marked["input_ids"])  # their template writes no <s>
    assert extra in (0, 1)
    assert ids[extra:] == marked["input_ids"]
    assert [False] * extra + [bool(m) for m in marked["assistant_masks"]] == counts
    assert part == whole


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_is_how_every_conversation_begins(both: tuple, name: str) -> None:
    published, theirs = both
    how = {"chat_template": JINJA[name], "system": VICUNA.system, "add_generation_prompt": True}
    for turns in TURNS:
        waiting = [*turns[:-1], (turns[-1][0], None)]
        text = theirs.apply_chat_template(messages(waiting), tokenize=False, **how)
        assert written(waiting, TEMPLATES[name]) == text
        prompt, _ = encoded(published, waiting, TEMPLATES[name])
        ids, counts = encoded(published, turns, TEMPLATES[name])
        assert prompt == theirs(text)["input_ids"] == ids[: len(prompt)]
        assert all(counts[len(prompt) : len(prompt) + 1])
        assert not counts[len(prompt) - 1]


# -------------------------------------------------------------------------- oracle, and by hand


def slow(tokenizer: ByteBPE, turns: list, template: Template) -> tuple[list[int], list[bool]]:
    """Piece by piece, each mark looked up by itself: nothing is searched for in a text."""
    ids: list[int] = []
    counts: list[bool] = []

    def say(text: str, counting: bool) -> None:
        rest = text
        while rest:
            found = [(rest.find(mark), mark) for mark in SPECIAL if mark in rest]
            at, mark = min(found, default=(len(rest), ""))
            plain = tokenizer.encode(rest[:at])
            ids.extend(plain)
            counts.extend([counting] * len(plain))
            if mark:
                ids.append(tokenizer.ids[mark])
                counts.append(counting)
            rest = rest[at + len(mark) :]

    if template is CHATML:
        say("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n", False)
    for number, (user, reply) in enumerate(turns):
        if template is CHATML:
            say(f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n", False)
            say(f"{reply}<|im_end|>", True)
            say("\n", False)
        else:
            say(f"{'' if number else VICUNA.system}USER: {user} ASSISTANT:", False)
            say(f" {reply}</s>", True)
    return ids, counts


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_slow_oracle_gives_the_same(ours: ByteBPE, name: str) -> None:
    for turns in TURNS:
        assert encoded(ours, turns, TEMPLATES[name]) == slow(ours, turns, TEMPLATES[name])


def test_what_counts_by_hand(ours: ByteBPE) -> None:
    turns = [("<image>\nis there a cube?", "yes"), ("why?", "it is red.")]
    ids, counts = encoded(ours, turns, VICUNA)
    said = ours.decode([number for number, c in zip(ids, counts, strict=True) if c])
    assert said == " yes</s> it is red.</s>"
    rest = ours.decode([number for number, c in zip(ids, counts, strict=True) if not c])
    assert rest == f"{VICUNA.system}USER: <image>\nis there a cube? ASSISTANT:USER: why? ASSISTANT:"
    ids, counts = encoded(ours, turns, CHATML)
    said = ours.decode([number for number, c in zip(ids, counts, strict=True) if c])
    assert said == "yes<|im_end|>it is red.<|im_end|>"
    assert (ours.decode(ids[-2:]), counts[-2:]) == ("<|im_end|>\n", [True, False])


def test_spaces_around_words_are_taken_away(ours: ByteBPE) -> None:
    for template in TEMPLATES.values():
        clean = encoded(ours, [("why?", "no"), ("so?", "yes")], template)
        assert encoded(ours, [(" why?\n", "\n no "), ("so? ", " yes\t")], template) == clean


# ---------------------------------------------------------------------------------- length, batches


def test_what_is_cut_off(ours: ByteBPE) -> None:
    turns = [("<image>\nis there a cube?", "yes"), ("why?", "it is red.")]
    ids, counts = encoded(ours, turns, CHATML)
    picture, image = ids.index(ours.ids["<image>"]), 16
    first = counts.index(True)
    for length in range(1, len(ids) + image + 3):
        # In places: what is behind the picture comes 15 later.
        expected = [
            place
            for place in range(len(ids))
            if place + 1 + (image - 1) * (place >= picture) <= length
        ]
        if len(expected) <= first:  # nothing that counts is left
            with pytest.raises(
                ValueError, match=f"^{length} places .*(a picture|all that counts) is cut off"
            ):
                encoded(ours, turns, CHATML, length, image)
            continue
        kept = encoded(ours, turns, CHATML, length, image)
        assert kept == (ids[: len(expected)], counts[: len(expected)])
    assert encoded(ours, turns, CHATML, len(ids)) == (ids, counts)
    assert encoded(ours, turns, CHATML, len(ids) + image - 1, image) == (ids, counts)
    # A reply that is cut does not end.
    cut, told = encoded(ours, turns, CHATML, first + 1)
    assert told[-1]
    assert cut[-1] != ours.ids["<|im_end|>"]


def test_pictures_and_prompts_are_never_cut(ours: ByteBPE) -> None:
    late = [("is there a cube?", "yes"), ("<image>\nand here?", "no")]
    ids, _ = encoded(ours, late, CHATML)
    place = ids.index(ours.ids["<image>"])
    for image in (1, 16):
        with pytest.raises(ValueError, match="a picture is cut off"):
            encoded(ours, late, CHATML, place + image - 1, image)
        encoded(ours, late, CHATML, place + image, image)
    waiting = [("<image>\nis there a cube?", None)]
    ids, counts = encoded(ours, waiting, CHATML)
    assert not any(counts)
    assert encoded(ours, waiting, CHATML, len(ids)) == (ids, counts)
    with pytest.raises(ValueError, match="a prompt that waits for its reply is cut"):
        encoded(ours, waiting, CHATML, len(ids) - 1)


@pytest.mark.parametrize("side", ["right", "left"])
def test_batches_are_rows_with_pads_that_do_not_count(ours: ByteBPE, side: str) -> None:
    tokens, is_pad, counts = batch(ours, TURNS, VICUNA, side=side)
    assert tokens.shape == is_pad.shape == counts.shape
    for row, turns in enumerate(TURNS):
        ids, told = encoded(ours, turns, VICUNA)
        real = ~is_pad[row]
        assert tokens[row][real].tolist() == ids
        assert counts[row][real].tolist() == told
        assert not counts[row][is_pad[row]].any()
        assert bool(real[0 if side == "right" else -1])
        assert int(real.sum()) == len(ids)
    assert (tokens[is_pad] == ours.ids["</s>"]).all()
    assert is_pad.any()
    L = tokens.shape[1]
    short = batch(ours, TURNS, VICUNA, L - 2)
    assert short[0].shape == (4, L - 2)
    assert short[2].sum() == counts.sum() - 2


# ------------------------------------------------------------------------------------------- errors


def test_errors_are_one_sentence(ours: ByteBPE, tmp_path: Path) -> None:
    for turns in ([], iter(())):
        with pytest.raises(ValueError, match="at least one turn is expected, but there is none"):
            encoded(ours, turns, VICUNA)
    for turns in ([("a", None), ("b", "c")], [("a", "  ")], [("a", "b"), ("c", "")]):
        with pytest.raises(ValueError, match="needs a reply in words, but it has"):
            encoded(ours, turns, VICUNA)
    for turn, name in (
        (("a </s>", "b"), "</s>"),
        (("a", "<image>"), "<image>"),
        (("a", "b<|im_end|>"), "<|im_end|>"),
        (("<|im_start|>a", None), "<|im_start|>"),
    ):
        with pytest.raises(ValueError, match=r"nobody may say .*, a special token, but") as error:
            encoded(ours, [turn], VICUNA)
        assert f"nobody may say {name!r}" in str(error.value)
    plain = ByteBPE.train(TEXTS, 300)
    with pytest.raises(ValueError, match=r"must know </s>, but it does not"):
        encoded(plain, [("a", "b")], VICUNA)
    blind = ByteBPE.train(TEXTS, 300, special=("</s>",))
    encoded(blind, [("a", "b")], VICUNA)
    with pytest.raises(ValueError, match=r"must know <image>, but it does not"):
        encoded(blind, [("<image> a", "b")], VICUNA)
    # With nothing between them, the last letters of a prompt and the reply are one word.
    joined = replace(VICUNA, assistant=" re", reply="")
    with pytest.raises(ValueError, match="border between tokens is expected before 'd cube</s>'"):
        encoded(ours, [("is there a", "d cube")], joined)
