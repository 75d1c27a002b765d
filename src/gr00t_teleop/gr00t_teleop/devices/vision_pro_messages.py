# SPDX-License-Identifier: Apache-2.0
"""Messages of the Tracking Streamer app for Apple Vision Pro, built at import from their field numbers.

The app publishes its protocol (VisionProTeleop, MIT); on the wire only numbers and types count. A matrix is 16 floats
m00 to m33 by rows, acting on columns. Importing this module imports protobuf.
"""

from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from numpy.typing import NDArray

METHOD = "/handtracking.HandTrackingService/StreamHandUpdates"
FIELDS = tuple(f"m{row}{column}" for row in range(4) for column in range(4))

_PACKAGE = "handtracking"
_Field = descriptor_pb2.FieldDescriptorProto
# name, number, type, repeated
_MESSAGES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "Matrix4x4": tuple((name, number, "", False) for number, name in enumerate(FIELDS, start=1)),
    "Skeleton": (("jointMatrices", 1, "Matrix4x4", True),),
    "Hand": (("wristMatrix", 1, "Matrix4x4", False), ("skeleton", 2, "Skeleton", False)),
    "HandUpdate": (("left_hand", 1, "Hand", False), ("right_hand", 2, "Hand", False), ("Head", 3, "Matrix4x4", False)),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="handtracking.proto", package=_PACKAGE, syntax="proto3")
    for message, members in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated in members:
            described.field.add(
                name=name,
                number=number,
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
                type=_Field.TYPE_MESSAGE if kind else _Field.TYPE_FLOAT,
                type_name=f".{_PACKAGE}.{kind}" if kind else None,
            )
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
HandUpdate: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.HandUpdate"))


def to_array(matrix: Any) -> NDArray[np.float64]:
    """(4, 4) of a Matrix4x4."""
    return np.array([getattr(matrix, name) for name in FIELDS]).reshape(4, 4)


def fill(matrix: Any, values: NDArray[np.floating]) -> None:
    """Write (4, 4) into a Matrix4x4."""
    for name, value in zip(FIELDS, np.asarray(values, np.float64).ravel().tolist(), strict=True):
        setattr(matrix, name, value)
