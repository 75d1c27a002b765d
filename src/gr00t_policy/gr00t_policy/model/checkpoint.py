# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of a GR00T network: everything it knows, checked before a weight is read. Reading facts needs no torch.

Ours, of one robot or several: see ``checkpoint_folder``. NVIDIA's, as released: see ``released_checkpoint``; served behind
the same interface.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.errors import CheckpointError, ConfigError
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.model.checkpoint_files import CONFIG
from gr00t_policy.model.checkpoint_folder import (
    DIFFUSION_POLICY,
    MANIFEST,
    check_statistics,
    model_type,
    read_folder,
    require_folder,
    write_folder,
)
from gr00t_policy.model.config import EULER_STEPS, ModelConfig, config_from_dict, config_to_dict
from gr00t_policy.model.json_file import read_json
from gr00t_policy.model.release import ReleaseReport, is_release
from gr00t_policy.model.released_checkpoint import (
    ReleasedFacts,
    read_released,
    read_released_config,
    released_prompt,
)
from gr00t_policy.model.tokenizer import PromptTokenizer, prompt_tokenizer
from gr00t_policy.model.weight_files import WeightFiles, open_weight_files

if TYPE_CHECKING:
    from gr00t_policy.model.action_head import ActionHead
    from gr00t_policy.model.backbone import Backbone
    from gr00t_policy.model.vla import Vla

RELEASED_ROBOT = "gr1"  # whom a released folder is for where nobody says it


@dataclass(frozen=True)
class Checkpoint:
    """What a folder says about its network. Weights are read by the ``load_`` methods alone.

    prompt: builds prompts for this network. card: how it was trained. hash: sha256 hex of everything but the card; of a
    released folder see ``released_checkpoint``. weights: its files. report: of a released folder, what its configuration
    holds that is not understood and what was filled in; None for ours. robots: names of all that it was trained for, the one
    it was saved for first; each can be loaded.
    """

    folder: Path
    config: ModelConfig
    embodiment: Embodiment
    statistics: Statistics
    prompt: PromptTokenizer
    card: dict[str, Any]
    hash: str
    weights: WeightFiles
    report: ReleaseReport | None = None
    robots: tuple[str, ...] = ()

    @property
    def slot(self) -> int:
        """Weight slot of the embodiment: the network's ``embodiment_id``."""
        return self.config.slot(self.embodiment.tag)

    @property
    def released(self) -> bool:
        """Whether this is NVIDIA's layout: the published network at its full size, made for bfloat16."""
        return self.report is not None

    def with_steps(self, steps: int) -> "Checkpoint":
        """The same network with chunks made in so many Euler steps, one of ``EULER_STEPS``; 0: as it is. The weights do not
        know, nor does the hash. Raises ConfigError."""
        if steps == 0:
            return self
        if steps not in EULER_STEPS:
            raise ConfigError(
                f"steps is {steps}; choose one of: {', '.join(map(str, EULER_STEPS))}, or 0 for the checkpoint's "
                f"{self.config.head.steps}"
            )
        return replace(self, config=replace(self.config, head=replace(self.config.head, steps=steps)))

    def load_weights(self) -> "Vla":
        """The whole network in float32 on the CPU, in evaluation mode; it may be trained. Raises CheckpointError."""
        from gr00t_policy.model.vla import empty_vla
        from gr00t_policy.model.weights import load_weights

        model = empty_vla(self.config)
        load_weights(model, self.weights)
        return model.eval()

    def load_backbone(self, dtype: str = "float32", device: str = "cpu") -> "Backbone":
        """System 2 alone, for inference, in 'float32' or 'bfloat16'. Raises CheckpointError."""
        from gr00t_policy.model.backbone import Backbone
        from gr00t_policy.model.weights import load_part

        backbone = load_part(lambda: Backbone(self.config), self.weights, "backbone.", dtype=dtype, device=device)
        backbone.make_buffers(device)
        return backbone

    def load_head(self, dtype: str = "float32", device: str = "cpu", *, every_slot: bool = False) -> "ActionHead":
        """System 1 alone, for inference, in 'float32' or 'bfloat16'. Raises CheckpointError.

        Of the per-embodiment tables only this robot's slot is kept, as slot 0, unless ``every_slot``: the results are the
        same, and at the published size 305 M of 855 M parameters need not be there.
        """
        from gr00t_policy.model.action_head import ActionHead
        from gr00t_policy.model.weights import load_part

        whole = self.config.head
        kept = whole if every_slot else replace(whole, embodiments=1)
        return load_part(
            lambda: ActionHead(kept),
            self.weights,
            "head.",
            dtype=dtype,
            device=device,
            stored_as=lambda: ActionHead(whole),
            slot=self.slot,
        )


def save_checkpoint(
    folder: Path,
    model: "Vla",
    embodiment: Embodiment,
    statistics: Statistics,
    tokenizer: Tokenizer,
    card: dict[str, Any],
    *,
    dtype: str = "bfloat16",
    others: Sequence[tuple[Embodiment, Statistics]] = (),
) -> str:
    """Write a checkpoint beside ``folder`` and put it in its place when it is whole. Returns its hash.

    tokenizer: as trained, not a prompt's copy. dtype: of the stored weights. others: further robots of the network, each under
    a name and a tag of its own. Raises CheckpointError when the parts do not
    belong together, or when there is no room; then what was in ``folder`` stays.
    """
    from gr00t_policy.model.weights import save_weights

    robots = ((embodiment, statistics), *others)
    for robot, its_statistics in robots:
        check_parts(model.config, robot, its_statistics)
    prompt_tokenizer(tokenizer, model.config)  # raises when it does not fit
    return write_folder(
        folder,
        config_to_dict(model.config),
        robots,
        tokenizer,
        card,
        lambda path: save_weights(model, path, dtype=dtype),
    )


def load_checkpoint(
    folder: Path | str,
    embodiment: str | None = None,
    *,
    tokenizer: Path | str | None = None,
    verify: bool = True,
) -> Checkpoint:
    """Read and check everything but the weights' values.

    embodiment: name the caller needs, None = the one it was saved for (of a released folder: gr1). tokenizer: folder of Eagle-2
    or SmolLM2 tokenizer files, used only for a released folder, None = they lie in it. verify: compare the weights with
    the manifest too; False believes it there, for a quick look at a large file. Raises CheckpointError: no folder,
    a file missing or damaged (named), parts that contradict each other, another embodiment; EmbodimentError: a released
    folder and an embodiment that is not known here.
    """
    folder = Path(folder)
    require_folder(folder)
    _refuse_baseline(folder)
    if is_released(folder):
        facts = read_released(folder, load_embodiment(embodiment or RELEASED_ROBOT))
        check_parts(facts.config, facts.embodiment, facts.statistics)
        return _served(folder, facts, tokenizer)
    content = read_folder(folder, config_from_dict, embodiment, verify=verify)
    config: ModelConfig = content.config
    check_parts(config, content.embodiment, content.statistics)
    prompt = prompt_tokenizer(content.tokenizer, config)
    return Checkpoint(
        folder,
        config,
        content.embodiment,
        content.statistics,
        prompt,
        content.card,
        content.hash,
        content.weights,
        robots=content.robots,
    )


def load_initial(folder: Path | str, embodiment: str = "", *, tokenizer: Path | str | None = None) -> Checkpoint:
    """A checkpoint to train from, whose statistics the training makes anew.

    embodiment, tokenizer: of a released folder, as for ``load_checkpoint``, but for a robot whose tag its metadata need not
    have; then the statistics are empty. Raises as ``load_checkpoint`` does.
    """
    folder = Path(folder)
    require_folder(folder)
    if not is_released(folder):
        return load_checkpoint(folder, tokenizer=tokenizer)
    robot = load_embodiment(embodiment or RELEASED_ROBOT)
    return _served(folder, read_released(folder, robot, Statistics(robot.tag, {}, {})), tokenizer)


def network_config(folder: Path | str) -> ModelConfig:
    """What kind of network a checkpoint holds: of a released folder without tokenizer or robot. Raises CheckpointError."""
    folder = Path(folder)
    require_folder(folder)
    return read_released_config(folder)[0] if is_released(folder) else load_checkpoint(folder, verify=False).config


def verify_released(folder: Path) -> None:
    """Read all weights of a released folder: every tensor that its configuration asks for, finite, and no others.

    Raises CheckpointError.
    """
    from gr00t_policy.model.vla import Vla
    from gr00t_policy.model.weights import verify_weights

    config, _ = read_released_config(folder)
    verify_weights(lambda: Vla(config), open_weight_files(folder))


def is_released(folder: Path) -> bool:
    """Whether a folder has NVIDIA's layout and not ours. Raises CheckpointError when its config.json is damaged."""
    return not (folder / MANIFEST).is_file() and (folder / CONFIG).is_file() and is_release(read_json(folder / CONFIG))


def check_parts(config: ModelConfig, embodiment: Embodiment, statistics: Statistics) -> None:
    """Raises CheckpointError unless the network has room and a slot for the robot and statistics for its joints."""
    try:
        config.slot(embodiment.tag)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    state, action = (embodiment.encoded_width(side) for side in ("state", "action"))
    if action > config.head.action_dim or (state > config.head.state_dim and not embodiment.truncate_state):
        raise CheckpointError(
            f"embodiment '{embodiment.name}' needs {action} action and {state} state numbers; the network has "
            f"{config.head.action_dim} and {config.head.state_dim}"
        )
    check_statistics(embodiment, statistics)


def _served(folder: Path, facts: ReleasedFacts, tokenizer: Path | str | None) -> Checkpoint:
    prompt = released_prompt(folder, Path(tokenizer) if tokenizer else None, facts.config)
    return Checkpoint(folder, prompt=prompt, robots=facts.robots, **vars(facts))


def _refuse_baseline(folder: Path) -> None:
    """Raises CheckpointError for a network that has nothing to say to a controller."""
    if model_type(folder) == DIFFUSION_POLICY:
        raise CheckpointError(
            f"checkpoint {folder} is a Diffusion Policy, a baseline without conditioning tokens: `gr00t eval` runs it in "
            "the simulator; planner, controller and the tools for GR00T networks do not"
        )
