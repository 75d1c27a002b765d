# SPDX-License-Identifier: Apache-2.0
"""Tokens are prepared in one thread while another acts: the chunks are those that the same calls give one after the other."""

import threading
from collections import deque
from contextlib import suppress
from itertools import cycle

import numpy as np
import pytest
import torch

from gr00t_policy.model.checkpoint import Checkpoint
from gr00t_policy.runtime.backends import load_backend
from gr00t_policy.runtime.graph_backend import GraphBackend
from gr00t_policy.runtime.policy import Backend
from gr00t_policy.runtime.start_check import head_inputs

torch.set_num_threads(1)
_MESSAGES = 8
_FEWEST, _MOST = 60, 2000  # chunks


def backend_called(name: str, checkpoint: Checkpoint) -> Backend:
    if name == "graph":
        return GraphBackend(checkpoint, "head", "float32", "cpu", capture=False)
    return load_backend(checkpoint, name, "fp32", part="head")


@pytest.mark.parametrize("name", ["openvino", "torch", "graph"])
def test_chunks_made_while_tokens_are_prepared_are_those_of_one_thread_alone(checkpoint: Checkpoint, name: str) -> None:
    backend = backend_called(name, checkpoint)
    length = checkpoint.config.prompt_length(len(checkpoint.embodiment.cameras))
    asked = head_inputs(checkpoint, (length,) * _MESSAGES)
    state, noise = asked[0][2:]
    alone = [backend.act(backend.context(features, real), state, noise) for features, real, *_ in asked]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    newest: deque = deque(maxlen=1)  # as in the controller
    stop = threading.Event()

    def prepare() -> None:
        for number, (features, real, *_) in cycle(enumerate(asked)):
            if stop.is_set():
                return
            newest.append((number, backend.context(features, real)))

    thread = threading.Thread(target=prepare)
    thread.start()
    used, chunks, messages = None, [], set()
    try:
        while len(chunks) < _MOST and (len(chunks) < _FEWEST or len(messages) < _MESSAGES // 2):
            with suppress(IndexError):
                number, used = newest.popleft()
            if used is not None:
                chunks.append((number, backend.act(used, state, noise)))
                messages.add(number)
    finally:
        stop.set()
        thread.join()
    assert len(messages) >= _MESSAGES // 2, "the two threads did not run beside each other"
    for number, actions in chunks:
        np.testing.assert_allclose(actions, alone[number], atol=1e-5, err_msg=f"message {number}")
