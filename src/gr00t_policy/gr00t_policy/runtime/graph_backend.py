# SPDX-License-Identifier: Apache-2.0
"""The network on a GPU without a kernel start from Python in a tick: plain torch, captured as CUDA graphs, compiled if asked.

Everything is captured before the start: prompts are padded to one length, and what is beyond is masked. What a graph reads must
stay in its place, so the keys and values of a message of tokens are put into one of a few places, each with a graph of the
head, beside the ticks and on a stream of their own; the tick that uses them only starts another graph. The pass of chunks in
flight has one graph, with a row of keys and values for each chunk; the tick copies into the rows whose tokens are others.
"""

import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gr00t_policy.core.errors import ConfigError, MessageError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.model.dit import Context
from gr00t_policy.runtime.engine_report import EngineReport
from gr00t_policy.runtime.known_actions import KnownActions, painted_in
from gr00t_policy.runtime.prompt_room import padded_to, prompt_room
from gr00t_policy.runtime.replay import Replayed
from gr00t_policy.runtime.staggering import staggered_actions
from gr00t_policy.runtime.start_check import (
    EngineRefusedError,
    PartCheck,
    check_actions,
    check_features,
    encoder_inputs,
    head_inputs,
)
from gr00t_policy.runtime.torch_backend import TorchBackend, held_when_full

_F = TypeVar("_F", bound=Callable[..., Tensor])
_PLACES = 3  # of keys and values: those in use, those that wait for the next tick, those that are being computed
_PRECISIONS = {torch.float32: "fp32", torch.bfloat16: "bf16"}


class GraphContext:
    """Keys and values of one message of tokens, in a place of the head's. When nobody holds this any more, the place is free."""

    def __init__(self, place: "_Place") -> None:
        self.place = place


@dataclass(eq=False)
class _Place:
    """Where one of the head's graphs reads keys and values."""

    context: Context
    replayed: Replayed
    holder: weakref.ref[GraphContext] | None = None

    @property
    def free(self) -> bool:
        return self.holder is None or self.holder() is None


@dataclass(eq=False)
class _Row:
    """Where the graph of the pass reads keys and values of one chunk in flight, and whose they are."""

    context: Context
    owner: weakref.ref[Any] | None = None

    def holds(self, owner: Any) -> bool:
        return self.owner is not None and self.owner() is owner


class GraphBackend(TorchBackend):
    """As ``TorchBackend``; each of ``encode``, ``context`` and ``act`` belongs to one thread, which may be another for each;
    ``advance`` to that of ``act``.

    What has no graph runs eagerly, and slower, with the same result: a prompt longer than the padded one, and a context beyond
    those that fit into the places at a time.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        part: str | None = None,
        dtype: str = "auto",
        device: str = "cuda",
        *,
        staggered: bool = False,
        compiler: str = "",
        capture: bool = True,
    ) -> None:
        """staggered: with a graph of ``advance``. compiler: of torch.compile ('inductor' fuses kernels; the start takes minutes),
        empty: none. capture: see ``Replayed``.

        Raises ConfigError without a GPU and when the weights do not fit into its memory, EngineRefusedError when torch cannot
        capture or compile the network, the graphs do not fit, or what is replayed differs from the plain network.
        """
        if capture and device == "cpu":
            raise ConfigError("engine 'cuda_graph' needs device 'cuda'; on a CPU use engine 'openvino' or 'torch'")
        super().__init__(checkpoint, part, dtype, device)
        self.steps = 0  # single Euler steps have no graph yet
        self._compiler, self._capture = compiler, capture
        self._tokens_stream = torch.cuda.Stream() if capture else None
        self._room = prompt_room(checkpoint)
        self._pad_id = checkpoint.config.language.pad_id
        checks = list(self.report.checks)
        if self._backbone is not None:
            checks.append(self._captured("encoder", self._prepare_encoder, self._check_encoder, checkpoint))
        if self._head is not None:
            checks.append(self._captured("head", self._prepare_head, self._check_head, checkpoint))
            if staggered:
                checks.append(self._captured("staggered pass", self._prepare_pass, self._check_pass, checkpoint))
        self.report = EngineReport(
            "cuda_graph" + f", {compiler}" * bool(compiler), self.report.precision, tuple(checks)
        )

    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        tokens = input_ids.shape[1]
        if tokens > self._room:
            return super().encode(pixel_values, input_ids, mask)
        ids, real = padded_to(input_ids, self._room, self._pad_id), padded_to(mask, self._room)
        with held_when_full(self.device):
            return self._encoder(pixel_values=pixel_values, input_ids=ids, mask=real)[:tokens]

    @torch.inference_mode()
    def context(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> Any:
        """Handed out when it is in its place, so that no tick waits for it."""
        place = next((place for place in self._places if place.free), None)
        if place is None or len(mask) > self._room:
            return super().context(features, mask)
        with held_when_full(self.device), self._beside_the_ticks():
            self._load(place.context, super().context(features, mask))
        if self._tokens_stream is not None:
            self._tokens_stream.synchronize()
        context = GraphContext(place)
        place.holder = weakref.ref(context)
        return context

    def act(
        self,
        context: Any,
        state: NDArray[np.float32],
        noise: NDArray[np.float32],
        known: KnownActions | None = None,
    ) -> NDArray[np.float32]:
        if not isinstance(context, GraphContext):
            return super().act(context, state, noise, known)
        painted = known or self._nothing_known
        with held_when_full(self.device):
            return context.place.replayed(
                state=state[None], noise=noise[None], known=painted.actions[None], weights=painted.weights[None]
            )

    @torch.inference_mode()
    def advance(
        self, contexts: Sequence[Any], states: NDArray[np.float32], x: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        given = [_tensors(context) for context in contexts]
        if any(one.keys[0].shape[2] > self._room for one in given):
            return super().advance(given, states, x)
        with held_when_full(self.device):
            copied = False
            for row, context, tensors in zip(self._rows, contexts, given, strict=True):
                owner = context if isinstance(context, GraphContext) else tensors.keys[0]
                if not row.holds(owner):
                    self._load(row.context, tensors)
                    row.owner, copied = weakref.ref(owner), True
            if copied and self._capture:
                torch.cuda.current_stream().synchronize()  # the graph is replayed on another one
            return self._pass(states=states, x=x)

    def _captured(
        self,
        part: str,
        prepare: Callable[[Checkpoint], None],
        check: Callable[[Checkpoint], PartCheck],
        checkpoint: Checkpoint,
    ) -> PartCheck:
        """Raises EngineRefusedError, whatever is wrong with the graph of this part."""
        try:
            prepare(checkpoint)
            found = check(checkpoint)
        except (torch.OutOfMemoryError, MessageError) as error:
            raise EngineRefusedError(
                f"engine 'cuda_graph' is refused: the graph of its {part} does not fit into the memory of device "
                f"'{self.device}'; end what else runs there, or use engine 'torch', which needs less"
            ) from error
        except RuntimeError as error:  # of torch: also what its compiler raises
            raise EngineRefusedError(
                f"engine 'cuda_graph' is refused: its {part} cannot be captured: {error}; use engine 'torch'"
            ) from error
        if not found.passed:
            raise EngineRefusedError(f"engine 'cuda_graph' is refused: its {found}; use engine 'torch'")
        return found

    def _prepare_encoder(self, checkpoint: Checkpoint) -> None:
        backbone, number = self._backbone, self.dtype
        assert backbone is not None
        views, side = len(checkpoint.embodiment.cameras), checkpoint.config.vision.image_size

        def features(pixel_values: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
            return backbone(pixel_values.to(number), input_ids, mask)[0].float()

        inputs: dict[str, NDArray] = {
            "pixel_values": np.zeros((1, views, 3, side, side), np.float32),
            "input_ids": np.full((1, self._room), self._pad_id, np.int64),
            "mask": np.ones((1, self._room), np.int64),
        }
        self._encoder = Replayed(self._compiled(features), inputs, self.device, capture=self._capture)

    def _prepare_head(self, checkpoint: Checkpoint) -> None:
        head, sizes = self._head, checkpoint.config.head
        assert head is not None
        chunk = (1, sizes.horizon, sizes.action_dim)
        self._nothing_known = KnownActions(np.zeros(chunk[1:], np.float32), np.zeros((sizes.horizon, 1), np.float32))
        slot, tables, number = self._slot, self._tables, self.dtype

        def actions(context: Context, state: Tensor, noise: Tensor, known: Tensor, weights: Tensor) -> Tensor:
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
        compiled, self._places = self._compiled(actions), []  # compiled once: places differ in address alone
        for _ in range(_PLACES):
            context = self._empty_context(checkpoint)
            replayed = Replayed(partial(compiled, context), inputs, self.device, capture=self._capture)
            self._places.append(_Place(context, replayed))

    def _prepare_pass(self, checkpoint: Checkpoint) -> None:
        head, sizes = self._head, checkpoint.config.head
        assert head is not None
        slot, tables, number = self._slot, self._tables, self.dtype

        def moved(context: Context, states: Tensor, x: Tensor) -> Tensor:
            return head.advance(context, states.to(number), slot, x.to(number), tables).float()

        inputs = {
            "states": np.zeros((sizes.steps, 1, sizes.state_dim), np.float32),
            "x": np.zeros((sizes.steps, sizes.horizon, sizes.action_dim), np.float32),
        }
        together = self._empty_context(checkpoint, sizes.steps)
        self._rows = [_Row(_one_of(together, place)) for place in range(sizes.steps)]
        self._pass = Replayed(partial(self._compiled(moved), together), inputs, self.device, capture=self._capture)
        self.steps = sizes.steps

    def _empty_context(self, checkpoint: Checkpoint, count: int = 1) -> Context:
        assert self._head is not None
        sizes, blocks = checkpoint.config.head, len(self._head.dit.blocks[::2])
        rows = (count, sizes.heads, self._room, sizes.head_dim)
        keys, values = (
            tuple(torch.zeros(rows, dtype=self.dtype, device=self.device) for _ in range(blocks)) for _ in range(2)
        )
        return Context(keys, values, torch.zeros((count, 1, 1, self._room), dtype=self.dtype, device=self.device))

    def _load(self, place: Context, context: Context) -> None:
        tokens = context.keys[0].shape[2]
        assert place.bias is not None
        for into, given in zip((*place.keys, *place.values), (*context.keys, *context.values), strict=True):
            into[:, :, :tokens] = given
        place.bias[..., :tokens] = 0.0 if context.bias is None else context.bias
        place.bias[..., tokens:] = torch.finfo(self.dtype).min

    def _beside_the_ticks(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._tokens_stream is None else torch.cuda.stream(self._tokens_stream)

    def _compiled(self, function: _F) -> _F:
        if not self._compiler:
            return function
        return torch.compile(function, backend=self._compiler, fullgraph=True, dynamic=False)  # type: ignore[return-value]

    def _check_encoder(self, checkpoint: Checkpoint) -> PartCheck:
        """What is replayed beside the plain encoder on this device."""
        asked = encoder_inputs(checkpoint)
        wanted = [TorchBackend.encode(self, *one) for one in asked]
        return check_features(_PRECISIONS[self.dtype], [self.encode(*one) for one in asked], wanted)

    def _check_head(self, checkpoint: Checkpoint) -> PartCheck:
        """What is replayed beside the plain head on this device: from every place, also after a longer prompt was there."""
        got, wanted = [], []
        for lengths in ((self._room, self._room - 8, self._room), (self._room - 8, self._room, self._room - 8)):
            asked = head_inputs(checkpoint, lengths)
            contexts = [self.context(features, real) for features, real, *_ in asked]
            for context, (features, real, state, noise) in zip(contexts, asked, strict=True):
                got.append(self.act(context, state, noise))
                wanted.append(TorchBackend.act(self, TorchBackend.context(self, features, real), state, noise))
            del context, contexts  # their places are free again
        return check_actions("head", _PRECISIONS[self.dtype], checkpoint, np.stack(got), np.stack(wanted))

    def _check_pass(self, checkpoint: Checkpoint) -> PartCheck:
        """Chunks in flight, of prompts of two lengths, beside the plain head's whole ones."""
        features, reals, states, noise = zip(
            *head_inputs(checkpoint, (self._room, self._room - 8, self._room)), strict=True
        )
        contexts = [self.context(*one) for one in zip(features, reals, strict=True)]
        got = staggered_actions(self, contexts, np.stack(states), np.stack(noise))
        plain = [TorchBackend.context(self, *one) for one in zip(features, reals, strict=True)]
        wanted = [TorchBackend.act(self, *one) for one in zip(plain, states, noise, strict=True)]
        return check_actions("staggered", _PRECISIONS[self.dtype], checkpoint, got, np.stack(wanted))


def _tensors(context: GraphContext | Context) -> Context:
    return context.place.context if isinstance(context, GraphContext) else context


def _one_of(together: Context, number: int) -> Context:
    """A view of one row of a context of many."""
    keys, values = (tuple(part[number : number + 1] for part in parts) for parts in (together.keys, together.values))
    assert together.bias is not None
    return Context(keys, values, together.bias[number : number + 1])
