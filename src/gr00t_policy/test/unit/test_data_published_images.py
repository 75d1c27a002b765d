# SPDX-License-Identifier: Apache-2.0
"""Published image arithmetic: crop, resize and bytes equal torch's numbers; the colour changes are those of torchvision."""

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_data import HEIGHT, WIDTH, small_robot

from gr00t_policy.core.embodiment import Camera
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.data.camera_views import CameraViews
from gr00t_policy.data.published_images import (
    PublishedColourJitter,
    PublishedImageTransform,
    change_brightness,
    change_contrast,
    change_saturation,
    turn_hue,
)
from gr00t_policy.data.transforms import ImageTransform

BIG = [(256, 256), (224, 224), (480, 640), (800, 1280), (120, 160)]


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def in_torch(frame: np.ndarray, size: int, fraction: float) -> np.ndarray:
    """The published steps in torch: (size, size, 3) in [0, 255], before it becomes bytes."""
    torch = pytest.importorskip("torch")
    height, width = int(frame.shape[0] * fraction), int(frame.shape[1] * fraction)
    top, left = round((frame.shape[0] - height) / 2), round((frame.shape[1] - width) / 2)
    cut = torch.from_numpy(frame).permute(2, 0, 1)[None, :, top : top + height, left : left + width].float() / 255
    resized = torch.nn.functional.interpolate(cut, (size, size), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy() * 255


@pytest.mark.parametrize(("height", "width"), BIG)
def test_every_pixel_is_within_one_level_of_torch_and_nearly_all_are_equal(height, width):
    frame = picture(height, width)
    ours = PublishedImageTransform()(frame)
    expected = in_torch(frame, 224, 0.95).astype(np.uint8)
    difference = np.abs(np.rint((ours.transpose(1, 2, 0) + 1) * 127.5) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002


@settings(max_examples=25)
@given(st.integers(24, 90), st.integers(24, 90), st.integers(8, 64), st.floats(0.6, 1.0))
def test_it_agrees_with_torch_at_any_size_and_crop(height, width, size, fraction):
    frame = picture(height, width)
    ours = PublishedImageTransform(size, fraction).centre(frame)
    assert np.abs(ours - in_torch(frame, size, fraction).astype(np.uint8).astype(int)).max() <= 1


@pytest.mark.parametrize(("height", "width"), BIG)
def test_the_transform_of_our_own_networks_is_close_too_except_at_the_rim(height, width):
    transform, frame = ImageTransform(224, 0.95), picture(height, width)
    difference = np.abs(transform.centre(transform.view(frame)) - in_torch(frame, 224, 0.95))
    assert difference[3:-3, 3:-3].max() <= 2.5
    assert difference.mean() <= 0.75


def test_a_random_cut_is_one_of_all_cuts_and_the_same_seed_draws_the_same():
    frame, transform = picture(20, 24), PublishedImageTransform(8, 0.9)  # crop 18 x 21: 3 x 4 places
    drawn = {transform.random(frame, np.random.default_rng(seed)).tobytes() for seed in range(200)}
    assert len(drawn) == 12
    assert transform.centre(frame).tobytes() in drawn
    same = [transform.random(frame, np.random.default_rng(7), PublishedColourJitter()).tobytes() for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] not in drawn


def test_brightness_contrast_and_saturation_blend_with_black_mean_grey_and_grey():
    image = np.array([[[0.2, 0.4, 0.6], [0.9, 0.1, 0.5]]], np.float32)
    grey = image @ np.array([0.2989, 0.587, 0.114])
    assert np.allclose(change_brightness(image, 1.3), np.clip(1.3 * image, 0, 1))
    assert np.allclose(change_contrast(image, 0.7), 0.7 * image + 0.3 * grey.mean())
    assert np.allclose(change_saturation(image, 1.5), np.clip(1.5 * image - 0.5 * grey[..., None], 0, 1), atol=1e-6)


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3), st.floats(-0.5, 0.5))
def test_hue_is_turned_in_hsv(colour, turns):
    image = np.array([[colour]], np.float32) / 255
    hue, saturation, value = colorsys.rgb_to_hsv(*image[0, 0].astype(float))
    expected = colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)
    assert np.allclose(turn_hue(image, turns)[0, 0], expected, atol=2e-5)


def test_jitter_of_strength_zero_changes_nothing_and_full_strength_stays_in_range():
    image = picture(12, 12).astype(np.float32) / 255
    assert np.allclose(PublishedColourJitter(0, 0, 0, 0)(image, np.random.default_rng(0)), image, atol=1e-6)
    drawn = [PublishedColourJitter()(image, np.random.default_rng(seed)) for seed in range(30)]
    assert min(one.min() for one in drawn) >= 0 and max(one.max() for one in drawn) <= 1
    assert len({one.tobytes() for one in drawn}) == 30
    assert (PublishedColourJitter().contrast, PublishedColourJitter().hue) == (0.4, 0.08)


@pytest.mark.parametrize("shape_and_type", [((8, 8), np.uint8), ((8, 8, 4), np.uint8), ((8, 8, 3), np.float32)])
def test_an_image_that_is_not_rgb_bytes_is_refused(shape_and_type):
    with pytest.raises(MessageError, match=r"expected \(H, W, 3\) uint8 RGB, got"):
        PublishedImageTransform()(np.zeros(*shape_and_type))


@pytest.mark.parametrize(("size", "crop"), [(0, 0.95), (224, 0.0), (224, 1.1)])
def test_a_transform_that_makes_no_sense_is_refused(size, crop):
    with pytest.raises(ConfigError, match="crop must be 0.5 to 1"):
        PublishedImageTransform(size, crop)


def two_cameras() -> CameraViews:
    cameras = tuple(Camera(name, WIDTH, HEIGHT, 20.0, name) for name in ("head", "wrist"))
    return CameraViews(small_robot(cameras=cameras), PublishedImageTransform(32))


def test_views_come_in_the_order_of_the_robots_cameras():
    views, head, wrist = two_cameras(), picture(HEIGHT, WIDTH, 1), picture(HEIGHT, WIDTH, 2)
    pixels = views({"wrist": wrist, "head": head})
    assert pixels.shape == (2, 3, 32, 32)
    assert np.array_equal(pixels, [views.transform(head), views.transform(wrist)])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"head": picture(HEIGHT, WIDTH)}, "looks through head, wrist; there are pictures of head"),
        ({name: picture(HEIGHT, WIDTH) for name in ("head", "wrist", "chest")}, "one of each .* and no others"),
        (
            {"head": picture(HEIGHT, WIDTH), "wrist": picture(WIDTH, HEIGHT)},
            r"'wrist': expected \(48, 64, 3\).* got \(64",
        ),
        ({"head": picture(HEIGHT, WIDTH) / 255, "wrist": picture(HEIGHT, WIDTH)}, "'head': expected .* got .* float64"),
    ],
)
def test_cameras_that_are_not_those_of_the_robot_are_refused(images, message):
    with pytest.raises(MessageError, match=message):
        two_cameras()(images)
