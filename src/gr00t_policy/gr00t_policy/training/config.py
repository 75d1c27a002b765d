# SPDX-License-Identifier: Apache-2.0
"""What one training run is: plain frozen values, written in full beside its results."""

from dataclasses import dataclass, field
from pathlib import Path

from gr00t_policy.core.errors import ConfigError


def check_checkpoints(checkpoint_every: int, keep: int) -> None:
    """Raises ConfigError."""
    if checkpoint_every < 0 or keep < 1:
        raise ConfigError(
            f"checkpoint_every must be 0 (none before the last step) or more, and keep at least 1, got {checkpoint_every} "
            f"and {keep}"
        )


@dataclass(frozen=True)
class StageConfig:
    """One stage of a run: what is minimised, for how long, how fast."""

    steps: int
    """Optimiser steps."""
    learning_rate: float
    """Peak learning rate, after the warm-up."""
    images_per_step: int = 32
    """Demonstration pictures encoded per step; 0 trains localisation on still scenes alone."""
    samples_per_image: int = 6
    """Action samples (joint state, noise, flow time) that share one encoded picture."""
    scenes_per_step: int = 0
    """Still scenes per step for the localisation loss."""
    looks_per_step: int = 0
    """Demonstration pictures per step for the localisation loss alone, with the hand at work in them."""
    backbone_rate: float = 1.0
    """Learning rate of the backbone relative to the head's: below 1 keeps what it has learnt to find."""
    aux_weight: float = 1.0
    """Weight of the localisation loss beside the flow-matching loss."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    fall_after_warmup: bool = False
    """The half cosine starts when the warm-up has ended (as GR00T N1 is fine-tuned), not at the stage's first step."""
    final_share: float = 0.02
    """Share of the learning rate at which the half cosine ends."""

    def __post_init__(self) -> None:
        seen = self.images_per_step + self.scenes_per_step + self.looks_per_step
        if self.steps < 1 or self.learning_rate <= 0 or seen < 1:
            raise ConfigError(f"a stage needs steps, a learning rate and something to learn from: {self}")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What the optimisation loop needs to know: stages in order, each from where the last one ended, and how to step."""

    out: Path
    """Run folder: checkpoint, log, loss curve, resume state."""
    stages: dict[str, StageConfig] = field(default_factory=dict)
    """Stages by name, in order."""
    frozen: tuple[str, ...] = ()
    """Parts of the network that stay as they are, by the names in ``tuning.PARTS``."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay of AdamW's first and second moment."""
    weight_decay: float = 0.01
    """Of matrices and tables; biases and norms are not decayed."""
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    """Decay of the averaged weights that are saved; 0 saves the last weights."""
    seed: int = 0
    threads: int = 2
    device: str = "cpu"
    """'cpu' or 'cuda'."""
    mixed_precision: bool = False
    """Compute in bfloat16 where torch's autocast does; weights stay float32."""
    accumulate: int = 1
    """Parts in which a process takes its share of a step, one after the other: less memory, the same pictures."""
    shard: bool = False
    """Each process keeps a part of weights, gradients and moments instead of a copy (FSDP): for networks that do not fit."""
    save_every: int = 500
    """Steps between resume points."""
    log_every: int = 20
    """Steps between lines of the log, which are means over them."""
    tensorboard: bool = False
    """Write the log for TensorBoard too, to <out>/tensorboard."""
    checkpoint_every: int = 0
    """Steps between checkpoints to evaluate, <out>/checkpoint-<step>; 0: the last step's alone, <out>/checkpoint."""
    keep: int = 5
    """How many of those stay; the oldest are removed."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ConfigError("training needs at least one stage")
        check_checkpoints(self.checkpoint_every, self.keep)
        if self.accumulate < 1:
            raise ConfigError(f"accumulate must be at least 1, got {self.accumulate}")
        if min(self.save_every, self.log_every) < 1 or self.seed < 0:
            raise ConfigError(
                "save_every and log_every must be at least 1 and seed not negative, got "
                f"{self.save_every}, {self.log_every} and {self.seed}"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LoopConfig):
    """A run from demonstrations and still scenes to a checkpoint."""

    datasets: tuple[Path, ...]
    """LeRobot v2 folders of demonstrations."""
    scenes: Path | None = None
    """Grounding set; needed when a stage has scenes_per_step."""
    model: str = "tiny"
    """Preset of the network."""
    image_size: int = 112
    """Side of the network's square image."""
    patch: int = 14
    """Patch of the vision tower."""
    crop_fraction: float = 1.0
    """Share of the camera picture used; 1 keeps the fixed camera's geometry, which localisation lives on."""
    embodiment: str = "gr1"
    camera: str = "ego_view"
    initial: Path | None = None
    """Checkpoint of ours to start from (post-training); its network replaces ``model``."""
    new_words: bool = False
    """With ``initial``: words of the data that its tokenizer spells in pieces become tokens; all others keep ids and rows."""
    max_image_age_frames: int = 4
    """Pictures are up to this many frames older than the joint state they are used with, as at run time."""
    state_noise_rad: float = 0.008
    """Standard deviation of the noise on joint states."""
    recovery_weight: int = 3
    """Pictures shortly after a disturbance are drawn this many times as often as others: recoveries are rare and decide."""
    jitter: float = 0.3
    """Strength of colour jitter relative to GR00T N1's."""
    min_range_rad: float = 0.1
    """Joints that move less are normalised as if they moved this much, so that their noise is not magnified."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.datasets:
            raise ConfigError("training needs at least one dataset")
        if self.new_words and self.initial is None:
            raise ConfigError("new_words is for a network that knows some already: give initial, or leave it out")
        if self.recovery_weight < 1:
            raise ConfigError(f"recovery_weight must be at least 1, got {self.recovery_weight}")
        if self.scenes is None and any(stage.scenes_per_step for stage in self.stages.values()):
            raise ConfigError("a stage has scenes_per_step but no grounding set was given (scenes)")
