# SPDX-License-Identifier: Apache-2.0
"""The plain network as a policy backend: the reference that the compiled engine is checked against, and what runs the
published network in bfloat16 or on a GPU."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gr00t_policy.core.errors import ConfigError, MemoryFullError, MessageError
from gr00t_policy.core.missing_gpu import missing_gpu_remedy
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.dit import Context
from gr00t_policy.model.weights import DTYPES
from gr00t_policy.runtime.config import DEVICES, FLOAT8, PARTS, check_choice
from gr00t_policy.runtime.engine_report import EngineReport
from gr00t_policy.runtime.known_actions import KnownActions, painted_in
from gr00t_policy.runtime.processor import has_bfloat16
from gr00t_policy.runtime.start_check import INPUTS, EngineRefusedError, PartCheck, check_actions, head_inputs

_log = logging.getLogger(__name__)
_CHECK_TOKENS = 64


class TorchBackend:
    """Eager torch. Keys and values are computed once per tokens message (``context``), what depends on flow time once.

    Each call raises MessageError when the device's memory is full: a node holds, says so, and tries again with what comes next.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        part: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        threads: int = 0,
        refused: str = "",
    ) -> None:
        """part: 'encoder' or 'head', None = both; of the other nothing is loaded.

        dtype: 'float32', 'bfloat16', 'float8' (``fp8_head``; all else bfloat16), or 'auto': bfloat16 for a released checkpoint,
        as it is stored and meant. device:
        'cpu', 'cuda', or 'auto': a GPU where there is one, for released checkpoints (small ones are faster without).
        threads: of the whole process on a CPU; 0 leaves them as they are. refused: why another engine is not used. Raises
        ConfigError on unknown names and a GPU that is not there or has too little memory, CheckpointError when the weights
        do not fit, EngineRefusedError when the head in float8 is not the one in bfloat16, or the GPU has no float8.
        """
        check_choice("part", part or PARTS[0], PARTS)
        name, self.device = _dtype_name(checkpoint, dtype), _device(checkpoint, device)
        stored = "bfloat16" if name == FLOAT8 else name
        self.dtype = DTYPES[stored]
        if name == FLOAT8 and part != "encoder":  # which has no matrix in float8
            from gr00t_policy.runtime.fp8_head import require_fp8

            require_fp8(self.device)
        if self.dtype == torch.bfloat16 and self.device == "cpu" and not has_bfloat16():
            _log.warning(
                "this processor has no instructions for bfloat16 (avx512_bf16, amx_bf16), which is slow without: dtype 'float32' "
                "is several times as fast and takes twice the memory"
            )
        if threads > 0:
            torch.set_num_threads(threads)
        self.steps = checkpoint.config.head.steps
        self._joined: tuple[tuple[Context, ...], Context] | None = None
        checks: tuple[PartCheck, ...] = ()
        with memory_for(part or "network", self.device):
            self._backbone = checkpoint.load_backbone(stored, self.device) if part in (None, "encoder") else None
            self._head = checkpoint.load_head(stored, self.device) if part in (None, "head") else None
            self._slot = torch.zeros(1, dtype=torch.long, device=self.device)  # the one that was kept
            if self._head is not None:
                with torch.inference_mode():
                    self._tables = self._head.time_tables(self._slot)
                checks = (self._to_fp8(checkpoint),) if name == FLOAT8 else ()
        self.report = EngineReport("torch", name, checks, refused)

    @torch.inference_mode()
    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        assert self._backbone is not None, "this backend has no encoder"
        with held_when_full(self.device):
            ids, real = (torch.from_numpy(np.ascontiguousarray(value)).to(self.device) for value in (input_ids, mask))
            return _array(self._backbone(self._tensor(pixel_values), ids, real))

    @torch.inference_mode()
    def context(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> Any:
        assert self._head is not None, "this backend has no head"
        with held_when_full(self.device):
            real = torch.from_numpy(mask.astype(np.int64))[None].to(self.device)
            return self._head.precompute_context(self._tensor(features)[None], real)

    @torch.inference_mode()
    def act(
        self,
        context: Any,
        state: NDArray[np.float32],
        noise: NDArray[np.float32],
        known: KnownActions | None = None,
    ) -> NDArray[np.float32]:
        """In bfloat16 the Euler steps add up in bfloat16 too, as in the published policy."""
        assert self._head is not None, "this backend has no head"
        with held_when_full(self.device):
            begin = self._tensor(noise)[None]
            tensors = self._tensor(state)[None], self._slot, begin
            if known is None:
                return _array(self._head.sample_with_context(context, *tensors, self._tables))
            wanted, weights = self._tensor(known.actions)[None], self._tensor(known.weights)[None]
            return _array(
                self._head.sample_with_context(
                    context, *tensors, self._tables, lambda x, t: painted_in(x, begin, wanted, weights, t)
                )
            )

    @torch.inference_mode()
    def advance(
        self, contexts: Sequence[Any], states: NDArray[np.float32], x: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """See ``staggering.SteppingBackend``; bfloat16 goes through float32 and back without a change."""
        assert self._head is not None, "this backend has no head"
        with held_when_full(self.device):
            context = self._together(tuple(contexts))
            moved = self._head.advance(context, self._tensor(states), self._slot, self._tensor(x), self._tables)
            return moved.float().cpu().numpy()

    def _to_fp8(self, checkpoint: Checkpoint) -> PartCheck:
        from gr00t_policy.runtime.fp8_head import matrices_to_fp8

        assert self._head is not None, "this backend has no head"
        asked = [
            (TorchBackend.context(self, features, real), state, noise)
            for features, real, state, noise in head_inputs(checkpoint, (_CHECK_TOKENS,) * INPUTS)
        ]
        wanted = np.stack([TorchBackend.act(self, *one) for one in asked])
        matrices_to_fp8(self._head)
        got = np.stack([TorchBackend.act(self, *one) for one in asked])
        check = check_actions("head", "fp8", checkpoint, got, wanted)
        if not check.passed:
            raise EngineRefusedError(f"dtype 'float8' is refused: the {check}; use 'bfloat16'")
        return check

    def _together(self, contexts: tuple[Context, ...]) -> Context:
        """One context for all rows: the same one where they share it, else theirs joined, which is kept while they stay."""
        if all(context is contexts[0] for context in contexts):
            return contexts[0]
        if self._joined is None or any(a is not b for a, b in zip(self._joined[0], contexts, strict=True)):
            self._joined = contexts, _joined(contexts)
        return self._joined[1]

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        """A copy in the network's type on its device."""
        return torch.tensor(values, dtype=self.dtype, device=self.device)


def has_gpu() -> bool:
    """Whether torch finds one that it can use here."""
    return torch.cuda.is_available()


@contextmanager
def memory_for(what: str, device: str) -> Iterator[None]:
    """Raises MemoryFullError, with what is free, where torch runs out of the device's memory."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        free = ""
        if torch.cuda.is_available():
            left, whole = torch.cuda.mem_get_info()
            free = f" ({left / 1e9:.1f} of {whole / 1e9:.1f} GB are free)"
        raise MemoryFullError(
            f"the {what} does not fit into the memory of device '{device}'{free}; end what else runs there, set dtype to "
            f"'bfloat16', or device to 'cpu'"
        ) from error


@contextmanager
def held_when_full(device: str) -> Iterator[None]:
    """Raises MessageError where torch runs out of the device's memory at work. The words do not change from tick to tick."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MessageError(
            f"the memory of device '{device}' is full; end what else runs there, or start again with dtype 'bfloat16' or "
            "device 'cpu'"
        ) from error


def _array(rows: Tensor) -> NDArray[np.float32]:
    """(1, ...) -> (...)."""
    return rows[0].float().cpu().numpy()


def _joined(contexts: tuple[Context, ...]) -> Context:
    """B contexts of one -> one of B."""
    keys, values = (
        tuple(torch.cat(rows) for rows in zip(*(getattr(context, name) for context in contexts), strict=True))
        for name in ("keys", "values")
    )
    biases = [context.bias for context in contexts if context.bias is not None]
    return Context(keys, values, torch.cat(biases) if biases else None)


def _dtype_name(checkpoint: Checkpoint, dtype: str) -> str:
    check_choice("dtype", dtype, ("auto", *DTYPES, FLOAT8))
    if dtype != "auto":
        return dtype
    return "bfloat16" if checkpoint.config.published else "float32"


def _device(checkpoint: Checkpoint, device: str) -> str:
    check_choice("device", device, DEVICES)
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "parameter 'device' is 'cuda', but torch finds no GPU here; use 'cpu'. For a GPU: "
            f"{missing_gpu_remedy(torch.version.cuda)}"
        )
    if device != "auto":
        return device
    return "cuda" if checkpoint.config.published and torch.cuda.is_available() else "cpu"
