# SPDX-License-Identifier: Apache-2.0
"""A Diffusion Policy behind the interface of ``runtime.policy.Backend``, so that only the network differs from GR00T's."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gr00t_policy.baseline.checkpoint import DiffusionCheckpoint
from gr00t_policy.baseline.config import check_sample_steps
from gr00t_policy.baseline.network import DiffusionPolicy
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.runtime.known_actions import KnownActions
from gr00t_policy.runtime.signal_stack import signal_stack_kept

Act = Callable[[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
"""(1, D), (1, 1, state_dim), (1, T, A) -> (1, T, A)."""


class DiffusionBackend:
    """In float32 on the CPU. The features of an observation are one vector, the same in each of the S rows."""

    def __init__(
        self, checkpoint: DiffusionCheckpoint, engine: str = "openvino", *, sample_steps: int | None = None
    ) -> None:
        """engine: of the sampler, which has most of the work: 'openvino' (one thread) or 'torch'; the encoder is always
        torch's. sample_steps: of DDIM; default those of the checkpoint. Raises CheckpointError when the weights do not
        fit, ConfigError for an unknown engine or number of steps.
        """
        schedule = checkpoint.config.schedule
        if sample_steps is not None:
            check_sample_steps(schedule.train_steps, sample_steps)
        if engine not in _ENGINES:
            raise ConfigError(f"engine '{engine}' is unknown to a Diffusion Policy; it has: {', '.join(_ENGINES)}")
        self._model = checkpoint.load_weights().requires_grad_(False)
        self._act = _ENGINES[engine](self._model, sample_steps)

    @torch.inference_mode()
    def encode(
        self, pixel_values: NDArray[np.float32], input_ids: NDArray[np.int64], mask: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """pixel_values (1, V, 3, H, W), ids and mask (1, S) -> features (S, D)."""
        pixels, ids, real = (torch.tensor(value) for value in (pixel_values, input_ids, mask))
        return self._model.encode(pixels, ids, real).expand(ids.shape[1], -1).numpy()

    def context(self, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> Any:
        """The one vector (1, D): nothing can be done ahead without the joint state."""
        return features[:1]

    def act(
        self,
        context: Any,
        state: NDArray[np.float32],
        noise: NDArray[np.float32],
        known: KnownActions | None = None,
    ) -> NDArray[np.float32]:
        """state (1, state_dim), noise (T, A) -> normalised actions (T, A). Raises ConfigError when actions are known."""
        if known is not None:
            raise ConfigError(
                "chunk mode 'rtc' paints into a flow, which a Diffusion Policy does not have; choose another"
            )
        return self._act(context, state[None], noise[None])[0]


class _Sampler(nn.Module):
    """The whole of DDIM as one graph: its steps are known in advance."""

    def __init__(self, model: DiffusionPolicy, sample_steps: int | None) -> None:
        super().__init__()
        self.model, self.sample_steps = model, sample_steps

    def forward(self, features: Tensor, state: Tensor, noise: Tensor) -> Tensor:
        return self.model.act(features, state, noise, self.sample_steps)


def _plain(model: DiffusionPolicy, sample_steps: int | None) -> Act:
    @torch.inference_mode()
    def act(*inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        features, state, noise = (torch.tensor(value) for value in inputs)
        return model.act(features, state, noise, sample_steps).numpy()

    return act


@signal_stack_kept()
def _compiled(model: DiffusionPolicy, sample_steps: int | None) -> Act:
    """Compiled for one thread, without silent bfloat16, as the engine of GR00T networks is."""
    import openvino as ov

    head = model.config.head
    shapes = [[1, head.cross_dim], [1, 1, head.state_dim], [1, head.horizon, head.action_dim]]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the steps it visits are constants of the graph
        graph = ov.convert_model(
            _Sampler(model, sample_steps).eval(),
            example_input=tuple(torch.zeros(shape) for shape in shapes),
            input=[ov.PartialShape(shape) for shape in shapes],
        )
    properties = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    properties |= {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
    compiled = ov.Core().compile_model(graph, "CPU", properties)
    return lambda *inputs: compiled([np.ascontiguousarray(value, np.float32) for value in inputs])[0].copy()


_ENGINES: dict[str, Callable[[DiffusionPolicy, int | None], Act]] = {"openvino": _compiled, "torch": _plain}
