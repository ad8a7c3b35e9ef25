"""New exercises of the assignment `assistant`: dialogues, large pictures, and answers of people."""

from __future__ import annotations

import numpy as np

from course_lib.exercises.engine import Exercise, Misconception

# --- implement: what a dialogue of several turns teaches ------------------------------------------


def dialogue_targets(turns, places, end):
    """The tokens of a dialogue about one picture, and what is to be predicted at each of them.

    turns: pairs (speaker, tokens), speaker "user" or "assistant"; places: how many tokens the
    picture takes, in front of everything; end: the token that closes each answer
    → tokens, targets: whole numbers (T,) each; −200 stands for a place of the picture, −100 in the
    targets for "does not count"
    """
    tokens, counts = [-200] * places, [False] * places
    for speaker, words in turns:
        is_answer = speaker == "assistant"
        said = [*words, end] if is_answer else list(words)
        tokens += said
        counts += [is_answer] * len(said)
    targets = [
        token if is_counted else -100
        for token, is_counted in zip(tokens[1:], counts[1:], strict=True)
    ]
    return np.array(tokens), np.array([*targets, -100])


def dialogue_targets_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for places, count in [(3, 4), (5, 2), (2, 6)]:
        turns = []
        for i in range(count):
            words = rng.integers(10, 90, int(rng.integers(2, 5))).tolist()
            turns.append(["assistant" if i % 2 else "user", words])
        cases.append({"turns": turns, "places": places, "end": int(rng.integers(1, 9))})
    return cases


def shifted(tokens, counts):
    targets = [t if c else -100 for t, c in zip(tokens[1:], counts[1:], strict=True)]
    return np.array(tokens), np.array([*targets, -100])


def laid_out(turns, places, end, ends_count=True, only_last=False, all_end=False):
    """Tokens and which of them count, with the ways to get them wrong."""
    tokens, counts = [-200] * places, [False] * places
    for number, (speaker, words) in enumerate(turns):
        is_answer = speaker == "assistant"
        closes = is_answer or all_end
        is_counted = is_answer and (not only_last or number == len(turns) - 1)
        tokens += [*words, end] if closes else words
        counts += [is_counted] * len(words) + [is_counted and ends_count] * closes
    return tokens, counts


def dialogue_not_shifted(turns, places, end):
    tokens, counts = laid_out(turns, places, end)
    return np.array(tokens), np.where(counts, tokens, -100)


def dialogue_last_answer(turns, places, end):
    return shifted(*laid_out(turns, places, end, only_last=True))


def dialogue_end_left_out(turns, places, end):
    return shifted(*laid_out(turns, places, end, ends_count=False))


def dialogue_questions_too(turns, places, end):
    tokens, _ = laid_out(turns, places, end)
    return shifted(tokens, [token != -200 for token in tokens])


def dialogue_users_end(turns, places, end):
    return shifted(*laid_out(turns, places, end, all_end=True))


def dialogue_after_first_answer(turns, places, end):
    tokens, counts = laid_out(turns, places, end)
    begins = counts.index(True)
    return shifted(tokens, [i >= begins for i in range(len(tokens))])


def dialogue_mask_shifted_twice(turns, places, end):
    tokens, counts = laid_out(turns, places, end)
    targets = [t if c else -100 for t, c in zip(tokens[1:], counts[:-1], strict=True)]
    return np.array(tokens), np.array([*targets, -100])


DIALOGUE_TARGETS = Exercise(
    name="dialogue_targets",
    title="What a dialogue teaches",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=15,
    prompt="""
LLaVA is tuned on dialogues of **several** turns about one picture. Lay one out as a single row:

1. first `places` times −200, which is where the picture's tokens will go,
2. then the tokens of each turn, and behind each turn of the `"assistant"` the token `end`.

Return this row and the **targets**: `targets[i]` is the token that must be predicted *at* place i,
which is `tokens[i + 1]`, if that token belongs to an answer (**of any turn**, its `end` included),
and −100 elsewhere. The last target is −100. Both are arrays of whole numbers of one length.
""",
    solution=dialogue_targets,
    cases=dialogue_targets_cases,
    misconceptions=(
        Misconception(
            "not shifted",
            dialogue_not_shifted,
            "Your targets stand at their own tokens: the place before a token has to predict it.",
        ),
        Misconception(
            "last answer only",
            dialogue_last_answer,
            "Only your last answer counts: every answer of the dialogue is to be learned.",
        ),
        Misconception(
            "the end does not count",
            dialogue_end_left_out,
            "Your `end` does not count: a model that never learns it never stops.",
        ),
        Misconception(
            "questions count",
            dialogue_questions_too,
            "Your questions count too: the model is to answer, not to ask.",
        ),
        Misconception(
            "questions closed",
            dialogue_users_end,
            "You put `end` behind the user's turns as well: it closes answers only.",
        ),
        Misconception(
            "everything after the first answer",
            dialogue_after_first_answer,
            "From the first answer on, everything counts, later questions too.",
        ),
        Misconception(
            "mask not shifted",
            dialogue_mask_shifted_twice,
            "You shift the tokens, and not what says whether they count: each answer loses its "
            "first token, and a token of the next question is learned.",
        ),
    ),
    hints=(
        "Write a second row beside the tokens: does this token count?",
        "Shift both rows together: the target at i is token i + 1, if *that* one counts.",
    ),
    equivalent={"constant 17:68 True → False": "both rows have one length: nothing to notice"},
)

# --- implement: an answer among ten people's ------------------------------------------------------


def vqa_score(answer, people):
    """How well an answer agrees with those of several people, as VQA counts it.

    answer: text, people: list of texts → float 0 to 1
    """
    answer = answer.strip().lower()
    told = [text.strip().lower() for text in people]
    total = 0.0
    for i in range(len(told)):
        others = told[:i] + told[i + 1 :]
        total += min(1.0, others.count(answer) / 3)
    return total / len(told)


def vqa_score_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for same, count in [(3, 10), (2, 10), (1, 8), (4, 9), (0, 7), (5, 5)]:
        said = [str(word) for word in rng.permutation(["red", "blue", "two", "left"])]
        people = [said[0]] * same + [said[1 + int(i)] for i in rng.integers(0, 3, count - same)]
        forms = [people[i] for i in rng.permutation(count)]
        forms = [f" {text} " if rng.random() < 0.3 else text.title() for text in forms]
        answer = said[0].upper() if same % 2 else f"{said[0]} "
        cases.append({"answer": answer, "people": forms})
    more = int(rng.integers(6, 12))  # no multiple of the others, so that seeds differ
    cases.append({"answer": "a Ball", "people": ["a ball"] * 2 + ["the ball "] * more})
    return cases


def cleaned(texts):
    return [text.strip().lower() for text in texts]


def vqa_without_leaving_out(answer, people):
    return min(1.0, cleaned(people).count(answer.strip().lower()) / 3)


def vqa_share(answer, people):
    return cleaned(people).count(answer.strip().lower()) / len(people)


def vqa_as_typed(answer, people):
    total = 0.0
    for i in range(len(people)):
        total += min(1.0, (people[:i] + people[i + 1 :]).count(answer) / 3)
    return total / len(people)


def vqa_majority(answer, people):
    told = cleaned(people)
    return float(max(told, key=told.count) == answer.strip().lower())


def vqa_not_limited(answer, people):
    n = cleaned(people).count(answer.strip().lower())
    return n / 3 * (len(people) - 1) / len(people)


def vqa_any(answer, people):
    return float(answer.strip().lower() in cleaned(people))


VQA_SCORE = Exercise(
    name="vqa_score",
    title="Right, as far as people agree",
    kind="implement",
    difficulty=2,
    importance=4,
    minutes=10,
    prompt="""
Several people answered one question about a picture. VQA scores an answer like this: leave **one
person out** at a time, count how many of the *others* gave the same answer, and take `min(1, count
/ 3)`; the score is the mean over who was left out. Answers are compared without regard to capitals
and to spaces around them. Return a float.
""",
    solution=vqa_score,
    cases=vqa_score_cases,
    misconceptions=(
        Misconception(
            "nobody left out",
            vqa_without_leaving_out,
            "You count all people at once: each is left out in turn, and the mean is taken.",
        ),
        Misconception(
            "share of the people",
            vqa_share,
            "You return the share of people who agree: three of the others are enough for 1.",
        ),
        Misconception(
            "capitals and spaces count",
            vqa_as_typed,
            "You compare the texts as they were typed: capitals and spaces around them do not "
            "count.",
        ),
        Misconception(
            "majority",
            vqa_majority,
            "You ask whether it is the most frequent answer: three people are enough, whatever the "
            "others say.",
        ),
        Misconception(
            "no limit",
            vqa_not_limited,
            "Your score grows beyond 1: `min(1, …)` is missing.",
        ),
        Misconception(
            "one is enough",
            vqa_any,
            "You give full marks as soon as one person agrees.",
        ),
    ),
    hints=(
        "Three people of ten agree. Who is left out in the worst case, and in how many cases?",
        "`told[:i] + told[i + 1:]` are the others.",
    ),
)

# --- repair: how a large picture is cut into tiles ------------------------------------------------


def best_grid(height, width, tile, grids):
    """The grid of tiles in which a picture keeps the most pixels; of equal ones, the smaller grid.

    height, width: pixels; tile: side of a tile; grids: pairs (rows, columns) → one of the pairs
    """
    ranked = []
    for rows, columns in grids:
        scale = min(rows * tile / height, columns * tile / width)
        kept = min(int(height * scale) * int(width * scale), height * width)
        ranked.append((-kept, rows * columns, rows, columns))
    return min(ranked)[2:]


def best_grid_faulty(height, width, tile, grids):
    """The grid of tiles in which a picture keeps the most pixels; of equal ones, the smaller grid.

    height, width: pixels; tile: side of a tile; grids: pairs (rows, columns) → one of the pairs
    """
    ranked = []
    for rows, columns in grids:
        scale = max(rows * tile / height, columns * tile / width)
        kept = min(int(height * scale) * int(width * scale), height * width)
        ranked.append((-kept, rows * columns, rows, columns))
    return min(ranked)[2:]


GRIDS = ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (1, 4), (4, 1), (2, 3), (3, 2))


def best_grid_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for rows, columns in [(2.9, 1.7), (1.2, 3.8), (0.7, 0.4), (1.9, 1.9), (0.8, 1.6), (4.3, 3.4)]:
        for tile in (16, 24):
            near = rng.uniform(0.9, 1.02, 2)
            height, width = int(rows * near[0] * tile), int(columns * near[1] * tile)
            grids = [list(GRIDS[i]) for i in rng.permutation(len(GRIDS))]
            cases.append({"height": height, "width": width, "tile": tile, "grids": grids})
    return cases


def grid_exchanged(height, width, tile, grids):
    return best_grid(width, height, tile, grids)


def grid_largest(height, width, tile, grids):
    return max(grids, key=lambda grid: (grid[0] * grid[1], -grid[0]))


def grid_by_shape(height, width, tile, grids):
    return min(grids, key=lambda grid: (abs(grid[0] / grid[1] - height / width), grid[0]))


def grid_enlarged(height, width, tile, grids):
    def kept(grid):
        scale = min(grid[0] * tile / height, grid[1] * tile / width)
        return height * scale * width * scale

    return max(grids, key=lambda grid: (round(kept(grid), 6), -grid[0] * grid[1]))


def grid_large_of_equals(height, width, tile, grids):
    ranked = []
    for rows, columns in grids:
        scale = min(rows * tile / height, columns * tile / width)
        kept = min(int(height * scale) * int(width * scale), height * width)
        ranked.append((-kept, -rows * columns, rows, columns))
    return min(ranked)[2:]


def grid_stretched(height, width, tile, grids):
    ranked = []
    for rows, columns in grids:
        kept = min(rows * tile, height) * min(columns * tile, width)
        ranked.append((-kept, rows * columns, rows, columns))
    return min(ranked)[2:]


BEST_GRID = Exercise(
    name="best_grid",
    title="Repair: the tiles of a large picture",
    kind="repair",
    difficulty=3,
    importance=3,
    minutes=10,
    prompt="""
LLaVA looks at large pictures in tiles. Of the allowed grids, it chooses the one in which the
picture, scaled with **its proportions kept so that all of it fits in**, keeps the **most pixels**
(enlarging adds none); of equal ones, the grid with fewer tiles, and then the one with fewer rows.
This function always returns an allowed grid, and a wide picture ends up in a single tile. Find the
fault and mend it.
""",
    solution=best_grid,
    stub=best_grid_faulty,
    cases=best_grid_cases,
    misconceptions=(
        Misconception(
            "height for width",
            grid_exchanged,
            "You took the height for the width: rows of tiles stand on top of each other.",
        ),
        Misconception(
            "largest grid",
            grid_largest,
            "You take the largest grid: a small picture in it would pay for empty tiles.",
        ),
        Misconception(
            "by its shape only",
            grid_by_shape,
            "You compare proportions only: a large square picture belongs in 2 × 2 tiles, although "
            "1 × 1 has the same proportions.",
        ),
        Misconception(
            "enlarging counts",
            grid_enlarged,
            "You count the pixels of an enlarged picture: enlarging adds none, so at most "
            "height · width are kept.",
        ),
        Misconception(
            "larger one of equals",
            grid_large_of_equals,
            "Of grids that keep equally many pixels, you take the one with more tiles.",
        ),
        Misconception(
            "stretched",
            grid_stretched,
            "You cut or stretch each side by itself: one scale for both sides keeps the "
            "proportions.",
        ),
    ),
    hints=(
        "A picture twice as wide as high, one tile: by which factor is it scaled so that all fits?",
        "Two factors, one for each side: with which of them does the *whole* picture fit in?",
    ),
)

# --- predict: room in a context, with constants of one's own --------------------------------------


def tokens_of(side, patch, tiles, context, text):
    """Counted place by place."""
    one = len([(y, x) for y in range(0, side, patch) for x in range(0, side, patch)])
    pictures = (context - text) // one
    return {"one_view": one, "tiled": one * (tiles + 1), "pictures": pictures}


def context_room(variant):
    """The exercise, with a model that follows from the variant."""
    rng = np.random.default_rng(variant)
    patch = int(rng.choice([14, 16, 28]))
    side = patch * int(rng.choice([18, 20, 22, 26]))
    rows, columns = ((2, 2), (2, 3), (3, 3), (1, 4))[int(rng.integers(4))]
    context, text = int(rng.choice([4096, 8192])), int(rng.integers(5, 19)) * 100
    right = tokens_of(side, patch, rows * columns, context, text)
    one = right["one_view"]
    return Exercise(
        name="context_room",
        title="How many pictures have room?",
        kind="predict",
        difficulty=2,
        importance=4,
        minutes=5,
        prompt=f"""
A vision tower reads pictures of **{side} × {side}** pixels in patches of **{patch} × {patch}**. Its
class token is dropped, and each remaining token goes into a language model with room for
**{context} tokens**. Say

* `"one_view"`: how many tokens one view of a picture takes,
* `"tiled"`: how many a large picture takes that is read in **{rows} × {columns} tiles** of that
  size
  **and** once as a whole, made small,
* `"pictures"`: how many pictures of one view each have room beside **{text} tokens** of text.
""",
        solution=right,
        measure=lambda: tokens_of(side, patch, rows * columns, context, text),
        misconceptions=(
            Misconception(
                "class token kept",
                right | {"one_view": one + 1},
                "You count the class token: it is dropped.",
            ),
            Misconception(
                "patches along one side",
                right | {"one_view": side // patch},
                "You count the patches along one side: they fill a square.",
            ),
            Misconception(
                "the whole left out",
                right | {"tiled": one * rows * columns},
                "You left out the view of the whole picture.",
            ),
            Misconception(
                "no room for the text",
                right | {"pictures": context // one},
                "You forgot the text, which needs room too.",
            ),
            Misconception(
                "a part of a picture",
                right | {"pictures": (context - text) // one + 1},
                "You rounded up: the last picture would not have room.",
            ),
        ),
        hints=(
            "How many patches fit along one side?",
            "Take the text off the context first; then whole pictures only.",
        ),
    )


EXERCISES = (DIALOGUE_TARGETS, VQA_SCORE, BEST_GRID)


def varied(variant):
    """The exercises whose constants differ from student to student."""
    return (context_room(variant),)
