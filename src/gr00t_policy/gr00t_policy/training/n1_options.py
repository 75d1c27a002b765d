# SPDX-License-Identifier: Apache-2.0
"""The options that all recipes in GR00T N1's manner share: how long, how fast, on what machine. Defaults are N1's own."""

import math
from dataclasses import dataclass
from pathlib import Path

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.training.config import LoopConfig, StageConfig, check_checkpoints


@dataclass(frozen=True, kw_only=True)
class N1Options:
    """Options of a run of one stage: AdamW, warm-up, then half a cosine to 0."""

    out: Path
    """Run folder. An interrupted run is continued."""
    steps: int = 20000
    """Optimiser steps."""
    batch: int = 128
    """Pictures per step, of all processes together."""
    accumulate: int = 1
    """Parts in which a process takes its share of a step, one after the other: less memory, the same pictures."""
    samples_per_image: int = 1
    """Action samples (noise, flow time) that share one encoded picture; more are nearly free."""
    lr: float = 1e-4
    """Peak learning rate; half a cosine to 0 after the warm-up."""
    warmup_ratio: float = 0.05
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 1e-5
    """Of matrices and tables; biases and norms are not decayed."""
    betas: tuple[float, float] = (0.95, 0.999)
    """Decay of AdamW's first and second moment."""
    gradient_clip: float = 1.0
    """Greatest norm of the gradient."""
    jitter: float = 1.0
    """Strength of colour jitter relative to GR00T N1's."""
    state_noise_rad: float = 0.0
    """Standard deviation of noise on the joint states."""
    max_image_age_frames: int = 0
    """Pictures are up to this many frames older than the joint state, as on a robot whose pictures arrive late."""
    min_range_rad: float = 0.0
    """Joints that move less are normalised as if they moved this much."""
    ema_decay: float = 0.0
    """Decay of averaged weights to save instead of the last ones; 0: the last."""
    seed: int = 42
    save_every: int = 500
    """Steps between resume points."""
    log_every: int = 20
    """Steps between lines of the log, which are means over them."""
    threads: int = 2
    """Threads that train."""
    device: str = "cpu"
    """cpu or cuda."""
    mixed_precision: bool | None = None
    """Compute in bfloat16, weights in float32; default: on cuda."""
    shard: bool = False
    """Each process keeps a part of weights, gradients and moments instead of a copy (FSDP), under accelerate launch."""
    tensorboard: bool = False
    """Write the log for TensorBoard too, to <out>/tensorboard."""
    checkpoint_every: int = 0
    """Steps between checkpoints to evaluate while it trains, <out>/checkpoint-<step>; 0: the last step's alone."""
    keep: int = 5
    """How many of those stay; the oldest are removed."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.samples_per_image < 1 or self.lr <= 0:
            raise ConfigError(f"steps, batch, samples_per_image and lr must be above 0: {self}")
        if min(self.save_every, self.log_every, self.accumulate) < 1 or self.seed < 0:
            raise ConfigError(f"save_every, log_every and accumulate must be at least 1 and seed not negative: {self}")
        check_checkpoints(self.checkpoint_every, self.keep)
        if not 0 <= self.warmup_ratio < 1:
            raise ConfigError(f"warmup_ratio must lie in [0, 1), got {self.warmup_ratio}")
        if min(self.state_noise_rad, self.min_range_rad, self.jitter) < 0:
            raise ConfigError(f"state_noise_rad, min_range_rad and jitter must not be negative: {self}")

    def loop_of(self, stage: str, frozen: tuple[str, ...], aux_weight: float = 0.0) -> LoopConfig:
        """One stage of this name; without localisation loss the localiser stays as it is."""
        only = StageConfig(
            steps=self.steps,
            learning_rate=self.lr,
            images_per_step=self.batch,
            samples_per_image=self.samples_per_image,
            aux_weight=aux_weight,
            warmup_steps=max(1, math.ceil(self.warmup_ratio * self.steps)),
            fall_after_warmup=True,
            final_share=0.0,
        )
        return LoopConfig(
            out=self.out,
            stages={stage: only},
            frozen=frozen if aux_weight else tuple(dict.fromkeys((*frozen, "localiser"))),
            betas=self.betas,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
            ema_decay=self.ema_decay,
            seed=self.seed,
            threads=self.threads,
            device=self.device,
            mixed_precision=self.device == "cuda" if self.mixed_precision is None else self.mixed_precision,
            accumulate=self.accumulate,
            shard=self.shard,
            save_every=self.save_every,
            log_every=self.log_every,
            tensorboard=self.tensorboard,
            checkpoint_every=self.checkpoint_every,
            keep=self.keep,
        )
