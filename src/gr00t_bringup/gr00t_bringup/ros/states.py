# SPDX-License-Identifier: Apache-2.0
"""The nodes' state messages as one plain status for the screen and the film."""

from typing import Any

from gr00t_msgs.msg import ControllerState, GateState, PlannerState

from gr00t_bringup.status import StackStatus

TOPICS = ("planner/state", "controller/state", "command_gate/state", "sim/task_state")
_PLANNER = ("WAITING_FOR_INSTRUCTION", "WAITING_FOR_IMAGE", "ENCODING", "STALE_IMAGE", "INACTIVE")
_CONTROLLER = ("WAITING_FOR_TOKENS", "WAITING_FOR_JOINT_STATES", "RUNNING", "HOLDING", "INACTIVE")
_GATE = ("INACTIVE", "ACTIVE", "HOLD", "DAMPED", "STOPPED")
_MODE = ("EVERY_TICK", "WORKER")


def stack_status(planner: Any, controller: Any, gate: Any, task: Any) -> StackStatus:
    """From the newest PlannerState, ControllerState, GateState and TaskState; each may be None."""
    fields: dict[str, Any] = {}
    if planner is not None:
        fields |= {
            "planner": state_word(PlannerState, _PLANNER, planner.state),
            "planner_detail": planner.detail,
            "planner_rate_hz": planner.rate_hz,
            "encode_p95_ms": 1e3 * planner.encode_p95_s,
            "sentence": planner.instruction,
        }
    if controller is not None:
        fields |= _controller_fields(controller)
    if gate is not None:
        fields |= {"gate": state_word(GateState, _GATE, gate.state), "gate_reason": gate.reason}
    if task is not None:
        fields |= {
            "task_detail": task.detail,
            "progress": task.progress,
            "success": task.success,
            "elapsed_s": task.elapsed_s,
            "real_time_factor": task.real_time_factor,
        }
    return StackStatus(**fields)


def _controller_fields(controller: Any) -> dict[str, Any]:
    return {
        "controller": state_word(ControllerState, _CONTROLLER, controller.state),
        "controller_detail": controller.detail,
        "mode": state_word(ControllerState, _MODE, controller.mode),
        "control_rate_hz": controller.control_rate_hz,
        "head_rate_hz": controller.head_rate_hz,
        "head_p50_ms": 1e3 * controller.head_p50_s,
        "head_p99_ms": 1e3 * controller.head_p99_s,
        "token_age_ms": 1e3 * controller.token_age_s,
        "image_to_command_p95_ms": 1e3 * controller.image_to_command_p95_s,
        "joint_state_to_command_p99_ms": 1e3 * controller.joint_state_to_command_p99_s,
        "deadline_misses": controller.deadline_misses,
        "ticks": controller.ticks,
    }


def state_word(message_type: Any, names: tuple[str, ...], value: int) -> str:
    """'waiting for tokens' for WAITING_FOR_TOKENS; 'unknown' for a value the type does not define."""
    found = [name for name in names if getattr(message_type, name) == value]
    return found[0].replace("_", " ").lower() if found else "unknown"
