# SPDX-License-Identifier: Apache-2.0
"""``gr00t parity``: exit codes and what is printed and written."""

import json
from pathlib import Path
from typing import Any

import pytest
import reference_network as reference
from safetensors import safe_open
from safetensors.torch import save_file

from gr00t_bringup.cli import EXIT_ERROR, EXIT_NO, EXIT_OK, main

_PUBLIC = Path(__file__).resolve().parents[5] / "shared" / "golden"
# Reference outputs of the public implementation -> what it wrote down, and a weight that all of it depends on.
_FILES = {
    "n1_action_head_small": (("actions", "train_loss"), "weights.action_head.action_decoder.layer2.W"),
    "n1_backbone_small": (
        ("image_embeddings", "features", "features_last_sample_unpadded"),
        "weights.backbone.model.mlp1.3.weight",
    ),
}


def _public(name: str) -> Path:
    path = _PUBLIC / f"{name}.safetensors"
    if not path.is_file():
        pytest.skip(f"the public implementation's outputs are not beside this checkout ({path})")
    return path


def _rows(shown: str) -> dict[str, list[str]]:
    """Output -> the words of its row: shape, errors, verdict."""
    lines = [line.split() for line in shown.splitlines() if line.endswith(("  ok", "  NO"))]
    return {name: words for name, *words in lines}


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    reference.write_golden(tmp_path / "golden.safetensors")
    return tmp_path / "golden.safetensors"


def _wrong(path: Path) -> Path:
    other = path.with_name("wrong.safetensors")
    tensors = reference.write_golden(other)
    tensors["weights.backbone.linear.weight"][3, 4] += 0.01
    reference.save(other, tensors, reference.METADATA)
    return other


def test_outputs_that_are_reproduced_give_exit_code_0_and_a_row_each(golden, tmp_path, capsys):
    assert main(["parity", str(golden), "--json", str(tmp_path / "out" / "errors.json")]) == EXIT_OK
    shown = capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "errors.json").read_text())
    assert written["ok"] and len(written["files"][0]["outputs"]) == 5
    assert all(row["output"] in shown and row["max_absolute"] < 1e-4 for row in written["files"][0]["outputs"])


def test_one_wrong_weight_gives_exit_code_1(golden, tmp_path, capsys):
    assert main(["parity", str(golden), str(_wrong(golden)), "--json", str(tmp_path / "errors.json")]) == EXIT_NO
    assert "NO" in capsys.readouterr().out
    assert [file["ok"] for file in json.loads((tmp_path / "errors.json").read_text())["files"]] == [True, False]


@pytest.mark.parametrize("name", _FILES)
def test_the_public_outputs_are_reproduced_by_the_command_row_by_row(name, capsys):
    assert main(["parity", str(_public(name))]) == EXIT_OK
    shown = capsys.readouterr().out
    outputs, _ = _FILES[name]
    rows = _rows(shown)
    assert set(rows) == set(outputs)
    for *_, absolute, relative, word in rows.values():
        assert float(absolute) < 1e-4 and float(relative) < 1e-4 and word == "ok"
    assert f"all {len(outputs)} outputs are reproduced" in shown


@pytest.mark.parametrize("name", _FILES)
def test_a_changed_weight_of_the_public_file_is_told_by_the_command(name, tmp_path, capsys):
    outputs, weight = _FILES[name]
    with safe_open(_public(name), "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  not a dict
    tensors[weight] = tensors[weight] * 1.1
    save_file(tensors, tmp_path / "changed.safetensors", metadata)
    assert main(["parity", str(tmp_path / "changed.safetensors")]) == EXIT_NO
    shown = capsys.readouterr().out
    assert {words[-1] for words in _rows(shown).values()} == {"NO"}
    assert f"NOT REPRODUCED: {', '.join(outputs)}; weights, inputs or configuration are not those" in shown


@pytest.mark.parametrize(
    ("changes", "actions"),
    [
        ({"views": 3, "action_head_cfg": {"action_horizon": 5, "num_inference_timesteps": 6}}, "2 x 5 x 4"),
        ({"views": 1, "action_head_cfg": {"max_num_embodiments": 40, "action_dim": 11}}, "2 x 7 x 11"),
    ],
    ids=["three cameras, six steps of five", "forty robots with eleven joints"],
)
def test_other_sizes_than_the_public_ones_are_built_as_the_file_declares(
    changes: dict[str, Any], actions: str, tmp_path, capsys
):
    reference.write_golden(tmp_path / "other.safetensors", **changes)
    assert main(["parity", str(tmp_path / "other.safetensors")]) == EXIT_OK
    shown = capsys.readouterr().out
    assert len(_rows(shown)) == 5 and actions in shown


def test_a_file_that_cannot_be_used_gives_exit_code_2_and_the_others_are_compared(golden, tmp_path, capsys):
    missing = tmp_path / "missing.safetensors"
    tensors = reference.write_golden(missing)
    tensors["weights.backbone.lineal.bias"] = tensors.pop("weights.backbone.linear.bias")
    reference.save(missing, tensors, reference.METADATA)
    assert main(["parity", str(missing), str(golden)]) == EXIT_ERROR
    shown = capsys.readouterr()
    assert "missing: backbone.linear.bias" in shown.err and "unexpected: backbone.lineal.bias" in shown.err
    assert "train_loss" in shown.out


def test_no_file_is_wrong_use(capsys):
    assert main(["parity"]) == EXIT_ERROR
    assert "at least one file" in capsys.readouterr().err
