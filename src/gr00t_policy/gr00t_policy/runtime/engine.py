# SPDX-License-Identifier: Apache-2.0
"""The fast path: a checkpoint's network compiled by OpenVINO for one CPU thread, the same function as the plain one.

Graphs are built once (seconds, with torch) and kept in a cache folder (``engine_cache``); afterwards torch is not even
imported. Wherever they come from, they must pass the start check before they are used.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.config import HeadConfig, ModelConfig
from gr00t_policy.runtime.config import PRECISIONS
from gr00t_policy.runtime.engine_cache import GRAPHS, BuiltPart, built_part
from gr00t_policy.runtime.engine_report import EngineReport
from gr00t_policy.runtime.exported_folder import exported_part
from gr00t_policy.runtime.known_actions import KnownActions
from gr00t_policy.runtime.prompt_room import padded_to
from gr00t_policy.runtime.signal_stack import signal_stack_kept
from gr00t_policy.runtime.start_check import EngineRefusedError, PartCheck, check_part

_WEIGHTS = {"int8": "int8", "fp32": "fp32", "bf16": "fp32"}  # bf16 is made of float32 weights when they are compiled
_HINTS = {"int8": "f32", "fp32": "f32", "bf16": "bf16"}
_HEAD_INPUTS = 4  # state, noise, known actions and their weights; then what ``context`` gives
_PASS_INPUTS = 2  # of a pass through chunks in flight: their states and where their flows stand; then the same
_SMALLEST_GROUP, _LARGEST_GROUP = 32, 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineConfig:
    """precision, encoder_precision: of System 1 and System 2, 'int8', 'bf16' or 'fp32'. The encoder of small networks has
    time to spare, so it keeps float32. cache: folder for built graphs, None = build each time. threads: of each graph.

    exported: folder of ``gr00t export`` whose graphs are used instead of the checkpoint's weights; they are float32.
    parts: what will be used and is therefore compiled: 'encoder' (System 2), 'head' (System 1), 'staggered' (beside 'head': one
    Euler step of chunks in flight).
    """

    precision: str = "int8"
    encoder_precision: str = "fp32"
    cache: Path | None = None
    exported: Path | None = None
    threads: int = 1
    parts: tuple[str, ...] = ("encoder", "head")

    def __post_init__(self) -> None:
        for precision in (self.precision, self.encoder_precision):
            if precision not in PRECISIONS:
                raise ConfigError(f"precision '{precision}' is unknown; choose one of: {', '.join(PRECISIONS)}")
        if self.exported is not None and "int8" in (self.precision, self.encoder_precision):
            raise ConfigError("exported graphs are float32; precision 'int8' is for the openvino engine")
        if self.threads < 1:
            raise ConfigError(f"threads must be at least 1, got {self.threads}")
        if unknown := [part for part in self.parts if part not in GRAPHS]:
            raise ConfigError(f"engine parts {', '.join(unknown)} are unknown; known: {', '.join(GRAPHS)}")
        if "staggered" in self.parts and self.exported is not None:
            raise ConfigError("exported graphs have no part 'staggered'; use engine 'openvino' or 'torch'")


@dataclass
class EngineContext:
    """What the head needs of one tokens message: bias, then keys and values per cross block, ready to be bound."""

    tensors: list[ov.Tensor] = field(repr=False)


class EngineBackend:
    """Runs the compiled graphs. Numbers in, numbers out; see ``policy.Backend``.

    ``encode``, ``context`` and ``act`` may each be called from a thread of its own at the same time, each from one.
    """

    @signal_stack_kept()
    def __init__(self, checkpoint: Checkpoint, config: EngineConfig) -> None:
        """Builds or reads the graphs, compiles them and holds them against the plain network.

        Raises CheckpointError when the weights do not fit, ConfigError when this CPU cannot do the precision,
        EngineRefusedError when the answers are not those of the plain network.
        """
        core = ov.Core()
        self._name, self._remedy = ("openvino", "delete") if config.exported is None else ("onnx", "export")
        self._requests: dict[str, ov.InferRequest] = {}
        self._pad_id, self._looks_at_padding = checkpoint.config.language.pad_id, checkpoint.config.head.attend_padding
        self._loaded: EngineContext | None = None
        self.steps = 0
        checks = []
        for part in config.parts:
            precision = config.encoder_precision if part == "encoder" else config.precision
            require_support(core, precision)
            if config.exported is None:
                built = built_part(checkpoint, part, _WEIGHTS[precision], config.cache)
            else:
                built = exported_part(checkpoint, part, config.exported)
            for name, graph in built.graphs.items():
                # The context stays float32 in every precision: it runs once per tokens message.
                properties = _properties(checkpoint.config, "fp32" if name == "context" else precision, config.threads)
                self._requests[name] = core.compile_model(graph, "CPU", properties).create_infer_request()
            if part == "head":
                self._bind(checkpoint.config.head)
            elif part == "staggered":
                self._bind_pass(checkpoint.config.head)
            checks.append(self._check(checkpoint, part, precision, built))
        self.report = EngineReport(self._name, config.precision, tuple(checks))

    def _bind(self, sizes: HeadConfig) -> None:
        """The head's inputs and output in arrays of ours, made once: a tick writes and reads there."""
        chunk = (1, sizes.horizon, sizes.action_dim)
        self._state = np.zeros((1, 1, sizes.state_dim), np.float32)
        self._noise, self._known, self._actions = (np.zeros(chunk, np.float32) for _ in range(3))
        self._known_weights = np.zeros((1, sizes.horizon, 1), np.float32)
        request = self._requests["head"]
        for index, value in enumerate((self._state, self._noise, self._known, self._known_weights)):
            request.set_input_tensor(index, ov.Tensor(value, shared_memory=True))
        request.set_output_tensor(0, ov.Tensor(self._actions, shared_memory=True))

    def _bind_pass(self, sizes: HeadConfig) -> None:
        """The same of the graph that makes one step of all chunks in flight."""
        self.steps = sizes.steps
        rows = (sizes.steps, sizes.horizon, sizes.action_dim)
        self._pass_states = np.zeros((sizes.steps, 1, sizes.state_dim), np.float32)
        self._pass_x, self._pass_moved = np.zeros(rows, np.float32), np.zeros(rows, np.float32)
        self._pass_loaded: tuple[EngineContext, ...] = ()
        self._pass_context: list[ov.Tensor] = []
        request = self._requests["staggered"]
        for index, value in enumerate((self._pass_states, self._pass_x)):
            request.set_input_tensor(index, ov.Tensor(value, shared_memory=True))
        request.set_output_tensor(0, ov.Tensor(self._pass_moved, shared_memory=True))

    def _check(self, checkpoint: Checkpoint, part: str, precision: str, built: BuiltPart) -> PartCheck:
        remedy = f"{self._remedy} {built.folder}, so that it is made again, or" if built.folder else "instead"
        try:
            check = check_part(self, part, precision, checkpoint, built.reference)
        except (RuntimeError, MessageError) as error:  # the graph has other shapes: by its own word or by ours
            raise EngineRefusedError(
                f"engine '{self._name}' is refused: its {part} does not run: {error}; {remedy} use engine 'torch'"
            ) from error
        if not check.passed:
            raise EngineRefusedError(f"engine '{self._name}' is refused: its {check}; {remedy} use engine 'torch'")
        _log.info("start check: the %s", check)
        return check

    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Raises MessageError for a prompt that is longer than the graph takes; a shorter one is padded and masked."""
        tokens = input_ids.shape[1]
        room = self._room("encoder", 1, tokens)
        ids, real = padded_to(input_ids, room, self._pad_id), padded_to(mask, room)
        return self._run("encoder", pixel_values, ids, real)[0][0, :tokens]

    def context(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> EngineContext:
        """In memory of its own: the one in use is not touched. Raises MessageError as ``encode``."""
        room = self._room("context", 0, len(mask))
        real = np.ones_like(mask) if self._looks_at_padding else mask
        values = self._run("context", padded_to(features[None], room), padded_to(real[None].astype(np.float32), room))
        return EngineContext([ov.Tensor(value, shared_memory=True) for value in values])

    def act(
        self,
        context: EngineContext,
        state: NDArray[np.float32],
        noise: NDArray[np.float32],
        known: KnownActions | None = None,
    ) -> NDArray[np.float32]:
        request = self._requests["head"]
        if context is not self._loaded:
            for index, tensor in enumerate(context.tensors, start=_HEAD_INPUTS):
                request.set_input_tensor(index, tensor)
            self._loaded = context
        self._state[0], self._noise[0] = state, noise
        if known is not None:
            self._known[0], self._known_weights[0] = known.actions, known.weights
        else:
            self._known_weights.fill(0.0)
        request.infer()
        return self._actions[0].copy()

    def advance(
        self, contexts: Sequence[EngineContext], states: NDArray[np.float32], x: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See ``policy.SteppingBackend``. From the thread of ``act``."""
        request, wanted = self._requests["staggered"], tuple(contexts)
        if len(wanted) != len(self._pass_loaded) or any(
            a is not b for a, b in zip(wanted, self._pass_loaded, strict=True)
        ):
            parts = zip(*(context.tensors for context in wanted), strict=True)
            joined = [ov.Tensor(np.concatenate([row.data for row in rows]), shared_memory=True) for rows in parts]
            for index, tensor in enumerate(joined, start=_PASS_INPUTS):
                request.set_input_tensor(index, tensor)
            self._pass_loaded, self._pass_context = wanted, joined
        self._pass_states[:], self._pass_x[:] = states, x
        request.infer()
        return self._pass_moved.copy()

    def _room(self, name: str, index: int, tokens: int) -> int:
        """Tokens of the graph's input ``index``; where it takes any number, those given."""
        size = self._requests[name].get_compiled_model().input(index).get_partial_shape()[1]
        if not size.is_static:
            return tokens
        if tokens > size.get_length():
            raise MessageError(
                f"a prompt of {tokens} tokens does not fit into the {self._name} engine's {size.get_length()}; say it shorter"
            )
        return size.get_length()

    def _run(self, name: str, *inputs: NDArray) -> list[NDArray[np.float32]]:
        request = self._requests[name]
        kept = [np.ascontiguousarray(value) for value in inputs]  # shared with the request while it runs
        for index, value in enumerate(kept):
            request.set_input_tensor(index, ov.Tensor(value, shared_memory=True))
        request.infer()
        return [tensor.data.copy() for tensor in request.output_tensors]


def require_support(core: ov.Core, precision: str) -> None:
    """Raises ConfigError when this CPU cannot do bfloat16 itself: it would run, but slower than float32."""
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in able:
        raise ConfigError(
            "precision 'bf16' needs a CPU with AVX512_BF16 or AMX_BF16 (in the flags of /proc/cpuinfo); this one has "
            f"{', '.join(able)}; use 'int8' or 'fp32'"
        )


def _properties(model: ModelConfig, precision: str, threads: int) -> dict[str, object]:
    properties: dict[str, object] = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINTS[precision],  # no silent bfloat16: as the configuration says
        "ENABLE_CPU_PINNING": False,  # both rates and the simulator share the cores; the scheduler knows better
    }
    if precision == "int8":
        properties["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = _group_size(model)
    return properties


def _group_size(model: ModelConfig) -> int:
    """How many activations share a scale: few groups are fast, and all quantised layers read multiples of ``width``.

    Groups that do not divide what a layer reads would switch the integer kernels off.
    """
    width = model.head.width
    fitting = [size for size in range(_SMALLEST_GROUP, _LARGEST_GROUP + 1) if width % size == 0]
    return max(fitting, default=_SMALLEST_GROUP)
