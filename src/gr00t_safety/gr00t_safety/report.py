# SPDX-License-Identifier: Apache-2.0
"""What the command gate says of itself."""

from dataclasses import dataclass

from gr00t_safety.ladder import State


@dataclass(frozen=True)
class GateReport:
    """What the gate is doing, for the state topic. Ages [s] are infinite before the first message."""

    state: State
    reason: str
    source: str
    command_age_s: float
    joint_state_age_s: float
    speed_scale: float
    accepted: int
    rejected: int
    limited: int
    late: tuple[str, ...]  # streams worth a warning
    joint_state_fault: str  # why a joint state was refused just now; '' if none was
    refused: dict[str, int]  # commands and joint states by kind of refusal
