# SPDX-License-Identifier: Apache-2.0
"""Pictures of sensor_msgs messages -> RGB arrays. Looks at fields only, so that it serves live messages and recorded ones."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gr00t_policy.core.errors import MessageError

_RGB_ORDER = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0)}
_COMPRESSED = ("JPEG", "PNG")
_END_MARKS, _END_BYTES = (b"\xff\xd9", b"IEND"), 1024  # of jpeg, of png; some cameras put zeros behind


class RawImage(Protocol):
    """The fields of sensor_msgs/Image that matter here."""

    encoding: str
    height: int
    width: int
    step: int
    data: Any


def image_to_rgb(message: RawImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB; a view of the message's buffer where possible. Raises MessageError."""
    pixels, order = _pixels(message), _RGB_ORDER[message.encoding]
    return pixels[:, :, :3] if order == (0, 1, 2) else pixels[:, :, list(order)]


def image_shape(message: RawImage) -> tuple[int, int, int]:
    """(H, W, 3) of what ``image_to_rgb`` gives, whose errors it raises; no pixel is moved."""
    height, width, _ = _pixels(message).shape
    return height, width, 3


def _pixels(message: RawImage) -> NDArray[np.uint8]:
    """(H, W, C) in the order of the message."""
    if message.encoding not in _RGB_ORDER:
        raise MessageError(f"image encoding '{message.encoding}' is not supported; use one of: {', '.join(_RGB_ORDER)}")
    channels = 4 if "a" in message.encoding else 3
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0 or step < width * channels or len(message.data) != height * step:
        raise MessageError(
            f"image {width}x{height} {message.encoding} with step {step} needs {height * max(step, width * channels)} "
            f"bytes, got {len(message.data)}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, : width * channels]
    return rows.reshape(height, width, channels)


def compressed_to_rgb(data: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of the data of a sensor_msgs/CompressedImage: colour jpeg or png. Raises MessageError.

    The file says itself what it is and in which order its colours are; the words in ``format`` differ between drivers.
    """
    with _opened(data) as picture:
        return np.asarray(picture if picture.mode == "RGB" else picture.convert("RGB"))


def compressed_shape(data: bytes | NDArray[np.uint8]) -> tuple[int, int, int]:
    """(H, W, 3) of what ``compressed_to_rgb`` gives, whose errors it raises; decodes only what lacks its end mark."""
    end = bytes(data[-_END_BYTES:])
    if not any(mark in end for mark in _END_MARKS):
        height, width, _ = compressed_to_rgb(data).shape
        return height, width, 3
    with _opened(data) as picture:
        return picture.height, picture.width, 3


@contextmanager
def _opened(data: bytes | NDArray[np.uint8]) -> Iterator[Image.Image]:
    """A colour picture, not decoded yet. Raises MessageError, also for what goes wrong while it is open."""
    try:
        with Image.open(io.BytesIO(bytes(data)), formats=_COMPRESSED) as picture:
            if picture.mode not in ("RGB", "RGBA"):
                raise MessageError(f"a compressed image of mode '{picture.mode}' is no colour picture; expected RGB")
            yield picture
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MessageError(f"a compressed image is no readable jpeg or png: {error}") from error
