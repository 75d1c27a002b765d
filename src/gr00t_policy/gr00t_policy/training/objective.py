# SPDX-License-Identifier: Apache-2.0
"""What one step of training minimises, as one module with one ``forward``: what data-parallel training can wrap."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gr00t_policy.model.flow import sample_time
from gr00t_policy.model.vla import Vla, empty_vla
from gr00t_policy.training.tuning import freeze

Tensors = Mapping[str, Tensor]


class Shares(NamedTuple):
    """What the losses of a part of a step count for, when its parts hold different numbers of valid values; 1: as they are.

    flow: of demonstrations' actions. places, looks, scenes: of localisation on demonstrations, on looks at them, on still scenes.
    """

    flow: float = 1.0
    places: float = 1.0
    looks: float = 1.0
    scenes: float = 1.0


UNSHARED = Shares()


class StepObjective(nn.Module, ABC):
    """All that the loop needs to know of a network.

    shown: names of the values that ``forward`` gives for the log, the loss of demonstrations first. model: the network;
    its ``state_dict`` is what is saved. backbone: the part of it that learns at its own rate.
    """

    shown: tuple[str, ...]
    model: nn.Module

    @property
    @abstractmethod
    def backbone(self) -> nn.Module: ...

    @abstractmethod
    def freeze(self, parts: Sequence[str]) -> tuple[nn.Module, ...]:
        """Take the parameters of ``parts`` out of training; the modules of these parts. Raises ConfigError."""

    @abstractmethod
    def empty(self) -> nn.Module:
        """A network like ``model`` on the CPU, to be filled."""

    @abstractmethod
    def draw_times(self, count: int, rng: np.random.Generator) -> Tensor:
        """(count,) times at which action samples are noised: what ``forward`` finds as ``t``."""

    @abstractmethod
    def forward(
        self,
        demonstrations: Tensors | None,
        looks: Tensors | None,
        scenes: Tensors | None,
        aux_weight: float,
        shares: Shares = UNSHARED,
    ) -> dict[str, Tensor]:
        """``total`` () to minimise, and for the log, without gradient, those of ``shown`` that are known."""


class Objective(StepObjective):
    """Flow matching on demonstrations, localisation on them and on still scenes; each part only where it is given."""

    shown = ("flow", "find", "find_scenes")

    def __init__(self, model: Vla, *, mixed_precision: bool) -> None:
        super().__init__()
        self.model: Vla = model
        self._mixed_precision = mixed_precision

    @property
    def backbone(self) -> nn.Module:
        return self.model.backbone

    def freeze(self, parts: Sequence[str]) -> tuple[nn.Module, ...]:
        return freeze(self.model, parts)

    def empty(self) -> Vla:
        return empty_vla(self.model.config)

    def draw_times(self, count: int, rng: np.random.Generator) -> Tensor:
        """Flow times: 0 is noise, 1 is action."""
        head = self.model.config.head
        return sample_time(count, alpha=head.beta_alpha, beta=head.beta_beta, s=head.noise_s, rng=rng).clamp(min=0)

    def forward(
        self,
        demonstrations: Tensors | None,
        looks: Tensors | None,
        scenes: Tensors | None,
        aux_weight: float,
        shares: Shares = UNSHARED,
    ) -> dict[str, Tensor]:
        """demonstrations: batch of ``Vla.loss``; looks, scenes: pictures, sentences and places as ``Vla.aux_loss`` wants
        them.
        """
        shown: dict[str, Tensor] = {}
        total = next(self.model.parameters()).new_zeros(())
        if demonstrations is not None:
            with self._autocast(demonstrations["state"]):
                losses = self.model.loss(demonstrations)
            total = shares.flow * losses["loss_flow"] + aux_weight * shares.places * losses["loss_aux"]
            shown["flow"] = shares.flow * losses["loss_flow"].detach()
            if bool(demonstrations["aux_mask"].any()):
                shown["find"] = losses["aux_distance"].detach()
        for name, batch, share in (("find", looks, shares.looks), ("find_scenes", scenes, shares.scenes)):
            if batch is not None:
                with self._autocast(batch["pixel_values"]):
                    features = self.model.encode(batch["pixel_values"], batch["input_ids"], batch["attention_mask"])
                found, distance = self.model.aux_loss(features, batch)
                total = total + aux_weight * share * found
                shown[name] = share * distance.detach()
        return {"total": total, **shown}

    def _autocast(self, where: Tensor) -> torch.autocast:
        return torch.autocast(where.device.type, torch.bfloat16, enabled=self._mixed_precision)
