# %% [markdown]
# # 01 · SIFT: a point that can be found again
#
# **Goals.** After this lesson you can
#
# 1. say why a point needs a **scale** and a **direction** of its own, and how SIFT finds both;
# 2. read every line of a complete SIFT, and rebuild its five small ideas yourself;
# 3. measure whether a feature is any good, with a baseline and a control, and say where SIFT fails.
#
# **Before.** Lesson 00, NumPy arrays, the derivative of a function. No earlier computer vision.
#
# **Minutes.** Reading 50; the seven exercises about 60 more.
#
# **In a lecture of 50 minutes:** teach *The question that was left open*, sections 1, 3 and 4 with
# their live pictures, *Measure* and *The real thing*; leave section 2, *Break it* and the exercises
# to the reader.
#
# | budget | time | peak memory |
# |---|---|---|
# | quick | 20 s | 500 MB |
# | full | the same: nothing is trained here | the same |
#
# **Licence.** Text CC BY 4.0, code MIT. The photographs are those inside scikit-image
# (`camera`: CC0; the motorcycle: Middlebury Stereo 2014); see [data/README.md](../data/README.md).

# %%
import course_lib

course_lib.require("0.1")

import cv2
import numpy as np

from course_lib.blocks.images import to_gray
from course_lib.blocks.keypoints import Keypoints
from course_lib.data.perturb import blur, relight, turn, zoom
from course_lib.data.photos import photo, stereo_motorcycle
from course_lib.features import brief, matching, scale_space, sift, surf

# %% [markdown]
# Of these, `course_lib.features` are the papers; what follows is the protocol that measures them,
# the exercises, and what draws.

# %%
from course_lib.evaluate import repeatability as protocol
from course_lib.evaluate.correspondence import project
from course_lib.exercises import sift as ex
from course_lib.exercises.engine import check, summary
from course_lib.exercises.quiz import Quiz
from course_lib.show.curves import curves, panels
from course_lib.show.images import figure, new_figure, pictures, raster
from course_lib.show.matches import draw_keypoints, draw_matches
from course_lib.show.palette import PALETTE, colour, signed
from course_lib.show.photo_input import photo_input
from course_lib.show.picker import pick
from course_lib.show.source import source
from course_lib.show.tiles import column, row, shrink
from course_lib.show.widgets import live

# %% [markdown]
# ## The question that was left open
#
# Lesson 00 ended with half a success. A patch that is *normalised* (mean 0, norm 1) is found again
# in any light. But tilt the camera, or step back, and it is lost: there is no number that one could
# subtract to undo a turn.
#
# Here is that best patch once more. We cut out the little video camera, 41 × 41 pixels, and look
# for it in three new pictures.

# %%
camera = photo("camera")
x, y, r = 280, 160, 20
patch = camera[y - r : y + r + 1, x - r : x + r + 1]


def find_by_pixels(picture):
    """The place (x, y) where the normalised pixels fit best."""
    fit = cv2.matchTemplate(picture, patch, cv2.TM_CCOEFF_NORMED)
    return np.add(cv2.minMaxLoc(fit)[3], r)


# %% [markdown]
# Two circles for each picture: where the video camera *is*, and where its pixels are found.

# %%
changes = {
    "one stop darker": relight(camera, -1),
    "turned by 30 degrees": turn(camera, np.radians(30)),
    "from farther away": zoom(camera, 0.6),
}
drawn = []
for name, (picture, H) in changes.items():
    true, found = project(H, np.array([[x, y]]))[0], find_by_pixels(picture)
    print(f"{name:21} {np.linalg.norm(found - true):4.0f} pixels off")
    for spot, ink in ((true, "sky"), (found, "yellow")):
        circle = Keypoints.at([spot], 50)
        picture = draw_keypoints(picture, circle, ink=ink, orientation=False)
    drawn.append(picture)

# %%
pictures(
    drawn,
    list(changes),
    width=7.5,
    alt="Three copies of the photograph. In the darker one the yellow circle, found by pixels, lies "
    "on the blue one, the true place; in the turned and the smaller one it lies far away.",
)

# %% [markdown]
# Blue is where the video camera is; yellow is where its pixels are said to be. Light does no harm
# any more. Distance and turn are fatal: the patch has the *wrong size* and the *wrong direction*,
# and it does not know.
#
# So a point must bring its own size and its own direction. David Lowe's answer is called SIFT, the
# *scale-invariant feature transform* (conference paper 1999, the full paper 2004), and this is what
# it can do:

# %% [markdown]
# First a bar to choose a photograph. All live pictures of this lesson listen to it. SIFT is run
# once on the chosen picture (80 keypoints, on a copy of 200 pixels, so that the sliders answer at
# once) …

# %%
photo_bar = photo_input("camera")
few = sift.Config(n_features=80)
first = {}


def remember(image):
    first["image"] = shrink(image, 200)
    first["points"], first["descriptors"] = sift.detect_and_describe(first["image"], few)


photo_bar.on_change(remember)

# %% [markdown]
# … and again on each changed copy. A match is right when it ends within 3 pixels of the true place.


# %%
def survive(image, turned, magnified, blurred, stops):
    picture, H = turn(first["image"], np.radians(turned))
    picture, Z = zoom(picture, magnified)
    picture, H = relight(blur(picture, blurred)[0], stops)[0], Z @ H
    points, descriptors = sift.detect_and_describe(picture, few)
    index = matching.cross_check(first["descriptors"], descriptors).index
    right = protocol.right_matches(first["points"], points, index, H)
    lines = draw_matches(first["image"], picture, first["points"], points, index, right, width=720)
    return lines, f"{right.sum()} of {len(right)} matches are right"


# %%
live(
    survive,
    image=photo_bar,
    turned=(0, 180, 5, 30),
    magnified=(0.4, 1.2, 0.1, 0.8),
    blurred=(0.0, 3.0, 0.25, 0.0),
    stops=(-3.0, 1.0, 0.5, -1.0),
    caption="solid blue: right · dashed orange: wrong",
    alt="The photograph beside a copy that is turned, smaller and darker, with lines between "
    "matched points: most are right.",
)

# %% [markdown]
# Move the sliders. Take your own photo: drop a file on the bar, or switch the camera on. Then break
# it: how dark, how small, how turned may the picture be?
#
# Note down where the matches die. By the end of the lesson you should be able to say *why* there.
#
# The road has four stations, and they are the four parts of this lesson: **where** is a point, and
# how large (scale space) · **which** points to trust · **which way** does it point · **what** does
# it look like (the descriptor).

# %% [markdown]
# ## 1 · Where, and how large: scale space
#
# Ask a child to point at "the interesting spots" of a picture and it will point at *things*: a
# button, a head, a dome. Things have sizes. A button vanishes when you squint; the dome does not.
#
# Squinting is blurring, so let us do it systematically. Left is the photograph under more and more
# blur; right, the **difference** between this blur and the next. Watch a thing of your choice: it
# lights up at *one* blur, its own, and is gone before and after. Circles mark the spots which SIFT
# finds at exactly this blur.

# %%
scales = {}


def build(image):
    scales["pyramid"] = list(scale_space.octaves(to_gray(image)))
    scales["points"] = sift.detect(image)


photo_bar.on_change(build)


def at_this_blur(octave, layer):
    """The keypoints of one octave and layer."""
    points = scales["points"]
    return points[(points.octave == octave.number) & (octave.layer(points.size / 2) == layer)]


# %% [markdown]
# One step of the slider: the blurred picture, and what the next blur changes in it.


# %%
def blur_step(image, step):
    octave = scales["pyramid"][: step // 3 + 1][-1]  # a small photo has fewer octaves
    layer = step % 3 + 1
    (H, W), width = image.shape[:2], 330
    size = (width, round(width * H / W))
    blurred = cv2.resize(octave.gaussians[layer], size, interpolation=cv2.INTER_AREA) / 256
    D = octave.gaussians[layer + 1] - octave.gaussians[layer]
    right = signed(cv2.resize(D, size, interpolation=cv2.INTER_AREA), limit=25)
    points = at_this_blur(octave, layer)
    shown = Keypoints.at((points.xy + 0.5) * width / W - 0.5, points.size * width / W)
    left = draw_keypoints(blurred, shown, orientation=False)
    right = draw_keypoints(right, shown, orientation=False)
    text = f"octave {octave.number}: blur {octave.scale(layer):.1f} pixels; spots: {len(points)}"
    return row([left, right]), text


# %%
live(
    blur_step,
    image=photo_bar,
    step=(0, 19, 1, 14),
    caption="right: orange is darker than its surroundings, blue is brighter",
    alt="Left the photograph blurred by 26 pixels, right the difference of two blurs, dark things "
    "in orange and bright ones in blue; one circle, around the man's head.",
)

# %% [markdown]
# At the first steps grass and windows light up; around step 8 the collar and the joints of the
# tripod; at step 14 the head, as one blob; at step 19 the whole man. Nobody told the program what a
# head is.
#
# Did you see that the pixels grow, too? A blurred picture needs fewer of them. More on that below.
#
# ### The idea in one equation
#
# Write $G(\sigma) * I$ for the picture blurred by a Gaussian of width $\sigma$. What the right side
# shows is a **difference of Gaussians**,
#
# $$D(x, y, \sigma) = G(k\sigma) * I - G(\sigma) * I \;\approx\; (k - 1)\, \sigma^2 \nabla^2 G * I,$$
#
# and a keypoint is where $D$ is extreme among its neighbours in $x$, in $y$, **and in $\sigma$**.
#
# The right-hand side says why it works. $\nabla^2$, the **Laplacian**, is the sum of two curvatures,
# from left to right and from top to bottom; on a blob both have the same sign, so it answers to
# blobs. But derivatives shrink under blur, so small blobs would always win. The factor $\sigma^2$
# makes up for that exactly (Lindeberg 1994): with it, blobs of all sizes compete fairly. And it
# comes for free, with the subtraction.

# %% [markdown]
# ### By hand
#
# Blur the bright blob 0 0 0 16 16 16 0 0 0 with the weights (1, 2, 1) / 4, twice. You need nothing
# but halves and quarters:
#
# | | | | | | | | | | |
# |---|---|---|---|---|---|---|---|---|---|
# | picture | 0 | 0 | 0 | 16 | 16 | 16 | 0 | 0 | 0 |
# | blurred once | 0 | 0 | 4 | 12 | 16 | 12 | 4 | 0 | 0 |
# | blurred twice | 0 | 1 | 5 | 11 | 14 | 11 | 5 | 1 | 0 |
# | **D** = twice − once | 0 | 1 | 1 | −1 | **−2** | −1 | 1 | 1 | 0 |
#
# $D$ is most extreme in the middle of the blob, and *negative* because the blob is bright: blurring
# takes light away from it. Check it:


# %%
def blur121(signal):
    return np.convolve(signal, [1, 2, 1], mode="same") / 4


signal = np.array([0, 0, 0, 16, 16, 16, 0, 0, 0])
once, twice = blur121(signal), blur121(blur121(signal))
print("D =", (twice - once).astype(int))

# %% [markdown]
# ### A blob answers at its own size
#
# Three grey discs, of radius 5, 10 and 20 pixels. We stand in the middle of each and turn up the
# blur. **Predict before you look:** one curve three times, or three curves? Which disc answers most
# strongly?

# %%
yy, xx = np.mgrid[-80:81, -80:81]
k = 2 ** (1 / 3)
sigmas = 1.6 * 2 ** (np.arange(28) / 6)
answers = {}
for radius in (5, 10, 20):
    disc = np.where(xx**2 + yy**2 <= radius**2, 100, 200).astype(np.float32)
    blurs = [[scale_space.blur(disc, s)[80, 80] for s in (sigma, k * sigma)] for sigma in sigmas]
    D = np.array([wide - narrow for narrow, wide in blurs])
    answers[f"radius {radius}"] = D
    own = np.sqrt(k) * sigmas[D.argmax()]
    print(f"radius {radius:2}: strongest at blur {own:4.1f}, radius / blur = {radius / own:.2f}")

# %% [markdown]
# The three answers against the blur:

# %%
curves(
    sigmas * np.sqrt(k),
    answers,
    xlabel="blur (pixels)",
    ylabel="D in the middle",
    title="A disc answers most where blur = radius / 1.4",
    alt="Three humps of equal height: the disc of radius 5 peaks at a blur of 3.6 pixels, that "
    "of radius 10 at 7.1, that of radius 20 at 14.",
)

# %% [markdown]
# Three humps, equally high: that is the $\sigma^2$ at work. And each has its top where the blur is
# the radius divided by $\sqrt 2 \approx 1.41$ (the sampled blurs hit it to 2 %: 1.39 above), so the
# top *measures the radius*. Come nearer, the disc doubles on the sensor, the top moves to twice the
# blur, and the patch that is cut out around the keypoint doubles with it. **This is scale
# invariance**, all of it.
#
# Now on real spots. Choose one (click, or arrow keys): its curve, and the maximum that gave it its
# size.


# %%
def strongest(image):
    points = sift.detect(image)
    return points[points.octave >= 0].strongest(60)


def curve_of(image, points, n):
    """|D| at keypoint n, from layer to layer, through all octaves."""
    scale, answer = [], []
    for octave in scales["pyramid"]:
        H, W = octave.gaussians.shape[1:]
        i, j = np.rint(points.xy[n] / octave.pixel).astype(int).clip(0, (W - 1, H - 1))
        D = np.diff(octave.gaussians[:, j, i])
        scale += [octave.scale(i) for i in range(3)]
        answer += list(np.abs(D[:3]))
    return np.array(scale), np.array(answer)


# %% [markdown]
# The dashed line is what SIFT says, from the parabola you will meet soon; the dots are what you
# could have read off yourself.


# %%
def draw_curve(image, points, n):
    scale, answer = curve_of(image, points, n)
    fig = new_figure(4.2, 3.0)
    ax = fig.subplots()
    ax.plot(scale, answer, "o-", color=PALETTE["blue"])
    ax.axvline(points.size[n] / 2, color=PALETTE["vermillion"], linestyle="--")
    ax.set(xscale="log", xlabel="blur (pixels)", ylabel="|D| at this spot", ylim=(0, None))
    return raster(fig), f"its scale: {points.size[n] / 2:.1f} pixels (dashed line)"


# %%
pick(
    photo_bar,
    strongest,
    draw_curve,
    start=3,
    caption="Click a circle, or use the arrow keys. Right: how strongly it answers to each blur.",
    alt="The photograph with 60 keypoints; beside it the chosen one's answer against blur: a hump "
    "whose top is marked by a dashed line at the keypoint's scale.",
)

# %% [markdown]
# Some spots have a second hump: a button on a coat on a man. SIFT makes a keypoint of each hump, if
# it is also extreme in $x$ and $y$.
#
# ### The pyramid, cheaply
#
# Blurring by 16 pixels takes a kernel of 129 numbers: the hill counts as flat beyond 4 $\sigma$, and
# 64 numbers on each side with one in the middle are 129. Two facts make it cheap:
#
# * **Variances add.** A blur of $\sigma_1$ and then one of $\sigma_2$ is one blur of
#   $\sqrt{\sigma_1^2 + \sigma_2^2}$. So each level needs only a *little* more blur than the one
#   before.
# * **A blurred picture has pixels to spare.** When the blur has doubled, every second pixel will
#   do. That is the next **octave**: a quarter of the work, and the same small kernels again.

# %% [markdown]
# **By hand:** blur by 1.6, then by 1.6 again. Is that 3.2? No: $\sqrt{1.6^2 + 1.6^2} = 2.26$. And
# to get from 1.6 to 2.26, what is needed? Again 1.6: *as much as you already have*. Look for
# yourself:

# %%
gray = to_gray(camera)
again = scale_space.blur(scale_space.blur(gray, 1.6), 1.6)
for sigma in (2.26, 3.2):
    difference = np.abs(again - scale_space.blur(gray, sigma)).max()
    print(f"1.6 and 1.6 again, against {sigma}: at most {difference:.1f} grey levels apart")

# %% [markdown]
# ### Read it: the library's own source
#
# What you see is the code that runs, not a copy. First the levels of an octave, then the octaves.

# %%
source(scale_space.build_octave)

# %% [markdown]
# Now the octaves. Where is the picture halved, and from which level?

# %%
source(scale_space.octaves)

# %% [markdown]
# Six levels give five differences, and of these the middle three have a neighbour above and below:
# three `layers` per octave, as in the paper. The photograph is doubled at the start (octave −1),
# for otherwise its finest texture would have no level below it to be compared with. Lowe reports
# almost four times as many stable keypoints by it.

# %% [markdown]
# ### ✎ Your turn: how much more blur?

# %%
ex.SIGMA_BETWEEN.box()


# %% tags=["exercise:sigma_between"]
def sigma_between(octave, level, sigma, layers):
    """Width of the Gaussian that makes level `level` of an octave out of level `level` − 1.

    octave: …, −1, 0, 1, …; level: 1, 2, …; sigma: e.g. 1.6; layers: e.g. 3
    → float, in pixels of the octave
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.SIGMA_BETWEEN, sigma_between)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Write down the blur of both levels first. Which of them is the greater?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Variances add: (what you have)² + (what you add)² = (what you want)².
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `np.sqrt(after**2 - before**2)` is in pixels of the photograph; divide by `2.0**octave`.
#
# </details>

# %%
ex.SIGMA_BETWEEN.expected()

# %% [markdown]
# `ex.SIGMA_BETWEEN.show_solution()` opens the solution after a right answer or three attempts. So
# it goes with every exercise.
#
# Did you notice that the octave cancels? Every octave uses the *same five kernels*, on pixels that
# are twice as wide. Whoever forgets that makes the commonest error in home-made SIFTs: kernels that
# grow with the octave, and blobs that are found at the wrong size.

# %% [markdown]
# ### Extreme among 26
#
# A candidate must be above (or below) all its neighbours: 8 in its own layer, 9 in the layer below,
# 9 above. The library asks the neighbours one by one, and only about the candidates that are left.
#
# To read it: `D` is laid out flat, so a neighbour is a fixed number of places away; the 26 numbers
# are `steps`. And `sign(here) * (here - neighbour) >= 0` asks of a hill "higher?" and of a valley
# "lower?" in one line.

# %%
source(sift.find_extrema)

# %% [markdown]
# ### Between the pixels
#
# In octave 3, one pixel is eight of the photograph's: "somewhere here" is not good enough. So a
# parabola is laid through the samples, and its top is the keypoint.
#
# **By hand**, in one dimension: the samples 2, **6**, 4. The slope in the middle is
# $(4 - 2) / 2 = 1$, the curvature $2 - 2 \cdot 6 + 4 = -6$. The top is where slope + curvature ·
# offset = 0:
#
# $$\text{offset} = -\frac{\text{slope}}{\text{curvature}} = -\frac{1}{-6} = +\tfrac16, \qquad
# \text{height} = 6 + \tfrac12 \cdot 1 \cdot \tfrac16 = 6 \tfrac{1}{12}.$$
#
# A little towards the 4, as it should be. In `sift.refine` the same is done in three dimensions:
# the slope becomes a gradient, the curvature a 3 × 3 matrix, the division `np.linalg.solve`.

# %%
ex.PEAK_OF_THREE.box()


# %% tags=["exercise:peak_of_three"]
def peak_of_three(before, middle, after):
    """The parabola through three samples, one step apart: where is its top, and how high?

    → (offset of the top from the middle sample, in steps; height of the top)
    """
    slope = (after - before) / 2
    curvature = before - 2 * middle + after
    offset = slope / curvature
    return offset, middle + slope * offset / 2


# %%
check(ex.PEAK_OF_THREE, peak_of_three)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Draw the points (−1, 2), (0, 6), (1, 4). On which side of 0 must the top be?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# At the top the derivative, slope + curvature · offset, is zero. Solve it for the offset.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `offset = -slope / curvature`; the rest was right.
#
# </details>

# %%
ex.PEAK_OF_THREE.expected()

# %% [markdown]
# ## 2 · Which points to trust
#
# A photograph has thousands of extrema, and most are worthless: noise on flat ground, and points on
# edges. Two tests remove them.
#
# **Contrast.** $|D|$ at the top must reach a threshold. **Predict, then run:** the photograph
# `camera` has 791 keypoints at the usual threshold, 0.04. How many are left when it is doubled to
# 0.08: about 700, 400, 200, or hardly any?

# %%
for contrast in (0.02, 0.04, 0.08, 0.16):
    count = len(sift.detect(camera, sift.Config(contrast=contrast)))
    print(f"contrast {contrast:.2f}: {count:4} keypoints")

# %% [markdown]
# About half survive; at 0.16 hardly any do. The threshold is a trade: more points or steadier
# points. Remember it when the light goes: in a picture at a quarter of the brightness every $D$ is
# a quarter, so the *same* threshold is four times as strict.

# %% [markdown]
# **Edges.** A point on an edge is extreme only *across* it. Along the edge all is alike, and the
# point slides. The **Hessian** tells: the matrix [[dxx, dxy], [dxy, dyy]] of second derivatives,
# whose two eigenvalues are the curvatures across and along. Lowe compares them without computing
# them. The **trace**, dxx + dyy, is their sum; the **determinant**, dxx · dyy − dxy², is their
# product, negative at a saddle, where the signs differ. With curvatures $a$ and $b$:
#
# $$\frac{(\text{trace})^2}{\text{determinant}} = \frac{(a + b)^2}{ab} < \frac{(r + 1)^2}{r}
# \qquad\Longleftrightarrow\qquad \tfrac1r < \tfrac ab < r, \quad r = 10.$$
#
# **By hand:** curvatures 5 and 1: $36 / 5 = 7.2$, below $121 / 10 = 12.1$: a blob. Curvatures 12
# and 1: $169 / 12 = 14.1$: an edge.

# %%
source(sift.is_no_edge)

# %% [markdown]
# ### Look inside: what is thrown away?
#
# The candidates of octave 0, in three groups. Where will the rejected edges be?

# %%
octave = next(o for o in scale_space.octaves(gray) if o.number == 0)
D = octave.differences()
position, value, hessian = sift.refine(D, sift.find_extrema(D, 0.5))
weak = np.abs(value) < 255 * 0.04 / 3
edge = ~weak & ~sift.is_no_edge(hessian, 10)
groups = [("kept", ~weak & ~edge, "sky"), ("weak", weak, "yellow"), ("edges", edge, "orange")]

# %% [markdown]
# Draw each group on its own copy (circles twice their size, to be seen):

# %%
drawn, titles = [], []
for name, chosen, ink in groups:
    blobs = Keypoints.at(position[chosen][:, :0:-1], 4 * octave.scale(position[chosen, 0]))
    drawn.append(draw_keypoints(camera, blobs, ink=ink, orientation=False))
    titles.append(f"{name}: {len(blobs)}")
pictures(
    drawn,
    titles,
    width=7.5,
    alt="Three copies of the photograph: kept blobs on the man and the skyline, "
    "weak ones strewn over coat and lawn, edges lined up along coat and tripod.",
)

# %% [markdown]
# The weak ones are strewn over coat and lawn, where there is only texture and noise. The edges line
# up along the coat and the legs of the tripod, like beads: the points that could be anywhere on the
# line.
#
# ### ✎ Your turn: a test that no edge passes
#
# Here the roles are exchanged: you do not write the function but its **test**. What it is given:
#
# * `dxx` is the curvature from left to right, `dyy` from top to bottom, `dxy` the slant;
# * the matrix [[dxx, dxy], [dxy, dyy]] has the two curvatures, across and along, as eigenvalues;
# * with dxx = dyy = $a$ they are $a$ + dxy and $a$ − dxy: (3, 3, 2.8) has the curvatures 5.8 and 0.2,
#   an edge along a diagonal.

# %%
ex.TEST_IS_BLOB.box()


# %% tags=["exercise:test_is_blob"]
def test_is_blob(is_blob):
    """Assert what a right `is_blob` does, and nothing that a right one might not do.

    is_blob: a function (dxx, dyy, dxy, ratio) of four numbers → True (blob) or False (edge, saddle)
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.TEST_IS_BLOB, test_is_blob)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Begin with two lines: 9.9 against 1 is a blob, 10.1 against 1 is not (ratio 10).
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# Add the same two with both signs turned, and a saddle: 3 against −2.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# With dxx = dyy = a the curvatures are a + dxy and a − dxy: (2, 2, 1.9) is a slanted edge, (20,
# 20, 10) a blob. Then ratio 3: 2.9 against 1, 3.1 against 1.
#
# </details>

# %% [markdown]
# ### Look inside: sizes
#
# How large are the keypoints of a photograph? **Guess** first: each octave has a quarter of the
# pixels of the one before. How many of the 791 keypoints come from octave −1?

# %%
points = sift.detect(camera)
octaves, counts = np.unique(points.octave, return_counts=True)
fig = new_figure(7, 2.6)
ax = fig.subplots()
bars = ax.bar(octaves, counts, color=PALETTE["sky"], edgecolor=PALETTE["blue"])
ax.bar_label(bars)
ax.set(xlabel="octave (pixels of width 2^octave)", ylabel="keypoints")
figure(fig, alt="Keypoints by octave: 560 in octave -1, then 137, 63, 17, 10, 3 and 1.")

# %% [markdown]
# Seven of ten keypoints are hardly larger than a pixel. They are cheap, many, and precise. Whether
# they are *steady* will be seen when the picture becomes noisy.

# %% [markdown]
# ## 3 · Which way does it point?
#
# A keypoint knows its place and size. When the camera is tilted, its patch turns. So SIFT lets the
# patch itself say which way it points: every pixel has a **gradient**, and the most frequent
# direction wins.
#
# Into a circle of 36 bins, each pixel votes for its gradient's direction, with a weight: the
# gradient's length times a Gaussian window. The highest bin is the keypoint's angle; each other
# *local peak* of at least 80 % of it becomes **another keypoint** at the same place.

# %% [markdown]
# **By hand**, with 8 bins of 45° and no window. The patch has four inner pixels:
#
# | | | | |
# |---|---|---|---|
# | 0 | 0 | 4 | 3 |
# | 0 | **0** | **3** | 3 |
# | 0 | **0** | **3** | 7 |
# | 0 | 4 | 3 | 7 |
#
# Right minus left, lower minus upper: upper left pixel (3, 0), length 3, angle 0°: bin 0. Upper
# right (3, −1): length 3.16, angle −18.4°, that is 341.6°, and nearest to… **bin 0**, for a circle
# has no end. Lower left (3, 4): length 5, 53.1°: bin 1. Lower right (7, 0): length 7, bin 0.
#
# Bin 0 collects 3 + 3.16 + 7 = 13.16, bin 1 collects 5. The patch points to 0°.

# %% [markdown]
# ### ✎ Your turn: the histogram of directions

# %%
ex.ORIENTATION_HISTOGRAM.box()


# %% tags=["exercise:orientation_histogram"]
def orientation_histogram(patch, bins):
    """Directions of the gradients of a patch, each voting with its length.

    patch: (H, W) float → (bins,) float. Gradients are differences of the two neighbours, at the
    (H − 2, W − 2) inner pixels; bin k is *centred* on the angle 2πk / bins, from x towards y.
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.ORIENTATION_HISTOGRAM, orientation_histogram)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `patch[1:-1, 2:] - patch[1:-1, :-2]` is dx at every inner pixel. What is dy?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `np.arctan2(dy, dx) / (2 * np.pi)` is the direction in turns; times `bins`, rounded, it is the
# bin, if you take it modulo `bins`.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# `np.bincount(which.ravel(), weights.ravel(), bins)` sums the votes of each bin. If it complains of
# negative elements: `arctan2` gives −π to π, and `% bins` brings the negative bins round.
#
# </details>

# %%
ex.ORIENTATION_HISTOGRAM.expected()

# %% [markdown]
# ### Look inside: one patch, two directions
#
# Here is the real thing for a keypoint with two angles, straight from the library's `windows`,
# which hands out the gradients around a keypoint. The dashed circle is 80 % of the highest bin.

# %%
octave = next(o for o in scale_space.octaves(gray) if o.number == 0)
blobs = sift.find_blobs(octave, sift.Config())
angles = sift.orient(octave, blobs)
places, times = np.unique(angles.xy, axis=0, return_counts=True)
n = np.flatnonzero((blobs.xy == places[times.argmax()]).all(axis=1))[0]
one = blobs[[n]]
own = angles.angle[(angles.xy == one.xy).all(axis=1)]
print("two directions:", *np.degrees(own).round().astype(int))

# %% [markdown]
# Its votes, counted by ourselves, with a Gaussian window of 1.5 scales as in the paper, and
# smoothed as the library does.

# %%
window = 1.5 * one.size / 2
_, dx, dy, length, angle = next(sift.windows(octave, one, np.rint(3 * window)))
votes = np.bincount(
    np.rint(angle[0] * 36 / (2 * np.pi)).astype(int) % 36,
    length[0] * np.exp(-(dx**2 + dy**2) / (2 * window**2)),
    36,
)
smooth = sum(w * np.roll(votes, s) for s, w in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True)) / 16

# %% [markdown]
# The patch beside its votes. Orange: the two angles that `sift.orient` returned.

# %%
cx, cy = one.xy[0].astype(int)
cut = camera[cy - 15 : cy + 16, cx - 15 : cx + 16]
fig = new_figure(7, 3.2)
left, right = fig.add_subplot(1, 2, 1), fig.add_subplot(1, 2, 2, projection="polar")
left.imshow(cut, extent=(-15.5, 15.5, 15.5, -15.5))
left.set(title="the patch", xticks=[], yticks=[])
right.set(theta_direction=-1, yticks=[], title="votes of its gradients")
right.bar(np.arange(36) * np.pi / 18, smooth, width=0.16, color=PALETTE["sky"])
right.plot(np.linspace(0, 2 * np.pi, 99), np.full(99, 0.8 * smooth.max()), "k--", linewidth=1)
for a in own:
    left.arrow(0, 0, 11 * np.cos(a), 11 * np.sin(a), color=PALETTE["orange"], width=0.5)

# %%
figure(
    fig,
    alt="A patch with two orange arrows, and the circular histogram of its gradients, "
    "whose peaks beyond the dashed circle point the same ways.",
)

# %% [markdown]
# Which of them would win in a noisier picture? A toss-up. So SIFT keeps both, and whichever wins
# there finds its partner here. It costs some duplicates:

# %%
points = sift.detect(camera)
spots = len(np.unique(points.xy, axis=0))
print(f"{len(points)} keypoints at {spots} spots: {len(points) / spots:.2f} directions a spot")

# %% [markdown]
# Lowe (2004, section 5) reports that about 15 % of the points have several directions, and that
# they matter much for the stability of matching.

# %% [markdown]
# Now read how the library does it, for all keypoints of an octave at once. Where are the window,
# the wrap-around, the 80 %, the parabola?

# %%
source(sift.orient)

# %% [markdown]
# ### Do the keypoints keep their word?
#
# A keypoint claims a size and an angle. Hold it to that: photograph the scene at half size, and
# turned by 30°. Of two keypoints that are rightly matched, the sizes must have the ratio 2, and the
# angles must differ by 30°.


# %%
def matched_pairs(picture, H):
    """Keypoints of `camera` and of the picture that are rightly matched, in the same order."""
    (a, da), (b, db) = sift.detect_and_describe(camera), sift.detect_and_describe(picture)
    index = matching.cross_check(da, db).index
    index = index[protocol.right_matches(a, b, index, H)]
    return a[index[:, 0]], b[index[:, 1]]


a, b = matched_pairs(*zoom(camera, 0.5))
ratio = a.size / b.size
a, b = matched_pairs(*turn(camera, np.radians(30)))
angle = np.degrees(b.angle - a.angle) % 360
print(f"size ratio: median {np.median(ratio):.2f}, {np.mean(abs(ratio - 2) < 0.2):.0%} within 0.2")
print(f"angle: median {np.median(angle):.1f} degrees, {np.mean(abs(angle - 30) < 5):.0%} within 5")

# %% [markdown]
# They do. From here on, the rest of the computer may forget that a camera moves.

# %% [markdown]
# ## 4 · What does it look like: the descriptor
#
# Place, size, direction: now the patch can be cut out *upright and at standard size*, whatever the
# camera did. ("Upright" means: turned so that the keypoint's direction points to the right.) What
# remains is to describe it so that a slightly wrong place, and another light, change little.
#
# Not its pixels, but **histograms of its gradient directions**: a grid of 4 × 4 cells, 8 directions
# each, $4 \cdot 4 \cdot 8 = 128$ numbers. Within a cell an edge may move without any change: the
# same trick as in the complex cells of the visual cortex, says Lowe, who names Edelman, Intrator
# and Poggio (1997) as his source.
#
# Small functions draw what happens: the upright patch, its gradients, the 16 histograms. The next
# five code cells hold them and no more. They are folded: click on the three dots to see them.

# %% jupyter={"source_hidden": true}
SIDE = 240  # pixels of each of the four pictures below; a patch is 12 scales wide


def upright_patch(image, points, n):
    """The patch of keypoint n, turned upright, SIDE × SIDE."""
    c, s = np.cos(points.angle[n]), np.sin(points.angle[n])
    A = 6 * points.size[n] / SIDE * np.array([[c, -s], [s, c]])
    start = points.xy[n] - A @ np.full(2, (SIDE - 1) / 2)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    M = np.column_stack([A, start])
    return cv2.warpAffine(image, M, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REFLECT)


# %% [markdown]
# Arrows and the 4 × 4 grid:


# %% jupyter={"source_hidden": true}
def draw_arrows(tile, xy, vectors, ink):
    """Arrows from xy (N, 2) along vectors (N, 2), onto a copy of the tile."""
    tile = tile.copy()
    for start, end in zip(xy, xy + vectors, strict=True):
        a, b = (tuple(np.rint(p * 16).astype(int).tolist()) for p in (start, end))
        cv2.arrowedLine(tile, a, b, colour(ink), 1, cv2.LINE_AA, 4, tipLength=0.25)
    return tile


def with_grid(tile):
    tile = tile.copy()
    tile[:: SIDE // 4], tile[:, :: SIDE // 4] = colour("yellow"), colour("yellow")
    return tile


# %% [markdown]
# The gradients, taken at the blur of the keypoint's own level (a scale is a twelfth of the patch):


# %% jupyter={"source_hidden": true}
def gradient_tile(patch):
    """16 × 16 gradients of the patch, at the blur where SIFT takes them."""
    blurred = scale_space.blur(to_gray(patch), SIDE / 12)
    gy, gx = np.gradient(blurred)
    yy, xx = np.mgrid[8 : SIDE - 7 : 15, 8 : SIDE - 7 : 15].reshape(2, -1)
    vectors = np.column_stack([gx[yy, xx], gy[yy, xx]])
    longest = max(np.linalg.norm(vectors, axis=1).max(), 1e-6)
    ground = np.repeat((160 + blurred / 3).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return draw_arrows(ground, np.column_stack([xx, yy]), 18 * vectors / longest, "blue")


# %% [markdown]
# The descriptor, drawn twice: sixteen roses, one a cell …


# %% jupyter={"source_hidden": true}
def rose_tile(descriptor):
    """The 128 numbers as 16 roses: a spoke for each direction, as long as its number."""
    cell = SIDE // 4
    cy, cx = np.mgrid[0:4, 0:4].reshape(2, -1) * cell + cell // 2
    angle = -np.arange(8) * np.pi / 4  # the bins run against the clock, as OpenCV's do
    spokes = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vectors = descriptor.reshape(16, 8, 1) / 255 * 0.7 * cell * spokes
    start = np.repeat(np.column_stack([cx, cy]), 8, axis=0)
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    return draw_arrows(white, start, vectors.reshape(-1, 2), "black")


# %% [markdown]
# … and 128 bars, as they are stored.


# %% jupyter={"source_hidden": true}
def bar_tile(descriptor):
    """The same 128 numbers in a row; the colour changes with the cell."""
    tile = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for i, value in enumerate(descriptor):
        left, top = 8 + round(1.75 * i), round(SIDE - 10 - 1.2 * min(value, 180))
        ink = colour(["blue", "orange"][i // 8 % 2])
        cv2.rectangle(tile, (left, top), (left + 1, SIDE - 10), ink, -1)
    return tile


# %% [markdown]
# ### Click a keypoint
#
# Top: the patch as SIFT sees it, upright, with the 4 × 4 grid; and its gradients. Bottom: the 16
# histograms as roses; and the 128 numbers in a row. Choose some keypoints (click, or arrow keys), a
# small one, a large one, the same corner of two windows. Then look up: is the patch recognisable?

# %% [markdown]
# Now put together: find 150 keypoints once, and draw the one that is chosen.

# %%
described = {}


def find(image):
    points, described["D"] = sift.detect_and_describe(image, sift.Config(n_features=150))
    return points


def detail(image, points, n):
    patch, descriptor = upright_patch(image, points, n), described["D"][n]
    top = row([with_grid(patch), with_grid(gradient_tile(patch))])
    bottom = row([with_grid(rose_tile(descriptor)), bar_tile(descriptor)])
    words = f"scale {points.size[n] / 2:.1f} pixels, angle {np.degrees(points.angle[n]):.0f}°"
    return column([top, bottom]), words


# %%
pick(
    photo_bar,
    find,
    detail,
    start=31,
    caption="Click a circle, or use the arrow keys. Right: patch, gradients, roses, 128 numbers.",
    alt="The photograph with 150 keypoints; beside it the chosen one's upright patch with a grid, "
    "its gradients, sixteen roses of directions, and 128 bars.",
)

# %% [markdown]
# **Soft votes.** A gradient at the border of two cells would flip from one to the other at the
# slightest shift, so it votes for both, in proportion: for two columns, two rows and two
# directions, eight bins together (*trilinear interpolation*). In the library the three shares are
# three `hat` functions, and all votes of a keypoint are one matrix product.
#
# To read it: `u, v` is a sample's place in the turned patch, counted in cells from its middle;
# `turn` is its direction in bins, counted from the keypoint's own. Then `where` holds its shares in
# the 16 cells, `which` its shares in the 8 directions, and `@` adds up all samples.

# %%
source(sift.gradient_histograms)

# %% [markdown]
# **Light.** What is *added* to all pixels vanishes in the gradients. What *multiplies* them
# multiplies all 128 numbers, so the vector is brought to length 1. And a *glint* or hard shadow,
# which fills a few numbers with huge values, is cut: no number above 0.2; then length 1 again.
#
# **By hand:** 127 numbers are 1 and one is 40. The length is $\sqrt{127 + 1600} = 41.6$, so the
# glint is 0.963 and each other number 0.024. Of the *squared* length, the glint has 93 %. Cut to
# 0.2, the new length is $\sqrt{127 \cdot 0.024^2 + 0.04} = 0.337$, and the glint is left with
# $(0.2 / 0.337)^2 = 35$ %. The other 127 numbers can be heard again.

# %%
glint = np.ones((1, 128), np.float32)
glint[0, 77] = 40
unit = sift.normalise(glint)[0] / 512
print(f"share of the glint: {unit[77] ** 2 / (unit**2).sum():.2f}")

# %% [markdown]
# Here it says 0.27, not 0.35? The library stores whole numbers up to 255, as OpenCV does, and
# $255 / 512 = 0.498$ is the most that fits. Even the rounding of a library is part of its method.
#
# ### ✎ Your turn: normalise, cut, normalise

# %%
ex.FINISH.box()


# %% tags=["exercise:finish"]
def finish(histograms):
    """Normalise, clip, normalise: what makes 128 sums of gradients a descriptor.

    histograms: (N, D) float, not negative → (N, D) float. Each row is brought to length 1, its
    numbers above 0.2 are lowered to 0.2, and it is brought to length 1 again. A row of zeros
    stays zero.
    """
    raise NotImplementedError  # replace this line


# %%
check(ex.FINISH, finish)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `np.linalg.norm(histograms, axis=1, keepdims=True)` has the shape (N, 1), one a row.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `np.minimum(rows, 0.2)` cuts; then do the first step once more.
#
# </details>
#
# <details><summary>Hint 3</summary>
#
# Guard both divisions: `rows / np.maximum(length, 1e-7)`.
#
# </details>

# %%
ex.FINISH.expected()

# %% [markdown]
# ### Predict, then run: three lights
#
# The same keypoints are described three times: in the picture + 40, in the picture × 0.5, and in
# the picture × 1.5. Values above 255 are cut off, as in any camera. **Predict** the cosine between
# old and new descriptor (1: the same, 0: nothing in common). Which of the three does harm?

# %%
points, before = sift.detect_and_describe(camera)
for name, factor, more in [("+ 40", 1.0, 40), ("x 0.5", 0.5, 0), ("x 1.5", 1.5, 0)]:
    lit = np.rint(camera * factor + more).clip(0, 255).astype(np.uint8)
    after = sift.describe(lit, points)
    lengths = np.linalg.norm(before, axis=1) * np.maximum(np.linalg.norm(after, axis=1), 1)
    cosine = (before * after).sum(axis=1) / lengths
    print(
        f"{name:5}: {100 * np.mean(cosine > 0.95):3.0f} % of the descriptors stay "
        f"(cosine above 0.95); {100 * (lit == 255).mean():2.0f} % of the pixels are white"
    )

# %% [markdown]
# A change of light that follows the rules does nothing. What does harm is *clipping*: where the sky
# has become plain white, the gradients are gone, and no normalising brings them back.

# %%
ex.BREAKER.box()

# %% tags=["exercise:breaker"]
breaker = None  # one of "darker", "washed out", "mirrored", "turned"

# %%
check(ex.BREAKER, breaker)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# The descriptor is made of gradient *directions*, in a frame that turns with the patch. Go through
# the four: does the frame follow?
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# No turn makes a left glove a right one.
#
# </details>

# %% [markdown]
# ## Measure: the common protocol
#
# Pictures persuade, numbers decide. Every method of this course is measured in the same way, by the
# protocol that you met in lesson 00. A photograph is turned, zoomed, blurred, relit, and made noisy,
# by known amounts. Every method keeps its 200 strongest keypoints of what both pictures show.
#
# * **Repeatability**: the share of keypoints that are found again within 3 pixels. It judges the
#   *detector*.
# * **Matching score**: the share of keypoints whose descriptors are each other's nearest *and*
#   right. It judges *everything*.
# * **Chance**: as many random points, the control. Any detector that cannot beat it is useless.
#
# SURF and BRIEF are the next two lessons. Here they are runners in the other lanes.


# %%
def by_distance(a, b):
    return matching.cross_check(a, b).index


def by_bits(a, b):
    return matching.cross_check(a, b, "hamming").index


methods = {
    "SIFT": (sift.detect_and_describe, by_distance),
    "SURF": (surf.detect_and_describe, by_distance),
    "BRIEF": (brief.detect_and_describe, by_bits),
}
measured = protocol.standard_curves(camera, methods, long_side=320, n=200)

# %% [markdown]
# First the detectors, the curves of lesson 00 again: are the same spots found?

# %%
labels = {name: c.xlabel for name, c in measured.items()}
panels(
    {name: (c.axis, c.repeatability) for name, c in measured.items()},
    xlabel=labels,
    ylabel="repeatability",
    chance={n: c.chance for n, c in measured.items()},
    alt="Repeatability of SIFT, SURF and BRIEF's corners under five changes: all far above the "
    "dotted line of random points; SIFT is the lowest under blur and noise.",
)

# %% [markdown]
# Then detector and descriptor together: does each find its own partner?

# %%
panels(
    {name: (c.axis, c.matching) for name, c in measured.items()},
    xlabel=labels,
    ylabel="matching score",
    alt="Matching score under five changes: SIFT keeps seven tenths at any turn, SURF less, "
    "BRIEF nothing from 30 degrees on; under noise SIFT is the lowest.",
)

# %% [markdown]
# Three points of these curves as numbers:

# %%
for name, at in [("turn", 2), ("zoom", 1), ("noise", 3)]:
    c = measured[name]
    scores = ", ".join(f"{method} {c.matching[method][at]:.2f}" for method in methods)
    print(f"{c.xlabel} {c.axis[at]:.1f}: {scores}; found by chance {c.chance[at]:.2f}")

# %% [markdown]
# Read the panels as a buyer would.
#
# * **Turn**: SIFT was built for this, and keeps seven of ten at any angle. BRIEF has no direction:
#   at 30° its score is next to nothing (0.05). (At 90° the pixels merely change places, which
#   flatters SURF.)
# * **Zoom**: SIFT and SURF, which measure scale, keep about half. BRIEF does not, and is dead at
#   half size.
# * **Noise and blur**: SIFT is the *last* of the three. Seven of ten keypoints come from the
#   doubled picture, where a blob is hardly larger than a pixel; and that is the scale of noise.
# * **Light**: darkness costs keypoints, not matches. Too much light clips the sky to white: all
#   fall.
#
# There is no best feature, only a best one *for what your camera will do*.

# %% [markdown]
# ## Break it
#
# Is every part of SIFT worth its price? Take one out and measure again. Each switch replaces **one
# function** of `sift` by a simpler one while the `with` block runs. Here are the simpler ones, and
# what each part is replaced by:

# %%
for replacement in (ex.upright, ex.one_octave, ex.raw, ex.uncut):
    print(source(replacement).text, end="\n\n\n")
print(source(ex, "SWITCHES").text)

# %% [markdown]
# The yardstick is the simplest one, the percentage of matches that are right:

# %%
print(source(ex.share_right).text)

# %% [markdown]
# **Predict:** without orientation, at which turn do the matches die: 5°, 20°, 45°, 90°?

# %%
small = shrink(camera, 320)
degrees = [0, 10, 20, 30, 45, 60, 90]
shares = {"whole SIFT": [], "no orientation": []}
for d in degrees:
    picture, H = turn(small, np.radians(d))
    shares["whole SIFT"].append(ex.share_right(small, picture, H))
    with ex.without("orientation"):
        shares["no orientation"].append(ex.share_right(small, picture, H))
for name, percent in shares.items():
    print(f"{name:14}", *(f"{p:4}" for p in percent))

# %% [markdown]
# The curve of the ablation:

# %%
curves(
    degrees,
    shares,
    xlabel="turned by (°)",
    ylabel="right matches (%)",
    ylim=(0, 100),
    alt="Percentage of right matches against the turn: whole SIFT stays near 90; without "
    "orientation it falls from 100 through about 75 at 20 degrees to nothing at 45.",
)

# %% [markdown]
# A turn of 10° is forgiven: the histograms are that soft. At 30° one match in six is right, from
# 45° on none. But look at the left end, too: **when nothing turns, the plain one is as good**, and
# it has fewer duplicates. If your camera stands on a tripod, leave the orientation out. SURF will
# call that "upright".
#
# And the cut at 0.2? We will ask it on the real pair below, where light and viewpoint are not made
# by us.
#
# ### ✎ Your turn: two more switches

# %%
ex.COSTS.box()

# %% tags=["exercise:costs"]
costs = [None, None, None, None]

# %%
check(ex.COSTS, costs)

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A switch is a `with` block: `with ex.without('octaves'):`, and in it, indented,
# `ex.share_right(…)`.
#
# </details>
#
# <details><summary>Hint 2</summary>
#
# `changed, H = zoom(camera, 0.5)`, then `ex.share_right(camera, changed, H)`.
#
# </details>

# %% [markdown]
# ## The real thing: two views of a motorcycle
#
# So far we made the second picture ourselves, and knew the answer by construction. Now two real
# photographs, from two cameras side by side. Patterns of light, thrown onto the scene (Middlebury
# Stereo 2014), measured for nearly every pixel where it lies in the other picture: so we can count.
#
# A match is **right** if it lies in the same row (± 1 pixel) and at the measured disparity (± 1.5).
# Beside ours runs **OpenCV's SIFT**, the tool you would use at work. The control: descriptors of
# the second picture **shuffled**, so that each belongs to a wrong keypoint.

# %%
pair = stereo_motorcycle()
ours = [sift.detect_and_describe(view) for view in (pair.left, pair.right)]
opencv = cv2.SIFT_create()
theirs = []
for view in (pair.left, pair.right):
    found, descriptors = opencv.detectAndCompute(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), None)
    theirs.append((Keypoints.from_cv2(found), descriptors))
rng = np.random.default_rng(0)
control = [ours[0], (ours[1][0], rng.permutation(ours[1][1]))]

# %% [markdown]
# Two ways to match, three sets of features; counted are the matches whose depth was measured:


# %%
def judged(features, match):
    """→ the matches, and which are right among those with measured depth."""
    (left, a), (right, b) = features
    index = match(a, b).index
    verdict = protocol.stereo_correct(left, right, index, pair.disparity)
    return index[verdict.measured], verdict.right[verdict.measured]


kept = {}
for name, features in {"ours": ours, "OpenCV": theirs, "shuffled": control}.items():
    for match in (matching.nearest, matching.ratio_test):
        kept[name, match.__name__] = index, right = judged(features, match)
        print(f"{name:8} {match.__name__:10} {len(right):4} matches, {right.mean():4.0%} right")

# %% [markdown]
# And now look at 80 of them, the wrong ones dashed:

# %%
index, right = kept["ours", "ratio_test"]
drawn = draw_matches(pair.left, pair.right, ours[0][0], ours[1][0], index, right, limit=80)
pictures(
    drawn,
    alt="The two views of the motorcycle with 80 matches: level blue lines are right, a "
    "minority of dashed orange ones are wrong.",
)

# %% [markdown]
# How wrong are the wrong ones?

# %%
left, right_view = ours[0][0].xy[index[~right, 0]], ours[1][0].xy[index[~right, 1]]
cx, cy = np.rint(left).astype(int).T
left[:, 0] -= pair.disparity[cy, cx]
miss = np.linalg.norm(left - right_view, axis=1)
print(
    f"{len(miss)} wrong ones: {np.mean(miss < 5):.0%} miss by less than 5 pixels, "
    f"{np.mean(miss > 50):.0%} by more than 50"
)

# %% [markdown]
# Four things to see.
#
# 1. **Ours and OpenCV's agree** to a percent. That is what "proven equal to the reference" means
#    here.
# 2. Taking every nearest neighbour, most are wrong: *a nearest neighbour always exists*. The ratio
#    test keeps those whose second-best is clearly worse. Lesson 04 is about this.
# 3. The control is at 0 %: the measurement does not hand out points for nothing.
# 4. Of the wrong ones nearly half miss by less than 5 pixels: the right object, a little along its
#    edge, or the next spoke. Only one in six is altogether lost.

# %% [markdown]
# ## The tool for work: OpenCV
#
# `cv2.SIFT_create()` is fast C++, and the one to use. How far does ours agree with it, keypoint by
# keypoint?

# %%
a, b = ours[0][0], theirs[0][0]
distance = np.linalg.norm(a.xy[:, None] - b.xy[None], axis=2)
size = np.abs(np.log(a.size[:, None] / b.size[None])) < np.log(1.2)
same = (distance < 1) & size
print(f"ours: {len(a)} keypoints, OpenCV: {len(b)}")
print(f"OpenCV has {same.any(axis=1).mean():.1%} of ours, we {same.any(axis=0).mean():.1%} of its")

# %% [markdown]
# And the descriptors? We describe OpenCV's own keypoints with our code and compare:

# %%
on_its_points, its = sift.describe(pair.left, b), theirs[0][1]
cosine = (on_its_points * its).sum(axis=1)
cosine /= np.linalg.norm(on_its_points, axis=1) * np.linalg.norm(its, axis=1)
print(f"descriptors on OpenCV's own keypoints: median cosine {np.median(cosine):.3f}")

# %% [markdown]
# Within 1 pixel and 20 % of scale they have the same keypoints, and the descriptors are the same
# vectors. The recipe at work is three lines:
#
# ```python
# detector = cv2.SIFT_create()
# keypoints, descriptors = detector.detectAndCompute(gray, None)
# matches = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(descriptors, other_descriptors)
# ```
#
# Mind three traps: OpenCV's angles are in **degrees**, its `size` is a **diameter** (twice the
# scale), and `octave` packs three numbers into one.
#
# **Is it free?** SIFT was patented (US 6,711,293, filed 6 March 2000). The patent expired in March
# 2020; since OpenCV 4.4 SIFT lives in the main module, and anybody may use it.

# %% [markdown]
# ### RootSIFT: one line better
#
# Arandjelović and Zisserman (2012) divide the descriptor by its *sum* and take the root of every
# number. The Euclidean distance then compares histograms as histograms should be compared (it
# becomes the Hellinger distance). Does it help here?

# %%
source(sift.root)

# %% [markdown]
# The roots on the real pair; and the descriptor whose numbers are never cut, the ablation we still
# owe:

# %%
rooted = [(points, sift.root(descriptors)) for points, descriptors in ours]
with ex.without("cut"):
    views = zip((pair.left, pair.right), ours, strict=True)
    never_cut = [(points, sift.describe(view, points)) for view, (points, _) in views]
for name, features in {"SIFT": ours, "RootSIFT": rooted, "never cut": never_cut}.items():
    _, right = judged(features, matching.ratio_test)
    print(f"{name:9} {right.sum()} right matches, {right.mean():.1%} of those measured")

# %% [markdown]
# RootSIFT finds more right matches, and a larger share of them is right: for one line. The famous
# cut is worth little here, 19 right matches of 822: both views were taken in the same light, and
# there is little to protect against. Measure before you believe, the classics too.

# %% [markdown]
# ## What differs from the paper
#
# The library follows OpenCV where OpenCV departs from Lowe (2004), so that the two can be held
# against each other:
#
# * the contrast threshold is 0.04 / 3 ≈ 0.013, not 0.03, and candidates below half of that are
#   never looked at: more keypoints than in the paper;
# * extrema within 5 pixels of the border are left out, and refinement stops after five steps;
# * the orientation histogram is smoothed before its peaks are taken;
# * windows are centred on the nearest pixel; descriptors are whole numbers from 0 to 255;
# * doubling the picture shifts all positions by ¼ pixel, a bias that OpenCV has, too;
#   `Config(precise_upscale=True)` removes it.
#
# And what Lowe's paper has besides: recognising objects with a Hough transform, and a fast
# approximate search for neighbours (*best bin first*). Lesson 04 takes another way, RANSAC.

# %% [markdown]
# All the numbers that one can turn are in one place:

# %%
source(sift.Config)

# %% [markdown]
# ## Recap
#
# | station | idea | what it is invariant to |
# |---|---|---|
# | scale space | extreme in $x$, $y$ and $\sigma$ | distance |
# | tests | contrast, and curvatures alike | (trust, not invariance) |
# | orientation | the most frequent gradient direction | turning |
# | descriptor | 4 × 4 × 8 soft histograms | small shifts |
# | normalising | length 1, cut at 0.2, length 1 | light |
#
# And *not* invariant to: mirrors, clipped light, strong noise, and views from a very different
# angle.

# %%
Quiz(ex.QUIZ)

# %% [markdown]
# And where you stand:

# %%
summary(ex)

# %% [markdown]
# ## The question left open
#
# Before a single keypoint is known, SIFT has blurred a picture of four times the photograph's
# pixels five times, and then every smaller octave. And the wider a Gaussian, the more pixels it
# must visit.
#
# A Gaussian is a smooth hill. One might replace it by a **box**, the crudest of all filters; and
# the sum over a box of *any* size takes just four look-ups, if one prepares the picture well.
#
# Can a feature made of boxes be as good? And how does one sum a thousand pixels with four look-ups?
# That is [lesson 02, SURF](02_surf.ipynb).
