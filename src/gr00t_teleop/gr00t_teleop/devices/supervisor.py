# SPDX-License-Identifier: Apache-2.0
"""Keeps one device running: a device that broke is started again after a rest, and each event is told once."""

from collections.abc import Callable

from gr00t_policy.core.errors import Gr00tError
from gr00t_teleop.devices.device import Deliver, Device


class Supervisor:
    """Owned by the node's thread. ``tell`` takes a sentence for the log, worth a warning."""

    def __init__(self, device: Device, restart_s: float, tell: Callable[[str], None]) -> None:
        self._device, self._tell = device, tell
        self._rest_ns = int(restart_s * 1e9)
        self._deliver: Deliver | None = None
        self._broke_ns: int | None = None
        self._why = ""
        self.restarts = 0

    def start(self, deliver: Deliver) -> None:
        """Begin. Raises ConfigError when the device cannot be opened: what is wrong from the start is not retried."""
        self._deliver, self._broke_ns = deliver, None
        self._device.start(deliver)

    def stop(self) -> None:
        """End; nothing is delivered afterwards. May be called at any time."""
        self._deliver = None
        self._device.stop()

    def watch(self, now_ns: int) -> None:
        """Call a few times a second, with the steady clock."""
        if self._deliver is None or self._device.is_running:
            return
        if self._broke_ns is None:
            self._broke_ns = now_ns
            self._say(f"device '{self._device.source}' broke and is started again: {self._device.silence()}")
        if now_ns - self._broke_ns < self._rest_ns:
            return
        self._device.stop()
        try:
            self._device.start(self._deliver)
        except Gr00tError as error:
            self._broke_ns = now_ns
            self._say(f"device '{self._device.source}' cannot be started again: {error}")
        else:
            self._broke_ns, self._why = None, ""
            self.restarts += 1

    def _say(self, text: str) -> None:
        if text != self._why:
            self._tell(text)
        self._why = text
