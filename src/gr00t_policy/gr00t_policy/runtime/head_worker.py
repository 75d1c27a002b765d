# SPDX-License-Identifier: Apache-2.0
"""Threads beside the control ticks: one evaluates heads that do not fit a tick as fast as it can, one prepares tokens."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)
_IDLE_S = 0.002  # joint states come every 4 to 10 ms
_LONGEST_REST_S = 0.1  # until a thread that waits for news looks whether it is to stop


class HeadWorker:
    """Calls ``evaluate`` again and again; when it says that there was nothing to do, when ``news`` is set, or without that a
    moment later.

    An exception of ``evaluate`` ends the thread: it is logged, and ``failure`` holds it for the owner.
    """

    def __init__(self, evaluate: Callable[[], bool], name: str = "head", news: threading.Event | None = None) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._evaluate, self._news = evaluate, news
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; after ``stop`` the last evaluation may."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ask the thread to end and wait for it. Returns whether it has: an evaluation that takes longer is its last."""
        self._stopping.set()
        self._thread.join(timeout_s)
        return not self.is_alive

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if not self._evaluate():
                    self._rest()
        except BaseException as error:  # noqa: BLE001 - a dead thread must be known to its owner, whatever the cause
            self.failure = error
            _log.exception("the head's thread ended by an error")

    def _rest(self) -> None:
        if self._news is None:
            self._stopping.wait(_IDLE_S)
        elif self._news.wait(_LONGEST_REST_S):
            self._news.clear()
