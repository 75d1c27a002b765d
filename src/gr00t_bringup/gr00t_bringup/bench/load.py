# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench load``: how long each half of a network takes to load, and how much memory it holds then.

Each half has a process of its own, as planner and controller are; they run one after the other. The weight files are read
through once before, so that what is measured is a warm disk.
"""

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Column, Table

from gr00t_bringup.bench.goals import Goal
from gr00t_bringup.bench.loaded_half import CONTROLLER, PLANNER, HalfFigures, HalfOptions, measure_half
from gr00t_bringup.bench.own_process import alone
from gr00t_bringup.inspection import weight_file
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.config import ModelConfig, preset

PARTS = {weight_file.PLANNER: PLANNER, weight_file.CONTROLLER: CONTROLLER}  # half -> what of the network it runs
# Of GR00T-N1-2B in 16 bit: half of its 4.4 GB and room for the libraries; 15 s is what a person waits for a robot to start.
GOAL_S, GOAL_GB = 15.0, {weight_file.PLANNER: 3.2, weight_file.CONTROLLER: 2.2}
_CHUNK = 1 << 24
_GB = 1e9


@dataclass(frozen=True)
class LoadBenchConfig:
    """What to load, as planner and controller are told. Exit code 0: every goal was reached, or there is none at this size."""

    checkpoint: Path | None = None
    """checkpoint folder; default: the one shipped in models/"""
    embodiment: str = ""
    """robot: name or YAML file; default: the checkpoint's, gr1 for a released one"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    engine: Literal["auto", "torch", "openvino", "cuda_graph"] = "auto"
    """what runs the network"""
    precision: Literal["int8", "bf16", "fp32"] = "int8"
    """number format of the openvino engine"""
    dtype: Literal["auto", "float32", "bfloat16", "float8"] = "auto"
    """number format of torch"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where torch runs"""
    threads: int = 0
    """threads of torch; 0: as the nodes have them, half of the cores"""
    halves: tuple[Literal["planner", "controller"], ...] = ("planner", "controller")
    """which to load, in this order"""
    repeats: int = 3
    """how often each half is loaded, each time in a new process"""
    json: Path | None = None
    """write the figures here"""

    def __post_init__(self) -> None:
        if not self.halves or len(set(self.halves)) < len(self.halves):
            raise ConfigError(
                f"halves are planner, controller or both, each once, got {' '.join(self.halves) or 'none'}"
            )
        if self.repeats < 1 or self.threads < 0:
            raise ConfigError(f"repeats must be at least 1 and threads not negative: {self.repeats}, {self.threads}")


def run(config: LoadBenchConfig) -> int:
    """Load each half, print. Raises Gr00tError."""
    folder = config.checkpoint or shipped_checkpoint()
    checkpoint = load_checkpoint(folder, config.embodiment or None, tokenizer=config.tokenizer)
    machine, files = this_machine(), tuple(checkpoint.weights.tensors)
    size_gb = sum(file.stat().st_size for file in files) / _GB
    read_s = read_through(files)
    print(
        f"{folder}\n{machine.gpu or machine.cpu}, {machine.cores} cores, {machine.memory_gb} GB; torch "
        f"{importlib.metadata.version('torch')}; {size_gb:.2f} GB of weights, read through in {read_s:.1f} s",
        flush=True,
    )
    stored_gb = _stored_gb(folder)
    measured: dict[str, list[HalfFigures]] = {}
    for half in config.halves:
        print(f"loading the {half} half, {config.repeats} time(s) ...", flush=True)
        measured[half] = [alone(measure_half, _options(config, folder, half)) for _ in range(config.repeats)]
    goals = load_goals(measured) if is_n1_2b(checkpoint.config) and config.dtype != "float32" else []
    _print(measured, stored_gb, goals)
    if config.json is not None:
        data = {
            "checkpoint": str(folder),
            "checkpoint_hash": checkpoint.hash,
            "weight_files_gb": size_gb,
            "read_through_s": read_s,
            "stored_gb": stored_gb,
            "halves": {half: [_as_data(each) for each in repeats] for half, repeats in measured.items()},
            "goals": [asdict(goal) | {"reached": goal.reached} for goal in goals],
            "machine": asdict(machine),
        }
        write_json(config.json, data)
    return 0 if all(goal.reached for goal in goals) else 1


def load_goals(measured: dict[str, list[HalfFigures]]) -> list[Goal]:
    """What GR00T-N1-2B is to reach, by the worst of the repeats. Memory: of the process, on a GPU of its tensors."""
    goals = []
    for half, repeats in measured.items():
        goals.append(Goal(f"{half} half, loaded in", max(each.seconds for each in repeats), "s", 0.0, GOAL_S))
        goals.append(Goal(f"{half} half, memory", max(map(_peak_gb, repeats)), "GB", 0.0, GOAL_GB[half]))
    return goals


def is_n1_2b(config: ModelConfig) -> bool:
    """Whether a network has the sizes of GR00T-N1-2B, however many Euler steps its chunks take."""
    published = preset("n1_2b")
    head = replace(config.head, steps=published.head.steps)
    return (config.vision, config.language, head) == (published.vision, published.language, published.head)


def read_through(files: Iterable[Path]) -> float:
    """Seconds it took to read every byte, which leaves them in the kernel's cache where there is room."""
    began_s = time.perf_counter()
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.read(_CHUNK):
                pass
    return time.perf_counter() - began_s


def _options(config: LoadBenchConfig, folder: Path, half: str) -> HalfOptions:
    return HalfOptions(
        PARTS[half], folder, config.embodiment, config.tokenizer, config.engine, config.precision, config.dtype, config.device,
        config.threads,
    )  # fmt: skip


def _stored_gb(folder: Path) -> dict[str, float]:
    modules = weight_file.weight_modules(folder)
    return {half: weight_file.total(modules, half, half).stored_bytes / _GB for half in PARTS}


def _peak_gb(figures: HalfFigures) -> float:
    """Of tensors on a GPU, else of the process."""
    peak_mb = figures.used.peak_mb if figures.gpu_peak_mb is None else figures.gpu_peak_mb
    return _gb(peak_mb)


def _gb(megabytes: float) -> float:
    return megabytes * 2**20 / _GB


def _as_data(figures: HalfFigures) -> dict[str, object]:
    return asdict(figures) | {"seconds": figures.seconds, "anonymous_mb": figures.anonymous_mb}


# (row, figure): seconds are the median of the repeats, memory the largest.
_SECONDS: tuple[tuple[str, Callable[[HalfFigures], float]], ...] = (
    ("libraries", lambda half: half.imports_s),
    ("configuration, tokenizer, hash", lambda half: half.facts_s),
    ("weights, each number checked", lambda half: half.network_s),
    ("loaded after", lambda half: half.seconds),
    ("  processor time of it", lambda half: half.processor_s),
    ("first call", lambda half: half.first_call_s),
)
_MEMORY: tuple[tuple[str, Callable[[HalfFigures], float]], ...] = (
    ("resident with libraries alone", lambda half: half.before.now_mb),
    ("resident when loaded", lambda half: half.loaded.now_mb),
    ("  anonymous", lambda half: half.loaded.anonymous_mb),
    ("  anonymous, of the network", lambda half: half.anonymous_mb),
    ("  mapped files", lambda half: half.loaded.mapped_mb),
    ("  mapped files, weights", lambda half: half.mapped_weights_mb),
    ("peak, first call included", lambda half: half.used.peak_mb),
)


def _print(measured: dict[str, list[HalfFigures]], stored_gb: dict[str, float], goals: list[Goal]) -> None:
    console = Console()
    table = Table(Column("", no_wrap=True), *(f"{half} half" for half in measured))
    table.add_row("engine", *(each[0].engine for each in measured.values()))
    table.add_row("threads", *(str(each[0].threads) for each in measured.values()))
    table.add_row("stored weights [GB]", *(f"{stored_gb[half]:.2f}" for half in measured))
    for row, seconds in _SECONDS:
        medians = (statistics.median(map(seconds, repeats)) for repeats in measured.values())
        table.add_row(f"{row} [s]", *(f"{median:.2f}" for median in medians))
    for row, memory_mb in _MEMORY:
        largest = (max(map(memory_mb, repeats)) for repeats in measured.values())
        table.add_row(f"{row} [GB]", *(f"{_gb(most):.2f}" for most in largest))
    gpu = [repeats[0].gpu_peak_mb for repeats in measured.values()]
    if any(peak_mb is not None for peak_mb in gpu):
        table.add_row("peak on the GPU [GB]", *(f"{_gb(peak_mb or 0.0):.2f}" for peak_mb in gpu))
    waits = (max(each.waited_for_disk for each in repeats) for repeats in measured.values())
    table.add_row("waits for the disk", *map(str, waits))
    console.print(table)
    for goal in goals:
        said = "ok" if goal.reached else "missed"
        console.print(f"{goal.name}: {goal.value:.2f} {goal.unit}, goal {goal.wanted} {goal.unit}: {said}")
    if not goals:
        console.print("goals are for the sizes of GR00T-N1-2B in 16 bit")
