# SPDX-License-Identifier: Apache-2.0
"""Parts of the action head: per-embodiment layers, the two sinusoids, the action encoder.

Embodiment ids are (R,), one per sample, or (1,) when all samples belong to one embodiment: then a slot's weights are
used as one plain matrix instead of being copied per sample, which is what makes training on a CPU affordable.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cosine_first_sinusoid(buckets: Tensor, channels: int) -> Tensor:
    """(R,) int -> (R, channels) float32: time input of the DiT; cosines then sines, divisor half - 1."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=buckets.device) / (half - 1)
    angles = buckets.float()[:, None] * torch.exp(-math.log(10000.0) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def sine_first_sinusoid(buckets: Tensor, channels: int) -> Tensor:
    """(R,) int -> (R, channels) float32: time input of the action encoder; sines then cosines, divisor half."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=buckets.device) / half
    angles = buckets.float()[:, None] * torch.exp(-math.log(10000.0) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class CategorySpecificLinear(nn.Module):
    """One linear layer per embodiment: W [E, in, out] (not the nn.Linear layout), b [E, out]."""

    def __init__(self, embodiments: int, width_in: int, width_out: int, std: float = 0.02) -> None:
        super().__init__()
        self.W = nn.Parameter(std * torch.randn(embodiments, width_in, width_out))
        self.b = nn.Parameter(torch.zeros(embodiments, width_out))

    def forward(self, x: Tensor, embodiment: Tensor) -> Tensor:
        """x (R, T, in), embodiment (R,) or (1,) -> (R, T, out)."""
        return select_matmul(x, self.W[embodiment]) + self.b[embodiment][:, None]


class CategorySpecificMLP(nn.Module):
    """Linear, ReLU, linear, per embodiment."""

    def __init__(self, embodiments: int, width_in: int, hidden: int, width_out: int, *, fan_in: bool = False) -> None:
        super().__init__()
        self.layer1 = CategorySpecificLinear(embodiments, width_in, hidden, init_std(width_in, fan_in=fan_in))
        self.layer2 = CategorySpecificLinear(embodiments, hidden, width_out, init_std(hidden, fan_in=fan_in))

    def forward(self, x: Tensor, embodiment: Tensor) -> Tensor:
        return self.layer2(F.relu(self.layer1(x, embodiment)), embodiment)


class ActionEncoder(nn.Module):
    """Noisy actions and flow time to DiT tokens. The share of flow time in W2 can be computed once: ``time_part``."""

    def __init__(self, embodiments: int, action_dim: int, width: int, *, fan_in: bool = False) -> None:
        super().__init__()
        self.width = width
        self.W1 = CategorySpecificLinear(embodiments, action_dim, width, init_std(action_dim, fan_in=fan_in))
        self.W2 = CategorySpecificLinear(embodiments, 2 * width, width, init_std(2 * width, fan_in=fan_in))
        self.W3 = CategorySpecificLinear(embodiments, width, width, init_std(width, fan_in=fan_in))

    def time_part(self, buckets: Tensor, embodiment: Tensor) -> Tensor:
        """(R,) buckets -> (R, D): what W2 adds for flow time, bias included. With one embodiment R is free."""
        tau = sine_first_sinusoid(buckets, self.width).to(self.W2.W.dtype)
        weight = self.W2.W[embodiment, self.width :]
        return select_matmul(tau[:, None], weight)[:, 0] + self.W2.b[embodiment]

    def forward(self, actions: Tensor, embodiment: Tensor, time_part: Tensor) -> Tensor:
        """actions (R, T, A), time_part (R, D) or (1, D) -> (R, T, D). W2 of [a, tau] is W2 of a plus ``time_part``."""
        a = self.W1(actions, embodiment)
        x = F.silu(select_matmul(a, self.W2.W[embodiment, : self.width]) + time_part[:, None])
        return self.W3(x, embodiment)


def select_matmul(x: Tensor, weight: Tensor) -> Tensor:
    """x (R, T, in) by weight (R, in, out), or by one weight (1, in, out) for all samples."""
    return x @ weight[0] if weight.shape[0] == 1 else torch.bmm(x, weight)


def init_std(fan_in_width: int, *, fan_in: bool) -> float:
    """Standard deviation of fresh weights: the published 0.02, or 1/sqrt(fan in) to keep the scale from layer to layer."""
    return fan_in_width**-0.5 if fan_in else 0.02
