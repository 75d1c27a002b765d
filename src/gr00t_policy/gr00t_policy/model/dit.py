# SPDX-License-Identifier: Apache-2.0
"""The diffusion transformer: even blocks look at the conditioning features, odd blocks at the tokens themselves.

Everything that depends only on flow time (``Modulation``) or only on the features (``Context``) is an argument of
``DiT.forward``, so that callers compute it once. Plain tensor functions without data-dependent control flow.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gr00t_policy.model.config import HeadConfig
from gr00t_policy.model.layers import cosine_first_sinusoid, init_std

TIME_CHANNELS = 256  # of the sinusoid before the time MLP, published
BLOCK_EPS = 1e-5  # LayerNorms inside the blocks, published
OUTPUT_EPS = 1e-6  # LayerNorm before the output, published


class Modulation(NamedTuple):
    """What flow time does. scale, shift: (L, R, D) per block. out_scale, out_shift: (R, D). R may be 1."""

    scale: Tensor
    shift: Tensor
    out_scale: Tensor
    out_shift: Tensor


class Context(NamedTuple):
    """What the features give to cross-attention.

    keys, values: one (B, heads, S, head_dim) per cross block. bias: (B, 1, 1, S) added to scores, None = see all.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    bias: Tensor | None


class Attention(nn.Module):
    """Multi-head attention; q, k, v and out have biases. Keys and values may come from a wider or narrower source."""

    def __init__(self, width: int, cross_dim: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.query = nn.Linear(width, heads * head_dim)
        self.key = nn.Linear(cross_dim, heads * head_dim)
        self.value = nn.Linear(cross_dim, heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)

    def split(self, x: Tensor) -> Tensor:
        """(B, S, heads * head_dim) -> (B, heads, S, head_dim)."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.head_dim).transpose(1, 2)

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
        """x (R, T, D), keys and values (B, heads, S, head_dim) with R = B * K -> (R, T, D).

        Sample r uses row r // K: the K samples of one row are one longer query, since queries do not see each other.
        """
        rows, tokens, _ = x.shape
        query = self.split(self.query(x).reshape(keys.shape[0], -1, self.heads * self.head_dim))
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=bias)
        return self.out(mixed.transpose(1, 2).reshape(rows, tokens, self.heads * self.head_dim))


class Block(nn.Module):
    """AdaLN, attention, residual; LayerNorm, feed-forward, residual. Dropout stands where the published model has it."""

    def __init__(self, config: HeadConfig, *, cross: bool) -> None:
        super().__init__()
        width, inner = config.width, config.width * config.ff_mult
        self.modulation = nn.Linear(width, 2 * width)
        self.attention = Attention(width, config.cross_dim if cross else width, config.heads, config.head_dim)
        self.ff_in = nn.Linear(width, inner)
        self.ff_out = nn.Linear(inner, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, h: Tensor, scale: Tensor, shift: Tensor, keys_values: tuple | None, bias: Tensor | None
    ) -> Tensor:
        """h (R, T, D), scale and shift (R or 1, D); ``keys_values`` None means self-attention."""
        x = F.layer_norm(h, h.shape[-1:], eps=BLOCK_EPS) * (1 + scale[:, None]) + shift[:, None]
        if keys_values is None:
            keys_values = self.attention.split(self.attention.key(x)), self.attention.split(self.attention.value(x))
        h = h + self.dropout(self.dropout(self.attention(x, *keys_values, bias)))
        x = F.layer_norm(h, h.shape[-1:], eps=BLOCK_EPS)
        return h + self.dropout(self.ff_out(self.dropout(F.gelu(self.ff_in(x), approximate="tanh"))))


class DiT(nn.Module):
    """Blocks with time modulation; (R, T, D) tokens in, (R, T, hidden) out."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.time_in = nn.Linear(TIME_CHANNELS, width)
        self.time_out = nn.Linear(width, width)
        blocks = nn.ModuleList(Block(config, cross=i % 2 == 0) for i in range(config.layers))
        self.blocks = cast("list[Block]", blocks)  # ModuleList forgets the type of its items
        self.out_modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, config.hidden)
        self._initialise()

    def modulation(self, buckets: Tensor) -> Modulation:
        """(R,) integer flow times -> everything in the DiT that depends on them alone."""
        sinusoid = cosine_first_sinusoid(buckets, TIME_CHANNELS).to(self.time_in.weight.dtype)
        time = F.silu(self.time_out(F.silu(self.time_in(sinusoid))))
        scale, shift = torch.stack([block.modulation(time) for block in self.blocks]).chunk(2, dim=-1)
        out_shift, out_scale = self.out_modulation(time).chunk(2, dim=-1)  # published order: the reverse of the blocks
        return Modulation(scale, shift, out_scale, out_shift)

    def context(self, features: Tensor, mask: Tensor) -> Context:
        """features (B, S, cross_dim), mask (B, S) with 1 = real -> keys and values of every cross block."""
        attentions = [block.attention for block in self.blocks[::2]]
        keys = tuple(attention.split(attention.key(features)) for attention in attentions)
        values = tuple(attention.split(attention.value(features)) for attention in attentions)
        return Context(keys, values, None if self.config.attend_padding else padding_bias(mask, features.dtype))

    def forward(self, tokens: Tensor, modulation: Modulation, context: Context) -> Tensor:
        h = tokens
        for i, block in enumerate(self.blocks):
            cross = (context.keys[i // 2], context.values[i // 2]) if i % 2 == 0 else None
            bias = context.bias if i % 2 == 0 else None
            h = block(h, modulation.scale[i], modulation.shift[i], cross, bias)
        h = F.layer_norm(h, h.shape[-1:], eps=OUTPUT_EPS)
        return self.out(h * (1 + modulation.out_scale[:, None]) + modulation.out_shift[:, None])

    def _initialise(self) -> None:
        """Truncated normal weights, zero biases; with ``zero_init`` the modulation starts as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                std = init_std(module.in_features, fan_in=self.config.fan_in_init)
                nn.init.trunc_normal_(module.weight, std=std, a=-3 * std, b=3 * std)
                nn.init.zeros_(module.bias)
        if self.config.zero_init:
            for module in (self.out_modulation, *(block.modulation for block in self.blocks)):
                nn.init.zeros_(module.weight)


def padding_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """(B, S) with 1 = real -> (B, 1, 1, S): 0 where real, the lowest finite number elsewhere (finite: no NaN rows)."""
    return (1 - mask[:, None, None].to(dtype)) * torch.finfo(dtype).min
