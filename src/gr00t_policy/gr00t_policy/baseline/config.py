# SPDX-License-Identifier: Apache-2.0
"""Sizes and choices of the Diffusion Policy as plain frozen values, with strict reading and writing. No torch here.

Chi et al., Diffusion Policy: Visuomotor Policy Learning via Action Diffusion (RSS 2023, arXiv 2303.04137), CNN version.
Where a default is not the paper's, the field says so.
"""

from dataclasses import asdict, dataclass
from typing import Any

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.model.checkpoint_folder import DIFFUSION_POLICY, MODEL_TYPE
from gr00t_policy.model.config import read_dataclass


@dataclass(frozen=True)
class EyeConfig:
    """Picture encoder: ResNet with GroupNorm in the place of BatchNorm, pooled by spatial softmax, trained from scratch.

    width: channels of the first stage; each later stage has twice as many. stages: of two blocks each; the second halves
    the picture, those after it do not, so that the spatial softmax has a fine grid to point on (ours: the paper's
    ResNet-18 halves it in every stage). points: of the spatial softmax.
    """

    image_size: int = 112
    width: int = 32
    stages: int = 3
    points: int = 32
    groups: int = 8

    def __post_init__(self) -> None:
        _positive("vision", self)
        if self.width % self.groups or self.image_size % 8:
            raise ConfigError(
                f"vision.width {self.width} must be a multiple of vision.groups {self.groups}, and vision.image_size "
                f"{self.image_size} of 8"
            )


@dataclass(frozen=True)
class SentenceConfig:
    """Sentence encoder: learned word pieces through a GRU. The paper has none; its tasks need no telling apart.

    width: of the sentence's vector. window: word pieces read; a longer sentence loses its end.
    """

    vocab: int = 512
    embedding: int = 64
    width: int = 128
    window: int = 24

    def __post_init__(self) -> None:
        _positive("sentence", self)


@dataclass(frozen=True)
class DenoiserConfig:
    """1-D convolutional U-Net over the action horizon, told picture, sentence, joint state and diffusion step by FiLM.

    state_dim, action_dim: numbers of the robot, without padding. cross_dim: of the picture's and the sentence's features
    together. width: channels of the first level; each later level has twice as many at half the steps. The paper has three
    levels from 256 or 512 channels on. At 5 M parameters two levels are wide enough to carry the noise of 29 joints: 160
    steps on 60 episodes brought the error of the noise to 0.47, with three levels from 56 channels on to 0.76.
    time_width: of the embedded diffusion step.
    """

    state_dim: int
    action_dim: int
    cross_dim: int
    horizon: int = 16
    width: int = 112
    levels: int = 2
    kernel: int = 5
    groups: int = 8
    time_width: int = 128

    def __post_init__(self) -> None:
        _positive("head", self)
        if self.horizon % 2 ** (self.levels - 1):
            raise ConfigError(
                f"head.horizon {self.horizon} must be a multiple of {2 ** (self.levels - 1)}: {self.levels} levels"
            )
        if self.width % self.groups or self.kernel % 2 == 0 or self.time_width % 2:
            raise ConfigError(
                f"head.width {self.width} must be a multiple of head.groups {self.groups}, head.kernel {self.kernel} odd, "
                f"head.time_width {self.time_width} even"
            )


@dataclass(frozen=True)
class ScheduleConfig:
    """Diffusion: steps in training (DDPM, squared cosine), and how many of them the sampler takes (DDIM).

    clip: actions are normalised to -1..1, and so is every estimate of them on the way.
    """

    train_steps: int = 100
    sample_steps: int = 10
    clip: bool = True

    def __post_init__(self) -> None:
        check_sample_steps(self.train_steps, self.sample_steps)


def check_sample_steps(train_steps: int, sample_steps: int) -> None:
    """Raises ConfigError unless the steps of training are a whole number of times those of the sampler: with others, evenly
    spaced down to 0, it would begin far below the noisiest step and take pure noise for half an answer."""
    if train_steps < 1:
        raise ConfigError(f"schedule.train_steps must be at least 1, got {train_steps}")
    choices = [count for count in range(1, train_steps + 1) if train_steps % count == 0]
    if sample_steps not in choices:
        raise ConfigError(
            f"sample_steps is {sample_steps}; of {train_steps} steps in training the sampler can take: "
            f"{', '.join(map(str, choices))}"
        )


@dataclass(frozen=True)
class DiffusionConfig:
    """The whole network. Its parts have the names that a policy looks for in the configuration of a GR00T network.

    views: pictures of one observation. crop_fraction: share of the image side kept by the crop.
    """

    vision: EyeConfig
    sentence: SentenceConfig
    head: DenoiserConfig
    schedule: ScheduleConfig
    views: int = 1
    crop_fraction: float = 1.0

    def __post_init__(self) -> None:
        if self.views < 1 or not 0.5 <= self.crop_fraction <= 1.0:
            raise ConfigError(
                f"views must be at least 1 and crop_fraction 0.5 to 1: {self.views}, {self.crop_fraction}"
            )
        expected = features_width(self.views, self.vision, self.sentence)
        if self.head.cross_dim != expected:
            raise ConfigError(
                f"head.cross_dim is {self.head.cross_dim}; vision, sentence and views {self.views} give {expected}"
            )

    @property
    def published(self) -> bool:
        """Whether this is GR00T N1 as NVIDIA published it: never."""
        return False

    @property
    def attends_to_tokens(self) -> bool:
        """No: of no words there is no token, and still the picture."""
        return False


def features_width(views: int, vision: EyeConfig, sentence: SentenceConfig) -> int:
    """Numbers that picture and sentence become together: u and v of each point in each view, and the sentence."""
    return views * 2 * vision.points + sentence.width


def diffusion_config(
    state_dim: int,
    action_dim: int,
    *,
    views: int = 1,
    image_size: int = 112,
    crop_fraction: float = 0.9,
    sample_steps: int = 10,
) -> DiffusionConfig:
    """The network for a robot with so many state and action numbers: 5 M parameters for the GR-1, as our 'tiny' has."""
    vision, sentence = EyeConfig(image_size=image_size), SentenceConfig()
    head = DenoiserConfig(state_dim, action_dim, features_width(views, vision, sentence))
    return DiffusionConfig(vision, sentence, head, ScheduleConfig(sample_steps=sample_steps), views, crop_fraction)


def diffusion_config_to_dict(config: DiffusionConfig) -> dict[str, Any]:
    """Plain data for JSON that says what kind of network this is; inverse of ``diffusion_config_from_dict``."""
    return {MODEL_TYPE: DIFFUSION_POLICY, **asdict(config)}


def diffusion_config_from_dict(data: Any) -> DiffusionConfig:
    """Raises ConfigError on another kind of network, unknown or missing keys and wrong types."""
    found = data.get(MODEL_TYPE) if isinstance(data, dict) else None
    if found != DIFFUSION_POLICY:
        raise ConfigError(f"{MODEL_TYPE} is {found!r}; a Diffusion Policy has '{DIFFUSION_POLICY}'")
    rest = {key: value for key, value in data.items() if key != MODEL_TYPE}
    return read_dataclass(DiffusionConfig, rest, "config")


def _positive(name: str, part: Any) -> None:
    if wrong := [f"{key} {value}" for key, value in vars(part).items() if value < 1]:
        raise ConfigError(f"{name}: {', '.join(wrong)} must be at least 1")
