# SPDX-License-Identifier: Apache-2.0
"""``OperatorState`` <-> the bytes of ``gr00t_msgs/OperatorState`` on the wire. Imports no ROS.

A message of 53 poses is 160 objects, which rclpy makes one by one while it holds the interpreter: 0.31 ms to send, 0.38 to
read (AMD EPYC), on a way that shall take 8. Its numbers lie in a few runs of the bytes: 0.03 ms each.
What the bytes are is said in ``gr00t_policy.core.cdr``.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.cdr import START, CdrReader, CdrWriter, require_little_endian
from gr00t_policy.core.errors import MessageError
from gr00t_teleop.types import KEYPOINTS, POSE_SIZE, OperatorState, tracked, untracked

_SEQUENCE = struct.Struct("<Q")
_IDENTITY = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
_SIDES = {"left_hand": 1, "right_hand": 2}  # HandKeypoints.LEFT, RIGHT
_PLACE = {name: place for place, name in enumerate(KEYPOINTS)}


def _names_block() -> bytes:
    writer = CdrWriter()
    writer.strings(KEYPOINTS)
    return bytes(writer.data[START:])


_NAMES = _names_block()  # begins at a multiple of 4, so it is the same wherever it stands


def state_to_cdr(state: OperatorState) -> bytes:
    """The message of a sample; what is not tracked has the identity as its pose and is marked not valid."""
    writer = CdrWriter()
    writer.stamp_ns(state.stamp_ns)
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
    require_little_endian(data, "operator state")
    try:
        return _Reader(data).state()
    except (struct.error, ValueError) as error:
        raise MessageError(f"operator state: {len(data)} bytes are no gr00t_msgs/OperatorState: {error}") from error


def _write_hand(writer: CdrWriter, side: int, points: NDArray[np.float64]) -> None:
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


class _Reader(CdrReader):
    def state(self) -> OperatorState:
        stamp_ns = self.stamp_ns()
        frame, source = self.string(), self.string()
        (sequence,) = self.unpack(_SEQUENCE, 8)
        engaged = self.flag()
        head, left_wrist, right_wrist = self._pose(), self._pose(), self._pose()
        return OperatorState(
            stamp_ns=stamp_ns,
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

    def _poses(self, count: int) -> NDArray[np.float64]:
        return self.doubles(POSE_SIZE * count).reshape(count, POSE_SIZE)

    def _pose(self) -> NDArray[np.float64]:
        pose = self._poses(1)[0].copy()
        return pose if self.flag() else untracked()

    def _hand(self) -> NDArray[np.float64]:
        self.take(1)  # which hand: the field it stands in says so
        names = self._names()
        poses = self._poses(self.count())
        valid = np.frombuffer(self.take(self.count()), np.bool_)
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
        self.align(4)
        if self.data.startswith(_NAMES, self.at):
            self.at += len(_NAMES)
            return KEYPOINTS
        return self.names()
