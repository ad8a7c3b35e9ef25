"""Views: random changes of pictures that leave what they show, for a whole batch at once.

`sample` draws the `Parameters` of each picture from a `View` of course_lib.data.recipes, always on
the CPU; `apply` changes the pictures and draws nothing: crop and resize, flip, colour jitter, grey,
blur, solarise, in this order. So a seed gives the same views on every device, and `apply` can be
given another library's parameters and be compared with it.

Reference  torchvision.transforms.v2 on float tensors: RandomResizedCrop (bilinear, antialias=True),
           RandomHorizontalFlip, ColorJitter (a random order for each picture, every step clamped),
           RandomGrayscale, GaussianBlur, RandomSolarize: the same distributions, and for the same
           parameters the same picture.
Differs
  * uint8 pictures are divided by 255 first; torchvision would round to whole levels at each step.
  * Of a batch, torchvision's transforms change every picture alike; here each is changed by itself.
  * No gradient reaches the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import log

import torch

from course_lib.data.colour import HUE, grey, jitter, solarise
from course_lib.data.recipes import Recipe, View
from course_lib.data.resample import gaussian_blur, resized_crop

# A chunk's pictures stay in the processor's cache; an accelerator wants few and large launches.
PIXELS_AT_ONCE = {"cpu": 2**18}
ELSEWHERE = 2**23

Change = Callable[[torch.Tensor, torch.Tensor | slice], torch.Tensor]  # views, their rows


@dataclass(frozen=True, eq=False)
class Parameters:
    """What happens to each of B pictures. All tensors lie on the CPU."""

    size: int  # pixels of the view
    boxes: torch.Tensor  # (B, 4) int64: top, left, height, width of the crop in pixels
    flip: torch.Tensor  # (B,) bool, as are jitter, grey, blur and solarise
    jitter: torch.Tensor
    order: torch.Tensor  # (B, 4) int64, see course_lib.data.colour.jitter
    factors: torch.Tensor  # (B, 4) float32: brightness, contrast, saturation, hue
    grey: torch.Tensor
    blur: torch.Tensor
    sigma: torch.Tensor  # (B,) float32, pixels of the view
    kernel: int  # pixels
    solarise: torch.Tensor
    threshold: float

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: torch.Tensor | slice) -> Parameters:
        tensors = {k: v[rows] for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return replace(self, **tensors)


def sample(
    view: View, count: int, height: int, width: int, generator: torch.Generator
) -> Parameters:
    """Draw the parameters of `count` pictures of `height` × `width` pixels, each for itself.

    The generator must be one of the CPU, also for pictures on an accelerator: TypeError.
    """
    if not isinstance(generator, torch.Generator) or generator.device.type != "cpu":
        got = getattr(generator, "device", type(generator).__name__)
        raise TypeError(f"views are drawn from a torch.Generator on the CPU, but {got} was given")

    if count < 0 or min(height, width) < 1:
        raise ValueError(f"there are no {count} pictures of {height} × {width} to draw views for")

    def chance(p: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) < p

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    if not isinstance(view, View):
        raise TypeError(f"a View is needed, but {type(view).__name__} was given")
    strengths = (view.brightness, view.contrast, view.saturation)
    return Parameters(
        size=view.size,
        boxes=_boxes(view, count, height, width, generator),
        flip=chance(view.flip),
        jitter=chance(view.jitter),
        order=torch.rand(count, 4, generator=generator).argsort(dim=1),
        factors=torch.stack(
            [uniform(max(0.0, 1 - s), 1 + s) for s in strengths] + [uniform(-view.hue, view.hue)],
            dim=1,
        ),
        grey=chance(view.grey),
        blur=chance(view.blur),
        sigma=uniform(*view.sigma),
        kernel=view.kernel,
        solarise=chance(view.solarise),
        threshold=view.threshold,
    )


def _boxes(view: View, count: int, H: int, W: int, generator: torch.Generator) -> torch.Tensor:
    """→ (count, 4) int64 top, left, height, width: the first of ten tries that fits, else centre.

    The last resort is the largest centred box whose ratio is allowed.
    """

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, dtype=torch.float64, generator=generator)

    (small, large), (narrow, wide) = view.scale, view.ratio
    area = H * W * (small + (large - small) * uniform(count, 10))
    ratio = torch.exp(log(narrow) + (log(wide) - log(narrow)) * uniform(count, 10))
    width, height = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (width > 0) & (width <= W) & (height > 0) & (height <= H)
    first = fits.int().argmax(dim=1, keepdim=True)
    width, height = width.gather(1, first)[:, 0], height.gather(1, first)[:, 0]
    top = (uniform(count) * (H - height + 1)).floor()
    left = (uniform(count) * (W - width + 1)).floor()
    boxes = torch.stack([top, left, height, width], dim=1).long()
    h, w = min(H, max(1, round(W / narrow))), min(W, max(1, round(H * wide)))
    centre = torch.tensor([(H - h) // 2, (W - w) // 2, h, w])
    return torch.where(fits.any(dim=1, keepdim=True), boxes, centre)


def augment(images: torch.Tensor, view: View, generator: torch.Generator) -> torch.Tensor:
    """One view of each picture: (B, 3, H, W) → float32 (B, 3, size, size). See `apply`."""
    return _views(images, (view,), generator)[0]


def two_views(
    images: torch.Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Two views of each picture, (B, 3, H, W) → two of float32 (B, 3, size, size). See `apply`."""
    views = _views(images, _views_of(recipe, 2), generator)
    return views[0], views[1]


def multi_crop(
    images: torch.Tensor, recipe: Recipe, generator: torch.Generator
) -> list[torch.Tensor]:
    """All views of a recipe, in its order: a list of float32 (B, 3, size, size). See `apply`."""
    return _views(images, _views_of(recipe), generator)


@torch.no_grad()
def apply(images: torch.Tensor, parameters: Parameters) -> torch.Tensor:
    """Change pictures as `parameters` say: (B, 3, H, W) → float32 (B, 3, size, size).

    Pictures are float32 in 0 to 1, or uint8; the result is on their device and carries no gradient.
    Memory beyond the result is that of one chunk. Raises TypeError or ValueError if pictures are
    something else, if their number is not the parameters', or if a crop leaves the picture.
    """
    _check(images)
    return _apply(images, parameters)


def _apply(images: torch.Tensor, p: Parameters) -> torch.Tensor:
    B, _, H, W = images.shape
    if len(p) != B:
        raise ValueError(f"there must be as many parameters as pictures, but {len(p)} for {B}")
    top, left, height, width = p.boxes.unbind(dim=1)
    inside = (top >= 0) & (left >= 0) & (top + height <= H) & (left + width <= W)
    if not (inside & (height > 0) & (width > 0)).all():
        raise ValueError(f"every crop must lie within the picture of {H} × {W}, but some do not")
    views = torch.empty(B, 3, p.size, p.size, device=images.device)
    # Pictures alike in whether and where their jitter turns the hue pass together. In a chunk those
    # to be blurred lie together, and of these and the others those to become grey.
    kind = torch.where(p.jitter, (p.order == HUE).int().argmax(dim=1), 4)
    key, rows = (4 * kind + 2 * p.blur + p.grey).sort()
    p, rows = p[rows], rows.to(images.device)
    most = max(1, PIXELS_AT_ONCE.get(images.device.type, ELSEWHERE) // max(H * W, p.size**2))
    for chunk in _chunks(key // 4, most):
        part = _apply_together(images.index_select(0, rows[chunk]), p[chunk])
        views.index_copy_(0, rows[chunk], part)
    return views


def _chunks(kind: torch.Tensor, most: int) -> Iterator[slice]:
    """Sorted kinds (B,) → slices of one kind each, at most `most` long and about equally long."""
    start = 0
    for count in kind.unique_consecutive(return_counts=True)[1].tolist():
        parts = -(-count // most)
        for i in range(parts):
            yield slice(start + count * i // parts, start + count * (i + 1) // parts)
        start += count


def _apply_together(images: torch.Tensor, p: Parameters) -> torch.Tensor:
    """`apply` for one chunk."""
    device = images.device
    if images.dtype == torch.uint8:
        images = images.float().div_(255)
    boxes, order, factors, flip, sigma = (
        t.to(device) for t in (p.boxes, p.order, p.factors, p.flip, p.sigma)
    )
    views = resized_crop(images, boxes, p.size, flip)
    views = _where(p.jitter, views, lambda x, rows: jitter(x, order[rows], factors[rows]))
    views = _where(p.grey, views, lambda x, rows: grey(x).expand_as(x))
    views = _where(p.blur, views, lambda x, rows: gaussian_blur(x, sigma[rows], p.kernel))
    return _where(p.solarise, views, lambda x, rows: solarise(x, p.threshold))


def _where(chosen: torch.Tensor, views: torch.Tensor, change: Change) -> torch.Tensor:
    """Change the chosen views in place; if they are all, nothing is copied."""
    rows = chosen.nonzero()[:, 0]
    if len(rows) == len(views):
        return change(views, slice(None)).contiguous()
    if len(rows):
        first, last = int(rows[0]), int(rows[-1])
        together = len(rows) == last - first + 1
        rows = slice(first, last + 1) if together else rows.to(views.device)
        views[rows] = change(views[rows], rows)
    return views


def _views(
    images: torch.Tensor, views: tuple[View, ...], generator: torch.Generator
) -> list[torch.Tensor]:
    _check(images)
    B, _, H, W = images.shape
    with torch.no_grad():
        return [_apply(images, sample(view, B, H, W, generator)) for view in views]


def _views_of(recipe: Recipe, number: int | None = None) -> tuple[View, ...]:
    if not isinstance(recipe, Recipe):
        raise TypeError(f"a Recipe is needed, but {type(recipe).__name__} was given")
    if number not in (None, len(recipe.views)):
        raise ValueError(
            f"a Recipe of {number} views is needed, but this one has {len(recipe.views)}"
        )
    return recipe.views


def _check(images: torch.Tensor) -> None:
    """Raise one sentence unless `images` is a batch of pictures; NaN fails every comparison."""
    if not isinstance(images, torch.Tensor) or images.dtype not in (torch.uint8, torch.float32):
        got = getattr(images, "dtype", type(images).__name__)
        raise TypeError(f"pictures must be a tensor of uint8 or float32, but {got} was given")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise ValueError(f"pictures must be of shape (B, 3, H, W), not {tuple(images.shape)}")
    if images.dtype == torch.float32 and len(images):
        low, high = (float(v) for v in images.detach().aminmax())
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise ValueError(
                "float pictures must hold values from 0 to 1 and no NaN, "
                f"but these run from {low:.4g} to {high:.4g}"
            )
