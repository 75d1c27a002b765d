# SPDX-License-Identifier: Apache-2.0
"""What one step of training minimises, as one module with one ``forward``: what data-parallel training can wrap."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gr00t_policy.model.vla import Vla

Tensors = Mapping[str, Tensor]


class Objective(nn.Module):
    """Flow matching on demonstrations, localisation on them and on still scenes; each part only where it is given."""

    def __init__(self, model: Vla, *, mixed_precision: bool) -> None:
        super().__init__()
        self.model = model
        self._mixed_precision = mixed_precision

    def forward(
        self,
        demonstrations: Tensors | None,
        looks: Tensors | None,
        scenes: Tensors | None,
        aux_weight: float,
        shares: tuple[float, float] = (1.0, 1.0),
    ) -> dict[str, Tensor]:
        """``total`` () to minimise; for the log, without gradient, ``flow``, ``find`` and ``find_scenes`` where known.

        demonstrations: batch of ``Vla.loss``; looks, scenes: pictures, sentences and places as ``Vla.aux_loss`` wants them.
        shares: what the demonstrations' flow and localisation losses count for, when they are a part of a step whose parts
        hold different numbers of valid actions and labels.
        """
        shown: dict[str, Tensor] = {}
        total = next(self.model.parameters()).new_zeros(())
        if demonstrations is not None:
            device = demonstrations["state"].device.type
            with torch.autocast(device, torch.bfloat16, enabled=self._mixed_precision):
                losses = self.model.loss(demonstrations)
            flow, aux = shares
            total = flow * losses["loss_flow"] + aux_weight * aux * losses["loss_aux"]
            shown["flow"] = flow * losses["loss_flow"].detach()
            if bool(demonstrations["aux_mask"].any()):
                shown["find"] = losses["aux_distance"].detach()
        for name, batch in (("find", looks), ("find_scenes", scenes)):
            if batch is not None:
                features = self.model.encode(batch["pixel_values"], batch["input_ids"], batch["attention_mask"])
                found, distance = self.model.aux_loss(features, batch)
                total = total + aux_weight * found
                shown[name] = distance.detach()
        return {"total": total, **shown}
