# SPDX-License-Identifier: Apache-2.0
"""The stream of the person's samples: the newest one, its age by the steady clock, and what was lost or refused."""

from gr00t_policy.runtime.latency import RateMeter
from gr00t_teleop.types import OperatorState

_NS = 1e9
_RESTARTED = 1000  # a sequence that goes back, or leaps further than this, is another run of the device


class SampleStream:
    """Newest only. One owner; ``now_ns`` is the receiver's steady clock, stamps are the messages'."""

    def __init__(self) -> None:
        self.newest: OperatorState | None = None
        self.clear_counters()
        self._unread = False
        self._arrived_ns = 0

    def clear_counters(self) -> None:
        self.used = self.lost = self.rejected = 0
        self._sequence: int | None = None
        self._rate = RateMeter()

    def forget(self) -> None:
        """Before activation: only what arrives from now on counts."""
        self.newest, self._unread = None, False

    def offer(self, state: OperatorState, now_ns: int) -> None:
        """A sample has arrived. One with the stamp of the sample before, or an older one, is refused."""
        newest = self.newest
        # A device's clock that was set goes back further.
        if newest is not None and newest.source == state.source and 0 <= newest.stamp_ns - state.stamp_ns < _NS:
            self.rejected += 1
            return
        if self._sequence is not None and 0 < state.sequence - self._sequence < _RESTARTED:
            self.lost += state.sequence - self._sequence - 1
        self._sequence = state.sequence
        self._rate.add(now_ns)
        self.newest, self._unread, self._arrived_ns = state, True, now_ns

    def take(self) -> OperatorState | None:
        """The newest sample, once."""
        unread, self._unread = self._unread, False
        return self.newest if unread else None

    def silent_s(self, now_ns: int) -> float:
        """Since the newest sample arrived, infinite before the first."""
        return (now_ns - self._arrived_ns) / _NS if self.newest is not None else float("inf")

    def age_s(self, now_ros_ns: int) -> float:
        """Of the newest sample by its stamp, infinite before the first."""
        return (now_ros_ns - self.newest.stamp_ns) / _NS if self.newest is not None else float("inf")

    def rate_hz(self, now_ns: int) -> float:
        return self._rate.rate_hz(now_ns)
