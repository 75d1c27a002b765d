# SPDX-License-Identifier: Apache-2.0
"""Joint commands <-> the bytes of a ``trajectory_msgs/JointTrajectory`` of one point. Imports no ROS.

A command crosses DDS 120 times a second, three times on its way to the robot. rclpy makes an object of every name each time,
while it holds the interpreter that a control loop is waiting for; who sends commands repeats the names. The numbers lie at
one place of the bytes. What the bytes are is said in ``cdr``.
"""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.cdr import STAMP, START, CdrReader, CdrWriter, require_little_endian
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.types import JointCommand

_WHAT = "joint trajectory"
_NS = 1_000_000_000


class CommandWriter:
    """Writes commands for the joints of ``order``. One owner."""

    def __init__(self, order: JointOrder) -> None:
        self._order = order
        writer = CdrWriter()
        writer.stamp_ns(0)
        writer.string("")  # frame
        writer.strings(order.names)
        writer.count(1)
        numbers = np.zeros(len(order.names))
        writer.sequence(numbers)
        self._numbers = slice(len(writer.data) - numbers.nbytes, len(writer.data))
        for _ in ("velocities", "accelerations", "effort"):
            writer.count(0)
        self._reach = len(writer.data)
        writer.stamp_ns(0)
        self._whole = writer.data

    def write(self, command: JointCommand, from_ns: int) -> bytes:
        """header.stamp = ``from_ns``, the joint state [ns] the command answers; the point is reached at the command's stamp.

        command: positions of the joints of ``order``, in its order.
        """
        reach_ns = max(command.stamp_ns - from_ns, 0)
        STAMP.pack_into(self._whole, START, *divmod(from_ns, _NS))
        self._whole[self._numbers] = self._order.to_ros(command.positions).astype("<f8", copy=False).tobytes()
        STAMP.pack_into(self._whole, self._reach, *divmod(reach_ns, _NS))
        return bytes(self._whole)


class CommandReader:
    """Reads messages of one sender. One owner.

    order_for: the joints that a message with these names must have; asked when the names change. Raises MessageError.
    others: it may have more, which are ignored.
    """

    def __init__(self, order_for: Callable[[tuple[str, ...]], JointOrder], *, others: bool = False) -> None:
        self._order_for, self._others = order_for, others
        self._order: JointOrder | None = None
        self._names: tuple[str, ...] = ()
        self._block = b""  # frame and names of the last message

    def read(self, data: bytes) -> tuple[JointCommand, int]:
        """The command for the joints of ``order_for``, and the stamp of the joint state that it answers [ns].

        Raises MessageError for bytes that are no such message, more or fewer points than one, and as ``JointOrder`` does.
        """
        require_little_endian(data, _WHAT)
        try:
            stamp_ns, values, reach_ns = self._fields(data)
        except (struct.error, ValueError) as error:
            raise MessageError(f"{_WHAT}: {len(data)} bytes are no trajectory_msgs/JointTrajectory: {error}") from error
        if self._order is None:
            self._order = self._order_for(self._names)
        if not self._others:
            self._order.exactly(self._names, _WHAT)
        positions = self._order.positions(self._names, values, _WHAT)
        return JointCommand(stamp_ns + reach_ns, self._order.names, positions), stamp_ns

    def _fields(self, data: bytes) -> tuple[int, NDArray[np.float64], int]:
        reader = CdrReader(data)
        stamp_ns = reader.stamp_ns()
        if self._block and data.startswith(self._block, reader.at):
            reader.at += len(self._block)
        else:
            begin, _frame, self._names = reader.at, reader.string(), reader.names()
            self._block, self._order = data[begin : reader.at], None
        points = reader.count()
        if points != 1:
            raise MessageError(f"{_WHAT}: expected one point, got {points}")
        positions, _velocities, _accelerations, _effort = (reader.doubles(reader.count()) for _ in range(4))
        return stamp_ns, positions, reader.duration_ns()
