# SPDX-License-Identifier: Apache-2.0
"""A GPU whose memory is full: refused before activation, held and told at work, and driven on when there is room again.

No GPU is needed: a layer of the real network raises what torch raises there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from gr00t_policy.core.errors import MessageError
from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.backends import blank_tokens
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.controller import Controller
from gr00t_policy.runtime.graph_backend import GraphBackend
from gr00t_policy.runtime.inputs import Cause, State
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.torch_backend import TorchBackend

torch.set_num_threads(1)
_NS = 1_000_000_000
_TICK_NS = round(_NS / 120)


@contextmanager
def full_in(layer: nn.Module) -> Iterator[None]:
    def fails(*given: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    hook = layer.register_forward_pre_hook(fails)
    try:
        yield
    finally:
        hook.remove()


@pytest.fixture(params=[TorchBackend, GraphBackend])
def backend(request: pytest.FixtureRequest, checkpoint: Checkpoint) -> TorchBackend:
    options = {"capture": False} if request.param is GraphBackend else {}
    return request.param(checkpoint, None, "float32", "cpu", **options)


def test_each_call_says_that_the_memory_is_full_and_works_again_afterwards(
    checkpoint: Checkpoint, backend: TorchBackend
) -> None:
    side, head = checkpoint.config.vision.image_size, checkpoint.config.head
    prompt = checkpoint.prompt.encode("go", 1)
    seen = np.zeros((1, 1, 3, side, side), np.float32), prompt.input_ids[None], prompt.attention_mask[None]
    real, state = prompt.attention_mask > 0, np.zeros((1, head.state_dim), np.float32)
    noise = np.zeros((head.horizon, head.action_dim), np.float32)
    features = backend.encode(*seen)
    context = backend.context(features, real)
    actions = backend.act(context, state, noise)
    assert backend._backbone is not None and backend._head is not None
    attention = backend._head.dit.blocks[0].attention
    for layer, call in (
        (backend._backbone.linear, lambda: backend.encode(*seen)),
        (attention.key, lambda: backend.context(features, real)),
        (attention.query, lambda: backend.act(context, state, noise)),
    ):
        with full_in(layer), pytest.raises(MessageError, match="the memory of device 'cpu' is full; end what else"):
            call()
    np.testing.assert_array_equal(backend.encode(*seen), features)
    np.testing.assert_array_equal(backend.act(backend.context(features, real), state, noise), actions)


def test_the_controller_is_not_configured_holds_at_work_and_goes_on(
    checkpoint: Checkpoint, backend: TorchBackend
) -> None:
    policy, now_ns = Gr00tPolicy(checkpoint, backend, noise_scale=0.0), _NS
    config = ControllerConfig(head_mode="every_tick", warm_up_evaluations=1)
    controller = Controller(policy, config, lambda: now_ns)
    assert backend._head is not None
    attention = backend._head.dit.blocks[0].attention
    for layer in (attention.key, attention.query):
        with full_in(layer), pytest.raises(MessageError, match="memory of device 'cpu' is full"):
            controller.warm_up(blank_tokens(checkpoint))  # what configure does: the node says it and stays unconfigured
    controller.warm_up(blank_tokens(checkpoint))
    controller.activate()
    pose = np.array([policy.embodiment.home.get(name, 0.0) for name in policy.embodiment.policy_joint_names])

    def ticks(count: int) -> list[bool]:
        nonlocal now_ns
        commanded = []
        for number in range(count):
            now_ns += _TICK_NS
            controller.inputs.offer_state(pose, now_ns, now_ns, now_ns)
            if number % 12 == 0:
                blank = blank_tokens(checkpoint)
                tokens = type(blank)(**{**vars(blank), "stamp_ns": now_ns, "sequence": now_ns})
                controller.inputs.offer_tokens(tokens, now_ns)
            commanded.append(controller.tick(now_ns, now_ns) is not None)
        return commanded

    assert ticks(6)[-1]
    with full_in(attention.query):
        assert not any(ticks(6))
        assert (controller.verdict.state, controller.verdict.cause) == (State.HOLDING, Cause.HEAD_FAILED)
        assert "memory of device 'cpu' is full" in controller.verdict.detail
    assert ticks(24)[-1]
    with full_in(attention.key):  # tokens cannot be prepared: those in use serve until they are too old
        commanded = ticks(60)
        assert commanded[0] and not commanded[-1]
        assert "memory of device 'cpu' is full" in controller.verdict.detail
    assert ticks(30)[-1] and controller.verdict.state is State.RUNNING
