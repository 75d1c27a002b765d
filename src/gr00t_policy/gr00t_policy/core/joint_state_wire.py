# SPDX-License-Identifier: Apache-2.0
"""Joint positions <-> the bytes of a ``sensor_msgs/JointState``. Imports no ROS.

rclpy makes an object of every name in every message, while it holds the interpreter that a control loop may be waiting for.
A robot repeats its names: as long as they are the bytes of the message before, they are neither read nor written.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.cdr import STAMP, START, CdrReader, CdrWriter, require_little_endian
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder

_WHAT = "joint state"


class JointStateWriter:
    """Writes messages for the joints of ``order``. One owner."""

    def __init__(self, order: JointOrder) -> None:
        self._order = order
        writer, zeros = CdrWriter(), np.zeros(len(order.names))
        writer.stamp_ns(0)
        writer.string("")  # frame
        writer.strings(order.names)
        ends = []
        for _ in ("positions", "velocities"):
            writer.sequence(zeros)
            ends.append(len(writer.data))
        self._positions, self._velocities = (slice(end - zeros.nbytes, end) for end in ends)
        writer.count(0)  # efforts
        self._whole = writer.data

    def write(self, positions: NDArray[np.floating], velocities: NDArray[np.floating], stamp_ns: int) -> bytes:
        """(J,) positions [rad] and velocities [rad/s] in the model convention, of the time ``stamp_ns``."""
        STAMP.pack_into(self._whole, START, *divmod(stamp_ns, 1_000_000_000))
        for place, numbers in ((self._positions, positions), (self._velocities, velocities)):
            self._whole[place] = self._order.to_ros(numbers).astype("<f8", copy=False).tobytes()
        return bytes(self._whole)


class JointStateReader:
    """Reads messages of one topic for the joints of ``order``. One owner."""

    def __init__(self, order: JointOrder) -> None:
        self._order = order
        self._names: tuple[str, ...] = ()
        self._block = b""  # frame and names of the last message

    @property
    def names(self) -> tuple[str, ...]:
        """Of the joints that are read."""
        return self._order.names

    def read(self, data: bytes) -> tuple[NDArray[np.float64], int]:
        """Positions (J,) [rad] in the model convention, and the stamp [ns].

        Raises MessageError where the bytes are no such message, and as ``JointOrder.positions`` does.
        """
        require_little_endian(data, _WHAT)
        try:
            stamp_ns, values = self._fields(data)
        except (struct.error, ValueError) as error:
            raise MessageError(f"{_WHAT}: {len(data)} bytes are no sensor_msgs/JointState: {error}") from error
        return self._order.positions(self._names, values, _WHAT), stamp_ns

    def _fields(self, data: bytes) -> tuple[int, NDArray[np.float64]]:
        reader = CdrReader(data)
        stamp_ns = reader.stamp_ns()
        if self._block and data.startswith(self._block, reader.at):
            reader.at += len(self._block)
        else:
            begin, _frame, self._names = reader.at, reader.string(), reader.names()
            self._block = data[begin : reader.at]
        positions, _velocities, _efforts = (reader.doubles(reader.count()) for _ in range(3))
        return stamp_ns, positions
