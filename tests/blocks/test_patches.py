"""blocks/patches and blocks/batches: pixel by pixel, there and back, and what is refused."""

import numpy as np
import pytest
import torch

from course_lib.blocks.batches import check_batch
from course_lib.blocks.patches import PatchEmbed, patchify, unpatchify


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_patchify_pixel_by_pixel() -> None:
    images = pictures(2, 3, 8, 12)
    patches = patchify(images, 4)
    assert patches.shape == (2, 6, 48)
    for n in range(6):
        row, column = divmod(n, 3)
        for p in range(4):
            for q in range(4):
                for c in range(3):
                    pixel = images[:, c, 4 * row + p, 4 * column + q]
                    assert torch.equal(patches[:, n, (p * 4 + q) * 3 + c], pixel)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_there_and_back(channels: int) -> None:
    images = pictures(2, channels, 6, 15)
    assert torch.equal(unpatchify(patchify(images, 3), (2, 5), channels), images)


def test_embedding_is_a_linear_map_of_the_patches() -> None:
    torch.manual_seed(0)
    embed, images = PatchEmbed(4, 10), pictures(2, 3, 8, 12)
    weight = embed.projection.weight.permute(0, 2, 3, 1).flatten(1)  # (D, p·q·c)
    expected = patchify(images, 4) @ weight.T + embed.projection.bias
    assert torch.allclose(embed(images), expected, atol=1e-6)


def test_what_is_no_batch_is_refused_in_a_sentence() -> None:
    embed = PatchEmbed(4, 10)
    uint8 = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    for images, error, sentence in (
        (uint8, TypeError, r"float tensors, but torch.uint8 was given; .*to_tensor"),
        (np.zeros((2, 3, 8, 8), np.uint8), TypeError, "uint8 was given"),
        ([[1.0]], TypeError, "list was given"),
        (pictures(3, 8, 8), ValueError, r"\(B, 3, H, W\), but \(3, 8, 8\)"),
        (pictures(2, 8, 8, 3), ValueError, r"\(2, 8, 8, 3\)"),
        (pictures(2, 1, 8, 8), ValueError, r"\(2, 1, 8, 8\)"),
        (pictures(2, 3, 8, 10), ValueError, "multiples of 4 pixels, but 8 × 10"),
        (pictures(2, 3, 0, 8), ValueError, "0 × 8"),
    ):
        with pytest.raises(error, match=sentence):
            embed(images)
    for size, images in ((4, pictures(2, 3, 8, 10)), (3, pictures(3, 8, 8))):
        with pytest.raises(ValueError, match="was given"):
            patchify(images, size)
    with pytest.raises(TypeError, match="float tensors"):
        patchify(uint8, 4)
    for patches, grid in ((pictures(2, 6, 48), (2, 2)), (pictures(2, 6, 47), (2, 3)),
                          (pictures(6, 48), (2, 3))):  # fmt: skip
        with pytest.raises(ValueError, match="patches must have shape"):
            unpatchify(patches, grid)
    assert check_batch(pictures(2, 1, 5, 7), channels=1).shape == (2, 1, 5, 7)


def test_what_is_expected_is_as_if_the_pixels_were_normalised() -> None:
    torch.manual_seed(0)
    embed = PatchEmbed(4, 10).double()
    images = torch.rand(2, 3, 8, 12, dtype=torch.float64)
    wanted = embed((images - 0.6) / 0.2)
    embed.expect(mean=0.6, deviation=0.2)
    torch.testing.assert_close(embed(images), wanted, rtol=0, atol=1e-12)
    grey = embed(torch.full((1, 3, 4, 4), 0.6, dtype=torch.float64))
    torch.testing.assert_close(grey[0, 0], wanted.new_tensor(embed_bias(embed)), atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match="deviation of pixels must be above 0, but it is 0"):
        embed.expect(0.5, 0)
    before = embed.projection.weight.clone()
    embed.projection.bias = None
    with pytest.raises(ValueError, match="a mean is taken off by the bias, but these patches"):
        embed.expect(0.5, 0.2)
    assert torch.equal(embed.projection.weight, before)


def embed_bias(embed: PatchEmbed) -> list[float]:
    """What the mean picture gives: bias + 0.6 · Σ w of the folded filters, the old bias."""
    layer = embed.projection
    return (layer.bias + 0.6 * layer.weight.sum(dim=(1, 2, 3))).tolist()
