# SPDX-License-Identifier: Apache-2.0
"""Node ``operator``: one device in, ``operator_state`` out. What a device does is in ``gr00t_teleop.devices``."""

import sys
import time
from pathlib import Path
from typing import Any

from gr00t_msgs.msg import OperatorState as OperatorStateMsg
from std_srvs.srv import Trigger

from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics, Level, Status
from gr00t_policy.ros.lifecycle import SuiteNode, run
from gr00t_policy.runtime.latency import RateMeter
from gr00t_policy.runtime.process_priority import lower_all_threads, raise_all_threads
from gr00t_teleop.devices.catalogue import Surroundings, make_device
from gr00t_teleop.devices.config import OperatorConfig
from gr00t_teleop.devices.device import Device
from gr00t_teleop.devices.replay import Replay
from gr00t_teleop.devices.supervisor import Supervisor
from gr00t_teleop.operator_wire import state_to_cdr
from gr00t_teleop.ros.topic_inbox import TopicInbox
from gr00t_teleop.types import OperatorState

_WATCH_PERIOD_S = 0.25


class OperatorNode(SuiteNode[OperatorConfig]):
    """The device's thread publishes; timers watch over it."""

    def __init__(self, **options: Any) -> None:
        super().__init__("operator", OperatorConfig, **options)
        self._device: Device | None = None
        self._supervisor: Supervisor | None = None
        self._rate = RateMeter()
        self._silence, self._priority = "", 0
        self._diagnostics = Diagnostics(self)

    def configure(self, settings: OperatorConfig) -> None:
        log, self._priority = self.get_logger(), settings.process_priority
        data_folder = Path.home() / ".local" / "share" / "gr00t"
        given = Surroundings(lambda: self.now_ns, log.info, data_folder, TopicInbox(self, lambda: self.now_ns))
        self._device = make_device(settings, given)
        self._supervisor = Supervisor(self._device, settings.restart_s, log.warning)
        self._publisher = self.keep_publisher(OperatorStateMsg, "operator_state", qos.SENSOR)
        if isinstance(self._device, Replay):
            self.keep(self.destroy_service, self.create_service(Trigger, "operator/replay", self._replay))
        self.keep_timer(_WATCH_PERIOD_S, self._watch)
        self.keep_timer(PERIOD_S, self._tell_diagnostics)

    def activate(self) -> None:
        assert self._supervisor is not None, "configured first"
        self._rate, self._silence = RateMeter(), ""
        if self._priority > 0:
            raise_all_threads(self._priority)  # the device's thread inherits it
        self._supervisor.start(self._publish)

    def deactivate(self) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()
            if self._priority > 0:
                lower_all_threads()

    def cleanup(self) -> None:
        self._device = self._supervisor = None

    def _publish(self, state: OperatorState) -> None:
        """In the device's thread."""
        self._publisher.publish(state_to_cdr(state))
        self._rate.add(time.monotonic_ns())

    def _replay(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """The recorded person comes again, from the beginning."""
        response.success = isinstance(self._device, Replay) and self._device.begin()
        response.message = "the recording begins" if response.success else "not active; activate the node first"
        return response

    def _watch(self) -> None:
        if self.is_active and self._supervisor is not None and self._device is not None:
            self._supervisor.watch(time.monotonic_ns())
            told, self._silence = self._silence, self._device.silence()
            if told != self._silence:
                self.get_logger().info(self._silence or f"device '{self._device.source}' delivers")

    def _tell_diagnostics(self) -> None:
        if self._device is not None:
            self._diagnostics.publish(self.get_clock().now().to_msg(), [self._status(self._device)])

    def _status(self, device: Device) -> Status:
        assert self._supervisor is not None, "made together"
        silence = device.silence() if self.is_active else "not active"
        values = {
            "rate_hz": self._rate.rate_hz(time.monotonic_ns()),
            "restarts": self._supervisor.restarts,
            **device.counters(),
        }
        return Status(device.source, Level.WARN if silence else Level.OK, silence or "samples come", values)


def main() -> int:
    return run(OperatorNode)


if __name__ == "__main__":
    sys.exit(main())
