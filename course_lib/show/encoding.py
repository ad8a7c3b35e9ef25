"""Pixels to bytes: small enough for a notebook, and in the MIME bundle that keeps them there."""

from __future__ import annotations

import numpy as np

LIMIT = 150_000  # bytes of one figure: a notebook with a dozen of them stays under 2 MB


def jpeg(image: np.ndarray, quality: int = 88) -> bytes:
    """uint8 (H, W, 3) RGB → JPEG bytes (about 2 ms at 512×512)."""
    import cv2

    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def encode(image: np.ndarray, limit: int = LIMIT) -> tuple[bytes, str]:
    """uint8 (H, W, 3) → (bytes, mime): PNG if it is within the limit and not much larger than JPEG.

    Drawings stay exact that way and photographs small. A picture that is too large even as a JPEG
    loses quality first, then pixels.
    """
    import cv2

    smallest = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    png = cv2.imencode(".png", image[..., ::-1], smallest)[1].tobytes()
    photo = jpeg(image)
    if len(png) <= limit and len(png) <= 1.5 * len(photo):
        return png, "image/png"
    for quality in (88, 80, 70, 60):
        photo = jpeg(image, quality)
        if len(photo) <= limit:
            return photo, "image/jpeg"
    height, width = image.shape[:2]
    half = cv2.resize(
        image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA
    )
    return encode(half, limit)


def with_picture(bundle: dict | None, image: np.ndarray | None, text: str) -> dict:
    """A widget's MIME bundle, with a picture and a text that stay in the saved file."""
    bundle = {**(bundle or {}), "text/plain": text}
    if image is not None:
        data, mime = encode(image)
        bundle[mime] = data
    return bundle
