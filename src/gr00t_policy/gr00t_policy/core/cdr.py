# SPDX-License-Identifier: Apache-2.0
"""Fields out of the bytes of a message and into them, for what rclpy would make hundreds of objects of. Imports no ROS.

The bytes are those that ROS 2 sends and rosbag2 stores: the OMG's CDR, version 1 (formal/04-03-12, 15.3), little-endian,
after 4 bytes that say so. Every field is aligned to its own size, counted from behind those 4; a string has its length
with the closing zero before it, a sequence its count.
"""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError

HEADER = b"\x00\x01\x00\x00"
START = len(HEADER)
STAMP = struct.Struct("<iI")
COUNT = struct.Struct("<I")
_NS = 1_000_000_000
_MOST_NAMES = 1000


def require_little_endian(data: bytes, what: str) -> None:
    """Raises MessageError for any other encoding."""
    if data[:2] != HEADER[:2]:
        raise MessageError(f"{what}: encoding {data[:2].hex()}, expected little-endian CDR ({HEADER[:2].hex()})")


class CdrWriter:
    """Fields in their order, after what ``data`` holds already."""

    def __init__(self) -> None:
        self.data = bytearray(HEADER)

    def align(self, size: int) -> None:
        self.data += bytes((START - len(self.data)) % size)

    def stamp_ns(self, stamp_ns: int) -> None:
        self.align(4)
        self.data += STAMP.pack(*divmod(stamp_ns, _NS))

    def count(self, number: int) -> None:
        self.align(4)
        self.data += COUNT.pack(number)

    def string(self, text: str) -> None:
        encoded = text.encode() + b"\x00"
        self.count(len(encoded))
        self.data += encoded

    def strings(self, texts: Sequence[str]) -> None:
        self.count(len(texts))
        for text in texts:
            self.string(text)

    def numbers(self, numbers: NDArray[np.float64]) -> None:
        """Float64; their count is not written, and nothing is aligned for none."""
        if numbers.size:
            self.align(8)
        self.data += numbers.astype("<f8", copy=False).tobytes()

    def sequence(self, numbers: NDArray[np.float64]) -> None:
        """Their count, and they."""
        self.count(numbers.size)
        self.numbers(numbers)


class CdrReader:
    """Fields in their order, from ``at`` on. Raises struct.error or ValueError where the bytes end too soon or are no text."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, START

    def align(self, size: int) -> None:
        self.at += (START - self.at) % size

    def unpack(self, kind: struct.Struct, size: int) -> tuple[int, ...]:
        """A field aligned to ``size`` bytes."""
        self.align(size)
        values = kind.unpack_from(self.data, self.at)
        self.at += kind.size
        return values

    def count(self) -> int:
        return self.unpack(COUNT, 4)[0]

    def stamp_ns(self) -> int:
        """Of a clock, 0 to less than 2**31 s: no writer could write what is no such time into an answer."""
        return self._time_ns(0)

    def duration_ns(self) -> int:
        """As a stamp, but it may be negative."""
        return self._time_ns(-(2**31))

    def _time_ns(self, least_s: int) -> int:
        seconds, rest_ns = self.unpack(STAMP, 4)
        if seconds < least_s or rest_ns >= _NS:
            raise ValueError(
                f"a time of {seconds} s and {rest_ns} ns; expected at least {least_s} s, and less than {_NS} ns"
            )
        return seconds * _NS + rest_ns

    def take(self, length: int) -> bytes:
        """The next bytes, whatever they are."""
        begin = self._advance(length)
        return self.data[begin : self.at]

    def flag(self) -> bool:
        return self.take(1) != b"\x00"

    def string(self) -> str:
        return self.take(self.count()).rstrip(b"\x00").decode()

    def names(self) -> tuple[str, ...]:
        """Strings. At most 1000: in more a control loop has no time to look for its own."""
        count = self.count()
        if count > _MOST_NAMES:
            raise ValueError(f"{count} names; expected at most {_MOST_NAMES}")
        return tuple(self.string() for _ in range(count))

    def doubles(self, count: int) -> NDArray[np.float64]:
        """(count,), a view of the message; nothing is aligned for none."""
        if not count:
            return np.zeros(0)
        self.align(8)
        return np.frombuffer(self.data, "<f8", count, self._advance(8 * count))

    def _advance(self, length: int) -> int:
        begin, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise ValueError(f"they end {self.at - len(self.data)} bytes too soon")
        return begin
