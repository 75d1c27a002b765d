# SPDX-License-Identifier: Apache-2.0
"""What the running stack is to reach on two cores, beside what was measured."""

from dataclasses import dataclass

from gr00t_bringup.measure import RunFigures


@dataclass(frozen=True)
class Goal:
    """One figure, its value and the range it should be in."""

    name: str
    value: float
    unit: str
    low: float
    high: float

    @property
    def reached(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def wanted(self) -> str:
        if self.low == 0:
            return f"<= {self.high:g}"
        return f"{self.low:g} to {self.high:g}" if self.high < float("inf") else f">= {self.low:g}"


def goals(figures: RunFigures) -> list[Goal]:
    """The figures of a run with a GR-1 in MuJoCo, head evaluated every tick at 120 Hz."""
    image, state = figures.image_to_command_ms, figures.joint_state_to_command_ms
    return [
        Goal("planner rate", figures.planner_rate_hz, "Hz", 9.9, 10.1),
        Goal("control rate", figures.control_rate_hz, "Hz", 119.9, 120.1),
        Goal("head rate", figures.head_rate_hz, "Hz", 119.9, 120.1),
        Goal("deadline misses", 100 * figures.deadline_miss_fraction, "%", 0.0, 0.5),
        Goal("wake-up lateness p99", figures.wake_up_lateness_ms.p99, "ms", 0.0, 0.2),
        Goal("head p50", figures.head_ms.p50, "ms", 0.0, 3.0),
        Goal("head p99", figures.head_ms.p99, "ms", 0.0, 5.0),
        Goal("encode p99", figures.encode_ms.p99, "ms", 0.0, 80.0),
        Goal("image to command p50", image.p50, "ms", 0.0, 90.0),
        Goal("image to command p95", image.p95, "ms", 0.0, 130.0),
        Goal("joint state to command p50", state.p50, "ms", 0.0, 6.0),
        Goal("joint state to command p99", state.p99, "ms", 0.0, 10.0),
        Goal("real-time factor", figures.real_time_factor, "", 0.99, float("inf")),
    ]
