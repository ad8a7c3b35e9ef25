"""vision_language/blip, med, blip_tasks, momentum_queue, capfilt, blip_names: plain loops from the
formulas, two processes; transformers' BLIP for captions, retrieval and answers: outputs, losses,
gradients, texts.
"""

import inspect
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
)

from course_lib.backbones import text_encoder, vit
from course_lib.blocks.beam_search import Beams
from course_lib.blocks.decoding import Sampling
from course_lib.doctor import ROOT
from course_lib.train.checkpoints import load, load_weights, save_weights
from course_lib.vision_language import blip, blip_names, capfilt
from course_lib.vision_language.blip import (
    BASE,
    BLIP,
    TINY,
    Config,
    after_step,
    from_reference,
    train_step,
)
from course_lib.vision_language.blip_tasks import Answerer, Captioner
from course_lib.vision_language.med import Marks, Matcher, led_by, pads
from course_lib.vision_language.momentum_queue import (
    enqueue,
    hard_negatives,
    ramp,
    soft_cross_entropy,
    soft_targets,
)

# Widths 24 and 20, heads 3 and 2, E = 14, Q = 10, 31 ids: no two numbers alike.
VISION = vit.Config(16, 4, dim=24, depth=2, heads=3, norm_eps=1e-4)
TEXT = text_encoder.Config(
    31, 9, dim=20, depth=2, heads=2, mlp_width=36, cross_width=24, segments=0, norm_eps=1e-3
)
START, END, WRITE, MATCH = 27, 28, 29, 30
MARKS = Marks(end=END, match=MATCH, write=WRITE)
SMALL = Config(VISION, TEXT, MARKS, dim=14, queue=10, ema=0.9, tau=0.3, alpha=0.4)
# Where the question's tokens are looked at like a picture's, both have one width.
SQUARE = replace(SMALL, text=replace(TEXT, dim=24, heads=4))


@pytest.fixture(autouse=True)
def _everything_in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def perturbed(module: nn.Module, seed: int = 0, by: float = 0.2) -> nn.Module:
    """No parameter is 0 or 1, so that none can hide."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if name != "log_tau":
            parameter.data += by * torch.randn(parameter.shape, generator=generator)
    return module


def made(config: Config = SMALL) -> BLIP:
    """A BLIP whose slow encoders differ from the fast ones, as in the midst of a training."""
    torch.manual_seed(0)
    model = perturbed(BLIP(config))
    perturbed(model.slow, seed=1)
    return model


def pictures(n: int, side: int = 16) -> torch.Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def texts(n: int, length: int = 9, seed: int = 2) -> torch.Tensor:
    """Texts of 3 to `length` tokens, the start and the end included; behind the end zeros."""
    tokens = torch.randint(1, 27, (n, length), generator=torch.Generator().manual_seed(seed))
    tokens[:, 0] = 27
    for row, ids in enumerate(tokens):
        last = 2 + (5 * row + 3) % (length - 2)
        ids[last], ids[last + 1 :] = 28, 0
    return tokens


def words_of(ids: torch.Tensor) -> list[int]:
    """One text → its ids up to the first end token."""
    ids = ids.tolist()
    return ids[: ids.index(END) + 1] if END in ids else ids


def close(a: torch.Tensor, b: torch.Tensor, rounding: float = 1e-8) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=rounding, atol=rounding)


# ---------------------------------------------------------------------------------------- shapes


def test_shapes_of_the_small_configuration() -> None:
    torch.set_default_dtype(torch.float32)
    model, images = BLIP(TINY), torch.rand(3, 3, 64, 64)
    tokens = texts(3, 11)
    tokens[tokens == END] = 509
    assert model(images).shape == (3, model.dim) == (3, 64)
    found = train_step(model, (images, tokens), 0.5)
    names = ["loss", "itc", "itm", "lm", "image_found", "text_found", "judged", "tau"]
    assert list(found) == names
    assert all(value.shape == () for value in found.values())
    assert model.queues.shape == (2, 64, 64)
    assert model.captioner().generate(images, 5).shape[0] == 3
    assert model.answerer().rank(images, tokens, tokens[:2]).shape == (3, 2)


def test_shapes_at_an_odd_size() -> None:
    model, tokens = made(), texts(5, 6)
    images = torch.rand(5, 3, 24, 40)
    assert model.matcher(images[:3], tokens).shape == (3, 5)
    assert model.matcher.probability(images, tokens).shape == (5,)
    assert model.captioner()(images, tokens).shape == (5, 6, 31)
    assert made(SQUARE).answerer()(images, tokens, texts(5, 4)).shape == (5, 4, 31)


# --------------------------------------------------------------------------------- one parameter


def test_reader_and_writer_share_all_but_self_attention() -> None:
    model = made()
    reader, writer = (dict(part.named_parameters()) for part in
                      (model.matcher.reader, model.writer.text))  # fmt: skip
    assert reader.keys() == writer.keys()
    own = {name for name in reader if ".attention." in name or ".norm1." in name}
    assert len(own) == 2 * (4 * 2 + 2)
    for name in reader:
        assert (reader[name] is writer[name]) == (name not in own), name
    assert not {id(p) for p in model.slow.parameters()} & {
        id(p) for p in model.matcher.parameters()
    }
    # An optimiser sees each once, and one step moves both.
    parameters = list(model.parameters())
    assert len(parameters) == len({id(p) for p in parameters})
    train_step(model, (pictures(4), texts(4)), 0.5)["loss"].backward()
    torch.optim.SGD([p for p in parameters if p.requires_grad], lr=0.1).step()
    for name in reader:
        assert torch.equal(reader[name], writer[name]) == (name not in own), name


def test_shared_layers_get_the_gradients_of_both_uses() -> None:
    model, batch = made(), (pictures(4), texts(4))
    torch.manual_seed(3)
    found = train_step(model, batch, 0.5)
    weight = model.matcher.reader.blocks[0].mlp.fc1.weight
    parts = [torch.autograd.grad(found[name], weight, retain_graph=True)[0]
             for name in ("itc", "itm", "lm")]  # fmt: skip
    assert all(part.abs().max() > 1e-6 for part in parts)
    found["loss"].backward()
    assert close(weight.grad, sum(parts))


def test_a_checkpoint_keeps_the_layers_shared(tmp_path) -> None:
    torch.set_default_dtype(torch.float32)
    model, other = made(), BLIP(SMALL)
    card = dict.fromkeys(("command", "data", "hardware"), "") | {
        "seed": 0, "steps": 1, "seconds": 1, "metrics": {}}  # fmt: skip
    save_weights(model, tmp_path / "blip.safetensors", card)
    load_weights(other, tmp_path / "blip.safetensors")
    assert other.writer.text.words is other.matcher.reader.words
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_the_essentials_hold_each_weight_once_and_none_that_only_trains() -> None:
    model = made()
    kept = model.essentials()
    found = [id(p) for p in kept.state_dict(keep_vars=True).values()]
    assert len(found) == len(set(found))
    wanted = [*model.matcher.parameters(), *model.writer.parameters(), model.log_tau]
    assert set(found) == {id(p) for p in wanted}
    assert not set(found) & {id(p) for p in model.slow.parameters()}


def test_uses_of_the_trained_model() -> None:
    model = made(SQUARE)
    captioner, answerer = model.captioner(), model.answerer()
    assert captioner.writer is model.writer
    assert captioner.vision is model.matcher.vision
    # An answerer is fine-tuned on its own: equal weights, of which none is shared any more.
    assert not {id(p) for p in answerer.parameters()} & {id(p) for p in model.parameters()}
    assert answerer.writer.text.words is not answerer.reader.words
    for ours, theirs in ((answerer.reader, model.matcher.reader), (answerer.writer, model.writer)):
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b), name
    with pytest.raises(ValueError, match="the reader's width 20, not 24"):
        made().answerer()


# -------------------------------------------------------------------- soft targets, plain Python


def softmax(row: list[float]) -> list[float]:
    top = max(row)
    parts = [math.exp(v - top) for v in row]
    return [p / sum(parts) for p in parts]


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def slow_contrast(fast, slow, queue, tau: float, alpha: float) -> float:
    """One direction of ITC, number by number: B features, B pairs of slow ones, Q old ones.

    `slow` holds the slow features of the same side and of the other; `queue` is the other side's.
    """
    total, (same, other) = 0.0, slow
    for i, feature in enumerate(fast):
        candidates = other + queue
        p = softmax([dot(feature, c) / tau for c in candidates])
        q = softmax([dot(same[i], c) / tau for c in candidates])
        for j in range(len(candidates)):
            target = alpha * q[j] + (1 - alpha) * (1.0 if j == i else 0.0)
            total -= target * math.log(p[j])
    return total / len(fast)


def slow_queue(queue: list, newest: list, pointer: int) -> int:
    """Write the newest over the oldest, one by one."""
    for feature in newest:
        queue[pointer] = feature
        pointer = 0 if pointer == len(queue) - 1 else pointer + 1
    return pointer


def test_soft_targets_by_hand() -> None:
    # softmax(0, ln 3) = (1/4, 3/4); softmax(ln 4, 0) = (4/5, 1/5). α = 1/2.
    logits = torch.tensor([[0, math.log(3)], [math.log(4), 0]])
    expected = torch.tensor([[0.625, 0.375], [0.4, 0.6]])
    assert close(soft_targets(logits, 0.5), expected)
    assert close(soft_targets(logits, 0.0), torch.eye(2))
    assert close(soft_targets(logits, 1.0), torch.tensor([[0.25, 0.75], [0.8, 0.2]]))
    # Of logits (0, 0): ln 2. Of (ln 3, 0): −.4 ln .75 − .6 ln .25 = .94685.
    guesses = torch.tensor([[0.0, 0], [math.log(3), 0]])
    loss = soft_cross_entropy(guesses, expected).item()
    assert loss == pytest.approx((0.693147 + 0.946848) / 2, abs=1e-6)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="alpha must lie from 0 to 1, but"):
            soft_targets(logits, wrong)


def test_the_ramp_of_alpha() -> None:
    assert [ramp(0.4, p, 0.1) for p in (0, 0.05, 0.1, 0.7)] == pytest.approx([0, 0.2, 0.4, 0.4])
    assert ramp(0.4, 0.0, 0.0) == 0.4


def slow_words(writer, ids: list[int], seen: torch.Tensor, smoothing: float) -> list[float]:
    """A text without its padding → −Σ wanted · log p of each next word."""
    tokens = torch.tensor([[WRITE, *ids[1:]]])
    states = writer.text(tokens, context=seen[None], causal=True)
    rows, losses = writer.head(states, writer.text.words.weight)[0].tolist(), []
    for row, word in zip(rows, ids[1:], strict=False):
        p = softmax(row)
        losses.append(0.0)
        for v in range(len(p)):
            wanted = smoothing / len(p) + (1 - smoothing if v == word else 0)
            losses[-1] -= wanted * math.log(p[v])
    return losses


def slow_verdict(matcher, ids: list[int], seen: torch.Tensor, is_pair: bool) -> float:
    """−log p of the right verdict on one text, without its padding, and one picture."""
    states = matcher.reader(torch.tensor([[MATCH, *ids[1:]]]), context=seen[None])
    p = softmax(matcher.match_head(states[0, 0]).tolist())
    return -math.log(p[1 if is_pair else 0])


def test_a_training_is_that_of_the_slow_oracle(monkeypatch) -> None:
    """Six steps of 4 pairs with a queue of 10: it goes round twice, and never evenly."""
    model = made()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.02)
    queues, pointer = model.queues.tolist(), 0
    average = {name: p.tolist() for name, p in model.slow.named_parameters() if p.ndim == 1}
    drawn = []

    def remembered(logits, positive):
        drawn.append((logits.tolist(), hard_negatives(logits, positive)))
        return drawn[-1][1]

    monkeypatch.setattr(blip, "hard_negatives", remembered)
    for step in range(6):
        generator = torch.Generator().manual_seed(step)
        images = torch.rand(4, 3, 16, 16, generator=generator)
        tokens, progress = texts(4, seed=10 + step), step / 30
        drawn.clear()
        found = train_step(model, (images, tokens), progress)

        m, slow, tau = model.matcher, model.slow, model.tau.item()
        seen = m.vision.tokens(images)
        image, text = m.image_feature(seen).tolist(), m.text_feature(tokens).tolist()
        slow_image = slow.image_feature(slow.vision.tokens(images)).tolist()
        slow_text = slow.text_feature(tokens).tolist()
        alpha = 0.4 * min(1, step / 3)  # after a tenth of 30 steps
        itc = slow_contrast(image, (slow_image, slow_text), queues[1], tau, alpha) / 2
        itc += slow_contrast(text, (slow_text, slow_image), queues[0], tau, alpha) / 2
        assert found["itc"].item() == pytest.approx(itc, rel=1e-10)

        # For each text a picture, by its similarity to the slow features of the batch's pictures;
        # then for each picture a text.
        (of_text, false_image), (of_image, false_text) = drawn
        for rows, mine, others in ((of_text, text, slow_image), (of_image, image, slow_text)):
            for i, j in ((i, j) for i in range(4) for j in range(4)):
                assert rows[i][j] == pytest.approx(dot(mine[i], others[j]) / tau)
        ids, verdicts = [words_of(row) for row in tokens], []
        for i in range(4):
            assert false_image[i] != i != false_text[i]
            verdicts += [
                slow_verdict(m, ids[i], seen[i], True),
                slow_verdict(m, ids[i], seen[false_image[i]], False),
                slow_verdict(m, ids[false_text[i]], seen[i], False),
            ]
        assert found["itm"].item() == pytest.approx(sum(verdicts) / 12, rel=1e-10)

        words = [loss for i in range(4) for loss in slow_words(model.writer, ids[i], seen[i], 0.1)]
        assert found["lm"].item() == pytest.approx(sum(words) / len(words), rel=1e-10)
        total = itc + sum(verdicts) / 12 + sum(words) / len(words)
        assert found["loss"].item() == pytest.approx(total, rel=1e-10)
        assert found["tau"].item() == tau

        # Nothing has moved before after_step.
        assert model.queues.tolist() == queues
        assert model.pointer.item() == pointer
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        after_step(model, progress)
        fast = dict(model.matcher.named_parameters())
        for name, values in average.items():
            average[name] = [
                0.9 * a + 0.1 * b for a, b in zip(values, fast[name].tolist(), strict=True)
            ]
        for name, parameter in model.slow.named_parameters():
            if name in average:
                assert parameter.tolist() == pytest.approx(average[name], rel=1e-9, abs=1e-12), name
        slow_queue(queues[0], slow_image, pointer)
        pointer = slow_queue(queues[1], slow_text, pointer)
        assert model.pointer.item() == pointer == 4 * (step + 1) % 10
        expected = torch.tensor(queues)
        assert torch.allclose(model.queues, expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_the_contrast_are_the_slopes_of_the_oracle() -> None:
    """Of τ and of one projection: the targets move with τ, too, but have no gradient."""
    model, images, tokens = made(), pictures(3), texts(3)
    seen = model.matcher.vision.tokens(images)
    loss = model.contrast(images, seen, tokens, 0.4)[0]
    bias = model.matcher.text_projection.bias
    gradients = torch.autograd.grad(loss, (model.log_tau, bias))
    m, slow, queues = model.matcher, model.slow, model.queues.tolist()
    slow_image = slow.image_feature(slow.vision.tokens(images)).tolist()
    slow_text = slow.text_feature(tokens).tolist()

    def oracle(tau: float) -> float:
        image, text = m.image_feature(seen).tolist(), m.text_feature(tokens).tolist()
        total = 0.0
        sides = (
            (image, slow_image, slow_text, queues[1]),
            (text, slow_text, slow_image, queues[0]),
        )
        for fast, same, other, queue in sides:
            for i in range(3):
                q = softmax([dot(same[i], c) / 0.3 for c in other + queue])
                p = softmax([dot(fast[i], c) / tau for c in other + queue])
                wanted = [0.4 * v + (0.6 if j == i else 0) for j, v in enumerate(q)]
                total -= sum(w * math.log(v) for w, v in zip(wanted, p, strict=True)) / 6
        return total

    assert loss.item() == pytest.approx(oracle(0.3), rel=1e-12)
    slope = (oracle(0.3 * math.exp(1e-5)) - oracle(0.3 * math.exp(-1e-5))) / 2e-5
    assert gradients[0].item() == pytest.approx(slope, rel=1e-6)
    for k in (0, 5, 13):
        ends = []
        for step in (1e-5, -2e-5):
            bias.data[k] += step
            ends.append(oracle(0.3))
        bias.data[k] += 1e-5
        assert gradients[1][k].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_slow_encoders_and_queues_get_no_gradient() -> None:
    model = made()
    optimised = [p for p in model.parameters() if p.requires_grad]
    slow = {id(p) for p in model.slow.parameters()}
    assert not slow & {id(p) for p in optimised}
    before = [p.clone() for p in model.slow.parameters()]
    found = train_step(model, (pictures(4), texts(4)), 0.5)
    found["loss"].backward()
    assert all(p.grad is None for p in model.slow.parameters())
    assert not model.queues.requires_grad
    assert not model.newest.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(before, model.slow.parameters(), strict=True))
    # Not even if somebody lets them.
    model.slow.requires_grad_(True)
    train_step(model, (pictures(4), texts(4)), 0.5)["loss"].backward()
    assert all(p.grad is None for p in model.slow.parameters())


def test_every_parameter_learns() -> None:
    model, tokens = made(), texts(6)
    tokens[0] = torch.tensor([START, 2, 3, 4, 5, 6, 7, 8, END])  # so that each place is in use
    train_step(model, (pictures(6), tokens), 0.5)["loss"].backward()
    for name, parameter in model.named_parameters():
        # The same shift of all keys changes no attention.
        if not (name.startswith("slow.") or name.endswith("key.bias")):
            assert parameter.grad.abs().max() > 1e-9, name


def test_labels_are_right_while_the_queue_is_in_use() -> None:
    """Partners are in front of the queue, whatever stands in it."""
    config = replace(SMALL, alpha=0.0)
    model, images, tokens = made(config), pictures(4), texts(4)
    seen = model.matcher.vision.tokens(images)
    loss, of_image, of_text = model.contrast(images, seen, tokens, 0.0)
    assert of_image.shape == of_text.shape == (4, 14)
    log_p = [rows.log_softmax(1)[i, i] for rows in (of_image, of_text) for i in range(4)]
    assert close(loss, -sum(log_p) / 8)
    # If fast is slow and each text's feature is its image's, each finds its partner in column i,
    # until the queue holds the same features: then each does so with probability 1/2.
    same = torch.eye(14)[:4]
    for part in (model.matcher, model.slow):
        part.image_feature = part.text_feature = lambda _: same
    model.log_tau.data.fill_(math.log(0.01))
    model.queues.copy_(torch.eye(14)[4:].expand(2, -1, -1))
    loss = model.contrast(images, seen, tokens, 0.0)[0]
    assert loss.item() < 1e-9
    model.queues[:, 3:7] = same
    loss = model.contrast(images, seen, tokens, 0.0)[0]
    assert loss.item() == pytest.approx(math.log(2))


def test_what_is_found_is_looked_for_among_all(monkeypatch) -> None:
    """Images 0 and 1 choose right, image 2 text 0, and image 3 something in the queue."""
    model, judge = made(), BLIP.judge
    of_image, of_text = torch.zeros(4, 14), torch.zeros(4, 14)
    for rows, best in ((of_image, (0, 1, 0, 9)), (of_text, (0, 13, 5, 7))):
        rows.fill_diagonal_(4)
        rows[range(4), best] = 5
    itc = torch.tensor(1.0)
    monkeypatch.setattr(BLIP, "contrast", lambda *_: (itc, of_image, of_text))
    monkeypatch.setattr(BLIP, "judge", lambda *a: judge(*a))
    found = train_step(model, (pictures(4), texts(4)), 0.0)
    assert (found["image_found"].item(), found["text_found"].item()) == (0.5, 0.25)
    assert found["loss"].item() == pytest.approx(1 + found["itm"].item() + found["lm"].item())


def test_half_precision_stays_near() -> None:
    torch.set_default_dtype(torch.float32)
    model, batch, found = made(), (pictures(4), texts(4)), []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(train_step(model, batch, 0.5))
        assert all(value.dtype == torch.float32 for value in found[-1].values())
        assert model.newest.dtype == torch.float32
    after_step(model, 1.0)
    assert model.queues.dtype == torch.float32
    for name in ("itc", "itm", "lm"):
        assert found[1][name].item() == pytest.approx(found[0][name].item(), rel=0.05), name


# ------------------------------------------------------------------------------------- the queue


def test_the_queue_wraps() -> None:
    queues, pointer = torch.zeros(2, 5, 1), torch.tensor(0)
    seen = []
    for n in (2, 2, 2, 1, 5):
        newest = torch.arange(len(seen) + 1, len(seen) + n + 1).expand(2, n)[..., None]
        newest = newest * torch.tensor([1.0, -1])[:, None, None]
        seen += newest[0, :, 0].tolist()
        enqueue(queues, pointer, newest)
        assert pointer.item() == len(seen) % 5
        assert sorted(queues[0, :, 0].tolist())[-len(seen) :] == sorted(seen)[-5:]
        assert torch.equal(queues[0], -queues[1])
        # The pointer is at the oldest.
        if len(seen) >= 5:
            assert queues[0, pointer, 0] == min(seen[-5:])
    with pytest.raises(ValueError, match="5 places cannot take 6 features at once"):
        enqueue(queues, pointer, torch.zeros(2, 6, 1))


def test_the_same_features_go_into_the_queue_once() -> None:
    model = made()
    with pytest.raises(ValueError, match="after_step follows a train_step, but none"):
        after_step(model, 0.0)
    train_step(model, (pictures(4), texts(4)), 0.0)
    after_step(model, 0.0)
    with pytest.raises(ValueError, match="after_step follows a train_step, but none"):
        after_step(model, 0.0)
    assert model.pointer.item() == 4


def test_tau_stays_in_its_range() -> None:
    for start, end in ((0.9, 0.5), (1e-9, 0.001), (0.2, 0.2)):
        model = made()
        train_step(model, (pictures(4), texts(4)), 0.0)
        model.log_tau.data.fill_(math.log(start))
        after_step(model, 0.0)
        assert model.tau.item() == pytest.approx(end)


# -------------------------------------------------------------------------------- hard negatives


def test_negatives_are_drawn_by_similarity() -> None:
    logits = torch.tensor([[1.0, 2, 0.5, -1], [3, 0, 3, 9], [0, 4, 40, 0]])
    positive = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]]).bool()
    generator, n = torch.Generator().manual_seed(0), 20_000
    drawn = hard_negatives(
        logits.repeat(n, 1), positive.repeat(n, 1), generator
    ).view(n, 3)  # fmt: skip
    for row in range(3):
        p = [v + 1e-4 for v in softmax(logits[row].tolist())]
        p = [0 if is_own else v for v, is_own in zip(p, positive[row].tolist(), strict=True)]
        counts = Counter(drawn[:, row].tolist())
        for column in range(4):
            share = p[column] / sum(p)
            spread = math.sqrt(share * (1 - share) / n)
            assert abs(counts[column] / n - share) <= 4 * spread, (row, column)


def test_a_positive_is_never_drawn(monkeypatch) -> None:
    """Not the pair itself, however similar, and no picture whose caption is the same text."""
    model, images, tokens = made(), pictures(5), texts(5)
    tokens[3] = tokens[1]
    tokens[3, -1] = 7  # padding
    assert pads(tokens, END)[3, -1]
    of = torch.full((5, 15), -30.0)
    of[:, :5] += 60 * torch.eye(5)  # 1e-4 is all that is left for others
    of[1, 3] = of[3, 1] = 20
    pairs = []

    def match(seen, texts):
        pairs.append((seen, texts))
        return torch.zeros(len(texts), 2, requires_grad=True)

    monkeypatch.setattr(model.matcher, "match", match)
    seen = model.matcher.vision.tokens(images)
    for seed in range(200):
        torch.manual_seed(seed)
        loss, right = model.judge(seen, tokens, of, of)
    assert loss.item() == pytest.approx(math.log(2))
    assert right.item() == pytest.approx(2 / 3)  # of equal logits the first counts: no pair
    tokens = tokens.masked_fill(pads(tokens, END), END)
    partners = [{i} for i in range(5)]
    partners[1] = partners[3] = {1, 3}
    chosen = set()
    for shown, read in pairs:
        assert shown.shape[0] == read.shape[0] == 15
        picture = [int((seen == one).all(2).all(1).int().argmax()) for one in shown]
        for k in range(15):
            texts_of = {j for j in range(5) if torch.equal(tokens[j], read[k])}
            assert (picture[k] in texts_of) == (k < 5), k
        for i in range(5):
            assert picture[i] == picture[10 + i] == i
            assert torch.equal(read[5 + i], tokens[i])
            assert picture[5 + i] not in partners[i]
        chosen |= set(enumerate(picture[5:10]))
    assert len(chosen) == 5 * 4 - 2  # each that may be drawn was


def test_pictures_learn_from_all_verdicts_on_them(monkeypatch) -> None:
    """The gradient of three verdicts a pair, one at a time; a false picture has its share, too."""
    model, tokens = made(), texts(4)
    false = iter((torch.tensor([1, 0, 1, 1]), torch.tensor([3, 3, 0, 2])))
    monkeypatch.setattr(blip, "hard_negatives", lambda *_: next(false))
    seen = model.matcher.vision.tokens(pictures(4)).detach().requires_grad_()
    loss, _ = model.judge(seen, tokens, torch.zeros(4, 14), torch.zeros(4, 14))
    weight = model.matcher.reader.blocks[1].cross.key.weight
    found = torch.autograd.grad(loss, (seen, weight))
    pairs = [(i, i) for i in range(4)]  # of a picture and a text
    pairs += [(1, 0), (0, 1), (1, 2), (1, 3), (0, 3), (1, 3), (2, 0), (3, 2)]
    expected = 0
    for k, (i, j) in enumerate(pairs):
        ids = torch.tensor([[MATCH, *words_of(tokens[j])[1:]]])
        states = model.matcher.reader(ids, context=seen[i : i + 1])
        expected -= model.matcher.match_head(states[0, 0]).log_softmax(0)[int(k < 4)] / 12
    assert close(loss, expected)
    for a, b in zip(found, torch.autograd.grad(expected, (seen, weight)), strict=True):
        assert close(a, b)


def test_negatives_that_do_not_exist_are_missed() -> None:
    logits, positive = torch.zeros(3, 3), torch.eye(3).bool()
    positive[1] = True
    with pytest.raises(ValueError, match="a negative in its batch, but pair 1 has none"):
        hard_negatives(logits, positive)
    for wrong in (positive[:2], positive.int()):
        with pytest.raises(ValueError, match=r"must be bool of shape \(3, 3\), but torch"):
            hard_negatives(logits, wrong)
    with pytest.raises(ValueError, match="but pair 0 has none"):
        train_step(made(), (pictures(1), texts(1)), 0.0)


# ------------------------------------------------------------------------------------- invariants


def test_pads_are_what_stands_behind_the_first_end() -> None:
    tokens = torch.tensor([[27, 1, 28, 0, 28], [27, 1, 2, 3, 4], [28, 28, 1, 28, 2]])
    expected = [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]]
    assert pads(tokens, 28).int().tolist() == expected
    assert led_by(30, tokens)[:, 0].tolist() == [30, 30, 30]
    assert torch.equal(led_by(30, tokens)[:, 1:], tokens[:, 1:])
    assert tokens[0, 0] == 27


def test_padding_changes_nothing() -> None:
    model, images, tokens = made(SQUARE), pictures(6), texts(6)
    seen, junk = model.matcher.vision.tokens(images), tokens.clone()
    behind = pads(tokens, END)
    assert behind.sum() > 10
    junk[behind] = torch.arange(int(behind.sum())) % 31
    answerer, answers = model.answerer(), texts(6, 5, seed=8)
    results = [
        [
            model.matcher.text_feature(t),
            model.matcher.match(seen, t),
            model.writer.loss(t, seen),
            model.writer.log_probability(t, seen),
            answerer.loss(images, t, answers),
            answerer.rank(images, t, answers),
            answerer.generate(images, t, 4),
        ]
        for t in (tokens, junk)
    ]
    for a, b in zip(*results, strict=True):
        assert close(a, b)
    # One alone, and without its padding.
    for i in range(6):
        alone = torch.tensor([words_of(tokens[i])])
        assert close(model.matcher.text_feature(alone)[0], results[0][0][i])
        assert close(model.matcher.match(seen[i : i + 1], alone)[0], results[0][1][i])
        assert close(model.writer.log_probability(alone, seen[i : i + 1])[0], results[0][3][i])
        assert close(answerer.rank(images[i : i + 1], alone, answers)[0], results[0][5][i])


def test_the_first_token_says_how_a_text_is_meant() -> None:
    model, images, tokens = made(), pictures(4), texts(4)
    seen, other = model.matcher.vision.tokens(images), tokens.clone()
    other[:, 0] = 5
    assert close(model.matcher.match(seen, other), model.matcher.match(seen, tokens))
    assert close(model.writer(other, seen), model.writer(tokens, seen))
    assert not close(model.matcher.text_feature(other), model.matcher.text_feature(tokens))
    read = model.matcher.reader(led_by(MATCH, tokens), pads(tokens, END), seen)
    assert close(model.matcher.match(seen, tokens), model.matcher.match_head(read[:, 0]))


def test_a_feature_alone_sees_no_picture_and_a_verdict_does() -> None:
    model, tokens = made(), texts(4)
    seen = model.matcher.vision.tokens(pictures(4))
    verdicts = model.matcher.match(seen, tokens), model.matcher.match(seen.flip(0), tokens)
    assert (verdicts[0] - verdicts[1]).abs().max() > 1e-3
    features = model.matcher.text_feature(tokens), model(pictures(4))
    for feature in features:
        assert close(feature.norm(dim=1), torch.ones(4))
    assert close(model.matcher(pictures(4), tokens), features[1] @ features[0].T)
    p = model.matcher.probability(pictures(4), tokens)
    expected = [softmax(row)[1] for row in verdicts[0].tolist()]
    assert p.tolist() == pytest.approx(expected)


def test_the_writer_looks_back_only() -> None:
    model, tokens = made(), texts(4)
    seen = model.matcher.vision.tokens(pictures(4))
    whole = model.writer(tokens, seen)
    for length in range(1, 4):
        assert close(model.writer(tokens[:, :length], seen), whole[:, :length])


def test_a_prompt_is_given_and_not_learned() -> None:
    model, tokens = made(), texts(4)
    seen = model.matcher.vision.tokens(pictures(4))
    losses = [slow_words(model.writer, words_of(t), s, 0.2)
              for t, s in zip(tokens, seen, strict=True)]  # fmt: skip
    for prompt in (0, 1, 2):
        counted = [x for row in losses for x in row[max(prompt - 1, 0) :]]
        found = model.writer.loss(tokens, seen, smoothing=0.2, prompt=prompt).item()
        assert found == pytest.approx(sum(counted) / len(counted), rel=1e-10)
    found = model.captioner().loss(pictures(4), tokens, 0.2, 2)
    assert found.item() == pytest.approx(sum(counted) / len(counted), rel=1e-10)
    # The authors' smoothing is what one gets without asking.
    counted = [x for t, s in zip(tokens, seen, strict=True)
               for x in slow_words(model.writer, words_of(t), s, 0.1)]  # fmt: skip
    for found in (model.writer.loss(tokens, seen), model.captioner().loss(pictures(4), tokens)):
        assert found.item() == pytest.approx(sum(counted) / len(counted), rel=1e-10)


def test_probabilities_of_texts_are_those_of_their_words() -> None:
    model, images = made(SQUARE), pictures(3)
    answerer, questions, answers = model.answerer(), texts(3), texts(5, 6, seed=4)
    ranked = answerer.rank(images, questions, answers)
    assert ranked.shape == (3, 5)
    for b in range(3):
        ids = torch.tensor([[MATCH, *words_of(questions[b])[1:]]])
        seen = answerer.vision.tokens(images[b : b + 1])
        state = answerer.reader(ids, context=seen)[0]
        for k in range(5):
            log_p = -sum(slow_words(answerer.writer, words_of(answers[k]), state, 0.0))
            assert ranked[b, k].item() == pytest.approx(log_p, rel=1e-9)


def test_candidates_are_judged_and_the_rest_are_last() -> None:
    model, images, tokens = made(), pictures(4), texts(5)
    cosines = model.matcher(images, tokens)
    seen = model.matcher.vision.tokens(images)
    for k, of_images in ((2, True), (3, False), (9, True), (9, False)):
        scores = model.matcher.rescored(images, tokens, k, of_images)
        for a, b in ((a, b) for a in range(4) for b in range(5)):
            rivals = cosines[a] if of_images else cosines[:, b]
            if int((rivals > cosines[a, b]).sum()) < k:
                verdict = model.matcher.match(seen[a : a + 1], tokens[b : b + 1])[0, 1]
                assert close(scores[a, b], cosines[a, b] + verdict)
            else:
                assert scores[a, b] == -100
    with pytest.raises(ValueError, match="at least 1 candidate is expected, but k is 0"):
        model.matcher.rescored(images, tokens, 0)


# ------------------------------------------------------------------------------------- generation


def greedy(writer, context: torch.Tensor, prompt: list[int], steps: int) -> list[int]:
    """One text without a cache: the whole text is read again for each word."""
    ids = [WRITE, *prompt[1:]]
    new = []
    while len(new) < steps and END not in new:
        states = writer.text(torch.tensor([ids]), context=context[None], causal=True)
        scores = writer.head(states, writer.text.words.weight)[0, -1].tolist()
        new.append(scores.index(max(scores)))
        ids.append(new[-1])
    return new


def filled(rows: list[list[int]]) -> list[list[int]]:
    longest = max(map(len, rows))
    return [row + [END] * (longest - len(row)) for row in rows]


def contrasting(n: int) -> torch.Tensor:
    """Pictures that differ so much that even untrained models tell them differently."""
    return pictures(n) * torch.linspace(-3, 3, n)[:, None, None, None]


def test_generation_with_a_cache_is_that_without() -> None:
    torch.manual_seed(0)
    model, images, lengths = perturbed(BLIP(SQUARE), seed=1, by=0.3), contrasting(6), set()
    seen, questions = model.matcher.vision.tokens(images), texts(6)
    prompt = texts(6, 3, seed=9)
    prompt[prompt == END] = 4
    for _ in range(2):
        model.writer.head.bias.data[END] += 1  # so that texts end at different places
        captioner, answerer = model.captioner(), model.answerer()
        expected = filled([greedy(model.writer, s, [START], 6) for s in seen])
        assert captioner.generate(images, 6).tolist() == expected
        lengths |= {len(words_of(torch.tensor(row))) for row in expected}
        starts = zip(seen, prompt.tolist(), strict=True)
        expected = filled([greedy(model.writer, s, p, 5) for s, p in starts])
        assert captioner.generate(images, 5, prompt=prompt).tolist() == expected
        states, is_pad = answerer.read(images, questions)
        assert is_pad.any()
        read = zip(states, is_pad, strict=True)
        expected = filled([greedy(answerer.writer, s[~p], [START], 6) for s, p in read])
        # One beam is greedy; so is drawing from one word.
        for how in (None, Beams(1), Sampling(top_k=1)):
            assert answerer.generate(images, questions, 6, how).tolist() == expected
        lengths |= {len(words_of(torch.tensor(row))) for row in expected}
    assert len(lengths) > 2


def test_beams_find_likelier_texts() -> None:
    model, images = made(), pictures(6)
    captioner = model.captioner()
    seen, start = model.matcher.vision.tokens(images), torch.full((6, 1), START)

    def log_p(texts: torch.Tensor) -> torch.Tensor:
        return model.writer.log_probability(torch.cat([start, texts], dim=1), seen)

    plain, beams = captioner.generate(images, 3), captioner.generate(images, 3, Beams(15, 0.0))
    assert (log_p(beams) >= log_p(plain) - 1e-9).all()
    assert (log_p(beams) > log_p(plain) + 1e-3).any()


def test_drawn_texts_follow_the_generator() -> None:
    model, images = made(), pictures(6)
    draws = [
        model.captioner().generate(images, 5, Sampling(), torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert draws[0].tolist() == draws[1].tolist() != draws[2].tolist()


def test_a_prompt_without_an_end() -> None:
    with pytest.raises(ValueError, match="a prompt goes on, but this one has the end token 28"):
        made().captioner().generate(pictures(1), 3, prompt=torch.tensor([[27, 1, 28]]))


# --------------------------------------------------------------------------------------- CapFilt


def test_capfilt_keeps_what_matches(monkeypatch) -> None:
    model, images = made(), pictures(3)
    web = torch.tensor([[27, 1, 28, 0], [27, 2, 3, 28], [27, 4, 28, 28]])
    written = torch.tensor([[5, 28, 28, 28], [6, 7, 8, 28], [9, 9, 9, 9]])
    asked = []

    def generate(*arguments):
        asked.append(arguments)
        return written

    chance = {(1,): 0.9, (2, 3): 0.5, (4,): 0.2, (5,): 0.4, (6, 7, 8): 0.51, (9, 9, 9, 9): 0.8}

    def probability(shown, tokens):
        assert shown is images
        return torch.tensor([chance[tuple(words_of(row)[1:-1])] for row in tokens])

    captioner = model.captioner()
    monkeypatch.setattr(captioner, "generate", generate)
    monkeypatch.setattr(model.matcher, "probability", probability)
    generator, prompt = torch.Generator(), torch.tensor([[27, 1]] * 3)
    rows, tokens, synthetic = capfilt.capfilt(
        captioner, model.matcher, images, web, 4, generator, prompt
    )
    assert rows.tolist() == [0, 1, 2]
    expected = [[27, 1, 28, 0, 28, 28], [27, 6, 7, 8, 28, 28], [27, 9, 9, 9, 9, 28]]
    assert tokens.tolist() == expected
    assert synthetic.tolist() == [False, True, True]
    ((shown, steps, how, by, said),) = asked
    assert shown is images
    assert (steps, how.top_p, how.top_k, how.temperature) == (4, 0.9, None, 1.0)
    assert by is generator
    assert said is prompt
    arguments = (captioner, model.matcher, images, web, 4)
    assert capfilt.capfilt(*arguments, least=0.45)[0].tolist() == [0, 1, 1, 2]
    assert capfilt.capfilt(*arguments, least=1.0)[1].shape == (0, 6)


def test_capfilt_with_a_real_captioner_and_filter() -> None:
    model, images = made(), pictures(6)
    web, generator = texts(6), torch.Generator().manual_seed(3)
    arguments = (model.captioner(), model.matcher, images, web, 5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows, tokens, synthetic = capfilt.capfilt(*arguments, generator, least=0.0)
    assert rows.tolist() == [*range(6), *range(6)]
    assert synthetic.tolist() == [False] * 6 + [True] * 6
    again = torch.Generator().manual_seed(3)
    drawn = model.captioner().generate(images, 5, Sampling(top_p=0.9), again)
    for i in range(6):
        assert words_of(tokens[i]) == words_of(web[i])
        said = words_of(torch.tensor([START, *drawn[i].tolist(), END]))  # ended, or cut
        assert words_of(tokens[6 + i]) == said
    p = model.matcher.probability(images[rows], tokens)
    least = p.median().item()
    generator.manual_seed(3)
    kept = capfilt.capfilt(*arguments, generator, least=least)
    assert torch.equal(kept[0], rows[p > least])
    assert torch.equal(kept[1], tokens[p > least])
    assert 0 < len(kept[0]) < 12
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# ------------------------------------------------------------------------------------ it learns


def test_it_learns_one_batch_by_heart() -> None:
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    model = perturbed(BLIP(replace(SMALL, queue=8, tau=0.1)), by=0.1)
    images, tokens = torch.rand(4, 3, 1, 1).expand(-1, -1, 16, 16), texts(4)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    history = []
    for step in range(100):
        found = train_step(model, (images, tokens), step / 100)
        optimiser.zero_grad()
        found["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        after_step(model, step / 100)
        history.append({name: value.item() for name, value in found.items()})
    first, last = history[0], history[-1]
    assert first["lm"] > 3  # ln 31 = 3.43
    assert last["lm"] < 0.8  # smoothing alone costs 0.65
    assert last["itm"] < 0.1 < first["itm"]
    assert last["judged"] == 1
    assert last["itc"] < 1.5 < first["itc"]  # the queue is full of these very pairs, twice each
    cosines = model.matcher(images, tokens)
    assert cosines.argmax(1).tolist() == cosines.argmax(0).tolist() == [*range(4)]
    said = model.captioner().generate(images, 8, Beams(3))
    for row, expected in zip(said, tokens, strict=True):
        assert words_of(row) == words_of(expected)[1:]
    right = model.matcher.probability(images, tokens)
    wrong = model.matcher.probability(images, tokens.roll(1, 0))
    assert right.min() > 0.9
    assert wrong.max() < 0.1


# --------------------------------------------------------------------------------------- parity

THEIRS = {
    "vision_config": {
        "hidden_size": 24, "intermediate_size": 60, "num_hidden_layers": 2,
        "num_attention_heads": 3, "image_size": 16, "patch_size": 4, "layer_norm_eps": 1e-4,
    },
    "text_config": {
        "vocab_size": 31, "hidden_size": 24, "intermediate_size": 36, "num_hidden_layers": 2,
        "num_attention_heads": 4, "max_position_embeddings": 12, "layer_norm_eps": 1e-3,
        "bos_token_id": WRITE, "sep_token_id": END, "eos_token_id": 2, "pad_token_id": 0,
    },
    "image_text_hidden_size": 14,
}  # fmt: skip


def in_transformers(kind: type, smoothing: float = 0.0) -> tuple[nn.Module, dict]:
    text = {**THEIRS["text_config"], "label_smoothing": smoothing}
    config = BlipConfig(**{**THEIRS, "text_config": text})
    torch.manual_seed(0)
    theirs = perturbed(kind(config), by=0.3).double().eval()
    return theirs, config.to_dict()


def assert_same_gradients(ours: nn.Module, theirs: nn.Module, config: dict, unused: str) -> None:
    """Conversion only moves and adds numbers, so their gradients can pass through it as well.

    One thing must not be added: a position to the class token. The gradient of both is the same.
    """
    passed = {}
    for name, parameter in theirs.named_parameters():
        gradient = parameter.grad
        assert gradient is not None or unused in name, name
        passed[name] = torch.zeros_like(parameter) if gradient is None else gradient.clone()
        if name == "vision_model.embeddings.position_embedding":
            passed[name][:, 0] = 0
    # A tied tensor is listed once; its other names would still hold weights.
    state = {n: t for n, t in theirs.state_dict().items() if "predictions.decoder" not in n}
    expected = from_reference(state | passed, config).state_dict()
    for name, parameter in ours.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        assert torch.allclose(gradient, expected[name], rtol=1e-6, atol=1e-9), name


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_captioning_equals_transformers(smoothing: float) -> None:
    theirs, config = in_transformers(BlipForConditionalGeneration, smoothing)
    ours, images, tokens = from_reference(theirs.state_dict(), config), pictures(5), texts(5, 9)
    assert isinstance(ours, Captioner)
    assert ours.writer.marks == MARKS
    is_pad, read = pads(tokens, END), led_by(WRITE, tokens)
    labels = read.masked_fill(is_pad, -100)
    found = theirs(images, read, (~is_pad).long(), labels)
    assert close(ours.vision.tokens(images), found.image_embeds)
    logits = ours(images, tokens)
    assert close(logits[~is_pad], found.logits[~is_pad])
    loss = ours.loss(images, tokens, smoothing)
    assert close(loss, found.loss)
    loss.backward()
    found.loss.backward()
    assert_same_gradients(ours, theirs, config, unused="-")


def test_the_loss_behind_a_prompt_equals_transformers() -> None:
    theirs, config = in_transformers(BlipForConditionalGeneration, 0.1)
    ours, images, tokens = from_reference(theirs.state_dict(), config), pictures(5), texts(5, 9)
    tokens[:, 1:4] = torch.tensor([7, 8, 9])
    tokens[:, 8] = END
    is_pad, read = pads(tokens, END), led_by(WRITE, tokens)
    labels = read.masked_fill(is_pad, -100)
    labels[:, :4] = -100
    found = theirs(images, read, (~is_pad).long(), labels)
    assert close(ours.loss(images, tokens, prompt=4), found.loss)  # 0.1 is the default here


def generated(tokens: torch.Tensor, prompt: int) -> list[list[int]]:
    """Their texts → new ids up to the end token, as lists."""
    return [words_of(row[prompt:]) for row in tokens]


@pytest.mark.parametrize(
    ("how", "theirs_how"),
    [
        (None, {}),
        (Beams(3), {"num_beams": 3}),
        (Beams(4, 0.5, True), {"num_beams": 4, "length_penalty": 0.5, "early_stopping": True}),
    ],
    ids=["greedy", "beams", "short beams"],
)
def test_generated_texts_equal_transformers(how: object, theirs_how: dict) -> None:
    images, found, options = contrasting(12), [], {"do_sample": False, **theirs_how}
    questions, prompt = texts(12, 6), torch.tensor([[START, 7, 8, END]] * 12)
    questions[:, 1:] = questions[:, 1:].masked_fill(questions[:, 1:] == END, 3)
    questions[:, -1] = END  # without padding, at which theirs looks
    for more in (0.0, 3.0, 4.0):  # so that some texts end early
        theirs, config = in_transformers(BlipForConditionalGeneration)
        theirs.text_decoder.cls.predictions.bias.data[END] += more
        ours = from_reference(theirs.state_dict(), config)
        plain = theirs.generate(images, max_new_tokens=7, **options)
        said = generated(ours.generate(images, 7, how), 0)
        assert said == generated(plain, 1)
        # Theirs cuts the last token of a prompt off, for it is an end token.
        led = theirs.generate(images, prompt.clone(), max_new_tokens=6, **options)
        led_by_prompt = generated(ours.generate(images, 6, how, prompt=prompt[:, :-1]), 0)
        assert led_by_prompt == generated(led, 3)

        theirs, config = in_transformers(BlipForQuestionAnswering)
        theirs.text_decoder.cls.predictions.bias.data[END] += more
        ours = from_reference(theirs.state_dict(), config)
        answers = theirs.generate(led_by(MATCH, questions), images, max_new_tokens=7, **options)
        answered = generated(ours.generate(images, questions, 7, how), 0)
        assert answered == generated(answers, 1)
        found += said + led_by_prompt + answered
    assert len({*map(tuple, found)}) > 6
    assert len({*map(len, found)}) > 2


def test_drawn_words_equal_transformers() -> None:
    """With one word that has more than half of the mass, nucleus sampling has no choice."""
    theirs, config = in_transformers(BlipForConditionalGeneration)
    ours, images = from_reference(theirs.state_dict(), config), pictures(6)
    drawn = theirs.generate(images, max_new_tokens=6, do_sample=True, top_p=1e-6, top_k=0)
    assert generated(ours.generate(images, 6, Sampling(top_p=1e-6)), 0) == generated(drawn, 1)


def test_retrieval_equals_transformers() -> None:
    theirs, config = in_transformers(BlipForImageTextRetrieval)
    ours, images, tokens = from_reference(theirs.state_dict(), config), pictures(5), texts(5, 9)
    assert isinstance(ours, Matcher)
    assert ours.dim == 14
    mask = (~pads(tokens, END)).long()
    plain = theirs(tokens, images, use_itm_head=False, attention_mask=mask)
    together = theirs(led_by(MATCH, tokens), images, attention_mask=mask)
    cosines, verdicts = ours(images, tokens), ours.match(ours.vision.tokens(images), tokens)
    assert close(cosines, plain.itm_score)
    assert close(verdicts, together.itm_score)
    assert close(ours.probability(images, tokens), together.itm_score.softmax(1)[:, 1])
    weights = torch.randn(5, 5, generator=torch.Generator().manual_seed(5))
    for cos, logits in ((cosines, verdicts), (plain.itm_score, together.itm_score)):
        ((cos * weights).sum() + logits.logsumexp(1).sum() - logits[:, 1].sum()).backward()
    assert_same_gradients(ours, theirs, config, unused="-")


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_answering_equals_transformers(smoothing: float) -> None:
    theirs, config = in_transformers(BlipForQuestionAnswering, smoothing)
    ours, images = from_reference(theirs.state_dict(), config), pictures(5)
    assert isinstance(ours, Answerer)
    questions, answers = texts(5, 7), texts(5, 6, seed=4)
    questions[:, 1:] = questions[:, 1:].masked_fill(questions[:, 1:] == END, 3)
    questions[:, -1] = END
    is_pad = pads(answers, END)
    written = led_by(WRITE, answers)
    labels = written.masked_fill(is_pad, -100)
    found = theirs(
        led_by(MATCH, questions), images, decoder_input_ids=written, labels=labels,
        decoder_attention_mask=(~is_pad).long(), attention_mask=torch.ones_like(questions),
    )  # fmt: skip
    loss = ours.loss(images, questions, answers, smoothing)
    assert close(loss, found.loss)
    assert close(ours.loss(images, questions, answers), loss) == (smoothing == 0.1)
    loss.backward()
    found.loss.backward()
    assert_same_gradients(ours, theirs, config, unused="-")
    # Log-probabilities from their logits, one answer to all questions at a time.
    ranked, seen = ours.rank(images, questions, answers), theirs.vision_model(images)[0]
    states = theirs.text_encoder(led_by(MATCH, questions), encoder_hidden_states=seen)[0]
    for k in range(5):
        ids = torch.tensor([[WRITE, *words_of(answers[k])[1:]]]).expand(5, -1)
        logits = theirs.text_decoder(ids, encoder_hidden_states=states).logits.log_softmax(-1)
        expected = sum(logits[:, t, ids[0, t + 1]] for t in range(ids.shape[1] - 1))
        assert close(ranked[:, k], expected)


def test_padded_questions_are_what_transformers_would_see_cut() -> None:
    theirs, config = in_transformers(BlipForQuestionAnswering)
    ours, images = from_reference(theirs.state_dict(), config), pictures(5)
    questions, answers = texts(5, 8), texts(5, 6, seed=4)
    assert pads(questions, END).any()
    logits = ours(images, questions, answers)
    for i in range(5):
        question = torch.tensor([[MATCH, *words_of(questions[i])[1:]]])
        answer = torch.tensor([[WRITE, *words_of(answers[i])[1:]]])
        seen = theirs.vision_model(images[i : i + 1])[0]
        state = theirs.text_encoder(question, encoder_hidden_states=seen)[0]
        expected = theirs.text_decoder(answer, encoder_hidden_states=state).logits
        assert close(logits[i : i + 1, : answer.shape[1]], expected)


def test_files_as_they_are_published() -> None:
    theirs, config = in_transformers(BlipForQuestionAnswering)
    state, places = theirs.state_dict(), torch.arange(12)[None]
    expected = from_reference(state, config)
    # Old files hold the numbers of the places; others leave tied copies out.
    more = {f"{part}.embeddings.position_ids": places
            for part in ("text_encoder", "text_decoder.bert")}  # fmt: skip
    less = {n: t for n, t in state.items() if "predictions.decoder" not in n}
    for files in (state | more, less):
        ours = from_reference(files, config)
        for name, value in expected.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value), name
    # New files leave out what has transformers' default.
    defaults, short = BlipConfig().to_dict(), {"model_type": "blip", "image_text_hidden_size": 14}
    for part in ("vision_config", "text_config"):
        default = defaults[part]
        short[part] = {n: v for n, v in config[part].items() if v != default.get(n)}
    assert "hidden_act" not in short["vision_config"]
    ours = from_reference(state, short)
    assert ours.vision.config == expected.vision.config
    assert ours.reader.config == expected.reader.config
    published = {"dim", "queue"}
    assert published <= set(Config.__dataclass_fields__)
    theirs, config = in_transformers(BlipForImageTextRetrieval)
    config.pop("image_text_hidden_size")
    with pytest.raises(ValueError, match=r"image_projection\.weight \(14, 24\), here \(256, 24\)"):
        from_reference(theirs.state_dict(), config)


KINDS = {
    "captioning": BlipForConditionalGeneration,
    "retrieval": BlipForImageTextRetrieval,
    "answering": BlipForQuestionAnswering,
}


@pytest.mark.parametrize("name", KINDS)
def test_the_published_base_size(name: str) -> None:
    # As published: the text has 12 heads, not the default 8.
    config = BlipConfig(text_config={"num_attention_heads": 12})
    with torch.device("meta"):
        theirs = KINDS[name](config)
        ours = from_reference(theirs.state_dict(), config.to_dict())
        whole = BLIP(BASE)
    # Less one row: the class token's position.
    count = sum(p.numel() for p in theirs.parameters())
    assert sum(p.numel() for p in ours.parameters()) == count - 768
    assert count == {"captioning": 223_971_644, "retrieval": 223_744_258,
                     "answering": 361_230_140}[name]  # fmt: skip
    fine_tuned = replace(BASE.vision, image_size=384, norm_eps=1e-5)
    assert ours.vision.config == fine_tuned
    parts = {"vision": whole.matcher.vision, "reader": whole.matcher.reader,
             "writer": whole.writer, "image_projection": whole.matcher.image_projection,
             "text_projection": whole.matcher.text_projection,
             "match_head": whole.matcher.match_head}  # fmt: skip
    for part, module in ours.named_children():
        if part in ("reader", "writer"):
            assert getattr(module, "text", module).config == BASE.text
        shapes = {n: p.shape for n, p in parts[part].named_parameters() if n != "positions"}
        assert shapes == {n: p.shape for n, p in module.named_parameters() if n != "positions"}
    marks = getattr(ours, "marks", None) or ours.writer.marks
    assert marks == BASE.marks
    assert (BASE.vision.image_size, BASE.dim, BASE.queue, BASE.ema) == (224, 256, 57_600, 0.995)


# ---------------------------------------------------------------------------------- two processes

PAIRS = 6  # in the whole batch


def likeliest(logits: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """In place of a draw, which two processes would make from other random numbers."""
    return logits.masked_fill(positive, -torch.inf).argmax(dim=1)


def step_of(own: slice) -> dict:
    """What one process computes from its pairs in two steps, with its own gradients."""
    model, steps = made(), []
    model.log_tau.data.fill_(-3.0)
    for step in range(2):
        images, tokens = pictures(2 * PAIRS)[step::2][own], texts(PAIRS, seed=2 + step)[own]
        found = train_step(model, (images, tokens), 0.05)
        model.zero_grad()
        found["loss"].backward()
        steps.append({name: value.item() for name, value in found.items()})
        after_step(model, 0.05)
    weights = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    words = int((~pads(tokens, 28)[:, 1:]).sum())
    return {"steps": steps, "weights": weights, "queues": model.queues, "words": words,
            "pointer": model.pointer, "slow": dict(model.slow.named_parameters())}  # fmt: skip


SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from course_lib.backbones import text_encoder, vit
from course_lib.train.checkpoints import save
from course_lib.vision_language import blip
from course_lib.vision_language.blip import BLIP, Config, after_step, train_step
from course_lib.vision_language.med import Marks, pads

{source}

folder, rank = sys.argv[1], int(sys.argv[2])
torch.set_default_dtype(torch.float64)
blip.hard_negatives = likeliest
dist.init_process_group("gloo", init_method=f"file://{{folder}}/meet", rank=rank, world_size=2)
save(f"{{folder}}/{{rank}}.safetensors", step_of(slice(3 * rank, 3 * rank + 3)))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory) -> list[dict]:
    """What each of two processes has computed from its half of the pairs."""
    folder = tmp_path_factory.mktemp("blip")
    lines = [f"PAIRS, VISION, TEXT = {PAIRS!r}, vit.{VISION!r}, text_encoder.{TEXT!r}"]
    lines += [f"SMALL = Config(VISION, TEXT, {MARKS!r}, dim=14, queue=10, ema=0.9, tau=0.3)"]
    functions = (perturbed, made, pictures, texts, likeliest, step_of)
    lines += [inspect.getsource(f) for f in functions]
    script = SCRIPT.format(source="\n\n".join(lines))
    (folder / "rank.py").write_text(script, encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    command = [sys.executable, str(folder / "rank.py"), str(folder)]
    both = [subprocess.Popen([*command, rank], env=environment, **pipes) for rank in "01"]
    try:
        said = [process.communicate(timeout=240)[0] for process in both]
    finally:
        for process in both:  # if one fails, the other waits for it in vain
            process.kill()
    assert [process.returncode for process in both] == [0, 0], said
    return [load(folder / f"{rank}.safetensors") for rank in "01"]


@pytest.fixture
def one(monkeypatch) -> dict:
    """What one process computes from all pairs."""
    monkeypatch.setattr(blip, "hard_negatives", likeliest)
    return step_of(slice(PAIRS))


def test_two_processes_have_the_losses_of_one(ranks, one) -> None:
    assert ranks[0]["words"] != ranks[1]["words"]
    for step in range(2):
        for name, expected in one["steps"][step].items():
            mean = sum(part["steps"][step][name] for part in ranks) / 2
            assert mean == pytest.approx(expected, rel=1e-6 if "ou" in name else 1e-9), name
        for name in ("itc", "itm", "lm"):
            assert ranks[0]["steps"][step][name] != ranks[1]["steps"][step][name]


def test_two_processes_have_the_gradients_of_one(ranks, one) -> None:
    assert ranks[0]["weights"].keys() == one["weights"].keys()
    for name, expected in one["weights"].items():
        mean = sum(part["weights"][name] for part in ranks) / 2
        assert torch.allclose(mean, expected, rtol=1e-8, atol=1e-11), name


def test_both_processes_have_the_queues_of_one(ranks, one) -> None:
    for part in ranks:
        assert part["pointer"].item() == one["pointer"].item() == 2 * PAIRS - 10
        assert torch.allclose(part["queues"], one["queues"], rtol=1e-10, atol=1e-12)
        for name, expected in one["slow"].items():
            assert torch.allclose(part["slow"][name], expected, rtol=1e-12), name


# ---------------------------------------------------------------------------------------- errors


def test_configurations_that_do_not_fit_are_refused() -> None:
    for marks in (Marks(28, 28, 29), Marks(28, 31, 29), Marks(-1, 3, 2)):
        with pytest.raises(ValueError, match="three different ids below 31, not"):
            replace(SMALL, marks=marks)
    with pytest.raises(ValueError, match="cross_width must be the pictures' 24, not 20"):
        replace(SMALL, text=replace(TEXT, cross_width=20))
    with pytest.raises(ValueError, match="by its class token, but class_token is False"):
        replace(SMALL, vision=replace(VISION, class_token=False))
    with pytest.raises(ValueError, match="at least 1, not 0 and 14"):
        replace(SMALL, queue=0)
    for tau in (0.0, 0.9):
        with pytest.raises(ValueError, match=f"within its range, 0.001 to 0.5, but it is {tau}"):
            replace(SMALL, tau=tau)
    for name in ("ema", "alpha", "alpha_ramp", "smoothing"):
        with pytest.raises(ValueError, match=f"{name} must be 0 to 1, but it is 2"):
            replace(SMALL, **{name: 2})


def test_a_batch_without_a_text_for_each_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="3 images need as many texts, not 4"):
        train_step(made(), (pictures(3), texts(4)), 0.0)


def test_foreign_weights_are_refused() -> None:
    theirs, config = in_transformers(BlipForConditionalGeneration)
    state = theirs.state_dict()
    with pytest.raises(ValueError, match="theirs, without a home here: stranger"):
        from_reference(state | {"stranger": torch.zeros(1)}, config)
    lost = {n: t for n, t in state.items() if n != "vision_model.post_layernorm.bias"}
    with pytest.raises(ValueError, match=r"not filled: vision\.norm\.bias"):
        from_reference(lost, config)
    lost = {n: t for n, t in state.items() if "crossattention.output.dense.bias" not in n}
    with pytest.raises(ValueError, match=r"not filled: writer\.text\.blocks\.0\.cross\.out\.bias"):
        from_reference(lost, config)
    untied = {"text_decoder.cls.predictions.decoder.weight": torch.zeros(31, 24)}
    with pytest.raises(ValueError, match="the head is tied here, but text_decoder"):
        from_reference(state | untied, config)
    both = state | in_transformers(BlipForImageTextRetrieval)[0].state_dict()
    with pytest.raises(ValueError, match="do not fit Answerer: theirs, without a home here: "):
        from_reference(both, config)


def test_options_without_a_like_are_refused() -> None:
    theirs, config = in_transformers(BlipForConditionalGeneration)
    state = theirs.state_dict()
    for part, name, value in (
        ("vision_config", "hidden_act", "relu"),
        ("vision_config", "num_channels", 4),
        ("text_config", "hidden_act", "relu"),
    ):
        other = config | {part: config[part] | {name: value}}
        with pytest.raises(ValueError, match=f"of the course has nothing like {name}="):
            blip_names.options(other)
    with pytest.raises(ValueError, match="the model_type must be blip, but it is 'clip'"):
        from_reference(state, config | {"model_type": "clip"})
