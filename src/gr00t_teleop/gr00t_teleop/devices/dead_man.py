# SPDX-License-Identifier: Apache-2.0
"""A clutch that someone must keep saying: its silence opens it, and its return does not close it by itself."""

from gr00t_teleop.devices.clutch_guard import ClutchGuard

SILENCE_S = 0.3  # three messages of a sender at 10 Hz


class DeadMan:
    """Times are those of a steady clock [ns]. ``silence_s``: after so long without a word it is open."""

    def __init__(self, silence_s: float = SILENCE_S) -> None:
        self._silence_ns = int(silence_s * 1e9)
        self._guard = ClutchGuard(silence_s)
        self._epoch = 0
        self._closed = False
        self._heard_ns: int | None = None

    def hear(self, pressed: bool, now_ns: int) -> None:
        """The sender says whether it is pressed."""
        self._closed = self._guard.engaged(pressed, self._epoch, now_ns)
        self._heard_ns = now_ns

    def lose(self) -> None:
        """The sender is gone or cannot be believed: open, and whoever comes next must first be seen open."""
        self._epoch += 1
        self._closed, self._heard_ns = False, None

    def is_silent(self, now_ns: int) -> bool:
        return self._heard_ns is None or now_ns - self._heard_ns > self._silence_ns

    def is_closed(self, now_ns: int) -> bool:
        return self._closed and not self.is_silent(now_ns)
