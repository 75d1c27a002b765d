# SPDX-License-Identifier: Apache-2.0
"""What a loop's thread found out, handed to the thread of the executor, which has the time to compute, log and publish it.

The loop only appends to a queue. Somebody has to look: rclpy's events executor is not woken by a guard condition (its source
says that it cannot be), so a timer looks 50 times a second, which takes 0.2 % of a core.
"""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

NEWS_PERIOD_S = 0.02
_KEPT = 256  # more than a loop of 500 Hz can find between two looks, unless nobody looks for half a second

Item = TypeVar("Item")


class News(Generic[Item]):
    """Put by one thread, taken by another, each once and in order. When nobody takes them for long, the oldest are lost."""

    def __init__(self) -> None:
        self._waiting: deque[Item] = deque(maxlen=_KEPT)

    def put(self, item: Item) -> None:
        """Neither waits nor keeps others waiting."""
        self._waiting.append(item)

    def take(self) -> Iterator[Item]:
        """What is waiting, oldest first."""
        while True:
            try:
                item = self._waiting.popleft()
            except IndexError:
                return
            yield item
