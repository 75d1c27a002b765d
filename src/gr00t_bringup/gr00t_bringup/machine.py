# SPDX-License-Identifier: Apache-2.0
"""What a measurement must say about the machine it was made on, and when. Reads /proc; knows no ROS."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gr00t_bringup.software import versions
from gr00t_policy.core.source_revision import suite_revision

_PROC = Path("/proc")
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Machine:
    """cores: usable by this process. memory_gb: total. gpu: None without one that its driver shows. date: UTC, now.

    revision: of this repository, None outside of one. versions: of Python and of libraries, by name.
    """

    cpu: str
    cores: int
    memory_gb: float
    gpu: str | None
    kernel: str
    date: str
    revision: str | None
    versions: dict[str, str]


@dataclass(frozen=True)
class ProcessMemory:
    """Resident memory of one process now and at its highest [MB], and of what there is now: anonymous, which is the process's
    own, and pages of mapped files, which the kernel shares and can drop where they are clean."""

    now_mb: float
    peak_mb: float
    anonymous_mb: float
    mapped_mb: float


@dataclass(frozen=True)
class CpuTimes:
    """Time of all cores together since boot [s]: busy with any process, also ended ones; stolen by the host of a VM."""

    busy_s: float
    stolen_s: float


def this_machine(proc: Path = _PROC) -> Machine:
    """This machine, its software and the time."""
    lines = (proc / "cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), os.uname().machine)
    memory_kb = _value_kb((proc / "meminfo").read_text(), "MemTotal")
    return Machine(
        cpu=cpu,
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(memory_kb / 2**20, 1),
        gpu=_gpu(proc),
        kernel=os.uname().release,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        revision=suite_revision() or None,
        versions=versions(),
    )


def process_memory(pid: int, proc: Path = _PROC) -> ProcessMemory | None:
    """None when the process is gone."""
    try:
        text = (proc / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return ProcessMemory(*(_value_kb(text, key) / 1024 for key in ("VmRSS", "VmHWM", "RssAnon", "RssFile")))


def memory_of(pids: Mapping[str, int]) -> dict[str, ProcessMemory]:
    """Of several processes by name; those that are gone are left out."""
    return {name: memory for name, pid in pids.items() if (memory := process_memory(pid)) is not None}


def cpu_times(proc: Path = _PROC) -> CpuTimes:
    """What all cores did so far, by the first line of /proc/stat (fields: proc(5))."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(field) * tick_s for field in (proc / "stat").read_text().splitlines()[0].split()[1:9]
    )
    return CpuTimes(user + nice + system + irq + softirq, steal)


def cpu_seconds(proc: Path = _PROC) -> dict[int, tuple[str, float]]:
    """CPU time used so far [s] with the name, by process id, of all processes one may look at."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    found = {}
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            head, rest = (folder / "stat").read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        fields = rest.split()
        found[int(folder.name)] = head.split("(", 1)[1], (int(fields[11]) + int(fields[12])) * tick_s
    return found


def cpu_shares(
    before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]], pids: dict[str, int], elapsed_s: float
) -> dict[str, float]:
    """Share of one core that each of the named processes took."""
    used_s = {name: after[pid][1] - before.get(pid, ("", 0.0))[1] for name, pid in pids.items() if pid in after}
    return {name: round(used / elapsed_s, 3) for name, used in used_s.items()}


def busiest_others(
    before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]], ours: set[int], elapsed_s: float
) -> dict[str, float]:
    """What else ran: share of one core by name, of the processes not ``ours`` that took more than 1 %."""
    shares: dict[str, float] = {}
    for pid, (name, used_s) in after.items():
        if pid not in ours:
            since_s = used_s - before.get(pid, (name, 0.0))[1]
            shares[name] = shares.get(name, 0.0) + since_s / elapsed_s
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return {name: round(share, 3) for name, share in ranked[:_NAMES_SHOWN] if share > 0.01}


def _gpu(proc: Path) -> str | None:
    """As NVIDIA's driver names it, several with a comma; on a Jetson, whose driver has no such files, the board."""
    cards = sorted((proc / "driver/nvidia/gpus").glob("*/information"))
    lines = (line for card in cards for line in card.read_text().splitlines())
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")]
    board = proc / "device-tree/model"
    if not models and board.exists() and "Jetson" in (name := board.read_text().strip("\0 \n")):
        return name
    return ", ".join(models) or None


def _value_kb(text: str, key: str) -> float:
    for line in text.splitlines():
        if line.startswith(f"{key}:"):
            return float(line.split()[1])
    return 0.0
