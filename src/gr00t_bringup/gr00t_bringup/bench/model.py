# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench model``: how long each half of a network takes on this machine, beside a plain path in the same run.

Each way to run it has a process of its own, so that its peak memory is its own; they run one after the other.
"""

import importlib.metadata
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gr00t_bringup.bench.own_process import alone as _alone
from gr00t_bringup.bench.roofline import Device, Parts, floors, parts_of, table
from gr00t_bringup.bench.step_errors import StepErrors, measure_step_errors
from gr00t_bringup.bench.timed_ways import Stage, WayFigures, WayOptions, measure_way, stored_as
from gr00t_bringup.json_file import write_json
from gr00t_bringup.machine import this_machine
from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.errors import ConfigError, MemoryFullError, MessageError
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.model.config import EULER_STEPS, preset
from gr00t_policy.runtime.start_check import EngineRefusedError


@dataclass(frozen=True)
class ModelBenchConfig:
    """What to time: a plain path and the engines that the nodes use, in one run."""

    checkpoint: Path | None = None
    """checkpoint folder; default: the one shipped in models/"""
    embodiment: str = ""
    """robot the checkpoint is for: of a released one by name (gr1 unless said otherwise); else that of the checkpoint"""
    tokenizer: Path | None = None
    """folder of the tokenizer, for a released checkpoint that has none"""
    preset: Literal["tiny", "n1_2b", "n1_5_3b"] | None = None
    """random weights of this size instead of a checkpoint"""
    device: Literal["cpu", "cuda"] = "cpu"
    """where torch runs"""
    cameras: tuple[int, ...] = ()
    """with a preset: how many cameras its robot has, one case for each; default: 1 and 2. A checkpoint's robot has its own"""
    dtype: tuple[Literal["float32", "bfloat16", "float8"], ...] = ()
    """number formats of torch, one case for each; default: float32 on the cpu, bfloat16 on cuda, with a preset float8 too.
    float8: of the head's matrices where constants are computed once, all else and the plain way in bfloat16"""
    ways: tuple[str, ...] = ()
    """only these ways to run it, beside plain; default: all that there are for this network and device"""
    precision: Literal["int8", "bf16", "fp32"] = "int8"
    """number format of the head in the openvino engine; its encoder has float32"""
    steps: int = 0
    """Euler steps of a chunk: 1, 2, 4, 8 or 16; 0: the checkpoint's"""
    staggered: bool = False
    """also: a tick of staggered denoising, one pass for as many chunks in flight as Euler steps (docs/chunk_execution.md)"""
    error_vs_16: bool = False
    """also: what fewer steps and fewer bits change in the actions, in rad, on rollouts of the checkpoint in the simulator"""
    threads: int = 1
    """threads of torch; the openvino engine has one, as in the nodes"""
    seconds: float = 10.0
    """time for each kind of call, warm-up apart"""
    evaluations: int = 1000
    """at most so many calls of each kind"""
    realtime_priority: int = 0
    """SCHED_FIFO priority where allowed, as the controller has; 0: none"""
    json: Path | None = None
    """write the figures here"""

    def __post_init__(self) -> None:
        if self.checkpoint is not None and self.preset is not None:
            raise ConfigError("give a checkpoint or a preset, not both: a preset has random weights")
        if self.preset is not None and (self.embodiment or self.tokenizer):
            raise ConfigError(
                "embodiment and tokenizer are of a checkpoint; a preset has the GR-1 and a tokenizer of its own"
            )
        if self.error_vs_16 and self.preset is not None:
            raise ConfigError("error_vs_16 is about what a checkpoint does; a preset has random weights")
        if self.steps not in (0, *EULER_STEPS):
            raise ConfigError(f"steps is {self.steps}; choose one of: 0, {', '.join(map(str, EULER_STEPS))}")
        if self.cameras and self.preset is None:
            raise ConfigError("cameras are those of the checkpoint's robot; give their number with a preset only")
        if any(count < 1 for count in self.cameras):
            raise ConfigError(f"each number of cameras must be at least 1, got {self.cameras}")
        if self.threads < 1 or self.evaluations < 1 or not self.seconds > 0:
            raise ConfigError(f"threads and evaluations must be at least 1 and seconds above 0: {self}")

    @property
    def number_formats(self) -> tuple[str, ...]:
        usual = ("float32",) if self.device == "cpu" else ("bfloat16", "float8") if self.preset else ("bfloat16",)
        return self.dtype or usual


@dataclass
class _Case:
    """Every way to run the network of a robot with so many cameras in one number format. refused: engines that did not pass
    their start check and ways for which memory or the GPU's number formats did not suffice, and why."""

    cameras: int
    dtype: str
    ways: list[WayFigures] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def times_as_fast_as_plain(self) -> dict[str, dict[str, float]]:
        if not self.ways or self.ways[0].way != "plain":
            return {}
        return {figures.way: _ratios(self.ways[0], figures) for figures in self.ways[1:]}


def run(config: ModelBenchConfig) -> int:
    """Time way after way and print. Returns the exit code: 1 where no way could be measured. Raises Gr00tError."""
    folder = None if config.preset else config.checkpoint or shipped_checkpoint()
    checkpoint = None
    if folder is not None:  # say what is wrong before anything starts
        checkpoint = load_checkpoint(folder, config.embodiment or None, tokenizer=config.tokenizer)
    ways = _ways(config, checkpoint)
    machine, gpu, bandwidth = this_machine(), *_alone(_device, config.device, config.threads)
    bandwidths = {config.threads: bandwidth}
    if "openvino" in ways and config.threads > 1:  # that engine has one thread
        bandwidths[1] = _alone(_device, config.device, 1)[1]
    print(
        f"{folder or f'{config.preset}, random weights'}\n{gpu or machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_gb} GB; torch {importlib.metadata.version('torch')}, "
        f"{config.threads} thread(s); a large array is read at {bandwidth / 1e9:.1f} GB/s"
    )
    cameras = (len(checkpoint.embodiment.cameras),) if checkpoint else config.cameras or (1, 2)
    cases = [_Case(count, dtype) for count in cameras for dtype in config.number_formats]
    measured: dict[object, WayFigures] = {}
    for case in cases:
        _measure_case(config, folder, ways, case, measured, bandwidths)
    calls: dict[str, Parts] = {}
    for count in cameras:
        calls |= _alone(parts_of, _options(config, folder, _Case(count, cases[0].dtype), "cached"))
    predicted = floors(calls, Device(f"here ({config.threads} thread(s))", bandwidth))
    print(table(predicted))
    errors = None
    if config.error_vs_16 and folder:
        errors = _alone(measure_step_errors, folder, config.precision, config.embodiment, config.tokenizer)
    if errors is not None:
        _print_errors(errors)
    if config.json is not None:
        write_json(
            config.json,
            {
                "checkpoint": str(folder) if folder else None,
                "checkpoint_hash": checkpoint.hash if checkpoint else None,
                "embodiment": checkpoint.embodiment.name if checkpoint else None,
                "preset": config.preset,
                "device": config.device,
                "read_bandwidth_gb_s": bandwidth / 1e9,
                "steps": config.steps or None,
                "cases": [_case_as_data(case, bandwidths) for case in cases],
                "predicted_floors": [asdict(floor) for floor in predicted],
                "action_errors": asdict(errors) if errors else None,
                "machine": asdict(machine) | {"gpu": gpu or None},
            },
        )
    return 0 if measured else 1


def _measure_case(
    config: ModelBenchConfig,
    folder: Path | None,
    ways: tuple[str, ...],
    case: _Case,
    measured: dict[object, WayFigures],
    bandwidths: dict[int, float],
) -> None:
    """measured: ways of earlier cases; what the number format does not change is not measured again. bandwidths: of memory, by
    threads that read."""
    print(f"\n{case.cameras} camera{'s' * (case.cameras > 1)}, {case.dtype}")
    print(f"{'':<24} {'p50 ms':>9} {'p95':>9} {'p99':>9} {'calls':>6} {'parameters read':>16} {'of bandwidth':>13}")
    for way in ways:
        stored = {"plain": stored_as(case.dtype), "openvino": ""}.get(way, case.dtype)
        key = case.cameras, way, stored
        if key not in measured:
            print(f"{way}: loading, then at most {config.seconds:g} s for each kind of call ...", flush=True)
            try:
                measured[key] = _alone(measure_way, _options(config, folder, case, way))
            # the other ways are still worth their figures
            except (EngineRefusedError, MemoryFullError, MessageError) as error:
                case.refused[way] = str(error)
                print(f"{way}: {error}")
                continue
            _print(measured[key], bandwidths[measured[key].threads])
        case.ways.append(measured[key])
    for way, times in case.times_as_fast_as_plain.items():
        print(f"{way} against plain: " + ", ".join(f"{stage} {ratio:.2f} x as fast" for stage, ratio in times.items()))


def _options(config: ModelBenchConfig, folder: Path | None, case: _Case, way: str) -> WayOptions:
    return WayOptions(
        way, folder, config.preset or "", config.device, case.dtype, config.precision, config.threads, config.seconds,
        config.evaluations, config.realtime_priority, config.steps, config.staggered, case.cameras, config.embodiment,
        config.tokenizer,
    )  # fmt: skip


def _ways(config: ModelBenchConfig, checkpoint: Checkpoint | None) -> tuple[str, ...]:
    """Plain first, then what nodes may use. The openvino engine is for small networks: it is built in float32 from a copy.

    Raises ConfigError when another one is asked for.
    """
    published = checkpoint.config.published if checkpoint else preset(config.preset or "").published
    kept = () if checkpoint else ("cached",)
    if config.device == "cuda":
        known = *kept, "torch", "cuda_graph", "cuda_graph compiled"
    else:
        known = (*kept, "torch") if published else (*kept, "openvino", "torch")
    if unknown := [way for way in config.ways if way not in ("plain", *known)]:
        raise ConfigError(
            f"ways {', '.join(unknown)}: this network on device '{config.device}' can be run as: plain, {', '.join(known)}"
        )
    return "plain", *(way for way in known if not config.ways or way in config.ways)


def _device(device: str, threads: int) -> tuple[str, float]:
    from gr00t_policy.model.timed_paths import device_name, read_bandwidth

    return device_name(device), read_bandwidth(device, threads)


def _bandwidth_share(stage: Stage, bandwidth: float) -> float | None:
    """Time that reading the weights alone would take, over the median."""
    return None if stage.bytes_read is None else stage.bytes_read / bandwidth / (stage.ms.p50 / 1e3)


def _ratios(plain: WayFigures, figures: WayFigures) -> dict[str, float]:
    return {stage: plain.p50(stage) / figures.p50(stage) for stage in ("encode", "act, chunk", "both")}


def _print(figures: WayFigures, bandwidth: float) -> None:
    gpu = "" if figures.device_peak_mb is None else f", {figures.device_peak_mb:.0f} MB on the GPU"
    print(
        f"{figures.way}: {figures.threads} thread(s), real-time priority {'yes' if figures.realtime else 'no'}, "
        f"peak memory {figures.memory_peak_mb:.0f} MB{gpu}"
    )
    for stage in figures.stages:
        share = _bandwidth_share(stage, bandwidth)
        read = "" if share is None else f"{(stage.parameters_read or 0) / 1e6:14.2f} M {share:12.0%}"
        print(f"  {stage.name:<22} {stage.ms.p50:9.3f} {stage.ms.p95:9.3f} {stage.ms.p99:9.3f} {stage.calls:6} {read}")


def _print_errors(errors: StepErrors) -> None:
    print(f"actions on {errors.observations} observations: {errors.source}")
    print(f"{'':<24} {'against':<18} {'noise':>5} {'max rad':>10} {'rms rad':>10}")
    for error in errors.errors:
        print(
            f"{error.way:<24} {error.against:<18} {error.noise_scale:5.0f} {error.max_rad:10.5f} {error.rms_rad:10.5f}"
        )


def _case_as_data(case: _Case, bandwidths: dict[int, float]) -> dict[str, Any]:
    return {
        "cameras": case.cameras,
        "dtype": case.dtype,
        "ways": [_as_data(figures, bandwidths[figures.threads]) for figures in case.ways],
        "refused": case.refused,
        "times_as_fast_as_plain": case.times_as_fast_as_plain,
    }


def _as_data(figures: WayFigures, bandwidth: float) -> dict[str, Any]:
    stages = [asdict(stage) | {"bandwidth_share": _bandwidth_share(stage, bandwidth)} for stage in figures.stages]
    return asdict(figures) | {"read_bandwidth_gb_s": bandwidth / 1e9, "stages": stages}
