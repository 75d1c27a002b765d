# SPDX-License-Identifier: Apache-2.0
"""The action head for one embodiment and one number of Euler steps, with everything constant folded into its weights.

The same function as ``ActionHead.sample_with_context`` (a test compares them) in fewer and plainer operations, which is
what a graph compiler turns into speed: every product with weights is an ``nn.Linear``, linear layers that follow each
other or read the same input are one, the modulation by flow time is in the weights of the layer behind it (one copy per
Euler step), keys come scaled and transposed, the step size is inside the decoder.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gr00t_policy.model.action_head import ActionHead, TimeTables
from gr00t_policy.model.dit import BLOCK_EPS, OUTPUT_EPS, Block
from gr00t_policy.model.layers import CategorySpecificLinear
from gr00t_policy.runtime.known_actions import painted_in

_Modulated = Callable[[list[nn.Linear], Tensor, Tensor], nn.ModuleList]


class FoldedContext(nn.Module):
    """features (1, S, D), mask (1, S) -> bias (1, 1, 1, S), then per cross block keys (1, heads, head_dim, S) scaled
    and transposed, and values (1, heads, S, head_dim)."""

    def __init__(self, head: ActionHead, *, masked: bool = False) -> None:
        """masked: what the mask says is not real is never looked at, whatever the network does with padding of its own."""
        super().__init__()
        self.head, self.masked = head, masked
        self.scale = head.config.head_dim**-0.5

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        context = self.head.precompute_context(features, mask, masked=self.masked)
        bias = torch.zeros_like(mask[:, None, None]) if context.bias is None else context.bias
        pairs = zip(context.keys, context.values, strict=True)
        parts = [part for keys, values in pairs for part in ((keys * self.scale).transpose(2, 3), values)]
        return (bias, *parts)


class FoldedHead(nn.Module):
    """state (1, 1, state_dim), noise (1, T, A), known actions (1, T, A) with weights (1, T, 1), and the outputs of
    ``FoldedContext`` -> normalised actions (1, T, A). With all weights 0 nothing is known."""

    action_time: Tensor
    positions: Tensor
    future: Tensor | None

    def __init__(self, head: ActionHead, slot: int) -> None:
        super().__init__()
        self.steps = head.config.steps
        self.width, self.heads = head.config.width, head.config.heads
        self.not_actions = 1 + head.config.future_tokens
        self.register_buffer("future", None if head.future_tokens is None else head.future_tokens.weight.detach())
        with torch.no_grad():
            tables = TimeTables(*(table.detach() for table in head.time_tables(torch.tensor([slot]))))
            self._fold_ends(head, slot, tables)
        self.blocks = nn.ModuleList(
            _FoldedBlock(block, tables.scale[:, i], tables.shift[:, i], self._modulated, cross=i % 2 == 0)
            for i, block in enumerate(head.dit.blocks)
        )

    def forward(
        self, state: Tensor, noise: Tensor, known: Tensor, weights: Tensor, bias: Tensor, *keys_values: Tensor
    ) -> Tensor:
        before = self._before(state)
        x = noise
        for k in range(self.steps):
            x = x + self._step(x, before, k, bias, keys_values)
            x = painted_in(x, noise, known, weights, (k + 1) / self.steps)
        return x

    def _before(self, state: Tensor) -> Tensor:
        """See ``ActionHead.encode_state``."""
        token = self.state_out(F.relu(self.state_in(state)))
        return token if self.future is None else torch.cat([token, self.future.expand(token.shape[0], -1, -1)], dim=1)

    def _step(self, x: Tensor, before: Tensor, k: int, bias: Tensor, keys_values: tuple[Tensor, ...]) -> Tensor:
        """What Euler step k adds to x."""
        actions = self.action_out(F.silu(self.action_in(x) + self.action_time[k])) + self.positions
        hidden = torch.cat([before, actions], dim=1)
        for i, block in enumerate(self.blocks):
            pair = keys_values[i : i + 2] if i % 2 == 0 else None
            hidden = block(hidden, k, pair, bias)
        hidden = F.layer_norm(hidden[:, self.not_actions :], (self.width,), eps=OUTPUT_EPS)
        added: Tensor = self.decode_out(F.relu(self.decode_in[k](hidden)))
        return added

    def _modulated(self, layers: list[nn.Linear], scale: Tensor, shift: Tensor) -> nn.ModuleList:
        """For each Euler step one layer that gives what all ``layers`` give of x * (1 + scale) + shift, side by side."""
        weight, bias = _side_by_side(layers)
        steps = zip(scale, shift, strict=True)
        return nn.ModuleList(_linear((1 + by)[:, None] * weight, add @ weight + bias) for by, add in steps)

    def _fold_ends(self, head: ActionHead, slot: int, tables: TimeTables) -> None:
        """State encoder, action encoder (W1 and W2 have nothing between them), DiT output joined to the decoder."""
        encoder, decoder, out = head.action_encoder, head.action_decoder, head.dit.out
        self.state_in = _linear(*_slot(head.state_encoder.layer1, slot))
        self.state_out = _linear(*_slot(head.state_encoder.layer2, slot))
        w1, b1 = _slot(encoder.W1, slot)
        w2 = encoder.W2.W[slot, : self.width]
        self.action_in = _linear(w1 @ w2, torch.zeros(self.width))
        self.register_buffer("action_time", tables.action[:, 0] + b1 @ w2)
        self.action_out = _linear(*_slot(encoder.W3, slot))
        self.register_buffer("positions", head.position_embedding.weight[: head.config.horizon].clone())
        w_in, b_in = _slot(decoder.layer1, slot)
        w_out, b_out = _slot(decoder.layer2, slot)
        decode_in = _linear(out.weight.T @ w_in, out.bias @ w_in + b_in)
        self.decode_in = self._modulated([decode_in], tables.out_scale, tables.out_shift)
        self.decode_out = _linear(w_out / self.steps, b_out / self.steps)


class FoldedPass(FoldedHead):
    """One Euler step of N chunks in flight, N = Euler steps, through one copy of the weights; see ``ActionHead.advance``.

    states (N, 1, state_dim), x (N, T, A), and per row the outputs of ``FoldedContext`` -> x (N, T, A), each row one step on.
    Row k is at Euler step k, so what flow time does is a constant of each row; it cannot be in the weights, which all rows share.
    """

    def __init__(self, head: ActionHead, slot: int) -> None:
        super().__init__(head, slot)
        self.action_time = self.action_time[None, :, None]  # (1, N, 1, D): the one "step" that the graph has

    def forward(self, states: Tensor, x: Tensor, bias: Tensor, *keys_values: Tensor) -> Tensor:  # type: ignore[override]
        return x + self._step(x, self._before(states), 0, bias, keys_values)

    def _modulated(self, layers: list[nn.Linear], scale: Tensor, shift: Tensor) -> nn.ModuleList:
        return nn.ModuleList([_RowModulated(layers, scale, shift)])


class _RowModulated(nn.Module):
    """What all ``layers`` give of x * (1 + scale) + shift, side by side; scale and shift (N, D) are those of the N rows."""

    gain: Tensor
    offset: Tensor

    def __init__(self, layers: list[nn.Linear], scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        weight, bias = _side_by_side(layers)
        self.layer = _linear(weight, torch.zeros_like(bias))
        self.register_buffer("gain", (1 + scale)[:, None])
        self.register_buffer("offset", (shift @ weight + bias)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, D) -> (N, T, out)."""
        return self.layer(x * self.gain) + self.offset


class _FoldedBlock(nn.Module):
    """One DiT block. Its first layer gives queries, in self-attention also keys and values; one copy per Euler step."""

    def __init__(self, block: Block, scale: Tensor, shift: Tensor, modulated: _Modulated, *, cross: bool) -> None:
        """scale and shift (N, D): the block's modulation at each Euler step."""
        super().__init__()
        attention = block.attention
        self.heads, self.head_dim = attention.heads, attention.head_dim
        with torch.no_grad():
            factor = self.head_dim**-0.5  # in cross-attention the keys come with it
            key = _linear(attention.key.weight.T * factor, attention.key.bias * factor)
            layers = [attention.query] if cross else [attention.query, key, attention.value]
            self.read = modulated(layers, scale, shift)
        self.out, self.ff_in, self.ff_out = attention.out, block.ff_in, block.ff_out

    def forward(self, h: Tensor, k: int, pair: tuple[Tensor, ...] | None, bias: Tensor) -> Tensor:
        """h (R, N, D) at Euler step k; ``pair`` keys and values of the context, None for self-attention."""
        read = self._split(self.read[k](F.layer_norm(h, h.shape[-1:], eps=BLOCK_EPS)))
        if pair is None:
            query, keys, values = read.split(self.heads, dim=1)
            scores = query @ keys.transpose(2, 3)
        else:
            scores, values = read @ pair[0] + bias, pair[1]
        mixed = (scores.softmax(dim=-1) @ values).transpose(1, 2).reshape(h.shape)
        h = h + self.out(mixed)
        x = F.layer_norm(h, h.shape[-1:], eps=BLOCK_EPS)
        return h + self.ff_out(F.gelu(self.ff_in(x), approximate="tanh"))

    def _split(self, x: Tensor) -> Tensor:
        """(R, N, any * heads * head_dim) -> (R, any * heads, N, head_dim)."""
        return x.reshape(x.shape[0], x.shape[1], -1, self.head_dim).transpose(1, 2)


def _side_by_side(layers: list[nn.Linear]) -> tuple[Tensor, Tensor]:
    """Weight (in, out) and bias (out,) of one layer that gives what all ``layers`` give."""
    return torch.cat([layer.weight.T for layer in layers], dim=1), torch.cat([layer.bias for layer in layers])


def _slot(layer: CategorySpecificLinear, slot: int) -> tuple[Tensor, Tensor]:
    return layer.W[slot], layer.b[slot]


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """nn.Linear of y = x @ weight + bias, weight (in, out)."""
    layer = nn.Linear(*weight.shape)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        layer.bias.copy_(bias)
    return layer
