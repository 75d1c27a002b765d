# SPDX-License-Identifier: Apache-2.0
"""What a person may ask of the recorder by a service call: start, stop, keep, discard, finish, snapshot."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from gr00t_msgs.srv import FinishEpisode
from rclpy.lifecycle import LifecycleNode
from rclpy.service import Service
from std_srvs.srv import Trigger

from gr00t_teleop.recording.episode import Decision
from gr00t_teleop.recording.episode_recorder import EpisodeRecorder
from gr00t_teleop.recording.report import RefusedError


class RecorderServices:
    """Serves ``recorder/...``. start: begins an episode with the node's own sentence. tell: the state may have changed."""

    def __init__(
        self,
        node: LifecycleNode,
        recorder: EpisodeRecorder,
        start: Callable[[], Path],
        tell: Callable[[], None],
    ) -> None:
        self._node, self._recorder, self._tell = node, recorder, tell
        requests: dict[str, Callable[[], Path]] = {
            "start": start,
            "stop": lambda: recorder.stop(time.monotonic_ns()),
            "keep": lambda: recorder.decide(time.monotonic_ns(), Decision(keep=True)),
            "discard": lambda: recorder.decide(time.monotonic_ns(), Decision(keep=False)),
            "snapshot": lambda: recorder.snapshot(datetime.now().strftime("%Y%m%d_%H%M%S")),
        }
        self._services = [self._serve(name, act) for name, act in requests.items()]
        self._services.append(node.create_service(FinishEpisode, "recorder/finish", self._finish))

    def destroy(self) -> None:
        for service in self._services:
            self._node.destroy_service(service)

    def _serve(self, name: str, act: Callable[[], Path]) -> Service:
        def answer(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                response.message = str(act())
                response.success = True
            except RefusedError as error:
                response.message = str(error)
            self._say(f"{name}: {response.message}")
            return response

        return self._node.create_service(Trigger, f"recorder/{name}", answer)

    def _finish(self, request: FinishEpisode.Request, response: FinishEpisode.Response) -> FinishEpisode.Response:
        try:
            decision = Decision(request.keep, request.outcome)
            response.bag_path = str(self._recorder.decide(time.monotonic_ns(), decision))
            response.success = True
        except RefusedError as error:
            response.message = str(error)
        word = "keep" if request.keep else "discard"
        self._say(f"finish ({word}, '{request.outcome[:20]}'): {response.message or response.bag_path}")
        return response

    def _say(self, what: str) -> None:
        self._node.get_logger().info(what)
        self._tell()
