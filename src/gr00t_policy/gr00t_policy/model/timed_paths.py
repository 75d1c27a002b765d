# SPDX-License-Identifier: Apache-2.0
"""The network in eager torch on fixed inputs, in two ways that give the same actions, for ``gr00t bench model``.

plain: straight modules. At each Euler step keys and values of the features and everything that depends on flow time are
computed again, as in the public implementation. cached: what is constant is computed once, as on the robot.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.core.missing_gpu import missing_gpu_remedy
from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.backbone import Backbone
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.dit import Context
from gr00t_policy.model.flow import euler, euler_buckets
from gr00t_policy.model.vla import Vla

_READ_BYTES = {"cpu": 2**29, "cuda": 2**32}  # beyond every cache, and long beside the start of a kernel
_READS = 8


@dataclass(frozen=True)
class TimedInputs:
    """One robot's inputs: pixel_values (1, V, 3, H, W), input_ids and mask (1, S), state (1, state_dim), noise (T, A)."""

    pixel_values: NDArray[np.float32]
    input_ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    state: NDArray[np.float32]
    noise: NDArray[np.float32]
    slot: int


class TimedPath:
    """Runs one way to run both halves on ``inputs``; each call returns when the device is done."""

    def __init__(self, backbone: Backbone, head: ActionHead, inputs: TimedInputs, *, cached: bool) -> None:
        self._backbone, self._head, self._cached = backbone, head, cached
        weight = head.dit.out.weight
        self._device = weight.device
        pixels, state, noise = (
            torch.from_numpy(value).to(self._device, weight.dtype)
            for value in (inputs.pixel_values, inputs.state[None], inputs.noise[None])
        )
        self._seen = pixels, *(torch.from_numpy(v).to(self._device) for v in (inputs.input_ids, inputs.mask))
        self._ids = torch.tensor([inputs.slot], device=self._device)
        self._acted = state, self._ids, noise
        self._features = self.encode()
        with torch.inference_mode():
            self._tables = head.time_tables(self._ids)
        self._context = self.context() if cached else None

    @torch.inference_mode()
    def encode(self) -> Tensor:
        """System 2: (1, S, D)."""
        return self._done(self._backbone(*self._seen))

    @torch.inference_mode()
    def context(self) -> Context:
        """Constant work on the features, once per message of System 2. Of the cached way only."""
        context = self._head.precompute_context(self._features, self._seen[2])
        self._done(context.keys[0])
        return context

    @torch.inference_mode()
    def act(self) -> Tensor:
        """System 1: a chunk (1, T, A)."""
        if self._context is None:
            return self._done(plain_sample(self._head, self._features, self._seen[2], *self._acted))
        return self._done(self._head.sample_with_context(self._context, *self._acted, self._tables))

    @torch.inference_mode()
    def staggered_tick(self) -> Tensor:
        """System 1 with as many chunks in flight as Euler steps: one pass (N, T, A) that finishes one. Of the cached way only."""
        assert self._context is not None, "the plain way keeps nothing"
        state, slot, noise = self._acted
        rows = self._head.config.steps
        states, x = state.expand(rows, -1, -1), noise.expand(rows, -1, -1)
        return self._done(self._head.advance(self._context, states, slot, x, self._tables))

    def both(self) -> Tensor:
        """A chunk from images, sentence and state."""
        self._features = self.encode()
        if self._cached:
            self._context = self.context()
        return self.act()

    def _done(self, value: Tensor) -> Tensor:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return value


def plain_sample(
    head: ActionHead, features: Tensor, mask: Tensor, state: Tensor, embodiment_id: Tensor, noise: Tensor
) -> Tensor:
    """The same actions as ``ActionHead.sample`` with nothing kept from one Euler step to the next but what the public
    implementation keeps: the tokens before the actions, and N1.5's mixed features."""
    before, mixed = head.encode_state(state, embodiment_id), head.mix(features, mask)
    times, horizon = euler_buckets(head.config.steps, head.config.buckets), noise.shape[1]

    def velocity(x: Tensor, k: int) -> Tensor:
        bucket = torch.full((len(x),), times[k], device=x.device)
        tokens = head.action_encoder(x, embodiment_id, head.action_encoder.time_part(bucket, embodiment_id))
        tokens = torch.cat([before, tokens + head.position_embedding.weight[:horizon]], dim=1)
        hidden = head.dit(tokens, head.dit.modulation(bucket), head.dit.context(mixed, mask))
        return head.action_decoder(hidden[:, -horizon:], embodiment_id)

    return euler(velocity, noise, head.config.steps)


def parameters_read(config: ModelConfig, tokens: int, *, cached: bool) -> dict[str, int]:
    """How many parameters each call must read at least once: of the tables of words, positions and embodiments only the
    rows in use; in an act those of every Euler step again. tokens: of the prompt."""
    with torch.device("meta"):
        model = Vla(config)
    words, head = model.backbone.language.embed_tokens.weight, model.head
    keys_values = [part for block in head.dit.blocks[::2] for part in (block.attention.key, block.attention.value)]
    timed = [head.dit.time_in, head.dit.time_out, head.dit.out_modulation, *(b.modulation for b in head.dit.blocks)]
    step = _count(head.dit) + config.head.horizon * config.head.width
    step += (_count(head.action_encoder) + _count(head.action_decoder)) // config.head.embodiments
    mixer = _count(head.mixer) if head.mixer is not None else 0
    read = {"encode": _count(model.backbone) - words.numel() + tokens * words.shape[1]}
    if cached:
        flow_time = config.head.width**2  # the half of W2 that sees flow time
        step -= flow_time + sum(_count(part) for part in (*keys_values, *timed))
        read["context"] = sum(_count(part) for part in keys_values) + mixer
    read["act, step"] = step
    once = _count(head.state_encoder) // config.head.embodiments + config.head.future_tokens * config.head.width
    read["act, chunk"] = once + config.head.steps * step + (0 if cached else mixer)
    if cached:
        read["act, staggered tick"] = once + step
    return read


def encode_parts(config: ModelConfig, tokens: int, views: int) -> tuple[tuple[int, int], ...]:
    """(parameters read, multiplications) of System 2's stages for prompts of so many tokens: tower and connector for each
    picture, then the language model. Attention's products of two activations are counted, too."""
    with torch.device("meta"):
        backbone = Backbone(config)
    vision, width, patches = config.vision, config.language.width, config.vision.grid**2
    tower, connector = _count(backbone.vision), _count(backbone.connector)
    words = backbone.language.embed_tokens.weight.numel()
    language = _count(backbone.language) - words + _count(backbone.linear)
    seen = tower * patches + connector * vision.tokens + 2 * vision.layers * patches**2 * vision.width
    read = language * tokens + 2 * config.select_layer * tokens**2 * width
    return (tower + connector, views * seen), (language + tokens * width, read)


def read_bandwidth(device: str, threads: int) -> float:
    """Bytes a second at which the device reads a large array, the best of some scalar products with itself.

    Raises ConfigError when there is no such device.
    """
    _check_device(device)
    use_threads(threads)
    array = torch.ones(_READ_BYTES[device] // 4, device=device)
    best_s = float("inf")
    for _ in range(_READS):
        began_s = time.perf_counter()
        torch.dot(array, array).item()  # waits for the device
        best_s = min(best_s, time.perf_counter() - began_s)
    return _READ_BYTES[device] / best_s


def use_threads(threads: int) -> None:
    """Threads of torch, for the whole process."""
    torch.set_num_threads(threads)


def device_name(device: str) -> str:
    """Of a GPU; empty for the CPU. Raises ConfigError when there is none."""
    _check_device(device)
    return torch.cuda.get_device_name() if device == "cuda" else ""


def device_peak_mb(device: str) -> float | None:
    """Most memory that tensors took on a GPU [MB]; None for the CPU."""
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None


def _check_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device 'cuda' is not available here; choose cpu. For a GPU: {missing_gpu_remedy(torch.version.cuda)}"
        )


def _count(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())
