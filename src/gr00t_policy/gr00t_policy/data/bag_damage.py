# SPDX-License-Identifier: Apache-2.0
"""What damaged bytes make the readers of bags raise: of a file, and of a message or its definition."""

import struct

import zstandard
from mcap.exceptions import McapError
from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError

# lz4 raises a RuntimeError, a wrong length a MemoryError or an OverflowError.
BROKEN_FILE = (
    *(McapError, OSError, struct.error, EOFError, RuntimeError, MemoryError, OverflowError, ValueError, LookupError),
    zstandard.ZstdError,
)
BROKEN_MESSAGE = (SerdeError, TypesysError, struct.error, ValueError, IndexError, KeyError, AssertionError)
