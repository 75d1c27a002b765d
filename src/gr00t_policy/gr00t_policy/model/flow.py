# SPDX-License-Identifier: Apache-2.0
"""Flow matching: the one place that says what flow time is. t = 0 is noise, t = 1 is action. Knows no network."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class FlowLoss(NamedTuple):
    """mean: () over all unmasked numbers, as published. per_sample: (R,) each over its own unmasked numbers."""

    mean: Tensor
    per_sample: Tensor


def sample_time(count: int, *, alpha: float, beta: float, s: float, rng: np.random.Generator) -> Tensor:
    """(count,) float32 flow times for training: t = (s - u) / s with u ~ Beta(alpha, beta); favours noisy times."""
    u = rng.beta(alpha, beta, size=count)
    return torch.from_numpy(((s - u) / s).astype(np.float32))


def interpolate(noise: Tensor, actions: Tensor, t: Tensor) -> Tensor:
    """Point at time t (R,) on the straight path from noise to actions, both (R, T, A)."""
    t = t[:, None, None].to(actions.dtype)
    return (1 - t) * noise + t * actions


def target_velocity(noise: Tensor, actions: Tensor) -> Tensor:
    """d/dt of ``interpolate``: the same at every t."""
    return actions - noise


def bucket_of(t: Tensor, buckets: int) -> Tensor:
    """(R,) int64: the integer that both time embeddings take; truncates towards zero as published."""
    return (t * buckets).long()


def euler_buckets(steps: int, buckets: int) -> tuple[int, ...]:
    """The bucket of each Euler step: 0, 250, 500, 750 for 4 steps and 1000 buckets."""
    return tuple(int(k / steps * buckets) for k in range(steps))


def euler(
    velocity: Callable[[Tensor, int], Tensor],
    noise: Tensor,
    steps: int,
    corrected: Callable[[Tensor, float], Tensor] | None = None,
) -> Tensor:
    """Integrate x' = velocity(x, step index) from noise at t = 0 to actions at t = 1 in equal steps.

    corrected: of x and t after each step, what to go on with.
    """
    x = noise
    for k in range(steps):
        x = x + velocity(x, k) / steps
        if corrected is not None:
            x = corrected(x, (k + 1) / steps)
    return x


def flow_loss(predicted: Tensor, target: Tensor, mask: Tensor) -> FlowLoss:
    """Masked squared error of velocities, all (R, T, A); mask is 1 where the action is real."""
    mask = mask.to(predicted.dtype)
    error = (predicted - target).square() * mask
    per_sample = error.sum((1, 2)) / mask.sum((1, 2)).clamp(min=1)
    return FlowLoss(error.sum() / mask.sum().clamp(min=1), per_sample)
