# SPDX-License-Identifier: Apache-2.0
"""Drives a running recorder from a program: waits for its states, calls its services."""

import time
from collections.abc import Callable

from gr00t_msgs.msg import RecorderState
from rclpy.context import Context
from rclpy.serialization import deserialize_message
from rclpy.utilities import try_shutdown

from gr00t_bringup.ros.stack_client import NotReadyError, StackClient
from gr00t_policy.data.bag import BagMessage, BagTopic
from gr00t_policy.ros.transport import init_ros
from gr00t_teleop.ros.raw_topics import RawTopics

IDLE, READY, RECORDING, REVIEW = (
    RecorderState.IDLE,
    RecorderState.READY,
    RecorderState.RECORDING,
    RecorderState.REVIEW,
)
_POLL_S, _STATE_PERIOD_S = 0.05, 0.5


class RecorderClient:
    """Hears ``recorder/state`` in ``namespace``. ``alarm``: what was last said while the alarm was on, and
    ``alarm_s``: for how long, counted in states, of which there are two a second."""

    def __init__(self, check: Callable[[], None], namespace: str) -> None:
        """check: called while waiting; it raises when a process died."""
        self._context = Context()
        init_ros(self._context)
        self.state = RecorderState()
        self.alarm, self.alarm_s = "", 0.0
        self._check = check
        self._client = StackClient(self._context, check, namespace)
        self._heard = RawTopics(self._context, "recorder_watch", self, namespace)

    def call(self, name: str) -> str:
        """Call ``recorder/<name>``; returns its answer. Raises NotReadyError with the reason of a refusal."""
        return self._client.trigger(f"recorder/{name}")

    def wait(self, state: int, timeout_s: float) -> None:
        """Raises NotReadyError with what the recorder says."""
        deadline_s = time.monotonic() + timeout_s
        while self.state.state != state:
            self._check()
            if time.monotonic() > deadline_s:
                raise NotReadyError(f"the recorder stays in state {self.state.state}: {self.state.detail or 'no word'}")
            time.sleep(_POLL_S)

    def close(self) -> None:
        self._heard.close()
        self._client.close()
        try_shutdown(context=self._context)

    def wants(self, topic: str) -> bool:
        return topic.endswith("/recorder/state")

    def add_topic(self, topic: BagTopic, *, latched: bool) -> None:
        """Nothing to prepare."""

    def refuse_topic(self, topic: str, reason: str) -> None:
        """Its only topic is of a type of the suite."""

    def set_publishers(self, topic: str, count: int) -> None:
        """Nobody counts here."""

    def message(self, message: BagMessage, now_ns: int) -> None:
        self.state = deserialize_message(message.cdr, RecorderState)
        if self.state.alarm:
            self.alarm, self.alarm_s = self.state.detail, self.alarm_s + _STATE_PERIOD_S
