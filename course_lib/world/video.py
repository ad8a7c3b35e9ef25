"""A short film of each scene, with its exact motion: optical flow, occlusion and tracks.

    video = film(scenes, frames=8, size=64)
    video.rgb    uint8 (B, 8, 64, 64, 3)
    video.flow   float32 (B, 7, 64, 64, 2)

Flow is the motion of the surfaces, not of the brightness: a plain sphere that spins has flow though
its picture stands still, and a shadow that glides over the table has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.world import camera
from course_lib.world.follow import carry, correspond, pixel_grid, visible
from course_lib.world.motion import MOTIONS, Motion, at, draws_of, plan_motion
from course_lib.world.render import render
from course_lib.world.scene import Scenes


@dataclass(frozen=True, eq=False)
class Video:
    """Films of B scenes: T frames of S × S pixels, N tracks.

    rgb            uint8 (B, T, S, S, 3)
    depth          float32 (B, T, S, S) metres
    instance       int8 (B, T, S, S) place of the object, −1 is the table
    flow           float32 (B, T − 1, S, S, 2) pixels from frame t to t + 1, (x, y), everywhere
    occluded       bool (B, T − 1, S, S) what the pixel of frame t shows is not seen in t + 1:
                   hidden by an object or out of the picture
    tracks         float32 (B, T, N, 2) pixels, where points that frame 0 shows are in every frame
    track_visible  bool (B, T, N) whether they are seen there
    track_place    int8 (B, N) the object that each point belongs to, −1 is the table
    motion         kinds of motion, velocities, turns (per second) and the camera's orbit
    moments        the B·T Scenes themselves: all frames of the first film, of the second, …
    """

    rgb: np.ndarray
    depth: np.ndarray
    instance: np.ndarray
    flow: np.ndarray
    occluded: np.ndarray
    tracks: np.ndarray
    track_visible: np.ndarray
    track_place: np.ndarray
    motion: Motion
    moments: Scenes


def film(
    scenes: Scenes,
    frames: int = 8,
    size: int = 64,
    seed: int = 0,
    *,
    step: float = 0.125,
    motions: Sequence[str] = MOTIONS,
    orbit: bool = True,
    points: int = 32,
) -> Video:
    """B scenes → films of `frames` pictures, `step` seconds apart; seed decides what moves and how.

    `motions` are the kinds objects may make, `orbit` whether the camera goes around; `points`
    tracks begin in frame 0, every other one on an object where any is seen. ValueError in one
    sentence for what cannot be filmed.
    """
    for name, value, low in (("frames", frames, 2), ("points", points, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
            raise ValueError(f"{name} must be a whole number from {low}, but it is {value!r}")
    if not 0 < step < np.inf:
        raise ValueError(f"step must be more than 0 seconds, but it is {step!r}")
    B, T, S = len(scenes), frames, size
    motion = plan_motion(scenes, (T - 1) * step, seed, motions, orbit)
    moments = at(scenes, motion, np.arange(T) * step)
    made = render(moments, size, ("rgb", "depth", "instance"))
    rgb, depth, instance = (
        v.reshape(B, T, *v.shape[1:]) for v in (made.rgb, made.depth, made.instance)
    )
    flow, occluded = np.empty((B, T - 1, S, S, 2), np.float32), np.empty((B, T - 1, S, S), bool)
    tracks, track_visible = np.empty((B, T, points, 2), np.float32), np.empty((B, T, points), bool)
    xy = _starts(scenes, instance[:, 0], points, seed)
    place = instance[np.arange(B)[:, None], 0, xy[..., 1], xy[..., 0]]
    for b in range(B):
        clip = moments[b * T : (b + 1) * T]
        there, seen = correspond(clip[:-1], clip[1:], instance[b, :-1], depth[b, :-1])
        flow[b], occluded[b] = there - pixel_grid(S), ~seen
        tracks[b], track_visible[b] = _track(clip, xy[b], place[b], depth[b, 0])
    return Video(
        rgb, depth, instance, flow, occluded, tracks, track_visible, place, motion, moments
    )


def _starts(scenes: Scenes, instance: np.ndarray, points: int, seed: int) -> np.ndarray:
    """First frames (B, S, S) → pixels where tracks begin (B, N, 2) int; even ones on objects."""
    B, S, _ = instance.shape
    u = draws_of(scenes, seed, "tracks").uniform("pixel", points) if points else np.empty((B, 0))
    chosen = (u * S * S).astype(int)
    for b in range(B):
        on_object = np.flatnonzero(instance[b] >= 0)
        if len(on_object):
            chosen[b, ::2] = on_object[(u[b, ::2] * len(on_object)).astype(int)]
    return np.stack([chosen % S, chosen // S], axis=-1)


def _track(
    clip: Scenes, xy: np.ndarray, place: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """T moments of one scene, pixels (N, 2) of the first, their objects (N,), its depth (S, S)
    → the points' pixels (T, N, 2) and whether they are seen (T, N)."""
    size, T = len(depth), len(clip)
    first = clip[np.zeros(T, int)]
    start = camera.unproject(clip[0], xy[None], depth[xy[:, 1], xy[:, 0]][None], size)
    points = carry(
        first, clip, np.broadcast_to(place, (T, len(place))), np.repeat(start, T, axis=0)
    )
    return camera.project(clip, points, size)[0], visible(clip, points, size)
