# SPDX-License-Identifier: Apache-2.0
"""Records episodes through the action ``record_episode`` of a running recorder, and judges them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gr00t_msgs.action import RecordEpisode
from gr00t_msgs.msg import RecorderState
from gr00t_msgs.srv import FinishEpisode
from rclpy.action import ActionClient

from gr00t_bringup.ros.stack_client import NotReadyError, StackClient

_READY_S, _ANSWER_S, _CLOSE_S, _POLL_S = 30.0, 10.0, 30.0, 0.05


class EpisodeClient:
    """One episode at a time. state: the newest RecorderState, or None before the first."""

    def __init__(self, client: StackClient, state: Callable[[], Any]) -> None:
        self._client, self._state = client, state
        self._action = ActionClient(client.node, RecordEpisode, "record_episode")
        self._goal: Any = None

    def begin(self, sentence: str, operator_name: str, limit_s: float) -> None:
        """Start an episode as soon as the recorder is ready. Raises NotReadyError with the recorder's reason."""
        self._wait_ready()
        goal = RecordEpisode.Goal(instruction=sentence, operator_name=operator_name, max_duration_s=limit_s)
        asked = self._action.send_goal_async(goal)
        if not self._client.spin_until(asked.done, _ANSWER_S) or not asked.result().accepted:
            raise NotReadyError("the recorder did not accept the episode")
        self._goal = asked.result()
        deadline_s = time.monotonic() + _ANSWER_S
        while (state := self._state()) is None or state.state != RecorderState.RECORDING:
            if time.monotonic() > deadline_s:
                raise NotReadyError(f"the recorder does not record: {state.detail if state else 'no word'}")
            time.sleep(_POLL_S)

    def end(self, outcome: str) -> Path:
        """End the episode and keep it as "success" or "failure"; its bag. Raises NotReadyError."""
        self._client.spin_until(self._goal.cancel_goal_async().done, _ANSWER_S)
        answer = self._goal.get_result_async()
        if not self._client.spin_until(answer.done, _CLOSE_S):
            raise NotReadyError("the recorder did not close the episode")
        result = answer.result().result
        if not result.bag_path:
            raise NotReadyError(f"the episode was not recorded: {result.error_msg}")
        decision = FinishEpisode.Request(keep=True, outcome=outcome)
        finished = self._client.call(FinishEpisode, "recorder/finish", decision)
        if not finished.success:
            raise NotReadyError(f"recorder/finish was refused: {finished.message}")
        return Path(finished.bag_path)

    def _wait_ready(self) -> None:
        ready = self._client.spin_until(self._is_ready, _READY_S)
        if not ready or not self._action.wait_for_server(_ANSWER_S):
            state = self._state()
            raise NotReadyError(f"the recorder is not ready: {state.detail if state else 'it says nothing'}")

    def _is_ready(self) -> bool:
        state = self._state()
        return state is not None and state.state == RecorderState.READY
