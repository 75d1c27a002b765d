# SPDX-License-Identifier: Apache-2.0
"""``gr00t parity``: exit codes and what is printed and written."""

import json
from pathlib import Path

import pytest
import reference_network as reference

from gr00t_bringup.cli import EXIT_ERROR, EXIT_NO, EXIT_OK, main


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
