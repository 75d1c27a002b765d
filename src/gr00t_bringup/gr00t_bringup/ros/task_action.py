# SPDX-License-Identifier: Apache-2.0
"""The action ``execute_task``: a goal is one sentence; however it ends, the policy does not drive afterwards."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gr00t_msgs.action import ExecuteTask
from gr00t_msgs.msg import ControllerState
from gr00t_msgs.srv import SelectCommandSource
from rclpy.action.server import ServerGoalHandle
from rclpy.task import Future
from std_msgs.msg import String

from gr00t_bringup.ros.task_conversion import ended, refused
from gr00t_bringup.task_execution.config import TaskServerConfig
from gr00t_bringup.task_execution.stack_view import ControllerNews, StackView
from gr00t_bringup.task_execution.task import End, TaskRefusedError, check_free, check_ready, checked_task
from gr00t_bringup.task_execution.task_run import Ended, Order, TaskRun
from gr00t_policy.ros import qos
from gr00t_policy.ros.lifecycle import SuiteNode

_FEEDBACK_S = 0.2


@dataclass
class _Running:
    goal: ServerGoalHandle
    run: TaskRun
    done: Future


class TaskAction:
    """Serves the action; ``tick`` must be called some 20 times a second in the executor's thread."""

    def __init__(
        self, node: SuiteNode[TaskServerConfig], settings: TaskServerConfig, view: StackView, tell: Callable[[], None]
    ) -> None:
        """tell: called when a goal begins or ends."""
        self._node, self._settings, self._view, self._tell = node, settings, view, tell
        self._running: _Running | None = None
        self._feedback_s = 0.0
        self._language = node.create_publisher(String, "language_command", qos.LANGUAGE)
        self._gate = node.create_client(SelectCommandSource, "command_gate/select")
        node.keep_action_server(ExecuteTask, "execute_task", self._execute)

    @property
    def sentence(self) -> str:
        """Of the goal that is being executed; '' when there is none."""
        return "" if self._running is None else self._running.run.task.sentence

    def destroy(self) -> None:
        self.abandon()
        self._node.destroy_client(self._gate)
        self._node.destroy_publisher(self._language)

    def tick(self) -> None:
        """Go on with the goal, if there is one."""
        running = self._running
        if running is None:
            return
        now_s = time.monotonic()
        self._obey(running, running.run.step(now_s, canceled=running.goal.is_cancel_requested))
        if self._running is not None and now_s >= self._feedback_s:
            self._feedback_s = now_s + _FEEDBACK_S
            controller = self._view.newest(ControllerNews)
            running.goal.publish_feedback(
                ExecuteTask.Feedback(
                    elapsed_s=running.run.elapsed_s(now_s),
                    controller_state=ControllerState.UNKNOWN if controller is None else controller.state,
                    detail=running.run.detail,
                )
            )

    def abandon(self) -> None:
        """End the goal that is left because this node does: the gate is told, but its answer cannot be waited for."""
        if self._running is not None:
            self._obey(self._running, self._running.run.abandon(time.monotonic(), "the task server was stopped"))

    def _obey(self, running: _Running, order: Order) -> None:
        if order.say:
            self._language.publish(String(data=running.run.task.sentence))
        if order.select is not None:
            self._select(running.run, order.select)
        if order.ended is not None:
            self._running = None
            running.done.set_result(order.ended)
            self._log_end(order.ended)
            self._tell()

    def _select(self, run: TaskRun, source: str) -> None:
        if not self._gate.service_is_ready():
            run.answered(source, "the service command_gate/select is not there")
            return
        request = SelectCommandSource.Request(source=source)
        self._gate.call_async(request).add_done_callback(partial(self._on_answer, run, source))

    def _on_answer(self, run: TaskRun, source: str, future: Future) -> None:
        answer = future.result()
        run.answered(source, "" if answer.success else answer.message or "it gave no reason")

    async def _execute(self, goal: ServerGoalHandle) -> Any:
        try:
            running = self._begin(goal)
        except TaskRefusedError as error:
            self._node.get_logger().warning(f"execute_task refused: {error}")
            goal.abort()
            return refused(error)
        end: Ended = await running.done
        if end.end is End.NONE:
            goal.succeed()
        elif end.end is End.CANCELED:
            goal.canceled()
        else:
            goal.abort()
        return ended(end)

    def _begin(self, goal: ServerGoalHandle) -> _Running:
        asked, now_s = goal.request, time.monotonic()
        task = checked_task(asked.instruction, float(asked.time_limit_s), self._settings)
        if not self._node.is_active:
            raise TaskRefusedError(End.NOT_READY, "the node 'task_server' is not active; activate it")
        check_free(None if self._running is None else self._running.run.task)
        check_ready(self._view, now_s)
        self._node.get_logger().info(f"'{task.sentence}' for at most {task.limit_s:g} s")
        self._running, self._feedback_s = (
            _Running(goal, TaskRun(task, self._settings, self._view, now_s), Future()),
            now_s,
        )
        self._tell()
        return self._running

    def _log_end(self, end: Ended) -> None:
        logger = self._node.get_logger()
        logger.info(
            f"{end.end.name if end.text else 'success'}, the policy drove {end.drove_s:.1f} s: {end.text}".rstrip(": ")
        )
        if end.warning:
            logger.error(end.warning)
