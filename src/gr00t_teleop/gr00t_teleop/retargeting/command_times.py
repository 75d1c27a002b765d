# SPDX-License-Identifier: Apache-2.0
"""For when each command is: one tick apart on the clock that stamps joint states, whatever messages and ticks do.

The gate places commands by these times. Joint states arrive late by a time that varies, and ticks begin late; were the
commands stamped with either, an even motion would reach the robot uneven, and every such command would be limited.
"""

_GAIN = 0.02  # of a new measurement of the phase: settles in about 50 ticks
_MAX_ERROR_TICKS = 3  # further off, ticks were skipped or a clock was set


class CommandTimes:
    """Owned by one sender of commands, one every ``tick_ns``."""

    def __init__(self, tick_ns: int) -> None:
        self._tick_ns = tick_ns
        self._last_ns: int | None = None

    def next_ns(self, stamp_ns: int, since_ns: int) -> int:
        """Time of the next command, which answers a joint state stamped ``stamp_ns`` that arrived ``since_ns`` ago.

        Later than the one before, except when the stamping clock was set back; never before ``stamp_ns``.
        """
        measured_ns = stamp_ns + since_ns + self._tick_ns
        due_ns = measured_ns if self._last_ns is None else self._last_ns + self._tick_ns
        error_ns = measured_ns - due_ns
        if abs(error_ns) > _MAX_ERROR_TICKS * self._tick_ns:
            due_ns = measured_ns
        else:
            due_ns += round(_GAIN * error_ns)
        self._last_ns = max(due_ns, stamp_ns)
        return self._last_ns
