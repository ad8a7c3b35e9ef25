"""Published vocabularies give the ids of transformers and tokenizers, and the text back as they do.

CLIP's vocabulary is the true one, read from the installed open_clip. BERT's, Qwen2's and LLaMA's
kinds are trained here, tiny, by the library `tokenizers`.
"""

import gzip
import json
import pickle
import time
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path

import open_clip
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import BertTokenizer, CLIPTokenizer, Qwen2Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from course_lib.data import words
from course_lib.data.published import Published, byte_pieces, letter_pieces, rules_of
from course_lib.data.vocabularies import (
    clip_batch,
    read_bert,
    read_clip,
    read_qwen2,
    read_tokenizer_json,
)

HARD = json.loads((Path(__file__).parent / "hard_texts.json").read_text(encoding="utf-8"))
TRAINED_ON = HARD * 2 + ["the cat sat on the mat playing with running dogs"] * 5
# Signs that Python's tables know, so that the references' know them as well …
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=60)
# … and those for BERT's, which are much older; of the Chinese and Korean ones, a sample.
OLD = unicodedata.ucd_3_2_0
KNOWN = [
    sign
    for sign in map(chr, [*range(0xD800), *range(0xE000, 0x110000)])
    if OLD.category(sign) == unicodedata.category(sign) != "Cn"
    and unicodedata.normalize("NFD", sign) == OLD.normalize("NFD", sign)
    and (ord(sign) < 0x3400 or ord(sign) % 97 == 0 or 0xFB00 <= ord(sign) <= 0xFFFF)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vocabularies")


def write_bpe(folder: Path, name: str, vocab: dict, merges: list) -> tuple[Path, Path]:
    paths = folder / f"{name}-vocab.json", folder / f"{name}-merges.txt"
    paths[0].write_text(json.dumps(vocab))
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges), ""]
    paths[1].write_text("\n".join(lines), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def clip(folder: Path) -> tuple[Published, CLIPTokenizer]:
    packed = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(packed.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = sorted(words.SIGNS)
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {token: number for number, token in enumerate(tokens)}
    ours = read_clip(*write_bpe(folder, "clip", vocab, merges))
    return ours, CLIPTokenizer(vocab=vocab, merges=merges)


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def bert(folder: Path, request: pytest.FixtureRequest) -> tuple[Published, BertTokenizer]:
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.normalizer = normalizers.BertNormalizer(lowercase=request.param)
    trained.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=600, special_tokens=special, limit_alphabet=250, show_progress=False
    )
    trained.train_from_iterator(TRAINED_ON, trainer)
    vocab = trained.get_vocab()
    path = folder / f"bert-{request.param}.txt"
    path.write_text("".join(f"{token}\n" for token in sorted(vocab, key=vocab.get)))
    theirs = BertTokenizer(vocab=vocab, do_lower_case=request.param)
    return read_bert(path, lower=request.param), theirs


@pytest.fixture(scope="module")
def qwen2(folder: Path) -> tuple[Published, Qwen2Tokenizer]:
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        TRAINED_ON,
        trainers.BpeTrainer(vocab_size=900, initial_alphabet=letters, show_progress=False),
    )
    model = json.loads(trained.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    paths = write_bpe(folder, "qwen2", model["vocab"], merges)
    theirs = Qwen2Tokenizer(
        vocab=model["vocab"],
        merges=merges,
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    return read_qwen2(*paths), theirs


@cache
def llama_reference(form: str) -> Tokenizer:
    """LLaMA's tokenizer, small. The form: "older", or a scheme of Metaspace, "-split" behind it."""
    trained = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained.train_from_iterator(
        TRAINED_ON,
        trainers.BpeTrainer(
            vocab_size=900, limit_alphabet=150, special_tokens=special, show_progress=False
        ),
    )
    model = json.loads(trained.to_str())["model"]
    theirs = Tokenizer(
        models.BPE(
            vocab=model["vocab"],
            merges=[tuple(merge) for merge in model["merges"]],
            byte_fallback=True,
            fuse_unk=True,
            unk_token="<unk>",
        )
    )
    scheme, _, split = form.partition("-")
    if form == "older":
        theirs.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        theirs.pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme, split=bool(split))
    joins = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    theirs.decoder = decoders.Sequence(
        joins if scheme == "never" else [*joins, decoders.Strip(" ", 1, 0)]
    )
    names = ["<unk>", "<s>", "</s>", "<image>", "<pad>"]
    theirs.add_special_tokens([AddedToken(name, normalized=False) for name in names])
    theirs.add_tokens([AddedToken("<tool>", normalized=False)])
    theirs.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return theirs


@pytest.fixture(
    scope="module", params=["older", "first", "always", "never", "first-split", "always-split"]
)
def llama(folder: Path, request: pytest.FixtureRequest) -> tuple[Published, Tokenizer]:
    theirs = llama_reference(request.param)
    theirs.save(str(folder / "llama.json"))
    return read_tokenizer_json(folder / "llama.json"), theirs


def check(ours: Published, theirs: object, text: str) -> None:
    """Ids and decoded text are equal, special tokens read or not, shown or not."""
    backend = getattr(theirs, "backend_tokenizer", theirs)
    for read_special in (False, True):
        backend.encode_special_tokens = not read_special
        for ends in (True, False):
            ids = backend.encode(text, add_special_tokens=ends).ids
            assert ours.encode(text, ends, read_special) == ids, text
        for skip_special in (False, True):
            expected = theirs.decode(ids, skip_special_tokens=skip_special)
            assert ours.decode(ids, skip_special) == expected, text


# -------------------------------------------------------------------------------- equal to the rest


def test_hard_texts_with_clip(clip: tuple) -> None:
    for text in HARD:
        check(*clip, text)


def test_hard_texts_with_bert(bert: tuple) -> None:
    for text in HARD:
        check(*bert, text)


def test_hard_texts_with_qwen2(qwen2: tuple) -> None:
    assert len(qwen2[0]) == len(qwen2[1]) == 903
    for text in HARD:
        check(*qwen2, text)


def test_hard_texts_with_llama(llama: tuple) -> None:
    assert len(llama[0]) == llama[1].get_vocab_size()
    for text in [*HARD, "<tool>a<tool> b", "a<s><s> b", " <image> a"]:
        if "<tool>" not in text:  # the reference knows it even where it was told not to
            check(*llama, text)
        ids = llama[1].encode(text).ids
        assert llama[0].encode(text, read_special=True) == ids
        assert llama[0].decode(ids, skip_special=True) == llama[1].decode(ids)


@given(TEXT)
def test_any_text_with_clip(clip: tuple, text: str) -> None:
    check(*clip, text)


@given(st.text(st.sampled_from(KNOWN), max_size=60))
def test_any_text_with_bert(bert: tuple, text: str) -> None:
    check(*bert, text)


@given(TEXT)
def test_any_text_with_qwen2(qwen2: tuple, text: str) -> None:
    check(*qwen2, text)


@settings(max_examples=40)
@given(TEXT)
def test_any_text_with_llama(llama: tuple, text: str) -> None:
    check(*llama, text)


@given(st.data())
def test_any_ids_give_the_references_text(clip: tuple, qwen2: tuple, data: st.DataObject) -> None:
    for ours, theirs in (clip, qwen2):
        ids = data.draw(st.lists(st.integers(0, len(ours) - 1), max_size=12))
        assert ours.decode(ids) == theirs.decode(ids)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 905), max_size=12))
def test_any_ids_give_llamas_text(llama: tuple, ids: list[int]) -> None:
    ids = [number for number in ids if number < len(llama[0])]
    assert llama[0].decode(ids) == llama[1].decode(ids, skip_special_tokens=False)
    assert llama[0].decode(ids, skip_special=True) == llama[1].decode(ids)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 599), max_size=12))
def test_any_ids_give_berts_text(bert: tuple, ids: list[int]) -> None:
    ids = [number for number in ids if number < len(bert[0])]
    assert bert[0].decode(ids) == bert[1].decode(ids)


def test_a_tokenizer_json_reads_as_its_two_files(qwen2: tuple, folder: Path) -> None:
    qwen2[1].backend_tokenizer.save(str(folder / "qwen2.json"))
    ours = read_tokenizer_json(folder / "qwen2.json")
    assert ours.ids == qwen2[0].ids
    assert ours.special == qwen2[0].special
    for text in HARD:
        check(ours, qwen2[1], text)


def test_gpt2s_and_llama_3s_kinds_are_read(qwen2: tuple, folder: Path) -> None:
    theirs = Tokenizer.from_str(qwen2[1].backend_tokenizer.to_str())
    theirs.normalizer = None
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.post_processor = processors.Sequence(
        [
            processors.ByteLevel(),
            processors.TemplateProcessing(
                single="<|im_start|> $A <|im_end|> <|im_end|>",
                special_tokens=[(n, theirs.token_to_id(n)) for n in ("<|im_start|>", "<|im_end|>")],
            ),
        ]
    )
    content = json.loads(theirs.to_str())
    # A word that no merge leads to is one token with ignore_merges, several without.
    content["model"]["merges"] = content["model"]["merges"][:50]
    path = folder / "kinds.json"
    for ignore in (False, True):
        content["model"]["ignore_merges"] = ignore
        content["model"]["merges"] = [
            " ".join(merge) if ignore else merge.split(" ") if isinstance(merge, str) else merge
            for merge in content["model"]["merges"]
        ]
        path.write_text(json.dumps(content))
        ours, again = read_tokenizer_json(path), Tokenizer.from_str(path.read_text())
        for text in HARD:
            check(ours, again, text)
    assert ours.tokens("a", ends=True)[-2:] == ["<|im_end|>", "<|im_end|>"]


# ------------------------------------------------------------------------------------ known answers


def test_clips_numbers_by_hand(clip: tuple) -> None:
    ours = clip[0]
    assert len(ours) == 49408
    assert ours.encode("A photo of a cat") == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert ours.tokens("a  CAT\n", ends=False) == ["a</w>", "cat</w>"]
    assert ours.encode("") == [49406, 49407]
    assert ours.decode([320, 1125, 49407]) == "a photo <|endoftext|>"
    assert ours.decode(ours.encode("A cat's hat!"), skip_special=True) == "a cat 's hat !"
    assert ours.special == {"<|startoftext|>": 49406, "<|endoftext|>": 49407}
    assert ours.id_of("cat</w>") == 2368


def test_batches_are_open_clips(clip: tuple) -> None:
    texts = ["a diagram", "", "A dog, isn't it? 3 cats & 12 mice", "two words " * 60, "café 猫"]
    theirs = open_clip.tokenizer.SimpleTokenizer()
    for length in (77, 9, 2):
        ours = clip_batch(clip[0], texts, length)
        assert ours.shape == (5, length)
        assert ours.equal(theirs(texts, length))
    assert clip_batch(clip[0], texts).equal(theirs(texts))
    assert clip_batch(clip[0], []).shape == (0, 77)
    with pytest.raises(ValueError, match=r"a length of at least 2 is expected, .* not 1"):
        clip_batch(clip[0], texts, 1)


def test_berts_words_by_hand(tmp_path: Path) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "cafe", "!"]
    tokens += ["\u2028", "\x85", "中", "Cafe"]  # which some functions take for line ends
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(tokens), encoding="utf-8")
    ours = read_bert(path)
    assert ours.encode("UNaffable Café!") == [2, 5, 6, 7, 8, 9, 3]
    assert ours.encode("中中 [MASK]", ends=False) == [12, 12, 1, 1, 1]
    assert ours.encode("[MASK]", read_special=True) == [2, 4, 3]
    assert ours.decode([2, 5, 6, 7, 8, 9, 3]) == "[CLS] unaffable cafe! [SEP]"
    assert ours.decode([2, 5, 0, 9], skip_special=True) == "un!"
    assert read_bert(path, lower=False).tokens("Cafe Café") == ["[CLS]", "Cafe", "[UNK]", "[SEP]"]


def test_every_sign_is_cleaned_as_berts() -> None:
    theirs = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    for sign in KNOWN:
        text = f"x{sign}y{sign}"
        split = theirs[1].pre_tokenize_str(theirs[0].normalize_str(text))
        assert words.bert_words(text) == [word for word, _ in split], hex(ord(sign))
    # BERT's authors have all of extension E; the reference has not.
    assert words.bert_words("x\U0002b820y") == ["x", "\U0002b820", "y"]


def test_words_by_hand() -> None:
    assert words.clip_words("The dog's  ΑΣ 12") == [
        *map(words.spelt, ["the", "dog", "'s", "ασ"]),
        "1",
        "2",
    ]
    assert words.byte_words("I'LL go.\n  x", (words.QWEN2,)) == ["I", "'LL", "Ġgo", ".Ċ", "Ġ", "Ġx"]
    assert words.llama_words(" a b") == ["▁▁a▁b"]
    assert words.llama_words(" a b", "missing") == ["▁a▁b"]
    assert words.llama_words("a  b", "missing", alone=True) == ["▁a", "▁", "▁b"]
    assert words.llama_words("") == []
    assert (
        words.llama_text(["▁a", "<0xC3>", "<0xA9>", "▁b", "<0xC3>", "<0xC3>"]) == "aé b\ufffd\ufffd"
    )
    assert words.cut_out("a<s><s>>b", ["<s>", "<s>>"]) == ["a", "<s>", "", "<s>>", "b"]
    assert words.cut("1a2", "[a-z]") == ["1", "a", "2"]


@pytest.mark.parametrize("text", ["a12 3x", "١٢٣", *HARD[:45]])
def test_words_are_the_references(text: str) -> None:
    # Their words, not only their ids: few merges show that two digits were one word.
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    theirs = {
        words.GPT2: pre_tokenizers.ByteLevel(add_prefix_space=False),
        words.QWEN2: pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"), byte_level]
        ),
    }
    for pattern, reference in theirs.items():
        expected = [word for word, _ in reference.pre_tokenize_str(text)]
        assert words.byte_words(text, (pattern,)) == expected


def test_letters_and_bytes_become_numbers() -> None:
    ids = {"a": 0, "b": 1, "b!": 2, "ab!": 3, "<0xC3>": 4, "<0xA9>": 5, "ba": 6}
    rules = rules_of([("b", "a"), ("a", "b!")], ids)
    assert byte_pieces("ab", ids, rules, end="!") == [3]
    assert byte_pieces("bab", ids, rules, end="!") == [6, 2]
    assert byte_pieces("ba", ids, {}, whole=ids) == [6]
    assert letter_pieces("baéa", ids, rules) == [6, 4, 5, 0]


# ------------------------------------------------------------------------------- long texts, pickle


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.parametrize("unit", ["a", "é7 ", " "])
def test_long_texts_are_read_in_seconds_and_rightly(
    clip: tuple, qwen2: tuple, folder: Path, unit: str
) -> None:
    text = (unit * 100_000)[:100_000]
    llama = llama_reference("older")
    llama.save(str(folder / "long.json"))
    for ours, theirs in (clip, qwen2, (read_tokenizer_json(folder / "long.json"), llama)):
        made: list = []
        assert seconds(lambda o=ours, m=made: m.append(o.encode(text, read_special=True))) < 8
        backend = getattr(theirs, "backend_tokenizer", theirs)
        backend.encode_special_tokens = False
        assert made[0] == backend.encode(text).ids


def test_long_texts_are_read_with_bert(bert: tuple) -> None:
    ours, theirs = bert
    for text in ("a" * 100_000, "the cat! " * 11_000):
        made: list = []
        assert seconds(lambda t=text, m=made: m.extend(ours.encode(t, read_special=True))) < 8
        theirs.backend_tokenizer.encode_special_tokens = False
        assert made == theirs.backend_tokenizer.encode(text).ids


def test_workers_can_be_given_a_tokenizer(clip: tuple, bert: tuple, llama: tuple) -> None:
    for ours, _ in (clip, bert, llama):
        again = pickle.loads(pickle.dumps(ours))
        assert again.encode(HARD[7]) == ours.encode(HARD[7])


# ---------------------------------------------------------------------------------------- bad input


def test_files_that_lack_something_are_refused(tmp_path: Path) -> None:
    letters = [*words.SIGNS, *(f"{sign}</w>" for sign in words.SIGNS)]
    vocab = {token: number for number, token in enumerate(letters)}
    with pytest.raises(ValueError, match=r"v-vocab.json .* number for '<\|startoftext\|>', but it"):
        read_clip(*write_bpe(tmp_path, "v", vocab, []))
    vocab |= {"<|startoftext|>": 512, "<|endoftext|>": 513}
    with pytest.raises(ValueError, match="514 tokens is expected, but 'ab' was given"):
        read_clip(*write_bpe(tmp_path, "v", vocab, [("a", "b")]))
    with pytest.raises(ValueError, match="a merge is two tokens, but merge 1 is 'a b c'"):
        read_clip(*write_bpe(tmp_path, "v", vocab | {"ab": 514}, [("a", "b"), ("a", "b", "c")]))
    del vocab["Ġ"]
    for read in (read_clip, read_qwen2):
        with pytest.raises(ValueError, match="number for 'Ġ', but it and 0 others are missing"):
            read(*write_bpe(tmp_path, "v", vocab, []))
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    with pytest.raises(
        ValueError, match=r"vocab.txt .* '\[CLS\]', but it and 2 others are missing"
    ):
        read_bert(tmp_path / "vocab.txt")


@pytest.mark.parametrize(
    ("kind", "part", "value"),
    [
        ("both", "model.type", "Unigram"),
        ("both", "model.dropout", 0.1),
        ("both", "model.end_of_word_suffix", "</w>"),
        ("both", "added_tokens.0.lstrip", True),
        ("both", "normalizer", {"type": "Lowercase"}),
        ("both", "pre_tokenizer", {"type": "Digits"}),
        ("both", "pre_tokenizer", None),
        ("both", "post_processor", {"type": "BertProcessing"}),
        ("qwen2", "pre_tokenizer.pretokenizers.0.behavior", "Removed"),
        ("qwen2", "pre_tokenizer.pretokenizers.1.add_prefix_space", True),
        ("llama", "pre_tokenizer.replacement", "_"),
        ("llama", "decoder", {"type": "ByteLevel"}),
    ],
)
def test_steps_that_have_no_like_here_are_refused(
    qwen2: tuple, folder: Path, kind: str, part: str, value: object
) -> None:
    for name, theirs in {
        "qwen2": qwen2[1].backend_tokenizer,
        "llama": llama_reference("first"),
    }.items():
        if kind in (name, "both"):
            content = json.loads(theirs.to_str())
            *way, last = [int(key) if key.isdigit() else key for key in part.split(".")]
            inner = content
            for key in way:
                inner = inner[key]
            inner[last] = value
            path = folder / "odd.json"
            path.write_text(json.dumps(content))
            with pytest.raises(
                ValueError, match=r"kind is expected, but odd.json has .* no like here"
            ):
                read_tokenizer_json(path)


def test_a_damaged_tokenizer_json_is_refused(qwen2: tuple, folder: Path) -> None:
    path = folder / "damaged.json"
    path.write_text('{"model": {}}')
    with pytest.raises(ValueError, match="expected to have added_tokens, but it has only: model"):
        read_tokenizer_json(path)
    content = json.loads(qwen2[1].backend_tokenizer.to_str())
    del content["model"]["vocab"]
    path.write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"damaged.json is no whole tokenizer.json: KeyError\('voc"
    ):
        read_tokenizer_json(path)


def test_halves_of_surrogate_pairs_and_unknown_ids_are_refused(clip: tuple, llama: tuple) -> None:
    for ours, _ in (clip, llama):
        with pytest.raises(ValueError, match=r"'\\udfff' at place 1 is half of a surrogate pair"):
            ours.encode("a\udfff")
        with pytest.raises(ValueError, match="tokens are expected, but 1000000 was given"):
            ours.decode([1_000_000])
        with pytest.raises(ValueError, match="tokens is expected, but 'no such' was given"):
            ours.id_of("no such")
