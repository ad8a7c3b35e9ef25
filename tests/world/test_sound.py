"""Sound against the vibrations of the elastic solids, slow loops, and measurements of the wave."""

import hashlib
import itertools
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal import stft
from scipy.special import spherical_jn

from course_lib.world import sound
from course_lib.world.render import render
from course_lib.world.scene import MATERIALS, RADIUS, edit, sample
from course_lib.world.solids import (
    CONE_HALF,
    CONE_RADIUS,
    CUBE_HALF,
    CYLINDER_HALF,
    CYLINDER_RADIUS,
    SHAPES,
    TORUS_RING,
    TORUS_TUBE,
)

RATE = 16_000


@pytest.fixture(scope="module")
def scenes():
    return sample(range(12), seed=5)


def one(shape="sphere", material="matte", size="large"):
    """The first object of one scene, made to order."""
    return edit(sample([0]), shape=shape, material=material, size=size)


# ------------------------------------------------------------------------ the solids' vibrations


def quadrature(shape, n):
    """Points and weights that integrate over a solid, exactly for polynomials."""
    g, w = np.polynomial.legendre.leggauss(n)
    turn, turn_w = np.arange(2 * n) * (np.pi / n), np.full(2 * n, np.pi / n)
    u, u_w = (g + 1) / 2, w / 2
    if shape == "cube":
        grids, weights = (g * CUBE_HALF,) * 3, (w * CUBE_HALF,) * 3
        x, y, z = np.meshgrid(*grids, indexing="ij")
        return x.ravel(), y.ravel(), z.ravel(), np.einsum("i,j,k->ijk", *weights).ravel()
    middle, middle_w = (turn, turn_w) if shape == "torus" else (g, w)
    U, G, angle = np.meshgrid(u, middle, turn, indexing="ij")
    if shape == "sphere":
        r, z, J = U * np.sqrt(1 - G**2), U * G, U**2
    elif shape == "cylinder":
        r, z = CYLINDER_RADIUS * U, CYLINDER_HALF * G
        J = r * CYLINDER_RADIUS * CYLINDER_HALF
    elif shape == "cone":
        z, wide = CONE_HALF * G, CONE_RADIUS * (1 - G) / 2
        r, J = U * wide, U * wide * wide * CONE_HALF
    else:
        tube = TORUS_TUBE * U
        r, z = TORUS_RING + tube * np.cos(G), tube * np.sin(G)
        J = r * tube * TORUS_TUBE
    weights = np.einsum("i,j,k->ijk", u_w, middle_w, turn_w) * J
    return (r * np.cos(angle)).ravel(), (r * np.sin(angle)).ravel(), z.ravel(), weights.ravel()


def polynomials(x, y, z, degree):
    """All x^a y^b z^c up to a degree → values (N, P) and gradients 3 × (N, P)."""

    def power(v, k):
        return v**k if k >= 0 else 0 * v

    values, gradients = [], ([], [], [])
    for a, b, c in itertools.product(range(degree + 1), repeat=3):
        if a + b + c <= degree:
            values.append(x**a * y**b * z**c)
            gradients[0].append(a * power(x, a - 1) * y**b * z**c)
            gradients[1].append(b * x**a * power(y, b - 1) * z**c)
            gradients[2].append(c * x**a * y**b * power(z, c - 1))
    return np.array(values), [np.array(g) for g in gradients]


def ring_functions(x, y, z, degree):
    """The same for a ring: (r − R)^a z^b times cos or sin of m angles."""
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    rho, values, gradients = r - TORUS_RING, [], ([], [], [])
    for a, b in itertools.product(range(degree + 1), repeat=2):
        for m in range(-5, 6) if a + b <= degree else ():
            wave, slope = np.cos(m * angle), -m * np.sin(m * angle)
            if m < 0:
                wave, slope = np.sin(m * angle), m * np.cos(m * angle)
            d_r = (a * rho ** (a - 1) if a else 0 * rho) * z**b * wave
            d_angle = rho**a * z**b * slope / r
            values.append(rho**a * z**b * wave)
            gradients[0].append((d_r * x - d_angle * y) / r)
            gradients[1].append((d_r * y + d_angle * x) / r)
            gradients[2].append(rho**a * (b * z ** (b - 1) if b else 0 * z) * wave)
    return np.array(values), [np.array(g) for g in gradients]


def vibrations(shape, degree, poisson=0.3):
    """Rayleigh–Ritz: 2π f radius / c of an isotropic elastic solid with a free surface, rising."""
    x, y, z, w = quadrature(shape, degree + 5)
    F, D = (ring_functions if shape == "torus" else polynomials)(x, y, z, degree)
    _, R = np.linalg.qr((F * np.sqrt(w)).T)  # so that the mass matrix is the identity
    D = [np.linalg.solve(R.T, d) for d in D]
    G = [[(D[i] * w) @ D[j].T for j in range(3)] for i in range(3)]
    lame, P = 2 * poisson / (1 - 2 * poisson), len(F)  # in shear moduli
    K = np.zeros((3, P, 3, P))
    for i, j in itertools.product(range(3), repeat=2):
        K[i, :, j] = lame * G[i][j] + G[j][i]
        if i == j:
            K[i, :, j] += G[0][0] + G[1][1] + G[2][2]
    values = np.linalg.eigvalsh(K.reshape(3 * P, 3 * P))
    assert np.abs(values[:6]).max() < 1e-6  # six rigid motions
    return np.sqrt(values[6:])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_modes_are_the_vibrations_of_the_solid(shape):
    found = vibrations(shape, 5 if shape == "torus" else 8)
    distinct = [found[0]]
    for eta in found:
        if eta > distinct[-1] * 1.002:
            distinct.append(eta)
    assert sound.MODES[SHAPES.index(shape)] == pytest.approx(distinct[:6], rel=2e-3)


def test_the_spheres_twisting_modes_are_lambs():
    for degree, eta in ((2, sound.MODES[0, 0]), (3, sound.MODES[0, 3])):

        def free(x, n=degree):  # no stress on the surface
            return (n - 1) * spherical_jn(n, x) - x * spherical_jn(n + 1, x)

        assert brentq(free, eta - 0.2, eta + 0.2) == pytest.approx(eta, abs=1e-3)


# ---------------------------------------------------------------------------------- the wave


def test_a_wave_by_hand(scenes):
    """The formulas of the header for one object, sample by sample."""
    b, place = 3, int(scenes.count[3]) - 1
    shape, material = scenes.shape[b, place], scenes.material[b, place]
    f = [eta * 150 / (2 * math.pi * scenes.radius[b, place]) for eta in sound.MODES[shape]]
    push, friction = [(0.5e-3, 0.015), (0.13e-3, 0.0008), (0.25e-3, 0.004)][material]
    a = []
    for hz in f:  # the spectrum of (1 − cos) over one period, by a fine sum
        t = (np.arange(20000) + 0.5) / 20000 * push
        force = 1 - np.cos(2 * np.pi * t / push)
        a.append(abs((force * np.exp(-2j * np.pi * hz * t)).sum()) / force.sum())
    wave = sound.impact(scenes[b], place)[0]
    for k in (0, 1, 17, 400, 3999):
        t = k / RATE
        y = sum(
            an * math.exp(-math.pi * hz * friction * t) * math.sin(2 * math.pi * hz * t)
            for an, hz in zip(a, f, strict=True)
        )
        assert wave[k] == pytest.approx(y / sum(a), abs=1e-6)


@pytest.mark.parametrize("material", MATERIALS)
@pytest.mark.parametrize("shape", SHAPES)
def test_small_sounds_higher_than_large_by_the_ratio_of_the_radii(shape, material):
    peaks = []
    for size in ("small", "large"):
        wave = sound.impact(one(shape, material, size), seconds=2)[0]
        power = np.abs(np.fft.rfft(wave, 16 * len(wave))) ** 2
        hz = np.arange(len(power)) * RATE / (16 * len(wave))
        lowest = sound.frequencies(one(shape, material, size))[0, 0]
        near = (hz > 0.9 * lowest) & (hz < 1.08 * lowest)
        peaks.append((power * near).argmax())
    assert peaks[0] / peaks[1] == pytest.approx(RADIUS[1] / RADIUS[0], rel=0.02)


def test_the_decay_measured_from_the_wave_tells_the_material():
    rates = {}
    for material, friction in zip(MATERIALS, (0.015, 0.0008, 0.004), strict=True):
        scene = one("torus", material)
        wave, f = sound.impact(scene, seconds=3)[0], sound.frequencies(scene)[0, 0]
        t = np.arange(len(wave)) / RATE
        block = 256  # listens to the lowest mode only
        heard = (wave * np.exp(-2j * np.pi * f * t))[: len(wave) // block * block]
        level = np.abs((heard.reshape(-1, block) * np.hanning(block)).sum(axis=1))
        # Not at once: the other modes, nearby in pitch, die away first.
        first = int(0.25 / (np.pi * f * friction) * RATE / block) + 1
        last = max(first + 3, int(2 / (np.pi * f * friction) * RATE / block))
        slope = np.polyfit(np.arange(first, last) * block / RATE, np.log(level[first:last]), 1)[0]
        rates[material] = -slope / (np.pi * f)
        assert rates[material] == pytest.approx(friction, rel=0.1)
    assert rates["shiny"] < rates["striped"] < rates["matte"]


def test_a_softer_material_sounds_duller():
    def brightness(material):
        power = np.abs(np.fft.rfft(sound.impact(one("sphere", material), seconds=0.01)[0])) ** 2
        return (power * np.arange(len(power))).sum() / power.sum()

    assert brightness("matte") < brightness("striped") < brightness("shiny")


def test_it_stays_within_one_and_starts_from_silence(scenes):
    wave = sound.impact(sample(range(300)))
    assert wave.shape == (300, RATE)
    assert wave.dtype == np.float32
    assert np.abs(wave).max(axis=1).min() > 0.3
    assert np.abs(wave).max() <= 1
    assert (wave[:, 0] == 0).all()


def test_neither_colour_nor_place_on_the_table_is_heard(scenes):
    wave = sound.impact(scenes)
    changed = edit(scenes, colour="cyan", x=0.01, y=0.02)
    assert np.array_equal(wave, sound.impact(replace(changed, azimuth=changed.azimuth + 1)))
    assert not np.array_equal(wave, sound.impact(edit(scenes, material="striped", shape="torus")))


def test_modes_beyond_half_the_rate_are_silent():
    scene = one("sphere", "shiny", "small")
    f = sound.frequencies(scene)[0]
    rate = int(f[0] + f[1])  # only the lowest fits
    wave = sound.impact(scene, rate=rate)[0]
    t = np.arange(rate) / rate
    alone = np.exp(-np.pi * f[0] * 0.0008 * t) * np.sin(2 * np.pi * f[0] * t)
    assert wave == pytest.approx(alone, abs=1e-6)
    assert np.abs(sound.impact(scene, rate=int(f[0]))).max() == 0


def test_the_same_bits_in_every_batch_and_process(scenes):
    place = scenes.count - 1
    wave = sound.impact(scenes, place, seconds=0.2)
    mel = sound.mel_spectrogram(wave)
    for b in (0, 7, 11):
        alone = sound.impact(scenes[b], int(place[b]), seconds=0.2)
        assert np.array_equal(alone[0], wave[b])
        assert np.array_equal(sound.mel_spectrogram(alone)[0], mel[b])
    code = (
        "import hashlib; from course_lib.world.scene import sample; from course_lib.world import "
        "sound; s = sample(range(12), seed=5); w = sound.impact(s, s.count - 1, seconds=0.2); "
        "print(hashlib.sha256(w.tobytes() + sound.mel_spectrogram(w).tobytes()).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(wave.tobytes() + mel.tobytes()).hexdigest()


def test_all_objects_are_struck_from_left_to_right(scenes):
    wave = sound.scene_sound(scenes, gap=0.1)
    assert wave.shape == (12, 6 * 1600)
    assert np.abs(wave).max() <= 1
    masks = render(scenes, 128, ("instance",)).masks
    for b in range(12):
        column = {p: np.nonzero(masks[b, p])[1].mean() for p in range(scenes.count[b])}
        order = sorted(column, key=column.get)
        assert sound.strike_order(scenes)[b].tolist() == order + [-1] * (6 - len(order))
        by_hand = np.zeros(9600)
        for turn, p in enumerate(order):
            blow = sound.impact(scenes[b], p, seconds=(9600 - 1600 * turn) / RATE)[0]
            by_hand[1600 * turn :] += blow / 6
        assert wave[b] == pytest.approx(by_hand, abs=1e-6)


# ---------------------------------------------------------------------------------- the picture


def slow_mel(wave, rate, window, hop, mels, low, high):
    """The definition, loop by loop."""

    def mel(hz):
        return 1127.01048 * math.log(1 + hz / 700)

    def hz(mel):
        return 700 * (math.exp(mel / 1127.01048) - 1)

    corner = [hz(mel(low) + (mel(high) - mel(low)) * i / (mels + 1)) for i in range(mels + 2)]
    out = []
    for start in range(0, len(wave) - window + 1, hop):
        power = []
        for k in range(window // 2 + 1):
            re = im = 0.0
            for n in range(window):
                v = wave[start + n] * (0.5 - 0.5 * math.cos(2 * math.pi * n / window))
                re += v * math.cos(2 * math.pi * k * n / window)
                im -= v * math.sin(2 * math.pi * k * n / window)
            power.append(re * re + im * im)
        column = []
        for m in range(mels):
            left, top, right = corner[m : m + 3]
            total = 0.0
            for k, p in enumerate(power):
                f = k * rate / window
                if left <= f <= top:
                    total += p * (f - left) / (top - left)
                elif top < f <= right:
                    total += p * (right - f) / (right - top)
            column.append(total)
        out.append(column)
    return np.array(out).T


def test_the_mel_spectrogram_is_the_slow_loop():
    wave = np.random.default_rng(0).standard_normal((2, 150))
    for rate, window, hop, mels, low, high in (
        (8000, 64, 17, 5, 0, 4000),
        (1000, 33, 40, 3, 50, 480),
    ):
        ours = sound.mel_spectrogram(wave, rate, window, hop, mels, low, high)
        for b in range(2):
            slow = slow_mel(wave[b].tolist(), rate, window, hop, mels, low, high)
            assert ours[b] == pytest.approx(slow, rel=1e-4, abs=1e-6)


def test_the_spectrum_is_scipys_and_its_power_is_the_waves():
    wave = sound.impact(one("cube", "striped"), seconds=0.3).astype(float)
    window, hop = 512, 128
    _, _, theirs = stft(
        wave[0], RATE, "hann", window, window - hop, boundary=None, padded=False, scaling="spectrum"
    )
    power = np.abs(theirs * window / 2) ** 2  # SciPy divides by the window's sum
    filters = sound.mel_filters(40, window, RATE)
    ours = sound.mel_spectrogram(wave, RATE, window, hop, 40)[0]
    assert ours == pytest.approx(filters @ power, rel=1e-4, abs=1e-9)
    # Parseval: inside of the outermost corners, neighbouring triangles add up to one.
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    energy = ((wave[0, :window] * hann) ** 2).sum()
    low, high = np.argmax(filters[0]), np.argmax(filters[-1])
    assert filters.sum(axis=0)[low + 1 : high] == pytest.approx(1)
    assert ours[:, 0].sum() * 2 / window == pytest.approx(energy, rel=0.01)


def test_a_tone_lights_its_own_band():
    filters = sound.mel_filters(64, 1024, RATE)
    for band in (5, 20, 45):
        hz = filters[band].argmax() * RATE / 1024
        tone = np.sin(2 * np.pi * hz * np.arange(4000) / RATE)[None]
        mel = sound.mel_spectrogram(tone)[0]
        assert mel.argmax(axis=0).tolist() == [band] * mel.shape[1]
    # HTK's scale: 1000 Hz is 1000 mel, so the middle of 0 … 2000 mel is there.
    top = 700 * (10 ** (2000 / 2595) - 1)
    assert sound.mel_filters(1, 8192, RATE, 0, top)[0].argmax() * RATE / 8192 == pytest.approx(
        1000, abs=2
    )


def test_frames_are_counted_without_padding():
    wave = np.zeros((1, 2000))
    for n, window, hop in ((1024, 1024, 160), (1183, 1024, 160), (1184, 1024, 160), (2000, 600, 7)):
        frames = len(range(0, n - window + 1, hop))
        got = sound.mel_spectrogram(wave[:, :n], window=window, hop=hop, mels=20)
        assert got.shape == (1, 20, frames)


def test_decibels():
    power = np.array([[[1.0, 0.1, 1e-20]], [[0.0, 0.0, 0.0]]]) * 5
    assert sound.log_mel(power)[0].tolist() == [[0, pytest.approx(-10), -80]]
    assert (sound.log_mel(power)[1] == -80).all()
    assert sound.log_mel(power, floor=5)[0].tolist() == [[0, -5, -5]]


def test_pitch_and_shape_can_be_told_from_the_picture():
    """What a contrastive encoder is to hear is there: nearest neighbours find the right factor."""
    scenes = sample(range(300))
    mel = sound.log_mel(sound.mel_spectrogram(sound.impact(scenes, seconds=0.5), hop=640))
    mel = mel.reshape(300, -1)
    gap = ((mel[:, None] - mel) ** 2).sum(axis=-1)
    np.fill_diagonal(gap, np.inf)
    nearest = gap.argmin(axis=1)
    for factor, chance in (("shape", 0.2), ("material", 0.34), ("size", 0.5)):
        truth = getattr(scenes, factor)[:, 0]
        assert (truth[nearest] == truth).mean() > 0.5 + chance / 2, factor
    colour = scenes.colour[:, 0]
    assert (colour[nearest] == colour).mean() < 0.35


# ---------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: sound.impact(s, 6), "nothing can be struck at place 6"),
        (lambda s: sound.impact(s, -1), "nothing can be struck at place -1"),
        (lambda s: sound.impact(s, s.count), "nothing can be struck at place"),
        (lambda s: sound.impact(s, 0.5), "place must be a whole number"),
        (lambda s: sound.impact(s, [0, 0]), "one for each of the 12 scenes"),
        (lambda s: sound.impact(s, rate=0), "rate must be 1 to 192000"),
        (lambda s: sound.impact(s, rate=8000.5), "rate must be 1 to 192000"),
        (lambda s: sound.impact(s, seconds=float("nan")), "nan seconds"),
        (lambda s: sound.impact(s, seconds=1e9), "up to 60 seconds"),
        (lambda s: sound.scene_sound(s, gap=-1), "seconds were asked for"),
        (lambda s: sound.mel_filters(200, 512, RATE), "too many for a window of 512"),
        (lambda s: sound.mel_filters(0, 512, RATE), "must be whole"),
        (lambda s: sound.mel_filters(20, 512, RATE, 100, 9000), "high ≤ 8000 Hz"),
        (lambda s: sound.mel_spectrogram(np.zeros(5000)), "of shape \\(B, N\\)"),
        (lambda s: sound.mel_spectrogram(np.zeros((1, 5000), int)), "must be finite floats"),
        (lambda s: sound.mel_spectrogram(np.full((1, 5000), np.nan)), "must be finite floats"),
        (lambda s: sound.mel_spectrogram(np.zeros((1, 100))), "the sound has 100"),
        (lambda s: sound.mel_spectrogram(np.zeros((1, 5000)), hop=0), "hop is 0"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(scenes, call, says):
    with pytest.raises(ValueError, match=says) as error:
        call(scenes)
    assert "\n" not in str(error.value)
