# SPDX-License-Identifier: Apache-2.0
"""The noise predictor: a U-Net of 1-D convolutions over the action horizon (section 3.1 of the paper, CNN version).

Blocks, order and FiLM as in the paper's program: Conv1d, GroupNorm, Mish; two per residual block, scale and shift from the
condition after the first; two residual blocks per level. Plain tensor functions without data-dependent control flow.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gr00t_policy.baseline.config import DenoiserConfig

Film = list[Tensor]
"""Scale and shift (R, 2 C, 1) of each residual block, in their order."""


class ConditionalUnet1d(nn.Module):
    """R samples of T steps of A numbers; condition (R, cross_dim + state_dim)."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        kernel, groups = config.kernel, config.groups
        condition = config.time_width + config.cross_dim + config.state_dim
        widths = [config.width * 2**level for level in range(config.levels)]
        self.time_in = nn.Linear(config.time_width, 4 * config.time_width)
        self.time_out = nn.Linear(4 * config.time_width, config.time_width)

        def pair(inside: int, outside: int) -> "Pair":
            return Pair(inside, outside, condition, kernel, groups)

        inputs = [config.action_dim, *widths[:-1]]
        self.down = nn.ModuleList(pair(inside, outside) for inside, outside in zip(inputs, widths, strict=True))
        self.shrink = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2, padding=1) for width in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        self.up = nn.ModuleList(pair(4 * width, width) for width in reversed(widths[:-1]))  # 2 from below, 2 across
        self.grow = nn.ModuleList(
            nn.ConvTranspose1d(width, width, 4, stride=2, padding=1) for width in reversed(widths[:-1])
        )
        self.last = ConvBlock(widths[0], widths[0], kernel, groups)
        self.out = nn.Conv1d(widths[0], config.action_dim, 1)

    def embed_steps(self, steps: Tensor) -> Tensor:
        """(N,) diffusion steps -> (N, time_width)."""
        half = self.config.time_width // 2
        # frequencies 1 ... 1/10000 as in Vaswani et al. 2017
        rates = torch.exp(torch.arange(half, device=steps.device) * (-math.log(10000.0) / (half - 1)))
        angles = steps[:, None].float() * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).to(self.time_in.weight.dtype)
        return self.time_out(nn.functional.mish(self.time_in(waves)))

    def film(self, time: Tensor, condition: Tensor) -> Film:
        """What the embedded step (R, time_width) and the condition (R, ...) do to every residual block."""
        heard = nn.functional.mish(torch.cat([time, condition], dim=-1))
        return [block.film(heard)[..., None] for block in self._blocks()]

    def forward(self, x: Tensor, film: Film) -> Tensor:
        """Noise (R, T, A) in noisy actions x (R, T, A)."""
        told = iter(film)
        hidden = x.transpose(1, 2)
        across: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            hidden = blocks(hidden, told)
            across.append(hidden)
            if level < len(self.shrink):
                hidden = self.shrink[level](hidden)
        hidden = self.middle(hidden, told)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            hidden = grow(blocks(torch.cat([hidden, across.pop()], dim=1), told))
        return self.out(self.last(hidden)).transpose(1, 2)

    def _blocks(self) -> list["ResidualBlock"]:
        """In the order in which ``forward`` goes through them, which is that of ``__init__``."""
        return [block for block in self.modules() if isinstance(block, ResidualBlock)]


class ConvBlock(nn.Sequential):
    """Conv1d, GroupNorm, Mish; the number of steps stays."""

    def __init__(self, inside: int, outside: int, kernel: int, groups: int) -> None:
        super().__init__(
            nn.Conv1d(inside, outside, kernel, padding=kernel // 2), nn.GroupNorm(groups, outside), nn.Mish()
        )


class ResidualBlock(nn.Module):
    """Two convolutions; between them scale and shift of every channel, as the condition says (FiLM, Perez et al. 2018)."""

    def __init__(self, inside: int, outside: int, condition: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = ConvBlock(inside, outside, kernel, groups)
        self.second = ConvBlock(outside, outside, kernel, groups)
        self.film = nn.Linear(condition, 2 * outside)
        self.skip = nn.Conv1d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """x (R, C, T), film (R or 1, 2 C', 1) -> (R, C', T)."""
        scale, shift = film.chunk(2, dim=1)
        return self.second(scale * self.first(x) + shift) + self.skip(x)


class Pair(nn.Module):
    """The two residual blocks of one level."""

    def __init__(self, inside: int, outside: int, condition: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.first = ResidualBlock(inside, outside, condition, kernel, groups)
        self.second = ResidualBlock(outside, outside, condition, kernel, groups)

    def forward(self, x: Tensor, told: Iterator[Tensor]) -> Tensor:
        """x (R, C, T) -> (R, C', T); takes the next two of ``told``."""
        return self.second(self.first(x, next(told)), next(told))
