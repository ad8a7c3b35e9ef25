# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · Start here: the map, and how a lesson works
#
# **Goals.** After this lesson you
# 1. have seen, with your own picture, why comparing pixels is not enough;
# 2. know the way from SIFT to LLaVA: what each step could not do, and who fixed it;
# 3. have predicted, written, repaired and tested something, and met a check that tells you *which*
#    mistake you made.
#
# **Before:** a little Python and NumPy. No mathematics beyond a sum of squares.
# **Minutes:** 30 to read and play, 20 for the exercises.
#
# | budget | time on two CPU cores | memory |
# |---|---|---|
# | quick | 10 s | 710 MB |
# | full | the same: nothing is trained here | the same |
#
# **Licence:** text CC BY 4.0, code MIT; the photographs come with scikit-image and carry their own
# licences ([data/README.md](../data/README.md)).
#
# Run a cell with **Shift + Enter**. You can run this whole notebook without touching it: nothing
# breaks, and every exercise says *not attempted*.

# %%
import course_lib

course_lib.require("0.1")

import cv2
import numpy as np

from course_lib.blocks.images import to_gray, to_rgb
from course_lib.data.perturb import relight
from course_lib.data.photos import photo as photograph
from course_lib.exercises import start as ex
from course_lib.exercises.engine import check
from course_lib.show.images import figure, new_figure, pictures
from course_lib.show.palette import PALETTE, colour
from course_lib.show.photo_input import photo_input
from course_lib.show.widgets import live

# %% [markdown]
# ## 1 · The question
#
# You stand before a building and take a photograph. You walk on, turn your head, a cloud moves, and
# you take another. Your eye has no trouble: *that* window is the same window. How could a program
# know?
#
# The first idea everyone has: **cut out a patch, and look for the place where its pixels fit best.**
# Let us try it. `follow` cuts a patch from the middle of a photograph, turns, magnifies and relights
# the photograph, and then looks for the patch by its pixels.

# %%
R = 24  # the patch is 49 × 49 pixels


def follow(image, turned=0, magnified=1.0, stops=0.0):
    """→ changed picture, the patch's corners where it truly is, and where its pixels say it is."""
    H, W = image.shape[:2]
    x, y = W // 2, H // 3
    patch = to_gray(image)[y - R : y + R + 1, x - R : x + R + 1]
    M = cv2.getRotationMatrix2D((W / 2, H / 2), -turned, magnified)
    changed = relight(cv2.warpAffine(image, M, (W, H), borderMode=cv2.BORDER_REFLECT), stops)[0]
    misfit = cv2.matchTemplate(to_gray(changed), patch, cv2.TM_SQDIFF)
    square = R * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    true = np.add([x, y], square) @ M[:, :2].T + M[:, 2]
    return changed, true, np.add(cv2.minMaxLoc(misfit)[2], R) + square


# %% [markdown]
# In the picture below, the **blue** frame is where the patch truly went, and the **orange** one with
# the cross is where its pixels say it went. Before you move anything, say aloud: *how far can I turn
# it before it is lost? And how much brighter can it get?*

# %% [markdown]
# The bar above the picture changes the photograph: one of the course's, a file of your own, or your
# webcam (your picture stays on this machine). Sliders also answer to the arrow keys.

# %%
photo = photo_input("camera")


def draw(image, turned, magnified, stops):
    changed, true, found = follow(image, turned, magnified, stops)
    drawing = to_rgb(changed).copy()
    for corners, ink in ((true, "blue"), (found, "orange")):
        cv2.polylines(drawing, [np.rint(corners).astype(int)], True, colour(ink), 3, cv2.LINE_AA)
    middle = tuple(np.rint(found.mean(axis=0)).astype(int).tolist())
    cv2.drawMarker(drawing, middle, colour("orange"), cv2.MARKER_TILTED_CROSS, 20, 3)
    off = np.linalg.norm(true.mean(axis=0) - found.mean(axis=0))
    return drawing, f"{'Found' if off <= 3 else 'Lost'}: {off:.0f} pixels off."


# %%
live(
    draw,
    image=photo,
    turned=(0, 90, 1, 25),
    magnified=(0.7, 1.5, 0.05, 1.0),
    stops=(-1.0, 1.0, 0.1, 0.0),
    alt="The photograph turned by 25 degrees, with a blue frame where the patch truly is and an "
    "orange one, elsewhere, where a comparison of pixels finds it.",
    caption="A patch followed by its pixels: blue = where it is, orange = where its pixels say it is",
)

# %% [markdown]
# Now measure instead of looking. We turn, magnify and relight step by step, on four photographs, and
# ask how often the patch is found within 3 pixels. And because a headline number alone says nothing,
# a **control** stands beside it: a program that guesses a random place.


# %%
def found_share(**change):
    hits = []
    for name in ("camera", "astronaut", "coffee", "brick"):
        _, true, found = follow(photograph(name), **change)
        hits.append(np.linalg.norm(true.mean(axis=0) - found.mean(axis=0)) <= 3)
    return np.mean(hits)


# %%
print("changed by        found")
for line in ("turned 0", "turned 5", "turned 15", "turned 30", "magnified 1.1", "magnified 1.3",
             "stops 0.3", "stops 1.0"):  # fmt: skip
    change, amount = line.split()
    print(f"{line:16s}  {found_share(**{change: float(amount)}):.0%}")
print(f"control: a random place is right in {np.pi * 3**2 / 512**2:.3%} of all tries")

# %% [markdown]
# A patch of raw pixels knows *where it was*, *how large it was* and *how bright it was*, and it
# expects all three to stay. Everything in this course is a better answer to one question:
#
# > **What should we keep of a picture, so that what means the same looks the same?**
#
# ## 2 · The map: from SIFT to LLaVA
#
# Nobody answered that at once. Each step answered the complaint that the one before had left, and
# left a new one. Read the table from top to bottom as a conversation that took twenty-four years.
#
# | | idea in one line | what it still could not do | … so |
# |---|---|---|---|
# | **SIFT** (Lowe 1999, 2004) | describe gradients around a blob, at the blob's own size and direction | it costs many blurs | SURF |
# | **SURF** (Bay et al. 2006) | the same with sums of boxes | 64 floats a point: much to store and compare | BRIEF |
# | **BRIEF** (Calonder et al. 2010) | 256 yes/no questions about pairs of pixels | it finds the same *corner*, never "a cup" | learning |
# | **SimCLR** (Chen et al. 2020) | learn: two views of a picture agree, all others differ | needs many others in each batch | DINO |
# | **DINO** (Caron et al. 2021) | a student agrees with a slow copy of itself | sees objects, yet cannot fill in what is hidden | MAE |
# | **MAE** (He et al. 2021) | hide three quarters of the picture, paint them back | knows no word | CLIP |
# | **CLIP** (Radford et al. 2021) | a picture and its caption agree | judges a sentence, cannot write one | BLIP |
# | **BLIP** (Li et al. 2022) | match, and also write captions | one caption is no conversation | LLaVA |
# | **LLaVA** (Liu et al. 2023) | show a language model the picture as if it were words | … that is where you come in | |
#
# The first chapter, lessons 01 to 04, is SIFT, SURF, BRIEF and how to match with them. You will use
# what it teaches all the way to the end: *invariance*, *distance*, *nearest neighbours*, and the habit
# of putting a control beside every number. Lessons 05 and 06 then build what all the others stand on: a
# world in which everything is known, and a network that can learn. (The rest is not in this release yet.)

# %% [markdown]
# The same as a line to travel along; you are at the first station.

# %%
CHAPTERS = {
    "designed by hand": (("SIFT 2004", "SURF 2006", "BRIEF 2010"), "blue", "^"),
    "learned from pictures": (("SimCLR 2020", "DINO 2021", "MAE 2021"), "vermillion", "s"),
    "pictures meet words": (("CLIP 2021", "BLIP 2022", "LLaVA 2023"), "green", "o"),
}
fig = new_figure(8.5, 2.6)
ax = fig.subplots()
ax.plot(np.arange(9), np.repeat([2, 1, 0], 3), color="lightgrey", linewidth=6, zorder=0)
for row, (steps, ink, marker) in enumerate(CHAPTERS.values()):
    for i, step in enumerate(steps):
        ax.plot(3 * row + i, 2 - row, marker, color=PALETTE[ink], markersize=11)
        ax.text(3 * row + i, 2.22 - row, step.replace(" ", "\n"), ha="center")
ax.set(yticks=[2, 1, 0], yticklabels=CHAPTERS, xticks=[], ylim=(-0.3, 2.9), xlim=(-0.5, 8.6))
figure(fig, alt="A line through nine stations on three floors, from SIFT 2004 down to LLaVA 2023.")

# %% [markdown]
# ## 3 · The first answers, on your picture
#
# Instead of one patch in the middle, let the program choose points that it can **find again**. Here
# are the three detectors of this chapter on one photograph. Each circle is as large as the
# neighbourhood it describes; the spoke is the direction in which it points. What does each of them
# like?

# %%
from course_lib.features import brief, sift, surf
from course_lib.show.matches import draw_keypoints

DETECTORS = {"SIFT": sift.detect, "SURF": surf.detect, "BRIEF": brief.detect}
seen = {}  # so that a slider does not detect again


def draw_points(image, detector, strongest):
    key = detector, image.tobytes()
    if key not in seen:
        seen[key] = DETECTORS[detector](image)
    points = seen[key].strongest(strongest)
    return draw_keypoints(image, points), f"{len(points)} of {len(seen[key])} points."


# %%
live(
    draw_points,
    image=photo,
    detector=list(DETECTORS),
    strongest=(10, 500, 10, 120),
    alt="The photograph with the 120 strongest SIFT keypoints as circles of different sizes.",
    caption="Where three detectors look",
)

# %% [markdown]
# SIFT and SURF like **blobs** of all sizes; the corners that BRIEF is used with sit on sharp tips and
# have one size only. Whether that matters can be measured.
#
# ### How this course measures
#
# One protocol serves every method from the first lesson to the last. Here it is: change the picture
# in a way that we know exactly, and count the share of points **found again** within 3 pixels of
# where they must be. The count is one to one, so a crowd of points cannot claim one hit many times.

# %%
from course_lib.evaluate import repeatability as protocol
from course_lib.show.source import source

source(protocol.repeatability)

# %% [markdown]
# **Predict before you run:** which of the five changes (turn, zoom, blur, light, noise) hurts most?
# Is anybody worse than the control, which scatters as many points at random? (Measured are the
# points that each method can also describe: BRIEF drops those too near the border.)

# %%
from course_lib.show.curves import panels

METHODS = {
    "SIFT": sift.detect_and_describe,
    "SURF": surf.detect_and_describe,
    "BRIEF": brief.detect_and_describe,
}
curves = protocol.standard_curves(photograph("camera"), METHODS, long_side=320, n=200)
panels(
    {name: (curve.axis, curve.repeatability) for name, curve in curves.items()},
    xlabel={name: curve.xlabel for name, curve in curves.items()},
    chance={name: curve.chance for name, curve in curves.items()},
    ylabel="found again",
    alt="Five panels of repeatability, for turning, zooming, blurring, relighting and noise: SIFT, SURF "
    "and BRIEF's corners, each far above the dotted grey line of random points.",
)

# %%
for name, curve in curves.items():
    worst = {m: f"{y.min():.2f}" for m, y in curve.repeatability.items()}
    print(f"{name:8s} worst of its levels: {worst}, control at most {curve.chance.max():.2f}")

# %% [markdown]
# The answer: SIFT suffers most from noise (0.43 are left), SURF from the zoom and from the light
# (0.51), BRIEF's corners from the zoom (0.43); and nobody comes near the control's 0.07.
#
# Keep this picture in mind: the lessons explain every line in it, and what to do about the falls.
# A curve is only as good as the dotted grey one beside it: the more points, the more of them are
# "found again" by luck.
#
# ### The tools one uses at work
#
# At work nobody writes SIFT again; one calls **OpenCV**. Its tools run beside ours in every lesson.
# Here is the task from the beginning: turn the photograph by 30°, describe, match, and count the
# matches that are right.

# %%
from course_lib.blocks.keypoints import Keypoints
from course_lib.data.perturb import turn

gray = to_gray(photograph("camera")).astype(np.uint8)
turned, H = turn(gray, np.radians(30))
fast, bits = cv2.FastFeatureDetector_create(), cv2.xfeatures2d.BriefDescriptorExtractor_create()


def opencv_brief(image, mask):
    return bits.compute(image, sorted(fast.detect(image), key=lambda k: -k.response)[:1000])


tools = {
    "cv2.SIFT": (cv2.SIFT_create().detectAndCompute, cv2.NORM_L2),
    "cv2.ORB": (cv2.ORB_create(1000).detectAndCompute, cv2.NORM_HAMMING),
    "FAST + cv2 BRIEF": (opencv_brief, cv2.NORM_HAMMING),
}

# %%
rng = np.random.default_rng(0)
for name, (describe, norm) in tools.items():
    (ka, da), (kb, db) = describe(gray, None), describe(turned, None)
    found = cv2.BFMatcher(norm, crossCheck=True).match(da, db)
    index = np.array([(m.queryIdx, m.trainIdx) for m in found])
    ka, kb = Keypoints.from_cv2(ka), Keypoints.from_cv2(kb)
    share = protocol.right_matches(ka, kb, index, H).mean()
    index[:, 1] = rng.permutation(index[:, 1])
    control = protocol.right_matches(ka, kb, index, H).mean()
    print(
        f"{name:17s} {share:4.0%} of the matches are right, shuffled (the control) {control:4.1%}"
    )

# %% [markdown]
# SIFT and ORB turn with the picture; of plain BRIEF's matches only one in nine is right. Why, and what
# to do about it, is lesson 03.
#
# ## 4 · How a lesson works: five minutes, four exercises
#
# Lessons are made of four moves: **predict** before you run, **write** the idea, **repair** what looks
# right and is not, and **write the test** that a wrong program cannot pass. Directly under each stub
# stands its check. A check has four answers: *not attempted*, *error*, *wrong* and *right*; and when
# it says *wrong*, it tries to say **which mistake** it was.
#
# ### Predict
#
# The distance that `follow` used was a sum of squared differences. Think first, then replace `None`
# by your answer; there is no harm in being wrong.

# %%
ex.SURVIVES.box()

# %% tags=["exercise:survives"]
survives = None  # one of "brightness", "contrast", "noise", "none of them"

# %%
check(ex.SURVIVES, survives)

# %% [markdown]
# Sure of it? `check(ex.SURVIVES, survives, confidence=70)` notes how sure you were (in percent), and
# `calibration()` at the end of a lesson compares that with how often you were right.
#
# ### Write
#
# First by hand. Two patches of 2 × 3 pixels:
#
# $$a = \begin{pmatrix} 3 & 10 & 7 \\ 0 & 2 & 5 \end{pmatrix}, \quad
# b = \begin{pmatrix} 5 & 10 & 4 \\ 1 & 2 & 5 \end{pmatrix}, \quad
# d = (3-5)^2 + (7-4)^2 + (0-1)^2 = 4 + 9 + 1 = 14$$
#
# Pictures hold **uint8**: whole numbers from 0 to 255. What does NumPy make of 3 − 5?

# %%
a = np.array([[3, 10, 7], [0, 2, 5]], np.uint8)
b = np.array([[5, 10, 4], [1, 2, 5]], np.uint8)
a - b

# %% [markdown]
# There is no −2 among the numbers from 0 to 255; it wraps around to 254, without a word. This is the
# most common silent mistake in all of computer vision. Now write the distance so that it gives 14.

# %%
ex.PATCH_DISTANCE.box()


# %% tags=["exercise:patch_distance"]
def patch_distance(a, b):
    """Sum of squared differences of two grey patches.

    a, b: uint8 (H, W) → float
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.PATCH_DISTANCE, patch_distance)

# %%
ex.PATCH_DISTANCE.expected()

# %% [markdown]
# Stuck? Ask for a hint with `ex.PATCH_DISTANCE.hint(1)`, then `hint(2)` and `hint(3)`; each says more.
# In the lessons that follow, the same hints also lie folded under the check: click to open one.
# `ex.PATCH_DISTANCE.show_solution()` opens after a right answer or three attempts.
#
# **What a diagnosis looks like.** Here is somebody who forgot about uint8. The next cell does what
# `check` does, in its three steps: make the cases, run the answer on them (`probe`), and compare what
# came back (`assess`). The one that compares never sees the program, only its numbers: that is why
# the same exercise can later be graded safely.

# %%
from course_lib.exercises.engine import assess, probe


def forgot_uint8(a, b):
    return float(((a - b) ** 2).sum())


cases = ex.PATCH_DISTANCE.cases_for(seed=1)
outputs = probe(ex.PATCH_DISTANCE, forgot_uint8, cases)
assess(ex.PATCH_DISTANCE, outputs, seed=1)

# %% [markdown]
# ### Repair
#
# The next function cuts the patch around a point. It runs, it gives the right shape, and it is wrong:
# the worst kind. Mend it.

# %%
ex.CUT_PATCH.box()


# %% tags=["exercise:cut_patch"]
def cut_patch(image, x, y, radius):
    """Cut the square patch around the point (x, y), x to the right and y down.

    image: (H, W), radius: whole number → (2·radius + 1, 2·radius + 1)
    """
    first = slice(x - radius, x + radius + 1)
    second = slice(y - radius, y + radius + 1)
    return image[first, second]


# %%
check(ex.CUT_PATCH, cut_patch)

# %% [markdown]
# A picture says more than numbers: here your `cut_patch` cuts around the point that is marked. As
# long as the fault is in, the two do not show the same thing.

# %%
image = photograph("coffee")
marked = cv2.drawMarker(image.copy(), (250, 150), colour("orange"), cv2.MARKER_TILTED_CROSS, 40, 6)
pictures(
    [marked, cut_patch(image, 250, 150, 60)],
    titles=["the point (250, 150)", "the patch that cut_patch gives"],
    alt="A cup of coffee with a cross at the point (250, 150), and beside it the patch that cut_patch "
    "cuts for that point.",
)

# %% [markdown]
# ### Write the test
#
# You have met a function that was wrong without a sound. The cure is a test. Yours will be run on a
# few right functions and on many wrong ones, and it must tell them apart. The question it answers is
# the one from the beginning: a patch with zero mean and unit norm looks the same in dim light and
# bright.

# %%
ex.TEST_NORMALISE.box()


# %% tags=["exercise:test_normalise"]
def test_normalise(normalise):
    """Assert what a right `normalise` does, and nothing that a right one might not do.

    normalise: a function that takes a float patch (H, W) and returns one of the same shape
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.TEST_NORMALISE, test_normalise)

# %% [markdown]
# ## 5 · Break it: what normalising buys, and what it costs
#
# With normalised patches, `cv2.TM_CCOEFF_NORMED` finds the same patch in other light. Does it also
# survive a turn? The first row is raw pixels, the second normalised ones.


# %%
def share_found(method, **change):
    hits = []
    for name in ("camera", "astronaut", "coffee", "brick"):
        image = photograph(name)
        (H, W), (changed, true, _) = image.shape[:2], follow(image, **change)
        x, y = W // 2, H // 3
        patch = to_gray(image)[y - R : y + R + 1, x - R : x + R + 1]
        fit = cv2.matchTemplate(to_gray(changed), patch, method)
        best = cv2.minMaxLoc(fit)[2 if method == cv2.TM_SQDIFF else 3]
        hits.append(np.linalg.norm(np.add(best, R) - true.mean(axis=0)) <= 3)
    return np.mean(hits)


for name, method in (("raw", cv2.TM_SQDIFF), ("normalised", cv2.TM_CCOEFF_NORMED)):
    light, turned = share_found(method, stops=-1.0), share_found(method, turned=30)
    print(f"{name:10s}  found in half the light: {light:.0%}   after a turn by 30°: {turned:.0%}")

# %% [markdown]
# Light is solved with one line. The turn is not, nor is the size: no single number can be subtracted
# to undo them. What could a *patch itself* tell us about its size and its direction?
#
# That is the question **[01 · SIFT](01_sift.ipynb)** opens with.
#
# ## 6 · Recap

# %%
from course_lib.exercises.quiz import Quiz

Quiz(ex.QUIZ)

# %%
from course_lib.exercises.engine import calibration, summary

summary(ex)

# %%
calibration()

# %% [markdown]
# ## 7 · Is this machine well?
#
# One line a check. If something is wrong, the line says what to do; the whole output is what a bug
# report needs. In a terminal: `make doctor`.

# %% tags=["nbval-ignore-output"]
# not compared: it describes the machine it runs on
from course_lib.doctor import examine

print(*examine(), sep="\n")
