# SPDX-License-Identifier: Apache-2.0
"""The task server as a process, a made-up stack (real topics and the gate's service) as its peer, over DDS."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from action_msgs.msg import GoalStatus
from gr00t_msgs.action import ExecuteTask
from gr00t_msgs.msg import ControllerState, GateState, PlannerState, TaskState
from gr00t_msgs.srv import SelectCommandSource
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String

from gr00t_bringup.ros.task_server_node import TaskServerNode
from gr00t_policy.ros import qos
from gr00t_policy.ros.transport import init_ros

SENTENCE = "lift the can"
QUICK = {"held_s": 0.2, "start_s": 0.5, "say_period_s": 0.3, "state_timeout_s": 0.6, "answer_s": 1.0}
Result = ExecuteTask.Result


class MadeStack:
    """Planner, controller, gate and referee: states ten times a second, at once on change. One thread: the test's own."""

    def __init__(self, context: Context) -> None:
        self.node = node = Node("made_stack", context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(node)
        self._publishers = {
            kind: node.create_publisher(kind, topic, qos.LATCHED)
            for kind, topic in (
                (PlannerState, "planner/state"),
                (ControllerState, "controller/state"),
                (GateState, "command_gate/state"),
                (TaskState, "sim/task_state"),
            )
        }
        node.create_subscription(String, "language_command", self._on_sentence, qos.LANGUAGE)
        node.create_service(SelectCommandSource, "command_gate/select", self._on_select)
        node.create_timer(0.1, self.tell)
        self.action = ActionClient(node, ExecuteTask, "execute_task")
        self.feedback: list[ExecuteTask.Feedback] = []
        self.renew()

    def renew(self) -> None:
        """A healthy stack that the policy drives, with another sentence and an unsolved task."""
        self.planner = PlannerState(state=PlannerState.ENCODING, instruction="the one before")
        self.controller = ControllerState(state=ControllerState.RUNNING)
        self.gate = GateState(state=GateState.ACTIVE, source="policy")
        self.task = TaskState(task="made", sentence="the one before")
        self.silent: set[type] = set()
        self.selected: list[str] = []
        self.feedback.clear()

    def tell(self) -> None:
        for message in (self.planner, self.controller, self.gate, self.task):
            if type(message) not in self.silent:
                self._publishers[type(message)].publish(message)

    def until(self, happened: Callable[[], Any], timeout_s: float = 20.0) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not happened():
            assert time.monotonic() < deadline_s, "waited in vain"
            self.executor.spin_once(timeout_sec=0.05)

    def for_a_while(self, time_s: float) -> None:
        end_s = time.monotonic() + time_s
        self.until(lambda: time.monotonic() >= end_s)

    def answer(self, future: Any) -> Any:
        self.until(future.done)
        return future.result()

    def send(self, instruction: str = SENTENCE, time_limit_s: float = 20.0) -> Any:
        """The handle of a goal."""
        goal = ExecuteTask.Goal(instruction=instruction, time_limit_s=time_limit_s)
        return self.answer(self.action.send_goal_async(goal, lambda message: self.feedback.append(message.feedback)))

    def outcome(self, goal: Any) -> tuple[int, Result]:
        answer = self.answer(goal.get_result_async())
        return answer.status, answer.result

    def drive(self) -> Any:
        """A goal that the policy drives for."""
        goal = self.send()
        self.until(lambda: self.task.sentence == SENTENCE)
        self.for_a_while(0.3)
        return goal

    def _on_sentence(self, message: String) -> None:
        self.planner.instruction = self.task.sentence = message.data
        self.tell()

    def _on_select(
        self, request: SelectCommandSource.Request, response: SelectCommandSource.Response
    ) -> SelectCommandSource.Response:
        self.selected.append(request.source)
        self.gate = GateState(state=GateState.ACTIVE if request.source else GateState.HOLD, source=request.source)
        self.tell()
        response.success = True
        return response


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen]:
    words = [word for name, value in QUICK.items() for word in ("-p", f"{name}:={value}")]
    module = "gr00t_bringup.ros.task_server_node"
    process = subprocess.Popen([sys.executable, "-m", module, "--ros-args", "-p", "autostart:=true", *words])
    yield process
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


@pytest.fixture(scope="module")
def only_stack(server: subprocess.Popen) -> Iterator[MadeStack]:
    context = Context()
    init_ros(context)
    stack = MadeStack(context)
    stack.until(stack.action.server_is_ready, 40.0)
    stack.until(
        lambda: stack.node.count_subscribers("sim/task_state") and stack.node.count_publishers("language_command")
    )
    stack.for_a_while(0.5)
    yield stack
    stack.action.destroy()
    stack.executor.shutdown()
    stack.node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def stack(only_stack: MadeStack) -> MadeStack:
    only_stack.renew()
    only_stack.for_a_while(0.15)
    return only_stack


def test_a_sentence_is_said_the_policy_selected_and_a_referee_ends_the_task(stack):
    stack.gate = GateState(state=GateState.HOLD, source="")
    stack.for_a_while(0.15)
    goal = stack.drive()
    assert stack.selected == ["policy"]
    stack.task.success = True
    status, result = stack.outcome(goal)
    assert (status, result.success, result.error_code, result.error_msg) == (
        GoalStatus.STATUS_SUCCEEDED, True, Result.ERROR_NONE, "",
    )  # fmt: skip
    assert stack.selected == ["policy", ""]
    assert 0.1 < result.elapsed_s < 5.0
    assert stack.feedback[-1].controller_state == ControllerState.RUNNING
    assert stack.feedback[-1].elapsed_s > stack.feedback[0].elapsed_s >= 0


def test_cancelling_selects_nobody_and_only_one_goal_is_executed_at_a_time(stack):
    goal = stack.drive()
    status, result = stack.outcome(stack.send("another sentence"))
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Result.ERROR_NOT_READY)
    assert result.error_msg.startswith(f"another goal is being executed: '{SENTENCE}'")
    assert stack.planner.instruction == SENTENCE
    stack.answer(goal.cancel_goal_async())
    status, result = stack.outcome(goal)
    assert (status, result.error_code, result.success) == (GoalStatus.STATUS_CANCELED, Result.ERROR_CANCELED, False)
    assert stack.selected == [""]


def test_when_the_time_is_up_nobody_is_selected(stack):
    began_s = time.monotonic()
    status, result = stack.outcome(stack.send(time_limit_s=0.5))
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Result.ERROR_TIME_LIMIT)
    assert time.monotonic() - began_s > 0.5
    assert stack.selected == [""]


def test_a_goal_whose_client_is_gone_goes_on_until_its_time_limit(stack):
    client = ActionClient(stack.node, ExecuteTask, "execute_task")
    stack.until(client.server_is_ready)
    began_s = time.monotonic()
    stack.answer(client.send_goal_async(ExecuteTask.Goal(instruction=SENTENCE, time_limit_s=0.6)))
    client.destroy()
    stack.for_a_while(0.3)
    assert (stack.planner.instruction, stack.selected) == (SENTENCE, [])
    stack.until(lambda: stack.selected == [""])
    assert 0.6 < time.monotonic() - began_s < 5.0


def test_a_gate_that_holds_ends_the_task_with_its_reason(stack):
    goal = stack.drive()
    stack.gate = GateState(state=GateState.STOPPED, source="policy", reason="stop was called")
    status, result = stack.outcome(goal)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Result.ERROR_HELD)
    assert result.error_msg == "the gate is in STOPPED: stop was called"
    assert stack.selected == [""]


def test_another_sentence_ends_the_task_and_is_named(stack):
    goal = stack.drive()
    said = stack.node.create_publisher(String, "language_command", qos.LANGUAGE)
    stack.until(lambda: said.get_subscription_count() > 0)
    said.publish(String(data="throw it away"))
    status, result = stack.outcome(goal)
    stack.node.destroy_publisher(said)
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, Result.ERROR_REPLACED)
    assert result.error_msg == "another sentence was said: 'throw it away'"
    assert (stack.planner.instruction, stack.selected) == ("throw it away", [""])


def test_what_cannot_begin_is_refused_and_nothing_is_said_or_selected(stack):
    for instruction, limit_s in (("", 1.0), ("x" * 513, 1.0), (SENTENCE, -1.0), (SENTENCE, float("nan"))):
        _, result = stack.outcome(stack.send(instruction, limit_s))
        assert (result.error_code, result.elapsed_s) == (Result.ERROR_INVALID_GOAL, 0.0)
    stack.controller.state = ControllerState.INACTIVE
    stack.for_a_while(0.15)
    _, result = stack.outcome(stack.send())
    assert (result.error_code, "'controller' is not active" in result.error_msg) == (Result.ERROR_NOT_READY, True)
    stack.silent = {GateState}
    stack.controller.state = ControllerState.RUNNING
    stack.for_a_while(0.8)
    _, result = stack.outcome(stack.send())
    assert (result.error_code, "'command_gate' for" in result.error_msg) == (Result.ERROR_NOT_READY, True)
    assert (stack.planner.instruction, stack.selected) == ("the one before", [])


def test_a_server_that_is_told_to_stop_lets_go_of_the_robot_and_answers_the_client(stack, server):
    """The last test of this process: it has ended afterwards."""
    ended = stack.drive().get_result_async()
    stack.for_a_while(0.2)
    server.send_signal(signal.SIGINT)
    stack.until(lambda: stack.selected == [""])
    answer = stack.answer(ended)
    assert (answer.status, answer.result.error_code) == (GoalStatus.STATUS_ABORTED, Result.ERROR_NOT_READY)
    assert answer.result.error_msg == "the task server was stopped"
    stack.until(lambda: server.poll() is not None)


def _clean_up(node: TaskServerNode) -> None:
    node.trigger_deactivate()
    node.trigger_cleanup()


@pytest.mark.parametrize("way", [_clean_up, TaskServerNode.trigger_shutdown], ids=["cleaned up", "shut down"])
def test_a_goal_that_runs_while_its_server_is_taken_down_in_one_go_is_answered(stack, server, way):
    """Nothing is called back in between, so the result can only go out afterwards."""
    server.wait(0)
    settings = [Parameter(name, value=value) for name, value in QUICK.items()]
    node = TaskServerNode(context=stack.node.context, parameter_overrides=settings)
    stack.executor.add_node(node)
    try:
        assert node.start()
        stack.until(stack.action.server_is_ready)
        stack.for_a_while(0.5)
        ended = stack.drive().get_result_async()
        stack.for_a_while(0.3)
        way(node)
        answer = stack.answer(ended)
        assert (answer.status, answer.result.error_msg) == (GoalStatus.STATUS_ABORTED, "the task server was stopped")
        assert not stack.send().accepted
        if way is _clean_up:
            assert node.start()
            stack.answer(stack.drive().cancel_goal_async())
    finally:
        node.stop()
        node.send_last_results(stack.executor)
        stack.executor.remove_node(node)
        node.destroy_node()
    stack.until(lambda: not stack.action.server_is_ready())
