"""Zero-shot: a classifier made of nothing but the names of its classes. No training, no examples.

Radford et al.: Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
§3.1. Each name is put into sentences, the templates; a class is the mean of its sentences'
features, all of length 1, made of length 1 again (§3.1.4, ensembling in the space of features). A
picture belongs to the class with the greatest cosine.

Whatever turns sentences into features will do: `encode_text` takes a list of them, and gives a
tensor or an array with one row for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from course_lib.evaluate.inputs import (
    Measured,
    check_features,
    check_labels,
    directions,
    majority,
)

EncodeText = Callable[[list[str]], torch.Tensor | np.ndarray]
BATCH = 256  # sentences encoded at once


def prompts(classes: Sequence[str], templates: Sequence[str] = ("{}",)) -> list[list[str]]:
    """Names of K classes, T templates with one {} each → K lists of T sentences.

    Raises TypeError for a single text in place of a list, ValueError if there are none, if a
    template has not exactly one {}, or if two classes have one name.
    """
    for name, texts in (("classes", classes), ("templates", templates)):
        if isinstance(texts, str):
            raise TypeError(f"{name} must be a list of texts, but the text {texts!r} was given")
        if len(texts) == 0:
            raise ValueError(f"at least one text is expected among the {name}, but there is none")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(
                f"a template has one {{}} for the name, but {template!r} has {template.count('{}')}"
            )
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise ValueError(f"each class must have a name of its own, but {twice!r} is there twice")
    return [[template.replace("{}", name) for template in templates] for name in classes]


def zero_shot_classifier(
    encode_text: EncodeText, classes: Sequence[str], templates: Sequence[str] = ("{}",)
) -> np.ndarray:
    """Names of K classes → one feature of length 1 for each, float32 (K, D).

    Also raises what `prompts` raises, and ValueError if `encode_text` does not give one finite row
    for each sentence.
    """
    sentences = [sentence for group in prompts(classes, templates) for sentence in group]
    rows = []
    for start in range(0, len(sentences), BATCH):
        part = sentences[start : start + BATCH]
        with torch.no_grad():
            encoded = encode_text(part)
        if isinstance(encoded, torch.Tensor):
            encoded = encoded.detach().float().cpu().numpy()
        encoded = check_features(encoded, "features of texts")
        if len(encoded) != len(part):
            raise ValueError(
                f"encode_text must give one row for each of {len(part)} sentences, "
                f"but it gave {len(encoded)}"
            )
        rows.append(directions(encoded))
    features = np.concatenate(rows).reshape(len(classes), len(templates), -1)
    return directions(features.mean(axis=1))


def classify(features: np.ndarray, classifier: np.ndarray) -> np.ndarray:
    """Features (N, D) of any length, classifier (K, D) → the number of each one's class (N,).

    The class with the greatest cosine; of equals, the first.
    """
    features, classifier = check_features(features), check_features(classifier, "the classifier")
    if features.shape[1] != classifier.shape[1]:
        raise ValueError(
            "features and classifier must be equally wide, "
            f"but {features.shape[1]} and {classifier.shape[1]} columns were given"
        )
    return (directions(features) @ directions(classifier).T).argmax(axis=1)


def zero_shot(features: np.ndarray, labels: np.ndarray, classifier: np.ndarray) -> Measured:
    """Features (N, D), labels (N,) from 0 to K − 1, classifier (K, D) → the share that is right.

    Chance is the best answer without looking: the most frequent of the labels. Raises ValueError
    for labels that are no class's number.
    """
    answers = classify(features, classifier)
    labels = check_labels(labels, len(answers))
    known = np.isin(labels, np.arange(len(classifier)))
    if not known.all():
        raise ValueError(
            f"labels must be numbers of classes, from 0 to {len(classifier) - 1}, "
            f"but label {known.argmin()} is {labels[known.argmin()]!s}"
        )
    return Measured(float(np.mean(answers == labels)), majority(labels, labels))


def shifted(features: np.ndarray, away: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Features (N, D), two directions (D,) → f − away + towards, all of length 1, float32 (N, D).

    The arithmetic of embeddings, "this picture, but blue": away is the feature of "a red ball",
    towards that of "a blue ball". Mikolov, Yih and Zweig: Linguistic Regularities in Continuous
    Space Word Representations, NAACL 2013.
    """
    features = check_features(features)
    pair = check_features([away, towards], "away and towards")
    if features.shape[1] != pair.shape[1]:
        raise ValueError(
            "features and the two directions must be equally wide, "
            f"but {features.shape[1]} and {pair.shape[1]} columns were given"
        )
    away, towards = directions(pair)
    return directions(directions(features) - away + towards)
