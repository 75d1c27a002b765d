# SPDX-License-Identifier: Apache-2.0
"""On another device than the CPU, all that a network computes with is there: no GPU is needed to see it.

Tensors without memory know their device, and torch's fake tensors refuse what mixes two. The other device is ``meta``: torch
built for CPUs has no better one. CUDA's own kernels, and how fast they are, need a GPU.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from small_diffusion import made_batch, small_diffusion_config
from test_model_vla import IMAGE_KEYS, batch, small
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from gr00t_policy.baseline.network import DiffusionPolicy
from gr00t_policy.baseline.objective import NoiseObjective
from gr00t_policy.model.config import preset
from gr00t_policy.model.vla import Vla
from gr00t_policy.training.objective import Objective, StepObjective

OTHER = "meta"
Made = tuple[StepObjective, tuple[dict[str, Tensor] | None, ...]]


class _Yes(TorchDispatchMode):
    """Questions about values, which tensors without memory cannot answer, are answered with 1."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0 if args[0].dtype.is_floating_point else 1
        return func(*args, **(kwargs or {}))


def _there(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.empty_like(value, device=OTHER) for name, value in values.items()}


def _step(make: Callable[[], Made]) -> tuple[dict[str, Tensor], set[str]]:
    """One training step there: what it gives, and on which devices gradients and the optimiser's moments are."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        objective, parts = make()
        optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-3)
        with _Yes():
            values = objective(*parts, 1.0)
        values["total"].backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimiser.step()
        kept = [value.grad for value in objective.parameters() if value.grad is not None]
        kept += [state["exp_avg"] for state in optimiser.state.values()]
        return values, {value.device.type for value in kept}


def _moved(make: Callable[[Any], nn.Module], config: Any) -> Any:
    """As ``make(config).to(OTHER)``, which fake tensors cannot do: weights are made there, buffers moved."""
    with torch.device(OTHER):
        model = make(config)
    for module in model.modules():
        module._buffers |= {
            name: torch.empty_like(value, device=OTHER) for name, value in module._buffers.items() if value is not None
        }
    return model


def _ours() -> Made:
    given = _there(batch())
    seen = {name: given[name] for name in IMAGE_KEYS}
    return Objective(_moved(Vla, small()), mixed_precision=False), (given, seen, seen)


def _baseline() -> Made:
    model = _moved(DiffusionPolicy, small_diffusion_config())
    return NoiseObjective(model, mixed_precision=False), (_there(made_batch()), None, None)


@pytest.fixture(autouse=True)
def without_autocast(monkeypatch):
    """It knows no ``meta``, even where it is to change nothing."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.parametrize("make", [_ours, _baseline])
def test_a_training_step_stays_on_its_device(make):
    values, kept = _step(make)
    assert {value.device.type for value in values.values()} == kept == {OTHER}
    assert values["total"].shape == ()


def test_what_was_left_on_the_cpu_is_found_out():
    def mixed() -> Made:
        objective, (given, *seen) = _ours()
        assert given is not None
        return objective, (given | {"noise": torch.empty_like(given["noise"], device="cpu")}, *seen)

    with pytest.raises(RuntimeError, match="device"):
        _step(mixed)


@pytest.mark.parametrize("name", ["tiny", "n1_2b", "n1_5_3b"])
@torch.no_grad()
def test_tokens_and_a_chunk_stay_on_their_device_at_full_size(name):
    """Both halves as an engine uses them: what is constant first, then one evaluation."""
    config = preset(name)
    sizes, side = config.head, config.vision.image_size
    with FakeTensorMode(allow_non_fake_inputs=True), torch.device(OTHER), _Yes():
        model = _moved(Vla, config)
        ids = torch.full((1, config.vision.tokens + 8), config.image_token_id)
        features = model.encode(torch.zeros(1, 1, 3, side, side), ids, torch.ones_like(ids))
        slot, state = torch.zeros(1, dtype=torch.long), torch.zeros(1, 1, sizes.state_dim)
        noise = torch.zeros(1, sizes.horizon, sizes.action_dim)
        context = model.head.precompute_context(features, torch.ones_like(ids))
        chunk = model.head.sample_with_context(context, state, slot, noise, model.head.time_tables(slot))
    assert features.device.type == chunk.device.type == OTHER
    assert chunk.shape == noise.shape
