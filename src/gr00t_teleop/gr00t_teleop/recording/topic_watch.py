# SPDX-License-Identifier: Apache-2.0
"""How well one topic is received: rate, age, gaps in the sender's sequence, whether it stopped."""

from collections import deque
from dataclasses import dataclass, field

from gr00t_policy.data.bag import BagMessage, BagTopic

_WINDOW_NS = 1_000_000_000
_RECENT_NS = 5_000_000_000  # how long a loss keeps the alarm on
_STREAM = 5  # messages within a second: what comes seldom, as sentences do, may stay away without a word


@dataclass
class TopicWatch:
    """One topic. Times are of one steady clock [ns]. Not safe for use from several threads.

    may_pause: that it stops is no alarm. topic: None until it is published. refused: why it cannot be recorded; empty: it can.
    counts_gaps: false with several publishers, whose sequences cannot be told apart. latched: the newest message is kept,
    since it will not be sent again. flows: a stream in this episode, or when it began. messages, lost: in this episode.
    """

    name: str
    may_pause: bool = False
    topic: BagTopic | None = None
    refused: str = ""
    latched: bool = False
    counts_gaps: bool = True
    newest: BagMessage | None = None
    flows: bool = False
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
        self.flows |= len(self._arrivals_ns) >= _STREAM
        if self.latched:
            self.newest = message
        gap = message.sequence - self._sequence - 1
        if self.counts_gaps and self._sequence and gap > 0:  # a lower number is a sender that was started again
            self.lose(gap, now_ns)
        self._sequence = message.sequence

    def lose(self, count: int, now_ns: int) -> None:
        self.lost += count
        self._lost_ns = now_ns

    def begin_episode(self, now_ns: int, silent_s: float) -> None:
        """Count anew. What was silent before is not missed."""
        self.messages = self.lost = 0
        self._lost_ns = None
        self.flows &= not self.is_silent(now_ns, silent_s)

    def rate_hz(self, now_ns: int) -> float:
        """Messages of the last second."""
        self._forget(now_ns)
        return float(len(self._arrivals_ns))

    def is_settled(self, now_ns: int) -> bool:
        """Whether it has come for long enough to have a rate."""
        return self._first_ns is not None and now_ns - self._first_ns > 1.5 * _WINDOW_NS

    def age_s(self, now_ns: int) -> float:
        """Time since the newest message; NaN before the first."""
        return float("nan") if self._last_ns is None else (now_ns - self._last_ns) / 1e9

    def has_delivered(self) -> bool:
        return self._last_ns is not None

    def is_silent(self, now_ns: int, silent_s: float) -> bool:
        """A topic that is latched has delivered once it has a message."""
        if self._last_ns is None:
            return True
        return not self.latched and self.age_s(now_ns) > silent_s

    def has_stopped(self, now_ns: int, silent_s: float) -> bool:
        """Whether messages are missing that came before, in this episode or until it began."""
        return self.flows and not self.may_pause and self.is_silent(now_ns, silent_s)

    def stop(self, now_ns: int) -> str:
        """Since when there is nothing, and what to do."""
        return f"{self.name} fell silent {self.age_s(now_ns):.1f} s ago: is its sender alive?"

    def loss(self, now_ns: int) -> str:
        """What was lost just now; empty: nothing."""
        if self._lost_ns is None or now_ns - self._lost_ns >= _RECENT_NS:
            return ""
        return f"{self.name} lost {self.lost} messages"

    def refusal(self) -> str:
        """Why it is not recorded although it is published; empty: it is, or nobody sends it."""
        return f"{self.name} cannot be recorded: {self.refused}" if self.refused else ""

    def _forget(self, now_ns: int) -> None:
        while self._arrivals_ns and now_ns - self._arrivals_ns[0] > _WINDOW_NS:
            self._arrivals_ns.popleft()
