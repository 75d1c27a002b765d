# SPDX-License-Identifier: Apache-2.0
"""The network on a GPU without a kernel start from Python in a tick: plain torch, captured as CUDA graphs, compiled if asked.

What a graph reads must stay in its place, so the keys and values of a message of tokens are copied to where the head's graph
has them (some MB on the GPU) in the first tick that uses them. They are padded to one length, and what is beyond is masked.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.dit import Context
from gr00t_policy.runtime.engine_report import EngineReport
from gr00t_policy.runtime.known_actions import KnownActions, painted_in
from gr00t_policy.runtime.replay import Replayed
from gr00t_policy.runtime.start_check import EngineRefusedError, PartCheck, check_actions, head_inputs
from gr00t_policy.runtime.torch_backend import TorchBackend, memory_for

_F = TypeVar("_F", bound=Callable[..., Tensor])
_TEXT_ROOM = 192  # tokens beyond those of an empty sentence; a longer prompt runs without a graph
_MULTIPLE = 16  # of the padded length, as matrix kernels like it
_KEPT_LENGTHS = 4  # graphs of the encoder, one for each length of a prompt
_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16"}


class GraphBackend(TorchBackend):
    """As ``TorchBackend``; each of ``encode`` and ``act`` belongs to one thread, which may be another for each."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        part: str | None = None,
        dtype: str = "auto",
        device: str = "cuda",
        *,
        compiler: str = "",
        capture: bool = True,
    ) -> None:
        """compiler: of torch.compile ('inductor' fuses kernels; the start takes minutes), empty: none. capture: see ``Replayed``.

        Raises ConfigError without a GPU, EngineRefusedError when torch cannot capture or compile the network, or what is
        replayed differs from the plain network.
        """
        if capture and device == "cpu":
            raise ConfigError("engine 'cuda_graph' needs device 'cuda'; on a CPU use engine 'openvino' or 'torch'")
        super().__init__(checkpoint, part, dtype, device)
        self._compiler, self._capture = compiler, capture
        self._encoders: dict[tuple[int, ...], Replayed] = {}
        self._loaded: Context | None = None
        checks = list(self.report.checks)
        try:
            if self._head is not None:
                with memory_for("graph of the head", self.device):
                    self._prepare_head(checkpoint)
                    checks.append(self._check_head(checkpoint))
        except RuntimeError as error:  # of torch: also what its compiler raises
            raise EngineRefusedError(
                f"engine 'cuda_graph' is refused: its head cannot be captured: {error}; use engine 'torch'"
            ) from error
        self.report = EngineReport(
            "cuda_graph" + f", {compiler}" * bool(compiler), self.report.precision, tuple(checks)
        )

    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The first picture with a prompt of another length takes as long as a capture."""
        seen: dict[str, NDArray] = {"pixel_values": pixel_values, "input_ids": input_ids, "mask": mask}
        sizes = (*pixel_values.shape, *input_ids.shape)
        if sizes not in self._encoders:
            while len(self._encoders) >= _KEPT_LENGTHS:
                self._encoders.pop(next(iter(self._encoders)))
            self._encoders[sizes] = self._encoder(seen)
        return self._encoders[sizes](**seen)

    def _encoder(self, seen: dict[str, NDArray]) -> Replayed:
        backbone, number = self._backbone, self.dtype
        assert backbone is not None, "this backend has no encoder"

        def features(pixel_values: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
            return backbone(pixel_values.to(number), input_ids, mask)[0].float()

        return Replayed(self._compiled(features), seen, self.device, capture=self._capture)

    def act(
        self,
        context: Context,
        state: NDArray[np.float32],
        noise: NDArray[np.float32],
        known: KnownActions | None = None,
    ) -> NDArray[np.float32]:
        if context.keys[0].shape[2] > self._room:
            return super().act(context, state, noise, known)
        if context is not self._loaded:
            self._load(context)
        painted = known or self._nothing_known
        return self._replayed(
            state=state[None], noise=noise[None], known=painted.actions[None], weights=painted.weights[None]
        )

    def _prepare_head(self, checkpoint: Checkpoint) -> None:
        head, sizes = self._head, checkpoint.config.head
        assert head is not None
        shortest = len(checkpoint.prompt.encode("", len(checkpoint.embodiment.cameras)).input_ids)
        self._room = -(-(shortest + _TEXT_ROOM) // _MULTIPLE) * _MULTIPLE
        chunk = (1, sizes.horizon, sizes.action_dim)
        rows = (1, sizes.heads, self._room, sizes.head_dim)
        blocks = len(head.dit.blocks[::2])
        keys, values = (
            tuple(torch.zeros(rows, dtype=self.dtype, device=self.device) for _ in range(blocks)) for _ in range(2)
        )
        self._context = Context(keys, values, torch.zeros((1, 1, 1, self._room), dtype=self.dtype, device=self.device))
        self._nothing_known = KnownActions(np.zeros(chunk[1:], np.float32), np.zeros((sizes.horizon, 1), np.float32))
        context, slot, tables, number = self._context, self._slot, self._tables, self.dtype

        def actions(state: Tensor, noise: Tensor, known: Tensor, weights: Tensor) -> Tensor:
            begin, wanted, share = noise.to(number), known.to(number), weights.to(number)
            sampled = head.sample_with_context(
                context, state.to(number), slot, begin, tables, lambda x, t: painted_in(x, begin, wanted, share, t)
            )
            return sampled[0].float()

        inputs = {
            "state": np.zeros((1, 1, sizes.state_dim), np.float32),
            "noise": np.zeros(chunk, np.float32),
            "known": np.zeros(chunk, np.float32),
            "weights": np.zeros((1, sizes.horizon, 1), np.float32),
        }
        self._replayed = Replayed(self._compiled(actions), inputs, self.device, capture=self._capture)

    @torch.inference_mode()
    def _load(self, context: Context) -> None:
        """Into the places that the graph reads; on the stream of the thread that acts, waited for."""
        tokens = context.keys[0].shape[2]
        bias = self._context.bias
        assert bias is not None
        for into, given in zip(
            (*self._context.keys, *self._context.values), (*context.keys, *context.values), strict=True
        ):
            into[:, :, :tokens] = given
        bias[..., :tokens] = 0.0 if context.bias is None else context.bias
        bias[..., tokens:] = torch.finfo(self.dtype).min
        if self._capture:
            torch.cuda.current_stream().synchronize()
        self._loaded = context

    def _compiled(self, function: _F) -> _F:
        if not self._compiler:
            return function
        return torch.compile(function, backend=self._compiler, fullgraph=True, dynamic=False)  # type: ignore[return-value]

    def _check_head(self, checkpoint: Checkpoint) -> PartCheck:
        """What is replayed beside the plain head on this device, for two lengths of prompt."""
        shortest = self._room - _TEXT_ROOM
        got, wanted = [], []
        for features, real, state, noise in head_inputs(checkpoint, (shortest, shortest + 8) * 2):
            context = self.context(features, real)
            got.append(self.act(context, state, noise))
            wanted.append(super().act(context, state, noise))
        check = check_actions("head", _PRECISIONS[self.dtype], checkpoint, np.stack(got), np.stack(wanted))
        if not check.passed:
            raise EngineRefusedError(f"engine 'cuda_graph' is refused: its {check}; use engine 'torch'")
        return check
