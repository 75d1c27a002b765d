# SPDX-License-Identifier: Apache-2.0
"""Fully sharded training (FSDP): every process keeps its part of each weight, gradient and moment and gathers a block's
weights only while it computes with them. By torch's ``fully_shard``, on GPUs and, for tests, on CPUs.

Blocks of the vision tower, the language model and the DiT are units of their own; the rest is one unit. The DiT calls some
layers of a block before the block itself (time modulation, keys and values of the features), so these are units too.
Weights keep names, shapes and whether they learn: optimiser, resume point and checkpoint are those of any other run.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.vla import Vla
from gr00t_policy.training.objective import Objective


def units(model: Vla) -> list[nn.Module]:
    """The modules whose weights are gathered together, inner ones before those that hold them."""
    found: list[nn.Module] = [*model.backbone.vision.encoder.layers, *model.backbone.language.layers]
    for block in model.head.dit.blocks:
        found += [block.modulation, block.attention.key, block.attention.value, block]
    return found


def shard(objective: nn.Module, device: str, processes: int) -> None:
    """Cut the network in place; each process then moves its part to ``device``.

    Raises ConfigError for a process alone, and for networks other than ours.
    """
    if not isinstance(objective, Objective):
        raise ConfigError(f"only GR00T networks are cut into parts, not what {type(objective).__name__} trains")
    if processes < 2:
        raise ConfigError(
            "one process has nothing to share out; start several with accelerate launch, or leave --shard out"
        )
    mesh = init_device_mesh(device, (processes,))
    for unit in units(objective.model):
        fully_shard(unit, mesh=mesh)
    fully_shard(objective, mesh=mesh)


def whole(value: Tensor) -> Tensor:
    """The whole of a tensor. Of one that is spread all processes must ask for the same."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def gathered(values: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """The whole tensors on the CPU, one after the other; nothing unless ``keep``. All processes must ask."""
    kept = {}
    for name, value in values.items():
        one = whole(value).detach()
        if keep:
            kept[name] = one.cpu()
    return kept


def spread_like(value: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole ``value`` that every process has, where ``like`` is spread and as large."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def fill(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy whole tensors into whole or spread ones. Raises KeyError or ValueError when names or shapes differ."""
    if set(targets) != set(values):
        raise KeyError(f"tensors differ: {sorted(set(targets) ^ set(values))[:5]}")
    for name, target in targets.items():
        if target.shape != values[name].shape:
            raise ValueError(f"{name} is {tuple(values[name].shape)}, not {tuple(target.shape)}")
        target.copy_(spread_like(values[name], target))
