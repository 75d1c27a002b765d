# SPDX-License-Identifier: Apache-2.0
"""What may be set about the simulator node."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.loop_settings import LoopSettings, time_threshold
from gr00t_policy.runtime.settings import setting
from gr00t_sim.looks import looks_named


@dataclass(frozen=True)
class SimConfig(LoopSettings):
    """Settings of the node ``sim``. The rate of the clock divides that of the joint states."""

    autostart: bool = setting(False, "configure and activate by itself after start")
    embodiment: str = setting("gr1", "robot in the scene: a shipped name or a file")
    task: str = setting("pick_named_object", "task laid out at the start; see `gr00t sim play --help` for the names")
    seed: int = setting(0, "seed of the first scene: same task and seed give the same scene", "", 0, 2**31 - 1)
    looks: str = setting("none", "how pictures vary with the seed: none, mild or strong; see docs/tasks.md")
    sentence: str = setting("", "what the first scene asks for; empty: the task's own choice for the seed")
    joint_state_rate_hz: int = setting(120, "rate of joint states", "Hz", 50, 500)
    joint_state_lead_s: float = setting(
        0.005,
        "joint states are of so long before a tick of the command gate, where their rate is its rate",
        "s",
        0.0,
        0.02,
    )
    clock_rate_hz: int = setting(120, "rate of /clock", "Hz", 10, 500)
    publish_camera: bool = setting(True, "render and publish the robot's cameras")
    camera_rate_hz: float = setting(20.0, "rate of camera images", "Hz", 1.0, 60.0)
    qpos_rate_hz: float = setting(
        20.0, "rate of sim/qpos, the full state from which films and viewers are drawn", "Hz", 1.0, 60.0
    )
    task_state_rate_hz: float = setting(5.0, "rate of the referee's verdict", "Hz", 0.5, 50.0)
    command_timeout_s: float = setting(
        0.1, "without a command for this long the joint targets are held", "s", 0.02, 1.0
    )
    thread_priority: int = setting(45, "SCHED_FIFO priority of the physics loop where allowed; 0: none", "", 0, 90)

    execution_mean_warn_us: float = time_threshold(6000.0, "mean_error", "warn")
    execution_mean_error_us: float = time_threshold(8000.0, "mean_error", "error")
    execution_deviation_warn_us: float = time_threshold(2000.0, "standard_deviation", "warn")
    execution_deviation_error_us: float = time_threshold(4000.0, "standard_deviation", "error")

    def __post_init__(self) -> None:
        super().__post_init__()
        looks_named(self.looks)
        if self.joint_state_rate_hz % self.clock_rate_hz:
            raise ConfigError(
                f"clock_rate_hz = {self.clock_rate_hz} must divide joint_state_rate_hz = {self.joint_state_rate_hz}"
            )

    @property
    def process_priority(self) -> int:
        """SCHED_FIFO priority of all threads but physics: cameras and receivers; 0: none."""
        return max(self.thread_priority - 20, 0)

    @property
    def slices_per_clock(self) -> int:
        """Joint states per message on /clock."""
        return self.joint_state_rate_hz // self.clock_rate_hz

    @property
    def task_state_period_s(self) -> float:
        return 1 / self.task_state_rate_hz
