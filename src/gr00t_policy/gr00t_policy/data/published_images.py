# SPDX-License-Identifier: Apache-2.0
"""Camera frame -> network image by the arithmetic of the published GR00T N1, for its weights and fine-tunes of them.

``ImageTransform`` differs at the rim, where its filter may look beyond the crop, and in rounding; it is for networks trained
with it. Order of steps: gr00t/experiment/data_config.py; arithmetic: torchvision v2 on float images in [0, 1].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gr00t_policy.core.errors import MessageError
from gr00t_policy.data.transforms import (
    ImageTransform,
    JitterStrengths,
    PictureTransform,
    Pixels,
    check_picture,
    to_network,
)

Picture = NDArray[np.float32]  # (H, W, 3) RGB in [0, 1]


def picture_transform(size: int, crop_fraction: float, *, published: bool) -> PictureTransform:
    """The arithmetic a network was trained with. published: NVIDIA's network, or one made from it."""
    return (PublishedImageTransform if published else ImageTransform)(size, crop_fraction)


@dataclass(frozen=True)
class PublishedColourJitter(JitterStrengths):
    """torchvision's ColorJitter: four changes in random order, each clipped to [0, 1]."""

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        changes = [
            (change_brightness, 1 + rng.uniform(-self.brightness, self.brightness)),
            (change_contrast, 1 + rng.uniform(-self.contrast, self.contrast)),
            (change_saturation, 1 + rng.uniform(-self.saturation, self.saturation)),
            (turn_hue, rng.uniform(-self.hue, self.hue)),
        ]
        for index in rng.permutation(len(changes)):
            change, amount = changes[index]
            picture = change(picture, amount)
        return picture


@dataclass(frozen=True)
class PublishedImageTransform:
    """Crop to int(H f) x int(W f), bilinear resize with antialias to a square, bytes, then (x - 0.5) / 0.5."""

    size: int = 224
    crop_fraction: float = 0.95

    def __post_init__(self) -> None:
        check_picture(self.size, self.crop_fraction)

    def __call__(self, frame: Pixels) -> NDArray[np.float32]:
        """What the network sees of one frame (H, W, 3) at run time: (3, size, size) float32 in [-1, 1]."""
        return to_network(self.centre(frame))

    def view_size(self, height: int, width: int) -> tuple[int, int]:
        """Of frames of this size: the same, since resizing follows the cut."""
        return height, width

    def view(self, frame: Pixels) -> Pixels:
        """The whole frame (H, W, 3)."""
        self._crop(frame)  # raises when it is no picture
        return frame

    def augmented(self, views: Pixels, rng: np.random.Generator, jitter: float) -> Pixels:
        """Each of (B, H, W, 3) frames cut and coloured at random: (B, size, size, 3) uint8."""
        colours = PublishedColourJitter().scaled(jitter) if jitter else None
        return np.stack([self.random(view, rng, colours) for view in views])

    def centre(self, frame: Pixels) -> Pixels:
        """The middle of one frame (H, W, 3): (size, size, 3) uint8."""
        height, width = self._crop(frame)
        return _to_bytes(self._cut(frame, round((frame.shape[0] - height) / 2), round((frame.shape[1] - width) / 2)))

    def random(self, frame: Pixels, rng: np.random.Generator, jitter: PublishedColourJitter | None = None) -> Pixels:
        """The frame cut at a random place, for training, its colours changed if wanted: (size, size, 3) uint8."""
        height, width = self._crop(frame)
        top, left = rng.integers(0, [frame.shape[0] - height + 1, frame.shape[1] - width + 1])
        picture = self._cut(frame, int(top), int(left))
        return _to_bytes(jitter(picture, rng) if jitter else picture)

    def _crop(self, frame: Pixels) -> tuple[int, int]:
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or min(frame.shape) < 2:
            raise MessageError(f"image: expected (H, W, 3) uint8 RGB, got {frame.shape} {frame.dtype}")
        return int(frame.shape[0] * self.crop_fraction), int(frame.shape[1] * self.crop_fraction)

    def _cut(self, frame: Pixels, top: int, left: int) -> Picture:
        height, width = self._crop(frame)
        cut = frame[top : top + height, left : left + width].astype(np.float32) / np.float32(255)
        channels = [Image.fromarray(np.ascontiguousarray(cut[..., channel])) for channel in range(3)]
        resized = [channel.resize((self.size, self.size), Image.Resampling.BILINEAR) for channel in channels]
        return np.stack([np.asarray(channel) for channel in resized], axis=-1)


def change_brightness(picture: Picture, factor: float) -> Picture:
    return _blend(picture, np.zeros((), np.float32), factor)


def change_contrast(picture: Picture, factor: float) -> Picture:
    """Towards or away from the mean of its grey picture."""
    return _blend(picture, _grey(picture).mean(), factor)


def change_saturation(picture: Picture, factor: float) -> Picture:
    """Towards or away from its grey picture."""
    return _blend(picture, _grey(picture), factor)


def turn_hue(picture: Picture, turns: float) -> Picture:
    """Add to the hue in the HSV cone; value and saturation stay."""
    red, green, blue = np.moveaxis(picture, -1, 0)
    value, smallest = picture.max(axis=-1), picture.min(axis=-1)
    chroma = value - smallest
    divisor = np.where(chroma > 0, chroma, 1)
    sixths = np.where(
        value == red,
        (green - blue) / divisor,
        np.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue = sixths + 6 * turns
    # Each channel is a trapezoid over the hue: full around its own colour, none opposite to it.
    shares = [np.clip(np.abs((hue - centre) % 6 - 3) - 1, 0, 1) for centre in (0, 2, 4)]
    return (smallest[..., None] + chroma[..., None] * np.stack(shares, axis=-1)).astype(np.float32)


def _blend(picture: Picture, other: NDArray[np.float32], share: float) -> Picture:
    return np.clip(np.float32(share) * picture + np.float32(1 - share) * other, 0, 1)


def _grey(picture: Picture) -> Picture:
    weights = np.array([0.2989, 0.587, 0.114], np.float32)  # ITU-R BT.601 as torchvision rounds it
    return (picture @ weights)[..., None]


def _to_bytes(picture: Picture) -> Pixels:
    """As published: cut off, not rounded."""
    return (picture * np.float32(255)).astype(np.uint8)
