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
# # 07 · SimCLR: what is near, without being told
#
# **Goals.** After this lesson you
# 1. can compute the contrastive loss by hand, write it in ten lines, and catch each of its silent bugs with a test;
# 2. have seen pictures find their neighbours during training, and turned temperature and batch on real projections;
# 3. can predict what a network will *forget* from the views that it is shown, and prove it by measuring.
#
# **Before.** Lesson 06 (encoders, probes, neighbours, controls); lesson 05 (the world).
#
# **Minutes.** Reading 45; the eight exercises about 60 more.
#
# **In a lecture of 50 minutes:** section 1 (4 minutes), 2 with the exercise *start* (9), 3 (4), 4 (7), 5 with both live
# pictures (8), 6 from *h or z?* on (5), 7 up to the pictures of neighbours (8), 8 with the histogram (5). Leave *By hand*,
# the other exercises, *Two more knobs* and *Real pictures* to the reader.
#
# | budget | time | peak memory |
# |---|---|---|
# | quick | 60 s | 1250 MB |
# | full | 1,000 steps on 20,000 pairs in place of 70 on 2,000; not timed: no accelerator was at hand | – |
#
# **Licence.** Text CC BY 4.0, code MIT. Scenes are computed; photographs come with scikit-image
# ([data/README.md](../data/README.md)).

# %%
import course_lib

course_lib.require("0.1")

import json
from copy import deepcopy
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# %%
from course_lib.backbones import resnet, vit
from course_lib.blocks.device import by_budget, device
from course_lib.blocks.images import to_images, to_tensor
from course_lib.data.datasets import photo_crops
from course_lib.data.recipes import View
from course_lib.data.views import augment
from course_lib.doctor import ROOT
from course_lib.selfsup import simclr
from course_lib.world.again import again
from course_lib.world.render import render
from course_lib.world.scene import sample

# %% [markdown]
# Those were bricks, the paper and the world; what follows is the protocol that trains and measures, the exercises,
# and what draws.

# %%
from course_lib.evaluate.extract import extract
from course_lib.evaluate import factors as known
from course_lib.evaluate.factors import FACTORS, ONE, labels_of, one_object
from course_lib.evaluate.geometry import alignment, uniformity
from course_lib.evaluate.knn import knn
from course_lib.evaluate.linear_probe import linear_probe
from course_lib.evaluate.passport import Passport
from course_lib.exercises import simclr as ex
from course_lib.exercises.engine import check, summary
from course_lib.exercises.quiz import Quiz

# %%
from course_lib.show.curves import curves, panels
from course_lib.show.embeddings import principal_axes
from course_lib.show.images import pictures
from course_lib.show.palette import heat
from course_lib.show.passport import passport_picture
from course_lib.show.photo_input import photo_input
from course_lib.show.source import source
from course_lib.show.tiles import column, enlarge, row, shrink, titled
from course_lib.show.training import live_loss
from course_lib.show.widgets import live, scrubber
from course_lib.train.checkpoints import load_weights
from course_lib.train.fit import fit
from course_lib.train.minibatches import minibatches

# %% [markdown]
# ## 1 · The question that was left open
#
# The network of lesson 06 had a teacher who wrote four labels under every picture. For photographs nobody does.
# But one thing can be said of a photograph without looking at it: **two pieces of it show the same thing**. So cut
# two pieces, change their colours a little, and ask a network to find the partner of each piece among the pieces of
# many other photographs. What must it know for that?
#
# Each column below is a pair of **views** of one photograph. Make the crops smaller and the colours wilder. At which
# point would *you* no longer say that upper and lower belong together?

# %%
photo_bar = photo_input("coffee")


def view_pairs(crop, colour, seed, image):
    """Five pairs of views: `crop` is the share of the area, `colour` the strength of the jitter."""
    strong = {"brightness": 0.8 * colour, "contrast": 0.8 * colour, "saturation": 0.8 * colour}
    view = View(96, scale=(crop, crop), jitter=1.0, **strong, hue=0.2 * colour, grey=0.2 * colour)
    chance = torch.Generator().manual_seed(seed)
    views = to_images(augment(to_tensor(shrink(image, 200)).repeat(10, 1, 1, 1), view, chance))
    pairs = column([row(list(views[:5])), row(list(views[5:]))])
    away = np.abs(views[:5].mean((1, 2)) - views[5:].mean((1, 2))).mean()
    return pairs, f"mean colours of partners are {away:.0f} of 255 levels apart"


# %%
live(
    view_pairs,
    crop=(0.05, 1.0, 0.05, 0.3),
    colour=(0.0, 1.0, 0.1, 0.5),
    seed=(0, 30, 1, 0),
    image=photo_bar,
    caption="each column is a pair of views · colour 1 is the strength that the paper uses on ImageNet",
    alt="Five columns of two small pictures each: crops of a cup of coffee on wood, mirrored, brighter, "
    "darker or tinted otherwise.",
)

# %% [markdown]
# At colour 0 you need not recognise anything: the same brown is enough. Whoever sets this slider decides what the
# network has to learn. That is the whole art of this method (Chen et al. 2020, *A Simple Framework for Contrastive
# Learning of Visual Representations*), and in section 7 we measure it.
#
# The lesson: the **loss** (2) · whom it **pushes** (3) · **train** (4) · **look inside** (5) · **measure** (6) ·
# what views **forget** (7) · fewer **negatives** (8) · **photographs** (9).

# %% [markdown]
# ## 2 · The loss: find your partner
#
# A batch of $N$ pictures gives $2N$ views. An encoder $f$ makes features $h = f(x)$, a small network $g$, the
# **projector**, makes projections $z = g(h)$ of them, and each is brought to length 1. With $s_{ik}$ the cosine of
# views $i$ and $k$, and $p(i)$ the partner of $i$,
#
# $$\mathcal{L} = \frac{1}{2N} \sum_{i=1}^{2N} -\log
# \frac{\exp(s_{i,p(i)} / \tau)}{\sum_{k \neq i} \exp(s_{ik} / \tau)}.$$
#
# Read it as a multiple-choice question: each view has $2N - 1$ candidates, and the loss is the cross-entropy of naming
# the right one. The paper calls it *NT-Xent*: normalised, with a temperature $\tau$, cross-entropy.
#
# **By hand.** Two pictures; first views $(1, 0)$ and $(0, 1)$, second views $(0.8, 0.6)$ and $(-0.6, 0.8)$; $\tau = 0.5$.
# The first view has the cosines 0, **0.8**, −0.6 with the three others. Divided by $\tau$: 0, 1.6, −1.2; their
# exponentials 1, 4.95, 0.30 sum to 6.25; so it pays $-\ln(4.95 / 6.25) = 0.233$. The second view has 0, 0.6, **0.8**, so
# 1, 3.32 and 4.95, and pays $-\ln(4.95 / 9.27) = 0.627$. The other two mirror these. The mean is **0.430**.

# %%
z1 = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
z2 = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
print("cosines / τ:")
for line in simclr.similarities(z1, z2, tau=0.5).tolist():
    print("   ", "".join(f"{value + 0.0:7.2f}" for value in line))
print(f"loss: {simclr.nt_xent(z1, z2, tau=0.5):.3f}")

# %% [markdown]
# The diagonal is −∞: a view is no candidate for its own partner. First views come first, then the second views; so
# where in each row does the partner stand? That index is the only "label" of the method, and it is free.

# %%
ex.PARTNERS.box()


# %% tags=["exercise:partners"]
def partners(n):
    """Rows 0 … n − 1 are first views, rows n … 2n − 1 second views, in the same order.

    n: number of pictures → whole numbers (2n,), the row of each view's partner
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.PARTNERS, partners)

# %% [markdown]
# Every exercise has hints (`ex.PARTNERS.hint(1)`), and a solution, `ex.PARTNERS.show_solution()`, which opens after a
# right answer or three attempts. The library's own source, the similarities and then the loss:

# %%
source(simclr.similarities)

# %%
source(simclr.nt_xent)

# %% [markdown]
# ### Write it

# %%
ex.NT_XENT.box()


# %% tags=["exercise:nt_xent"]
def nt_xent(z1, z2, tau):
    """NT-Xent, the loss of SimCLR.

    z1, z2: (N, d) floats, projections of N pictures' first and second views; tau: above 0 → float
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.NT_XENT, nt_xent)

# %%
ex.NT_XENT.expected()

# %%
ex.NT_XENT.hint(1)

# %% [markdown]
# ### What must the first loss be?
#
# The cheapest debugging tool there is: know the loss of a network that knows nothing, before you start it. The first
# loss must be near it, unless a clue misleads the network, as one does in section 4.

# %%
ex.START.box()

# %% tags=["exercise:start"]
start = {"candidates": None, "guessing": None, "collapsed": None}

# %%
check(ex.START, start)

# %% [markdown]
# Now run it, for random projections of many numbers (nearly at right angles to each other) and for a complete collapse:

# %%
random = torch.randn(2, 64, 4096, generator=torch.Generator().manual_seed(0))
print(f"64 pictures, random projections: {simclr.nt_xent(*random, tau=0.5):.2f}")
print(f"64 pictures, all the same:       {simclr.nt_xent(*torch.ones(2, 64, 8), tau=0.5):.2f}")

# %% [markdown]
# **Collapse is not rewarded.** To put everything into one point makes partners equal, but strangers too. Keep that in
# mind for the next lesson, where there are no strangers.
#
# ### A colleague's loader
#
# Row order is a convention, and conventions get broken. Nothing crashes when they do.

# %%
ex.VIEWS_APART.box()


# %% tags=["exercise:views_apart"]
def views_apart(z):
    """Projections of a batch in the loader's order → the first and the second views.

    z: (2N, d): picture 0's first view, its second, picture 1's first, its second, …
    → two arrays (N, d), row i of both of the same picture
    """
    N = len(z) // 2
    return z[:N], z[N:]


# %%
check(ex.VIEWS_APART, views_apart)

# %% [markdown]
# ## 3 · Whom does it push?
#
# Differentiate the loss by the cosine of a stranger $k$: the push is $\frac{1}{\tau}$ times the share of $k$ in the
# softmax. So the loss does not treat strangers alike. **Predict, then run.**

# %%
ex.TEMPERATURE.box()

# %% tags=["exercise:temperature"]
temperature = {"warm": None, "cold": None}

# %%
check(ex.TEMPERATURE, temperature)

# %%
cosine = np.linspace(-1, 1, 21)
push = {tau: np.exp(cosine / tau) for tau in (0.1, 0.2, 0.5, 1.0)}
curves(
    cosine,
    {f"τ = {tau}": share / share.max() for tau, share in push.items()},
    xlabel="cosine with the stranger",
    ylabel="push, as part of the greatest",
    alt="Four rising curves: at τ = 0.1 only strangers of cosine above 0.8 are pushed at all; at τ = 1 even the "
    "opposite ones get a seventh of the greatest push.",
)

# %% [markdown]
# A small τ looks at the nearest strangers only; that is where learning is, and also where a stranger may be no stranger
# at all but another picture of the same thing. A large τ pushes everybody alike. In section 5 you turn this knob on
# projections of real pictures.

# %% [markdown]
# ## 4 · Train: pairs that no filter can make
#
# In the world we can do better than crops. `again` puts **the same object** on a table, in a light and before a camera
# that are all drawn anew. What two such pictures share is what stands on the table, and nothing else. (There are four
# kinds of tables; so in one pair of four the kind is the same by chance, but not its angle and tone.)

# %%
count = by_budget(quick=2000, full=20_000)
scenes = sample(range(count), recipe=ONE)


def small(images):
    """uint8 (B, 64, 64, 3) → (B, 32, 32, 3), each pixel the mean of four."""
    B = len(images)
    return images.reshape(B, 32, 2, 32, 2, 3).mean(axis=(2, 4)).astype(np.uint8)


elsewhere = again(scenes, seed=0)
here, there = (small(render(seen, 64).rgb) for seen in (scenes, elsewhere))
pictures([*here[:6], *there[:6]], columns=6, width=8.0,
         alt="Six pairs of small pictures: the upper and the lower show the same object, on another table, in "
         "another light, from another side.")  # fmt: skip

# %% [markdown]
# On top of that come mild changes of pixels: a crop of at least half the area, a little jitter of the colours. As
# encoder we take a ResNet, as the paper does, but a tiny one: a convolution knows from the start that neighbouring
# pixels belong together, and learns something in seconds. The vision transformer comes later, with more patience.

# %%
VIEW = View(
    32, scale=(0.5, 1.0), jitter=0.8, brightness=0.3, contrast=0.3, saturation=0.2, hue=0.02
)


def two_views_of(first, second, view):
    """Batches of 128 pairs: row i of both arrays is a pair, and each gets its own view."""
    draw = minibatches(*(to_tensor(x) for x in (first, second)), batch_size=128)

    def batches(step, generator):
        return tuple(augment(images, view, generator) for images in draw(step, generator))

    return batches


def fresh(config=simclr.TINY):
    torch.manual_seed(0)
    return simclr.SimCLR(resnet.ResNet(resnet.TINY), config).to(device())


# %% [markdown]
# This is all that a training step does. Both views go through the network together; what is measured beside the
# loss, `partner_found`, is how often a view's nearest candidate is its partner.

# %%
source(simclr.train_step)

# %% [markdown]
# **A trap: batch norm, when it is read.** While training, batch norm subtracts the mean of the *batch*. When the network
# is read, it subtracts an average that it has kept on the way, and after few steps this average is still mostly what
# it began with: mean 0, spread 1. An earlier version of this lesson read the untrained network like that, found all its
# projections in nearly one point, and explained why; but the one point came from those averages, not from the weights.
# So every small network of this lesson is read as a copy whose averages are those of our data:


# %%
def settled(network, images):
    """A copy to be read, in evaluation mode: its batch norm knows the averages of `images`."""
    read = deepcopy(network).train()
    for layer in read.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None  # the plain mean over all batches
    with torch.no_grad():
        for batch in to_tensor(images).to(device()).split(250):
            read.project(batch)
    return read.eval()


# %% [markdown]
# To watch it learn, we keep the features of 120 test pictures before the first step and then every four steps.

# %%
test_images, test_labels = one_object(1000, "test"), labels_of(1000, "test")
test_tables = sample(range(1000), split="test", recipe=ONE).table
watched = small(test_images[:120])
untrained = settled(fresh(), here)
moments, at_step = [extract(untrained, watched)], [0]
steps = by_budget(quick=70, full=1000)


def keep(step, scalars, history):
    if (step + 1) % by_budget(quick=4, full=50) == 0 or step + 1 == steps:
        moments.append(extract(settled(model, here[:500]), watched))
        at_step.append(step + 1)


# %% [markdown]
# The next cell trains: about 6 s on two CPU cores (quick). You may stop it with ■: the model keeps what it has learned.
# **Before you run it:** 256 views; where must the curve begin?

# %% tags=["nbval-ignore-output"]
# not compared: a loss depends on the number of threads in its last digits
model = fresh()
watch = live_loss(
    steps,
    alt="The loss falls from above 6, steeply in the first 30 steps, then slowly to about 3.9.",
)
history = fit(
    model, two_views_of(here, there, VIEW), steps,
    train_step=simclr.train_step, lr=3e-3, warmup=10, watch=[watch, keep],
)  # fmt: skip
trained = settled(model, here)

# %% tags=["nbval-ignore-output"]
# not compared: see above
found = history["partner_found"]
print(
    f"loss: guessing is ln 255 = 5.54; first {history['loss'][0]:.2f}, last {history['loss'][-5:].mean():.2f}"
)
print(f"partner found: guessing is {1 / 255:.3f}; last {found[-5:].mean():.2f}")

# %% [markdown]
# The first loss lies clearly *above* guessing, and this is no artefact: the loss is computed in training mode. A network
# for which all candidates are alike pays ln 255. This one prefers some of them, mostly the wrong ones. Which?

# %% tags=["nbval-ignore-output"]
# not compared: projections differ in their last digits
u, v = (
    F.normalize(torch.from_numpy(extract(untrained.project, x[:500])), dim=1) for x in (here, there)
)
cosines = (u @ v.T).numpy()
own = np.eye(500, dtype=bool)
alike = scenes.table[:500, None] == elsewhere.table[:500]
print("untrained, mean cosine    same kind of table   another")
for name, which in {"with the partner": own, "with strangers": ~own}.items():
    print(f"{name:26}{cosines[which & alike].mean():18.2f}{cosines[which & ~alike].mean():10.2f}")

# %% [markdown]
# Those on the same kind of **table**. It finds the table near, whatever stands on it; and three of four partners stand on
# another kind. So it is not ignorant, it is misled, and that costs more than guessing. The first thing to be learned is
# to look away from the table. And nothing here ever saw a label.

# %% [markdown]
# ## 5 · Look inside
#
# ### Pictures find their neighbours
#
# Here are the 120 test pictures at each kept moment: every one lies where its feature lies in the two directions in
# which the features of the *last* moment differ most. Under the slider stands how often a picture's nearest neighbour
# shares its colour, and how often its table. **Predict:** which of the two is ahead at the start, and when do they cross?


# %%


def cloud(features, axes, centre, reach, size=460):
    """The watched pictures at their places on two axes, uint8 (size, size, 3)."""
    canvas = np.full((size, size, 3), 255, np.uint8)
    at = (F.normalize(torch.from_numpy(features), dim=1).numpy() - centre) @ axes
    at = (at / reach * (size / 2 - 20) + size / 2).clip(15, size - 15)
    for (x, y), image in zip(at.astype(int), watched, strict=True):
        canvas[y - 14 : y + 14, x - 14 : x + 14] = cv2.resize(image, (28, 28))
    return canvas


def same(features, column):
    """How often a watched picture's nearest neighbour is of the same class."""
    unit = F.normalize(torch.from_numpy(features), dim=1).numpy()
    nearest = (unit @ unit.T - 2 * np.eye(len(unit))).argmax(axis=1)
    return (column[nearest] == column).mean()


# %% tags=["nbval-ignore-output"]
# not compared: features differ in their last digits
last = F.normalize(torch.from_numpy(moments[-1]), dim=1).numpy()
centre = last.mean(axis=0)
axes = principal_axes(last, 2)
reach = np.abs((last - centre) @ axes).max(axis=0)
colour, table = test_labels[:120, 1], test_tables[:120]
scrubber(
    [cloud(features, axes, centre, reach) for features in moments],
    [f"step {step}: nearest neighbour has the same colour {same(f, colour):.0%}, the same table "
     f"{same(f, table):.0%}" for step, f in zip(at_step, moments, strict=True)],
    caption="120 test pictures where their features lie, during training",
    alt="Small pictures of objects: a third of the way through training many overlap in the middle; at the end they "
    "are spread out, yellow above, green at the right, cyan, blue and purple below, on whatever table they stand.",
)  # fmt: skip

# %% [markdown]
# Before the first step about seven of ten nearest neighbours share the table, and one in five the colour. The colour
# rises from the first steps on, the table falls slowly; about step 25 the two cross; at the end more than three of four
# share the colour, and still more than half the table. (Read with batch norm's averages from the way, the colour seems to
# get *worse* for a dozen steps: the trap of section 4 again.)
#
# ### The matrix of all with all
#
# A few seconds teach colour and little else. So beside your network we put the vision transformer of lesson 06, trained
# by SimCLR on the same kind of pairs for longer. Its card says how; the command makes it again.

# %%
CONFIG = vit.Config(image_size=64, patch_size=8, dim=96, depth=4, heads=4, class_token=False)
longer = simclr.SimCLR(vit.ViT(CONFIG), simclr.TINY).to(device()).eval()
card = load_weights(longer, ROOT / "data" / "checkpoints" / "vit_simclr.safetensors")
labelled = json.loads((ROOT / "data" / "checkpoints" / "vit_supervised.json").read_text())
for key in ("command", "data", "steps", "batch_size", "hardware", "seconds"):
    print(f"{key:11} {card[key]}")

# %% [markdown]
# Now the batch through the eyes of the loss. Each row is one view, each column a candidate, and the brightness is the
# probability that the row gives to the column; the rows sum to 1. The two bright diagonals are the partners. Change
# the temperature and the batch. Which strangers does the chosen view confuse with its partner, and does it get easier
# or harder with more pictures? Then compare the three networks.

# %%
looked = [
    test_images[:200],
    render(again(sample(range(200), split="test", recipe=ONE), seed=5), 64).rgb,
]
faces = np.concatenate([small(x[:32]) for x in looked])
PROJECTED = {
    name: torch.from_numpy(extract(network.project, images)).chunk(2)
    for name, network, images in (
        ("trained longer", longer, np.concatenate([x[:32] for x in looked])),
        ("trained a little", trained, faces),
        ("untrained", untrained, faces),
    )
}


# %%
def marked(p, asks, partner):
    """The matrix as a picture: the asking row framed white, its partner's cell red."""
    cell = 588 // len(p)
    matrix = heat(np.sqrt(np.kron(p, np.ones((cell, cell)))), 0, 1)
    for first, last, ink in ((0, len(p), (255, 255, 255)), (partner, partner + 1, (255, 60, 40))):
        corners = (first * cell, asks * cell - 2), (last * cell - 1, asks * cell + cell + 1)
        cv2.rectangle(matrix, *corners, ink, 2)
    matrix = np.rot90(titled(np.rot90(matrix, -1), "row: a view that asks (framed: the one above)"))
    named = titled(matrix, "   column: its candidates, first views, then second views")
    return np.pad(named, ((0, 0), (0, 612 - named.shape[1]), (0, 0)), constant_values=255)


# %%
def choices(tau, batch, view, network):
    z1, z2 = (z[:batch] for z in PROJECTED[network])
    p = simclr.similarities(z1, z2, tau).softmax(dim=1).numpy()
    i, partner, near = view % batch, view % batch + batch, np.argsort(-p[view % batch])
    seen = np.concatenate([faces[:batch], faces[32 : 32 + batch]])
    strangers = [k for k in near if k not in (i, partner)][:3]
    titles = ["asks", f"partner {p[i, partner]:.2f}"]
    titles += [f"stranger {p[i, k]:.2f}" for k in strangers]
    who = row([enlarge(seen[k], 116) for k in (i, partner, *strangers)], titles=titles)
    pushes = np.sort(np.delete(p[i], [i, partner]))[::-1]
    hardest = pushes[: max(1, len(p) // 10)].sum() / pushes.sum()
    said = f"loss {simclr.nt_xent(z1, z2, tau):.2f}, guessing {np.log(len(p) - 1):.2f}"
    said += f" · the hardest tenth of the strangers gets {hardest:.0%} of the push"
    return column([who, marked(p, i, partner)]), said


# %% tags=["nbval-ignore-output"]
# not compared: projections differ in their last digits
live(
    choices,
    tau=(0.05, 1.0, 0.05, 0.2),
    batch=(4, 32, 4, 16),
    view=(0, 31, 1, 3),
    network=list(PROJECTED),
    caption="above: a view, its partner and its three hardest strangers with their probabilities · below: all "
    "rows (brightness: root of the probability); white frame: the row of the view above, red: its partner",
    alt="A row of five pictures: one that asks, its partner on another table, and three strangers of the same "
    "colour; below a dark matrix with two bright diagonals and some bright strangers. The asking row is framed "
    "in white, the cell of its partner in red.",
)

# %% [markdown]
# Among 16 pictures at τ = 0.2, the network that trained longer gives the partner of the red cube about 0.8; the one that
# trained a little about 0.1, no more than to other red things: the hardest strangers have the *same colour*, the first
# thing that both have learned. The untrained one gives the partner nearly nothing, and prefers other things on the same
# kind of table; it pays more than guessing, and the smaller τ is, the more.
#
# And the temperature: with 32 pictures, for this cube, the network that trained a little gives the hardest tenth of the
# strangers about a fifth of the push at τ = 1, about half at 0.2, and more than four fifths at 0.05. More pictures make it
# harder: at τ = 0.2 its loss goes from below 1 with 4 pictures to above 2 with 32, as there are more red things to confuse.

# %% [markdown]
# ## 6 · Measure
#
# The protocol of lesson 06: 2,000 labelled training scenes, 1,000 test scenes, a linear probe and 20 neighbours, and
# every number beside chance, shuffled labels, and a random network *of the same build*.
#
# The numbers of the two vision transformers stand on their cards (a test of the course measures them anew), those of
# today's network are measured here. It reads 32 pixels, so each picture is averaged down first.


# %%
def column_of(metrics, which="value"):
    """A card's metrics → {"shape probe": number, …}."""
    return {name: found[which] for name, found in metrics.items()}


SCORES = {
    "random ResNet": column_of(known.known_factors(lambda x: untrained(F.avg_pool2d(x, 2)))),
    "SimCLR, a little": column_of(
        measured := known.known_factors(lambda x: trained(F.avg_pool2d(x, 2)))
    ),
    "random ViT": column_of(card["metrics"], "random_init"),
    "SimCLR, longer": column_of(card["metrics"]),
    "with labels": column_of(labelled["metrics"]),
    "chance": column_of(measured, "chance"),
}

# %% tags=["nbval-ignore-output"]
# not compared: the trained network differs in its last digits
for what in ("probe", "knn"):
    print(f"{what:18}" + "".join(f"{factor:>10}" for factor in FACTORS))
    for name, found in SCORES.items():
        print(f"{name:18}" + "".join(f"{found[f'{f} {what}']:10.2f}" for f in FACTORS))
shuffled = [measured[f"{f} probe"]["shuffled"] for f in FACTORS]
print(f"{'probe, shuffled':18}" + "".join(f"{value:10.2f}" for value in shuffled))

# %% [markdown]
# Read it beside the random network of the same build, as always:
#
# * **A little** (70 steps): colour rises from about 0.4 to about 0.9, material a little, shape and size hardly.
# * **Longer** (3,000 steps): colour 1.00, material 0.92, size 0.92, and **shape 0.65**, where a random network has 0.28
#   and the same network with labels 0.94. Nobody ever said "cone"; but two pictures of a cone from two sides had to find
#   each other, among 254 strangers of which many have the same colour.
# * The **neighbours** follow the probe closely, as the loss itself is about what is near. In the random ViT they do
#   not: there they are clearly worse than the probe at colour.
# * **Shuffled labels** are near chance.
#
# How much of the way from random weights to training with labels is gone, in the mean of the four factors?

# %% tags=["nbval-ignore-output"]
# not compared: the trained network differs in its last digits
probes = {name: {f: found[f"{f} probe"] for f in FACTORS} for name, found in SCORES.items()}
ends = probes["random ViT"], probes["with labels"]
share = known.share_of_gap(probes["SimCLR, longer"], *ends)
print(f"of the way from random weights to labels, SimCLR has gone {share:.0%}")

# %% [markdown]
# ### h or z?
#
# The loss works on $z$, and yet everybody uses $h$ and throws the projector away. Look at both sides of the projector of
# the longer-trained network. From here on a fifth question stands beside the four: **on which of the four tables?** A
# rendered pair says: that does not matter. (For speed 1,000 scenes to learn from and 500 to ask.)

# %%
fit_on, ask_on = one_object(1000, "train"), test_images[:500]
fit_tables = sample(range(1000), recipe=ONE).table
KNOWN = np.column_stack([labels_of(1000, "train"), fit_tables])
ASKED = np.column_stack([test_labels[:500], test_tables[:500]])
FIVE = [*FACTORS, "table"]

# %% [markdown]
# **Predict:** which of $h$ and $z$ knows more of the table, and in which are the *neighbours* freer of it?

# %% tags=["nbval-ignore-output"]
# not compared: probes differ in their last digits
a, b = (extract(longer, x) for x in (fit_on, ask_on))
with torch.no_grad():
    za, zb = (longer.projector(torch.from_numpy(x).to(device())).cpu().numpy() for x in (a, b))
print(f"{'':12}" + "".join(f"{factor:>10}" for factor in FIVE))
for name, (x, y) in {"h": (a, b), "z": (za, zb)}.items():
    for what, read in {"probe": linear_probe, "knn": knn}.items():
        values = [read(x, KNOWN[:, i], y, ASKED[:, i]).value for i in range(5)]
        print(f"{name}, {what:9}" + "".join(f"{value:10.2f}" for value in values))

# %% [markdown]
# The probe reads four of the five columns nearly alike. The fifth, no: it still finds the **table** in $h$ at about 0.9,
# and in $z$ no better than chance, which is about a quarter. What the pairs declared to be indifferent has been thrown away, and most
# of the throwing away happens in the projector. If one day you need the table (or, with photographs, the exact colour
# that jitter has blurred), $h$ still knows. The *neighbours* in $h$ care little about it even so (about 0.4).
#
# And $z$ is not simply worse: its neighbours are right about the shape more often (by about a tenth), for *these* pairs
# ask for just that. Who knows the task in advance, and has the right pairs, may use $z$; who does not, keeps $h$.

# %% [markdown]
# ## 7 · What views change is forgotten
#
# Everything depends on the pairs. Suppose that we had no `again`, as nobody has for photographs: both views are cut
# from **the same picture**.

# %%
ex.SHORTCUT.box()

# %% tags=["exercise:shortcut"]
shortcut = None  # one of "the table", "the colour", "the shape", "the size"

# %%
check(ex.SHORTCUT, shortcut)

# %% [markdown]
# Four kinds of views, one network, one start, equally many steps: the rendered pairs; crops of one picture; the same
# without any change of colours; and the same with the hue turned all around the circle. **Predict** for each: which
# of colour and table will be near? The first was trained above; the other three take about 15 s on two CPU cores (quick).

# %%
crops = replace(VIEW, jitter=0.0)
wild = replace(VIEW, jitter=1.0, brightness=0.5, contrast=0.5, saturation=0.8, hue=0.5, grey=0.2)
KINDS = {
    "one picture": (here, here, VIEW),
    "… colours as they are": (here, here, crops),
    "… every hue": (here, here, wild),
}


def run(first, second, view, step=simclr.train_step, config=simclr.TINY):
    """Train a fresh network → the network, settled, and how often it finds the partner."""
    network = fresh(config)
    h = fit(network, two_views_of(first, second, view), steps, train_step=step, lr=3e-3, warmup=10)
    return settled(network, first), h["partner_found"][-5:].mean()


# %% tags=["nbval-ignore-output"]
# not compared: trained networks differ in their last digits
RUNS = {name: run(*kind) for name, kind in KINDS.items()}
RUNS = {"two pictures": (trained, history["partner_found"][-5:].mean())} | RUNS
small_fit, small_ask = small(fit_on), small(ask_on)


# %%
def near_of(network):
    """20 neighbours' share of right answers: the five questions in h, and the table in z."""
    a, b = (extract(network, x) for x in (small_fit, small_ask))
    za, zb = (extract(network.project, x) for x in (small_fit, small_ask))
    table = knn(za, KNOWN[:, 4], zb, ASKED[:, 4]).value
    return [*(knn(a, KNOWN[:, i], b, ASKED[:, i]).value for i in range(5)), table]


# %% tags=["nbval-ignore-output"]
# not compared: see above
SIX = [*FIVE, "table, z"]
NEAR = {"untrained": near_of(untrained)} | {k: near_of(net) for k, (net, _) in RUNS.items()}
print(f"{'20 neighbours':23}" + "".join(f"{factor:>10}" for factor in SIX) + "   partner found")
for name, values in NEAR.items():
    found = f"{RUNS[name][1]:12.2f}" if name in RUNS else ""
    print(f"{name:23}" + "".join(f"{value:10.2f}" for value in values) + found)

# %% [markdown]
# The numbers say how often the vote of 20 neighbours is right.
#
# * **Untrained**: mostly the table.
# * **Two pictures**: the colour is right in nearly nine of ten (about 0.3 untrained), and the table is on its way out.
# * **One picture**: the partner is found far more often, and less is learned: colour about 0.6, and the table stays. It
#   is an excellent clue. It is the *shortcut*: easy to see, useful to the loss, useless to you.
# * **Colours as they are**: the partner is found nearly always, and the colour gets only to about 0.4. Two crops of one
#   picture have nearly the same colours, and that is clue enough; the paper shows the same for photographs, and it is
#   why strong jitter of colours matters so much.
# * **Every hue**: colour stays where the untrained network has it, the table is at about 0.9. What the views change is
#   not learned, and what remains has to serve.
# * **Shape** stays near the untrained network in all: 70 steps are too few. See the longer-trained network above.
#
# `partner found` is no measure of quality. It is low where most is learned of the colour (two pictures), lower still where
# nothing is (every hue), and highest where a clue gives the partner away. And see the column of $z$, where the loss works:
# there the table falls from above 0.8 to about 0.6 with two pictures, and rises a little with one. In $h$ it falls less
# (to about 0.8): the projector does most of the forgetting. Here are the neighbours in $z$.


# %%
def neighbours(read, known, asked):
    """Lines of pictures: one of `asked` (Q, …), then the four of `known` whose features are nearest."""
    a, b = (F.normalize(torch.from_numpy(read(x)), dim=1).numpy() for x in (known, asked))
    nearest = np.argsort(-b @ a.T, axis=1)[:, :4]
    lines = [[image, *known[i]] for image, i in zip(asked, nearest, strict=True)]
    return column([row([enlarge(image, 64) for image in line], gap=3) for line in lines], gap=3)


# %% tags=["nbval-ignore-output"]
# not compared: features differ in their last digits
few = small_ask[:6]
kinds = ("two pictures", "one picture", "… every hue")
blocks = [
    neighbours(lambda x, n=RUNS[name][0]: extract(n.project, x), small_fit, few) for name in kinds
]
pictures(blocks, ["two pictures", "one picture", "one picture, every hue"], columns=3,
         alt="Three blocks of six lines: a test picture and its four nearest training pictures. Left the neighbours "
         "share the colour of the object, on several tables; in the middle mostly colour and table; right "
         "always the table, in any colour.")  # fmt: skip

# %% [markdown]
# In each line: a test picture first, then its four nearest training pictures. Nothing but the views differs between
# the three blocks. So **"what is near" is what you tell the network by your choice of views**; the labels are gone, the
# teacher is not.
#
# ### Two more knobs, measured
#
# The rendered pairs again; changed is the temperature, or the least area that a crop may take. A crop that is blown up
# to the full picture makes a small object large. **Predict:** what becomes of *size* if crops take a tenth of the area and
# more? And of *colour* if τ pushes all strangers alike? (About 15 s on two CPU cores, quick.)

# %% tags=["nbval-ignore-output"]
# not compared: trained networks differ in their last digits
KNOBS = {
    "τ = 1": {"view": VIEW, "config": replace(simclr.TINY, tau=1.0)},
    "crops from 10 %": {"view": replace(VIEW, scale=(0.1, 1.0))},
}
KNOWS = {"untrained": NEAR["untrained"], "τ = 0.2, from 50 %": NEAR["two pictures"]}
KNOWS |= {name: near_of(run(here, there, **knob)[0]) for name, knob in KNOBS.items()}
print(f"{'20 neighbours':19}" + "".join(f"{factor:>10}" for factor in SIX))
for name, values in KNOWS.items():
    print(f"{name:19}" + "".join(f"{value:10.2f}" for value in values))

# %% [markdown]
# * **Temperature**: with τ = 1 the neighbours tell much less of the colour (below 0.7 against nearly 0.9): where every
#   stranger is pushed alike, little of the push goes to those that are hard to tell from the partner.
# * **Crops**: size is right as often as before, within the noise of 500 test pictures. The prediction was reasonable;
#   70 steps do not bear it out. (The camera walks around the object, so its size in the picture varied all along.)

# %% [markdown]
# ## 8 · Break it: two strangers, or none
#
# The other half of the method is the strangers. Take nearly all of them away.

# %%
ex.FEW_NEGATIVES.box()


# %% tags=["exercise:few_negatives"]
def few_negatives(s):
    """NT-Xent of similarities: s (2N, 2N) cosines / τ, first, then second views → float."""
    n = len(s)
    i = np.arange(n)
    partner = (i + n // 2) % n
    e = np.exp(s)
    e[i, i] = 0
    return np.mean(np.log(e.sum(axis=1)) - s[i, partner])


# %%
check(ex.FEW_NEGATIVES, few_negatives)

# %% [markdown]
# Now train so, on the rendered pairs: with two strangers for each view in place of 254, and with **none**.
# (Batch norm in the projector stays; it still compares the pictures of a batch with each other.) Two numbers of
# Wang and Isola (2020) say what becomes of the projections: **alignment**, the mean squared distance of partners (less
# is nearer), and **uniformity**, which is 0 if all projections are one point, and the lower the more evenly they
# fill the sphere.


# %%
def with_strangers(k):
    def train_step(model, batch, progress):
        z1, z2 = model.project(torch.cat(batch)).chunk(2)
        s = simclr.similarities(z1, z2, model.config.tau)
        i, n = torch.arange(len(s), device=s.device), len(s)
        s = torch.stack([s[i, (i + n // 2) % n], *(s[i, (i + j + 1) % n] for j in range(k))], dim=1)
        loss = (s.logsumexp(dim=1) - s[:, 0]).mean() if k else -s[:, 0].mean()
        return {"loss": loss, "partner_found": (s.argmax(dim=1) == 0).float().mean()}

    return train_step


# %% tags=["nbval-ignore-output"]
# not compared: trained networks differ in their last digits
PAIRS = (here, there, VIEW)
BROKEN = {
    "all strangers": RUNS["two pictures"],
    "two strangers": run(*PAIRS, step=with_strangers(2)),
    "no stranger": run(*PAIRS, step=with_strangers(0)),
    "untrained": (untrained, None),
}
print(f"{'':15}{'alignment':>10}{'uniformity':>11}" + "".join(f"{factor:>10}" for factor in SIX))
VIEWED = {}
for name, (network, _) in BROKEN.items():
    u, v = VIEWED[name] = [extract(network.project, small(x)) for x in looked]
    values = (alignment(u, v).value, uniformity(u).value, *near_of(network))
    print(f"{name:15}" + "".join(f"{value:10.2f}" for value in values))

# %% [markdown]
# The same as a picture: the cosines of 200 test pairs, and of all strangers among them. A loss that works draws the two
# curves apart.


# %%
def shares(u, v):
    """Projections of the first and the second views → how their cosines are spread, in twentieths."""
    u, v = (F.normalize(torch.from_numpy(x), dim=1).numpy() for x in (u, v))
    cosines, own = u @ v.T, np.eye(len(u), dtype=bool)
    sets = {"partners": cosines[own], "strangers": cosines[~own]}
    return {name: np.histogram(x.clip(-1, 1), EDGES)[0] / len(x) for name, x in sets.items()}


# %% tags=["nbval-ignore-output"]
# not compared: projections differ in their last digits
EDGES = np.linspace(-1, 1, 21)
middle = (EDGES[1:] + EDGES[:-1]) / 2
panels({name: (middle, shares(*VIEWED[name])) for name in VIEWED}, xlabel="cosine", ylabel="share of the pairs",
       ylim=(0, 1), alt="Four panels of two curves each, partners and strangers. With all and with two strangers the "
       "partners lie near cosine 1 and the strangers anywhere from -1 to 1; without strangers the partners are at 1 "
       "and the strangers at 1 or at -1; untrained the two curves nearly coincide.")  # fmt: skip

# %% [markdown]
# **Untrained**, the projections are spread widely (batch norm sees to that), and partners are hardly nearer than
# strangers: the two curves nearly coincide. **All strangers** brings the partners together and leaves the strangers
# apart. **No stranger**: partners are nearer than anywhere else, but most strangers now are at cosine 1 or at −1: the
# projections have fallen into two heaps opposite each other. Uniformity rises by more than 1, and colour falls to about
# 0.6. (Only batch norm, which subtracts the mean, prevents the one point.) **Two strangers** do much of the work already, about 0.8 for colour: what matters is that there are some. In the paper, larger
# batches help most when training is short; with more epochs the difference shrinks.

# %% [markdown]
# ### Write the test
#
# You have now seen half a dozen losses that run, fall, and are wrong. Write what would have caught them.

# %%
ex.TEST_NT_XENT.box()


# %% tags=["exercise:test_nt_xent"]
def test_nt_xent(nt_xent):
    """Assert what a right `nt_xent` does, and nothing that a right one might not do.

    nt_xent: a function of NumPy arrays z1, z2 (N, d) and a number tau that returns the loss
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.TEST_NT_XENT, test_nt_xent)

# %% [markdown]
# ## 9 · Real pictures
#
# Photographs have no `again`: here pixel views are all there is, and crops do the work. We cut 2,000 crops from the
# photographs of the course, take two views of each, and train the small network on them; then we ask, as in lesson 06,
# from which photograph a crop comes that lies in a region training never saw. Two controls: the network before training,
# and no network at all, the pixels themselves with their mean taken away. (All three networks are settled on the
# photographs.)

# %% tags=["nbval-ignore-output"]
# not compared: the trained network differs in its last digits
real_a, real_b = photo_crops(2000, 32, "train"), photo_crops(400, 32, "test")
jitter = {"jitter": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
on_photos, _ = run(real_a.images, real_a.images, View(32, scale=(0.3, 1.0), **jitter, grey=0.2))
on_start, on_world = (settled(network, real_a.images) for network in (untrained, trained))
mean = real_a.images.mean(axis=0)
READERS = {
    "pixels": lambda x: ((x - mean) / 255).reshape(len(x), -1).astype(np.float32),
    "random ResNet": lambda x: extract(on_start, x),
    "SimCLR on the world": lambda x: extract(on_world, x),
    "SimCLR on photographs": lambda x: extract(on_photos, x),
}

# %% tags=["nbval-ignore-output"]
# not compared: see above
photos = {}
for name, read in READERS.items():
    a, b = read(real_a.images[:600]), read(real_b.images)
    photos[name] = knn(a, real_a.labels[:600], b, real_b.labels)
    print(f"{name:22} 20 neighbours: {photos[name].value:.2f} (chance {photos[name].chance:.2f})")

# %% [markdown]
# Here pixels are a weak reader (about 0.4), the random network a better one (above 0.5), and a few seconds of SimCLR on
# the photographs themselves bring the most. Training on the world helps less: solids on a table are not grass and fur. As
# in lesson 06 a representation is good for what it was trained for. There the labels said what that was; here the choice
# of pictures and of views says it, and nobody labelled a picture. Look at what is near, below: to a crop of grass and
# stones (the fourth line), pixels find mostly printed
# letters.

# %% tags=["nbval-ignore-output"]
# not compared: features differ in their last digits
crops_asked = np.stack([real_b.images[real_b.labels == c][1] for c in (0, 2, 4, 6, 8, 10)])
readers = ("pixels", "random ResNet", "SimCLR on photographs")
pictures([neighbours(READERS[name], real_a.images, crops_asked) for name in readers], readers, columns=3,
         alt="Three blocks of six lines: a crop of a photograph and its four nearest crops from other regions, by "
         "pixels, by a random network and by SimCLR. To a crop of grass and stones the pixels find mostly "
         "printed letters, the random network stones and some print, SimCLR stones and grass only.")  # fmt: skip

# %% [markdown]
# ## The passport
#
# Two more lines in the table that grows: the network of today, and the longer-trained one.

# %% tags=["nbval-ignore-output"]
# not compared: it shows your own passport, which grows
big = [photo_crops(n, 64, split) for n, split in ((600, "train"), (360, "test"))]
ENCODERS = {"SimCLR, a little": lambda x: trained(F.avg_pool2d(x, 2)), "SimCLR, longer": longer}
passport = Passport.load()
for name, encode in ENCODERS.items():
    a, b = (extract(encode, r.images) for r in big)
    found = {factor: SCORES[name][f"{factor} probe"] for factor in FACTORS}
    real = knn(a, big[0].labels, b, big[1].labels).value
    passport.stamp(name, "07_simclr", {**found, "photographs": real})
passport.table()

# %% [markdown]
# Training longer on the world made the network far better at the world, and no better at photographs: the last column
# differs by no more than the noise of 360 crops. (Two things differ between the lines, the length and the encoder; the
# table does not say which of them matters.) What a network learns is good for what its training pictures have.

# %% tags=["nbval-ignore-output"]
# not compared: it shows your own passport, which grows
passport_picture(passport.scores(), alt="A radar of the axes shape, colour, material, size and photographs: SimCLR "
                 "trained a little reaches the rim at colour only; trained longer it is near the rim at colour, "
                 "material and size, and at two thirds for shape.")  # fmt: skip

# %% [markdown]
# ## Is it really SimCLR?
#
# The loss, its gradient and the projector are compared with lightly's and with pytorch-metric-learning's, with random
# numbers and copied weights, and with two processes that share their negatives: `tests/selfsup/test_simclr.py`.
# Published weights of that form, a torchvision ResNet under `backbone` and a `projection_head`, are loaded by

# %%
source(simclr.from_reference)

# %% [markdown]
# ## Where it comes from
#
# Hadsell, Chopra and LeCun (2006) trained with pairs: partners are pulled together, strangers pushed apart up to a
# margin. Wu et al. (2018) made every picture a class of its own, *instance discrimination*, and compared it with stored
# features of all the others. Van den Oord, Li and Vinyals (2018, CPC) named the loss *InfoNCE*: a softmax over one partner
# and many strangers; NT-Xent is one of its forms. MoCo (He et al. 2020) kept a queue of strangers, made by a slowly moving
# copy of the network, so that their number does not depend on the batch. SimCLR (Chen et al. 2020) did without any store:
# the strangers are the batch itself. What it added was to measure which views matter (crops *together with* strong
# jitter of colours), the nonlinear projector, and large batches trained for long. On ImageNet a linear probe of its
# ResNet-50 reaches 69.3 %, that of one four times as wide 76.5 %, as much as an ordinary ResNet-50 trained with all labels.
#
# That was a toy of 2,000 crops. On 10,000 pictures of CIFAR-10 and nine rounds of them (352 steps of 256), the same file
# reaches 0.480 by 20 neighbours (three seeds; random weights 0.345, centred pixels 0.398, chance 0.100), and lightly,
# a library for such methods, 0.480 with the same network, views and steps
# ([benchmarks/CIFAR.md](../benchmarks/CIFAR.md)).
#
# ## What differs from the paper
#
# * The paper trains a ResNet-50 on 1.28 million photographs of 224 pixels, 4,096 in a batch, for 100 to 1,000
#   epochs. Ours sees 2,000 pairs of 32 pixels for a few seconds.
# * The paper has no rendered pairs. Its views are crops from 8 % of the area on, strong jitter of colours, grey and blur: the
#   strongest clues of a shortcut, destroyed one by one.
# * LARS, the optimiser for huge batches, is AdamW here; batch norm takes its means on one process, theirs over all.
# * The file's header lists all of it.
#
# ## Recap
#
# | part | what for | what happens without it |
# |---|---|---|
# | two views | the only label there is | nothing to learn |
# | what the views change | says what shall be forgotten | a shortcut: the table, the mean colour |
# | strangers | keep everything from one point | partners near, and everybody else, too |
# | normalising | only directions are compared | long vectors cheat |
# | temperature | how much the hardest strangers count | all are pushed alike |
# | projector | takes the invariance upon itself | h forgets more |
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
# Every picture had to be compared with hundreds of strangers, and some of these strangers showed the same thing. Could
# one do **without strangers at all**? Partners alone collapse into one point, unless something else keeps them apart.
# And features of a *whole* picture say nothing about *where* its object is. A network that teaches itself, and whose
# attention turns out to find the objects, is DINO: the next lesson.
