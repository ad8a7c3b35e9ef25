"""blocks/decoding and beam_search: a toy that remembers, slow searches, transformers' warpers."""

import math

import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from course_lib.blocks.beam_search import Beams, beam_search
from course_lib.blocks.decoding import Sampling, decode, draw, probabilities

V, END = 11, 3


class Toy:
    """Logits (B, V) that depend on every word so far, by a state for each row that `rows` moves."""

    def __init__(self, batch: int, seed: int = 0, end_bonus: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.table = 2 * torch.randn(97, V, generator=generator, dtype=torch.float64)
        self.table[:, END] += end_bonus
        self.state = torch.arange(batch) * 13 + 1
        self.calls: list[int] = []

    def first(self) -> torch.Tensor:
        return self.table[self.state]

    def step(self, words: torch.Tensor, rows: torch.Tensor | None) -> torch.Tensor:
        self.calls.append(len(words))
        if rows is not None:
            self.state = self.state[rows]
        self.state = (5 * self.state + words + 1) % 97
        return self.table[self.state]

    def log_p(self, row: int, text: list[int]) -> float:
        """Log-probability of a text after the row's prompt, word by word."""
        state, total = row * 13 + 1, 0.0
        for word in text:
            weights = [math.exp(x) for x in self.table[state].tolist()]
            total += math.log(weights[word] / sum(weights))
            state = (5 * state + word + 1) % 97
        return total


def filled(text: list[int], length: int) -> list[int]:
    return text + [END] * (length - len(text))


# ----------------------------------------------------------------------------------------- greedy


@pytest.mark.parametrize("bonus", [0.0, 1.5, 3.0])
def test_greedy_takes_the_likeliest_word_until_the_end(bonus: float) -> None:
    for seed in range(4):
        toy, texts = Toy(3, seed, bonus), []
        for row in range(3):
            text: list[int] = []
            while len(text) < 9 and END not in text:
                text.append(max(range(V), key=lambda w: toy.log_p(row, [*text, w])))
            texts.append(text)
        longest = max(map(len, texts))
        found = decode(toy.first(), toy.step, 9, END)
        assert found.tolist() == [filled(text, longest) for text in texts]
        assert len(toy.calls) == longest - 1  # the last word is never read


def test_without_an_end_every_text_is_full() -> None:
    toy = Toy(2, end_bonus=9.0)
    assert decode(toy.first(), toy.step, 5).tolist() == [[END] * 5] * 2
    toy = Toy(2)
    assert beam_search(toy.first(), toy.step, 5, None, Beams(3))[0].shape == (2, 3, 5)


# --------------------------------------------------------------------------------------- sampling

SETTINGS = [
    Sampling(),
    Sampling(temperature=0.4),
    Sampling(top_k=3),
    Sampling(top_k=100),
    Sampling(top_p=0.7),
    Sampling(top_p=1e-9),  # 1 − p is 1, and the likeliest word stays nevertheless
    Sampling(0.7, 5, 0.8),
    Sampling(1.9, 2, 0.5),
]


@pytest.mark.parametrize("how", SETTINGS, ids=str)
def test_words_are_cut_as_by_transformers(how: Sampling) -> None:
    logits = 3 * torch.randn(40, 23, generator=torch.Generator().manual_seed(1))
    theirs = TemperatureLogitsWarper(float(how.temperature))(None, logits)
    if how.top_k is not None:
        theirs = TopKLogitsWarper(how.top_k)(None, theirs)
    if how.top_p < 1:
        theirs = TopPLogitsWarper(how.top_p)(None, theirs)
    found = probabilities(logits, how)
    assert torch.equal(found, theirs.softmax(dim=-1))
    assert torch.allclose(found.sum(-1), torch.ones(40))


def test_cuts_by_hand() -> None:
    logits = torch.tensor([0.4, 0.1, 0.3, 0.2]).log()
    by_hand = {
        Sampling(top_k=2): [4 / 7, 0, 3 / 7, 0],
        Sampling(top_p=0.6): [4 / 7, 0, 3 / 7, 0],  # 0.4 is too little, 0.7 is enough
        Sampling(top_p=0.75): [4 / 9, 0, 3 / 9, 2 / 9],
        Sampling(top_p=0.3): [1, 0, 0, 0],
        Sampling(temperature=0.5): [16 / 30, 1 / 30, 9 / 30, 4 / 30],  # squares
        # Of the two that top-k leaves, the first has 4/7 > 0.5: their order matters.
        Sampling(top_k=2, top_p=0.5): [1, 0, 0, 0],
    }
    for how, expected in by_hand.items():
        assert torch.allclose(probabilities(logits, how), torch.tensor(expected).float()), how
    tied = probabilities(torch.tensor([1.0, 2.0, 1.0, 0.0]), Sampling(top_k=2))
    assert (tied > 0).tolist() == [True, True, True, False]


def test_frequencies_are_the_probabilities() -> None:
    how, generator = Sampling(0.8, 6, 0.9), torch.Generator().manual_seed(5)
    logits = torch.randn(1, V, generator=generator)
    expected, count = probabilities(logits, how)[0], 20_000
    words = draw(logits.expand(count, -1), how, generator)
    found = words.bincount(minlength=V) / count
    assert not found[expected == 0].any()
    assert ((found - expected).abs() <= 4 * (expected * (1 - expected) / count).sqrt()).all()


def test_sampling_follows_its_generator_and_half_precision_is_widened() -> None:
    how = Sampling(temperature=2.0)
    texts = []
    for seed in (1, 1, 2):
        toy = Toy(3)
        generator = torch.Generator().manual_seed(seed)
        texts.append(decode(toy.first(), toy.step, 12, None, how, generator))
    assert torch.equal(texts[0], texts[1])
    assert not torch.equal(texts[0], texts[2])
    assert probabilities(torch.zeros(2, 5, dtype=torch.bfloat16), how).dtype == torch.float32
    toy = Toy(3, end_bonus=1.0)
    text = decode(toy.first(), toy.step, 30, END, how, torch.Generator().manual_seed(0))
    for row in text.tolist():
        first_end = row.index(END)
        assert set(row[first_end:]) == {END}
    toy = Toy(3)  # nearly no temperature: greedy
    cold = decode(toy.first(), toy.step, 8, END, Sampling(temperature=1e-4))
    toy = Toy(3)
    assert torch.equal(cold, decode(toy.first(), toy.step, 8, END))


# ------------------------------------------------------------------------------------ beam search


def slow_beams(toy: Toy, row: int, steps: int, how: Beams) -> list[tuple[float, list[int]]]:
    """The rule in the header of beam_search, for one prompt, with lists of words."""
    K, beginnings, finished = how.beams, [[]], []
    for t in range(1, steps + 1):
        longer = [[*text, word] for text in beginnings for word in range(V)]
        longer.sort(key=lambda text: -toy.log_p(row, text))
        for text in longer[:K]:
            if text[-1] == END or t == steps:
                finished.append((toy.log_p(row, text) / len(text) ** how.length_penalty, text))
        finished = sorted(finished, key=lambda pair: -pair[0])[:K]
        beginnings = [text for text in longer[: 2 * K] if text[-1] != END][:K]
        if len(finished) == K:
            hope = toy.log_p(row, beginnings[0]) / t**how.length_penalty
            if how.early_stopping or hope <= finished[-1][0]:
                break
    return finished


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("penalty", [-0.5, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("beams", [1, 2, 3, 5])
def test_beams_are_those_of_the_slow_search(beams: int, penalty: float, early: bool) -> None:
    how, lengths = Beams(beams, penalty, early), set()
    for seed, bonus in ((0, 0.0), (1, 1.5), (2, 2.5), (3, 4.0)):
        toy = Toy(3, seed, bonus)
        expected = [slow_beams(toy, row, 7, how) for row in range(3)]
        texts, scores = beam_search(toy.first(), toy.step, 7, END, how)
        longest = max(len(text) for finished in expected for _, text in finished)
        wanted = [[filled(text, longest) for _, text in finished] for finished in expected]
        assert texts.tolist() == wanted
        assert torch.allclose(
            scores, torch.tensor([[s for s, _ in row] for row in expected]).double()
        )
        assert set(toy.calls) <= {3 * beams}
        toy = Toy(3, seed, bonus)
        best = decode(toy.first(), toy.step, 7, END, how)
        longest = max(len(finished[0][1]) for finished in expected)
        assert best.tolist() == [filled(finished[0][1], longest) for finished in expected]
        lengths |= {len(text) for finished in expected for _, text in finished}
    assert len(lengths) > 2  # some end early, some do not


def test_beams_find_what_greedy_misses() -> None:
    """A, then a coin: 0.6 · 0.5. B, then nearly always C: 0.4 · 0.9 = 0.36."""
    first = torch.tensor([[0.6, 0.4, 1e-9, 1e-9]]).log()
    after = torch.tensor(
        [[1e-9, 1e-9, 0.5, 0.5], [1e-9, 0.05, 0.9, 0.05], [0.25] * 4, [0.25] * 4]
    ).log()
    step = lambda words, rows: after[words]  # noqa: E731
    assert decode(first, step, 2)[0, 0] == 0
    assert decode(first, step, 2, how=Beams(2))[0].tolist() == [1, 2]
    _, scores = beam_search(first, step, 2, None, Beams(2, length_penalty=1.0))
    assert scores[0, 0].item() == pytest.approx(math.log(0.36) / 2, abs=1e-5)


def test_rows_do_not_know_each_other() -> None:
    for how in (None, Beams(3, 1.0), Beams(3, 0.0, True)):
        toy = Toy(4, 1, 1.5)
        together = decode(toy.first(), toy.step, 8, END, how)
        for row in range(4):
            toy = Toy(4, 1, 1.5)
            toy.state = toy.state[row : row + 1]
            alone = decode(toy.first(), toy.step, 8, END, how)[0].tolist()
            assert filled(alone, together.shape[1]) == together[row].tolist()


# ------------------------------------------------------------------------------------------- loss


# -------------------------------------------------------------------------------------- bad input


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong, message in (
        ({"temperature": 0.0}, "temperature must be above 0, but it is 0.0"),
        ({"top_k": 0}, "top_k must be at least 1, or None, but it is 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, but it is 0.0"),
        ({"top_p": 1.2}, "top_p must be above 0 and at most 1, but it is 1.2"),
    ):
        with pytest.raises(ValueError, match=message):
            Sampling(**wrong)
    with pytest.raises(ValueError, match="at least one beam is expected, but 0 were given"):
        Beams(0)


def test_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must be None .*, Sampling.* or Beams.*, not 'beams'"):
        decode(torch.zeros(2, 5), lambda word, rows: torch.zeros(2, 5), 3, how="beams")
    toy = Toy(2)
    with pytest.raises(ValueError, match=r"must have shape \(B, V\), not \(2, 1, 11\)"):
        decode(toy.first()[:, None], toy.step, 3)
    with pytest.raises(ValueError, match="at least one step is expected, but 0 were given"):
        decode(toy.first(), toy.step, 0)
    with pytest.raises(ValueError, match="6 beams need a vocabulary of at least 12 words, but it"):
        decode(toy.first(), toy.step, 3, END, Beams(6))
