# SPDX-License-Identifier: Apache-2.0
"""Writes a bag from a thread of its own behind a bounded queue: who puts a message in never waits for the disk."""

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping

from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter

# A killed process loses the open chunk and what waits: at most 0.2 s + 0.02 s and a write, a quarter of a second in all.
CHUNK_S = 0.2
_PERIOD_S = 0.02
_SYNC_S = 1.0  # a power cut costs this and what a write takes; an fdatasync takes 0.3 to 3 ms
_NICENESS = 5  # of the thread: writing must not slow down what is recorded


class BagThread:
    """Owns ``bag`` until ``is_finished``. Bytes in the queue never exceed ``queue_bytes``; what does not fit is refused.

    ``failure`` is what stopped the writing before the end, mostly that the disk is full or gone. ``lost`` counts then, by
    topic, the messages that were taken and are not known to be whole on the disk; of the chunk that was being written some
    may be.
    """

    def __init__(self, bag: BagWriter, queue_bytes: int, chunk_s: float = CHUNK_S) -> None:
        self.bag = bag
        self.failure: Exception | None = None
        self.lost: Counter[str] = Counter()
        self.queue_peak_bytes = 0
        self._queue_bytes, self._chunk_s = queue_bytes, chunk_s
        self._lock = threading.Lock()
        self._waiting: deque[BagTopic | BagMessage] = deque()
        self._waiting_bytes = 0
        self._taken: Counter[str] = Counter()
        self._on_disk: Mapping[str, int] = {}
        self._custom_data: Mapping[str, str] | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bag_writer", daemon=True)
        self._thread.start()

    @property
    def is_finished(self) -> bool:
        return not self._thread.is_alive()

    @property
    def why(self) -> str:
        """The failure in a few words; empty when there is none."""
        return getattr(self.failure, "strerror", None) or (str(self.failure) if self.failure is not None else "")

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
            self._taken[message.topic] += 1
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
            self._close_chunk()  # so that an index for which there is no room costs no message
            self.bag.close(self._custom_data)
        except Exception as error:
            self.bag.abandon()
            with self._lock:
                self.lost = self._taken - Counter(self._on_disk)
                self.failure = error
                self._waiting.clear()
                self._waiting_bytes = 0
            if not isinstance(error, OSError):  # no disk is to blame: the log has where it happened
                raise

    def _write_until_end(self) -> None:
        """Times are of the oldest message in the open chunk, and of the oldest that a power cut would cost; None: no such."""
        chunk_s: float | None = None
        unsynced_s: float | None = None
        while not self._end.wait(_PERIOD_S):
            wrote, now_s = self._write_waiting(), time.monotonic()
            if wrote:
                chunk_s = now_s - _PERIOD_S if chunk_s is None else chunk_s
                unsynced_s = now_s - _PERIOD_S if unsynced_s is None else unsynced_s
            if unsynced_s is not None and now_s - unsynced_s >= _SYNC_S - _PERIOD_S:
                self._close_chunk(sync=True)
                chunk_s = unsynced_s = None
            elif chunk_s is not None and now_s - chunk_s >= self._chunk_s - _PERIOD_S:
                self._close_chunk()
                chunk_s = None

    def _close_chunk(self, *, sync: bool = False) -> None:
        if sync:
            self.bag.sync()
        else:
            self.bag.flush()
        self._on_disk = self.bag.counts

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
