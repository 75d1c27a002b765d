# SPDX-License-Identifier: Apache-2.0
"""A stack that cannot come up says why in one clear error, and leaves nothing running."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gr00t_bringup.nodes import NODES
from gr00t_bringup.ros.stack import StackOptions, running_stack
from gr00t_policy.core.errors import Gr00tError


def _start_and_fail(tmp_path: Path, guilty: str, **options: Any) -> str:
    """Start the node that will not come up, as the whole stack is started; returns the one line for the user."""
    alone = tuple(node for node in NODES if node.name == guilty)
    with pytest.raises(Gr00tError) as caught, running_stack(StackOptions(nodes=alone, **options), tmp_path) as stack:
        stack.wait_active()
    said, where = str(caught.value).splitlines()
    assert said.startswith(f"node '{guilty}' ") and where == f"(its log: {tmp_path / guilty}.log)"
    assert "Traceback" not in (tmp_path / f"{guilty}.log").read_text()
    return said


def test_a_missing_checkpoint_is_one_clear_error(tmp_path):
    said = _start_and_fail(tmp_path, "planner", checkpoint=tmp_path / "nowhere")
    assert "cannot configure: no checkpoint folder" in said


def test_a_damaged_checkpoint_names_the_file(tmp_path, checkpoint):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in checkpoint.rglob("*"):
        if file.is_file():
            copy = damaged / file.relative_to(checkpoint)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    said = _start_and_fail(tmp_path, "controller", checkpoint=damaged)
    assert "cannot configure: " in said and "model.safetensors" in said


def test_a_checkpoint_for_another_robot_is_refused(tmp_path, checkpoint):
    said = _start_and_fail(tmp_path, "planner", checkpoint=checkpoint, overrides={"planner": {"embodiment": "gr2"}})
    assert "was trained for embodiment 'gr1', not 'gr2'" in said


def test_an_unknown_parameter_is_named_with_the_known_ones(tmp_path, checkpoint):
    said = _start_and_fail(
        tmp_path, "command_gate", checkpoint=checkpoint, overrides={"command_gate": {"max_speed": 3.0}}
    )
    assert "unknown parameter(s) of node 'command_gate': max_speed; known: " in said and "speed_scale" in said


def test_the_error_of_the_demo_is_one_line_with_the_log_and_exit_code_2(tmp_path):
    words = ["demo", "--checkpoint", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "gr00t_bringup.cli", *words], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 2
    said, where = done.stderr.splitlines()
    assert "no checkpoint folder" in said
    assert where.startswith("(its log: ")
