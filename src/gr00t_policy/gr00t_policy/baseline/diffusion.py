# SPDX-License-Identifier: Apache-2.0
"""Diffusion: the one place that says what a diffusion step is. Step 0 has the least noise, the last one is nearly all noise.

Forward process and loss: Ho et al., Denoising Diffusion Probabilistic Models (DDPM, arXiv 2006.11239), equations 4 and 14.
Schedule: Nichol and Dhariwal, Improved DDPM (arXiv 2102.09672), equation 17, s = 0.008, each beta at most 0.999.
Sampler: Song et al., Denoising Diffusion Implicit Models (DDIM, arXiv 2010.02502), equation 12 with sigma = 0.
Knows no network.
"""

import itertools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

_OFFSET = 0.008  # s of the squared cosine: the first steps are not too small
_LARGEST_BETA = 0.999


def alpha_bars(steps: int) -> Tensor:
    """(steps,) float32: share of the signal's variance that is left after each step; falls from nearly 1 to nearly 0."""

    def remaining(step: int) -> float:
        return math.cos((step / steps + _OFFSET) / (1 + _OFFSET) * math.pi / 2) ** 2

    betas = [min(1 - remaining(step + 1) / remaining(step), _LARGEST_BETA) for step in range(steps)]
    return torch.from_numpy(np.cumprod(1 - np.array(betas))).float()


def draw_steps(count: int, steps: int, rng: np.random.Generator) -> Tensor:
    """(count,) int64 diffusion steps for training: each as likely as any other."""
    return torch.from_numpy(rng.integers(steps, size=count))


def add_noise(actions: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Actions (R, T, A) after the steps whose ``alpha_bar`` (R,) is given: sqrt(a) x0 + sqrt(1 - a) noise."""
    share = alpha_bar[:, None, None].to(actions.dtype)
    return share.sqrt() * actions + (1 - share).sqrt() * noise


def sampled_steps(train_steps: int, sample_steps: int) -> tuple[int, ...]:
    """Diffusion steps that the sampler visits, noisiest first, evenly spaced and down to 0: 90, 80 ... 0 for 100 and 10."""
    spacing, left = divmod(train_steps, sample_steps)
    assert left == 0, "the configuration refuses others: check_sample_steps"
    return tuple(k * spacing for k in reversed(range(sample_steps)))


def ddim(
    predict_noise: Callable[[Tensor, int], Tensor],
    noise: Tensor,
    alpha_bar: Tensor,
    sample_steps: int,
    *,
    clip: bool,
) -> Tensor:
    """Actions from ``noise`` (R, T, A), without drawing anything: the same noise gives the same actions.

    predict_noise: (x, number of the visited step: 0, 1, ...) -> the noise in x. alpha_bar: of all training steps. clip:
    each estimate of the actions is kept within -1..1.
    """
    visited = sampled_steps(len(alpha_bar), sample_steps)
    shares = [*(float(alpha_bar[step]) for step in visited), 1.0]  # after the last step nothing but signal is left
    x = noise
    for number, (share, following) in enumerate(itertools.pairwise(shares)):
        predicted = predict_noise(x, number)
        actions = (x - math.sqrt(1 - share) * predicted) / math.sqrt(share)
        if clip:
            actions = actions.clamp(-1, 1)
        x = math.sqrt(following) * actions + math.sqrt(1 - following) * predicted
    return x
