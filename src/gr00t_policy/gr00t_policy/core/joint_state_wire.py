# SPDX-License-Identifier: Apache-2.0
"""Joint positions out of the bytes of a ``sensor_msgs/JointState``. Imports no ROS.

rclpy makes an object of every name in every message, while it holds the interpreter that a control loop may be waiting for.
A robot repeats its names: as long as they are the bytes of the message before, they are not read at all.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.cdr import CdrReader, require_little_endian
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder

_WHAT = "joint state"


class JointStateReader:
    """Reads messages of one topic for the joints of ``order``. One owner."""

    def __init__(self, order: JointOrder) -> None:
        self._order = order
        self._names: tuple[str, ...] = ()
        self._block = b""  # frame and names of the last message

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
            begin, _frame, self._names = reader.at, reader.string(), reader.strings()
            self._block = data[begin : reader.at]
        positions, _velocities, _efforts = (reader.doubles(reader.count()) for _ in range(3))
        return stamp_ns, positions
