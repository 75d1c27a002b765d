# SPDX-License-Identifier: Apache-2.0
"""What may be set about the simulator node."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.gate_grid import GateGrid, gate_grid
from gr00t_policy.runtime.lead_settings import GATE_RATE_HELP
from gr00t_policy.runtime.loop_settings import LoopSettings, time_threshold
from gr00t_policy.runtime.settings import setting
from gr00t_sim.looks import looks_named

_LEAD = 0.6  # of the gate's period: 5 ms at 120 Hz, of which 4.4 are left to whoever answers
_AHEAD = 0.12  # of a period, so long before the moment of a joint state its physics is begun: 1 ms at 120 Hz. 4 ms of physics
# behind the last command take 0.4 ms, 8 ms without one 0.8 (AMD EPYC).


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
    gate_rate_hz: float = setting(120.0, GATE_RATE_HELP, "Hz", 50.0, 500.0)
    joint_state_lead_s: float = setting(
        0.0,
        "joint states are of so long before a tick of the command gate, where one rate is a whole multiple of the other; 0: of "
        "0.6 of its period",
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
    task_state_rate_hz: float = setting(5.0, "rate at which the referee's newest verdict is told", "Hz", 0.5, 50.0)
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

        if 1e9 * self.joint_state_lead_s >= round(1e9 / self.gate_rate_hz):
            raise ConfigError(
                f"joint_state_lead_s is {self.joint_state_lead_s:g}; at gate_rate_hz {self.gate_rate_hz:g} a lead is shorter "
                f"than {1 / self.gate_rate_hz:.6f} s; 0 is {_LEAD:g} of that"
            )

    @property
    def grid(self) -> GateGrid | None:
        """The command gate's slots, None where joint states keep no phase to them."""
        return gate_grid(self.joint_state_rate_hz, self.gate_rate_hz)

    @property
    def lead_ns(self) -> int:
        """From the moment of a joint state to the gate's next tick."""
        return round(1e9 * (self.joint_state_lead_s or _LEAD / self.gate_rate_hz))

    @property
    def ahead_ns(self) -> int:
        """From the begin of a slice of physics to the moment that it is computed up to."""
        return round(1e9 * _AHEAD / self.joint_state_rate_hz)

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
