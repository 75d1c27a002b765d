# SPDX-License-Identifier: Apache-2.0
"""System 1: conditioning features and joint state in, a chunk of normalised actions out, by flow matching.

Constant work is separable: ``precompute_context`` once per features, ``time_tables`` once per number of steps;
``sample_with_context`` does the rest. Plain tensor functions without data-dependent control flow.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gr00t_policy.model.config import HeadConfig
from gr00t_policy.model.dit import Context, DiT, Modulation, padding_bias
from gr00t_policy.model.feature_mixer import FeatureMixer
from gr00t_policy.model.flow import FlowLoss, bucket_of, euler, euler_buckets, flow_loss, interpolate, target_velocity
from gr00t_policy.model.layers import ActionEncoder, CategorySpecificMLP


class TimeTables(NamedTuple):
    """What flow time does at each of N Euler steps.

    scale, shift: (N, L, D) per block. out_scale, out_shift: (N, D). action: (N, R or 1, D) of the action encoder.
    """

    scale: Tensor
    shift: Tensor
    out_scale: Tensor
    out_shift: Tensor
    action: Tensor

    def modulation(self, k: int) -> Modulation:
        """Modulation of step k with R = 1."""
        return Modulation(
            self.scale[k][:, None], self.shift[k][:, None], self.out_scale[k][None], self.out_shift[k][None]
        )


class ActionHead(nn.Module):
    """Shapes: features (B, S, D), mask (B, S), state (R, 1, state_dim), embodiment_id (R,) or (1,), actions and noise
    (R, T, A). R = B * K: rows r * K ... r * K + K - 1 share the features of row r."""

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        slots, fan_in = config.embodiments, config.fan_in_init
        self.state_encoder = CategorySpecificMLP(slots, config.state_dim, config.hidden, config.width, fan_in=fan_in)
        self.action_encoder = ActionEncoder(slots, config.action_dim, config.width, fan_in=fan_in)
        self.position_embedding = nn.Embedding(config.max_seq_len, config.width)
        self.dit = DiT(config)
        self.action_decoder = CategorySpecificMLP(slots, config.hidden, config.hidden, config.action_dim, fan_in=fan_in)
        self.future_tokens = nn.Embedding(config.future_tokens, config.width) if config.future_tokens else None
        self.mixer = FeatureMixer(config) if config.mixer_layers else None
        for table in (self.position_embedding, self.future_tokens):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)
        if config.zero_init:  # not the DiT's output: a zero input would leave the decoder's ReLU without gradient
            nn.init.zeros_(self.action_decoder.layer2.W)

    def forward_loss(
        self,
        features: Tensor,
        mask: Tensor,
        state: Tensor,
        embodiment_id: Tensor,
        actions: Tensor,
        action_mask: Tensor,
        noise: Tensor,
        t: Tensor,
    ) -> FlowLoss:
        """Flow-matching loss at times t (R,) for normalised actions; action_mask (R, T, A) is 1 on real dimensions."""
        buckets = bucket_of(t, self.config.buckets)
        predicted = self._velocity(
            interpolate(noise, actions, t),
            self.encode_state(state, embodiment_id),
            embodiment_id,
            self.action_encoder.time_part(buckets, embodiment_id),
            self.dit.modulation(buckets),
            self.precompute_context(features, mask),
        )
        return flow_loss(predicted, target_velocity(noise, actions), action_mask)

    def sample(
        self,
        features: Tensor,
        mask: Tensor,
        state: Tensor,
        embodiment_id: Tensor,
        noise: Tensor,
        steps: int | None = None,
    ) -> Tensor:
        """(R, T, A) normalised actions from noise in ``steps`` Euler steps (default: the config's)."""
        context = self.precompute_context(features, mask)
        return self.sample_with_context(context, state, embodiment_id, noise, self.time_tables(embodiment_id, steps))

    def mix(self, features: Tensor, mask: Tensor, *, masked: bool = False) -> Tensor:
        """The features as the DiT looks at them, (B, S, D); in N1 they are what they were.

        masked: what the mask hides is not looked at, also by a network that looks at padding of its own.
        """
        if self.mixer is None:
            return features
        hides = masked or not self.config.attend_padding
        return self.mixer(features, padding_bias(mask, features.dtype) if hides else None)

    def precompute_context(self, features: Tensor, mask: Tensor, *, masked: bool = False) -> Context:
        """Keys, values and padding bias of all cross blocks: constant while the features are. masked: see ``mix``."""
        context = self.dit.context(self.mix(features, mask, masked=masked), mask)
        return context._replace(bias=padding_bias(mask, features.dtype)) if masked else context

    def time_tables(self, embodiment_id: Tensor, steps: int | None = None) -> TimeTables:
        """Everything that depends on flow time alone: constant for a number of steps and an embodiment."""
        times = euler_buckets(steps or self.config.steps, self.config.buckets)
        buckets = torch.tensor(times, device=embodiment_id.device)
        modulation = self.dit.modulation(buckets)
        rows = embodiment_id.shape[0]
        action = [self.action_encoder.time_part(bucket.expand(rows), embodiment_id) for bucket in buckets]
        return TimeTables(
            modulation.scale.transpose(0, 1),
            modulation.shift.transpose(0, 1),
            modulation.out_scale,
            modulation.out_shift,
            torch.stack(action),
        )

    def encode_state(self, state: Tensor, embodiment_id: Tensor) -> Tensor:
        """(R, 1, state_dim) -> (R, 1 + F, D): the state token and the F future tokens (N1 has none), which stand before the
        actions and are the same at every Euler step."""
        token = self.state_encoder(state, embodiment_id)
        if self.future_tokens is None:
            return token
        return torch.cat([token, self.future_tokens.weight.expand(token.shape[0], -1, -1)], dim=1)

    def sample_with_context(
        self,
        context: Context,
        state: Tensor,
        embodiment_id: Tensor,
        noise: Tensor,
        tables: TimeTables,
        corrected: Callable[[Tensor, float], Tensor] | None = None,
    ) -> Tensor:
        """The same as ``sample`` with the constant work handed in; one Euler step per row of ``tables``.

        corrected: see ``flow.euler``.
        """
        before = self.encode_state(state, embodiment_id)

        def velocity(x: Tensor, k: int) -> Tensor:
            return self._velocity(x, before, embodiment_id, tables.action[k], tables.modulation(k), context)

        return euler(velocity, noise, tables.scale.shape[0], corrected)

    def advance(self, context: Context, state: Tensor, embodiment_id: Tensor, x: Tensor, tables: TimeTables) -> Tensor:
        """One Euler step of N chunks in flight, N = rows of ``tables``: row k of x (N, T, A) goes from the flow time of step k to
        that of step k + 1. N times in a row, each row one further down, it is ``sample_with_context``.

        context: of B = 1 for all rows, or of B = N. state (N, 1, state_dim). embodiment_id (1,).
        """
        modulation = Modulation(
            tables.scale.transpose(0, 1), tables.shift.transpose(0, 1), tables.out_scale, tables.out_shift
        )
        before = self.encode_state(state, embodiment_id)
        velocity = self._velocity(x, before, embodiment_id, tables.action[:, 0], modulation, context)
        return x + velocity / tables.scale.shape[0]

    def _velocity(
        self,
        x: Tensor,
        before: Tensor,
        embodiment_id: Tensor,
        time_part: Tensor,
        modulation: Modulation,
        context: Context,
    ) -> Tensor:
        """Predicted velocity (R, T, A) at x: [``before``, action tokens] through the DiT, action rows decoded."""
        horizon = x.shape[1]
        action_tokens = self.action_encoder(x, embodiment_id, time_part) + self.position_embedding.weight[:horizon]
        hidden = self.dit(torch.cat([before, action_tokens], dim=1), modulation, context)
        return self.action_decoder(hidden[:, -horizon:], embodiment_id)
