# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of a Diffusion Policy: the same folder as that of a GR00T network of ours, with another network in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from gr00t_policy.baseline.config import DiffusionConfig, diffusion_config_from_dict, diffusion_config_to_dict
from gr00t_policy.baseline.sentence_prompt import SentencePrompt
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.model.checkpoint_folder import (
    DIFFUSION_POLICY,
    check_statistics,
    model_type,
    read_folder,
    write_folder,
)
from gr00t_policy.model.weight_files import WeightFiles

if TYPE_CHECKING:
    from gr00t_policy.baseline.network import DiffusionPolicy


@dataclass(frozen=True)
class DiffusionCheckpoint:
    """What a folder says about its network; weights are read by ``load_weights`` alone. Fields as in ``Checkpoint``."""

    folder: Path
    config: DiffusionConfig
    embodiment: Embodiment
    statistics: Statistics
    prompt: SentencePrompt
    card: dict[str, Any]
    hash: str
    weights: WeightFiles

    def load_weights(self) -> "DiffusionPolicy":
        """The network in float32 on the CPU, in evaluation mode. Raises CheckpointError."""
        from gr00t_policy.baseline.network import DiffusionPolicy
        from gr00t_policy.model.weights import load_weights

        model = DiffusionPolicy(self.config)
        load_weights(model, self.weights)
        return model.eval()


def is_diffusion_policy(folder: Path) -> bool:
    """Whether a folder says that it holds one."""
    return model_type(folder) == DIFFUSION_POLICY


def save_diffusion_checkpoint(
    folder: Path,
    model: "DiffusionPolicy",
    embodiment: Embodiment,
    statistics: Statistics,
    tokenizer: Tokenizer,
    card: dict[str, Any],
) -> str:
    """Write a checkpoint, in float32, whole or not at all; returns its hash. Raises CheckpointError as ``save_checkpoint``."""
    from gr00t_policy.model.weights import save_weights

    _check_parts(model.config, embodiment, statistics)
    SentencePrompt(tokenizer, model.config.sentence)  # raises when it does not fit
    write: Callable[[Path], None] = lambda path: save_weights(model, path)  # noqa: E731
    config = diffusion_config_to_dict(model.config)
    return write_folder(folder, config, [(embodiment, statistics)], tokenizer, card, write)


def load_diffusion_checkpoint(
    folder: Path | str, embodiment: str | None = None, *, verify: bool = True
) -> DiffusionCheckpoint:
    """Read and check everything but the weights' values. Raises CheckpointError as ``load_checkpoint``."""
    folder = Path(folder)
    content = read_folder(folder, diffusion_config_from_dict, embodiment, verify=verify)
    config: DiffusionConfig = content.config
    _check_parts(config, content.embodiment, content.statistics)
    return DiffusionCheckpoint(
        folder,
        config,
        content.embodiment,
        content.statistics,
        SentencePrompt(content.tokenizer, config.sentence),
        content.card,
        content.hash,
        content.weights,
    )


def _check_parts(config: DiffusionConfig, embodiment: Embodiment, statistics: Statistics) -> None:
    """Raises CheckpointError unless network, robot and statistics belong together."""
    needed = (embodiment.encoded_width("state"), embodiment.encoded_width("action"), len(embodiment.cameras))
    given = (config.head.state_dim, config.head.action_dim, config.views)
    if needed != given:
        raise CheckpointError(
            f"embodiment '{embodiment.name}' has {needed[0]} state and {needed[1]} action numbers and {needed[2]} "
            f"camera(s); the network is for {given[0]}, {given[1]} and {given[2]}"
        )
    check_statistics(embodiment, statistics)
