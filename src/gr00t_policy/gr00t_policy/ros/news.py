# SPDX-License-Identifier: Apache-2.0
"""What a loop's thread found out, handed to another thread, which has the time to compute, log and publish it.

The loop only appends to a queue. Somebody has to look. rclpy's events executor is not woken by a guard condition (its source
says that it cannot be), so either a timer of its looks 50 times a second, which takes 0.2 % of a core, or, where a change must
be told at once, a thread of its own waits for it: ``Teller``.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)
NEWS_PERIOD_S = 0.02
_KEPT = 256  # more than a loop of 500 Hz can find between two looks, unless nobody looks for half a second
_LONGEST_WAIT_S = 1.0

Item = TypeVar("Item")


class News(Generic[Item]):
    """Put by one thread, taken by another, each once and in order. When nobody takes them for long, the oldest are lost."""

    def __init__(self) -> None:
        self._waiting: deque[Item] = deque(maxlen=_KEPT)
        self._bell = threading.Lock()  # locked until it is rung: no condition, whose lock a waiter may hold
        self._bell.acquire()

    def put(self, item: Item) -> None:
        """Neither waits nor keeps others waiting; wakes who waits."""
        self._waiting.append(item)
        self.ring()

    def ring(self) -> None:
        """Wake who waits, or who waits next."""
        if self._bell.locked():
            with suppress(RuntimeError):  # somebody was quicker
                self._bell.release()

    def wait(self, timeout_s: float) -> None:
        """Until something was put since the last time, or for so long."""
        self._bell.acquire(timeout=timeout_s)

    def take(self) -> Iterator[Item]:
        """What is waiting, oldest first."""
        while True:
            try:
                item = self._waiting.popleft()
            except IndexError:
                return
            yield item


class Teller(Generic[Item]):
    """A thread that calls ``tell`` with each item of ``news`` as soon as it is put, in order.

    An exception of ``tell`` ends the thread: it is logged, and ``failure`` holds it for the owner.
    """

    def __init__(self, news: News[Item], tell: Callable[[Item], object], name: str = "teller") -> None:
        self.failure: BaseException | None = None
        self._news, self._tell = news, tell
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """What was put before is told first; waits no longer than ``timeout_s``."""
        self._stopping.set()
        self._news.ring()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while True:
                last_look = self._stopping.is_set()
                for item in self._news.take():
                    self._tell(item)
                if last_look:
                    return
                self._news.wait(_LONGEST_WAIT_S)
        except BaseException as error:  # noqa: BLE001 - a dead thread must be known to its owner, whatever the cause
            self.failure = error
            _log.exception("the thread that tells states ended by an error")
