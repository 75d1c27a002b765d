# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench convert``: processor time of `gr00t data convert` for a second of the recorder's rated load."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from gr00t_bringup.bench.goals import Goal
from gr00t_bringup.bench.rated_bag import rated_robot, write_rated_bag
from gr00t_bringup.fresh_folder import fresh_folder
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_policy.core.errors import ConfigError, DatasetError
from gr00t_policy.data.convert_bags import Conversion, convert_bags

GOAL = 5.0
_BAG, _DATASET = _MADE = ("rated_bag", "rated_dataset")  # names that nobody's own data have


@dataclass(frozen=True)
class ConvertBenchConfig:
    """2 cameras (640x480 jpeg, 30 Hz), 5 joint topics (120 Hz), tokens (0.3 MB, 10 Hz). Exit code 0: the goal is reached."""

    seconds: float = 20.0
    """length of the recording"""
    fps: float = 20.0
    """rows per second"""
    out: Path = Path("out/bench_convert")
    """folder for rated_bag/ and rated_dataset/"""
    keep: bool = False
    """leave both behind"""
    json: Path | None = None
    """write the figures here"""

    def __post_init__(self) -> None:
        if not 2 <= self.seconds <= 3600:
            raise ConfigError(f"seconds must be 2 to 3600, got {self.seconds:g}")


@dataclass(frozen=True)
class ConvertFigures:
    """times_real_time: recorded seconds per second of processor time, of all threads; rows: of the dataset."""

    recorded_s: float
    rows: int
    processor_s: float
    elapsed_s: float
    bag_bytes: int
    dataset_bytes: int

    @property
    def times_real_time(self) -> float:
        return self.recorded_s / self.processor_s


def run(config: ConvertBenchConfig) -> int:
    """Make the bag, convert it, print. Raises Gr00tError."""
    fresh_folder(config.out, _MADE)
    robot = rated_robot()
    print(f"writing {config.seconds:g} s of the rated load into {config.out / _BAG} ...", flush=True)
    bag = write_rated_bag(config.out / _BAG, robot, config.seconds)
    figures = measure(bag, config.out / _DATASET, Conversion(robot, config.fps))
    goal = Goal("conversion per core", figures.times_real_time, "times real time", GOAL, float("inf"))
    machine = this_machine()
    print(
        f"{machine.cpu}, {machine.cores} cores: {figures.recorded_s:.1f} s ({figures.rows} rows, "
        f"{figures.bag_bytes / 1e6:.0f} MB -> {figures.dataset_bytes / 1e6:.0f} MB) in {figures.processor_s:.2f} s of "
        f"processor time, {figures.elapsed_s:.1f} s by the clock\n"
        f"{goal.name}: {goal.value:.1f} {goal.unit}, goal {goal.wanted}: {'reached' if goal.reached else 'missed'}"
    )
    if config.json is not None:
        said = {**asdict(figures), "times_real_time": figures.times_real_time, "goal": GOAL, "reached": goal.reached}
        write_json(config.json, {**said, "fps": config.fps, "machine": asdict(machine)})
    if not config.keep:
        fresh_folder(config.out, _MADE)
    return 0 if goal.reached else 1


def measure(bag: Path, out: Path, conversion: Conversion) -> ConvertFigures:
    """Convert one bag into a new folder. Raises DatasetError where it is not converted."""
    began_s, busy_s = time.perf_counter(), time.process_time()
    [report] = convert_bags([bag], out, conversion)
    processor_s, elapsed_s = time.process_time() - busy_s, time.perf_counter() - began_s
    if report.outcome != "converted":
        raise DatasetError(f"{bag} was {report.outcome}: {report.detail}")
    rows = sum(int(episode["length"]) for episode in report.episodes)
    return ConvertFigures(rows / conversion.fps, rows, processor_s, elapsed_s, _size(bag), _size(out))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
