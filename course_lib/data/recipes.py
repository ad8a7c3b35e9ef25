"""Recipes: how a view of a picture is drawn, and the views that the published methods draw.

A `View` states chances, strengths and sizes; a `Recipe` is the views that a method makes of every
picture. course_lib.data.views draws them. Every view is changed in one order: crop and resize,
flip, colour jitter, grey, blur, solarise. The published ones are stated at their papers' sizes:
`at` gives other sizes, dataclasses.replace other values.

Differs: several papers resize bicubically, and some blur with PIL's approximation of a Gaussian;
here all resize bilinearly, with antialiasing, and the blur is a Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf


@dataclass(frozen=True)
class View:
    """How one view is drawn. Chances are 0 to 1, strengths s draw a factor from 1 − s to 1 + s."""

    size: int  # pixels, of the square view
    scale: tuple[float, float] = (0.08, 1.0)  # share of the picture's area that a crop takes
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # width / height of the crop, uniform in its log
    flip: float = 0.5  # chance
    jitter: float = 0.0  # chance of the four strengths below, together
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0  # turns of the colour circle, at most 0.5: from −hue to hue
    grey: float = 0.0  # chance
    blur: float = 0.0  # chance
    sigma: tuple[float, float] = (0.1, 2.0)  # pixels of the view
    solarise: float = 0.0  # chance
    threshold: float = 0.5  # of brightness, from which solarising turns over

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"a view's size must be a whole number ≥ 1, but it is {self.size!r}")
        for name in ("scale", "ratio", "sigma"):
            pair = getattr(self, name)
            if not (isinstance(pair, tuple) and len(pair) == 2 and 0 < pair[0] <= pair[1] < inf):
                raise ValueError(f"{name} must be (low, high) with 0 < low ≤ high, not {pair}")
        limits = {"brightness": inf, "contrast": inf, "saturation": inf, "hue": 0.5}
        for name in ("flip", "jitter", "grey", "blur", "solarise", "threshold", *limits):
            value, most = getattr(self, name), limits.get(name, 1)
            if not 0 <= value <= most:
                raise ValueError(f"{name} must be from 0 to {most}, but it is {value}")

    @property
    def kernel(self) -> int:
        """Length of the blur's kernel in pixels: a tenth of the view, made odd (SimCLR, app. A)."""
        return self.size // 10 | 1


@dataclass(frozen=True)
class Recipe:
    """The views that a method makes of every picture, in the method's order."""

    views: tuple[View, ...]

    def at(self, *sizes: int) -> Recipe:
        """The same with other sizes in pixels, in order of appearance: `DINO.at(48, 24)`."""
        old = list(dict.fromkeys(view.size for view in self.views))
        if len(sizes) != len(old):
            raise ValueError(f"this recipe has {len(old)} sizes, {old}, but {sizes} was given")
        new = dict(zip(old, sizes, strict=True))
        return Recipe(tuple(replace(view, size=new[view.size]) for view in self.views))


# SimCLR (Chen et al. 2020): appendix B.9 for CIFAR-10, without blur; appendix A for ImageNet.
_CIFAR = View(32, jitter=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey=0.2)
SIMCLR = Recipe((_CIFAR, _CIFAR))
_STRONG = View(
    224, jitter=0.8, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, grey=0.2, blur=0.5
)
SIMCLR_IMAGENET = Recipe((_STRONG, _STRONG))

# BYOL (Grill et al. 2020, table 6); Barlow Twins and VICReg use the same.
_SOFT = replace(_CIFAR, size=224, saturation=0.2)
BYOL = Recipe((replace(_SOFT, blur=1.0), replace(_SOFT, blur=0.1, solarise=0.2)))

# SwAV (Caron et al. 2020): two large crops, six small ones.
SWAV = Recipe(
    (replace(_STRONG, scale=(0.14, 1.0)),) * 2
    + (replace(_STRONG, size=96, scale=(0.05, 0.14)),) * 6
)

# DINO (Caron et al. 2021): two global crops, eight local ones.
DINO = Recipe(
    (
        replace(BYOL.views[0], scale=(0.4, 1.0)),
        replace(BYOL.views[1], scale=(0.4, 1.0)),
        *(replace(_SOFT, size=96, scale=(0.05, 0.4), blur=0.5),) * 8,
    )
)

MAE = View(224, scale=(0.2, 1.0))  # He et al. 2022, table 8: crop and flip only
EVAL = View(224, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)  # the largest square, in the centre
