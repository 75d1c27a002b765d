# SPDX-License-Identifier: Apache-2.0
"""A device that breaks comes back; a device that cannot be opened is told once and tried again."""

import time

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.device import Device
from gr00t_teleop.devices.supervisor import Supervisor


class Breaking(Device):
    """A device whose thread ends by itself, and that cannot be opened the third time."""

    source = "breaking"

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0

    def open(self) -> None:
        self.opened += 1
        if self.opened == 3:
            raise ConfigError("unplugged")

    def run(self, deliver) -> None:
        pass

    def silence(self) -> str:
        return "its cable is loose"

    def counters(self):
        return {}


def test_a_device_that_broke_is_started_again_after_a_rest_and_each_event_is_told_once():
    device, told = Breaking(), []
    supervisor = Supervisor(device, restart_s=1.0, tell=told.append)
    supervisor.start(print)
    for tenth in range(32):
        while device.is_running:
            time.sleep(0.001)
        supervisor.watch(10**9 + tenth * 100_000_000)
    supervisor.stop()
    supervisor.watch(10**12)
    assert device.opened == 4 and supervisor.restarts == 2
    broke = "device 'breaking' broke and is started again: its cable is loose"
    assert told == [broke, broke, "device 'breaking' cannot be started again: unplugged"]
