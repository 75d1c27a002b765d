# SPDX-License-Identifier: Apache-2.0
"""Pictures and sentence to one vector: what the Diffusion Policy is told besides the joint state.

ResNet (He et al. 2016) with GroupNorm (Wu and He 2018) and spatial softmax (Levine et al. 2016), as section 3.2 of the
paper wants it. Ours is that the sentence scales and shifts the features of the later stages (FiLM, Perez et al. 2018), as
language-conditioned imitation does (e.g. RT-1, BC-Z), so that the points can lie on what is named.
"""

import torch
from torch import Tensor, nn

from gr00t_policy.baseline.config import EyeConfig, SentenceConfig


class ObservationEncoder(nn.Module):
    """Features (B, cross_dim) of B observations of V pictures and a sentence."""

    def __init__(self, vision: EyeConfig, sentence: SentenceConfig) -> None:
        super().__init__()
        self.eye = Eye(vision, sentence.width)
        self.sentence = SentenceEncoder(sentence)

    def forward(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """pixel_values (B, V, 3, H, W), input_ids and attention_mask (B, S), padded on the right -> (B, V 2 points + width)."""
        rows, views = pixel_values.shape[:2]
        told = self.sentence(input_ids, attention_mask)
        points = self.eye(pixel_values.flatten(0, 1), told.repeat_interleave(views, dim=0))
        return torch.cat([points.reshape(rows, -1), told], dim=-1)


class SentenceEncoder(nn.Module):
    """The state of a GRU after the last word piece; of no words at all, zeros."""

    def __init__(self, config: SentenceConfig) -> None:
        super().__init__()
        self.pieces = nn.Embedding(config.vocab, config.embedding)
        self.reader = nn.GRU(config.embedding, config.width, batch_first=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(B, S), padded on the right -> (B, width)."""
        states, _ = self.reader(self.pieces(input_ids))
        length = attention_mask.sum(dim=1)
        last = (length - 1).clamp(min=0)[:, None, None].expand(-1, 1, states.shape[-1])
        return states.gather(1, last)[:, 0] * (length > 0)[:, None].to(states.dtype)


class Eye(nn.Module):
    """Places (u, v) in -1..1 of ``points`` things in a picture, found with the sentence in mind."""

    def __init__(self, config: EyeConfig, told: int) -> None:
        super().__init__()
        widths = [config.width * 2**stage for stage in range(config.stages)]
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False),
            nn.GroupNorm(config.groups, widths[0]),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleList()
        inside = widths[0]
        for stage, width in enumerate(widths):
            self.blocks.append(PictureBlock(inside, width, 2 if stage == 1 else 1, config.groups, told))
            self.blocks.append(PictureBlock(width, width, 1, config.groups, told))
            inside = width
        self.to_points = nn.Conv2d(inside, config.points, 1)

    def forward(self, pictures: Tensor, told: Tensor) -> Tensor:
        """pictures (N, 3, H, W) in -1..1, told (N, ...) -> (N, 2 points): all u, then all v."""
        hidden = self.stem(pictures)
        for block in self.blocks:
            hidden = block(hidden, told)
        return spatial_softmax(self.to_points(hidden))


class PictureBlock(nn.Module):
    """Basic block of a ResNet; the sentence scales and shifts its channels before they are added to what came in."""

    def __init__(self, inside: int, outside: int, stride: int, groups: int, told: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.GroupNorm(groups, outside)
        self.second = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.second_norm = nn.GroupNorm(groups, outside)
        self.film = nn.Linear(told, 2 * outside)
        nn.init.zeros_(self.film.bias)
        straight = inside == outside and stride == 1
        self.skip: nn.Module = nn.Identity() if straight else nn.Conv2d(inside, outside, 1, stride=stride, bias=False)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """x (N, C, H, W), told (N, ...) -> (N, C', H', W')."""
        scale, shift = self.film(told)[..., None, None].chunk(2, dim=1)
        hidden = torch.relu(self.first_norm(self.first(x)))
        hidden = (1 + scale) * self.second_norm(self.second(hidden)) + shift
        return torch.relu(hidden + self.skip(x))


def spatial_softmax(maps: Tensor) -> Tensor:
    """(N, K, H, W) -> (N, 2 K): where each map's softmax has its middle, u to the right and v down, edges at -1 and 1."""
    height, width = maps.shape[-2:]
    shares = maps.flatten(2).softmax(dim=-1).unflatten(-1, (height, width))
    across = torch.linspace(-1, 1, width, device=maps.device, dtype=maps.dtype)
    down = torch.linspace(-1, 1, height, device=maps.device, dtype=maps.dtype)
    return torch.cat([(shares.sum(dim=-2) * across).sum(dim=-1), (shares.sum(dim=-1) * down).sum(dim=-1)], dim=-1)
