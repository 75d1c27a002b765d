# SPDX-License-Identifier: Apache-2.0
"""What a bag holds, as plain data: topics with their type and QoS, and messages as serialized bytes."""

import struct
from dataclasses import dataclass

INFINITE_NS = 2**63 - 1


@dataclass(frozen=True)
class OfferedQos:
    """What a publisher offers, with the policy words of rosbag2 ('keep_last', 'reliable', 'transient_local', ...)."""

    reliability: str = "reliable"
    durability: str = "volatile"
    history: str = "keep_last"
    depth: int = 1
    liveliness: str = "automatic"
    deadline_ns: int = INFINITE_NS
    lifespan_ns: int = INFINITE_NS
    liveliness_lease_ns: int = INFINITE_NS


@dataclass(frozen=True)
class BagTopic:
    """One recorded topic. definition: the ``ros2msg`` text with dependencies; type_hash: 'RIHS01_...' or empty."""

    name: str
    type_name: str
    definition: str
    qos: tuple[OfferedQos, ...] = ()
    type_hash: str = ""


@dataclass(frozen=True)
class BagMessage:
    """One recorded message; stamps in nanoseconds of the recorder's system clock."""

    topic: str
    cdr: bytes
    log_ns: int
    publish_ns: int
    sequence: int

    @property
    def stamp_ns(self) -> int:
        """Stamp of a message that begins with a std_msgs/Header: after 4 bytes of encapsulation, sec and nanosec.

        Raises struct.error when it is too short for one.
        """
        seconds, nanoseconds = struct.unpack_from("<iI" if self.cdr[1] & 1 else ">iI", self.cdr, 4)
        return int(seconds) * 10**9 + int(nanoseconds)
