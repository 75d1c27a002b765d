# SPDX-License-Identifier: Apache-2.0
"""A file of reference outputs: weights, inputs and outputs of another implementation, and the configuration it declares.

safetensors with ``weights.*`` (published key names), ``in.*`` and ``out.*``; configuration as JSON in the metadata:
``action_head_cfg`` for System 1, ``vision_config`` and ``llm_config`` for System 2, or all three.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.model.golden_config import Declared, declared

_GROUPS = ("weights", "in", "out")


@dataclass(frozen=True)
class Golden:
    """What a file holds: tensors are named without their ``weights.``, ``in.``, ``out.``; floating ones are float32."""

    path: Path
    declared: Declared
    weights: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


def read_golden(path: Path) -> Golden:
    """Everything in the file. Raises CheckpointError: unreadable, another layout, numbers that are not finite; ConfigError:
    a configuration that cannot be built."""
    tensors, metadata = _read(path)
    groups: dict[str, dict[str, Tensor]] = {group: {} for group in _GROUPS}
    for key, value in tensors.items():
        group, _, name = key.partition(".")
        if group not in groups or not name:
            raise CheckpointError(f"{path}: tensor '{key}' begins with none of weights., in., out.")
        groups[group][name] = _numbers(value, f"{path}: {key}")
    if missing := [f"{group}.*" for group in _GROUPS if not groups[group]]:
        raise CheckpointError(f"{path} holds no {', '.join(missing)}; reference outputs need weights.*, in.* and out.*")
    try:
        configuration = declared(metadata)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    weights = groups["weights"] | _implied_weights(configuration)
    return Golden(path, configuration, weights, groups["in"], groups["out"])


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError, AttributeError, TypeError) as error:  # the last two: a dtype torch does not have
        raise CheckpointError(
            f"{path} cannot be read as safetensors: {error}; it is missing, damaged or of another kind "
            "(pickle files are refused)"
        ) from error


def _numbers(value: Tensor, where: str) -> Tensor:
    """Integers as int64, the rest as float32."""
    if value.is_complex():
        raise CheckpointError(f"{where} is complex; expected real numbers")
    if not value.is_floating_point():
        return value.long()
    value = value.float()
    if not bool(torch.isfinite(value).all()):
        raise CheckpointError(f"{where} holds NaN or infinity")
    return value


def _implied_weights(configuration: Declared) -> dict[str, Tensor]:
    """Layers that the configuration switches off and our network always has, as what they are then: nothing added to the
    action tokens, and the identity."""
    implied: dict[str, Tensor] = {}
    head, backbone = configuration.head, configuration.backbone
    if head is not None and not configuration.positions:
        implied["action_head.position_embedding.weight"] = torch.zeros(head.max_seq_len, head.width)
    if backbone is not None and not configuration.projector:
        width = backbone.language.width
        implied |= {"backbone.linear.weight": torch.eye(width), "backbone.linear.bias": torch.zeros(width)}
    return implied
