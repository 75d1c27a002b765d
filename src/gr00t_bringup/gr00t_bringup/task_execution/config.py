# SPDX-License-Identifier: Apache-2.0
"""What may be set about the node ``task_server``."""

from dataclasses import dataclass

from gr00t_policy.runtime.settings import setting


@dataclass(frozen=True)
class TaskServerConfig:
    """Settings of the server of ``execute_task``. States come twice a second, so two seconds are four that are missing."""

    autostart: bool = setting(False, "configure and activate by itself after start")
    default_time_limit_s: float = setting(60.0, "time limit of a goal that names none", "s", 1.0, 86400.0)
    max_instruction_bytes: int = setting(
        512, "longest sentence that is taken, in UTF-8; the planner's, which would refuse a longer one", "", 1, 100000
    )
    sayings: int = setting(3, "how often a sentence is said at most until the planner has taken it", "", 1, 20)
    say_period_s: float = setting(1.0, "time between two of them", "s", 0.1, 10.0)
    start_s: float = setting(
        5.0, "how long the gate may hold before the policy has first driven in a goal", "s", 0.5, 60.0
    )
    held_s: float = setting(
        1.0, "how long the gate may hold afterwards, or be damped or stopped at any time", "s", 0.05, 10.0
    )
    state_timeout_s: float = setting(
        2.0, "silence of planner, controller or gate from which the stack is not ready", "s", 0.6, 10.0
    )
    answer_s: float = setting(2.0, "how long the gate may take to answer command_gate/select", "s", 0.1, 10.0)
