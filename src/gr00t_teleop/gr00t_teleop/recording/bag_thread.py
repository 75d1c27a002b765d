# SPDX-License-Identifier: Apache-2.0
"""Writes a bag from a thread of its own behind a bounded queue: who puts a message in never waits for the disk."""

import os
import threading
import time
from collections import deque
from collections.abc import Mapping

from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter

# A killed process loses the open chunk and what waits: at most 0.2 s + 0.02 s and a write, a quarter of a second in all.
CHUNK_S = 0.2
_PERIOD_S = 0.02
_SYNC_S = 1.0  # what a power cut may cost; an fdatasync takes 0.3 to 3 ms
_NICENESS = 5  # of the thread: writing must not slow down what is recorded


class BagThread:
    """Owns ``bag`` until ``is_finished``. Bytes in the queue never exceed ``queue_bytes``; what does not fit is refused.

    ``failure`` is what stopped the writing before the end: the disk is full or gone.
    """

    def __init__(self, bag: BagWriter, queue_bytes: int, chunk_s: float = CHUNK_S) -> None:
        self.bag = bag
        self.failure: OSError | None = None
        self.queue_peak_bytes = 0
        self._queue_bytes, self._chunk_s = queue_bytes, chunk_s
        self._lock = threading.Lock()
        self._waiting: deque[BagTopic | BagMessage] = deque()
        self._waiting_bytes = 0
        self._custom_data: Mapping[str, str] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bag_writer", daemon=True)
        self._thread.start()

    @property
    def is_finished(self) -> bool:
        return not self._thread.is_alive()

    @property
    def queue_fill(self) -> float:
        """Share of the queue that is in use, 0 to 1."""
        return self._waiting_bytes / self._queue_bytes

    def put_topic(self, topic: BagTopic) -> None:
        """Announce a topic before its first message."""
        with self._lock:
            self._waiting.append(topic)

    def put(self, message: BagMessage) -> bool:
        """Queue a message; False where it found the queue full, the writing failed or ended."""
        size = len(message.cdr)
        with self._lock:
            if self.failure is not None or self._end.is_set() or self._waiting_bytes + size > self._queue_bytes:
                return False
            self._waiting.append(message)
            self._waiting_bytes += size
            self.queue_peak_bytes = max(self.queue_peak_bytes, self._waiting_bytes)
        return True

    def finish(self, custom_data: Mapping[str, str] | None = None) -> None:
        """Write what waits, close the bag, end. Returns at once; see ``is_finished``. The second call does nothing."""
        with self._lock:
            if not self._end.is_set():
                self._custom_data = custom_data
                self._end.set()

    def wait(self, timeout_s: float) -> bool:
        """Whether the bag was finished within the time."""
        self._thread.join(timeout_s)
        return self.is_finished

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            self._write_until_end()
            self._write_waiting()
            self.bag.close(self._custom_data)
        except OSError as error:
            with self._lock:
                self.failure = error
                self._waiting.clear()
                self._waiting_bytes = 0

    def _write_until_end(self) -> None:
        chunk_s = sync_s = time.monotonic()
        is_open = False  # whether the chunk holds a message
        while not self._end.wait(_PERIOD_S):
            wrote, now_s = self._write_waiting(), time.monotonic()
            if wrote and not is_open:
                is_open, chunk_s = True, now_s - _PERIOD_S
            if is_open and now_s - chunk_s >= self._chunk_s - _PERIOD_S:
                is_open = False
                if now_s - sync_s >= _SYNC_S:
                    self.bag.sync()
                    sync_s = time.monotonic()
                else:
                    self.bag.flush()

    def _write_waiting(self) -> bool:
        """Write what is queued; bytes count as waiting until they are written, so that the bound holds for both."""
        with self._lock:
            batch, self._waiting = self._waiting, deque()
        wrote = False
        for item in batch:
            if isinstance(item, BagTopic):
                self.bag.add_topic(item)
                continue
            self.bag.write(item)
            wrote = True
            with self._lock:
                self._waiting_bytes -= len(item.cdr)
        return wrote
