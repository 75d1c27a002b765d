# SPDX-License-Identifier: Apache-2.0
"""What a person may ask of the retargeter: stop, allow to engage again, calibrate."""

import threading
import time
from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import Trigger

from gr00t_teleop.retargeting.retargeter import Retargeter


class RetargeterServices:
    """Serves ``teleop/stop``, ``teleop/engage`` and ``teleop/calibrate``; ``tell`` is called when the state may have changed."""

    def __init__(self, node: Node, retargeter: Retargeter, lock: threading.Lock, tell: Callable[[], None]) -> None:
        self._node, self._retargeter, self._lock, self._tell = node, retargeter, lock, tell
        self._services = [
            node.create_service(Trigger, "teleop/stop", self._stop),
            node.create_service(Trigger, "teleop/engage", self._engage),
            node.create_service(Trigger, "teleop/calibrate", self._calibrate),
        ]

    def destroy(self) -> None:
        for service in self._services:
            self._node.destroy_service(service)

    def _stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            self._retargeter.stop("teleop/stop was called; call teleop/engage to allow engaging")
        return self._answered("stop", response, "stopped; the gate holds the robot; call teleop/engage to release")

    def _engage(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Never moves the robot: that takes a clutch that is opened and closed."""
        with self._lock:
            released = self._retargeter.engagement.release()
        what = "the stop is released" if released else "nothing was stopped"
        return self._answered("engage", response, f"{what}; open the clutch and close it to engage")

    def _calibrate(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            refusal = self._retargeter.calibrate(time.monotonic_ns())
        seconds = self._retargeter.config.calibration_s
        todo = f"stretch both arms out sideways for {seconds:g} s; the result is in teleop/state"
        return self._answered("calibrate", response, refusal or todo, success=not refusal)

    def _answered(self, what: str, response: Trigger.Response, text: str, *, success: bool = True) -> Trigger.Response:
        response.success, response.message = success, text
        self._node.get_logger().info(f"{what}: {text}")
        self._tell()
        return response
