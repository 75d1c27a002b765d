# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201
"""The network cut at its tokens: one half encodes, bytes travel, the other half acts. As planner and controller do.

python examples/encode_then_act.py [CHECKPOINT]
"""

import sys
from dataclasses import replace

import numpy as np

from gr00t_policy.core.types import Observation
from gr00t_policy.core.wire import WireType, tokens_from_bytes, tokens_to_bytes
from gr00t_policy.model.checkpoint import load_checkpoint
from gr00t_policy.runtime.policy import Gr00tPolicy
from gr00t_policy.runtime.torch_backend import TorchBackend


def main(checkpoint: str = "models/gr1_tabletop_tiny") -> float:
    """The largest difference [rad] between acting on the tokens and on what is left of them after bfloat16."""
    loaded = load_checkpoint(checkpoint)
    robot = loaded.embodiment
    planner = Gr00tPolicy(loaded, TorchBackend(loaded))
    controller = Gr00tPolicy(loaded, TorchBackend(loaded))

    camera = robot.cameras[0]
    image = np.random.default_rng(0).integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
    home = robot.positions_by_name(robot.home)
    state = home[[robot.joint_names.index(name) for name in robot.policy_joint_names]].astype(np.float32)
    tokens = planner.encode(Observation({camera.name: image}, state, "put the red can into the blue bin"))

    data = tokens_to_bytes(tokens.features, WireType.BFLOAT16)
    print(f"{tokens.features.shape[0]} tokens of width {tokens.features.shape[1]} travel in {len(data)} bytes")
    travelled = replace(tokens, features=tokens_from_bytes(data, WireType.BFLOAT16, tokens.features.shape))

    planner.accept(tokens)
    controller.accept(travelled)
    direct, split = planner.act(state, 0), controller.act(state, 0)
    difference = float(np.abs(direct.positions - split.positions).max())
    steps, joints = split.positions.shape
    print(f"chunk of {steps} steps for {joints} joints; the detour changed it by at most {difference:.5f} rad")
    return difference


if __name__ == "__main__":
    main(*sys.argv[1:2])
