# SPDX-License-Identifier: Apache-2.0
"""One way to run a network, timed call by call in this process: plain torch, torch that keeps what is constant, an engine.

Pictures, joint state and noise are random; the sentence is fixed.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.machine import process_memory
from gr00t_bringup.measure import Percentiles, percentiles

if TYPE_CHECKING:
    from gr00t_policy.model.checkpoint import Checkpoint
    from gr00t_policy.model.timed_paths import TimedInputs

ENGINES = ("openvino", "torch", "cuda_graph", "cuda_graph compiled")
STAGGERED_TICK = "act, staggered tick"  # one pass that finishes a chunk
SENTENCE = "pick the pear from the counter and place it in the plate"
_BYTES = {"float32": 4, "fp32": 4, "bfloat16": 2, "bf16": 2, "int8": 1, "float8": 1}
_WARM_UP, _WARM_UP_SHARE = 20, 0.2
_FEWEST_CALLS = 3

Calls = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class WayOptions:
    """way: 'plain' or 'cached' in torch, or an engine of the nodes. checkpoint: folder, None = random weights of ``preset``
    for a robot with so many ``cameras``. seconds, evaluations: each call is repeated until one of them is reached. steps: Euler
    steps, 0 = the network's own. staggered: also a tick of staggered denoising, where constants are computed once. embodiment,
    tokenizer: of a checkpoint that needs them named, as for ``load_checkpoint``."""

    way: str
    checkpoint: Path | None
    preset: str
    device: str
    dtype: str
    precision: str
    threads: int
    seconds: float
    evaluations: int
    realtime_priority: int
    steps: int = 0
    staggered: bool = False
    cameras: int = 1
    embodiment: str = ""
    tokenizer: Path | None = None


@dataclass(frozen=True)
class Stage:
    """One kind of call. parameters_read, bytes_read: what it must read of the weights, None = not counted."""

    name: str
    ms: Percentiles
    calls: int
    parameters_read: int | None
    bytes_read: int | None


@dataclass(frozen=True)
class WayFigures:
    """memory_peak_mb: resident memory of the process at its highest, loading included. device_peak_mb: of tensors on a
    GPU, None on the CPU. realtime: ran with real-time priority."""

    way: str
    threads: int
    stages: tuple[Stage, ...]
    memory_peak_mb: float
    device_peak_mb: float | None
    realtime: bool

    def p50(self, stage: str) -> float:
        return next(found.ms.p50 for found in self.stages if found.name == stage)


def measure_way(options: WayOptions) -> WayFigures:
    """Load, warm up, time. Raises Gr00tError: EngineRefusedError where a GPU has no float8, MemoryFullError where it has too
    little memory for this way."""
    from gr00t_policy.runtime.torch_backend import memory_for

    with memory_for(f"network, run as '{options.way}',", options.device):
        return _measured(options)


def _measured(options: WayOptions) -> WayFigures:
    from gr00t_policy.model.timed_paths import device_peak_mb, parameters_read, use_threads
    from gr00t_policy.runtime.fp8_head import require_fp8
    from gr00t_policy.runtime.pacing import set_realtime_priority

    if stored_as(options.dtype) != options.dtype and options.way != "plain":
        require_fp8(options.device)
    use_threads(options.threads)
    checkpoint = checkpoint_of(options)
    config, inputs = checkpoint.config, inputs_of(checkpoint)
    calls = (_engine_calls if options.way in ENGINES else _torch_calls)(options, checkpoint, inputs)
    realtime = options.realtime_priority > 0 and set_realtime_priority(options.realtime_priority)
    read = parameters_read(config, inputs.input_ids.shape[1], cached=options.way != "plain")
    costs = {name: (count, count * _bytes_each(options, name)) for name, count in read.items()}
    parts = [costs[name] for name in ("encode", "context", "act, chunk") if name in costs]
    costs["both"] = sum(count for count, _ in parts), sum(size for _, size in parts)
    stages = []
    for name, call in calls.items():
        ms = _timed_ms(call, options)
        stages.append(Stage(name, percentiles(ms), len(ms), *costs.get(name, (None, None))))
        if name == "act, chunk":
            stages.append(Stage("act, step", percentiles(ms / config.head.steps), len(ms), *costs["act, step"]))
    memory = process_memory(os.getpid())
    return WayFigures(
        way=f"{options.way} {options.precision}" if options.way == "openvino" else options.way,
        threads=1 if options.way == "openvino" else options.threads,
        stages=tuple(stages),
        memory_peak_mb=memory.peak_mb if memory else float("nan"),
        device_peak_mb=device_peak_mb(options.device),
        realtime=realtime,
    )


def checkpoint_of(options: WayOptions) -> "Checkpoint":
    """The one to run, with the Euler steps asked for. Raises Gr00tError."""
    if options.checkpoint is not None:
        from gr00t_policy.model.checkpoint import load_checkpoint

        checkpoint = load_checkpoint(options.checkpoint, options.embodiment or None, tokenizer=options.tokenizer)
        return checkpoint.with_steps(options.steps)
    from gr00t_policy.model.random_checkpoint import random_checkpoint

    return random_checkpoint(options.preset, options.cameras).with_steps(options.steps)


def _torch_calls(options: WayOptions, checkpoint: "Checkpoint", inputs: "TimedInputs") -> Calls:
    from gr00t_policy.model.timed_paths import TimedPath
    from gr00t_policy.runtime.fp8_head import matrices_to_fp8

    stored = stored_as(options.dtype)
    backbone = checkpoint.load_backbone(stored, options.device)
    head = checkpoint.load_head(stored, options.device, every_slot=True)
    if stored != options.dtype and options.way != "plain":
        matrices_to_fp8(head)
    path = TimedPath(backbone, head, inputs, cached=options.way != "plain")
    context: Calls = {} if options.way == "plain" else {"context": path.context}
    passes: Calls = {STAGGERED_TICK: path.staggered_tick} if options.staggered and options.way != "plain" else {}
    return {"encode": path.encode, **context, "act, chunk": path.act, **passes, "both": path.both}


def _engine_calls(options: WayOptions, checkpoint: "Checkpoint", inputs: "TimedInputs") -> Calls:
    """The network alone, and as a node uses it: with its pictures prepared and its actions turned into joint angles."""
    from gr00t_policy.core.types import Observation
    from gr00t_policy.runtime.backends import load_backend
    from gr00t_policy.runtime.policy import Gr00tPolicy, SteppingBackend

    backend = load_backend(
        checkpoint,
        options.way.split()[0],
        options.precision,
        "",
        dtype=options.dtype,
        device=options.device,
        staggered=options.staggered,
        compiled=options.way.endswith("compiled"),
    )
    seen, real = (inputs.pixel_values, inputs.input_ids, inputs.mask), inputs.mask[0].astype(np.bool_)
    features = backend.encode(*seen)
    context = backend.context(features, real)
    policy = Gr00tPolicy(checkpoint, backend)
    robot, rng = checkpoint.embodiment, np.random.default_rng(1)
    images = {
        camera.name: rng.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8) for camera in robot.cameras
    }
    home = robot.positions_by_name(robot.home)
    joints = home[[robot.joint_names.index(name) for name in robot.policy_joint_names]].astype(np.float32)
    observation = Observation(images, joints, SENTENCE)
    policy.accept(policy.encode(observation))
    passes: Calls = {}
    if options.staggered:
        assert isinstance(backend, SteppingBackend), "loaded to be staggered"
        rows = backend.steps
        flight = [context] * rows, np.stack([inputs.state] * rows), np.stack([inputs.noise] * rows)
        passes[STAGGERED_TICK] = lambda: backend.advance(*flight)
    return {
        "encode": lambda: backend.encode(*seen),
        "context": lambda: backend.context(features, real),
        "act, chunk": lambda: backend.act(context, inputs.state, inputs.noise),
        **passes,
        "both": lambda: backend.act(backend.context(backend.encode(*seen), real), inputs.state, inputs.noise),
        "encode, with pictures": lambda: policy.encode(observation),
        "act, to joint angles": lambda: policy.act(joints, 0),
    }


def inputs_of(checkpoint: "Checkpoint") -> "TimedInputs":
    """As many cameras and tokens as the robot of the checkpoint has."""
    from gr00t_policy.model.timed_paths import TimedInputs

    rng, config, views = np.random.default_rng(0), checkpoint.config, len(checkpoint.embodiment.cameras)
    side, head, prompt = config.vision.image_size, config.head, checkpoint.prompt.encode(SENTENCE, views)
    return TimedInputs(
        pixel_values=rng.uniform(-1, 1, (1, views, 3, side, side)).astype(np.float32),
        input_ids=prompt.input_ids[None],
        mask=prompt.attention_mask[None],
        state=rng.uniform(-1, 1, (1, head.state_dim)).astype(np.float32),
        noise=rng.normal(size=(head.horizon, head.action_dim)).astype(np.float32),
        slot=checkpoint.slot,
    )


def stored_as(dtype: str) -> str:
    """Float8 is made of weights in bfloat16."""
    return "bfloat16" if dtype == "float8" else dtype


def _bytes_each(options: WayOptions, stage: str) -> int:
    """Bytes of a parameter. Beside the head, the openvino engine keeps float32."""
    if options.way != "openvino":
        in_8_bit = options.way != "plain" and stage.startswith("act")
        return _BYTES[options.dtype if in_8_bit else stored_as(options.dtype)]
    return _BYTES[options.precision if stage.startswith("act") else "fp32"]


def _timed_ms(call: Callable[[], object], options: WayOptions) -> NDArray[np.float64]:
    """Milliseconds of each call, after a warm-up."""
    began_s = time.perf_counter()
    for _ in range(_WARM_UP):
        call()
        if time.perf_counter() - began_s > _WARM_UP_SHARE * options.seconds:
            break
    durations: list[float] = []
    began_s = time.perf_counter()
    while len(durations) < _FEWEST_CALLS or (
        len(durations) < options.evaluations and time.perf_counter() - began_s < options.seconds
    ):
        call_ns = time.perf_counter_ns()
        call()
        durations.append((time.perf_counter_ns() - call_ns) / 1e6)
    return np.array(durations)
