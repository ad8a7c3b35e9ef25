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
# # 05 · One world: a table on which everything is known
#
# **Goals.** After this lesson you
# 1. can say how one scene becomes a picture, a depth map, masks, boxes, sentences, a sound, a film, a second
#    view and voxels, and write the camera, the boxes and the correspondence yourself;
# 2. know how random scenes are made so that the *same* scene comes back anywhere, and why some pairs of colour
#    and shape are held out;
# 3. have measured what pixels, SIFT and a random network call *similar*, and seen that it is not what you do.
#
# **Before.** Lessons 00, 01 and 04. A little of vectors and matrices.
#
# **Minutes.** Reading 45; the seven exercises about 60 more.
#
# **In a lecture of 50 minutes:** teach *The question*, section 1 with its live picture, sections 4 (two views)
# and 5, and *Measure*; leave sections 2 and 3 and the exercises to the reader.
#
# | budget | time | peak memory |
# |---|---|---|
# | quick | 14 s | 1400 MB |
# | full | the same: nothing is trained here | the same |
#
# **Licence.** Text CC BY 4.0, code MIT. All scenes are computed here; the motorcycle is Middlebury Stereo 2014,
# inside scikit-image ([data/README.md](../data/README.md)).

# %%
import course_lib

course_lib.require("0.1")

from dataclasses import replace

import cv2
import numpy as np

from course_lib.blocks.images import to_tensor
from course_lib.data.photos import stereo_motorcycle
from course_lib.features import bag_of_words
from course_lib.world import camera, draws
from course_lib.world.render import render
from course_lib.world.scene import COLOURS, MATERIALS, SHAPES, SIZES, TABLES, Recipe, edit, sample

# %%
from course_lib.exercises import world as ex
from course_lib.exercises.engine import check, summary
from course_lib.exercises.quiz import Quiz
from course_lib.show.images import picture, pictures
from course_lib.show.palette import colour, heat
from course_lib.show.source import source
from course_lib.show.tiles import enlarge, row, shrink
from course_lib.show.widgets import live, scrubber

# %% [markdown]
# ## The question that was left open
#
# With SIFT, matching and RANSAC you can say *this corner here is that corner there*. You cannot say *this is a
# cone*, *there are two of them*, *the red one stands behind*. Whoever wants to find out which method can say
# such things needs pictures in which the answer is **known**: not to one careful person, but exactly, for a
# hundred thousand pictures, and for every question one may think of next month.
#
# Photographs cannot give that. So this course has a world of its own: a table with solids on it. From here to
# the last lesson every method is shown the *same* scenes, and the truth is never in doubt. Real photographs
# stand beside it all the way, so that nobody mistakes the one for the other.

# %%
start = sample(3, recipe=Recipe(objects=(2, 2)))


def paint_masks(pictures, b=0):
    """Instances in the course's colours, each in its box."""
    inks = [colour(name) for name in ("vermillion", "blue", "green", "purple", "orange", "sky")]
    painted = np.full((*pictures.instance.shape[1:], 3), 235, np.uint8)
    for i, ink in enumerate(inks):
        painted[pictures.masks[b, i]] = ink
        if pictures.visible[b, i]:
            x0, y0, x1, y1 = np.rint(pictures.boxes_xyxy[b, i] + 0.5).astype(int).tolist()
            cv2.rectangle(painted, (x0, y0), (x1 - 1, y1 - 1), (0, 0, 0), 1)
    return painted


# %% [markdown]
# Four of the things that are known of a scene: how it looks, how far away each pixel is, which way each surface
# faces, and which pixel belongs to which object. The sliders are the **factors**: everything in the picture
# follows from numbers like these, and nothing else. Which sliders change the picture and leave the masks alone?

# %%
EVERYTHING = ("rgb", "depth", "normals", "instance")


def show_all(scenes, size=128):
    seen = render(scenes, size, EVERYTHING)
    depth = heat(-seen.depth[0], -0.55, -0.2)
    normals = np.rint(127.5 - 127.5 * seen.normals[0] * [-1, 1, 1]).astype(np.uint8)
    panels = [seen.rgb[0], depth, normals, paint_masks(seen)]
    titles = ["picture", "depth", "normals", "masks, boxes"]
    return row([enlarge(panel, 230) for panel in panels], titles=titles), seen


# %% [markdown]
# One step of the sliders: the first object is edited, then table, light and camera.


# %%
def modalities(shape, colour, material, size, yaw, lying, table, light, height, walk, tilt):
    changed = edit(start, 0, shape=shape, colour=colour, material=material, size=size,
                   yaw=np.radians(yaw), lying=lying)  # fmt: skip
    changed = replace(changed, table=np.array([TABLES.index(table)]),
                      light_azimuth=np.radians([light]), light_elevation=np.radians([height]),
                      azimuth=np.radians([walk]), elevation=np.radians([tilt]))  # fmt: skip
    drawn, seen = show_all(changed)
    return drawn, f"pixels of the first object: {seen.visible[0, 0]} of {128 * 128}"


# %%
live(
    modalities,
    shape=list(SHAPES[1:] + SHAPES[:1]), colour=list(COLOURS), material=list(MATERIALS), size=list(SIZES)[::-1],
    yaw=(0, 355, 5, 30), lying=False, table=list(TABLES),
    light=(0, 355, 5, 60), height=(20, 85, 5, 50), walk=(-180, 180, 5, 0), tilt=(20, 65, 5, 40),
    caption="one scene, four ways to know it; light: where it comes from and how high, walk and tilt: the camera",
    alt="A red cube and a striped one on a wooden table, and the same as a map of depth, as normals in pastel colours, and as "
    "two coloured masks in their boxes.",
)  # fmt: skip

# %% [markdown]
# Light and cloth change (almost) every pixel and *no* mask; walking round the table changes everything, and the
# scene not at all. That is the whole difficulty of seeing, in one picture.
#
# ## 1 · How it becomes a picture
#
# The camera is a **pinhole**. In its own frame x points right, y down and z forward; a point $(X, Y, Z)$ lands at
#
# $$x = f\,\frac{X}{Z} + c, \qquad y = f\,\frac{Y}{Z} + c .$$
#
# **By hand.** The picture has 64 pixels, so $c = (64 - 1)/2 = 31.5$, and shows 40° from edge to edge, so
# $f = 32 / \tan 20° = 87.9$ pixels. A point 3 cm to the right of the axis and 30 cm away lands at
# $87.9 \cdot 0.03 / 0.30 + 31.5 = 40.3$. At twice the distance: 35.9. Twice as far is half as far from the middle.

# %%
f, c = 32 / camera.HALF_VIEW, (64 - 1) / 2
print([round(float(f * 0.03 / z + c), 1) for z in (0.30, 0.60)])

# %% [markdown]
# The library's own source: a turn and a shift bring points from the table into the camera's frame, and then
# there is nothing left but the division.

# %%
source(camera.to_camera)

# %%
source(camera.project)

# %% [markdown]
# The picture itself is made the other way round: through every pixel goes a **ray**, and for each solid there is
# a formula for where the ray meets it (a quadratic for the sphere, one of degree four for the torus). The nearest
# hit wins; light, shadow, stripes and shine are computed there. Nothing is drawn by a graphics card, so the same
# numbers come out everywhere.
#
# ### Write it

# %%
ex.TO_PIXELS.box()


# %% tags=["exercise:to_pixels"]
def to_pixels(points, size, view):
    """Where a pinhole camera shows points that are given in its own frame.

    points: (N, 3), metres, x right, y down, z forward; size: pixels of the square picture;
    view: the field of view from edge to edge, radians
    → (N, 2), pixels (x, y), centres at whole numbers
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.TO_PIXELS, to_pixels)

# %%
ex.TO_PIXELS.expected()

# %%
ex.TO_PIXELS.hint(1)

# %% [markdown]
# Every exercise has more hints (`ex.TO_PIXELS.hint(2)`), its expected output, and a solution,
# `ex.TO_PIXELS.show_solution()`, which opens after a right answer or three attempts.

# %% [markdown]
# ### Repair it
#
# Masks come from the same rays: each pixel belongs to the object that its ray meets first. A box is what the mask
# spans. This one has been in use for months:

# %%
ex.BOX_OF_MASK.box()


# %% tags=["exercise:box_of_mask"]
def box_of_mask(mask):
    """The tight box around what is True.

    mask: bool (H, W) → float (4,): x0, y0, x1, y1, the outer borders of the outermost pixels
    """
    columns, rows = np.nonzero(mask)
    x0, x1 = columns.min() - 0.5, columns.max() + 0.5
    y0, y1 = rows.min() - 0.5, rows.max() + 0.5
    return np.array([x0, y0, x1, y1])


# %%
check(ex.BOX_OF_MASK, box_of_mask)

# %% [markdown]
# ## 2 · How it becomes *random*, and stays the same
#
# Here are 32 scenes. Every one is made of numbers that were drawn at random; and every one will come out again,
# pixel by pixel, on your neighbour's machine.

# %%
sheet = render(sample(range(32)), 112).rgb
picture(
    np.concatenate(
        [np.concatenate(list(line), axis=1) for line in sheet.reshape(4, 8, 112, 112, 3)]
    ),
    alt="Thirty-two scenes with one to six spheres, cubes, cylinders, cones and tori, matte, shiny and "
    "striped, on wood, checks, marble and linen.",
    width=896,
)

# %% [markdown]
# How? A generator of random numbers is a *queue*: who comes first gets the first number. Scene 17 would then
# depend on the sixteen before it, and on whether you asked for 32 scenes or for 1000. So the world has no queue.
# A number is computed from **what it is for**: seed, split, index of the scene, and the name of the factor, mixed
# thoroughly.

# %%
source(draws.Draws.uniform)

# %%
alone, among = sample([17]), sample(range(1000))[17]
same = all(
    np.array_equal(a, b) for a, b in zip(vars(alone).values(), vars(among).values(), strict=True)
)
print("scene 17 alone and among a thousand:", "the same" if same else "DIFFERENT")
equal = np.array_equal(render(alone).rgb[0], render(sample(range(12, 20))).rgb[5])
print("its picture, drawn alone and among eight:", "the same" if equal else "DIFFERENT")

# %%
ex.SCENE_NUMBERS.box()


# %% tags=["exercise:scene_numbers"]
def scene_numbers(seed, indices):
    """One random number in [0, 1) for each scene: it depends on seed and index, on nothing else.

    seed: int; indices: a list of ints → float array (len(indices),)
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.SCENE_NUMBERS, scene_numbers)

# %% [markdown]
# ### What training never shows
#
# The name of the **split** goes into the mixture too, so training, validation and test share no scene. And one
# split is special: eight of the forty pairs of colour and shape **never occur in training**. A method that has
# learned *red* and *sphere* should know a red sphere when it meets one. Whether it does is asked again and again
# in this course.

# %%
grid = np.zeros((len(COLOURS), len(SHAPES)), int)
many = sample(range(4000))
np.add.at(grid, (many.colour[many.there], many.shape[many.there]), 1)
print(f"{'':8}" + "".join(f"{shape:>10}" for shape in SHAPES))
for name, line in zip(COLOURS, grid, strict=True):
    print(f"{name:8}" + "".join(f"{count or 'never':>10}" for count in line))

# %% [markdown]
# ## 3 · How it becomes words
#
# From the same scene graph come captions, questions with answers, expressions that point at one object, and whole
# dialogues. One grammar makes them all, and it never says what is not so, nor what one could argue about: *left*
# is only said of two objects that are clearly apart, as the camera sees them.

# %%
from textwrap import fill

from course_lib.world.captions import captions, noisy_captions
from course_lib.world.dialogues import dialogues
from course_lib.world.questions import questions
from course_lib.world.referring import referring

told = sample([40], recipe=Recipe(objects=(3, 3)))
for style in ("short", "relational", "paragraph"):
    print(fill(f"{style:11} {captions(told, [40], style=style)[0].text}", 96))
for question in questions(told, [40], per_scene=6)[0]:
    print(f"  {question.kind:10} {question.text} {question.answer.upper()}")
picture(
    render(told, 160).rgb[0],
    width=240,
    alt="The scene with three objects that the sentences describe.",
)

# %% [markdown]
# A *referring expression* names one object so that nobody can confuse it with another. The box is the object that
# the sentence means:

# %%
pointed = render(told, 192, ("rgb", "instance"))
shown, titles = [], []
for phrase in referring(told, [40])[0]:
    drawn = pointed.rgb[0].copy()
    x0, y0, x1, y1 = np.rint(pointed.boxes_xyxy[0, phrase.place] + 0.5).astype(int).tolist()
    cv2.rectangle(drawn, (x0, y0), (x1 - 1, y1 - 1), colour("orange"), 2)
    shown, titles = [*shown, drawn], [*titles, phrase.text]
pictures(
    shown, titles, alt="Three times the scene; each time another object is framed, named above it."
)

# %% [markdown]
# And a dialogue, as lesson 13 will need them; *it* means what was spoken of just before. People who write captions
# for the web are careless, so there is a careless annotator, too: what he did wrong is recorded.

# %%
for turn in dialogues(told, [40])[0]:
    print("–", turn.user, "\n " + fill(turn.assistant, 90, subsequent_indent="  "))
for noisy in noisy_captions(sample(range(4)), range(4), rate=1.0):
    print(f"{noisy.kind:11} was: {noisy.clean.text}\n{'':11} now: {noisy.caption.text}")

# %% [markdown]
# Every answer is computed from the scene. But who says that the *program* which computes it is right? The tests of
# this course have a second one, written apart, that reads the sentences themselves; both must agree on thousands.
# Write such a test:

# %%
ex.TEST_LEFT_OF.box()


# %% tags=["exercise:test_left_of"]
def test_left_of(left_of):
    """Assert what a right `left_of` does, and nothing that a right one might not do.

    left_of: a function of a, b (x, y in metres on the table) and the camera's azimuth
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.TEST_LEFT_OF, test_left_of)

# %% [markdown]
# ## 4 · Two views, a film, a sound, a solid
#
# **Two views.** In lesson 04 you matched two photographs and hoped. Here every pixel of the left picture knows
# where it is in the right one, *because* its depth is known: back along the ray to the point on the table, over to
# the other camera, and projected again. Move the cross. Where does it say that the point cannot be seen?

# %%
from course_lib.world.two_views import stereo, two_views

pair = two_views(sample([8], recipe=Recipe(objects=(3, 3))), 256, turn=0.6)


def follow(x, y):
    left, right = pair.a.rgb[0].copy(), pair.b.rgb[0].copy()
    there = np.rint(pair.correspondence[0, y, x]).astype(int).tolist()
    seen = bool(pair.seen_in_both[0, y, x])
    cv2.drawMarker(left, (x, y), (255, 255, 255), cv2.MARKER_CROSS, 24, 5)
    cv2.drawMarker(left, (x, y), colour("vermillion"), cv2.MARKER_CROSS, 24, 2)
    if seen:
        cv2.drawMarker(right, there, (255, 255, 255), cv2.MARKER_CROSS, 24, 5)
        cv2.drawMarker(right, there, colour("vermillion"), cv2.MARKER_CROSS, 24, 2)
    return row([left, right]), f"there: {there}" if seen else "hidden or out of the picture there"


# %%
live(
    follow,
    x=(0, 255, 3, 150),
    y=(0, 255, 3, 120),
    caption="the same point of the table in two cameras",
    alt="Two views of three objects on a table; a cross on the left picture and a cross on the same point "
    "in the right one.",
)

# %%
ex.SEEN_FROM_THERE.box()


# %% tags=["exercise:seen_from_there"]
def seen_from_there(xy, depth, focal, centre, R, t):
    """Where pixels of one camera appear in another one.

    xy: (N, 2) pixels, depth: (N,) metres; both cameras have the same focal length and centre, in
    pixels; a point p of the first camera's frame is R @ p + t in the second's → (N, 2) pixels
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.SEEN_FROM_THERE, seen_from_there)

# %% [markdown]
# If the second camera stands exactly *beside* the first, all that is left of this is **disparity**: a point moves
# $f \cdot \text{baseline} / Z$ pixels to the left. That is what the makers of the Middlebury pictures *measured*,
# with structured light, for the motorcycle of lesson 04. Computed and measured, side by side:

# %%
computed = stereo(sample([8], recipe=Recipe(objects=(3, 3))), 256, baseline=0.03)
real = stereo_motorcycle()
measured = np.nan_to_num(real.disparity, nan=0.0)
maps = [heat(computed.disparity[0]), shrink(heat(measured), 384)]
pictures(
    [computed.a.rgb[0], maps[0], shrink(real.left, 384), maps[1]],
    ["a scene of the world", "its disparity, computed", "a workshop", "its disparity, measured"],
    alt="A scene and its map of disparity, near things bright; a photograph of a motorcycle and its "
    "measured disparity, with dark holes where nothing could be measured.",
)  # fmt: skip

# %% [markdown]
# **A film.** Things slide, roll and spin, the camera walks. The **optical flow** says for every pixel where what it
# shows will be in the next frame; the colour is the direction, and white stands still.

# %%
from course_lib.world.motion import MOTIONS
from course_lib.world.video import film

video = film(sample([21], recipe=Recipe(objects=(3, 3))), frames=12, size=192, orbit=False)


def flow_colours(flow):
    angle, length = np.arctan2(flow[..., 1], flow[..., 0]), np.linalg.norm(flow, axis=-1)
    hsv = np.zeros((*length.shape, 3), np.uint8)
    hsv[..., 0] = np.rint((angle % (2 * np.pi)) * 90 / np.pi) % 180
    hsv[..., 1], hsv[..., 2] = np.clip(length / 6, 0, 1) * 255, 255
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


frames = [row([a, flow_colours(f)]) for a, f in zip(video.rgb[0], video.flow[0], strict=False)]
moves = [MOTIONS[k] for k in video.motion.kind[0] if k >= 0]
scrubber(frames, alt="Left a table with three moving objects; right the same as colours of motion: each "
         "object that moves is a patch of one hue, the table is white.",
         caption=f"what they do: {', '.join(moves)}")  # fmt: skip

# %% [markdown]
# **A sound.** Strike an object: what it is decides how it rings. Small things ring high, shiny ones (think of glaze)
# long, matte ones are soon silent. The picture is a *mel spectrogram*: time to the right, pitch upwards, which is
# how networks like to hear.

# %%
from IPython.display import Audio

from course_lib.world.sound import impact, log_mel, mel_spectrogram

bell = edit(
    sample([0], recipe=Recipe(objects=(1, 1))), 0, shape="torus", material="shiny", size="small"
)
thud = edit(bell, 0, shape="cube", material="matte", size="large")
waves = np.concatenate([impact(each) for each in (bell, thud)])
mel = log_mel(mel_spectrogram(waves))
pictures(
    [enlarge(heat(m[::-1]), 380) for m in mel],
    ["small shiny torus", "large matte cube"],
    alt="Two spectrograms: the small shiny torus rings in several high lines for a second, the large matte "
    "cube is a short low smear.",
)

# %%
Audio(np.concatenate([waves[0], waves[1]]), rate=16_000)

# %% [markdown]
# **A solid.** And the whole scene as cubes of 8 mm, seen from above, from the front and from the side: for each
# column the object that one meets first.

# %%
from course_lib.world.voxels import voxels

blocks = voxels(told, 48)[0]
inks = np.array([(245, 245, 245), *(colour(n) for n in ("vermillion", "blue", "green"))], np.uint8)


def first_met(grid, axis):
    filled = grid >= 0
    first = np.take_along_axis(grid, np.expand_dims(filled.argmax(axis), axis), axis).squeeze(axis)
    return inks[np.where(filled.any(axis), first, -1) + 1]


views = [first_met(blocks[:, :, ::-1], 2), first_met(blocks, 1), first_met(blocks, 0)]
pictures([enlarge(v.transpose(1, 0, 2)[::-1], 240) for v in views], ["from above", "from the front", "from the left"],
         alt="Three silhouettes of the three objects, made of small squares in three colours.")  # fmt: skip

# %% [markdown]
# ## 5 · What is *similar*?
#
# Now the question for which all this was built. **Predict, then run.**

# %%
ex.LOUDEST.box()

# %% tags=["exercise:loudest"]
loudest = None  # one of "the light", "the camera", "the table", "the objects"

# %%
check(ex.LOUDEST, loudest)

# %% [markdown]
# Here is a scene, and five pictures that each share something with it. Order them in your head, from most similar to
# least. Then see how three machines order them: one compares **pixels**, one the **bag of SIFT words** (how often
# each kind of gradient patch occurs), and one the outputs of a **network with random weights**. The last row is a
# stand-in for you: the share of facts about the objects that agree.

# %%
import torch

from course_lib.backbones.resnet import ResNet

TWO = Recipe(objects=(2, 2))
base, other = sample(range(150), recipe=TWO), sample(range(150), seed=1, recipe=TWO)
SURROUND = [f for f in vars(base) if f.startswith(("table", "light", "bright", "warm"))]
CHANGES = {
    "other light": replace(base, light_azimuth=base.light_azimuth + 2, warmth=-base.warmth),
    "other cloth": replace(base, table=(base.table + 1) % 4, table_tone=1 - base.table_tone),
    "camera moved": replace(base, azimuth=base.azimuth + np.radians(25)),
    "other colours": replace(base, colour=np.where(base.there, (base.colour + 3) % 8, -1)),
    "other objects": replace(other, **{name: getattr(base, name) for name in SURROUND}),
}
seen = {name: render(scenes, 64).rgb for name, scenes in {"the scene": base, **CHANGES}.items()}

# %% [markdown]
# Each method turns a picture into a vector; similarity is the cosine of two vectors, after the mean of all pictures
# has been taken away (else everything is similar to everything).


# %%
def facts(scenes):
    """One number for each thing one could say of the two objects, by place."""
    one_hot = [
        np.eye(9)[getattr(scenes, f)[:, :2]] for f in ("shape", "colour", "material", "size")
    ]
    return np.concatenate(one_hot, axis=2).reshape(len(scenes), -1)


# %%
torch.manual_seed(0)
network = ResNet().eval()
words = bag_of_words.fit(np.concatenate(list(seen.values())))
with torch.no_grad():
    vectors = {
        "pixels": {k: v.reshape(len(v), -1) / 255 for k, v in seen.items()},
        "SIFT words": {k: bag_of_words.describe(v, words) for k, v in seen.items()},
        "random network": {k: network(to_tensor(v)).numpy() for k, v in seen.items()},
        "a person": {k: facts(s) for k, s in {"the scene": base, **CHANGES}.items()},
    }


# %% [markdown]
# Then the five changes are put in order, for each scene and each method:


# %%
def cosine(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


similar = {}
for method, found in vectors.items():
    mean = np.concatenate(list(found.values())).mean(axis=0)
    similar[method] = {
        name: cosine(found["the scene"] - mean, found[name] - mean) for name in CHANGES
    }


def rank(scene, method):
    order = sorted(CHANGES, key=lambda name: -similar[method][name][scene])
    shown = [enlarge(seen[name][scene], 150) for name in ["the scene", *order]]
    titles = ["the scene", *(f"{name} {similar[method][name][scene]:.2f}" for name in order)]
    return row(shown, titles=titles), "most similar first"


# %%
live(
    rank,
    scene=(0, 149, 1, 7),
    method=list(similar),
    caption="five changes of one scene, ordered by what a method calls similar",
    alt="A scene and five changed copies, ordered by the similarity of their pixels: other colours and other "
    "light come first, the other cloth fourth, other objects last.",
)

# %% [markdown]
# ### Measure it, with controls
#
# Looking at one scene persuades, but proves nothing. The question as a number: *same objects on another cloth* against
# *other objects on the same cloth*: which of the two does a method call more similar to the scene? Right is the first.
# Guessing gives 0.5; and as a **negative control** we deal out the pictures wrongly, each compared with the changes
# of another scene: there nobody can be better than chance.


# %%
def prefers_objects(found, order):
    first = found["the scene"]
    mean = np.concatenate(list(found.values())).mean(axis=0)
    cloth, objects = (cosine(first - mean, found[name][order] - mean)
                      for name in ("other cloth", "other objects"))  # fmt: skip
    return (cloth > objects).mean()


shuffled = np.roll(np.arange(150), 17)
for method, found in vectors.items():
    share, control = prefers_objects(found, np.arange(150)), prefers_objects(found, shuffled)
    print(f"{method:15} prefers the same objects: {share:4.0%}   dealt out wrongly: {control:4.0%}")

# %% [markdown]
# A random network (31 %) is a connoisseur of tablecloths: it prefers *other objects on the same cloth* two times out of
# three. SIFT words cannot decide (49 %): half of their words lie on the cloth. Pixels are a little better than chance
# (61 %), but for a poor reason: the same objects stand in the same *place*. Let them stand elsewhere, or let the camera
# walk, and that is gone. And dealt out wrongly all are near 50 %, as they must be: with 150 scenes, a difference of 4
# percentage points either way is luck.

# %% [markdown]
# ### Break it: what makes it hard?
#
# Take the nuisances away one by one, and even pixels begin to see shapes.

# %%
ex.NUISANCES.box()

# %% tags=["exercise:nuisances"]
nuisances = [None, None, None, None]

# %%
check(ex.NUISANCES, nuisances)

# %% [markdown]
# ## What the world is not
#
# * **Not real.** Five solids, eight colours, four cloths: a method that works here may fail on your photographs, and
#   every lesson from here on shows both. What fails *here*, where everything is simple and known, will hardly work
#   there.
# * **Not without bias.** Objects keep a distance, so that none hides another, and stand near the middle.
# * **Not physics.** Shadows are soft by rule, not by a lamp of some size; nothing reflects anything else; sounds
#   are sums of six tones.
# * **Small on purpose.** 64 × 64 pixels, so that a laptop trains on it. Colour is easy there; shape takes a network
#   minutes. Nearer objects make that better, a larger network hardly does.
#
# ## Recap
#
# | part | what for |
# |---|---|
# | pinhole, depth | from metres to pixels, and back |
# | numbers by name, not from a queue | the same scene everywhere |
# | splits, and pairs that are held out | test what was never seen, and what was never *combined* |
# | one graph, many modalities | every later lesson, on the same scenes |
# | controls | to know when a number means nothing |
#
# Questions from this lesson, and from the ones before:

# %%
Quiz(ex.QUIZ)

# %% [markdown]
# And where you stand:

# %%
summary(ex)

# %% [markdown]
# ## The question left open
#
# Pixels, SIFT words and a random network: none of the three puts the same objects together when the cloth changes.
# What you do without thinking, to see *things*, is in none of them. It must be learned; and before it can be learned
# there must be a machine that can. **Which machine, and how will we know what it has learned?** That is
# [lesson 06](06_vit.ipynb).
