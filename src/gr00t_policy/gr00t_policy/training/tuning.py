# SPDX-License-Identifier: Apache-2.0
"""Parts of the network that a run leaves as they are. The cut is that of GR00T N1's tuning flags."""

from collections.abc import Callable, Sequence

from torch import nn

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.vla import Vla

# The linear layer behind the language model belongs to no part: GR00T N1 always trains it; nor do N1.5's feature mixer and
# future tokens, which its public code always trains.
PARTS: dict[str, Callable[[Vla], tuple[nn.Module, ...]]] = {
    "language": lambda model: (model.backbone.language,),
    "vision": lambda model: (model.backbone.vision, model.backbone.connector),
    "projector": lambda model: (
        model.head.state_encoder,
        model.head.action_encoder,
        model.head.action_decoder,
        model.head.position_embedding,
    ),
    "diffusion": lambda model: (model.head.dit,),
    "localiser": lambda model: () if model.aux is None else (model.aux,),
}


def freeze(model: Vla, parts: Sequence[str]) -> tuple[nn.Module, ...]:
    """Take the parameters of ``parts`` out of training; the modules, which belong in evaluation mode. Raises ConfigError."""
    if unknown := [part for part in parts if part not in PARTS]:
        raise ConfigError(f"the network has no part {', '.join(unknown)}; it has: {', '.join(PARTS)}")
    modules = tuple(module for part in parts for module in PARTS[part](model))
    for module in modules:
        module.requires_grad_(False)
    return modules
