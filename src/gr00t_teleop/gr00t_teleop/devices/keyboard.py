# SPDX-License-Identifier: Apache-2.0
"""The keys of a plain terminal as a device: to try the chain without a headset, and to nudge a wrist."""

import time
from collections.abc import Callable, Mapping

from gr00t_teleop.devices.device import Clock, Deliver, Device
from gr00t_teleop.devices.key_motion import HELP, KeyMotion
from gr00t_teleop.devices.sample_checks import CheckLimits
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.terminal import Terminal

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
        self._terminal = Terminal(terminal)
        self._motion = KeyMotion(speed_m_s, turn_rad_s)
        self._stream = SampleStream(self.source, CheckLimits(freeze_s=0.0))  # a hand without a key rests

    def open(self) -> None:
        self._terminal.open()
        self._log(HELP)

    def close(self) -> None:
        self._terminal.close()

    def run(self, deliver: Deliver) -> None:
        due_s = time.monotonic()
        while not self.stopping.is_set():
            keys = self._terminal.keys(max(0.0, due_s - time.monotonic()))
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
