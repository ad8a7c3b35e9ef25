"""extract: the same features as picture by picture, and an encoder that is left as it was."""

import numpy as np
import pytest
import torch

from course_lib.evaluate.extract import extract

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 6, 8, 3), np.uint8)


def colours(batch: torch.Tensor) -> torch.Tensor:
    return batch.mean(dim=(2, 3))


class Encoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.5)
        self.frozen = torch.nn.BatchNorm2d(3).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.frozen(self.norm(x))).mean(dim=(2, 3))

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward(x) + 1


@pytest.mark.parametrize("batch_size", [1, 4, 11, 99])
def test_mean_colours_by_hand_in_any_batch(batch_size: int) -> None:
    by_hand = np.array([image.reshape(-1, 3).mean(axis=0) / 255 for image in IMAGES])
    found = extract(colours, IMAGES, batch_size)
    assert found.dtype == np.float32
    assert found == pytest.approx(by_hand, abs=1e-6)
    tensor = torch.from_numpy(IMAGES / 255).permute(0, 3, 1, 2)
    assert extract(colours, tensor, batch_size) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize("name", ["forward", "tokens"])
def test_a_module_evaluates_and_gets_its_modes_back(name: str) -> None:
    encoder = Encoder().train()
    encoder.frozen.eval()
    encode = encoder if name == "forward" else encoder.tokens
    modes = [part.training for part in encoder.modules()]
    state = {key: value.clone() for key, value in encoder.state_dict().items()}
    first = extract(encode, IMAGES, 3)
    assert np.array_equal(first, extract(encode, IMAGES, 3)), "dropout was at work"
    assert first == pytest.approx(extract(encode, IMAGES, 11), abs=1e-6), "the batch was averaged"
    assert [part.training for part in encoder.modules()] == modes
    assert not encoder.frozen.training
    assert all(torch.equal(value, state[key]) for key, value in encoder.state_dict().items())


def test_an_error_inside_the_encoder_gives_the_mode_back_too() -> None:
    encoder = Encoder().train()
    encoder.forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        extract(encoder, IMAGES)
    assert encoder.training
    assert encoder.norm.training


def test_no_gradient_is_kept() -> None:
    seen = []
    encoder = Encoder()
    encoder.register_forward_hook(lambda m, i, out: seen.append(out.requires_grad))
    extract(encoder, IMAGES)
    assert seen == [False]


def test_low_precision_becomes_float32() -> None:
    assert extract(lambda x: colours(x).bfloat16(), IMAGES).dtype == np.float32


@pytest.mark.parametrize(
    "images",
    [
        IMAGES[0],
        IMAGES[:0],
        IMAGES / 255,
        IMAGES[..., 0],
        IMAGES.transpose(0, 3, 1, 2),
        torch.from_numpy(IMAGES),
        torch.zeros(2, 1, 4, 4),
        list(IMAGES),
    ],
)
def test_what_is_no_batch_of_pictures(images) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 of shape \(N, H, W, 3\), or a float"):
        extract(colours, images)


@pytest.mark.parametrize(
    ("encode", "words"),
    [
        (lambda x: x, r"must return a tensor of shape \(4, D\), but gave \(4, 3, 6, 8\)"),
        (lambda x: colours(x)[:2], r"but gave \(2, 3\)"),
        (lambda x: colours(x).numpy(), "but gave ndarray"),
    ],
)
def test_what_is_no_encoder(encode, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        extract(encode, IMAGES, 4)


def test_the_first_picture_whose_features_are_not_finite_is_named() -> None:
    images = np.full_like(IMAGES, 255)
    images[6:] = 0
    with pytest.raises(ValueError, match="NaN or infinity, first for picture 6"):
        extract(lambda x: 1 / colours(x), images, 4)
    with pytest.raises(ValueError, match="batch size must be 1 or more, but 0"):
        extract(colours, IMAGES, 0)
