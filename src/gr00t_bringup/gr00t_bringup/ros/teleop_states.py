# SPDX-License-Identifier: Apache-2.0
"""The nodes' state messages as one plain status for the person who drives."""

from typing import Any

from gr00t_msgs.msg import RecorderState, TeleopState

from gr00t_bringup.ros.states import stack_status, state_word
from gr00t_bringup.teleop_status import TeleopStatus

TOPICS = ("teleop/state", "command_gate/state", "recorder/state", "sim/task_state", "controller/state")
_TELEOP = ("DISENGAGED", "CALIBRATING", "ENGAGED", "HOLDING", "STOPPED", "INACTIVE")
_RECORDER = ("IDLE", "READY", "RECORDING", "REVIEW", "SAVING", "INACTIVE", "FAILED")


def teleop_status(teleop: Any, gate: Any, recorder: Any, task: Any, controller: Any, **known: Any) -> TeleopStatus:
    """From the newest messages of ``TOPICS``, each of which may be None. known: fields that the caller knows itself."""
    stack = stack_status(None, controller, gate, task)
    fields: dict[str, Any] = {
        "gate": stack.gate,
        "gate_reason": stack.gate_reason,
        "task_detail": stack.task_detail,
        "progress": stack.progress,
        "success": stack.success,
    }
    if gate is not None:
        fields |= {"driver": gate.source, "gate_rate_hz": gate.rate_hz}
    if controller is not None:
        fields["controller"] = f"{stack.controller}: {stack.controller_detail}".rstrip(": ")
    if teleop is not None:
        fields |= {
            "device": teleop.source,
            "device_rate_hz": teleop.device_rate_hz,
            "device_age_ms": 1e3 * teleop.operator_age_s,
            "samples_lost": teleop.samples_lost,
            "following": state_word(TeleopState, _TELEOP, teleop.state),
            "following_why": teleop.reason,
            "tick_p50_ms": 1e3 * teleop.solve_p50_s,
            "tick_p99_ms": 1e3 * teleop.solve_p99_s,
        }
    if recorder is not None:
        fields |= {
            "recorder": state_word(RecorderState, _RECORDER, recorder.state),
            "recorder_detail": recorder.detail,
            "alarm": recorder.alarm,
            "recorded_s": recorder.elapsed_s,
            "messages_lost": recorder.messages_lost,
            "bag": recorder.bag_path,
        }
    return TeleopStatus(**{**fields, **known})
