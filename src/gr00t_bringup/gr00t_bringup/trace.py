# SPDX-License-Identifier: Apache-2.0
"""``gr00t trace BAG``: where the time goes between the camera and the robot, from any bag of the suite."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from gr00t_bringup.inspection.screen import show
from gr00t_bringup.json_file import write_json
from gr00t_bringup.tracing.screen import trace_report
from gr00t_bringup.tracing.trace import Nominal, trace_bag
from gr00t_policy.core.errors import ConfigError


@dataclass(frozen=True)
class TraceConfig:
    """Exit code 0 when something could be computed, 2 for a bag that cannot be read. Rates are those the robot should have."""

    bag: Annotated[Path, tyro.conf.Positional]
    """folder of the bag"""
    planner_hz: float = 10.0
    """nominal rate of conditioning_tokens"""
    control_hz: float = 120.0
    """nominal rate of the policy's commands"""
    gate_hz: float = 120.0
    """nominal rate of the gate's commands"""
    camera_hz: float = 0.0
    """nominal rate of each camera; 0: not known, its misses are not counted"""
    joint_state_hz: float = 0.0
    """nominal rate of joint_states; 0: not known, its misses are not counted"""
    pause_s: float = 0.5
    """a longer gap is a pause (nobody drove), not a miss"""
    namespace: str | None = None
    """namespace of the suite's topics; default: where they are found"""
    json: Path | None = None
    """write the figures here"""
    plot: Path | None = None
    """write a picture here (PNG): histograms of every stage, ages and periods over time"""

    def __post_init__(self) -> None:
        rates = (self.planner_hz, self.control_hz, self.gate_hz, self.camera_hz, self.joint_state_hz)
        if any(not 0 <= rate_hz <= 10_000 for rate_hz in rates) or not 0 < self.pause_s < 3600:
            raise ConfigError(
                f"rates are 0 (not known) to 10000 Hz and pause_s is 0 to 3600 s, got {rates}, {self.pause_s}"
            )


def run(config: TraceConfig) -> int:
    """Print the figures. Raises DatasetError for a bag that cannot be read or holds nothing of the suite."""
    nominal = Nominal(
        config.planner_hz, config.control_hz, config.gate_hz, config.camera_hz, config.joint_state_hz, config.pause_s
    )
    trace = trace_bag(config.bag, nominal, config.namespace)
    show(trace_report(trace))
    if config.json is not None:
        write_json(config.json, trace.as_data())
    if config.plot is not None:
        from gr00t_bringup.tracing.pictures import draw_trace

        draw_trace(trace, config.plot)
        print(f"\npicture: {config.plot}")
    return 0
