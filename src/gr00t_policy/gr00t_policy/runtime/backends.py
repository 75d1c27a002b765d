# SPDX-License-Identifier: Apache-2.0
"""A checkpoint and what runs its network, by name: the compiled engine or plain torch. Imports only what is asked for."""

import gc
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.core.types import ConditioningTokens
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint
from gr00t_policy.runtime.config import CPU_ENGINES, DEVICES, ENGINES, PARTS, UNSTAGGERED, check_choice
from gr00t_policy.runtime.engine_report import EngineReport
from gr00t_policy.runtime.known_actions import KnownActions
from gr00t_policy.runtime.policy import Backend
from gr00t_policy.runtime.start_check import EngineRefusedError

_log = logging.getLogger(__name__)


class ReportingBackend(Backend, Protocol):
    """A backend that says what it is and how its start check went."""

    report: EngineReport


def open_checkpoint(folder: str, embodiment: str, tokenizer: str = "") -> Checkpoint:
    """The checkpoint that a node was told to use, for the robot it serves. Raises CheckpointError."""
    if not folder:
        raise CheckpointError("parameter 'checkpoint' is empty; give the folder of a checkpoint")
    return load_checkpoint(folder, embodiment, tokenizer=tokenizer or None)


def load_backend(
    checkpoint: Checkpoint,
    engine: str = "auto",
    precision: str = "int8",
    cache: Path | str | None = None,
    part: str | None = None,
    *,
    dtype: str = "auto",
    device: str = "auto",
    threads: int = 0,
    fallback: bool = False,
    exported: Path | str | None = None,
    staggered: bool = False,
    compiled: bool = False,
) -> ReportingBackend:
    """Backend of a checkpoint.

    engine: 'openvino', 'onnx', 'torch', 'cuda_graph', or 'auto': see ``automatic_engine``; where that is cuda_graph, torch takes
    the place of one that is refused. part: 'encoder' or 'head' when only that will be used; None = both. For openvino: precision
    of that part; with both it is the head's, and the encoder, which has time to spare, takes float32. cache: folder for built
    graphs; none: not kept. For onnx: the folder ``exported``, in float32. For torch: dtype, device, threads; see
    ``TorchBackend``. For cuda_graph: dtype, and whether it is ``compiled``. fallback: an engine that does not pass its start
    check is replaced by plain torch, and the report says so. staggered: the head is also to make single Euler steps of chunks in
    flight (``runtime/staggering.py``); not with onnx. Raises ConfigError on unknown names and what does not go
    together, as device 'cuda' with an engine of the CPU, CheckpointError when the weights do not fit, EngineRefusedError when the
    engine fails its start check and there is no fallback.
    """
    check_choice("device", device, DEVICES)
    asked = engine
    if engine == "auto":
        published = checkpoint.config.published
        engine = automatic_engine(published=published, gpu=published and _has_gpu(device))
        fallback = fallback or engine == "cuda_graph"
    _check_together(engine, asked, device, staggered)
    if engine in CPU_ENGINES:
        if engine == "onnx" and not exported:
            raise ConfigError("engine 'onnx' needs parameter 'exported': the folder that `gr00t export` wrote")
        folder = Path(exported) if exported and engine == "onnx" else None
        kept = Path(cache) if cache else None
        return made_or_plain(
            lambda: _openvino(checkpoint, precision, kept, part, folder, staggered),
            lambda refused: _torch(checkpoint, part, "float32", "cpu", threads, refused),
            fallback=fallback,
        )
    if engine == "cuda_graph":
        on = "cuda" if device == "auto" else device
        return made_or_plain(
            lambda: _cuda_graph(checkpoint, part, dtype, on, staggered, compiled),
            lambda refused: _torch(checkpoint, part, dtype, on, threads, refused),
            fallback=fallback,
        )
    if engine == "torch":
        return _torch(checkpoint, part, dtype, device, threads)
    raise ConfigError(f"engine '{engine}' is unknown; choose one of: {', '.join(ENGINES)}")


def _check_together(engine: str, asked: str, device: str, staggered: bool) -> None:
    """Raises ConfigError. engine: what ``asked`` means for this network."""
    if engine in CPU_ENGINES and device == "cuda":
        named = f"'{engine}'" if asked == engine else f"'{engine}', which '{asked}' means for this network,"
        raise ConfigError(
            f"engine {named} runs on the CPU alone, but parameter 'device' is 'cuda'; set device to 'auto' or 'cpu', or "
            "engine to 'torch' or 'cuda_graph'"
        )
    if staggered and engine in UNSTAGGERED:
        raise ConfigError(f"engine '{engine}' cannot make single Euler steps; choose another one, or whole chunks")


def automatic_engine(*, published: bool, gpu: bool) -> str:
    """For GR00T N1 as published and fine-tunes of it cuda_graph, without a GPU torch; else openvino."""
    if not published:
        return "openvino"
    return "cuda_graph" if gpu else "torch"


def made_or_plain(
    make: Callable[[], ReportingBackend], plain: Callable[[str], ReportingBackend], *, fallback: bool
) -> ReportingBackend:
    """What ``make`` makes, or what ``plain`` makes when it is told why the engine was refused.

    Raises EngineRefusedError when there is no fallback, and whatever else they raise.
    """
    try:
        return make()
    except EngineRefusedError as error:
        if not fallback:
            raise
        refused = str(error)
    _log.warning("%s; the plain network takes its place", refused)
    gc.collect()  # so that the weights of the refused one are not held beside the new ones
    return plain(refused)


def _has_gpu(device: str) -> bool:
    """Whether torch may use one here."""
    if device == "cpu":
        return False
    from gr00t_policy.runtime.torch_backend import has_gpu

    return has_gpu()


def _openvino(
    checkpoint: Checkpoint, precision: str, cache: Path | None, part: str | None, exported: Path | None, staggered: bool
) -> ReportingBackend:
    from gr00t_policy.runtime.engine import EngineBackend, EngineConfig

    parts: tuple[str, ...] = PARTS if part is None else (part,)
    parts += ("staggered",) * (staggered and "head" in parts)
    if exported is not None:
        return EngineBackend(checkpoint, EngineConfig("fp32", "fp32", exported=exported, parts=parts))
    encoder_precision = precision if part == "encoder" else "fp32"
    return EngineBackend(checkpoint, EngineConfig(precision, encoder_precision, cache, parts=parts))


def _cuda_graph(
    checkpoint: Checkpoint, part: str | None, dtype: str, device: str, staggered: bool, compiled: bool
) -> ReportingBackend:
    from gr00t_policy.runtime.graph_backend import GraphBackend

    return GraphBackend(checkpoint, part, dtype, device, staggered=staggered, compiler="inductor" if compiled else "")


def _torch(
    checkpoint: Checkpoint, part: str | None, dtype: str, device: str, threads: int, refused: str = ""
) -> ReportingBackend:
    from gr00t_policy.runtime.torch_backend import TorchBackend

    return TorchBackend(checkpoint, part, dtype, device, threads, refused)


def shared_threads() -> int:
    """Threads for one half of the network when the other runs on the same cores at the same time."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def default_cache(home: Path, xdg_cache_home: str = "") -> Path:
    """Where built graphs are kept: XDG_CACHE_HOME where it is set, else ~/.cache."""
    return (Path(xdg_cache_home) if xdg_cache_home else home / ".cache") / "gr00t" / "engine"


def blank_tokens(checkpoint: Checkpoint) -> ConditioningTokens:
    """Tokens of the checkpoint's usual size that mean nothing: to warm up the head without running the encoder."""
    prompt = checkpoint.prompt.encode("", len(checkpoint.embodiment.cameras))
    return ConditioningTokens(
        features=np.zeros((len(prompt.input_ids), checkpoint.config.head.cross_dim), np.float32),
        mask=np.ones(len(prompt.input_ids), np.bool_),
        stamp_ns=0,
        checkpoint_hash=checkpoint.hash,
        embodiment=checkpoint.embodiment.name,
    )


class TimedBackend:
    """A backend that remembers how long its newest ``encode`` took."""

    def __init__(self, backend: Backend, clock_ns: Callable[[], int]) -> None:
        self._backend, self._clock_ns = backend, clock_ns
        self.encode_s = 0.0

    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        began_ns = self._clock_ns()
        features = self._backend.encode(pixel_values, input_ids, mask)
        self.encode_s = (self._clock_ns() - began_ns) / 1e9
        return features

    def context(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> Any:
        return self._backend.context(features, mask)

    def act(
        self,
        context: Any,
        state: NDArray[np.float32],
        noise: NDArray[np.float32],
        known: KnownActions | None = None,
    ) -> NDArray[np.float32]:
        return self._backend.act(context, state, noise, known)
