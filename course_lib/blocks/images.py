"""What counts as a picture here, and the one way to make it grey.

Pictures are RGB, uint8, (H, W, 3) on disk and in OpenCV code; grey pictures are (H, W). Detectors
work on grey float32 on the scale 0 to 255, on which published thresholds (SURF, FAST) are stated.
Networks take float32 tensors (B, 3, H, W) in 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# What a number of each type means: its value at white.
WHITE = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}


def check_image(image: np.ndarray) -> np.ndarray:
    """Return `image` if it is a picture, else raise one sentence that says what was got.

    A picture is (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA; bool, uint8, uint16, or float
    in 0 to 1, without NaN or infinity. Raises TypeError or ValueError.
    """
    if not isinstance(image, np.ndarray):
        raise TypeError(
            f"a picture must be a NumPy array, but a {type(image).__name__} was given; "
            "read files with course_lib.data.photos.read(path)"
        )
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)):
        raise ValueError(
            "a picture must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), "
            f"but the shape {image.shape} was given"
        )
    if 0 in image.shape[:2]:
        raise ValueError(f"the picture is empty: its shape is {image.shape}")
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            bad = int((~np.isfinite(image)).sum())
            raise ValueError(f"the picture holds {bad} values that are NaN or infinite")
        low, high = float(image.min()), float(image.max())
        if low < -1e-6 or high > 1 + 1e-6:
            raise ValueError(
                f"a float picture must hold values from 0 to 1, but these run from {low:.4g} "
                f"to {high:.4g}; divide by the value of white, or convert to uint8"
            )
    elif image.dtype.name not in WHITE:
        raise TypeError(
            "a picture must be bool, uint8, uint16 or float, "
            f"but the type {image.dtype.name} was given"
        )
    return image


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Any picture (see `check_image`) → uint8 of the same shape, rounded to the nearest level."""
    check_image(image)
    if image.dtype == np.uint8:
        return image
    scale = np.float32(255 / WHITE.get(image.dtype.name, 1.0))
    return np.clip(np.rint(image.astype(np.float32) * scale), 0, 255).astype(np.uint8)


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Any picture (see `check_image`) → uint8 (H, W, 3) RGB. Transparency is laid over white."""
    image = to_uint8(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.float32) / 255
        return np.rint(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return image


def to_gray(image: np.ndarray) -> np.ndarray:
    """Any picture (see `check_image`) → grey float32 (H, W) on the scale 0 to 255.

    Colour is weighted as in ITU-R BT.601 and rounded to whole levels, as cv2.cvtColor does; reading
    a colour PNG as grey with cv2.imread instead rounds down, half a level darker on average. A grey
    16-bit or float picture keeps its finer levels.
    """
    check_image(image)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 2:
        scale = np.float32(255 / WHITE.get(image.dtype.name, 1.0))
        return image.astype(np.float32) * scale
    import cv2  # here, so that `import course_lib.blocks` stays instant

    return cv2.cvtColor(np.ascontiguousarray(to_rgb(image)), cv2.COLOR_RGB2GRAY).astype(np.float32)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 (B, H, W, 3) or (H, W, 3) → float32 tensor (B, 3, H, W) in 0 to 1, on the CPU."""
    import torch

    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[-1] != 3:
        raise ValueError(
            "pictures must be uint8 of shape (B, H, W, 3) or (H, W, 3), "
            f"but {images.dtype} of shape {images.shape} was given"
        )
    # torch wants memory that it may write to; a cache on disk is read-only and is copied.
    images = np.require(images.reshape(-1, *images.shape[-3:]), requirements=("C", "W"))
    batch = torch.from_numpy(images)
    return batch.permute(0, 3, 1, 2).float().div_(255)


def to_images(tensor: torch.Tensor) -> np.ndarray:
    """Float tensor (B, 3, H, W), clamped to 0 to 1 → uint8 (B, H, W, 3), rounded."""
    if tensor.ndim != 4 or tensor.shape[1] != 3 or not tensor.is_floating_point():
        raise ValueError(
            "pictures must be a float tensor of shape (B, 3, H, W), "
            f"but {tensor.dtype} of shape {tuple(tensor.shape)} was given"
        )
    rounded = tensor.detach().float().clamp(0, 1).mul(255).round()
    return rounded.byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
