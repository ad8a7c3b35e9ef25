"""The benchmark of BLIP's two claims, on a network that knows nothing: what its arms differ in."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import blip as bench
from course_lib.backbones import modified_resnet, text_encoder, vit
from course_lib.data.tokenizer import ByteBPE
from course_lib.vision_language import blip
from course_lib.vision_language.med import Marks
from course_lib.world.captions import captions
from course_lib.world.graph import SceneGraph, graphs
from course_lib.world.scene import sample

CAPTIONS = bench.Captions(pictures=40, tests=6, steps=2, batch=8, warmup=0)
PAIRS = bench.Pairs(scenes=16, tests=24, steps=2, batch=6, warmup=0)


@pytest.fixture(scope="module")
def start() -> bench.Given:
    said = captions(sample(range(60), recipe=bench.FEW), range(60))
    marks = ("<|start|>", "<|end|>", "<|match|>", "<|write|>")
    words = ByteBPE.train([caption.text for caption in said], 330, special=marks)
    vision = vit.Config(image_size=64, patch_size=16, dim=24, depth=1, heads=2)
    text = text_encoder.Config(
        len(words), 24, dim=24, depth=2, heads=2, mlp_width=48, cross_width=24, segments=0
    )
    torch.manual_seed(0)
    config = replace(
        blip.TINY, vision=vision, text=text, marks=Marks(*map(words.id_of, marks[1:])),
        dim=16, queue=8,
    )  # fmt: skip
    trunk = modified_resnet.Config(image_size=64, blocks=(1, 1, 1), width=4, heads=2, out=8)
    eyes = bench.Trunk(trunk)
    return bench.Given(words, blip.BLIP(config).eval(), eyes.eval())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def captioners(start: bench.Given, folder: Path) -> bench.Captioners:
    """With verdicts that are known: every other caption matches, those at 0.5 do not."""
    run = bench.Captioners(start, CAPTIONS, folder)
    pictures, texts, _ = run.pool
    run.pool = pictures, texts, np.tile([0.9, 0.5, 0.51, 0.1], 20)
    return run


@pytest.fixture
def matchers(start: bench.Given, folder: Path) -> bench.Matchers:
    return bench.Matchers(start, PAIRS, folder)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What every call of fit got: weights, the first batches, what was said beside them."""
    calls = []

    def fit(model, batches, steps, **rest):
        drawn = [batches(step, torch.Generator()) for step in range(2)]
        weights = {name: x.clone() for name, x in model.state_dict().items()}
        calls.append({"weights": weights, "batches": drawn, "steps": steps} | rest)

    monkeypatch.setattr(bench, "fit", fit)
    return calls


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(x, other[k]) for k, x in one.items())


# --- captions -------------------------------------------------------------------------------------


def test_texts_begin_end_and_fit(start: bench.Given) -> None:
    rows = start.ids(["a red cube", "red " * 40])
    begin, end = start.words.id_of("<|start|>"), start.words.id_of("<|end|>")
    assert rows.shape == (2, 24)
    assert (rows[:, 0] == begin).all()
    assert (rows[:, -1] == end).all()
    assert start.read(rows[:1, 1:]) == ["a red cube"]
    assert start.read(rows[1:, 1:])[0].startswith("red red red")


def test_what_is_kept_is_above_the_threshold(captioners: bench.Captioners) -> None:
    pictures, texts = captioners.chosen("CapFilt", 0)
    assert len(texts) == 40
    assert pictures.tolist() == 2 * list(range(0, 40, 2))  # 0.5 itself is no match
    everything = captioners.pool[1]
    assert texts == everything[:40:2] + everything[40::2]


def test_arms_have_the_captions_they_are_named_for(captioners: bench.Captioners) -> None:
    pictures, texts = captioners.chosen("the web", 0)
    assert pictures.tolist() == list(range(40))
    assert texts == [noisy.caption.text for noisy in captioners.web]
    pictures, texts = captioners.chosen("clean", 0)
    assert pictures.tolist() == list(range(40))
    assert texts == [noisy.clean.text for noisy in captioners.web]
    scenes = sample(range(40), bench.WEB_SEED, recipe=bench.FEW)
    assert texts == [c.text for c in captions(scenes, range(40), bench.WEB_SEED)]


def test_the_random_set_is_as_large_and_knows_no_verdict(captioners: bench.Captioners) -> None:
    where, everything, probability = captioners.pool
    sets = []
    for seed in range(3):
        pictures, texts = captioners.chosen("random", seed)
        assert len(texts) == len(captioners.chosen("CapFilt", seed)[1]) == 40
        pairs = list(zip(pictures.tolist(), texts, strict=True))
        assert set(pairs) <= set(zip(where.tolist(), everything, strict=True))
        sets.append(pairs)
    assert sets[0] != sets[1] != sets[2]
    refused = {everything[i] for i in np.flatnonzero(probability < 0.5)}
    assert any(text in refused for _, text in sets[0])
    assert any(text in everything[40:] for _, text in sets[0])


def test_the_written_ones_are_all_of_them_and_none_of_the_webs(
    captioners: bench.Captioners,
) -> None:
    pictures, texts = captioners.chosen("written", 0)
    assert pictures.tolist() == list(range(40))
    assert texts == captioners.pool[1][40:]


def test_captioners_differ_in_their_captions_only(
    captioners: bench.Captioners, trainings: list[dict]
) -> None:
    for seed in (0, 1):
        for arm in bench.ARMS:
            captioners.learned(arm, seed)
    n = len(bench.ARMS)
    first, second = trainings[:n], trainings[n:]
    for calls, seed in ((first, 0), (second, 1)):
        for call in calls:
            assert equal(call["weights"], calls[0]["weights"])
            assert (call["steps"], call["seed"], call["lr"]) == (2, seed, CAPTIONS.rate)
    assert not equal(first[0]["weights"], second[0]["weights"])
    shown = [torch.cat([pictures for pictures, _ in call["batches"]]) for call in first]
    web, _, _, written, clean = shown
    assert torch.equal(web, clean)  # the same pictures in the same order
    assert torch.equal(web, written)
    assert web.tolist() != torch.cat([pictures for pictures, _ in second[0]["batches"]]).tolist()


def test_each_caption_stays_with_its_picture(
    captioners: bench.Captioners, trainings: list[dict]
) -> None:
    """The loss is that of the picture's tokens through the locked encoder."""
    captioners.learned("clean", 0)
    (call,) = trainings
    pictures, tokens = call["batches"][0]
    said = [captioners.clean[i] for i in pictures.tolist()]
    assert captioners.start.read(tokens[:, 1:]) == said

    class Writer:
        def loss(self, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
            return context

    got = call["train_step"](Writer(), (pictures, tokens), 0.0)["loss"]
    images = torch.from_numpy(captioners.images[pictures.numpy()]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        assert torch.allclose(got, captioners.start.eyes.tokens(images), atol=1e-5)


def test_pool_judges_each_caption_with_its_own_picture(start: bench.Given, folder: Path) -> None:
    run = bench.Captioners(start, CAPTIONS, folder)
    pictures, texts, probability = run.pool
    assert len(texts) == len(probability) == 80
    assert pictures.tolist() == 2 * list(range(40))
    assert texts[:40] == [noisy.caption.text for noisy in run.web]
    images = torch.from_numpy(run.images[[7]]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        one = start.model.matcher.probability(images, start.ids(texts[7:8]))
    assert probability[7] == pytest.approx(one.item(), abs=1e-5)
    assert (probability[40:] > 0).all()
    assert len(set(texts[40:])) > 1


def two_objects() -> SceneGraph:
    """A scene of two objects with different colours and shapes, none of them green."""
    for graph in graphs(sample(range(200), recipe=bench.DUO)):
        colours, shapes = ({o[k] for o in graph.objects} for k in ("colour", "shape"))
        if len(colours) == len(shapes) == 2 and "green" not in colours:
            return graph
    raise AssertionError("no scene has two objects that differ")


def test_noise_is_what_a_hand_counts() -> None:
    graph = two_objects()
    one, two = (
        " ".join(["a", o["size"], o["colour"], o["material"], o["shape"]]) for o in graph.objects
    )
    colour = graph.objects[0]["colour"]
    clean = f"{one} and {two}"
    said = {
        clean: (False, False),
        f"{two} and {one}": (False, False),  # another order is no mistake
        one: (False, True),  # true, and incomplete
        "": (False, True),
        clean.replace(colour, "green"): (True, True),
        f"{one} and {one}": (True, True),  # there is one only
        f"{one}, {two} and a small green matte cone": (True, True),
    }
    got = bench.noise(list(said), [clean] * 7, [graph] * 7)
    assert got == {"captions": 7, "false": pytest.approx(3 / 7), "wrong": pytest.approx(5 / 7)}
    for text, (false, wrong) in said.items():
        got = bench.noise([text], [clean], [graph])
        assert (got["false"], got["wrong"]) == (false, wrong), text


def test_noise_of_the_web_is_what_the_world_says(captioners: bench.Captioners) -> None:
    web, found = captioners.web, captioners.sources()
    false = [not noisy.is_true for noisy in web]
    assert found["the web"]["false"] == pytest.approx(np.mean(false))
    assert 0.2 < np.mean(false) < 0.6
    assert found["the web, kept"]["false"] == pytest.approx(np.mean(false[::2]))
    dropped = [f or noisy.kind == "drop" for f, noisy in zip(false, web, strict=True)]
    assert found["the web"]["wrong"] >= np.mean(dropped) > np.mean(false)
    assert [of["captions"] for of in found.values()] == [40, 20, 40, 20]
    clean = captioners.noise_of(*captioners.chosen("clean", 0))
    assert (clean["false"], clean["wrong"]) == (0, 0)


# --- pairs ----------------------------------------------------------------------------------------


def test_forgetful_forgets_its_own_and_keeps_what_is_shared(matchers: bench.Matchers) -> None:
    old = matchers.start.model.matcher.state_dict()
    new, again, other = (matchers.forgetful(seed).state_dict() for seed in (0, 0, 1))
    assert equal(new, again)
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert all(".attention." in name or "match_head" in name for name in changed), changed
    forgotten = {n for n in old if "reader" in n and ".attention." in n and n.endswith("weight")}
    assert forgotten | {"match_head.weight"} <= changed
    assert {n for n in old if not torch.equal(new[n], other[n])} >= forgotten
    trained = {n for n, p in matchers.forgetful(0).named_parameters() if p.requires_grad}
    assert all(name.startswith(("reader.", "match_head.")) for name in trained)
    assert "reader.words.weight" in trained


def test_mismatches_are_never_the_same_words(matchers: bench.Matchers) -> None:
    seen, tokens, of_image, of_text = matchers.pairs
    tokens = tokens.clone()
    tokens[1] = tokens[0]  # two pictures with one caption
    matchers.pairs = seen, tokens, of_image, of_text
    batch = torch.arange(4)
    torch.manual_seed(0)
    for kind in ("random", "hard"):
        drawn = set()
        for _ in range(60):
            for texts in matchers.mismatches(kind, batch):
                assert not (texts == tokens[batch]).all(dim=1).any()
                drawn.add(tuple(texts[0].tolist()))
        assert drawn <= {tuple(tokens[k].tolist()) for k in (2, 3)}


def test_hard_ones_are_like_and_random_ones_are_not(matchers: bench.Matchers) -> None:
    seen, tokens, *_ = matchers.pairs
    like = torch.eye(16)[:, :16]
    matchers.pairs = seen, tokens, like.roll(1, 0), like  # picture k is most like text k − 1
    batch = torch.arange(1, 7)
    torch.manual_seed(0)
    share = {}
    for kind in ("random", "hard"):
        hits = [
            (texts[1:] == tokens[batch[:-1]]).all(dim=1).float().mean().item()
            for _ in range(40)
            for texts in matchers.mismatches(kind, batch)
        ]
        share[kind] = np.mean(hits)
    assert share["hard"] > 0.95
    assert share["random"] == pytest.approx(1 / 5, abs=0.08)


def test_the_hard_draw_is_softened_as_the_sizes_say(matchers: bench.Matchers) -> None:
    seen, tokens, *_ = matchers.pairs
    like = torch.eye(16)
    matchers.pairs = seen, tokens, like.roll(1, 0), like  # picture k is most like text k − 1
    tau = matchers.start.model.tau.item()
    # At this softness the one that is alike weighs 4, and the four others 1 each.
    matchers.sizes = replace(PAIRS, softer=1 / (tau * np.log(4)))
    batch = torch.arange(1, 7)
    torch.manual_seed(0)
    hits = [
        (texts[1:] == tokens[batch[:-1]]).all(dim=1).float().mean().item()
        for _ in range(200)
        for texts in matchers.mismatches("hard", batch)
    ]
    assert np.mean(hits) == pytest.approx(0.5, abs=0.04)


class Judge:
    """In the place of a match head: knows all training captions by heart, and is sure."""

    def __init__(self, matchers: bench.Matchers) -> None:
        self.seen, self.tokens, *_ = matchers.pairs
        self.verdicts: list[bool] = []

    def match(self, seen: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        rows = [int((self.seen == one).all(dim=(1, 2)).nonzero()[0]) for one in seen]
        self.verdicts = (self.tokens[rows] == tokens).all(dim=1).tolist()
        return torch.tensor([[0.0, 9.0] if right else [9.0, 0.0] for right in self.verdicts])


def test_match_heads_differ_in_their_mismatches_only(
    matchers: bench.Matchers, trainings: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("random", "hard"):
        matchers.after(kind, 1)
    before, random, again, hard = trainings
    for one, other in ((before, again), (random, hard)):
        assert equal(one["weights"], other["weights"])
        assert (one["steps"], one["seed"], one["lr"]) == (2, other["seed"], other["lr"])
        for x, y in zip(one["batches"], other["batches"], strict=True):
            assert torch.equal(x, y)
    assert before["seed"] != random["seed"]  # not the same batches a second time
    asked, (_, tokens, *_) = [], matchers.pairs

    def mismatches(kind: str, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(kind)
        return tokens[batch.roll(1)], tokens[batch.roll(2)]

    monkeypatch.setattr(matchers, "mismatches", mismatches)
    for call in (before, random, hard):
        (batch, *_), judge = call["batches"], Judge(matchers)
        assert call["train_step"](judge, batch, 0.0)["loss"] < 0.01
        assert judge.verdicts == [True] * 6 + [False] * 12
    assert asked == ["random", "random", "hard"]


def test_after_goes_on_from_before(start: bench.Given, tmp_path: Path) -> None:
    run = bench.Matchers(start, PAIRS, tmp_path)
    before = run.before(0)
    weights = {name: x.clone() for name, x in before.state_dict().items()}
    assert not equal(weights, run.forgetful(0).state_dict())
    assert equal(weights, run.before(0).state_dict())  # from its file
    got = []
    run.trained = lambda matcher, kind, seed, place=None: (
        got.append(matcher.state_dict())
        if place is None
        else bench.Matchers.trained(run, matcher, kind, seed, place)
    )
    run.after("hard", 0)
    assert equal(got[0], weights)


def test_noticed_asks_each_picture_about_its_own_caption(
    matchers: bench.Matchers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A judge who knows all captions by heart prefers every true one; its contrary none."""
    seen, asked = matchers.asked
    scenes = captions(sample(range(24), split="test", recipe=bench.DUO), range(24))
    truth = [caption.text for caption in scenes]
    judge = matchers.forgetful(0)
    for sign in (1, -1):

        def match(of: torch.Tensor, tokens: torch.Tensor, sign: int = sign) -> torch.Tensor:
            rows = [int((seen == one).all(dim=(1, 2)).nonzero()[0]) for one in of]
            said = matchers.start.read(tokens[:, 1:])
            right = [text == truth[row] for text, row in zip(said, rows, strict=True)]
            return torch.tensor([[0.0, sign * float(r)] for r in right])

        monkeypatch.setattr(judge, "match", match)
        assert matchers.noticed(judge) == dict.fromkeys(bench.ASKED, float(sign > 0))
    assert all(len(of.rows) > 12 for of in asked.values())


# --- what is kept, and what is printed ------------------------------------------------------------


def test_a_run_goes_on_and_another_constant_does_not(
    start: bench.Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = replace(CAPTIONS, least=0.0)  # random weights may call nothing a pair
    first = bench.Captioners(start, sizes, tmp_path).results(seeds=(0,))
    names = ["capfilt-pool", *(f"capfilt-{a.replace(' ', '-')}-0" for a in bench.ARMS)]
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(names)
    assert capsys.readouterr().err.count("\n") == 6
    (tmp_path / "capfilt-clean-0.json").write_text('{"finger')  # cut
    (tmp_path / "capfilt-random-0.json").unlink()
    again = bench.Captioners(start, sizes, tmp_path)
    assert again.results(seeds=(0,)) == first
    told = [line.split(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == ["capfilt-random-0", "capfilt-clean-0"]
    bench.Captioners(start, replace(sizes, steps=3), tmp_path).results(seeds=(0,))
    assert capsys.readouterr().err.count("\n") == 6


def test_match_heads_go_on_too(
    start: bench.Given, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = bench.Matchers(start, PAIRS, tmp_path).results(seeds=(0,))
    assert {name: len(runs) for name, runs in first.items()} == dict.fromkeys(
        ("shipped", "before", "random", "hard"), 1
    )
    capsys.readouterr()
    assert bench.Matchers(start, PAIRS, tmp_path).results(seeds=(0,)) == first
    assert capsys.readouterr().err == ""


def test_other_weights_and_words_are_another_fingerprint(start: bench.Given) -> None:
    mark = bench.fingerprint(CAPTIONS, start)
    assert mark == bench.fingerprint(bench.Captions(**vars(CAPTIONS)), start)
    for change in ({"steps": 3}, {"least": 0.6}, {"kinds": ("drop",)}, {"nucleus": 0.8}):
        assert bench.fingerprint(replace(CAPTIONS, **change), start) != mark
    assert bench.fingerprint(PAIRS, start) != mark
    for network in (start.model.essentials(), start.eyes):
        *_, weight = network.parameters()
        with torch.no_grad():
            weight += 1e-3
            assert bench.fingerprint(CAPTIONS, start) != mark
            weight -= 1e-3
    other = replace(start, words=ByteBPE.train(["a red cube"] * 3, 262))
    assert bench.fingerprint(CAPTIONS, other) != bench.fingerprint(CAPTIONS, start)


def test_a_result_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    def fails() -> dict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.once(tmp_path, "run", "mark", fails)
    assert not list(tmp_path.iterdir())
    assert bench.once(tmp_path, "run", "mark", lambda: {"facts": 0.5}) == {"facts": 0.5}
    assert bench.once(tmp_path, "run", "mark", fails) == {"facts": 0.5}
    assert json.loads((tmp_path / "run.json").read_text())["fingerprint"] == "mark"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def run(facts: float, captions: int = 100, false: float = 0.25) -> dict:
    return {"captions": captions, "false": false, "wrong": 0.5, "facts": facts,
            "complete": facts / 2, "chance": 0.3, "shuffled": 0.4}  # fmt: skip


def test_the_table_of_captioners_prints_what_was_measured() -> None:
    found = {
        "the web": [run(0.6), run(0.7)],
        "CapFilt": [run(0.65, 160, 0.05), run(0.69, 160, 0.05)],
        "random": [run(0.64, 160), run(0.69, 160)],
        "clean": [run(0.8, false=0.0), run(0.9, false=0.0)],
    }
    sources = {"the web": {"captions": 1100, "false": 0.4, "wrong": 0.6}}
    lines = bench.capfilt_table(sources, found).splitlines()
    assert "| the web | 1,100 | 0.400 | 0.600 |" in lines
    assert "| chance | | | | | 0.300 | | | |" in lines
    assert (
        "| CapFilt | 160 | 0.050 | 0.500 | 0.650, 0.690 | 0.670 | 0.400 | 0.325, 0.345 | 0.335 |"
    ) in lines
    assert "| clean | 100 | 0.000 | 0.500 | 0.800, 0.900 | 0.850 |" in "\n".join(lines)
    assert lines[-2:] == [
        "* run 0, facts: CapFilt is ahead of the web (+0.050) and ahead of random (+0.010)",
        "* run 1, facts: CapFilt is not ahead of the web (-0.010) and not ahead of random (+0.000)",
    ]
    tables = [line.count("|") for line in lines if line.startswith("|")]
    assert tables == [5] * 3 + [10] * 7


def test_the_table_of_match_heads_prints_what_was_measured() -> None:
    def shares(value: float) -> dict:
        return dict(zip(bench.ASKED, (value, value + 0.1, value + 0.2, 0.5), strict=True))

    values = {"shipped": (0.7,), "before": (0.5, 0.6), "random": (0.55, 0.65), "hard": (0.6, 0.62)}
    found = {name: [shares(value) for value in row] for name, row in values.items()}
    lines = bench.itm_table(found).splitlines()
    assert lines[2] == "| chance | 0.500 | 0.500 | 0.500 | 0.500 |"
    assert lines[3] == "| the shipped network | 0.700 | 0.800 | 0.900 | 0.500 |"
    assert lines[6].startswith("| after, hard | 0.610 (0.600, 0.620) | 0.710 (0.700, 0.720) |")
    assert lines[-1] == (
        "* run 1, hard less random: colour -0.030, material -0.030, shape -0.030, exchanged +0.000"
    )
    assert {line.count("|") for line in lines[:7]} == {6}
