# SPDX-License-Identifier: Apache-2.0
"""What may be set about the gate for one deployment. Limits of the robot itself are facts of its embodiment."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.deployment_profile import check_profile
from gr00t_policy.runtime.loop_settings import LoopSettings
from gr00t_policy.runtime.settings import setting

SOURCES = ("policy", "teleop")
ROBOT_TOPIC, DRY_RUN_TOPIC = "joint_trajectory", "dry_run/joint_trajectory"  # of the gate's commands


@dataclass(frozen=True)
class GateConfig(LoopSettings):
    """Settings of the command gate. On the hardware profile the ages may be tightened but not loosened.

    Sources of the defaults: ages from what field systems use (20 ms Franka and UR, 50 ms Unitree A1, 100 ms MoveIt
    Servo), transition limits after Autoware's gate, the rest chosen to stop a GR-1 within 200 ms (another robot needs
    what its slowest joint needs).
    """

    autostart: bool = setting(False, "configure and activate by itself after start")
    embodiment: str = setting("gr1", "robot whose joints and limits hold: a shipped name or a file")
    profile: str = setting(
        "sim", "'sim' or 'hardware'; hardware forbids looser ages and treats a leap of the measured pose as a fault"
    )
    default_source: str = setting("policy", "who drives after activation: 'policy', 'teleop' or '' for nobody")
    dry_run: bool = setting(False, f"send the commands to {DRY_RUN_TOPIC}, which no robot obeys")
    auto_resume: bool = setting(
        True, "go on by itself when a missing stream is back; false: only after a source is selected or a clutch closes"
    )
    tick_rate_hz: float = setting(120.0, "rate of commands to the robot", "Hz", 50.0, 500.0)

    speed_scale: float = setting(
        1.0, "factor on the velocity limits; while active it can only be lowered", "", 0.05, 1.0, live=True
    )
    velocity_scale: float = setting(1.0, "tightens the robot's velocity limits", "", 0.05, 1.0)
    acceleration_scale: float = setting(1.0, "tightens the robot's acceleration limits", "", 0.05, 1.0)
    position_margin_rad: float = setting(0.0, "distance kept from the position limits", "rad", 0.0, 0.2)
    transition_s: float = setting(2.0, "how long gentler limits hold after motion starts or resumes", "s", 0.0, 10.0)
    transition_scale: float = setting(0.5, "velocity and acceleration factor during that time", "", 0.05, 1.0)

    command_warn_s: float = setting(0.025, "age of the policy's command that is worth a warning", "s", 0.005, 0.5)
    command_hold_s: float = setting(0.05, "age of the policy's command that holds the robot", "s", 0.01, 0.5)
    teleop_warn_s: float = setting(0.05, "age of the operator's command that is worth a warning", "s", 0.005, 0.5)
    teleop_hold_s: float = setting(0.1, "age of the operator's command that holds the robot", "s", 0.01, 0.5)
    joint_state_warn_s: float = setting(0.025, "age of the joint state that is worth a warning", "s", 0.005, 0.5)
    joint_state_hold_s: float = setting(0.05, "age of the joint state that holds the robot", "s", 0.01, 0.5)
    joint_state_damp_s: float = setting(
        0.1, "age of the joint state from which the robot is damped until reset", "s", 0.02, 1.0
    )
    healthy_s: float = setting(0.2, "how long all streams must be without a gap before motion", "s", 0.05, 5.0)

    max_lead_s: float = setting(
        0.02, "how far a command's stamp may lie ahead of the newest joint state's", "s", 0.0, 0.2
    )
    max_lag_s: float = setting(
        0.25, "how far a command's stamp may lie behind the newest joint state's", "s", 0.02, 10.0
    )
    max_jump_rad: float = setting(1.0, "a command further from the one before is refused", "rad", 0.01, 1.0)
    max_start_s: float = setting(
        0.25,
        "motion starts only if each joint is this near to its command, in time at its velocity limit",
        "s",
        0.005,
        0.5,
    )
    max_beyond_limit_rad: float = setting(
        0.5, "a value further beyond its position limit is refused, not clamped", "rad", 0.0, 0.5
    )
    max_state_jump_rad: float = setting(
        0.5, "a larger leap of the measured pose between two messages is no motion", "rad", 0.05, 2.0
    )

    max_away_rad: float = setting(
        0.5, "a joint, but of a hand, further from its command for half a second does not follow it", "rad", 0.1, 2.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.default_source not in ("", *SOURCES):
            raise ConfigError(
                f"default_source '{self.default_source}' is unknown; known: {', '.join(SOURCES)} or '' for nobody"
            )
        for name, each in self.__dataclass_fields__.items():
            low, high = each.metadata.get("range", (float("-inf"), float("inf")))
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not low <= value <= high:
                raise ConfigError(f"{name} = {value} is outside its range [{low}, {high}]")
        check_profile(self, _AGES)

    def command_ages_s(self, source: str) -> tuple[float, float]:
        """Ages of a command of ``source`` [s]: worth a warning, and held."""
        if source == "teleop":
            return self.teleop_warn_s, self.teleop_hold_s
        return self.command_warn_s, self.command_hold_s

    @property
    def process_priority(self) -> int:
        """SCHED_FIFO priority of all threads but the loop: below it, above ordinary programs; 0: none."""
        return max(self.thread_priority - 10, 0)


_AGES = (
    "command_warn_s",
    "command_hold_s",
    "teleop_warn_s",
    "teleop_hold_s",
    "joint_state_warn_s",
    "joint_state_hold_s",
    "joint_state_damp_s",
    "max_lead_s",
    "max_lag_s",
)
