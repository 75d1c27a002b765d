# SPDX-License-Identifier: Apache-2.0
"""Node ``task_server``: sentences as tasks, by the action ``execute_task``. The logic is in ``task_execution/``."""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gr00t_msgs.msg import ControllerState, GateState, PlannerState, TaskState

from gr00t_bringup.ros.task_action import TaskAction
from gr00t_bringup.ros.task_conversion import controller_news, gate_news, planner_news, verdict
from gr00t_bringup.task_execution.config import TaskServerConfig
from gr00t_bringup.task_execution.stack_view import News, StackView
from gr00t_policy.ros import qos
from gr00t_policy.ros.diagnostics import PERIOD_S, Diagnostics, Level, Status
from gr00t_policy.ros.lifecycle import SuiteNode, run

_TICK_S = 0.05
_LISTENS: tuple[tuple[type, str, Callable[[Any], News]], ...] = (
    (PlannerState, "planner/state", planner_news),
    (ControllerState, "controller/state", controller_news),
    (GateState, "command_gate/state", gate_news),
    (TaskState, "sim/task_state", verdict),
)


class TaskServerNode(SuiteNode[TaskServerConfig]):
    """Callbacks note what the stack says, a timer goes on with the goal; all in the executor's thread."""

    def __init__(self, **options: Any) -> None:
        super().__init__("task_server", TaskServerConfig, **options)
        self._action: TaskAction | None = None
        self._diagnostics = Diagnostics(self)

    def configure(self, settings: TaskServerConfig) -> None:
        self._view = StackView(settings.state_timeout_s)
        for kind, topic, news in _LISTENS:
            self.keep_subscription(kind, topic, partial(self._on_state, news), qos.LATCHED)
        self._action = self.keep(TaskAction.destroy, TaskAction(self, settings, self._view, self._tell_diagnostics))
        self.keep_timer(_TICK_S, self._action.tick)
        self.keep_timer(PERIOD_S, self._tell_diagnostics)

    def deactivate(self) -> None:
        if self._action is not None:
            self._action.abandon()

    def cleanup(self) -> None:
        self._action = None

    def _on_state(self, news: Callable[[Any], News], message: Any) -> None:
        self._view.hear(time.monotonic(), news(message))

    def _tell_diagnostics(self) -> None:
        sentence = "" if self._action is None else self._action.sentence
        missing = self._view.missing(time.monotonic())
        level = Level.OK if self.is_active and not missing else Level.WARN
        message = f"executes '{sentence}'" if sentence else missing or "waits for a goal"
        status = Status("task", level, message, {"instruction": sentence})
        self._diagnostics.publish(self.get_clock().now().to_msg(), [status])


def main() -> int:
    return run(TaskServerNode)


if __name__ == "__main__":
    sys.exit(main())
