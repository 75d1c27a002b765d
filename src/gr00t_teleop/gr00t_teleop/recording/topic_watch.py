# SPDX-License-Identifier: Apache-2.0
"""How well one topic is received: rate, age, gaps in the sender's sequence."""

from collections import deque
from dataclasses import dataclass, field

from gr00t_policy.data.bag import BagMessage, BagTopic

_WINDOW_NS = 1_000_000_000
_RECENT_NS = 5_000_000_000  # how long a loss keeps the alarm on
_SLOW = 0.9  # of the expected rate


@dataclass
class TopicWatch:
    """One topic. Times are of one steady clock [ns]. Not safe for use from several threads.

    topic: None until it is published. counts_gaps: false with several publishers, whose sequences cannot be told apart.
    latched: the newest message is kept, since it will not be sent again. messages, lost: in this episode.
    """

    name: str
    required: bool = False
    expected_rate_hz: float = 0.0
    topic: BagTopic | None = None
    latched: bool = False
    counts_gaps: bool = True
    newest: BagMessage | None = None
    messages: int = 0
    lost: int = 0
    _sequence: int = 0
    _arrivals_ns: deque[int] = field(default_factory=deque)
    _first_ns: int | None = None
    _last_ns: int | None = None
    _lost_ns: int | None = None

    def receive(self, message: BagMessage, now_ns: int) -> None:
        """Note a message, and how many are missing before it."""
        self._first_ns = now_ns if self._first_ns is None else self._first_ns
        self._last_ns = now_ns
        self._arrivals_ns.append(now_ns)
        self._forget(now_ns)
        if self.latched:
            self.newest = message
        gap = message.sequence - self._sequence - 1
        if self.counts_gaps and self._sequence and gap > 0:  # a lower number is a sender that was started again
            self.lose(gap, now_ns)
        self._sequence = message.sequence

    def lose(self, count: int, now_ns: int) -> None:
        self.lost += count
        self._lost_ns = now_ns

    def begin_episode(self) -> None:
        self.messages = self.lost = 0
        self._lost_ns = None

    def rate_hz(self, now_ns: int) -> float:
        """Messages of the last second."""
        self._forget(now_ns)
        return float(len(self._arrivals_ns))

    def age_s(self, now_ns: int) -> float:
        """Time since the newest message; NaN before the first."""
        return float("nan") if self._last_ns is None else (now_ns - self._last_ns) / 1e9

    def is_silent(self, now_ns: int, silent_s: float) -> bool:
        """A topic that is latched has delivered once it has a message."""
        if self._last_ns is None:
            return True
        return not self.latched and self.age_s(now_ns) > silent_s

    def silence(self, now_ns: int) -> str:
        """Why there is nothing, and what to do."""
        if self.topic is None:
            return f"{self.name} has no publisher: start the node that sends it, or take it out of required_topics"
        if self._last_ns is None:
            return f"{self.name} is published but nothing came yet: is its sender active?"
        return f"{self.name} fell silent {self.age_s(now_ns):.1f} s ago: is its sender alive?"

    def trouble(self, now_ns: int) -> str:
        """What is worth an alarm now; empty: nothing."""
        if self._lost_ns is not None and now_ns - self._lost_ns < _RECENT_NS:
            return f"{self.name} lost {self.lost} messages"
        if self.expected_rate_hz and self._first_ns is not None and now_ns - self._first_ns > 1.5 * _WINDOW_NS:
            rate_hz = self.rate_hz(now_ns)
            if rate_hz < _SLOW * self.expected_rate_hz:
                return f"{self.name} comes at {rate_hz:.0f} Hz instead of {self.expected_rate_hz:g}"
        return ""

    def _forget(self, now_ns: int) -> None:
        while self._arrivals_ns and now_ns - self._arrivals_ns[0] > _WINDOW_NS:
            self._arrivals_ns.popleft()
