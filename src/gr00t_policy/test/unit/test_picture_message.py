# SPDX-License-Identifier: Apache-2.0
"""Pictures of messages: their size is known without their pixels, and is the one that they have."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.picture_message import compressed_shape, compressed_to_rgb, image_shape, image_to_rgb


def _encoded(codec: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    frame = np.random.default_rng(0).integers(0, 255, (30, 50, 4), np.uint8)
    Image.fromarray(frame, "RGBA").convert(mode).save(buffer, codec)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [_encoded("jpeg"), _encoded("png"), _encoded("png", "RGBA"), _encoded("jpeg") + bytes(5000)],
    ids=["jpeg", "png", "with alpha", "padded"],
)
def test_the_size_of_a_compressed_picture_is_that_of_its_pixels(data):
    assert compressed_shape(data) == compressed_to_rgb(data).shape == (30, 50, 3)


@pytest.mark.parametrize(
    "data", [b"", b"nothing", _encoded("jpeg")[:400], _encoded("png")[:400], _encoded("jpeg", "L")],
    ids=["empty", "no picture", "cut jpeg", "cut png", "grey"],
)  # fmt: skip
def test_what_cannot_be_decoded_has_no_size_either(data):
    with pytest.raises(MessageError) as decoded:
        compressed_to_rgb(data)
    with pytest.raises(MessageError) as looked_at:
        compressed_shape(data)
    assert type(decoded.value) is type(looked_at.value)


@pytest.mark.parametrize(("encoding", "channels"), [("rgb8", 3), ("bgr8", 3), ("rgba8", 4), ("bgra8", 4)])
def test_the_size_of_a_raw_picture_is_that_of_its_pixels(encoding, channels):
    step = 50 * channels + 6
    message = SimpleNamespace(encoding=encoding, height=30, width=50, step=step, data=bytes(30 * step))
    assert image_shape(message) == image_to_rgb(message).shape == (30, 50, 3)
    message.data = message.data[:-1]
    with pytest.raises(MessageError, match="needs"):
        image_shape(message)
