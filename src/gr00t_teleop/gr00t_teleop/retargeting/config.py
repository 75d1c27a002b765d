# SPDX-License-Identifier: Apache-2.0
"""What may be set about the node ``retargeter``."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.deployment_profile import PROFILE_HELP, SIM, check_profile
from gr00t_policy.runtime.lead_settings import LeadSettings
from gr00t_policy.runtime.settings import setting


@dataclass(frozen=True)
class RetargeterConfig(LeadSettings):
    """Settings of the retargeter. The operator's ages are those of the gate: silence of 100 ms holds, of 500 ms disengages."""

    autostart: bool = setting(False, "configure and activate by itself after start")
    embodiment: str = setting("gr1", "robot that is driven: a shipped name or a file")
    profile: str = setting(SIM, PROFILE_HELP)
    rate_hz: float = setting(120.0, "rate of commands", "Hz", 50.0, 500.0)
    thread_priority: int = setting(55, "SCHED_FIFO priority of the loop where allowed; 0: none", "", 0, 90)
    use_waist: bool = setting(False, "the waist helps the arms; never with its transport pins in")
    use_head: bool = setting(
        False, "the neck follows the person's head; the policy does not move it, so data for it should not"
    )
    use_fingers: bool = setting(True, "the hands follow the person's fingers")
    arm_scale: float = setting(
        1.0, "robot's metres per person's metre until teleop/calibrate has measured it", "", 0.3, 2.0
    )
    velocity_scale: float = setting(0.95, "factor on the robot's velocity limits", "", 0.05, 1.0)
    acceleration_scale: float = setting(0.95, "factor on the robot's acceleration limits", "", 0.05, 1.0)
    settle_s: float = setting(
        0.4, "how long the pose stays after the clutch closes, until the gate follows", "s", 0.0, 5.0
    )
    gentle_s: float = setting(1.0, "how long motion is gentle after that", "s", 0.0, 10.0)
    gentle_scale: float = setting(0.5, "factor on velocity and acceleration limits during that time", "", 0.05, 1.0)
    operator_hold_s: float = setting(0.1, "silence of the device after which the arms hold", "s", 0.02, 1.0)
    operator_disengage_s: float = setting(
        0.5, "silence after which the clutch must be opened and closed again", "s", 0.1, 5.0
    )
    max_sample_age_s: float = setting(0.2, "age at arrival from which a sample is not used", "s", 0.02, 1.0)
    joint_state_timeout_s: float = setting(
        0.05, "age of the joint state from which nothing is commanded", "s", 0.01, 1.0
    )
    max_lead_rad: float = setting(
        0.5, "lead of an arm's command, for half a second, that means the robot does not follow", "rad", 0.05, 2.0
    )
    own_pose_rad: float = setting(
        0.2, "an arm further than this from its last command was moved by others", "rad", 0.01, 1.0
    )
    calibration_s: float = setting(2.0, "how long a calibration looks at the person", "s", 0.5, 20.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_profile(self, _AGES)
        if self.operator_hold_s > self.operator_disengage_s:
            raise ConfigError(
                f"operator_hold_s {self.operator_hold_s} must not be above operator_disengage_s {self.operator_disengage_s}"
            )

    @property
    def process_priority(self) -> int:
        """SCHED_FIFO priority of all threads but the loop: a loop waits for what holds the interpreter; 0: none."""
        return max(self.thread_priority - 10, 0)


_AGES = ("operator_hold_s", "operator_disengage_s", "max_sample_age_s", "joint_state_timeout_s")
