# SPDX-License-Identifier: Apache-2.0
"""The command for several machines, by Accelerate's own launcher: two of one process each, on this one's loopback."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from released_folder import write_release_folder
from training_runs import apart, assert_same_curve, weights

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.data.writer import LeRobotWriter
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.training import finetune
from gr00t_policy.training.finetune import FinetuneConfig

STEPS = 3


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> FinetuneConfig:
    """One process that takes each step in two parts, whose dropout is that of two processes: of the published form."""
    torch.set_num_threads(1)
    folder, robot, rng = tmp_path_factory.mktemp("alone"), load_embodiment("gr1"), np.random.default_rng(0)
    with LeRobotWriter(folder / "recorded", robot, image_sizes={"ego_view": (56, 56)}) as writer:
        joints = rng.normal(0, 0.01, (25, len(robot.policy_joints))).cumsum(axis=0)
        pictures = rng.integers(0, 256, (24, 56, 56, 3), np.uint8)
        writer.add_episode(joints[:-1], joints[1:], {"ego_view": pictures}, "sort the bolts")
        writer.finish()
    config = FinetuneConfig(
        dataset=folder / "recorded", init=write_release_folder(folder / "init"), out=folder / "alone", steps=STEPS, batch=2,
        accumulate=2, lr=1e-3, threads=1, save_every=2, log_every=1,
    )  # fmt: skip
    finetune.run(config)
    return config


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_machines_with_a_sharded_network_learn_what_one_process_learns(alone, tmp_path):
    train = (
        "train", "--recipe", "finetune", "--dataset", str(alone.dataset), "--init", str(alone.init), "--out",
        str(tmp_path / "two"), "--steps", str(STEPS), "--batch", "2", "--lr", "1e-3", "--threads", "1", "--log-every", "1",
        "--checkpoint-every", "2",
    )  # fmt: skip
    port = str(free_port())
    machines = [
        subprocess.Popen(
            [
                sys.executable, "-m", "accelerate.commands.launch", "--use_fsdp", "--fsdp_version", "2", "--num_machines", "2",
                "--num_processes", "2", "--machine_rank", str(rank), "--main_process_ip", "127.0.0.1",
                "--main_process_port", port, "-m", "gr00t_bringup.cli", *train,
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        said = [machine.communicate(timeout=280)[0] for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert [machine.returncode for machine in machines] == [0, 0], "\n".join(one[-3000:] for one in said)
    card = load_checkpoint(tmp_path / "two" / "checkpoint").card
    assert (card["processes"], card["sharded"]) == (2, True)
    assert load_checkpoint(tmp_path / "two" / "checkpoint-2").load_weights(), "gathered from both on the way"
    assert_same_curve(alone.out, tmp_path / "two", STEPS)
    ended = weights(alone.out / "checkpoint"), weights(tmp_path / "two" / "checkpoint")
    assert apart(*ended, weights(alone.init)) < 5e-3
