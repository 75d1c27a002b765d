# SPDX-License-Identifier: Apache-2.0
"""What one step of training a Diffusion Policy minimises, for the loop that trains all networks."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from gr00t_policy.baseline.diffusion import draw_steps
from gr00t_policy.baseline.network import DiffusionPolicy, build_diffusion_policy
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.training.objective import UNSHARED, Shares, StepObjective, Tensors


class NoiseObjective(StepObjective):
    """Error of the predicted noise on demonstrations; it learns from nothing else."""

    shown = ("noise",)

    def __init__(self, model: DiffusionPolicy, *, mixed_precision: bool) -> None:
        super().__init__()
        self.model: DiffusionPolicy = model
        self._mixed_precision = mixed_precision

    @property
    def backbone(self) -> nn.Module:
        return self.model.backbone

    def freeze(self, parts: Sequence[str]) -> tuple[nn.Module, ...]:
        """Nothing can be frozen: it is trained from scratch."""
        if parts:
            raise ConfigError(f"a Diffusion Policy is trained as a whole; frozen names {', '.join(parts)}")
        return ()

    def empty(self) -> DiffusionPolicy:
        return build_diffusion_policy(self.model.config, 0)

    def draw_times(self, count: int, rng: np.random.Generator) -> Tensor:
        """Diffusion steps."""
        return draw_steps(count, self.model.config.schedule.train_steps, rng)

    def forward(
        self,
        demonstrations: Tensors | None,
        looks: Tensors | None,
        scenes: Tensors | None,
        aux_weight: float,
        shares: Shares = UNSHARED,
    ) -> dict[str, Tensor]:
        """demonstrations: batch of ``DiffusionPolicy.loss``. Raises ConfigError when asked to learn localisation."""
        if demonstrations is None or looks is not None or scenes is not None:
            raise ConfigError(
                "a Diffusion Policy learns from demonstrations alone; its stages have images_per_step only"
            )
        with torch.autocast(demonstrations["state"].device.type, torch.bfloat16, enabled=self._mixed_precision):
            loss = shares.flow * self.model.loss(demonstrations)
        return {"total": loss, "noise": loss.detach()}
