# SPDX-License-Identifier: Apache-2.0
"""A checkpoint folder: everything the network knows, checked before a weight is read. Reading facts needs no torch.

Ours: model.safetensors, config.json (ModelConfig in full), embodiment.json, experiment_cfg/metadata.json (statistics),
tokenizer.json, manifest.json (sha256 of the files above), training_card.json (for people: not part of the hash). A network of
several robots has the others in embodiments/<name>.json, also in the manifest, and their statistics in metadata.json.
NVIDIA's, as released: see ``released_checkpoint``; served behind the same interface.
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from tokenizers import Tokenizer

from gr00t_policy.core.embodiment import Embodiment, embodiment_from_dict, embodiment_to_dict
from gr00t_policy.core.errors import CheckpointError, ConfigError, EmbodimentError
from gr00t_policy.data.durable import flush, write_json
from gr00t_policy.data.statistics import Statistics, load_metadata, save_metadata
from gr00t_policy.model.checkpoint_files import CONFIG, METADATA, file_digest, total_digest
from gr00t_policy.model.config import ModelConfig, config_from_dict, config_to_dict
from gr00t_policy.model.json_file import read_json
from gr00t_policy.model.release import ReleaseReport, is_release
from gr00t_policy.model.released_checkpoint import read_released
from gr00t_policy.model.tokenizer import PromptTokenizer, load_tokenizer, prompt_tokenizer
from gr00t_policy.model.weight_files import WEIGHTS, WeightFiles, open_weight_file

if TYPE_CHECKING:
    from gr00t_policy.model.action_head import ActionHead
    from gr00t_policy.model.backbone import Backbone
    from gr00t_policy.model.vla import Vla

EMBODIMENT = "embodiment.json"
TOKENIZER = "tokenizer.json"
MANIFEST = "manifest.json"
CARD = "training_card.json"
HASHED = (CONFIG, EMBODIMENT, METADATA, WEIGHTS, TOKENIZER)
_OTHER = re.compile(r"embodiments/([\w.-]+)\.json")


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
    _check_names([robot for robot, _ in robots])
    prompt_tokenizer(tokenizer, model.config)  # raises when it does not fit
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        write_json(aside / CONFIG, config_to_dict(model.config))
        write_json(aside / EMBODIMENT, embodiment_to_dict(embodiment))
        for robot, its_statistics in robots:
            save_metadata(aside / METADATA, its_statistics)
            if robot is not embodiment:
                write_json(aside / _other_file(robot.name), embodiment_to_dict(robot))
        (aside / TOKENIZER).write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
        save_weights(model, aside / WEIGHTS, dtype=dtype)
        write_json(aside / CARD, card)
        hashed = (*HASHED, *(_other_file(robot.name) for robot, _ in others))
        digests = {name: file_digest(aside / name) for name in hashed}
        write_json(aside / MANIFEST, {"sha256": digests})
        flush(aside / WEIGHTS)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise CheckpointError(
            f"checkpoint {folder} could not be written ({error}); what was there stays: make room and save again"
        ) from error
    _replace_folder(folder, aside)
    return total_digest(digests)


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
    if not folder.is_dir():
        raise CheckpointError(f"no checkpoint folder {folder}; give the folder that holds {WEIGHTS} and {CONFIG}")
    if is_released(folder):
        facts = read_released(folder, embodiment or "gr1", Path(tokenizer) if tokenizer else None)
        check_parts(facts.config, facts.embodiment, facts.statistics)
        return Checkpoint(folder, card={}, robots=(facts.embodiment.name,), **vars(facts))
    if missing := [name for name in (*HASHED, MANIFEST) if not (folder / name).is_file()]:
        raise CheckpointError(f"checkpoint {folder} lacks {', '.join(missing)}; copy or download it again")
    digests = _check_manifest(folder, verify)
    config = _parse(folder / CONFIG, config_from_dict)
    robot = _parse(folder / EMBODIMENT, embodiment_from_dict)
    others = [match[1] for name in digests if (match := _OTHER.fullmatch(name))]
    robots = (robot.name, *others)
    if embodiment is not None and embodiment not in robots:
        trained = ", ".join(f"'{name}'" for name in robots)
        raise CheckpointError(f"checkpoint {folder} was trained for embodiment {trained}, not '{embodiment}'")
    if embodiment in others:
        robot = _parse(folder / _other_file(embodiment), embodiment_from_dict)
    statistics = load_metadata(folder / METADATA, robot.tag)
    check_parts(config, robot, statistics)
    prompt = prompt_tokenizer(load_tokenizer(folder / TOKENIZER), config)
    card = read_json(folder / CARD) if (folder / CARD).is_file() else {}
    weights = open_weight_file(folder / WEIGHTS)
    return Checkpoint(folder, config, robot, statistics, prompt, card, total_digest(digests), weights, robots=robots)


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
    expected = {name: part.stop - part.start for name, part in embodiment.policy_slices.items()}
    for side, keys in (("state", statistics.state), ("action", statistics.action)):
        given = {name: len(item.min) for name, item in keys.items()}
        if given != expected:
            raise CheckpointError(f"{side} statistics are for joint groups {given}; '{embodiment.name}' has {expected}")


def _check_manifest(folder: Path, verify: bool) -> dict[str, str]:
    manifest = read_json(folder / MANIFEST)
    recorded = manifest.get("sha256") if isinstance(manifest, dict) else None
    others = sorted(set(recorded) - set(HASHED)) if isinstance(recorded, dict) else []
    if not isinstance(recorded, dict) or not set(HASHED) <= set(recorded) or not all(map(_OTHER.fullmatch, others)):
        raise CheckpointError(
            f"{folder / MANIFEST} does not list the sha256 of {', '.join(HASHED)} and of robots alone"
        )
    if missing := [name for name in others if not (folder / name).is_file()]:
        raise CheckpointError(f"checkpoint {folder} lacks {', '.join(missing)}; copy or download it again")
    digests = {
        name: file_digest(folder / name) if verify or name != WEIGHTS else str(recorded[name]) for name in recorded
    }
    if damaged := [name for name in recorded if digests[name] != recorded[name]]:
        raise CheckpointError(
            f"checkpoint {folder} is damaged: {', '.join(damaged)} differs from its manifest; copy or download it again"
        )
    return digests


def _check_names(robots: Sequence[Embodiment]) -> None:
    for what, names in (("names", [robot.name for robot in robots]), ("tags", [robot.tag for robot in robots])):
        if len(set(names)) != len(names):
            raise CheckpointError(f"robots of one checkpoint need {what} of their own, got {', '.join(names)}")
    for robot in robots[1:]:
        if not _OTHER.fullmatch(_other_file(robot.name)):
            raise CheckpointError(f"'{robot.name}' cannot be the name of a file; use letters, digits, '_', '-' and '.'")


def _other_file(name: str | None) -> str:
    return f"embodiments/{name}.json"


def _parse(path: Path, build: Any) -> Any:
    try:
        return build(read_json(path))
    except (ConfigError, EmbodimentError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _replace_folder(folder: Path, aside: Path) -> None:
    """Put ``aside`` in the place of ``folder``; what was there is deleted only after it has moved out of the way."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
