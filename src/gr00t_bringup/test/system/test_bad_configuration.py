# SPDX-License-Identifier: Apache-2.0
"""A stack that cannot come up says why in one clear error, and leaves nothing running."""

import subprocess
import sys

import pytest

from gr00t_bringup.ros.stack import StackOptions, running_stack
from gr00t_policy.core.errors import Gr00tError


def _start_and_fail(tmp_path, options: StackOptions) -> str:
    """Start a stack that cannot come up; returns the error for the user."""
    with pytest.raises(Gr00tError) as caught, running_stack(options, tmp_path / "logs") as stack:
        stack.wait_active()
    return str(caught.value)


def test_a_missing_checkpoint_is_one_clear_error(tmp_path):
    text = _start_and_fail(tmp_path, StackOptions(checkpoint=tmp_path / "nowhere"))
    assert "no checkpoint folder" in text
    assert "Traceback" not in text


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
    text = _start_and_fail(tmp_path, StackOptions(checkpoint=damaged))
    assert "model.safetensors" in text


def test_a_checkpoint_for_another_robot_is_refused(tmp_path, checkpoint):
    overrides = {name: {"embodiment": "gr2"} for name in ("planner", "controller")}
    text = _start_and_fail(tmp_path, StackOptions(checkpoint=checkpoint, overrides=overrides))
    assert "gr2" in text


def test_an_unknown_parameter_is_named_with_the_known_ones(tmp_path, checkpoint):
    overrides = {"command_gate": {"max_speed": 3.0}}
    text = _start_and_fail(tmp_path, StackOptions(checkpoint=checkpoint, overrides=overrides))
    assert "max_speed" in text
    assert "speed_scale" in text


def test_the_error_of_the_demo_is_one_line_with_the_log_and_exit_code_2(tmp_path):
    words = ["demo", "--checkpoint", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "gr00t_bringup.cli", *words], capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 2
    assert "no checkpoint folder" in done.stderr
    assert "Traceback" not in done.stderr
