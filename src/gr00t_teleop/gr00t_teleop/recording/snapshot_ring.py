# SPDX-License-Identifier: Apache-2.0
"""The last seconds of all topics in memory, bounded in time and bytes: what came just before somebody said 'save that'."""

from collections import deque

from gr00t_policy.data.bag import BagMessage


class SnapshotRing:
    """Keeps the messages that arrived in the last ``span_s``, at most ``most_bytes`` of them. Not thread-safe.

    Ages are those of the steady clock: the system's, which the messages' own times are of, may be set meanwhile.
    """

    def __init__(self, span_s: float, most_bytes: int) -> None:
        self._span_ns, self._most_bytes = int(span_s * 1e9), most_bytes
        self._messages: deque[tuple[int, BagMessage]] = deque()
        self._bytes = 0

    def add(self, message: BagMessage, now_ns: int) -> None:
        """now_ns: when it arrived, by the steady clock."""
        self._messages.append((now_ns, message))
        self._bytes += len(message.cdr)
        while self._messages and (self._bytes > self._most_bytes or now_ns - self._messages[0][0] > self._span_ns):
            self._bytes -= len(self._messages.popleft()[1].cdr)

    def content(self) -> list[BagMessage]:
        """What is kept now, oldest first."""
        return [message for _, message in self._messages]
