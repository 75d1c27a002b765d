# SPDX-License-Identifier: Apache-2.0
"""One half of a network, loaded in this process as its node loads it: how long it takes, and what the kernel counts then."""

import importlib
import os
import resource
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from gr00t_bringup.bench.timed_ways import SENTENCE
from gr00t_bringup.machine import ProcessMemory, process_memory
from gr00t_policy.core.types import Observation

if TYPE_CHECKING:
    from gr00t_policy.model.checkpoint import Checkpoint
    from gr00t_policy.runtime.policy import Backend

PLANNER, CONTROLLER = "encoder", "head"  # parts of ``load_backend``
# What the node's engine imports while it loads; imported first, so that time and memory of the libraries can be told apart.
_LIBRARIES = {PLANNER: "gr00t_policy.model.backbone", CONTROLLER: "gr00t_policy.model.action_head"}
_BACKEND = "gr00t_policy.runtime.torch_backend"


@dataclass(frozen=True)
class HalfOptions:
    """part: PLANNER or CONTROLLER. The rest as a node is told: see ``load_backend``; embodiment '' = the checkpoint's own."""

    part: str
    checkpoint: Path
    embodiment: str
    tokenizer: Path | None
    engine: str
    precision: str
    dtype: str
    device: str
    threads: int


@dataclass(frozen=True)
class HalfFigures:
    """One half loaded once in a process of its own.

    imports_s: libraries. facts_s: configuration, statistics, tokenizer, headers, hash. network_s: weights, each number
    checked, on the device. processor_s: of all three and all threads. first_call_s: one encoding, or one chunk from blank
    tokens. Memory before: with the libraries alone; loaded; used: after the first call, peak included. mapped_weights_mb:
    pages of the weight files that are resident in this process. waited_for_disk: how often it waited for pages from the disk
    while loading ("major faults").
    gpu_peak_mb: of tensors; None on the CPU.
    """

    part: str
    engine: str
    threads: int
    imports_s: float
    facts_s: float
    network_s: float
    processor_s: float
    first_call_s: float
    before: ProcessMemory
    loaded: ProcessMemory
    used: ProcessMemory
    mapped_weights_mb: float
    waited_for_disk: int
    gpu_peak_mb: float | None

    @property
    def seconds(self) -> float:
        """From a fresh interpreter to a half that can be used."""
        return self.imports_s + self.facts_s + self.network_s

    @property
    def anonymous_mb(self) -> float:
        """Anonymous memory that came with the network: copies of weights, tables, what libraries took on the way."""
        return self.loaded.anonymous_mb - self.before.anonymous_mb


def measure_half(options: HalfOptions) -> HalfFigures:
    """Load, look, use once, look again. Raises Gr00tError."""
    began_s, busy_s = time.perf_counter(), time.process_time()
    for module in (_BACKEND, _LIBRARIES[options.part]):
        importlib.import_module(module)
    from gr00t_policy.model.checkpoint import load_checkpoint
    from gr00t_policy.runtime.backends import default_cache, load_backend, shared_threads

    imported_s, before, faults = time.perf_counter(), _memory(), _major_faults()
    checkpoint = load_checkpoint(options.checkpoint, options.embodiment or None, tokenizer=options.tokenizer)
    known_s, threads = time.perf_counter(), options.threads or shared_threads()
    backend = load_backend(
        checkpoint,
        options.engine,
        options.precision,
        default_cache(Path.home()),
        options.part,
        dtype=options.dtype,
        device=options.device,
        threads=threads,
    )
    loaded_s, loaded, waited = time.perf_counter(), _memory(), _major_faults() - faults
    processor_s, mapped_mb = time.process_time() - busy_s, _resident_mb(checkpoint.weights.tensors)
    first_call_s = _used_once(options.part, checkpoint, backend)
    return HalfFigures(
        part=options.part,
        engine=str(backend.report),
        threads=threads,
        imports_s=imported_s - began_s,
        facts_s=known_s - imported_s,
        network_s=loaded_s - known_s,
        processor_s=processor_s,
        first_call_s=first_call_s,
        before=before,
        loaded=loaded,
        used=_memory(),
        mapped_weights_mb=mapped_mb,
        waited_for_disk=waited,
        gpu_peak_mb=_gpu_peak_mb(),
    )


def _memory() -> ProcessMemory:
    memory = process_memory(os.getpid())
    assert memory is not None, "this process is running"
    return memory


def _major_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_majflt


def _resident_mb(files: Iterable[Path]) -> float:
    """Of mappings of these files, what is resident in this process."""
    paths = {str(path.resolve()) for path in files}
    return float(sum(each.rss for each in psutil.Process().memory_maps() if each.path in paths)) / 2**20


def _used_once(part: str, checkpoint: "Checkpoint", backend: "Backend") -> float:
    """Seconds of one encoding of blank pictures, or of one chunk from blank tokens, as a node warms up."""
    from gr00t_policy.runtime.backends import blank_tokens
    from gr00t_policy.runtime.policy import Gr00tPolicy

    policy, robot, nothing = Gr00tPolicy(checkpoint, backend), checkpoint.embodiment, np.zeros(0, np.float32)
    blank = {camera.name: np.zeros((camera.height, camera.width, 3), np.uint8) for camera in robot.cameras}
    joints = np.zeros(len(robot.policy_joints), np.float32)
    began_s = time.perf_counter()
    if part == PLANNER:
        policy.encode(Observation(blank, nothing, SENTENCE))
    else:
        policy.accept(blank_tokens(checkpoint))
        policy.act(joints, 0)
    return time.perf_counter() - began_s


def _gpu_peak_mb() -> float | None:
    """Imports both halves' libraries: the last thing to ask."""
    from gr00t_policy.model.timed_paths import device_peak_mb
    from gr00t_policy.runtime.torch_backend import has_gpu

    return device_peak_mb("cuda" if has_gpu() else "cpu")
