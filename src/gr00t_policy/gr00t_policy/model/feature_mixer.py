# SPDX-License-Identifier: Apache-2.0
"""What GR00T N1.5 adds between System 2 and the DiT: the tokens look at each other once more before the DiT looks at them.

A LayerNorm (published ``vlln``), then blocks of self-attention (``vl_self_attention``) without flow time: the work is done once
per message of System 2. It belongs to the action head, as published, so that System 2's features mean the same in a message.
"""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from gr00t_policy.model.config import HeadConfig
from gr00t_policy.model.dit import BLOCK_EPS, Attention


class FeatureMixer(nn.Module):
    """Features (B, S, D) -> (B, S, D), D = ``cross_dim``; bias (B, 1, 1, S) is added to scores, None = all is seen."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.cross_dim)
        blocks = nn.ModuleList(MixerBlock(config) for _ in range(config.mixer_layers))
        self.blocks = cast("list[MixerBlock]", blocks)  # ModuleList forgets the type of its items

    def forward(self, features: Tensor, bias: Tensor | None) -> Tensor:
        h = self.norm(features)
        for block in self.blocks:
            h = block(h, bias)
        return h


class MixerBlock(nn.Module):
    """LayerNorm, self-attention, residual; LayerNorm, feed-forward, residual. Dropout stands where the published model has it."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width, inner = config.cross_dim, config.cross_dim * config.ff_mult
        self.norm_in = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.attention = Attention(width, width, config.mixer_heads, config.mixer_head_dim)
        self.norm_ff = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.ff_in = nn.Linear(width, inner)
        self.ff_out = nn.Linear(inner, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, h: Tensor, bias: Tensor | None) -> Tensor:
        """h (B, S, D), bias (B, 1, 1, S) or None."""
        attention, x = self.attention, self.norm_in(h)
        keys, values = attention.split(attention.key(x)), attention.split(attention.value(x))
        h = h + self.dropout(self.dropout(attention(x, keys, values, bias)))
        x = self.norm_ff(h)
        return h + self.dropout(self.ff_out(self.dropout(F.gelu(self.ff_in(x), approximate="tanh"))))
