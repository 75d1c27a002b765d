# SPDX-License-Identifier: Apache-2.0
"""The computer: cores, memory, disk, GPU, permission to run in real time, shared memory. Reads the system, changes nothing."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

from gr00t_bringup import shared_memory
from gr00t_bringup.health.finding import Finding, error, ok, warning
from gr00t_bringup.machine import this_machine
from gr00t_policy.core.missing_gpu import missing_gpu_remedy

REALTIME_PRIORITY = 60  # the highest that a node of the suite asks for: the controller's loop
_GB = 2**30
_LEAST_MEMORY_GB, _LEAST_DISK_GB, _LITTLE_DISK_GB = 2.0, 0.5, 5.0
_LEAST_SHARED_MB = 64
_SOCKET_BYTES = 4_194_304  # what gr00t_policy/ros/loopback.xml asks for
_GOVERNORS = "devices/system/cpu/cpu*/cpufreq/scaling_governor"
# As in docs/realtime.md, "Setting up a machine".
_RT_FIX = (
    "as root: groupadd -f realtime && usermod -aG realtime USER; "
    "printf '@realtime - rtprio 98\\n@realtime - memlock unlimited\\n' >> /etc/security/limits.conf; log in again "
    "(Docker: --ulimit rtprio=98 --ulimit memlock=-1)"
)
# Name of the card; else version of torch and, where there is one, of the CUDA it is built for.
_CUDA = """import torch
if torch.cuda.is_available():
    print(torch.cuda.get_device_name(0))
else:
    print(torch.__version__, torch.version.cuda or "")"""


def computer_findings() -> list[Finding]:
    """All of them, in the order of reading."""
    return [
        processor(),
        memory(),
        disk(Path.cwd()),
        graphics_card(),
        real_time(),
        *leftovers(),
        shared_memory_room(),
        *sockets(),
    ]


def processor(sys_folder: Path = Path("/sys")) -> Finding:
    """Model, cores, and whether the clock is left free to fall."""
    machine = this_machine()
    governors = sorted({_word(file) for file in sys_folder.glob(_GOVERNORS)} - {""})
    found = f"{machine.cpu}, {machine.cores} cores" + (f", governor {'/'.join(governors)}" if governors else "")
    if machine.cores < 2:
        return warning("processor", found, "two cores are what the loop needs")
    if governors and governors != ["performance"]:
        return warning("processor", found, "sudo cpupower frequency-set -g performance")
    return ok("processor", found)


def memory(proc: Path = Path("/proc")) -> Finding:
    text = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines() if ":" in line)
    free, total = (int(text.get(key, "0").split()[0]) / 2**20 for key in ("MemAvailable", "MemTotal"))
    found = f"{free:.1f} of {total:.1f} GB free"
    if free < _LEAST_MEMORY_GB:
        return warning("memory", found, "end other programs; the tiny network and the simulator take 2 GB")
    return ok("memory", found)


def disk(folder: Path) -> Finding:
    """Where results are written."""
    free = shutil.disk_usage(folder).free / _GB
    found = f"{free:.1f} GB free in {folder}"
    fix = "delete old bags and datasets; a minute of recording takes about 0.2 GB"
    if free < _LEAST_DISK_GB:
        return error("disk", found, fix)
    return warning("disk", found, fix) if free < _LITTLE_DISK_GB else ok("disk", found)


def graphics_card() -> Finding:
    """Absent is fine; present and out of torch's reach is not."""
    cards = _nvidia_cards()
    if not cards:
        return ok("GPU", "none; the network runs on the CPU")
    try:
        asked = subprocess.run([sys.executable, "-c", _CUDA], capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return warning("GPU", f"{cards}; torch does not answer", "nvidia-smi: is the card in use or hung?")
    word = asked.stdout.strip()
    if asked.returncode != 0 or not word or word[0].isdigit():
        version, _, cuda = word.partition(" ")
        return warning("GPU", f"{cards}; torch {version or 'missing'} cannot use it", missing_gpu_remedy(cuda))
    return ok("GPU", f"{cards}, torch uses {word}")


def real_time(priority: int = REALTIME_PRIORITY) -> Finding:
    """Ask the kernel for the scheduling class the controller will ask for, in a process of its own."""
    ask = f"import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param({priority}))"
    allowed = subprocess.run([sys.executable, "-c", ask], capture_output=True, timeout=20, check=False).returncode == 0
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    kernel = "PREEMPT_RT" if _word(Path("/sys/kernel/realtime")) == "1" else "ordinary kernel"
    if allowed:
        return ok("real time", f"SCHED_FIFO {priority} allowed, {kernel}")
    found = f"SCHED_FIFO {priority} not allowed (rtprio limit {limit}), {kernel}: more missed deadlines"
    return warning("real time", found, _RT_FIX)


def shared_memory_room(folder: Path = shared_memory.FOLDER) -> Finding:
    free_mb = shutil.disk_usage(folder).free / 2**20
    found = f"{free_mb:.0f} MB free in {folder}"
    if free_mb < _LEAST_SHARED_MB:
        return error("shared memory", found, "mount -o remount,size=512M /dev/shm (Docker: --shm-size=512m)")
    return ok("shared memory", found)


def leftovers(folder: Path = shared_memory.FOLDER) -> list[Finding]:
    """Fast DDS segments whose owner died; nothing is said when there are few."""
    dead = shared_memory.dead_segments(folder)
    size = sum((folder / name).stat().st_size for name in dead if (folder / name).exists())
    if size < _LEAST_SHARED_MB * 2**20:
        return []
    found = f"{len(dead)} segments of processes that died hold {size / 2**20:.0f} MB"
    return [
        warning("shared memory left", found, "fastdds shm clean (or delete /dev/shm/fastrtps_* while no node runs)")
    ]


def sockets(proc: Path = Path("/proc")) -> list[Finding]:
    """Room for what has come and was not read yet; nothing is said where it is not told, as in some containers."""
    file = proc / "sys/net/core/rmem_max"
    if not file.is_file():
        return []
    given = int(file.read_text())
    found = f"a socket keeps up to {given / 1e6:.1f} MB"
    if given >= _SOCKET_BYTES:
        return [ok("socket buffers", found)]
    found += ": most raw images of 640x480 are lost, tokens of over 0.5 MB come 10 ms late"
    return [warning("socket buffers", found, f"sudo sysctl -w net.core.rmem_max={_SOCKET_BYTES}")]


def _nvidia_cards() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return ""
    return "; ".join(line.strip() for line in done.stdout.splitlines()) if done.returncode == 0 else ""


def _word(file: Path) -> str:
    """The content of a small system file; '' when it cannot be read."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
