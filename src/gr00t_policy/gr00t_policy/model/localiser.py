# SPDX-License-Identifier: Apache-2.0
"""Auxiliary localisation: where in the first image is the thing the sentence names, read from the image tokens.

Each image token gives, per point, a relevance logit and a small offset; the point is the relevance-weighted mean of token
centres plus offsets. The loss is the distance, whose gradient stays as strong for the last half pixel as before, and
a cross-entropy whose labels are the bilinear weights of the target on the token grid: it has a strong gradient from the
first step, and its optimum is the target itself.
Coordinates (u, v): u to the right, v down, -1 and 1 at the image's edges.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CROSS_ENTROPY_WEIGHT = 0.1  # nats against half-images; chosen so that both terms are of order 0.1 early on
_ROUND = 0.005  # half-images (a third of a pixel of 112): nearer than that the distance counts squared


class Localiser(nn.Module):
    """Linear readout of ``points`` image points from features (B, S, D) on a square token grid."""

    def __init__(self, width: int, points: int, token_grid: int) -> None:
        super().__init__()
        self.points = points
        self.token_grid = token_grid
        self.readout = nn.Linear(width, 3 * points)  # per point: logit, du, dv in token spacings
        nn.init.trunc_normal_(self.readout.weight, std=0.02)
        nn.init.zeros_(self.readout.bias)

    def forward(self, features: Tensor, is_image: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, S, D); is_image and index (B, S) say which tokens are image tokens and which ones.

        Returns (coordinates (B, points, 2), log relevance (B, S, points)).
        """
        tokens = self.token_grid**2
        count = is_image.long().cumsum(dim=1)
        first_view = (is_image & (count <= tokens))[..., None]
        logits, offsets = self.readout(features).split([self.points, 2 * self.points], dim=-1)
        log_relevance = logits.masked_fill(~first_view, torch.finfo(logits.dtype).min).log_softmax(dim=1)
        centres = token_centres(self.token_grid, features.dtype, features.device)[index.clamp(max=tokens - 1)]
        offsets = offsets.unflatten(-1, (self.points, 2)) * (2.0 / self.token_grid)
        places = centres[:, :, None] + offsets  # (B, S, points, 2)
        return (log_relevance.exp()[..., None] * places).sum(dim=1), log_relevance

    def loss(
        self, features: Tensor, is_image: Tensor, index: Tensor, target: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """target and mask (B, 2 * points), mask 1 where known -> (loss (), mean distance () in half images)."""
        found, log_relevance = self(features, is_image, index)
        target = target.unflatten(-1, (self.points, 2))
        known = mask.unflatten(-1, (self.points, 2)).amin(dim=-1).to(found.dtype)  # (B, points)
        total = known.sum().clamp(min=1)
        squared = (found - target).square().sum(dim=-1)
        labels = bilinear_weights(target, self.token_grid)  # (B, points, tokens)
        relevance = torch.gather(
            log_relevance, 1, _image_order(is_image, self.token_grid**2)[..., None].expand(-1, -1, self.points)
        )
        entropy = -(labels * relevance.transpose(1, 2)).sum(dim=-1)
        rounded = (squared + _ROUND**2).sqrt() - _ROUND
        loss = ((rounded + CROSS_ENTROPY_WEIGHT * entropy) * known).sum() / total
        distance = (squared.detach().sqrt() * known).sum() / total
        return loss, distance


def token_centres(token_grid: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(tokens, 2): (u, v) of token centres, row by row."""
    axis = (torch.arange(token_grid, dtype=dtype, device=device) + 0.5) * (2.0 / token_grid) - 1.0
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(-1, 2)


def bilinear_weights(points: Tensor, token_grid: int) -> Tensor:
    """(..., 2) -> (..., tokens): non-negative, sum 1, mean of centres = the point (clamped to the outermost centres)."""
    position = ((points + 1) * (token_grid / 2) - 0.5).clamp(0, token_grid - 1)
    cells = torch.arange(token_grid, dtype=points.dtype, device=points.device)
    u, v = (F.relu(1 - (position[..., i : i + 1] - cells).abs()) for i in (0, 1))
    return (v[..., :, None] * u[..., None, :]).flatten(-2)


def _image_order(is_image: Tensor, tokens: int) -> Tensor:
    """(B, S) -> (B, tokens): places of the first ``tokens`` image tokens in each row, in order."""
    return torch.argsort(is_image.int(), dim=1, descending=True, stable=True)[:, :tokens]
