# SPDX-License-Identifier: Apache-2.0
"""What a long run is watched by: one sample of the stack, its processes and the machine, as named numbers.

A name is ``figure`` or ``figure/process``; a figure ends in its unit. NaN stands for what nobody has said yet.
"""

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from gr00t_bringup import shared_memory
from gr00t_bringup.machine import cpu_seconds, cpu_shares, process_memory
from gr00t_bringup.status import StackStatus

MEMORY, HANDLES, THREADS, CORES = "memory_mb", "handles", "threads", "cores"
SEGMENTS, SEGMENTS_MB, MISSES = "shared_segments", "shared_segments_mb", "deadline_misses_percent"
TEMPERATURE, DRIVEN = "temperature_c", "driven"
# Figures of these names are fields of StackStatus.
PLANNER_RATE, CONTROL_RATE, HEAD_RATE = "planner_rate_hz", "control_rate_hz", "head_rate_hz"
HEAD_P99, IMAGE_AGE, JOINT_STATE_AGE = "head_p99_ms", "image_to_command_p95_ms", "joint_state_to_command_p99_ms"
REAL_TIME_FACTOR = "real_time_factor"
_TOLD = (PLANNER_RATE, CONTROL_RATE, HEAD_RATE, HEAD_P99, IMAGE_AGE, JOINT_STATE_AGE, REAL_TIME_FACTOR)

Sample = dict[str, float]


class VitalSigns:
    """Takes samples. Remembers the last one, since misses and CPU time are counted from it, and every segment seen."""

    def __init__(self, own_name: str = "gr00t bench") -> None:
        self._own = {own_name: os.getpid()}
        self._segments: set[str] = set()
        self._cpu, self._cpu_s = cpu_seconds(), time.monotonic()
        self._ticks = self._misses = 0

    def sample(self, status: StackStatus, pids: Mapping[str, int]) -> Sample:
        """Everything at this instant. pids: of the nodes, by name; this process is added."""
        everyone = {**pids, **self._own}
        return {
            **{name: float(getattr(status, name)) for name in _TOLD},
            MISSES: self._missed_percent(status),
            DRIVEN: float(status.gate == "active"),
            **self._shares(everyone),
            **_holdings(everyone),
            **self._shared(everyone),
            **_temperatures(),
            "load_average": os.getloadavg()[0],
        }

    def _missed_percent(self, status: StackStatus) -> float:
        ticks, misses = status.ticks - self._ticks, status.deadline_misses - self._misses
        self._ticks, self._misses = status.ticks, status.deadline_misses
        return 100 * misses / ticks if ticks > 0 and misses >= 0 else math.nan

    def _shares(self, pids: dict[str, int]) -> Sample:
        now, now_s = cpu_seconds(), time.monotonic()
        shares = cpu_shares(self._cpu, now, pids, max(now_s - self._cpu_s, 1e-3))
        self._cpu, self._cpu_s = now, now_s
        return {f"{CORES}/{name}": share for name, share in shares.items()}

    def _shared(self, pids: dict[str, int]) -> Sample:
        """Segments of shared memory that one of our processes had mapped at some time and that are still there."""
        for pid in pids.values():
            self._segments |= shared_memory.mapped_segments(pid)
        sizes = [size for name in self._segments if (size := _size(shared_memory.FOLDER / name)) is not None]
        return {SEGMENTS: float(len(sizes)), SEGMENTS_MB: sum(sizes) / 2**20}


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def _holdings(pids: Mapping[str, int]) -> Sample:
    found: Sample = {}
    for name, pid in pids.items():
        memory = process_memory(pid)
        try:
            process = psutil.Process(pid)
            handles, threads = process.num_fds(), process.num_threads()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        found |= {f"{HANDLES}/{name}": float(handles), f"{THREADS}/{name}": float(threads)}
        if memory is not None:
            found[f"{MEMORY}/{name}"] = memory.now_mb
    return found


def _temperatures() -> Sample:
    """Of the sensors that the kernel shows (/sys/class/hwmon, thermal); none on most virtual machines."""
    return {
        f"{TEMPERATURE}/{chip} {sensor.label or number}".strip(): float(sensor.current)
        for chip, sensors in psutil.sensors_temperatures().items()
        for number, sensor in enumerate(sensors)
    }
