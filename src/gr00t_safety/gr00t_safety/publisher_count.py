# SPDX-License-Identifier: Apache-2.0
"""How many publishers command as one source. Two must not, so a number that is too high holds the robot for ever.

The middleware tells each change at once, by an event; the graph of nodes can be asked at any time. An event that says "one
less" can be lost, as when a process was killed, so the graph may correct the number downwards. It never corrects upwards: what
it lists may not even fit the subscription, and what fits is told by an event.
"""

_SURE = 2  # answers in a row; the graph may still be hearing of a publisher whose event came already


class PublisherCount:
    """One owner. ``count``: publishers now."""

    def __init__(self) -> None:
        self.count = 0
        self._lower = 0

    def event(self, count: int) -> None:
        """The middleware says how many are connected."""
        self.count, self._lower = count, 0

    def graph(self, count: int) -> bool:
        """The graph lists so many. True when that is believed against the events."""
        self._lower = self._lower + 1 if count < self.count else 0
        if self._lower < _SURE:
            return False
        self.event(count)
        return True
