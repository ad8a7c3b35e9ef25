"""zero_shot: classifiers by loops and by hand, chance, arithmetic that finds its way back."""

import math

import numpy as np
import pytest
import torch

from course_lib.evaluate import zero_shot as module
from course_lib.evaluate.inputs import Measured
from course_lib.evaluate.zero_shot import (
    classify,
    prompts,
    shifted,
    zero_shot,
    zero_shot_classifier,
)

CLASSES = ("ball", "cube", "torus")
TEMPLATES = ("a {}", "a picture of a {}.", "{} on a table", "my {}!")


def encode(texts: list[str]) -> torch.Tensor:
    """Any sentence → five numbers of its own, of very different lengths."""
    rows = []
    for text in texts:
        numbers = [math.sin(sum(ord(c) * (k + i) for i, c in enumerate(text))) for k in range(5)]
        rows.append([len(text) ** 2 * x for x in numbers])
    return torch.tensor(rows, requires_grad=True)


def unit(row) -> list[float]:
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def test_prompts_by_hand() -> None:
    assert prompts(["ball", "cube"], ["a {}", "{}s!"]) == [
        ["a ball", "balls!"],
        ["a cube", "cubes!"],
    ]
    assert prompts(["{curly}", "0"]) == [["{curly}"], ["0"]]


def test_a_class_is_the_mean_of_unit_vectors_made_unit_again() -> None:
    found = zero_shot_classifier(encode, CLASSES, TEMPLATES)
    assert found.shape == (3, 5)
    assert found.dtype == np.float32
    for k, name in enumerate(CLASSES):
        rows = [unit(encode([t.replace("{}", name)])[0].tolist()) for t in TEMPLATES]
        mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        assert found[k].tolist() == pytest.approx(unit(mean), abs=1e-6)


def test_a_loud_sentence_counts_no_more_than_a_quiet_one() -> None:
    def loud(texts: list[str]) -> np.ndarray:
        return np.array([[100, 0] if "loud" in text else [0, 1] for text in texts])

    found = zero_shot_classifier(loud, ["x"], ["loud {}", "quiet {}"])
    assert found[0].tolist() == pytest.approx([0.5**0.5, 0.5**0.5])


def test_one_template_is_the_text_itself_and_batches_change_nothing(monkeypatch) -> None:
    found = zero_shot_classifier(encode, CLASSES)
    expected = [unit(row) for row in encode(list(CLASSES)).tolist()]
    assert np.allclose(found, expected, atol=1e-6)
    whole, sizes = zero_shot_classifier(encode, CLASSES, TEMPLATES), []

    def counted(texts: list[str]) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        sizes.append(len(texts))
        return encode(texts).bfloat16().float()

    monkeypatch.setattr(module, "BATCH", 5)
    assert np.allclose(zero_shot_classifier(counted, CLASSES, TEMPLATES), whole, atol=0.01)
    assert sizes == [5, 5, 2]
    assert np.array_equal(zero_shot_classifier(encode, CLASSES, TEMPLATES), whole)


def test_classify_by_loops() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6)) * rng.uniform(0.01, 100, size=(40, 1))
    classifier = rng.normal(size=(7, 6)) * rng.uniform(0.01, 100, size=(7, 1))
    found = classify(features, classifier)
    for row, answer in zip(features, found, strict=True):
        cosines = [sum(a * b for a, b in zip(unit(row), unit(c), strict=True)) for c in classifier]
        assert answer == cosines.index(max(cosines))
    assert len(set(found.tolist())) > 3


def test_accuracy_by_hand() -> None:
    classifier = np.array([[1.0, 0], [0, 2], [-1, 0]])
    features = np.array([[3.0, 1], [1, 3], [-5, 1], [0, 1], [2, 1]])  # classes 0, 1, 2, 1, 0
    labels = np.array([0, 1, 2, 0, 0])  # one of five is wrong; "always 0" is right three times
    assert zero_shot(features, labels, classifier) == Measured(0.8, 0.6)
    assert str(zero_shot(features, labels, classifier)) == "0.800 (chance 0.600)"
    assert zero_shot(features, labels, classifier[[1, 2, 0]]).value == 0.2  # 2, 0, 1, 0, 2


def test_a_collapsed_encoder_knows_nothing() -> None:
    labels = np.arange(30) % 3
    for constant in (np.ones((30, 4)), np.zeros((30, 4))):
        measured = zero_shot(constant, labels, np.eye(4)[:3])
        assert measured == pytest.approx((1 / 3, 1 / 3))


def test_arithmetic_goes_there_and_back() -> None:
    rng = np.random.default_rng(0)
    f, away, towards = rng.normal(size=(4, 6)), rng.normal(size=6), 9 * rng.normal(size=6)
    found = shifted(f, away, towards)
    for row, out in zip(f, found, strict=True):
        parts = zip(unit(row), unit(away), unit(towards), strict=True)
        assert out.tolist() == pytest.approx(unit([a - b + c for a, b, c in parts]), abs=1e-6)
    assert np.allclose(shifted(f, away, 3 * away), shifted(f, towards, towards), atol=1e-6)
    assert np.allclose(shifted(f[:1], f[0], towards)[0], unit(towards), atol=1e-6)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_errors_are_one_sentence() -> None:
    for classes, templates, name in (("ball", ["{}"], "classes"), (["ball"], "a {}", "templates")):
        with pytest.raises(TypeError, match=f"{name} must be a list of texts, but the text"):
            prompts(classes, templates)
    for classes, templates, name in (([], ["{}"], "classes"), (["ball"], [], "templates")):
        with pytest.raises(ValueError, match=f"at least one text is expected among the {name}"):
            prompts(classes, templates)
    for template, count in (("a ball", 0), ("{} and {}", 2)):
        with pytest.raises(ValueError, match=f"has one {{}} for the name, but .* has {count}"):
            prompts(["ball"], ["a {}", template])
    with pytest.raises(ValueError, match="name of its own, but 'cube' is there twice"):
        prompts(["cube", "ball", "cube"])
    with pytest.raises(ValueError, match="one row for each of 3 sentences, but it gave 2"):
        zero_shot_classifier(lambda texts: encode(texts)[1:], CLASSES)
    with pytest.raises(ValueError, match="features of texts must be finite"):
        zero_shot_classifier(lambda texts: encode(texts) * math.nan, CLASSES)
    with pytest.raises(ValueError, match="equally wide, but 4 and 3 columns were given"):
        classify(np.ones((2, 4)), np.ones((5, 3)))
    for labels, wrong in (([0, 3], "1 is 3"), ([-1, 0], "0 is -1"), (["a", "b"], "0 is a")):
        sentence = f"numbers of classes, from 0 to 2, but label {wrong}"
        with pytest.raises(ValueError, match=sentence):
            zero_shot(np.ones((2, 4)), labels, np.ones((3, 4)))
    with pytest.raises(ValueError, match="equally wide, but 4 and 3 columns were given"):
        shifted(np.ones((2, 4)), np.ones(3), np.ones(3))
