"""Colour of a batch of pictures: jitter, hue, grey and solarise, each picture with its own factors.

The formulas are torchvision's (transforms.v2.functional, float tensors), clamps included; what is
ours is that a whole batch passes at once. Pictures are float32 (B, 3, H, W) in 0 to 1, and factors
one number a picture, (B,). Nothing is changed in place.
"""

from __future__ import annotations

import torch

# torchvision's numbers of the four steps of a jitter.
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


def grey(images: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) → (B, 1, H, W), ITU-R BT.601 with torchvision's digits, which sum to 0.9999."""
    r, g, b = images.split(1, dim=1)
    return (0.2989 * r).add_(g, alpha=0.587).add_(b, alpha=0.114)


def solarise(images: torch.Tensor, threshold: float) -> torch.Tensor:
    """Turn over what is at least as bright as `threshold`, each channel for itself: x → 1 − x."""
    return torch.where(images >= threshold, 1 - images, images)


def rotate_hue(images: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W), (B,) turns of the colour circle, −0.5 to 0.5 → hue turned in HSV.

    Value and saturation stay. Equals the way through HSV and back, without a division or a case:
    along the colour circle a channel is a trapezoid between the pixel's least and greatest channel,
    r = clamp(2r + max + min − (r + g + b), min, max), whose slopes are ±(max − min) a sextant. So a
    turn by f sextants adds f (max − min) inside the clamp while r rises (b > g) and subtracts it
    while r falls (g > b); green and blue are the same by rotation. This holds for |f| ≤ 1, and two
    sextants more or less are a rotation of the channels.
    """
    sextants = 6 * turn.view(-1, 1, 1, 1)
    thirds = (sextants / 2).round()
    f = sextants - 2 * thirds
    r, g, b = images.split(1, dim=1)
    top = torch.maximum(torch.maximum(r, g), b)
    low = torch.minimum(torch.minimum(r, g), b)
    step = (top - low).mul_(f.abs())
    turned = torch.empty_like(images)
    for channel, after, before in ((0, b, g), (1, r, b), (2, g, r)):
        torch.sub(after, before, out=turned[:, channel : channel + 1])
    torch.copysign(step, turned.mul_(f), out=turned)
    turned.add_((top + low).sub_(r).sub_(g).sub_(b)).add_(images, alpha=2)
    torch.maximum(turned, low, out=turned)
    torch.minimum(turned, top, out=turned)
    thirds = thirds.flatten().long().remainder(3)
    for by in (1, 2):
        rows = (thirds == by).nonzero()[:, 0]
        if len(rows):
            turned[rows] = turned[rows].roll(by, dims=1)
    return turned


def jitter(images: torch.Tensor, order: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """torchvision's ColorJitter, each picture with its own factors and its own order of the steps.

    `order` (B, 4) is a permutation of BRIGHTNESS, CONTRAST, SATURATION, HUE for each picture, first
    step first; `factors` (B, 4) their factors in that numbering: three from 0 up, where 1 changes
    nothing, and the hue's turn, −0.5 to 0.5. As in torchvision every step is clamped to 0 to 1.
    Hue is dear: pictures are taken together by its place in their order. The other three mix the
    picture, by the factor f, with something by 1 − f: brightness with black, contrast with the mean
    grey of the picture, saturation with the grey of each pixel.
    """
    factor = factors.gather(1, order)
    share = torch.stack(
        [factor, (1 - factor) * (order == CONTRAST), (1 - factor) * (order == SATURATION)]
    )
    place = (order == HUE).int().argmax(dim=1)
    jittered = torch.empty_like(images)
    for at in range(4):
        rows = (place == at).nonzero()[:, 0]
        if len(rows) == len(images):
            return _jitter_together(images, share, at)
        if len(rows):
            jittered[rows] = _jitter_together(images[rows], share[:, rows], at)
    return jittered


def _jitter_together(images: torch.Tensor, share: torch.Tensor, place: int) -> torch.Tensor:
    """`jitter` of pictures that turn the hue in the same step.

    `share` (3, B, 4) is, for each step, that of the picture, of its mean grey, of each pixel's
    grey; and in the step of the hue, its turn first.
    """
    for step in range(4):
        itself, mean, pixel = share[:, :, step].view(3, -1, 1, 1, 1)
        if step == place:
            images = rotate_hue(images, itself)
        else:
            greys = grey(images)
            mean = greys.mean(dim=(2, 3), keepdim=True).mul_(mean)
            images = torch.addcmul(greys.mul_(pixel).add_(mean), images, itself).clamp_(0, 1)
    return images
