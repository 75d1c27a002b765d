# SPDX-License-Identifier: Apache-2.0
"""Conditioning tokens <-> bytes (little endian, row major), in float32, bfloat16 or float16. numpy only, no torch.

bfloat16 is the upper half of a float32; it is rounded to nearest even, as every framework does.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError

Buffer: TypeAlias = bytes | bytearray | memoryview | NDArray[np.uint8]


class WireType(IntEnum):
    """How one value is written; the numbers are those of the message's ``dtype`` field."""

    FLOAT32 = 1
    BFLOAT16 = 2
    FLOAT16 = 3


_STORED: dict[WireType, np.dtype[Any]] = {
    WireType.FLOAT32: np.dtype("<f4"),
    WireType.BFLOAT16: np.dtype("<u2"),
    WireType.FLOAT16: np.dtype("<f2"),
}
# What still rounds to a finite number: half a step beyond the largest of the type is a tie, and ties go to infinity there.
_LARGEST: dict[WireType, np.float32] = {
    WireType.FLOAT32: np.finfo(np.float32).max,
    WireType.BFLOAT16: np.uint32(0x7F7F7FFF).view(np.float32),
    WireType.FLOAT16: np.nextafter(np.float32(65520.0), np.float32(0.0)),
}


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Bits of the nearest bfloat16, ties to even; too large becomes infinity, NaN stays NaN."""
    stored = _nearest_bfloat16(values)
    odd_ones = np.isnan(values)
    if odd_ones.any():  # a NaN whose payload is in the lower half must not become infinity
        stored[odd_ones] = (values[odd_ones].view(np.uint32) >> np.uint32(16)) | np.uint32(0x0040)
    return stored


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Exact values of bfloat16 bits."""
    wide = bits.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)


def tokens_to_buffer(features: NDArray[np.float32], dtype: int) -> NDArray[np.uint8]:
    """Bytes of features (S, D) float32, for a reader: of contiguous float32 on a little-endian machine the array itself, not a
    copy. Raises MessageError on NaN, infinity, or values that the type cannot hold."""
    kind = _wire_type(dtype)
    if features.ndim != 2 or features.dtype != np.float32:
        raise MessageError(f"tokens: expected (S, D) float32, got {features.shape} {features.dtype}")
    largest = _LARGEST[kind]
    if not (features.min(initial=0.0) >= -largest and features.max(initial=0.0) <= largest):  # NaN is neither
        cause = f"too large for {kind.name}" if np.isfinite(features).all() else "not finite"
        raise MessageError(f"tokens hold values that are {cause}; they must not be sent")
    numbers = _nearest_bfloat16(features) if kind is WireType.BFLOAT16 else features
    return np.ascontiguousarray(numbers, _STORED[kind]).view(np.uint8).reshape(-1)


def tokens_to_bytes(features: NDArray[np.float32], dtype: int) -> bytes:
    """``tokens_to_buffer`` as bytes of their own."""
    return tokens_to_buffer(features, dtype).tobytes()


def tokens_from_bytes(data: Buffer, dtype: int, shape: Sequence[int]) -> NDArray[np.float32]:
    """Features (S, D) float32, a copy. Raises MessageError when type, shape, length disagree, or on NaN or infinity."""
    stored = _STORED[kind := _wire_type(dtype)]
    if len(shape) != 2 or min(shape) < 1:
        raise MessageError(f"tokens: shape must be two positive numbers [S, D], got {[int(n) for n in shape]}")
    rows, width = int(shape[0]), int(shape[1])
    expected, given = rows * width * stored.itemsize, len(raw := np.frombuffer(data, np.uint8))
    if given != expected:
        raise MessageError(f"tokens: {rows}x{width} {kind.name} take {expected} bytes, got {given}")
    values = raw.view(stored).reshape(rows, width)
    features = from_bfloat16(values) if kind is WireType.BFLOAT16 else values.astype(np.float32)
    if not np.isfinite(features).all():
        raise MessageError(f"tokens: {int((~np.isfinite(features)).sum())} of {features.size} values are not finite")
    return features


def mask_to_bytes(mask: NDArray[np.bool_]) -> bytes:
    """Mask (S,) as one byte per token, 1 = real token."""
    return np.ascontiguousarray(mask, np.bool_).astype(np.uint8).tobytes()


def mask_from_bytes(data: Buffer, tokens: int) -> NDArray[np.bool_]:
    """Mask (S,) of ``tokens`` values. Raises MessageError on another length, bytes but 0 and 1, or no real token."""
    values = np.frombuffer(data, np.uint8)
    if len(values) != tokens:
        raise MessageError(f"attention mask: {tokens} tokens need {tokens} bytes, got {len(values)}")
    if values.max(initial=0) != 1:
        raise MessageError("attention mask: bytes must be 0 or 1 with at least one real token")
    return values.astype(np.bool_)


def _nearest_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Right for all but NaN. One array to work in: fresh ones of a megabyte each cost more than the arithmetic."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits >> np.uint32(16)
    rounded &= np.uint32(1)
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded >>= np.uint32(16)
    return rounded.astype(np.uint16)


def _wire_type(dtype: int) -> WireType:
    try:
        return WireType(dtype)
    except ValueError as error:
        known = ", ".join(f"{kind.value} ({kind.name})" for kind in WireType)
        raise MessageError(f"tokens: dtype {dtype} is unknown; known: {known}") from error
