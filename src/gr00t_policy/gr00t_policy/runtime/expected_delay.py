# SPDX-License-Identifier: Apache-2.0
"""How long after now a chunk that is begun now will be used."""

from collections import deque

_KEPT = 10


class ExpectedDelay:
    """The longest of the last ten evaluations, as in real-time chunking, and the tick that then takes the chunk in."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._recent: deque[int] = deque(maxlen=_KEPT)

    def add(self, took_ns: int) -> None:
        self._recent.append(took_ns)

    @property
    def expected_ns(self) -> int:
        return max(self._recent, default=0) + self._period_ns
