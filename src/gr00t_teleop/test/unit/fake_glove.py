# SPDX-License-Identifier: Apache-2.0
"""What a Manus glove's driver says of a known hand: nodes in axes of its own, right- or left-handed."""

from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from fake_topics import pose_message

from gr00t_teleop.devices.frames import composed, mirrored
from gr00t_teleop.devices.simple_hand import simple_hand
from gr00t_teleop.types import KEYPOINTS

IDENTITY = np.array([0.0, 0, 0, 0, 0, 0, 1])
_CHAINS = {"thumb": "Thumb", "index": "Index", "middle": "Middle", "ring": "Ring", "little": "Pinky"}
_JOINTS = {"metacarpal": "MCP", "proximal": "PIP", "intermediate": "IP", "distal": "DIP", "tip": "TIP"}


def hand(side: Literal["left", "right"], closing: float) -> np.ndarray:
    """The truth: key points (25, 7) relative to the wrist, in our axes."""
    return simple_hand(IDENTITY, side, closing)


def nodes_of(
    points: np.ndarray, axes: np.ndarray, *, is_mirrored: bool = False, root: np.ndarray = IDENTITY
) -> list[Any]:
    """Nodes of key points (25, 7). axes (3, 3): columns are our axes in the driver's; root (7,): where its wrist node is."""
    turned = points.copy()
    turned[:, :3], turned[:, 3:6] = points[:, :3] @ axes.T, points[:, 3:6] @ axes.T
    given = composed(np.broadcast_to(root, turned.shape), turned)
    given = mirrored(given) if is_mirrored else given
    nodes = []
    for name, pose in zip(KEYPOINTS, given, strict=True):
        finger, _, part = name.partition("_")
        chain, joint = ("Hand", "Invalid") if name == "wrist" else (_CHAINS[finger], _JOINTS[part])
        nodes.append(SimpleNamespace(chain_type=chain, joint_type=joint, pose=pose_message(pose)))
    return nodes[::-1]  # no order is promised


def turned_axes(x: int, y: int, z: int) -> np.ndarray:
    """One of the ways in which whole axes can lie, by quarter turns."""

    def about(axis: int, quarters: int) -> np.ndarray:
        matrix, (b, c) = np.eye(3), ((axis + 1) % 3, (axis + 2) % 3)
        matrix[b, b] = matrix[c, c] = np.cos(quarters * np.pi / 2)
        matrix[c, b], matrix[b, c] = np.sin(quarters * np.pi / 2), -np.sin(quarters * np.pi / 2)
        return matrix

    return np.asarray((about(0, x) @ about(1, y) @ about(2, z)).round())


def glove_message(side: str, nodes: list[Any]) -> Any:
    return SimpleNamespace(glove_id=1, side=side, raw_node_count=0, raw_nodes=nodes)
