# SPDX-License-Identifier: Apache-2.0
"""When each message of a file was received and where it stands there, from its index alone. MCAP: https://mcap.dev/spec"""

from typing import IO

import numpy as np
from numpy.typing import NDArray

PAIR = np.dtype([("log_ns", "<u8"), ("offset", "<u8")])
_MESSAGE_INDEX = 0x07
_RECORD_HEAD = 9  # opcode, length
_ARRAY_HEAD = 6  # channel id, bytes of the array


def index_record(stream: IO[bytes], offset: int) -> NDArray[np.void] | None:
    """One message index record, ``PAIR`` each: time of receipt [ns], offset in the chunk; None when there is none."""
    stream.seek(offset)
    head = stream.read(_RECORD_HEAD + _ARRAY_HEAD)
    if len(head) < _RECORD_HEAD + _ARRAY_HEAD or head[0] != _MESSAGE_INDEX:
        return None
    size = int.from_bytes(head[-4:], "little")
    data = stream.read(size)
    if len(data) != size or size % PAIR.itemsize:
        return None
    return np.frombuffer(data, PAIR)
