# SPDX-License-Identifier: Apache-2.0
"""A checkpoint comes back as it was saved, and every fault of a folder has one error that names the file."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import CheckpointError
from gr00t_policy.data.statistics import KeyStatistics, Statistics
from gr00t_policy.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gr00t_policy.model.checkpoint_files import file_digest
from gr00t_policy.model.config import ModelConfig, config_to_dict, preset
from gr00t_policy.model.tokenizer import train_tokenizer
from gr00t_policy.model.vla import Vla, build_vla

torch.set_num_threads(1)
GR1 = load_embodiment("gr1")


def small() -> ModelConfig:
    config = preset("tiny")
    vision, head = replace(config.vision, layers=1), replace(config.head, layers=1)
    return replace(config, vision=vision, head=head, select_layer=1, instruction_tokens=24)


def statistics(tag: str = "gr1") -> Statistics:
    def of(width: int) -> KeyStatistics:
        ones = np.ones(width)
        return KeyStatistics(min=-ones, max=ones, mean=0 * ones, std=ones, q01=-ones, q99=ones)

    groups = {name: of(part.stop - part.start) for name, part in GR1.policy_slices.items()}
    return Statistics(tag, groups, groups)


@dataclass(frozen=True)
class Saved:
    folder: Path
    model: Vla
    hash: str


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder = tmp_path_factory.mktemp("models") / "small"
    model = build_vla(small(), seed=0)
    tokenizer = train_tokenizer(["take the red can"])
    return Saved(
        folder, model, save_checkpoint(folder, model, GR1, statistics(), tokenizer, {"steps": 3}, dtype="float32")
    )


@pytest.fixture
def copy(saved: Saved, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved.folder, tmp_path / "copy"))


def set_manifest(folder: Path, name: str) -> None:
    """Record the present content of a file as the right one, to get past the hash to the check behind it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"][name] = file_digest(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def rewrite(folder: Path, name: str, change: Callable[[dict], object]) -> None:
    data = json.loads((folder / name).read_text())
    change(data)
    (folder / name).write_text(json.dumps(data))
    set_manifest(folder, name)


def test_everything_comes_back_as_it_was_saved(saved: Saved) -> None:
    checkpoint: Checkpoint = load_checkpoint(saved.folder, "gr1")
    assert checkpoint.config == saved.model.config
    assert checkpoint.embodiment == GR1
    assert checkpoint.statistics.to_dict() == statistics().to_dict()
    assert checkpoint.card == {"steps": 3}
    assert checkpoint.hash == saved.hash and checkpoint.slot == 0
    assert checkpoint.prompt.encode("take the red can").attention_mask[:24].sum() == 4
    loaded = checkpoint.load_weights()
    assert not loaded.training
    for (name, a), b in zip(saved.model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_folder_has_the_documented_files(saved: Saved) -> None:
    files = {str(path.relative_to(saved.folder)) for path in saved.folder.rglob("*") if path.is_file()}
    assert files == {
        "model.safetensors",
        "config.json",
        "embodiment.json",
        "experiment_cfg/metadata.json",
        "tokenizer.json",
        "training_card.json",
        "manifest.json",
    }
    assert list(json.loads((saved.folder / "experiment_cfg/metadata.json").read_text())) == ["gr1"]


def test_facts_are_read_without_torch(saved: Saved) -> None:
    code = (
        "import sys; from gr00t_policy.model.checkpoint import load_checkpoint\n"
        f"load_checkpoint({str(saved.folder)!r}).prompt.encode('take the can'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_copy_has_the_same_hash_and_other_weights_another(saved: Saved, copy: Path, tmp_path: Path) -> None:
    assert load_checkpoint(copy).hash == saved.hash
    other = save_checkpoint(
        tmp_path / "other", build_vla(small(), seed=1), GR1, statistics(), train_tokenizer(["take the red can"]), {}
    )
    assert other != saved.hash


def test_the_training_card_may_be_edited_or_absent(saved: Saved, copy: Path) -> None:
    (copy / "training_card.json").write_text('{"score": 0.9}')
    assert load_checkpoint(copy).card == {"score": 0.9} and load_checkpoint(copy).hash == saved.hash
    (copy / "training_card.json").unlink()
    assert load_checkpoint(copy).card == {}


def test_saving_again_replaces_the_old_checkpoint_as_a_whole(copy: Path) -> None:
    (copy / "leftover.txt").write_text("old")
    new = save_checkpoint(copy, build_vla(small(), seed=1), GR1, statistics(), train_tokenizer(["a can"]), {})
    assert load_checkpoint(copy).hash == new
    assert not (copy / "leftover.txt").exists()
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder .*nowhere"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "config.json",
        "embodiment.json",
        "experiment_cfg/metadata.json",
        "tokenizer.json",
        "manifest.json",
    ],
)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"lacks {name}"):
        load_checkpoint(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "embodiment.json", "tokenizer.json"])
def test_one_changed_byte_is_found_and_its_file_is_named(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"damaged: {name}"):
        load_checkpoint(copy)


def test_a_torn_weights_file_with_a_matching_manifest_is_refused_when_weights_are_read(copy: Path) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    set_manifest(copy, "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        load_checkpoint(copy).load_weights()


def test_weights_of_another_configuration_are_refused(copy: Path) -> None:
    rewrite(copy, "config.json", lambda data: data["head"].update(layers=2))
    with pytest.raises(CheckpointError, match="(?s)does not fit the configuration.*transformer_blocks"):
        load_checkpoint(copy).load_weights()


def test_an_unknown_key_of_the_configuration_is_named_with_its_file(copy: Path) -> None:
    rewrite(copy, "config.json", lambda data: data.update(colour=1))
    with pytest.raises(CheckpointError, match=r"config\.json.*colour"):
        load_checkpoint(copy)


@pytest.mark.parametrize("name", ["config.json", "embodiment.json", "experiment_cfg/metadata.json", "manifest.json"])
def test_a_file_that_is_not_json_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text("{ torn")
    if name != "manifest.json":
        set_manifest(copy, name)
    with pytest.raises(CheckpointError, match=f"{name} is not valid JSON"):
        load_checkpoint(copy)


def test_another_embodiment_than_asked_for_is_refused(saved: Saved) -> None:
    with pytest.raises(CheckpointError, match="trained for embodiment 'gr1', not 'g1'"):
        load_checkpoint(saved.folder, "g1")


def test_statistics_of_another_embodiment_or_of_other_joints_are_refused(copy: Path) -> None:
    rewrite(copy, "experiment_cfg/metadata.json", lambda data: data["gr1"]["statistics"]["action"].pop("waist"))
    with pytest.raises(CheckpointError, match="action statistics are for joint groups"):
        load_checkpoint(copy)
    rewrite(copy, "experiment_cfg/metadata.json", lambda data: data.update(g1=data.pop("gr1")))
    with pytest.raises(CheckpointError, match="no statistics for embodiment 'gr1'; it has: g1"):
        load_checkpoint(copy)


def test_a_robot_too_big_or_unknown_to_the_network_cannot_be_saved(tmp_path: Path) -> None:
    config = small()
    tokenizer = train_tokenizer(["a can"])
    narrow = build_vla(replace(config, head=replace(config.head, action_dim=20)), seed=0)
    with pytest.raises(CheckpointError, match="needs 29 action"):
        save_checkpoint(tmp_path / "narrow", narrow, GR1, statistics(), tokenizer, {})
    stranger = build_vla(replace(config, embodiment_slots={"g1": 0}), seed=0)
    with pytest.raises(CheckpointError, match="no slot for embodiment 'gr1'"):
        save_checkpoint(tmp_path / "stranger", stranger, GR1, statistics(), tokenizer, {})
    assert list(tmp_path.iterdir()) == []


def test_a_tokenizer_of_another_network_is_refused(copy: Path) -> None:
    data = config_to_dict(load_checkpoint(copy).config)
    rewrite(copy, "config.json", lambda given: given.update(data | {"image_token_id": 9}))
    with pytest.raises(CheckpointError, match="IMG_CONTEXT"):
        load_checkpoint(copy)
