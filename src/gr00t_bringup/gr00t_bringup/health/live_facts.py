# SPDX-License-Identifier: Apache-2.0
"""What was seen of a running robot, as plain values. Filled by ``ros/live_view``, judged by ``streams``."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StreamFacts:
    """One sensor topic listened to.

    publishers: node names. received: messages; rate_hz: of them, 0 with fewer than two. age_s: middle age of the stamps
    at receipt against the system clock, negative = from the future. stands_still: all stamps were the same.
    names: of the joints; size: (width, height) of the pictures. other_type: what is published
    instead of the expected type, empty = nothing.
    """

    topic: str
    publishers: tuple[str, ...] = ()
    received: int = 0
    rate_hz: float = 0.0
    age_s: float = 0.0
    stands_still: bool = False
    names: tuple[str, ...] = ()
    not_finite: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    encoding: str = ""
    other_type: str = ""


@dataclass(frozen=True)
class LiveFacts:
    """namespace: that was looked at, with a slash before it, '' = the root. nodes: all on the domain but ours, by full names.
    lifecycle: suite node in that namespace -> state label, '' = it did not answer; absent = not there.

    commands: command topic -> names of the nodes that publish it. clock: somebody publishes /clock.
    """

    domain: str
    namespace: str = ""
    nodes: tuple[str, ...] = ()
    lifecycle: dict[str, str] = field(default_factory=dict)
    joints: StreamFacts = field(default_factory=lambda: StreamFacts("joint_states"))
    cameras: dict[str, StreamFacts] = field(default_factory=dict)
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    clock: bool = False

    @property
    def concerns_us(self) -> bool:
        """Whether anything of a robot or of the suite is there."""
        streams = (self.joints, *self.cameras.values())
        return bool(self.lifecycle or any(self.commands.values()) or any(stream.publishers for stream in streams))
