# SPDX-License-Identifier: Apache-2.0
"""The image transform: one piece of code whose parts agree with each other and with the published preprocessing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.data.transforms import ColourJitter, ImageTransform, to_network

SIZES = st.integers(24, 160)


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=40)
@given(SIZES, SIZES, st.integers(8, 96), st.floats(0.6, 1.0))
def test_the_view_has_the_announced_size_and_the_crop_the_networks(height, width, size, crop):
    transform = ImageTransform(size, crop)
    view = transform.view(picture(height, width))
    assert view.shape == (*transform.view_size(height, width), 3)
    assert transform.centre(view).shape == (size, size, 3)
    assert transform.random(view[None], np.random.default_rng(0)).shape == (1, size, size, 3)


@settings(max_examples=20)
@given(st.integers(0, 255), st.floats(0.6, 1.0))
def test_a_plain_image_stays_plain(value, crop):
    image = np.full((50, 70, 3), value, np.uint8)
    out = ImageTransform(32, crop)(image)
    assert np.allclose(out, (value / 255 - 0.5) / 0.5, atol=1e-6)


def test_one_frame_and_a_stored_view_give_the_same_network_input_bit_for_bit():
    transform, frame = ImageTransform(112), picture(224, 224)
    stored = transform.view(frame).tobytes()
    views = np.frombuffer(stored, np.uint8).reshape(1, *transform.view_size(224, 224), 3)
    assert np.array_equal(to_network(transform.centre(views))[0], transform(frame))


def test_a_mirrored_frame_gives_a_mirrored_image():
    transform, frame = ImageTransform(112, 0.9375), picture(224, 224)  # 210 of 224 pixels: the same on both sides
    assert np.allclose(transform(frame[:, ::-1]), transform(frame)[:, :, ::-1], atol=0.01)


def test_without_a_crop_the_whole_frame_is_kept_and_a_frame_of_the_right_size_is_untouched():
    frame = picture(112, 112)
    assert np.array_equal(ImageTransform(112, 1.0).view(frame), frame)


def test_it_agrees_with_cropping_first_and_resizing_with_antialias_in_torch():
    """The published order (crop, then resize) differs only at the rim, where the filter may look beyond the crop."""
    torch = pytest.importorskip("torch")
    frame = np.asarray(picture(32, 32).repeat(8, 0).repeat(8, 1))
    crop, top = int(256 * 0.95), 6
    cropped = torch.from_numpy(frame[top : top + crop, top : top + crop].copy()).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(cropped, (224, 224), mode="bilinear", antialias=True)[0].numpy()
    ours = (ImageTransform(224, 0.95)(frame) + 1) * 127.5
    difference = np.abs(ours - expected)
    assert difference[:, 2:-2, 2:-2].max() <= 1.0
    assert difference.max() <= 40


def test_training_crops_are_cuts_of_the_view_and_the_centre_is_one_of_them():
    transform = ImageTransform(32, 0.8)
    view = transform.view(picture(64, 64))
    room = view.shape[0] - 32
    cuts = {view[top : top + 32, left : left + 32].tobytes() for top in range(room + 1) for left in range(room + 1)}
    drawn = transform.random(np.repeat(view[None], 200, 0), np.random.default_rng(0))
    assert {cut.tobytes() for cut in drawn} <= cuts
    assert len({cut.tobytes() for cut in drawn}) > room
    assert transform.centre(view).tobytes() in cuts


def test_the_same_seed_draws_the_same_training_images():
    transform, views = ImageTransform(32, 0.8), picture(40, 40)[None].repeat(5, 0)
    first, second = (
        ColourJitter()(transform.random(views, rng), rng)
        for rng in (np.random.default_rng(7), np.random.default_rng(7))
    )
    assert np.array_equal(first, second)


def test_network_values_are_channels_first_between_minus_one_and_one():
    image = np.zeros((2, 3, 3), np.uint8)
    image[..., 0] = 255
    out = to_network(image)
    assert out.shape == (3, 2, 3)
    assert out.dtype == np.float32
    assert np.array_equal(out[0], np.ones((2, 3)))
    assert np.array_equal(out[1:], -np.ones((2, 2, 3)))


def test_jitter_of_strength_zero_changes_nothing():
    images = picture(20, 20)[None]
    assert np.array_equal(ColourJitter(0, 0, 0, 0)(images, np.random.default_rng(0)), images)


def test_saturation_and_hue_leave_grey_alone():
    grey = np.arange(0, 250, 10, dtype=np.uint8).reshape(1, 5, 5, 1).repeat(3, -1)
    jittered = ColourJitter(0, 0, 0.5, 0.5)(grey, np.random.default_rng(0))
    assert np.abs(jittered.astype(int) - grey).max() <= 1


def test_a_third_of_a_turn_of_hue_makes_red_green():
    red = np.zeros((1, 4, 4, 3), np.uint8)
    red[..., 0] = 200

    class ThirdTurn:
        """Draws 1 (no change) for the strengths and the upper end for the hue."""

        def uniform(self, low: float, high: float) -> float:
            return high

    turned = ColourJitter(0, 0, 0, 1 / 3)(red, ThirdTurn())
    assert turned[0, 0, 0].tolist() == [0, 200, 0]


def test_jittered_images_differ_from_each_other():
    images = np.repeat(picture(20, 20)[None], 4, 0)
    jittered = ColourJitter()(images, np.random.default_rng(0))
    assert len({image.tobytes() for image in jittered}) == 4
    assert np.abs(jittered.astype(int) - images).mean() > 3


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.float32)]
)
def test_an_image_that_is_not_rgb_bytes_is_refused(image):
    with pytest.raises(MessageError, match=r"expected \(H, W, 3\) uint8 RGB, got"):
        ImageTransform(8).view(image)


@pytest.mark.parametrize(("size", "crop"), [(0, 0.95), (112, 0.0), (112, 1.1)])
def test_a_transform_that_makes_no_sense_is_refused(size, crop):
    with pytest.raises(ConfigError, match="crop must be 0.5 to 1"):
        ImageTransform(size, crop)
