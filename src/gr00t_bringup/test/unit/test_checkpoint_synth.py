# SPDX-License-Identifier: Apache-2.0
"""``gr00t checkpoint synth`` writes a folder that loads, the same for the same seed, and never over another."""

import json
import re
from pathlib import Path

import pytest
from released_folder import MERGES, as_smollm2, write_tokenizer

from gr00t_bringup.cli import main
from gr00t_bringup.inspection.weight_file import CONTROLLER, OTHER, PLANNER, total, weight_modules
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.model.released_checkpoint import read_released_config
from gr00t_policy.model.weight_files import WeightFiles, open_weight_files


def synth(folder: Path, *options: str, preset: str = "n1_tiny_release") -> WeightFiles:
    assert main(["checkpoint", "synth", "--preset", preset, "--out", str(folder), *options]) == 0
    return open_weight_files(folder)


def test_the_folder_has_the_configuration_and_all_tensors(tmp_path: Path) -> None:
    files = synth(tmp_path / "n1")
    config, report = read_released_config(tmp_path / "n1")
    assert config.head.layers == 4 and report.unknown == {}
    assert files.shapes["action_head.action_encoder.W2.W"] == (32, 96, 48)
    assert {item.dtype for stored in files.tensors.values() for item in stored.values()} == {"BF16"}


def test_of_n1_5_what_nothing_computes_with_is_written_and_counts_to_neither_half(tmp_path: Path) -> None:
    from gr00t_policy.model.vla import empty_vla

    synth(tmp_path / "n1_5", preset="n1_5_tiny_release")
    config, _ = read_released_config(tmp_path / "n1_5")
    modules, model = weight_modules(tmp_path / "n1_5"), empty_vla(config)
    for half, part in ((PLANNER, model.backbone), (CONTROLLER, model.head)):
        assert total(modules, half, "").parameters == sum(value.numel() for value in part.parameters())
    assert [module.name for module in modules if module.half == OTHER] == ["stored, not used"]
    assert {"vision tower", "connector", "feature mixer"} < {module.name for module in modules}


def test_a_seed_decides_the_weights_and_shards_do_not_change_them(tmp_path: Path) -> None:
    contents = {}
    for name, options in (("a", ()), ("b", ()), ("c", ("--seed", "1"))):
        synth(tmp_path / name, "--dtype", "float32", *options)
        contents[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert contents["a"] == contents["b"] != contents["c"]
    shards = synth(tmp_path / "d", "--dtype", "float32", "--shards", "4")
    assert len(shards.tensors) > 1
    assert sorted(shards.shapes) == sorted(open_weight_files(tmp_path / "a").shapes)


def test_a_folder_with_files_in_it_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keep.txt").write_text("mine")
    assert main(["checkpoint", "synth", "--preset", "n1_tiny_release", "--out", str(tmp_path)]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_a_tokenizer_of_either_kind_is_copied_in_and_the_folder_loads_without_naming_it(tmp_path: Path) -> None:
    """That of SmolLM2, which the page recommends, ended in a traceback: it has no vocab.json."""
    slow = write_tokenizer(tmp_path / "eagle2")
    vocabulary = json.loads((slow / "vocab.json").read_text())
    fast = as_smollm2(vocabulary, [f"{a} {b}" for a, b in MERGES], tmp_path / "smollm2")
    for folder, files in ((slow, {"vocab.json", "merges.txt"}), (fast, {"tokenizer.json"})):
        out = tmp_path / f"n1_{folder.name}"
        synth(out, "--tokenizer", str(folder))
        assert {path.name for path in (out / "eagle2_hg_model").iterdir()} == files | {"config.json"}
        assert len(load_checkpoint(out).prompt.encode("cup").input_ids) > 64


def test_a_tokenizer_that_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    said = {
        "empty": "no tokenizer in .*empty: vocab.json, merges.txt is missing",
        "nowhere": "no tokenizer folder .*nowhere",
    }
    for name, message in said.items():
        options = ["--out", str(tmp_path / "n1"), "--tokenizer", str(tmp_path / name)]
        assert main(["checkpoint", "synth", "--preset", "n1_tiny_release", *options]) == 2
        assert re.search(message, " ".join(capsys.readouterr().err.split()))
        assert not (tmp_path / "n1").exists()
    synth(tmp_path / "n1")  # a second try without it
