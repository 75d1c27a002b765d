# SPDX-License-Identifier: Apache-2.0
"""The whole network: encode (System 2), act (System 1) and the loss that trains both together."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gr00t_policy.model.action_head import ActionHead
from gr00t_policy.model.backbone import Backbone, image_slots
from gr00t_policy.model.config import ModelConfig
from gr00t_policy.model.localiser import Localiser


class Vla(nn.Module):
    """Images, sentence and joint state to normalised actions. Knows tensors only: no files, no robot, no clock.

    ``aux`` (only with aux_targets) is used by training alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.head = ActionHead(config.head)
        points = config.aux_targets // 2
        self.aux = Localiser(config.head.cross_dim, points, config.vision.token_grid) if points else None

    def encode(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """pixel_values (B, V, 3, H, W), input_ids and attention_mask (B, S) -> conditioning features (B, S, D)."""
        return self.backbone(pixel_values, input_ids, attention_mask)

    def act(
        self,
        features: Tensor,
        mask: Tensor,
        state: Tensor,
        embodiment_id: Tensor,
        noise: Tensor,
        steps: int | None = None,
    ) -> Tensor:
        """features (B, S, D), mask (B, S), state (B, 1, state_dim), noise (B, T, A) -> normalised actions (B, T, A)."""
        return self.head.sample(features, mask, state, embodiment_id, noise, steps)

    def locate(self, features: Tensor, input_ids: Tensor) -> Tensor:
        """(B, points, 2): where the auxiliary readout sees the things named, (u, v) in -1..1."""
        assert self.aux is not None, "this configuration has aux_targets 0"
        return self.aux(features, *self._image_slots(input_ids))[0]

    def loss(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Both losses of a batch of B images with R = B * K action samples.

        pixel_values (B, V, 3, H, W), input_ids, attention_mask (B, S); state (R, 1, state_dim), embodiment_id (R,),
        action, action_mask, noise (R, T, A), t (R,); optional sample_to_image (R,): image of each action sample,
        without it sample r belongs to image r // K; optional aux_target, aux_mask (B, aux_targets).
        Returns loss_flow (), loss_flow_per_sample (R,), loss_aux () (0 without targets), aux_distance () without gradient.
        """
        features = self.encode(batch["pixel_values"], batch["input_ids"], batch["attention_mask"])
        context, mask = features, batch["attention_mask"]
        if "sample_to_image" in batch:
            context, mask = features[batch["sample_to_image"]], mask[batch["sample_to_image"]]
        flow = self.head.forward_loss(
            context,
            mask,
            batch["state"],
            _shared(batch["embodiment_id"]),
            batch["action"],
            batch["action_mask"],
            batch["noise"],
            batch["t"],
        )
        zero = flow.mean.new_zeros(())
        loss_aux, distance = zero, zero
        if self.aux is not None and "aux_target" in batch:
            loss_aux, distance = self.aux_loss(features, batch)
        return {
            "loss_flow": flow.mean,
            "loss_flow_per_sample": flow.per_sample,
            "loss_aux": loss_aux,
            "aux_distance": distance,
        }

    def aux_loss(self, features: Tensor, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(loss (), mean distance () in half images) of the auxiliary localisation; input_ids, aux_target, aux_mask."""
        assert self.aux is not None, "this configuration has aux_targets 0"
        slots = self._image_slots(batch["input_ids"])
        with torch.autocast(features.device.type, enabled=False):  # places are wanted to a third of a pixel
            return self.aux.loss(features.float(), *slots, batch["aux_target"], batch["aux_mask"])

    def _image_slots(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        return image_slots(input_ids, self.config.image_token_id, self.config.vision.tokens)


def build_vla(config: ModelConfig, seed: int) -> Vla:
    """A freshly initialised network; the same seed gives the same weights and torch's global state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Vla(config)


def empty_vla(config: ModelConfig) -> Vla:
    """The network in float32 on the CPU with memory for its weights but nothing drawn at random: to be filled from files."""
    with torch.device("meta"):
        model = Vla(config)
    model.to_empty(device="cpu")
    model.backbone.make_buffers("cpu")
    return model


def _shared(embodiment_id: Tensor) -> Tensor:
    """One id for all samples when they are the same: then no per-sample copies of embodiment weights are made."""
    return embodiment_id[:1] if bool((embodiment_id == embodiment_id[0]).all()) else embodiment_id
