# SPDX-License-Identifier: Apache-2.0
"""``OperatorState`` <-> the bytes of ``gr00t_msgs/OperatorState`` on the wire. Imports no ROS.

A message of 53 poses is 160 objects, which rclpy makes one by one while it holds the interpreter: 0.31 ms to send, 0.38 to
read (AMD EPYC), on a way that shall take 8. Its numbers lie in a few runs of the bytes: 0.03 ms each.

The bytes are those that ROS 2 sends and rosbag2 stores: the OMG's CDR, version 1 (formal/04-03-12, 15.3), little-endian,
after 4 bytes that say so. Every field is aligned to its own size, counted from behind those 4; a string has its length
with the closing zero before it, a sequence its count.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.types import KEYPOINTS, POSE_SIZE, OperatorState, tracked, untracked

_HEADER = b"\x00\x01\x00\x00"
_START = len(_HEADER)
_STAMP = struct.Struct("<iI")
_COUNT = struct.Struct("<I")
_SEQUENCE = struct.Struct("<Q")
_POSE_BYTES = 8 * POSE_SIZE
_IDENTITY = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
_SIDES = {"left_hand": 1, "right_hand": 2}  # HandKeypoints.LEFT, RIGHT
_PLACE = {name: place for place, name in enumerate(KEYPOINTS)}


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray(_HEADER)

    def align(self, size: int) -> None:
        self.data += bytes((_START - len(self.data)) % size)

    def count(self, number: int) -> None:
        self.align(4)
        self.data += _COUNT.pack(number)

    def string(self, text: str) -> None:
        encoded = text.encode() + b"\x00"
        self.count(len(encoded))
        self.data += encoded

    def numbers(self, numbers: NDArray[np.float64]) -> None:
        self.align(8)
        self.data += numbers.astype("<f8", copy=False).tobytes()


def _names_block() -> bytes:
    writer = _Writer()
    writer.count(len(KEYPOINTS))
    for name in KEYPOINTS:
        writer.string(name)
    return bytes(writer.data[_START:])


_NAMES = _names_block()  # begins at a multiple of 4, so it is the same wherever it stands


def state_to_cdr(state: OperatorState) -> bytes:
    """The message of a sample; what is not tracked has the identity as its pose and is marked not valid."""
    writer = _Writer()
    writer.data += _STAMP.pack(*divmod(state.stamp_ns, 1_000_000_000))
    writer.string(state.frame)
    writer.string(state.source)
    writer.align(8)
    writer.data += _SEQUENCE.pack(state.sequence)
    writer.data.append(state.engaged)
    for pose in (state.head, state.left_wrist, state.right_wrist):
        is_valid = bool(tracked(pose))
        writer.numbers(pose if is_valid else _IDENTITY)
        writer.data.append(is_valid)
    for name, side in _SIDES.items():
        _write_hand(writer, side, getattr(state, name))
    return bytes(writer.data)


def state_from_cdr(data: bytes) -> OperatorState:
    """The sample of a message. What is not valid, and key points that are not named, are NaN. Raises MessageError."""
    if data[:2] != _HEADER[:2]:
        raise MessageError(
            f"operator state: encoding {data[:2].hex()}, expected little-endian CDR ({_HEADER[:2].hex()})"
        )
    try:
        return _Reader(data).state()
    except (struct.error, ValueError) as error:
        raise MessageError(f"operator state: {len(data)} bytes are no gr00t_msgs/OperatorState: {error}") from error


def _write_hand(writer: _Writer, side: int, points: NDArray[np.float64]) -> None:
    valid = tracked(points)
    writer.data.append(side)
    if not valid.any():
        for _ in range(3):
            writer.count(0)
        return
    writer.align(4)
    writer.data += _NAMES
    writer.count(len(KEYPOINTS))
    writer.numbers(np.where(valid[:, None], points, _IDENTITY))
    writer.count(len(KEYPOINTS))
    writer.data += valid.tobytes()


class _Reader:
    """Fields in their order. Raises struct.error or ValueError where the bytes end too soon or are no text."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, _START

    def state(self) -> OperatorState:
        seconds, rest_ns = self._unpack(_STAMP, 4)
        frame, source = self._string(), self._string()
        (sequence,) = self._unpack(_SEQUENCE, 8)
        engaged = self._flag()
        head, left_wrist, right_wrist = self._pose(), self._pose(), self._pose()
        return OperatorState(
            stamp_ns=seconds * 1_000_000_000 + rest_ns,
            frame=frame,
            source=source,
            sequence=sequence,
            engaged=engaged,
            head=head,
            left_wrist=left_wrist,
            right_wrist=right_wrist,
            left_hand=self._hand(),
            right_hand=self._hand(),
        )

    def _align(self, size: int) -> None:
        self._at += (_START - self._at) % size

    def _unpack(self, kind: struct.Struct, size: int) -> tuple[int, ...]:
        self._align(size)
        values = kind.unpack_from(self._data, self._at)
        self._at += kind.size
        return values

    def _count(self) -> int:
        return self._unpack(_COUNT, 4)[0]

    def _bytes(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise ValueError(f"they end {end - len(self._data)} bytes too soon")
        taken, self._at = self._data[self._at : end], end
        return taken

    def _flag(self) -> bool:
        return self._bytes(1) != b"\x00"

    def _string(self) -> str:
        return self._bytes(self._count()).rstrip(b"\x00").decode()

    def _numbers(self, poses: int) -> NDArray[np.float64]:
        if not poses:
            return np.zeros((0, POSE_SIZE))
        self._align(8)
        return np.frombuffer(self._bytes(_POSE_BYTES * poses), "<f8").reshape(poses, POSE_SIZE).astype(np.float64)

    def _pose(self) -> NDArray[np.float64]:
        pose = self._numbers(1)[0]
        return pose if self._flag() else untracked()

    def _hand(self) -> NDArray[np.float64]:
        self._bytes(1)  # which hand: the field it stands in says so
        names = self._names()
        poses = self._numbers(self._count())
        valid = np.frombuffer(self._bytes(self._count()), np.bool_)
        if not len(names) == len(poses) == len(valid):
            raise MessageError(
                f"hand key points: {len(names)} names, {len(poses)} poses, {len(valid)} is_valid; expected equal"
            )
        unknown = [name for name in names if name not in _PLACE]
        if unknown:
            raise MessageError(f"hand key points: unknown name '{unknown[0]}'; known: {', '.join(KEYPOINTS)}")
        points = untracked(len(KEYPOINTS))
        places = slice(None) if names is KEYPOINTS else [_PLACE[name] for name in names]
        points[places] = np.where(valid[:, None], poses, np.nan)
        return points

    def _names(self) -> tuple[str, ...]:
        self._align(4)
        if self._data.startswith(_NAMES, self._at):
            self._at += len(_NAMES)
            return KEYPOINTS
        return tuple(self._string() for _ in range(self._count()))
