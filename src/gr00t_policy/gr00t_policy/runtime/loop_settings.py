# SPDX-License-Identifier: Apache-2.0
"""What may be set about the paced loop of any node, with the names of ros2_control's controller manager."""

from dataclasses import dataclass

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.settings import setting

_THRESHOLD = "diagnostics.threshold.controllers"
_PERIODICITY, _EXECUTION = f"{_THRESHOLD}.periodicity", f"{_THRESHOLD}.execution_time"
_WORDS = {"mean_error": "distance of the mean from the nominal", "standard_deviation": "standard deviation of the"}


def rate_threshold(default: float, kind: str, level: str) -> float:
    """A threshold of periodicity; kind: 'mean_error' or 'standard_deviation', level: 'warn' or 'error'."""
    what = f"{_WORDS[kind]} rate from which the loop's diagnostics say {level.upper()}"
    value: float = setting(default, what, "Hz", 0.001, 1000.0, name=f"{_PERIODICITY}.{kind}.{level}")
    return value


def time_threshold(default: float, kind: str, level: str) -> float:
    """A threshold of execution time, as ``rate_threshold``."""
    said = "mean" if kind == "mean_error" else "standard deviation of the"
    what = f"{said} time of a tick from which they say {level.upper()}"
    value: float = setting(default, what, "us", 1.0, 1e7, name=f"{_EXECUTION}.{kind}.{level}")
    return value


@dataclass(frozen=True)
class LoopSettings:
    """Inherited by the settings of a node with a loop. Thresholds of periodicity are ros2_control's, for about 100 Hz; those of
    execution time are for loops in Python.
    """

    thread_priority: int = setting(50, "SCHED_FIFO priority of the loop where allowed; 0: none", "", 0, 90)
    cpu_affinity: int = setting(-1, "core that the loop's thread keeps to; -1: any", "", -1, 1023)
    lock_memory: bool = setting(
        False, "keep the whole process in memory while active (mlockall), where it may lock without limit"
    )
    periodicity_mean_warn_hz: float = rate_threshold(5.0, "mean_error", "warn")
    periodicity_mean_error_hz: float = rate_threshold(10.0, "mean_error", "error")
    periodicity_deviation_warn_hz: float = rate_threshold(5.0, "standard_deviation", "warn")
    periodicity_deviation_error_hz: float = rate_threshold(10.0, "standard_deviation", "error")
    execution_mean_warn_us: float = time_threshold(2000.0, "mean_error", "warn")
    execution_mean_error_us: float = time_threshold(5000.0, "mean_error", "error")
    execution_deviation_warn_us: float = time_threshold(1000.0, "standard_deviation", "warn")
    execution_deviation_error_us: float = time_threshold(2000.0, "standard_deviation", "error")

    def __post_init__(self) -> None:
        for low, high in (
            (self.periodicity_mean_warn_hz, self.periodicity_mean_error_hz),
            (self.periodicity_deviation_warn_hz, self.periodicity_deviation_error_hz),
            (self.execution_mean_warn_us, self.execution_mean_error_us),
            (self.execution_deviation_warn_us, self.execution_deviation_error_us),
        ):
            if low > high:
                raise ConfigError(f"a threshold under {_THRESHOLD} warns at {low:g}, above its error at {high:g}")
