# SPDX-License-Identifier: Apache-2.0
"""Messages of the stack as plain news, and the end of a task as the result of its action."""

from gr00t_msgs.action import ExecuteTask
from gr00t_msgs.msg import ControllerState, GateState, PlannerState, TaskState

from gr00t_bringup.task_execution.stack_view import ControllerNews, GateNews, GateWord, PlannerNews, Verdict
from gr00t_bringup.task_execution.task import End, TaskRefusedError
from gr00t_bringup.task_execution.task_run import Ended

_WORDS = {getattr(GateState, word.name): word for word in GateWord}
_CODES = {end: getattr(ExecuteTask.Result, f"ERROR_{end.name}") for end in End}


def planner_news(message: PlannerState) -> PlannerNews:
    is_active = message.state not in (PlannerState.UNKNOWN, PlannerState.INACTIVE)
    return PlannerNews(is_active, message.instruction, message.detail)


def controller_news(message: ControllerState) -> ControllerNews:
    is_active = message.state not in (ControllerState.UNKNOWN, ControllerState.INACTIVE)
    return ControllerNews(is_active, message.state, message.detail)


def gate_news(message: GateState) -> GateNews:
    """A state that the message does not define is UNKNOWN, which is not active."""
    return GateNews(_WORDS.get(message.state, GateWord.UNKNOWN), message.source, message.reason)


def verdict(message: TaskState) -> Verdict:
    return Verdict(message.sentence.strip(), message.success, message.detail)


def refused(error: TaskRefusedError) -> ExecuteTask.Result:
    return ExecuteTask.Result(success=False, error_code=_CODES[error.end], error_msg=str(error))


def ended(end: Ended) -> ExecuteTask.Result:
    text = f"{end.text}; {end.warning}" if end.warning and end.text else end.text
    return ExecuteTask.Result(
        success=end.end is End.NONE, error_code=_CODES[end.end], error_msg=text, elapsed_s=end.drove_s
    )
