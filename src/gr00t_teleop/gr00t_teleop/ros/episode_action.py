# SPDX-License-Identifier: Apache-2.0
"""The action ``record_episode``: a goal is one episode; cancelling ends and keeps it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gr00t_msgs.action import RecordEpisode
from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future

from gr00t_policy.ros.lifecycle import SuiteNode
from gr00t_teleop.recording.config import RecorderConfig
from gr00t_teleop.recording.episode_recorder import EpisodeRecorder
from gr00t_teleop.recording.report import EpisodeEnd, Refusal, RefusedError
from gr00t_teleop.ros.recorder_conversion import ended, refused

_FEEDBACK_S = 0.5


@dataclass
class _Running:
    goal: ServerGoalHandle
    bag: Path
    done: Future
    is_canceled: bool = False


class EpisodeAction:
    """Serves the action; ``tick`` must be called some 20 times a second in the executor's thread."""

    def __init__(self, node: SuiteNode[RecorderConfig], recorder: EpisodeRecorder) -> None:
        self._node, self._recorder = node, recorder
        self._running: _Running | None = None
        self._feedback_s = 0.0
        node.keep_action_server(RecordEpisode, "record_episode", self._execute)

    def destroy(self) -> None:
        """Ends the goal that is left: its episode has been closed."""
        self.tick()

    def tick(self) -> None:
        """Look whether the client cancelled, and whether the episode is over."""
        running = self._running
        if running is None:
            return
        if running.goal.is_cancel_requested and not running.is_canceled:
            running.is_canceled = True
            if self._recorder.is_recording(running.bag):
                self._recorder.stop(time.monotonic_ns(), "cancelled by the client")
        end = self._recorder.end_of(running.bag)
        if end is not None:
            self._running = None
            running.done.set_result(end)
        elif time.monotonic() >= self._feedback_s:
            self._feedback_s = time.monotonic() + _FEEDBACK_S
            report = self._recorder.report(time.monotonic_ns())
            feedback = RecordEpisode.Feedback(elapsed_s=report.elapsed_s, messages=report.messages)
            running.goal.publish_feedback(feedback)

    async def _execute(self, goal: ServerGoalHandle) -> Any:
        try:
            running = self._begin(goal)
        except RefusedError as error:
            self._node.get_logger().warning(f"record_episode refused: {error}")
            goal.abort()
            return refused(error)
        end: EpisodeEnd = await running.done
        if end.failure:
            goal.abort()
        elif running.is_canceled:
            goal.canceled()
        else:
            goal.succeed()
        return ended(end, canceled=running.is_canceled)

    def _begin(self, goal: ServerGoalHandle) -> _Running:
        if self._running is not None:
            raise RefusedError(Refusal.BUSY, f"an episode is being recorded: {self._running.bag}")
        asked, now_ns = goal.request, time.monotonic_ns()
        bag = self._recorder.start(
            now_ns, time.time_ns(), asked.instruction, asked.operator_name, float(asked.max_duration_s)
        )
        self._running = _Running(goal, bag, Future())
        return self._running
