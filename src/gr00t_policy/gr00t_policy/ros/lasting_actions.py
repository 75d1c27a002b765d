# SPDX-License-Identifier: Apache-2.0
"""Action servers that outlive the clean-up of their node: the result of a goal that ended by it goes out only when callbacks
run again, and a client whose server is gone by then waits for ever."""

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

Execute = Callable[[ServerGoalHandle], Awaitable[Any]]


class LastingActions:
    """The action servers of one node, each made when it is first served and kept until ``destroy``."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._servers: dict[str, ActionServer] = {}
        self._running = 0

    @property
    def is_busy(self) -> bool:
        """Whether a goal has been begun whose result is not there yet."""
        return self._running > 0

    def serve(self, kind: type, name: str, execute: Execute) -> None:
        """From now on goals are accepted and executed, and may be cancelled."""

        async def counted(goal: ServerGoalHandle) -> Any:
            self._running += 1
            try:
                return await execute(goal)
            finally:
                self._running -= 1

        if name not in self._servers:
            self._servers[name] = ActionServer(
                self._node, kind, name, counted, cancel_callback=lambda goal: CancelResponse.ACCEPT
            )
        self._servers[name].register_execute_callback(counted)
        self._servers[name].register_goal_callback(lambda goal: GoalResponse.ACCEPT)

    def close(self, name: str) -> None:
        """New goals are rejected; what was begun may still send its result."""
        self._servers[name].register_goal_callback(lambda goal: GoalResponse.REJECT)

    def destroy(self) -> None:
        while self._servers:
            self._servers.popitem()[1].destroy()
