# SPDX-License-Identifier: Apache-2.0
"""A checkpoint in NVIDIA's layout, with a tokenizer in a folder of its own, drives the robot through the nodes."""

from pathlib import Path

import pytest

from gr00t_bringup.cli import main
from gr00t_bringup.nodes import parameter_files
from gr00t_bringup.ros.stack import StackOptions, running_stack

_TOKENIZER = Path(__file__).resolve().parents[5] / "shared" / "data" / "eagle2_tokenizer"


@pytest.mark.skipif(not _TOKENIZER.is_dir(), reason="the published tokenizer files are not beside the project")
def test_a_released_checkpoint_drives_the_robot_with_its_head_in_a_worker(tmp_path, sentence, as_session):
    folder = tmp_path / "release"
    assert main(["checkpoint", "synth", "--preset", "n1_tiny_release", "--out", str(folder)]) == 0
    large = parameter_files("gr1", "mujoco", "planner")[0].with_name("large_network.yaml")
    options = StackOptions(
        checkpoint=folder,
        tokenizer=_TOKENIZER,
        parameter_files=(large,),
        overrides={"controller": {"head_mode": "worker"}},
        start_timeout_s=240.0,
    )
    with running_stack(options, tmp_path / "logs") as stack:
        stack.wait_active()
        stack.client.wait_listeners(["planner"], 20.0)
        stack.client.say(sentence)
        session = as_session(stack, tmp_path / "bag")
        session.wait_driven(60.0)
        session.wait(lambda status: status.control_rate_hz > 30 and status.head_rate_hz > 0)
        assert session.status.mode == "worker"
        assert stack.recorder.newest("conditioning_tokens").checkpoint_hash
