# SPDX-License-Identifier: Apache-2.0
"""What a person may ask of the gate: select a source, stop, reset."""

import threading
import time
from collections.abc import Callable

from gr00t_msgs.srv import SelectCommandSource
from rclpy.node import Node
from std_srvs.srv import Trigger

from gr00t_policy.core.errors import ConfigError
from gr00t_safety.gate import Gate


class GateServices:
    """Serves ``command_gate/select``, ``stop`` and ``reset``; ``tell`` is called when the state may have changed."""

    def __init__(self, node: Node, gate: Gate, lock: threading.Lock, tell: Callable[[], None]) -> None:
        self._node, self._gate, self._lock, self._tell = node, gate, lock, tell
        self._services = [
            node.create_service(SelectCommandSource, "command_gate/select", self._select),
            node.create_service(Trigger, "command_gate/stop", self._stop),
            node.create_service(Trigger, "command_gate/reset", self._reset),
        ]

    def destroy(self) -> None:
        for service in self._services:
            self._node.destroy_service(service)

    def _select(
        self, request: SelectCommandSource.Request, response: SelectCommandSource.Response
    ) -> SelectCommandSource.Response:
        try:
            with self._lock:
                self._gate.select(request.source)
            response.success = True
        except ConfigError as error:
            response.message = str(error)
        self._say(f"select '{request.source[:40]}': {response.message or 'done'}")
        return response

    def _stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            self._gate.stop("stop was called")
        response.success, response.message = True, "stopping; call command_gate/reset to release"
        self._say("stop")
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            response.success, response.message = self._gate.reset(time.monotonic_ns())
        self._say(f"reset: {response.message}")
        return response

    def _say(self, what: str) -> None:
        self._node.get_logger().info(what)
        self._tell()
