# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201
"""The policy drives the simulated GR-1 for a few seconds, without ROS: look, encode, act, move.

python examples/act_without_ros.py [CHECKPOINT] [SECONDS]
"""

import sys

import numpy as np

from gr00t_policy.core.types import Observation
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.torch_backend import TorchBackend
from gr00t_sim.simulation import TabletopSim


def main(checkpoint: str = "models/gr1_tabletop_tiny", seconds: float = 15.0) -> bool:
    """True when the task was solved."""
    loaded = load_checkpoint(checkpoint)
    policy = Gr00tPolicy(loaded, TorchBackend(loaded))
    robot = loaded.embodiment
    moved = [robot.joint_names.index(name) for name in robot.policy_joint_names]

    sim = TabletopSim("pick_named_object", robot)
    sentence = sim.reset(seed=10_000)
    print(f"asked to: {sentence}")
    steps = round(1 / robot.rate_hz / sim.timestep_s)  # of physics in one step of the policy
    for tick in range(round(seconds * robot.rate_hz)):
        joints = sim.joint_positions()
        stamp_ns = round(sim.time_s * 1e9)
        if tick % 2 == 0:  # the slow half, ten times a second
            image = sim.render(robot.cameras[0].name, robot.cameras[0].width, robot.cameras[0].height)
            seen = Observation({robot.cameras[0].name: image}, joints[moved].astype(np.float32), sentence, stamp_ns)
            policy.accept(policy.encode(seen))
        chunk = policy.act(joints[moved], stamp_ns)  # the fast half
        targets = sim.joint_targets()
        targets[moved] = chunk.positions[0]
        sim.set_targets(targets, ramp_s=chunk.step_dt_s)
        sim.step_physics(steps)
        if sim.task_state().success:
            break
    status = sim.task_state()
    print(f"after {sim.time_s:.1f} s: {'solved' if status.success else 'not solved'}, {status.detail}")
    sim.close()
    return status.success


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(float, sys.argv[2:3]))
