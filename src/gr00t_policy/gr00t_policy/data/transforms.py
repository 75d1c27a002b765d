# SPDX-License-Identifier: Apache-2.0
"""Between the world and the network: images, joint states, action chunks. The same code live and offline."""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.data.keys import KeySequence, KeyTransform
from gr00t_policy.data.statistics import Statistics

Pixels = NDArray[np.uint8]


class PictureTransform(Protocol):
    """Camera frame -> square network image, live and in training, where ``view`` is done once and kept."""

    @property
    def size(self) -> int: ...

    @property
    def crop_fraction(self) -> float: ...

    def __call__(self, frame: Pixels) -> NDArray[np.float32]:
        """What the network sees of one frame (H, W, 3) at run time: (3, size, size) float32 in [-1, 1]."""
        ...

    def view_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of ``view`` for frames of this size."""
        ...

    def view(self, frame: Pixels) -> Pixels:
        """What training keeps of one frame (H, W, 3)."""
        ...

    def augmented(self, views: Pixels, rng: np.random.Generator, jitter: float) -> Pixels:
        """Each of (B, h, w, 3) views cut and coloured at random: (B, size, size, 3). jitter: 1 is as in GR00T N1."""
        ...


def check_picture(size: int, crop_fraction: float) -> None:
    """Raises ConfigError on a size or crop that no network is made for."""
    if not (0.5 <= crop_fraction <= 1.0 and size > 0):
        raise ConfigError(f"image size {size}, crop {crop_fraction}: crop must be 0.5 to 1, size positive")


@dataclass(frozen=True)
class ImageTransform:
    """Camera frame -> square network image: crop, then antialiased bilinear resize (GR00T N1: crop 0.95, size 224).

    The work is cut in two so that training can crop at random without touching the frame again: ``view`` resizes to the
    network's scale and keeps the margin beyond the crop; ``centre`` (always, live) or ``random`` (training) cuts it.
    """

    size: int
    crop_fraction: float = 0.95

    def __post_init__(self) -> None:
        check_picture(self.size, self.crop_fraction)

    def __call__(self, frame: Pixels) -> NDArray[np.float32]:
        """What the network sees of one frame (H, W, 3) at run time: (3, size, size) float32 in [-1, 1]."""
        return to_network(self.centre(self.view(frame)))

    def view_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of ``view`` for frames of this size."""
        margin_y, margin_x = (_span(length, self.size, self.crop_fraction)[1] for length in (height, width))
        return self.size + 2 * margin_y, self.size + 2 * margin_x

    def view(self, frame: Pixels) -> Pixels:
        """One frame (H, W, 3) at the network's scale, margin kept: ``view_size`` pixels, uint8."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise MessageError(f"image: expected (H, W, 3) uint8 RGB, got {frame.shape} {frame.dtype}")
        (top, bottom), margin_y = _span(frame.shape[0], self.size, self.crop_fraction)
        (left, right), margin_x = _span(frame.shape[1], self.size, self.crop_fraction)
        size = (self.size + 2 * margin_x, self.size + 2 * margin_y)
        image = Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
        return np.asarray(image)

    def centre(self, views: Pixels) -> Pixels:
        """The middle (..., size, size, 3) of one or many views."""
        top, left = ((length - self.size) // 2 for length in views.shape[-3:-1])
        return views[..., top : top + self.size, left : left + self.size, :]

    def random(self, views: Pixels, rng: np.random.Generator) -> Pixels:
        """Each of (B, h, w, 3) views cut at its own random place: (B, size, size, 3)."""
        room = np.subtract(views.shape[1:3], self.size)
        corners = rng.integers(0, room + 1, size=(len(views), 2))
        cuts = [
            view[top : top + self.size, left : left + self.size]
            for view, (top, left) in zip(views, corners, strict=True)
        ]
        return np.stack(cuts)

    def augmented(self, views: Pixels, rng: np.random.Generator, jitter: float) -> Pixels:
        return ColourJitter().scaled(jitter)(self.random(views, rng), rng)


def to_network(images: Pixels) -> NDArray[np.float32]:
    """(..., H, W, 3) uint8 -> (..., 3, H, W) float32, (x / 255 - 0.5) / 0.5 as SigLIP expects."""
    scaled = images.astype(np.float32) * np.float32(2 / 255) - np.float32(1)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, -3))


@lru_cache(maxsize=64)
def _span(length: int, size: int, crop_fraction: float) -> tuple[tuple[float, float], int]:
    """Source range [start, stop) that ``view`` shows along one axis, and its margin in network pixels on each side."""
    crop = int(length * crop_fraction)
    start = round((length - crop) / 2)
    scale = crop / size  # source pixels per network pixel
    margin = int(min(start, length - crop - start) / scale)
    return (max(start - margin * scale, 0.0), min(start + crop + margin * scale, float(length))), margin


@dataclass(frozen=True)
class JitterStrengths:
    """How far light and colour of training images change at most. The defaults are GR00T N1's."""

    brightness: float = 0.3
    contrast: float = 0.4
    saturation: float = 0.5
    hue: float = 0.08  # turns

    def scaled(self, factor: float) -> Self:
        return replace(self, **{name: factor * strength for name, strength in vars(self).items()})


@dataclass(frozen=True)
class ColourJitter(JitterStrengths):
    """Random light and colour for training images. All factors are drawn per image.

    Brightness, contrast, saturation and hue (a turn about the grey axis) are linear in RGB: one 3x3 matrix does it.
    """

    def __call__(self, images: Pixels, rng: np.random.Generator) -> Pixels:
        """(B, H, W, 3) uint8 -> the same shape."""
        jittered = np.empty_like(images)
        for index, image in enumerate(images):
            matrix, shift = self._draw(float(image[::4, ::4].mean()), rng)
            coloured = image.reshape(-1, 3).astype(np.float32) @ matrix.T + shift
            jittered[index] = np.clip(np.rint(coloured), 0, 255).astype(np.uint8).reshape(image.shape)
        return jittered

    def _draw(self, mean: float, rng: np.random.Generator) -> tuple[NDArray[np.float32], np.float32]:
        brightness, contrast, saturation = (
            1 + rng.uniform(-strength, strength) for strength in (self.brightness, self.contrast, self.saturation)
        )
        angle = 2 * np.pi * rng.uniform(-self.hue, self.hue)
        colour = _LUMA + saturation * (np.eye(3) - _LUMA)
        matrix = _turn(angle) @ colour * (brightness * contrast)
        return matrix.astype(np.float32), np.float32((1 - contrast) * brightness * mean)


_LUMA = np.tile([0.299, 0.587, 0.114], (3, 1))  # ITU-R BT.601: colour -> its grey
_GREY = np.ones(3) / np.sqrt(3)


def _turn(angle_rad: float) -> NDArray[np.float64]:
    """Rotation about the grey axis (Rodrigues)."""
    x, y, z = _GREY
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


@dataclass(frozen=True)
class StateActionTransform:
    """Policy joint vectors (J,) [rad, model convention] <-> padded network vectors, by the statistics of training.

    Each group in the embodiment's encoding: state by default as ``state_encoding`` says, actions min-max. Raises ConfigError
    when statistics and embodiment do not belong together or the widths are too small.
    """

    embodiment: Embodiment
    statistics: Statistics
    state_dim: int
    action_dim: int
    _state: KeySequence = field(init=False, repr=False)
    _action: KeySequence = field(init=False, repr=False)

    def __post_init__(self) -> None:
        state, action = (self.embodiment.encoded_width(side) for side in ("state", "action"))
        if (state > self.state_dim and not self.embodiment.truncate_state) or action > self.action_dim:
            raise ConfigError(
                f"embodiment '{self.embodiment.name}' needs {state} state and {action} action values, "
                f"the network has {self.state_dim} and {self.action_dim}"
            )
        object.__setattr__(
            self, "_state", KeySequence(self._keys("state"), self.state_dim, self.embodiment.truncate_state)
        )
        object.__setattr__(self, "_action", KeySequence(self._keys("action"), self.action_dim))

    @property
    def joints(self) -> int:
        return len(self.embodiment.policy_joints)

    @property
    def state_mask(self) -> NDArray[np.bool_]:
        """(state_dim,) True for the values that mean a joint."""
        return self._state.mask

    @property
    def action_mask(self) -> NDArray[np.bool_]:
        """(action_dim,) True for the values that mean a joint."""
        return self._action.mask

    def encode_state(self, positions: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., J) -> (..., 1, state_dim)."""
        self._require(positions)
        return self._state.encode(positions)[..., None, :]

    def encode_actions(self, positions: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., T, J) -> (..., T, action_dim)."""
        self._require(positions)
        return self._action.encode(positions)

    def decode_actions(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(..., T, action_dim) -> (..., T, J); what lies in the padding is dropped."""
        if values.shape[-1] != self.action_dim:
            raise ConfigError(f"actions: expected {self.action_dim} values per step, got {values.shape[-1]}")
        return self._action.decode(values)

    def _keys(self, side: str) -> tuple[KeyTransform, ...]:
        return tuple(self._key(side, group, part) for group, part in self.embodiment.policy_slices.items())

    def _key(self, side: str, group: str, part: slice) -> KeyTransform:
        keys = self.statistics.state if side == "state" else self.statistics.action
        if group not in keys:
            raise ConfigError(
                f"there are no {side} statistics for group '{group}'; there are: {', '.join(keys) or 'none'}"
            )
        if len(keys[group].min) != part.stop - part.start:
            raise ConfigError(
                f"{side} statistics of '{group}' have {len(keys[group].min)} values, not {part.stop - part.start}"
            )
        kind = self.statistics.kind(side, group)
        if side == "action" and not kind.absolute:
            raise ConfigError(f"actions of '{group}' are relative; only absolute joint targets can be commanded")
        return KeyTransform(group, self.embodiment.encoding(side, group), keys[group], kind)

    def _require(self, positions: NDArray[np.floating]) -> None:
        if positions.shape[-1] != self.joints:
            raise ConfigError(
                f"'{self.embodiment.name}' has {self.joints} policy joints, got {positions.shape[-1]} values"
            )
