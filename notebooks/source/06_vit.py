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
# # 06 · The vision transformer, and how to measure what a network knows
#
# **Goals.** After this lesson you
# 1. can cut a picture into tokens, and compute attention by hand and in four lines of code;
# 2. have followed one picture through a network, layer by layer, and know what the position table is for;
# 3. can say what an encoder knows, with a linear probe and with nearest neighbours, each beside a random
#    network and shuffled labels: the measurement that every later lesson repeats.
#
# **Before.** Lesson 05 (the world); what a layer and a gradient are. No earlier transformer.
#
# **Minutes.** Reading 50; the eight exercises about 65 more.
#
# **In a lecture of 50 minutes:** teach sections 1, 2, 4, 5 and 7 with their live pictures; leave *By hand*,
# *Break it* and the exercises to the reader.
#
# | budget | time | peak memory |
# |---|---|---|
# | quick | 70 s | 2100 MB |
# | full | 3,000 steps on 20,000 scenes in place of 80 on 2,000; not timed: no accelerator was at hand | – |
#
# **Licence.** Text CC BY 4.0, code MIT. Scenes are computed; photographs come with scikit-image
# ([data/README.md](../data/README.md)).

# %%
import course_lib

course_lib.require("0.1")

from copy import deepcopy

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# %%
from course_lib.backbones import vit
from course_lib.blocks import attention, patches, positions, transformer
from course_lib.blocks.device import by_budget, device
from course_lib.blocks.images import to_tensor
from course_lib.data.datasets import photo_crops
from course_lib.features import bag_of_words
from course_lib.world.render import render
from course_lib.world.scene import COLOURS, MATERIALS, SHAPES, SIZES, Recipe, sample

# %% [markdown]
# Those were bricks, a paper and the world; what follows is the protocol that trains and measures, the
# exercises, and what draws.

# %%
from course_lib.evaluate.extract import extract
from course_lib.evaluate.few_shot import few_shot
from course_lib.evaluate.linear_probe import linear_probe
from course_lib.evaluate.passport import Passport
from course_lib.evaluate.scores import measure
from course_lib.exercises import vit as ex
from course_lib.exercises.engine import check, summary
from course_lib.exercises.quiz import Quiz

# %%
from course_lib.show.attention import heat_over, tokens_as_colours
from course_lib.show.curves import curves
from course_lib.show.embeddings import scatter
from course_lib.show.images import pictures
from course_lib.show.palette import heat
from course_lib.show.passport import passport_picture
from course_lib.show.photo_input import photo_input
from course_lib.show.source import source
from course_lib.show.tiles import enlarge, row, shrink
from course_lib.show.training import live_loss
from course_lib.show.widgets import live
from course_lib.train.fit import fit
from course_lib.train.minibatches import minibatches

# %% [markdown]
# ## 1 · The question that was left open
#
# In lesson 05, pixels called two photographs different because the *tablecloth* had changed, and SIFT
# found the same corner but no notion of "a cone". Something must turn a picture into numbers in which
# *what it shows* is near at hand. From here on, that something is **learned**, and in most of what is to
# come it is one and the same machine: the **vision transformer** (Dosovitskiy et al. 2021, *An image is
# worth 16 × 16 words*).
#
# Its first step is rude. It cuts the picture into squares and treats them as a list, as a sentence is a
# list of words. Take a photograph, cut it, and shuffle the list. At which size of the squares can *you*
# no longer say what it is?

# %%
photo_bar = photo_input("astronaut")


def jigsaw(image, patch, shuffled):
    image = shrink(image, 384)
    h, w = (side // patch for side in image.shape[:2])
    cells = image[: h * patch, : w * patch].reshape(h, patch, w, patch, 3).transpose(0, 2, 1, 3, 4)
    cells = cells.reshape(h * w, patch, patch, 3).copy()
    if shuffled:
        cells = cells[np.random.default_rng(0).permutation(h * w)]
    cells[:, 0], cells[:, :, 0] = 255, 255
    joined = cells.reshape(h, w, patch, patch, 3).transpose(0, 2, 1, 3, 4)
    return joined.reshape(h * patch, w * patch, 3), f"{h} × {w} = {h * w} words"


# %%
live(
    jigsaw,
    image=photo_bar,
    patch=(8, 96, 8, 32),
    shuffled=True,
    caption="a picture as a list of squares; untick “shuffled” to put it together",
    alt="A portrait cut into squares of 32 pixels, which lie in a random order: skin, orange suit and "
    "flag can be told, the face cannot.",
)

# %% [markdown]
# Keep this picture in mind. A transformer *without further help* sees exactly this heap, whether shuffled
# or not. And yet it recognises surprisingly much: so do you, by the colours alone.
#
# The lesson follows the road of a picture through the machine: **cut** it into words (2) · let the words
# **look at each other** (3) · say **where** each word stood (4) · **train** it (5) · **look inside** (6) ·
# and **measure** what it knows (7).

# %% [markdown]
# ## 2 · Cut: a picture becomes a list of words
#
# A picture of $H \times W$ pixels in 3 colours becomes $N = HW / p^2$ patches of $p \times p$ pixels. Each
# is written as one row of $3p^2$ numbers, and a single matrix $E$ turns it into a **token** of width $D$:
#
# $$t_i = E\,x_i + b, \qquad x_i \in \mathbb{R}^{3p^2}, \quad t_i \in \mathbb{R}^{D}.$$
#
# **By hand.** A grey picture of 4 × 4 pixels, patches of 2 × 2:
#
# | 0 | 1 | 2 | 3 |
# |---|---|---|---|
# | **4** | **5** | **6** | **7** |
# | **8** | **9** | **10** | **11** |
# | **12** | **13** | **14** | **15** |
#
# The first patch is 0, 1, 4, 5; the second 2, 3, 6, 7. In memory the numbers lie in the order 0, 1, 2, 3, …:
# a plain `reshape` gives 0, 1, 2, 3 as the first "patch", which is a *strip*. That slip runs without an
# error and has cost many a student an evening.

# %%
tiny = torch.arange(16.0).reshape(1, 1, 4, 4)
print("patches:", patches.patchify(tiny, 2)[0].int().tolist())
print("strips: ", tiny.reshape(4, 4).int().tolist())

# %% [markdown]
# The library's own source. `PatchEmbed` does the cutting and the matrix $E$ in one go: a convolution whose
# stride is its size is exactly one matrix for every patch.

# %%
source(patches.patchify)

# %%
source(patches.PatchEmbed)

# %% [markdown]
# ### Write it

# %%
ex.CUT_PATCHES.box()


# %% tags=["exercise:cut_patches"]
def cut_patches(image, p):
    """Cut a picture into squares of p × p pixels, row by row from the top left, each one a row.

    image: (H, W, C), H and W multiples of p → (H/p · W/p, p · p · C)
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.CUT_PATCHES, cut_patches)

# %%
ex.CUT_PATCHES.expected()

# %%
ex.CUT_PATCHES.hint(1)

# %% [markdown]
# Every exercise has more hints (`ex.CUT_PATCHES.hint(2)`), and a solution, `ex.CUT_PATCHES.show_solution()`, which
# opens after a right answer or three attempts.
#
# How small should the squares be? Think about the price first.

# %%
ex.PATCH_COST.box()

# %% tags=["exercise:patch_cost"]
patch_cost = {"tokens": None, "scores": None, "mlp": None}

# %%
check(ex.PATCH_COST, patch_cost)

# %% [markdown]
# ## 3 · Look: attention
#
# Tokens now exchange what they know. Each token asks a **question** $q$, offers a **key** $k$ by which it
# can be found, and a **value** $v$ that it hands over; all three are linear maps of the token. How well the
# key of token $j$ fits the question of token $i$ is a scalar product; softmax makes weights of it; and what
# token $i$ receives is a weighted mean:
#
# $$\text{out}_i = \sum_j a_{ij}\, v_j, \qquad
# a_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt d)}{\sum_{m} \exp(q_i \cdot k_m / \sqrt d)}.$$
#
# **By hand.** One question $q = (2, 0)$, three keys $(1, 0), (0, 1), (1, 1)$, values 10, 20, 60, $d = 2$.
# The scores are $2/\sqrt2, 0, 2/\sqrt2$, so 1.41, 0, 1.41; their exponentials 4.11, 1, 4.11 sum to 9.23; the
# weights are 0.446, 0.108, 0.446; the answer is $4.46 + 2.17 + 26.75 = 33.4$.

# %%
q = torch.tensor([[2.0, 0.0]])
k = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
v = torch.tensor([[10.0], [20.0], [60.0]])
weights = attention.attention_weights(q, k)
print(
    "weights:",
    [round(w, 3) for w in weights[0].tolist()],
    " answer:",
    f"{(weights @ v).item():.1f}",
)

# %% [markdown]
# Now turn the question yourself. The arrow is $q$; the three keys are points; the area of each disc is the
# weight it gets. **Predict before you move:** where must $q$ point for all three weights to be equal? What
# happens to the weights when $q$ gets *longer*?


# %%
def place(point):
    return int(150 + 60 * point[0]), int(150 - 60 * point[1])


def ask(angle, length):
    q = length * torch.tensor([[np.cos(np.radians(angle)), np.sin(np.radians(angle))]]).float()
    weights = attention.attention_weights(q, k)[0]
    canvas = np.full((300, 300, 3), 255, np.uint8)
    for key, weight in zip(k.tolist(), weights.tolist(), strict=True):
        cv2.circle(canvas, place(key), int(4 + 46 * weight**0.5), (86, 180, 233), -1, cv2.LINE_AA)
        cv2.putText(
            canvas, f"{weight:.2f}", place(key), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1
        )
    cv2.arrowedLine(canvas, (150, 150), place(q[0].tolist()), (213, 94, 0), 2, cv2.LINE_AA)
    return canvas, f"answer: {(weights @ v[:, 0]).item():.1f}"


# %%
live(
    ask,
    angle=(-180, 180, 5, 0),
    length=(0.0, 2.4, 0.1, 2.0),
    caption="arrow: the question · discs: the keys, their area the weight",
    alt="An arrow to the right and three discs: those at (1, 0) and (1, 1) are large with weight 0.45, "
    "the one at (0, 1) is small with 0.11.",
)

# %% [markdown]
# At length 0 every key fits equally badly and all get a third. The longer the question, the harder the
# choice: in a wide network scalar products grow like $\sqrt d$ by themselves, and without the division the
# softmax would look at one token only before it has learned anything.
#
# Here is the library's version, which also knows a mask: who may look at whom.

# %%
source(attention.attention_weights)

# %% [markdown]
# ### Write it

# %%
ex.ATTEND.box()


# %% tags=["exercise:attend"]
def attend(q, k, v):
    """Scaled dot-product attention of one head.

    q: (T, d), k: (S, d), v: (S, e), floats → (T, e)
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.ATTEND, attend)

# %%
ex.ATTEND.expected()

# %% [markdown]
# ### Several heads
#
# One weighted mean is one kind of looking. So each token's $D$ numbers are dealt out to several **heads**,
# each attends on its own, and the answers are put side by side again. Dealing out is a reshape and a
# transpose; here is a colleague's, which has been training for a week now.

# %%
ex.SPLIT_HEADS.box()


# %% tags=["exercise:split_heads"]
def split_heads(x, heads):
    """Give each head its own share of every token's numbers.

    x: (T, D), D a multiple of `heads` → (heads, T, D / heads)
    """
    T, D = x.shape
    return x.reshape(heads, T, D // heads)


# %%
check(ex.SPLIT_HEADS, split_heads)

# %% [markdown]
# ### The block
#
# A **block** is attention, which moves information *between* tokens, and a small MLP, which thinks about
# each token *by itself*. Each is wrapped in the same two things: a norm in front, so that the numbers keep
# their size, and a **skip**: what comes out is *added* to what went in.
#
# $$x \leftarrow x + \text{attention}(\text{norm}(x)), \qquad x \leftarrow x + \text{MLP}(\text{norm}(x))$$

# %%
source(transformer.Block, lines=None)

# %% [markdown]
# And the whole network is little more than that block, repeated. Read `tokens` and `forward`.

# %%
source(vit.ViT)

# %% [markdown]
# ## 4 · Where: the position table
#
# **Predict, then run.**

# %%
ex.SHUFFLED.box()

# %% tags=["exercise:shuffled"]
shuffled = None  # one of "the same", "shuffled alike", "a little different", "quite different"

# %%
check(ex.SHUFFLED, shuffled)

# %% [markdown]
# Now see it. The same untrained network, once with its position table and once with zeros in its place,
# reads a scene and its jigsaw; we compare the mean of the output tokens.

# %%
torch.manual_seed(0)
config = vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4, class_token=False)
untrained = vit.ViT(config).eval()
scene = to_tensor(render(sample(0, recipe=Recipe(objects=(3, 3))), 64).rgb)
words = patches.patchify(scene, 8)
mixed = patches.unpatchify(words[:, torch.randperm(64)], (8, 8))
with torch.no_grad():
    for name, table in {
        "with": untrained.positions.clone(),
        "without": torch.zeros(64, 96),
    }.items():
        untrained.positions.copy_(50 * table)
        apart = (untrained(scene) - untrained(mixed)).abs().max()
        print(f"{name:8s} positions: features of picture and jigsaw differ: {apart > 1e-3}")
untrained = vit.ViT(config).eval()

# %% [markdown]
# (The table was made 50 times as large for this: at the start of training it is small, and the network has
# to learn to use it.)
#
# So a table of $N$ vectors is **added** to the tokens: the same patch at another place becomes another
# token. The table may be learned, or computed: sines and cosines of the row and of the column in many
# wavelengths, so that near places have similar vectors. Choose a place, and see which others the table
# calls similar:

# %%
table = positions.sincos_2d((16, 16), 128)
likeness = (F.normalize(table, dim=1) @ F.normalize(table, dim=1).T).numpy()


def near(x, y):
    fields = heat(likeness[y * 16 + x].reshape(16, 16), 0, 1)
    left = enlarge(fields, 320)
    waves = enlarge(heat(table[:, ::4].numpy(), -1, 1)[:, :32], 320)
    return row([left, waves], height=320, titles=["similarity to this place", "the table itself"])


# %%
live(
    near,
    x=(0, 15, 1, 4),
    y=(0, 15, 1, 6),
    caption="bright: the table calls these places similar to yours",
    alt="Left a 16 by 16 field, bright around column 4 and row 6 and along its row and column; right the "
    "table itself, wavy stripes of many wavelengths.",
)

# %% [markdown]
# The bright cross is no accident: half of the numbers know only the row and half only the column. And if a
# picture of another size comes, the table is a small picture itself, and is *resized* like one
# (`positions.resize`).
#
# ## 5 · Train: the same network, with labels
#
# To see what the machine can do, we first train it **with a teacher**: one object on a table, and the
# network has to name its shape, colour, material and size. (From the next lesson on there is no teacher.)
# The photographs are the world's; none of the test scenes, and none of the held-out pairs of colour and
# shape, occurs in training.

# %%
FACTORS = {"shape": SHAPES, "colour": COLOURS, "material": MATERIALS, "size": SIZES}
ONE = Recipe(objects=(1, 1))


def photographs(n, split):
    scenes = sample(range(n), split=split, recipe=ONE)
    labels = np.stack([getattr(scenes, name)[:, 0] for name in FACTORS], axis=1)
    return render(scenes, 64).rgb, labels


train_images, train_labels = photographs(by_budget(quick=2000, full=20_000), "train")
test_images, test_labels = photographs(1000, "test")

# %%
said = [
    [words[i] for words, i in zip(FACTORS.values(), line, strict=True)] for line in train_labels[:8]
]
pictures(
    list(train_images[:8]),
    [f"{size} {colour}\n{material} {shape}" for shape, colour, material, size in said],
    width=8.0,
    alt="Eight photographs of one object each on wood, checks, marble and linen, with their four labels.",
)

# %% [markdown]
# Four questions, four sets of logits, one loss: the sum of four cross-entropies. Before any learning it must
# be about $\ln 5 + \ln 8 + \ln 3 + \ln 2 = 5.48$; if the first loss is far from that, something is wrong.


# %%
class Named(nn.Module):
    """An encoder and one linear layer that names all four factors."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.dim, sum(map(len, FACTORS.values())))


def train_step(model, batch, progress):
    images, labels = batch
    logits = model.head(model.encoder(images.permute(0, 3, 1, 2).float() / 255)).float()
    parts = logits.split([len(words) for words in FACTORS.values()], dim=1)
    return {"loss": sum(F.cross_entropy(part, labels[:, i]) for i, part in enumerate(parts))}


# %% [markdown]
# The next cell trains, **a little**: about 15 s on two CPU cores (quick). You may
# stop it with ■: the model keeps what it has learned.

# %% tags=["nbval-ignore-output"]
# not compared: a loss depends on the number of threads in its last digits
steps = by_budget(quick=80, full=3000)
torch.manual_seed(0)
model = Named(vit.ViT(config)).to(device())
batches = minibatches(
    torch.from_numpy(train_images), torch.from_numpy(train_labels), batch_size=128
)
watch = live_loss(
    steps, alt="The loss falls from about 5.5, first quickly, then more and more slowly."
)
history = fit(model, batches, steps, train_step=train_step, lr=2e-3, warmup=10, watch=watch)
a_little = model.encoder.eval()

# %% tags=["nbval-ignore-output"]
# not compared: see above
first, last = history["loss"][0], history["loss"][-10:].mean()
print(f"first loss {first:.2f} (ln 5 + ln 8 + ln 3 + ln 2 = 5.48), last {last:.2f}")

# %% [markdown]
# Colour is learned in seconds; **shape** takes long. Most of a transformer's first minutes go into finding out
# what a convolution knows by construction: that pixels beside each other belong together. So here is the same
# network after more steps than one has patience for in a lecture. Its card says how it was made; the command
# makes it again.

# %%
from course_lib.doctor import ROOT
from course_lib.train.checkpoints import load_weights

supervised = vit.ViT(config).to(device()).eval()
card = load_weights(supervised, ROOT / "data" / "checkpoints" / "vit_supervised.safetensors")
for key in ("command", "data", "steps", "batch_size", "hardware", "seconds"):
    print(f"{key:11} {card[key]}")

# %% [markdown]
# ## 6 · Look inside: one picture walks through the network
#
# The tokens have 96 numbers each; a screen has three colours. We take the three directions in which the
# tokens of **all layers together** vary most, and paint them red, green and blue: tokens of similar colour
# are similar tokens. Watch how the network, block by block, stops seeing *paint* and begins to see *things*.
# Compare it with the untrained one.

# %%
look_recipe = Recipe(objects=(2, 3))
looked_at = render(sample(range(12), split="test", recipe=look_recipe), 64).rgb
NETWORKS = {"trained with labels": supervised, "trained a little": a_little, "untrained": untrained}


def layers(encoder, image):
    """→ tokens (depth, 64, 96) behind each block."""
    with torch.no_grad():
        return np.stack(
            [t[0].cpu().numpy() for t in encoder.intermediates(to_tensor(image).to(device()))]
        )


def walk(scene, network):
    tokens = layers(NETWORKS[network], looked_at[scene])
    walked = [enlarge(colours, 176) for colours in tokens_as_colours(tokens, (8, 8))]
    titles = ["the picture", *(f"after block {i + 1}" for i in range(len(walked)))]
    return row([enlarge(looked_at[scene], 176), *walked], titles=titles), ""


# %%
live(
    walk,
    scene=(0, 11, 1, 2),
    network=list(NETWORKS),
    caption="tokens as colours, layer by layer: similar colour, similar token",
    alt="Two rings on marble, and four fields of 8 by 8 colours: after each block the objects' "
    "patches stand out more clearly from the table's.",
)

# %% [markdown]
# And who looks at whom? Choose a patch with x and y: bright is where its token takes its information from.
# Look for a head that looks at the patch's own object, one that looks at its neighbours, and one that looks
# everywhere.


# %%
def looks_at(scene, x, y, block, head):
    with torch.no_grad():
        maps = supervised.attention_maps(to_tensor(looked_at[scene]).to(device()))[0].cpu().numpy()
    weights = maps[block - 1, head - 1, y * 8 + x].reshape(8, 8)
    big = enlarge(looked_at[scene], 320)
    drawn = heat_over(big, weights, smooth=False)
    for image in (big, drawn):
        image[y * 40 : y * 40 + 40, [x * 40, x * 40 + 39]] = (230, 159, 0)
        image[[y * 40, y * 40 + 39], x * 40 : x * 40 + 40] = (230, 159, 0)
    return row([big, drawn]), f"most: {weights.max():.2f}; evenly would be {1 / 64:.3f}"


# %%
live(
    looks_at,
    scene=(0, 11, 1, 2),
    x=(0, 7, 1, 2),
    y=(0, 7, 1, 3),
    block=(1, 4, 1, 3),
    head=(1, 4, 1, 1),
    caption="left: the patch that asks (orange frame) · right: where it looks",
    alt="Two purple rings, an orange frame around one patch of the first; beside it the same picture with "
    "a bright veil over the patches at which this one looks.",
)

# %% [markdown]
# ### All pictures at once
#
# The mean of the 64 tokens is the picture's **feature**: one vector of 96 numbers. A hundred and fifty test pictures,
# each a point in the two directions in which the features differ most; first of the untrained network, then of the
# trained one. What has each of them sorted by?

# %% tags=["nbval-ignore-output"]
# not compared: features differ in their last digits
few_images, names = test_images[:150], np.array(SHAPES)[test_labels[:150, 0]]
scatter(extract(untrained.to(device()), few_images), names, images=list(few_images), title="untrained",
        alt="150 small pictures scattered by the untrained network: sorted by the table, wood to the "
        "right and the others to the left, the shapes all mixed.")  # fmt: skip

# %% tags=["nbval-ignore-output"]
# not compared: features differ in their last digits
scatter(extract(supervised, few_images), names, images=list(few_images), title="trained with labels",
        alt="The same pictures, scattered by the trained network: the table no longer matters.")  # fmt: skip

# %% [markdown]
# ### Write it: without the skips
#
# The tokens keep their colour from layer to layer because each block only *adds* to them. What if it did
# not?

# %%
ex.NO_SKIP.box()


# %% tags=["exercise:no_skip"]
def no_skip(x, attention, mlp, norm):
    """A transformer block: x (T, D) → (T, D); the other three arguments are functions."""
    x = x + attention(norm(x))
    return x + mlp(norm(x))


# %%
check(ex.NO_SKIP, no_skip)

# %% [markdown]
# ## 7 · Measure: what does an encoder know?
#
# An encoder $f$ turns a picture into a vector. Two questions can be put to the vectors without touching $f$:
#
# * **nearest neighbours** (kNN): do the pictures *near* this one show the same? It trains nothing.
# * **linear probe**: is there a direction in which the answer can be *read off*? It trains one matrix.
#
# First write the simpler one.

# %%
ex.VOTE.box()


# %% tags=["exercise:vote"]
def vote(features, labels, query, k, classes):
    """The class that the k nearest neighbours of a query vote for, each with its cosine.

    features: (N, D) floats, labels: (N,) whole numbers below `classes`, query: (D,) → int
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.VOTE, vote)

# %% [markdown]
# A number of either kind says nothing alone. Four things must stand beside it:
#
# | control | what it catches |
# |---|---|
# | **chance**: always say the most frequent class | a number that only looks large |
# | a **random network** of the same build | what the *architecture* gives away for nothing |
# | **shuffled labels**: the same probe, labels dealt out at random | a leak between training and test |
# | the **method before** (here: a bag of SIFT words) | progress that is none |
#
# **Predict before you run:** a network with random weights, never trained. How well can one read the
# *colour* of the object from it? And the *shape*?

# %%
torch.manual_seed(1)
fit_on, ask_on = train_images[:2000], test_images
vocabulary = bag_of_words.fit(fit_on[:500])
FEATURES = {
    "random network": [extract(untrained.to(device()), x) for x in (fit_on, ask_on)],
    "SIFT bag of words": [bag_of_words.describe(x, vocabulary) for x in (fit_on, ask_on)],
    "trained a little": [extract(a_little, x) for x in (fit_on, ask_on)],
    "trained with labels": [extract(supervised, x) for x in (fit_on, ask_on)],
}

# %% tags=["nbval-ignore-output"]
# not compared: the trained network differs in its last digits
scores = {
    name: {
        f: measure(a, train_labels[:2000, i], b, test_labels[:, i]) for i, f in enumerate(FACTORS)
    }
    for name, (a, b) in FEATURES.items()
}
print(f"{'linear probe':22}" + "".join(f"{factor:>10}" for factor in FACTORS))
for name, by_factor in scores.items():
    print(f"{name:22}" + "".join(f"{s.probe:10.2f}" for s in by_factor.values()))
last = scores["trained with labels"].values()
print(f"{'… shuffled labels':22}" + "".join(f"{s.shuffled:10.2f}" for s in last))
print(f"{'chance':22}" + "".join(f"{s.chance:10.2f}" for s in last))

# %% tags=["nbval-ignore-output"]
# not compared: see above
print(f"{'20 neighbours':22}" + "".join(f"{factor:>10}" for factor in FACTORS))
for name, by_factor in scores.items():
    print(f"{name:22}" + "".join(f"{s.knn:10.2f}" for s in by_factor.values()))

# %% [markdown]
# Read it column by column, always against the random network:
#
# * **Colour** proves nothing. A network that never learned reads it at 0.75, and after a few seconds of training it is
#   at 0.99. Whoever reports only *colour* reports the architecture.
# * **Shape** is where learning shows: 0.28 at random, hardly more after 80 steps, 0.94 after 5,000.
# * **SIFT words** know more of shape (0.45) and size (0.81) than the random network, and nothing of colour: they look at
#   grey gradients. No method is simply "better"; each keeps something else.
# * **Shuffled labels** are at chance in every column, as they must be. So nothing leaks.
#
# Probe and neighbours mostly agree here; where they do not (the random network's colour: 0.75 and 0.60), the answer is
# there to be read off, but it is not what makes two pictures *near*.

# %% [markdown]
# ### What each of the two cannot say
#
# **kNN believes every number equally.** Take the trained features, and put 24 meaningless numbers beside the 96, each
# of them about as large as the whole feature: the neighbours are lost. The probe learns to ignore them.

# %% tags=["nbval-ignore-output"]
# not compared: the trained network differs in its last digits
rng = np.random.default_rng(0)
a, b = FEATURES["trained with labels"]
loud = [np.linalg.norm(x, axis=1, keepdims=True) * rng.normal(size=(len(x), 24)) for x in (a, b)]
noisy = [np.hstack([x, junk]).astype(np.float32) for x, junk in zip((a, b), loud, strict=True)]
for name, (x, y) in {"as it is": (a, b), "with 24 junk numbers": noisy}.items():
    shape = measure(x, train_labels[:2000, 0], y, test_labels[:, 0])
    print(f"{name:22} shape: probe {shape.probe:.2f}, neighbours {shape.knn:.2f}")

# %% [markdown]
# **A probe believes what it was shown.** With more numbers than examples it can learn *anything* by heart,
# even labels that were dealt out at random; only pictures it has not seen tell the truth. And it must not
# have seen them in any way: not even their mean. That slip is so common that you should write the test
# against it.

# %%
ex.TEST_STANDARDISE.box()


# %% tags=["exercise:test_standardise"]
def test_standardise(standardise):
    """Assert what a right `standardise` does, and nothing that a right one might not do.

    standardise: a function of train (N, D) and test (M, D) that returns both, standardised
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.TEST_STANDARDISE, test_standardise)

# %% [markdown]
# **And neither says how *much* had to be shown.** How many labelled pictures of each shape does the probe
# need? The few-shot curve asks that; a good representation is one from which a *few* examples suffice.

# %%
SHOTS = (1, 2, 5, 10, 50)
few = {
    name: few_shot(a, train_labels[:2000, 0], b, test_labels[:, 0], SHOTS)
    for name, (a, b) in FEATURES.items()
}
curves(
    np.log2(SHOTS),
    {name: found.mean for name, found in few.items()},
    xlabel="labelled pictures of each shape: 1, 2, 5, 10, 50 (logarithmic)",
    ylabel="shape named rightly",
    chance=1 / 5,
    alt="Four curves that rise with the number of examples: the trained network's from 0.65 to 0.93; those of "
    "the bag of words, of the network trained a little and of the random one stay below 0.35.",
)

# %% [markdown]
# ### Real pictures
#
# The network was trained on computed scenes only. What does it know of the real world? We cut the course's
# photographs into small crops and ask which photograph a new crop comes from; the crops of the test come from
# regions that training never showed.

# %% tags=["nbval-ignore-output"]
# not compared: the trained network differs in its last digits
real_a, real_b = photo_crops(600, 64, "train"), photo_crops(360, 64, "test")
real_words = bag_of_words.fit(real_a.images[:300])
real = {
    "random network": [extract(untrained, r.images) for r in (real_a, real_b)],
    "SIFT bag of words": [bag_of_words.describe(r.images, real_words) for r in (real_a, real_b)],
    "trained a little": [extract(a_little, r.images) for r in (real_a, real_b)],
    "trained with labels": [extract(supervised, r.images) for r in (real_a, real_b)],
}
photos = {name: measure(a, real_a.labels, b, real_b.labels) for name, (a, b) in real.items()}
for name, found in photos.items():
    print(f"{name:22} photographs: {found}")

# %% [markdown]
# All four are far above chance (0.08), and close together: nearest neighbours find the right photograph for about half
# of the crops, whether the network was trained or not. What was learned on the table, shapes and colours of solids, is
# of little use on grass, brick and a cat; the bag of SIFT words, which never learned a thing about solids, is the best
# neighbour of them all. A representation is good *for something*; keep that in mind when the next lessons learn
# without labels.

# %% [markdown]
# ## The passport
#
# Every method of this course gets a line in one table: the same probes, the same scenes, the same number of
# labelled pictures. It is kept on your disk (`data/passport.json`) and grows from lesson to lesson. Here are
# its first five lines.

# %% tags=["nbval-ignore-output"]
# not compared: it shows your own passport, which grows
passport = Passport.load()
chance = {factor: s.chance for factor, s in scores["random network"].items()}
passport.stamp("chance", "06_vit", {**chance, "photographs": photos["random network"].chance})
for name, by_factor in scores.items():
    found = {factor: s.probe for factor, s in by_factor.items()}
    passport.stamp(name, "06_vit", {**found, "photographs": photos[name].knn})
passport.table()

# %% tags=["nbval-ignore-output"]
# not compared: it shows your own passport, which grows
passport_picture(passport.scores(), alt="A radar of five axes, shape, colour, material, size and "
                 "photographs: chance in the middle, the network trained with labels outermost on the "
                 "first four, the bag of words ahead on photographs.")  # fmt: skip

# %% [markdown]
# ## 8 · Break it
#
# An ablation removes *one* thing. Here the trained network has to do without one of its parts: its position table,
# its attention (each token keeps its own value), its MLPs, or its skips. (It was trained *with* them; to know what a
# part is worth for learning, one would train again without it.) **Predict:** which loss hurts the name of the
# *colour* least, and which destroys everything?


# %%
def without(part):
    """A copy of the trained network in which one part does nothing; None: nothing is missing."""
    network = deepcopy(supervised)
    if part == "positions":
        network.positions.data.zero_()
    for block in network.blocks:
        if part in ("attention", "mlp"):
            last = block.attention.out if part == "attention" else block.mlp.fc2
            nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
        if part == "skips":
            block.forward = lambda x, b=block: ex.no_skip(x, b.attention, b.mlp, b.norm1)
    return network


# %% tags=["nbval-ignore-output"]
# not compared: probes differ in their last digits
known, asked = train_labels[:800], test_labels[:500]
print(f"{'without':12}" + "".join(f"{factor:>10}" for factor in FACTORS))
for part in (None, "positions", "mlp", "attention", "skips"):
    a, b = (extract(without(part), images) for images in (fit_on[:800], ask_on[:500]))
    found = [linear_probe(a, known[:, i], b, asked[:, i]).value for i in range(4)]
    print(f"{part or 'nothing':12}" + "".join(f"{value:10.2f}" for value in found))

# %% [markdown]
# Colour survives nearly everything: the name of a paint can be read from any single patch, and even without skips the
# probe still finds it at 0.84. Shape needs every part: without positions it falls to 0.69, without attention to 0.44
# (each patch then sees only itself), and without skips to 0.29, which is what a random network has. The skips are the
# road on which everything travels; each block only adds its remark.

# %% [markdown]
# ## 9 · The real thing: torchvision's network in our file
#
# Is our file really *the* vision transformer? We build torchvision's, with random weights, copy them into
# ours, and compare the outputs. The same function loads published weights; `tests/backbones` does it with
# timm's as well, gradients included.

# %%
from torchvision.models import VisionTransformer

options = {"image_size": 64, "patch_size": 8, "num_layers": 3, "num_heads": 4}
options |= {"hidden_dim": 64, "mlp_dim": 128}
torch.manual_seed(0)
theirs = VisionTransformer(**options).eval()
theirs.heads = nn.Identity()
ours = vit.from_reference(theirs.state_dict(), options).eval()
batch = to_tensor(test_images[:4])
with torch.no_grad():
    print("equal to 1e-5:", torch.allclose(ours(batch), theirs(batch), atol=1e-5))

# %% [markdown]
# ## What differs from the paper
#
# * The paper's smallest network is 64 times ours in parameters; its pictures have 224 pixels, ours 64.
# * It trains on 14 or 300 million photographs and finds that *below that, convolutions win*: a transformer
#   must learn from data what a convolution knows by construction, that neighbours belong together. Hence the
#   modest shapes above. Self-supervision, from the next lesson on, is one answer.
# * Its classifier reads a class token; our small network takes the mean of its tokens
#   (`class_token=False`), which learns sooner. The file has both.
# * Registers, LayerScale and stochastic depth in the file come from later papers, which its header names.
#
# ## Recap
#
# | part | what for | what happens without it |
# |---|---|---|
# | patches | a picture becomes a list | as many tokens as pixels: 64² · 64² scores |
# | attention | every token may ask every other | tokens never learn of each other |
# | heads | several ways of looking at once | one mean for everything |
# | skip and norm | a deep network can learn | the next exercise of your own |
# | position table | who stood where | a bag of patches |
# | controls | a number that means something | a random network that looks clever |
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
# The network above had a teacher: somebody, here the world itself, wrote four labels under every picture.
# For photographs nobody does; there are billions, and no labels. **Can a network learn what is near without
# being told?** What it *can* be told for free is this: two crops of one photograph show the same thing. That
# is SimCLR, and the next lesson.
