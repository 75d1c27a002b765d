# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a group are called for people."""

from gr00t_policy.core.embodiment import Embodiment


def joint_labels(robot: Embodiment, group: str, width: int) -> list[str]:
    """The robot's joints where it has the group with as many of them; otherwise group[0], group[1], ..."""
    joints = [joint.name for joint in robot.policy_joints if joint.group == group]
    return joints if len(joints) == width else [f"{group}[{index}]" for index in range(width)]
