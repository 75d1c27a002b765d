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


def to_bfloat16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Bits of the nearest bfloat16, ties to even; too large becomes infinity, NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = (bits + (np.uint32(0x7FFF) + odd)) >> np.uint32(16)
    quiet = (bits >> np.uint32(16)) | np.uint32(
        0x0040
    )  # a NaN whose payload is in the lower half must not become infinity
    return np.where(np.isnan(values), quiet, rounded).astype(np.uint16)


def from_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Exact values of bfloat16 bits."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def tokens_to_bytes(features: NDArray[np.float32], dtype: int) -> bytes:
    """Features (S, D) float32 as bytes. Raises MessageError on NaN, infinity, or values float16 cannot hold."""
    kind = _wire_type(dtype)
    if features.ndim != 2 or features.dtype != np.float32:
        raise MessageError(f"tokens: expected (S, D) float32, got {features.shape} {features.dtype}")
    stored: NDArray[Any]
    if kind is WireType.BFLOAT16:
        stored = to_bfloat16(features)
        decoded = from_bfloat16(stored)
    else:
        with np.errstate(over="ignore"):
            decoded = stored = features.astype(_STORED[kind])
    if not np.isfinite(decoded).all():
        cause = f"too large for {kind.name}" if np.isfinite(features).all() else "not finite"
        raise MessageError(f"tokens hold values that are {cause}; they must not be sent")
    return stored.astype(_STORED[kind], copy=False).tobytes()


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


def _wire_type(dtype: int) -> WireType:
    try:
        return WireType(dtype)
    except ValueError as error:
        known = ", ".join(f"{kind.value} ({kind.name})" for kind in WireType)
        raise MessageError(f"tokens: dtype {dtype} is unknown; known: {known}") from error
