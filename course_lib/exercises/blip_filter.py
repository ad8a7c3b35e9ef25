"""Exercise of notebook 12_blip: which captions remain for the next training."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: the filter ------------------------------------------------------------------------


def kept_captions(web, written, least):
    """Which of two captions of each picture remain for the next training.

    web, written: (N,), the probability that the caption of the web, and the one that was written,
    matches its picture; least: what it must be above
    → (rows (M,) of the pictures, is it written? bool (M,)); the web's first
    """
    both = np.concatenate([web, written])
    keep = both > least
    rows = np.tile(np.arange(len(web)), 2)
    is_written = np.arange(len(both)) >= len(web)
    return rows[keep], is_written[keep]


def kept_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for n, least in [(9, 0.5), (12, 0.75), (8, 0.25)]:
        web, written = rng.uniform(size=(2, n))
        web[:2], written[:2] = (0.97, 0.98), (0.99, 0.02)  # both good; the web's alone
        web[2:4], written[2:4] = (0.01, 0.03), (0.96, 0.04)  # the written alone; none
        web[4] = written[5] = least  # not above it
        order = np.concatenate([[0], 1 + rng.permutation(n - 1)])
        cases.append({"web": web[order], "written": written[order], "least": least})
    return cases


def _of(n, web_keep, written_keep):
    keep = np.concatenate([web_keep, written_keep])
    return np.tile(np.arange(n), 2)[keep], (np.arange(2 * n) >= n)[keep]


def kept_wrong_way(web, written, least):
    return _of(len(web), web < least, written < least)


def kept_at_least(web, written, least):
    return _of(len(web), web >= least, written >= least)


def kept_least_written_out(web, written, least):
    return kept_captions(web, written, 0.5)


def kept_first_written_as_web(web, written, least):
    n = len(web)
    keep = np.concatenate([web, written]) > least
    return np.tile(np.arange(n), 2)[keep], (np.arange(2 * n) > n)[keep]


def kept_web_always(web, written, least):
    return _of(len(web), np.ones(len(web), bool), written > least)


def kept_written_always(web, written, least):
    return _of(len(web), web > least, np.ones(len(web), bool))


def kept_better_of_two(web, written, least):
    return _of(len(web), (web > least) & (web >= written), (written > least) & (written > web))


def kept_as_replacement(web, written, least):
    return _of(len(web), web > least, (written > least) & ~(web > least))


def kept_if_either(web, written, least):
    either = (web > least) | (written > least)
    return _of(len(web), either, either)


def kept_both_or_none(web, written, least):
    both = (web > least) & (written > least)
    return _of(len(web), both, both)


def kept_written_first(web, written, least):
    rows, flags = kept_captions(web, written, least)
    order = np.argsort(~flags, kind="stable")
    return rows[order], flags[order]


def kept_by_picture(web, written, least):
    rows, flags = kept_captions(web, written, least)
    order = np.argsort(rows, kind="stable")
    return rows[order], flags[order]


def kept_places(web, written, least):
    return np.flatnonzero(np.concatenate([web, written]) > least), kept_captions(
        web, written, least
    )[1]


def kept_flags_turned(web, written, least):
    rows, flags = kept_captions(web, written, least)
    return rows, ~flags


KEPT_CAPTIONS = Exercise(
    name="kept_captions",
    title="The filter: which captions remain?",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=7,
    prompt="""
Each of N pictures has two captions: one from the web, one that the captioner has written. The match
head has given each a probability that it fits its picture, `web` (N,) and `written` (N,). Each
caption is judged **for itself**, and kept if its probability is **above** `least`: a picture may
keep both, one, or none. Return the rows (numbers) of the pictures that the kept captions belong to,
those of the web first, in the order of the pictures, then the written ones; and for each True if it
was written.

By hand: `web` 0.9, 0.2, 0.7, `written` 0.8, 0.6, 0.1, `least` 0.5. Kept are the web's of 0 and 2,
the written ones of 0 and 1: rows **0, 2, 0, 1**, written **False, False, True, True**.
""",
    solution=kept_captions,
    cases=kept_cases,
    misconceptions=(
        Misconception(
            "threshold the wrong way round",
            kept_wrong_way,
            "You keep the captions that do *not* match: the noise, and nothing else.",
        ),
        Misconception(
            "equality kept",
            kept_at_least,
            "A caption whose probability is just `least` is kept in yours; *above* is asked for.",
        ),
        Misconception(
            "least written out",
            kept_least_written_out,
            "You have written 0.5 in place of the argument `least`: your filter cannot be made "
            "stricter or milder.",
        ),
        Misconception(
            "first written one as the web's",
            kept_first_written_as_web,
            "You mark the first written caption as one of the web. In the joined list the web has "
            "the places 0 to N − 1, so from place N on, *with* N, they are written: `>= N`.",
        ),
        Misconception(
            "web always kept",
            kept_web_always,
            "You keep every caption of the web. They are where the noise is: the filter judges "
            "both kinds.",
        ),
        Misconception(
            "written always kept",
            kept_written_always,
            "You keep every caption that was written. The captioner errs as well: the filter "
            "judges both kinds.",
        ),
        Misconception(
            "the better of two",
            kept_better_of_two,
            "You keep one caption a picture, the better one. If both match, both are kept: two "
            "ways of saying it.",
        ),
        Misconception(
            "only as a replacement",
            kept_as_replacement,
            "In yours a written caption is kept only if that of the web was thrown out. Each is "
            "judged for itself.",
        ),
        Misconception(
            "both if either matches",
            kept_if_either,
            "You keep both captions of a picture if *one* of them matches. Each is judged for "
            "itself.",
        ),
        Misconception(
            "both or none",
            kept_both_or_none,
            "You keep a picture's captions only if *both* match. Each is judged for itself.",
        ),
        Misconception(
            "written first",
            kept_written_first,
            "The written ones come first in yours; those of the web shall.",
        ),
        Misconception(
            "sorted by picture",
            kept_by_picture,
            "You go through the pictures one by one. First all of the web, then all written ones.",
        ),
        Misconception(
            "places in place of rows",
            kept_places,
            "Your numbers run up to 2N: they are places in the joined list. A written caption "
            "belongs to the picture N places before.",
        ),
        Misconception(
            "flags turned round",
            kept_flags_turned,
            "Your flags are True for the captions of the web.",
        ),
    ),
    hints=(
        "`np.concatenate([web, written]) > least` judges all 2N at once.",
        "`np.tile(np.arange(N), 2)` says which picture each of the 2N belongs to.",
    ),
)
