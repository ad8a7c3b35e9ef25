"""The sound of an object that is struck, and the mel spectrogram of a sound.

    wave = impact(scenes, place=0)          float32 (B, 16000), one second
    picture = log_mel(mel_spectrogram(wave))   float32 (B, 64, 94)

van den Doel and Pai: The sounds of physical shapes, Presence 1998: an impact is a sum of modes,
    y(t) = Σₙ aₙ exp(−dₙ t) sin(2π fₙ t).
Each factor of an object is heard in its own way:
    shape     ratios of the frequencies: the free vibrations of the elastic solid itself
    size      pitch: fₙ = ηₙ c / (2π radius)
    material  decay: dₙ = π fₙ tan φ (Wildes and Richards, 1988), the same tan φ at every frequency;
              and brightness: aₙ is the spectrum at fₙ of a push (one period of 1 − cos) that lasts
              the longer the softer the material is
    colour    not at all
Differs from the real world: where the blow falls is not modelled, every mode is struck equally; and
the wave speed c is one for all materials and far below that of glass, which at this size would
ring higher than we hear.
"""

from __future__ import annotations

import numpy as np

from course_lib.world import camera
from course_lib.world.scene import MOST, Scenes

# η = 2π f radius / c of each solid's six lowest distinct vibrations (Poisson's ratio 0.3), by the
# Rayleigh–Ritz method (Visscher et al., JASA 1991), which tests/world/test_sound.py repeats.
MODES = np.array([
    (2.501, 2.646, 3.530, 3.865, 3.937, 4.996),  # sphere: Lamb (1882) has them in closed form
    (1.785, 2.404, 2.445, 2.777, 2.858, 2.996),  # cube
    (1.848, 2.254, 2.768, 2.822, 2.834, 3.175),  # cylinder
    (2.043, 2.099, 2.808, 2.834, 3.033, 3.271),  # cone
    (1.008, 1.235, 1.726, 2.304, 2.395, 2.503),  # torus
])  # fmt: skip
WAVE_SPEED = 150.0  # c, metres a second: of transverse waves in the solid
# In the order of MATERIALS: matte sounds like wood, shiny like metal, striped like glass.
FRICTION = np.array([0.015, 0.0008, 0.004])  # tan φ
PUSH = np.array([0.5e-3, 0.13e-3, 0.25e-3])  # seconds that the push lasts
LONGEST = 60.0  # seconds of sound


def frequencies(scenes: Scenes, place: int | np.ndarray = 0) -> np.ndarray:
    """The object at `place` (one for all scenes, or (B,)) → its modes (B, 6), Hz, rising."""
    row, place = np.arange(len(scenes)), _places(scenes, place)
    return MODES[scenes.shape[row, place]] * (
        WAVE_SPEED / (2 * np.pi * scenes.radius[row, place, None])
    )


def impact(
    scenes: Scenes, place: int | np.ndarray = 0, rate: int = 16_000, seconds: float = 1.0
) -> np.ndarray:
    """The object at `place` is struck at time 0 → float32 (B, samples) in [−1, 1].

    `place` is one for all scenes, or (B,); samples = round(rate · seconds), `rate` in Hz. Modes
    above half the rate are silent. ValueError in one sentence where a scene has no object there.
    """
    _check_time(rate, seconds)
    f = frequencies(scenes, place)
    material = scenes.material[np.arange(len(scenes)), _places(scenes, place)]
    decay = np.pi * f * FRICTION[material, None]
    amplitude = np.where(f < rate / 2, _push(f * PUSH[material, None]), 0)
    amplitude /= np.maximum(amplitude.sum(axis=1, keepdims=True), 1e-12)  # |y| ≤ Σ aₙ = 1
    t = np.arange(round(rate * seconds)) / rate
    waves = np.zeros((len(scenes), len(t)), np.float32)
    for wave, a, d, w in zip(waves, amplitude, decay, 2 * np.pi * f, strict=True):
        wave += sum(
            a[n] * np.exp(-d[n] * t) * np.sin(w[n] * t) for n in range(len(a))
        )  # one scene at a time: the same bits in every batch
    return waves


def _push(cycles: np.ndarray) -> np.ndarray:
    """|Spectrum| of 1 − cos over one period, 1 at 0 Hz; `cycles` = frequency × its duration."""
    pole = np.abs(cycles - 1) < 1e-9
    cycles = np.where(pole, 0.5, cycles)
    return np.where(pole, 0.5, np.abs(np.sinc(cycles) / (1 - cycles**2)))


def strike_order(scenes: Scenes) -> np.ndarray:
    """Places from left to right as the camera sees them → int (B, 6), −1 after the last object."""
    x = camera.project(scenes, scenes.centre, 2)[0][..., 0]
    order = np.argsort(np.where(scenes.there, x, np.inf), axis=1, kind="stable")
    return np.where(scenes.there, order, -1)  # as many objects as places that are first


def scene_sound(scenes: Scenes, rate: int = 16_000, gap: float = 0.4) -> np.ndarray:
    """All objects struck from left to right, one each `gap` seconds → float32 (B, samples).

    It lasts 6 gaps and is silent where a scene has no more objects to strike. In [−1, 1]: each blow
    is a sixth as loud as `impact`, so that no sum of six exceeds 1.
    """
    _check_time(rate, MOST * gap)
    order, step = strike_order(scenes), round(rate * gap)
    total = np.zeros((len(scenes), MOST * step), np.float32)
    for turn in range(MOST):
        struck = np.flatnonzero(order[:, turn] >= 0)
        rest = (MOST - turn) * step
        sound = impact(scenes[struck], order[struck, turn], rate, rest / rate)
        total[struck, turn * step :] += sound / MOST
    return total


def mel_filters(
    mels: int, window: int, rate: int, low: float = 0.0, high: float | None = None
) -> np.ndarray:
    """Triangles over the frequencies of a `window`'s spectrum → float64 (mels, window // 2 + 1).

    Corners are evenly spaced from `low` to `high` Hz (half the rate) in HTK's mel,
    2595 log₁₀(1 + f / 700); each triangle rises to 1 and is linear in Hz. ValueError in one
    sentence where a triangle would be so narrow that it holds no frequency of the spectrum.
    """
    high = rate / 2 if high is None else high
    if not (_whole(mels, 1) and _whole(window, 2) and _whole(rate, 1)):
        raise ValueError(f"mels, window and rate must be whole, not {mels!r}, {window!r}, {rate!r}")
    if not 0 <= low < high <= rate / 2:
        raise ValueError(
            f"0 ≤ low < high ≤ {rate / 2:g} Hz must hold, but got {low!r} and {high!r}"
        )
    to_mel = 2595 * np.log10(1 + np.array([low, high]) / 700)
    corners = 700 * (10 ** (np.linspace(*to_mel, mels + 2) / 2595) - 1)
    f = np.arange(window // 2 + 1) * (rate / window)
    rise = (f - corners[:-2, None]) / np.diff(corners)[:-1, None]
    fall = (corners[2:, None] - f) / np.diff(corners)[1:, None]
    filters = np.maximum(0, np.minimum(rise, fall))
    if (filters.max(axis=1) == 0).any():
        raise ValueError(
            f"{mels} mel filters are too many for a window of {window} samples: "
            "some lie between two frequencies of its spectrum"
        )
    return filters


def mel_spectrogram(
    wave: np.ndarray,
    rate: int = 16_000,
    window: int = 1024,
    hop: int = 160,
    mels: int = 64,
    low: float = 0.0,
    high: float | None = None,
) -> np.ndarray:
    """Sounds (B, N) → power in each mel band, float32 (B, mels, frames), not yet a logarithm.

    Frame k starts at sample k · hop, nothing is padded: frames = 1 + (N − window) // hop. Each is
    weighted by Hann's window (periodic) and its power |FFT|² summed under `mel_filters`.
    """
    wave = np.asarray(wave)
    if wave.ndim != 2 or wave.dtype.kind != "f" or not np.isfinite(wave).all():
        raise ValueError(
            f"sounds must be finite floats of shape (B, N), not {wave.dtype} of shape {wave.shape}"
        )
    filters = mel_filters(mels, window, rate, low, high)
    if not _whole(hop, 1) or wave.shape[1] < window:
        raise ValueError(
            f"hop must be at least 1 and a sound as long as the window, {window} samples, but hop "
            f"is {hop!r} and the sound has {wave.shape[1]}"
        )
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.lib.stride_tricks.sliding_window_view(wave, window, axis=1)[:, ::hop]
    out = np.empty((len(wave), mels, frames.shape[1]), np.float32)
    for mel, frame in zip(out, frames, strict=True):  # one sound at a time: bounded memory
        mel[...] = filters @ (np.abs(np.fft.rfft(frame * hann, axis=1)) ** 2).T
    return out


def log_mel(power: np.ndarray, floor: float = 80.0) -> np.ndarray:
    """Power (B, mels, frames) → decibels below each sound's loudest point, −`floor` to 0, float32.

    A silent sound is −`floor` everywhere.
    """
    loudest = power.max(axis=(1, 2), keepdims=True)
    share = power / np.where(loudest > 0, loudest, 1)
    return np.maximum(10 * np.log10(np.maximum(share, 1e-30)), -floor).astype(np.float32)


def _places(scenes: Scenes, place: int | np.ndarray) -> np.ndarray:
    """→ (B,) int, where every scene has an object, or one sentence why not."""
    place = np.asarray(place)
    if place.dtype.kind not in "iu" or place.shape not in ((), (len(scenes),)):
        raise ValueError(
            f"place must be a whole number or one for each of the {len(scenes)} scenes, "
            f"but {place.dtype} of shape {place.shape} was given"
        )
    place = np.broadcast_to(place, (len(scenes),))
    absent = np.flatnonzero((place < 0) | (place >= scenes.count))
    if len(absent):
        b = absent[0]
        raise ValueError(
            f"scene {b} has {scenes.count[b]} objects, at places 0 to {scenes.count[b] - 1}, so "
            f"nothing can be struck at place {place[b]}"
        )
    return place


def _whole(value: object, low: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= low


def _check_time(rate: int, seconds: float) -> None:
    if not _whole(rate, 1) or rate > 192_000 or not 0 < seconds <= LONGEST or rate * seconds < 1:
        raise ValueError(
            f"rate must be 1 to 192000 Hz and a sound last up to {LONGEST:g} seconds, but "
            f"{rate!r} Hz and {seconds!r} seconds were asked for"
        )
