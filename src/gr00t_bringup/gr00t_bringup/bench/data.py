# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench data PATH``: how fast samples of a mixture or a dataset can be read, per core, and in how much memory."""

import resource
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import psutil
import tyro

from gr00t_bringup.inspection.dataset_report import closest_robot
from gr00t_bringup.inspection.report import megabytes
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.dataset import LeRobotDataset
from gr00t_policy.data.mixture import Mixture, open_mixture
from gr00t_policy.data.mixture_config import MixtureConfig, MixtureEntry, load_mixture_config
from gr00t_policy.data.mixture_reader import MixtureReader
from gr00t_policy.data.mixture_sampler import SamplerConfig
from gr00t_policy.data.sample_stream import SampleStream


@dataclass(frozen=True)
class DataBenchConfig:
    """Reads a block to warm up, then whole blocks for at least so many seconds."""

    path: Annotated[Path, tyro.conf.Positional]
    """YAML file of a mixture, or a LeRobot dataset folder"""
    robot: str = ""
    """embodiment of a dataset folder: a shipped name or a YAML file; default: the shipped one that fits best"""
    workers: int = 2
    """threads that read and decode"""
    block: int = 256
    """samples shuffled together; two blocks are in memory"""
    frames_per_visit: int = 1
    """samples that share an opened video: more is faster where key frames are rare"""
    horizon: int = 16
    """steps of a chunk of actions"""
    seed: int = 42
    seconds: float = 10.0
    """measured time, at least; the block that has begun is finished"""
    json: Path | None = None
    """write the figures here"""

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise ConfigError(f"seconds must lie above 0 and up to 3600, got {self.seconds}")


@dataclass(frozen=True)
class DataFigures:
    """per_core: in a second of processor time, all threads together. memory: beyond what the process had before."""

    samples: int
    pictures: int
    seconds: float
    processor_seconds: float
    samples_per_s: float
    pictures_per_s: float
    pictures_per_core_s: float
    sample_bytes: int
    memory_bytes: int
    memory_bound_bytes: int
    drawn: dict[str, int]


def run(config: DataBenchConfig) -> int:
    """Measure and print. Raises Gr00tError."""
    sampler = SamplerConfig(config.seed, config.block, config.frames_per_visit)
    mixture = _mixture(config)
    machine = this_machine()
    print(f"{config.path}: {sum(part.frames for part in mixture.parts)} frames; {machine.cpu}, {machine.cores} cores")
    figures = measure(MixtureReader(mixture, config.horizon), sampler, config.workers, config.seconds)
    print(
        f"{figures.samples} samples in {figures.seconds:.1f} s with {config.workers} thread(s): {figures.samples_per_s:.0f} "
        f"samples/s, {figures.pictures_per_s:.0f} pictures/s, {figures.pictures_per_core_s:.0f} pictures/s per core\n"
        f"memory {megabytes(figures.memory_bytes)} above the start; samples and rows at most "
        f"{megabytes(figures.memory_bound_bytes)} (two blocks of {config.block} samples of {figures.sample_bytes} bytes, rows)\n"
        f"drawn: {', '.join(f'{name} {count}' for name, count in figures.drawn.items())}"
    )
    if config.json is not None:
        options = {"path": str(config.path), "workers": config.workers, **asdict(sampler)}
        write_json(config.json, {**options, **asdict(figures), "machine": asdict(machine)})
    return 0


def measure(reader: MixtureReader, sampler: SamplerConfig, workers: int, seconds: float) -> DataFigures:
    """After one block to warm up. The blocks read ahead at the beginning and at the end are as many, and cancel out."""
    process = psutil.Process()
    before = process.memory_info().rss
    with SampleStream(reader, sampler, workers=workers) as stream:
        for _ in range(sampler.block):
            next(stream)
        drawn: Counter[str] = Counter()
        pictures, started, busy = 0, time.perf_counter(), _busy(process)
        while not drawn or time.perf_counter() - started < seconds:
            for _ in range(sampler.block):
                sample = next(stream)
                drawn[sample.dataset] += 1
                pictures += len(sample.images)
        elapsed, used = time.perf_counter() - started, _busy(process) - busy
        bound = stream.memory_bound_bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return DataFigures(
        samples=drawn.total(),
        pictures=pictures,
        seconds=elapsed,
        processor_seconds=used,
        samples_per_s=drawn.total() / elapsed,
        pictures_per_s=pictures / elapsed,
        pictures_per_core_s=pictures / max(used, 1e-9),
        sample_bytes=reader.sample_bytes,
        memory_bytes=max(peak - before, 0),
        memory_bound_bytes=bound,
        drawn=dict(drawn),
    )


def _busy(process: psutil.Process) -> float:
    """Processor time of all threads so far [s]."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _mixture(config: DataBenchConfig) -> Mixture:
    if not config.path.is_dir():
        if config.robot:
            raise ConfigError("a mixture names its robots itself; --robot is for a dataset folder")
        return open_mixture(load_mixture_config(config.path))
    robot = config.robot or closest_robot(LeRobotDataset(config.path)).name
    return open_mixture(MixtureConfig((MixtureEntry(config.path.name, config.path, robot),)))
