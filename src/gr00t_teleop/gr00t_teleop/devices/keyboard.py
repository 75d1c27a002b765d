# SPDX-License-Identifier: Apache-2.0
"""The keys of a plain terminal as a device: to try the chain without a headset, and to nudge a wrist."""

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Mapping

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.device import Clock, Deliver, Device
from gr00t_teleop.devices.key_motion import HELP, KeyMotion
from gr00t_teleop.devices.sample_checks import CheckLimits
from gr00t_teleop.devices.sample_stream import SampleStream

_PERIOD_S = 1 / 60


class Keyboard(Device):
    """terminal: file descriptor of the terminal to read; the standard input where none is given."""

    source = "keyboard"

    def __init__(
        self,
        speed_m_s: float,
        turn_rad_s: float,
        now_ns: Clock,
        log: Callable[[str], None],
        terminal: int | None = None,
    ) -> None:
        super().__init__()
        self._now_ns, self._log = now_ns, log
        self._terminal = terminal
        self._motion = KeyMotion(speed_m_s, turn_rad_s)
        self._stream = SampleStream(self.source, CheckLimits(freeze_s=0.0))  # a hand without a key rests
        self._saved: list | None = None

    def open(self) -> None:
        try:
            fd = sys.stdin.fileno() if self._terminal is None else self._terminal
            self._saved = termios.tcgetattr(fd)
        except (termios.error, OSError, ValueError, AttributeError) as error:
            raise ConfigError(
                "the keyboard needs a terminal, and the standard input is none; start the node by "
                "`ros2 run gr00t_teleop operator` in a terminal of its own, not by a launch file"
            ) from error
        self._fd = fd
        tty.setcbreak(fd, termios.TCSANOW)  # keys at once and unseen; Ctrl-C still ends the node
        self._log(HELP)

    def close(self) -> None:
        if self._saved is not None:
            with contextlib.suppress(termios.error):  # a terminal that is gone needs no settings
                termios.tcsetattr(self._fd, termios.TCSANOW, self._saved)
            self._saved = None

    def run(self, deliver: Deliver) -> None:
        due_s = time.monotonic()
        while not self.stopping.is_set():
            keys = self._keys(max(0.0, due_s - time.monotonic()))
            if keys is None:
                return  # the terminal was closed
            for key in keys:
                self._motion.press(key, time.monotonic_ns())
            if time.monotonic() < due_s:
                continue
            due_s = max(due_s + _PERIOD_S, time.monotonic())
            self._stream.push(self._motion.advance(time.monotonic_ns()), self._now_ns(), deliver)

    def silence(self) -> str:
        return "" if self.is_running else "the terminal is gone"

    def counters(self) -> Mapping[str, int]:
        return self._stream.counters()

    def _keys(self, wait_s: float) -> str | None:
        """Keys that came within ``wait_s``; None when the terminal is gone."""
        try:
            readable, _, _ = select.select([self._fd], [], [], wait_s)
            if not readable:
                return ""
            pressed = os.read(self._fd, 64)
        except OSError:
            return None
        return pressed.decode("ascii", "ignore").lower() if pressed else None
