# SPDX-License-Identifier: Apache-2.0
"""The Diffusion Policy as one network: encode, act, and the loss that trains it. Knows tensors only: no files, no robot."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gr00t_policy.baseline.config import DiffusionConfig
from gr00t_policy.baseline.diffusion import add_noise, alpha_bars, ddim, sampled_steps
from gr00t_policy.baseline.eye import ObservationEncoder
from gr00t_policy.baseline.unet import ConditionalUnet1d
from gr00t_policy.model.flow import flow_loss


class DiffusionPolicy(nn.Module):
    """Images, sentence and joint state to normalised actions. ``backbone`` looks and reads, ``head`` denoises."""

    alpha_bar: Tensor

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ObservationEncoder(config.vision, config.sentence)
        self.head = ConditionalUnet1d(config.head)
        self.register_buffer("alpha_bar", alpha_bars(config.schedule.train_steps), persistent=False)

    def encode(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """pixel_values (B, V, 3, H, W), input_ids and attention_mask (B, S) -> features (B, cross_dim)."""
        return self.backbone(pixel_values, input_ids, attention_mask)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean squared error () of the predicted noise over all real numbers, of B pictures with R = B * K action samples.

        pixel_values (B, V, 3, H, W), input_ids, attention_mask (B, S); state (R, 1, state_dim), action, action_mask and
        noise (R, T, A), t (R,) diffusion steps. Sample r belongs to picture r // K.
        """
        features = self.encode(batch["pixel_values"], batch["input_ids"], batch["attention_mask"])
        steps, noise = batch["t"], batch["noise"]
        samples = len(steps) // len(features)
        condition = torch.cat([features.repeat_interleave(samples, dim=0), batch["state"][:, 0]], dim=-1)
        noisy = add_noise(batch["action"], noise, self.alpha_bar[steps])
        predicted = self.head(noisy, self.head.film(self.head.embed_steps(steps), condition))
        return flow_loss(predicted, noise, batch["action_mask"]).mean  # the same masked mean, of another target

    def act(self, features: Tensor, state: Tensor, noise: Tensor, sample_steps: int | None = None) -> Tensor:
        """One chunk of normalised actions (1, T, A) by DDIM. features (1, cross_dim), state (1, 1, state_dim), noise
        (1, T, A). sample_steps: default the configuration's."""
        schedule = self.config.schedule
        count = sample_steps or schedule.sample_steps
        visited = torch.tensor(sampled_steps(schedule.train_steps, count), device=noise.device)
        condition = torch.cat([features, state[:, 0]], dim=-1).expand(count, -1)
        film = self.head.film(self.head.embed_steps(visited), condition)  # of all steps at once: x is not needed for it

        def predict_noise(x: Tensor, number: int) -> Tensor:
            return self.head(x, [part[number : number + 1] for part in film])

        return ddim(predict_noise, noise, self.alpha_bar, count, clip=schedule.clip)


def build_diffusion_policy(config: DiffusionConfig, seed: int) -> DiffusionPolicy:
    """A freshly initialised network; the same seed gives the same weights and torch's global state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DiffusionPolicy(config)
