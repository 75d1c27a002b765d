# SPDX-License-Identifier: Apache-2.0
"""What the running stack is to reach on two cores, beside what was measured."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from gr00t_bringup.measure import RunFigures


@dataclass(frozen=True)
class Goal:
    """One figure, its value (NaN: not known) and the range it should be in. because: what chose the range, if anything did."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    because: str = ""

    @property
    def reached(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def verdict(self) -> str:
        """In one word."""
        return "unknown" if math.isnan(self.value) else "ok" if self.reached else "missed"

    @property
    def wanted(self) -> str:
        """The range for people."""
        said = f"{self.low:g} to {self.high:g}" if self.high < float("inf") else f">= {self.low:g}"
        if self.low == 0:
            said = f"<= {self.high:g}" if self.high > 0 else "0"
        return f"{said} ({self.because})" if self.because else said


def goals(figures: RunFigures) -> list[Goal]:
    """The figures of a run with a GR-1 in MuJoCo, head evaluated every tick at 120 Hz."""
    image, state = figures.image_to_command_ms, figures.joint_state_to_command_ms
    return [
        Goal("planner rate", figures.planner_rate_hz, "Hz", 9.9, 10.1),
        Goal("control rate", figures.control_rate_hz, "Hz", 119.9, 120.1),
        Goal("head rate", figures.head_rate_hz, "Hz", 119.9, 120.1),
        Goal("joint states", figures.joint_state_rate_hz, "Hz", 119.9, float("inf")),
        Goal("camera", figures.camera_rate_hz, "Hz", 10.0, float("inf")),
        _missed("missed commands", 100 * figures.deadline_miss_fraction, figures),
        _missed("the same, from their gaps", _missed_by_gaps(figures), figures),
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


def memory_goal(peaks_mb: Collection[float]) -> Goal:
    """What all processes took at their highest, as if at one moment."""
    return Goal("peak memory", sum(peaks_mb) / 1024 if peaks_mb else float("nan"), "GB", 0.0, 6.0)


def _missed(name: str, percent: float, figures: RunFigures) -> Goal:
    """None may be missed by a thread that goes before all others; one that shares cores with them has half a percent."""
    if figures.realtime_scheduling:
        return Goal(name, percent, "%", 0.0, 0.0, "SCHED_FIFO")
    return Goal(name, percent, "%", 0.0, 0.5, "ordinary scheduling")


def _missed_by_gaps(figures: RunFigures) -> float:
    """Percent of the ticks due; a command that came late and not at all are told apart only by the controller's own count."""
    return 100 * figures.command_gaps.missed / figures.ticks if figures.ticks else float("nan")
