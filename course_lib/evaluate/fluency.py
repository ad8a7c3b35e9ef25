"""Captions: how many runs of words they have in common with the true ones, BLEU and CIDEr.

Both count n-grams, runs of one to four words. BLEU-4 is the geometric mean of four precisions over
all captions together, times a penalty for captions that are too short. CIDEr compares a caption
with each true one of the same picture: the cosine of their n-grams, each weighted by how few
pictures have it, mean over the lengths and the true captions. What is computed here, and printed as
CIDEr by nearly everybody, is CIDEr-D: no n-gram counts more often than it is true, and another
length costs. At most it is 10, for the one true caption itself, of four words or more; tables of
papers show 100 times the value, so that their 133 is 1.33 here.

Neither knows what is meant. "a small red cube" in place of "a small blue cube" has most of its
words right and is wrong; hence course_lib.evaluate.captioning, beside which these stand. The
weights of CIDEr are those of the pictures given: values of different sets cannot be compared.

Papineni, Roukos, Ward and Zhu: BLEU, ACL 2002. Vedantam, Zitnick and Parikh: CIDEr, CVPR 2015.
Reference  the evaluation of COCO captions (Chen et al. 2015): BLEU and CIDEr
Differs
  * Its tokenizer is a program in Java; here words are letters and digits, in lower case, and no
    mark counts, which is the same for plain sentences without apostrophes and hyphens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fluency:
    """What n captions have in common with the true ones.

    bleu1           BLEU of single words, 0 to 1
    bleu4           BLEU of one to four words, 0 to 1; of captions below four words about 0
    cider           CIDEr-D, 0 to 10
    shuffled_bleu4  `bleu4` of the same captions, each dealt to another picture
    shuffled_cider  `cider` of these
    """

    bleu1: float
    bleu4: float
    cider: float
    shuffled_bleu4: float
    shuffled_cider: float
    n: int

    def __str__(self) -> str:
        return (
            f"BLEU-4 {self.bleu4:.3f} (shuffled {self.shuffled_bleu4:.3f}), "
            f"CIDEr {self.cider:.3f} (shuffled {self.shuffled_cider:.3f}), {self.n} captions"
        )


def fluency(
    predicted: Sequence[str], truth: Sequence[str | Sequence[str]], seed: int = 0
) -> Fluency:
    """N captions and for each the true one, or several true ones, (N,) → Fluency.

    Raises ValueError for fewer than 2, if the two are not equally many, or for a picture without
    a true caption of at least one word, and TypeError for a single text in place of a list.
    """
    if isinstance(predicted, str) or isinstance(truth, str):
        raise TypeError("two lists of captions are expected, but a single text was given")
    if len(predicted) != len(truth) or len(truth) < 2:
        raise ValueError(
            "as many captions as true ones are expected, two or more, but "
            f"{len(predicted)} and {len(truth)} were given"
        )
    said = [words_of(text) for text in predicted]
    true = [[words_of(text) for text in ([t] if isinstance(t, str) else t)] for t in truth]
    for number, texts in enumerate(true):
        if not texts or "" in texts:
            raise ValueError(f"every true caption must have a word, but picture {number} has none")
    bleu1, bleu4, cider = _measured(said, true)
    order = np.random.default_rng(seed).permutation(len(true))
    dealt = [said[order[k - 1]] for k in range(len(order))]
    _, shuffled_bleu4, shuffled_cider = _measured(dealt, [true[k] for k in order])
    return Fluency(bleu1, bleu4, cider, shuffled_bleu4, shuffled_cider, len(truth))


def words_of(text: str) -> str:
    """A text → its words in lower case, one space between them, and no marks."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _measured(said: list[str], true: list[list[str]]) -> tuple[float, float, float]:
    """BLEU-1, BLEU-4 and CIDEr-D of texts whose words stand between spaces."""
    from aac_metrics.functional.bleu import bleu  # takes seconds
    from aac_metrics.functional.cider_d import cider_d

    one, four = (bleu(said, true, return_all_scores=False, n=n) for n in (1, 4))
    return float(one), float(four), float(cider_d(said, true, return_all_scores=False))
