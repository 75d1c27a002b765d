# SPDX-License-Identifier: Apache-2.0
"""The fast path: a checkpoint's network compiled by OpenVINO for one CPU thread, the same function as the plain one.

Graphs are built once (seconds, with torch) and kept in a cache folder under a name that changes with the checkpoint,
the precision and the versions; afterwards torch is not even imported. A backend belongs to one thread at a time.
"""

import importlib.metadata
import logging
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.runtime.config import PRECISIONS
from gr00t_policy.runtime.known_actions import KnownActions

_REVISION = 2  # of the graphs below; a new one makes old caches unused
_HEAD_INPUTS = 4  # state, noise, known actions and their weights; then what ``context`` gives
_PARTS = {"encoder": ("encoder",), "head": ("context", "head")}
_SMALLEST_GROUP, _LARGEST_GROUP = 32, 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineConfig:
    """precision, encoder_precision: of System 1 and System 2, 'int8' or 'fp32'. The encoder of small networks has time
    to spare, so it keeps float32. cache: folder for built graphs, None = build each time. threads: of each graph.

    parts: what will be used and is therefore compiled: 'encoder' (System 2), 'head' (System 1).
    """

    precision: str = "int8"
    encoder_precision: str = "fp32"
    cache: Path | None = None
    threads: int = 1
    parts: tuple[str, ...] = ("encoder", "head")

    def __post_init__(self) -> None:
        for precision in (self.precision, self.encoder_precision):
            if precision not in PRECISIONS:
                raise ConfigError(f"precision '{precision}' is unknown; choose one of: {', '.join(PRECISIONS)}")
        if self.threads < 1:
            raise ConfigError(f"threads must be at least 1, got {self.threads}")
        if unknown := [part for part in self.parts if part not in _PARTS]:
            raise ConfigError(f"engine parts {', '.join(unknown)} are unknown; known: {', '.join(_PARTS)}")


@dataclass
class EngineContext:
    """What the head needs of one tokens message: bias, then keys and values per cross block."""

    tensors: list[NDArray[np.float32]] = field(repr=False)


class EngineBackend:
    """Runs the compiled graphs. Numbers in, numbers out; see ``policy.Backend``."""

    def __init__(self, checkpoint: Checkpoint, config: EngineConfig) -> None:
        """Builds or reads the graphs and compiles them. Raises CheckpointError when the weights do not fit."""
        core = ov.Core()
        self._requests: dict[str, ov.InferRequest] = {}
        for part in config.parts:
            precision = config.encoder_precision if part == "encoder" else config.precision
            properties = _properties(checkpoint.config, precision, config.threads)
            for name, graph in _graphs(checkpoint, part, precision, config.cache).items():
                self._requests[name] = core.compile_model(graph, "CPU", properties).create_infer_request()
        self._loaded: EngineContext | None = None
        self._knows = True  # whether the request may hold known actions

    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        return self._run("encoder", pixel_values, input_ids, mask)[0][0]

    def context(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> EngineContext:
        return EngineContext(self._run("context", features[None], mask[None].astype(np.float32)))

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
                request.set_input_tensor(index, ov.Tensor(tensor, shared_memory=True))
            self._loaded = context
        request.get_input_tensor(0).data[0] = state
        request.get_input_tensor(1).data[0] = noise
        if known is not None:
            request.get_input_tensor(2).data[0] = known.actions
            request.get_input_tensor(3).data[0] = known.weights
        elif self._knows:
            request.get_input_tensor(2).data[:] = request.get_input_tensor(3).data[:] = 0
        self._knows = known is not None
        request.infer()
        return request.get_output_tensor(0).data[0].copy()

    def _run(self, name: str, *inputs: NDArray) -> list[NDArray[np.float32]]:
        request = self._requests[name]
        kept = [np.ascontiguousarray(value) for value in inputs]  # shared with the request while it runs
        for index, value in enumerate(kept):
            request.set_input_tensor(index, ov.Tensor(value, shared_memory=True))
        request.infer()
        return [tensor.data.copy() for tensor in request.output_tensors]


def _properties(model: ModelConfig, precision: str, threads: int) -> dict[str, object]:
    properties: dict[str, object] = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # no silent bfloat16: precision is what the configuration says
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


def _graphs(checkpoint: Checkpoint, part: str, precision: str, cache: Path | None) -> dict[str, ov.Model]:
    """Graphs of one part by name: from the cache, or built and put there."""
    if cache is None:
        return _build(checkpoint, part, precision)
    versions = "-".join(importlib.metadata.version(name) for name in ("openvino", "nncf"))
    folder = cache / f"{checkpoint.hash[:16]}-{versions}-r{_REVISION}-{part}-{precision}"
    if folder.is_dir():
        try:
            return {name: ov.Core().read_model(folder / f"{name}.xml") for name in _PARTS[part]}
        except RuntimeError as error:
            _log.warning("the graphs in %s cannot be read and are built again: %s", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
    graphs = _build(checkpoint, part, precision)
    _keep(graphs, folder)
    return graphs


def _build(checkpoint: Checkpoint, part: str, precision: str) -> dict[str, ov.Model]:
    from gr00t_policy.runtime.engine_graphs import build_encoder, build_head

    _log.info("building the %s of checkpoint %s in %s", part, checkpoint.hash[:12], precision)
    return build_encoder(checkpoint, precision) if part == "encoder" else build_head(checkpoint, precision)


def _keep(graphs: dict[str, ov.Model], folder: Path) -> None:
    """Write the graphs beside their place and move them there whole; whoever comes first wins."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=folder.parent) as aside:
            whole = Path(aside) / "graphs"
            for name, graph in graphs.items():
                ov.save_model(graph, whole / f"{name}.xml", compress_to_fp16=False)
            if not folder.is_dir():
                whole.rename(folder)
    except OSError as error:
        _log.warning("the built graphs are not kept in %s: %s", folder, error)
