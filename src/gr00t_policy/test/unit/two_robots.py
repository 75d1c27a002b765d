# SPDX-License-Identifier: Apache-2.0
"""A mixture of two robots with other joints, rates and pictures, for tests of training on streamed samples."""

from pathlib import Path

import numpy as np
import yaml
from sample_data import HEIGHT, WIDTH, add_sample, small_robot

from gr00t_policy.core.embodiment import embodiment_to_dict, load_embodiment
from gr00t_policy.data.grounding import GOAL_UV
from gr00t_policy.data.valid_rows import VALID
from gr00t_policy.data.writer import LeRobotWriter

SENTENCES = ("sort the bolts", "pick up the red can")


def write_two_robots(folder: Path) -> Path:
    """Two episodes of the GR-1 with labels and invalid rows, two of a robot with six joints; the YAML of both."""
    rng, robot = np.random.default_rng(0), load_embodiment("gr1")
    with LeRobotWriter(folder / "bolts", robot, image_sizes={"ego_view": (56, 56)}) as writer:
        for number in range(2):
            joints = rng.normal(0, 0.01, (25, len(robot.policy_joints))).cumsum(axis=0)
            pictures = rng.integers(0, 256, (24, 56, 56, 3), np.uint8)
            valid = np.ones((24, 1), np.float32)
            valid[8:11] = 0
            extra = {VALID: valid, GOAL_UV: np.full((24, 4), 0.25 + 0.5 * number, np.float32)}
            writer.add_episode(joints[:-1], joints[1:], {"ego_view": pictures}, SENTENCES[0], extra=extra)
        writer.finish()
    other = small_robot(rate_hz=10.0)
    assert (other.cameras[0].height, other.cameras[0].width) == (HEIGHT, WIDTH)
    with LeRobotWriter(folder / "cans", other, fps=10.0) as writer:
        for seed in range(2):
            add_sample(writer, seed, 20, SENTENCES[1])
        writer.finish()
    (folder / "small.yaml").write_text(yaml.safe_dump(embodiment_to_dict(other)))
    datasets = {
        "bolts": {"path": "bolts", "embodiment": "gr1"},
        "cans": {"path": "cans", "embodiment": "small.yaml", "weight": 1.5},
    }
    (folder / "pyramid.yaml").write_text(yaml.safe_dump({"datasets": datasets}))
    return folder / "pyramid.yaml"
