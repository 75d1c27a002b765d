# SPDX-License-Identifier: Apache-2.0
"""How long after now a chunk that is begun now will be used."""

from collections import deque

from gr00t_policy.runtime.chunk_plan import CLOCK_JUMP_NS

_KEPT = 10


class ExpectedDelay:
    """The longest of the last ten evaluations, as in real-time chunking, and the tick that then takes the chunk in."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._recent: deque[int] = deque(maxlen=_KEPT)
        self.begin_anew()

    def add(self, took_ns: int) -> None:
        self._recent.append(took_ns)

    @property
    def expected_ns(self) -> int:
        return max(self._recent, default=0) + self._period_ns

    def begin_anew(self) -> None:
        """What ``ascending_ns`` says next need not come after anything."""
        self._before: tuple[int, int] | None = None  # began, used

    def ascending_ns(self, began_ns: int) -> int:
        """When a chunk that is begun at ``began_ns`` will be used, for chunks that are stamped with it.

        When a long evaluation leaves the ten, the delay falls by at most half of the time that passes: by more, a chunk would
        be stamped before the one begun before it and count as older.
        """
        used_ns = began_ns + self.expected_ns
        if self._before is not None:
            passed_ns = began_ns - self._before[0]
            if passed_ns >= -CLOCK_JUMP_NS:
                used_ns = max(used_ns, self._before[1] + max(passed_ns, 0) // 2)
        self._before = began_ns, used_ns
        return used_ns
