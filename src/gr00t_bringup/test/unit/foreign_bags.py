# SPDX-License-Identifier: Apache-2.0
"""Bags as another robot's recorder writes them, by ``rosbags``: one time per message and no numbers, other names and rates.

Joint states at 100 Hz with joints that no policy moves, commands as joint states at 50 Hz, raw bgr8 pictures at 15 Hz.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from sample_bags import START, STORE, S, header, made, picture, to_ros

from gr00t_policy.core.embodiment import Embodiment

JOINTS, COMMANDS, CAMERA = "/robot/joint_states", "/robot/joint_commands", "/head_camera/color/image_raw"
STATE_HZ, COMMAND_HZ, CAMERA_HZ = 100.0, 50.0, 15.0
LAG_S = 0.1


def topic_options(robot: Embodiment) -> list[str]:
    """The words that say where things are in such a bag."""
    return ["--state-topic", JOINTS, "--action-topic", COMMANDS, "--cameras", f"{robot.cameras[0].name}={CAMERA}"]


def write_foreign_bag(folder: Path, robot: Embodiment, seconds: float, storage: StoragePlugin) -> dict[str, int]:
    """Returns how many messages each topic has."""
    messages: list[tuple[int, str, str, object]] = []

    def add(name: str, kind: str, rate_hz: float, delay_s: float, make: Callable[[float], object]) -> None:
        for number in range(round(seconds * rate_hz)):
            at_s = number / rate_hz
            messages.append((START + round((at_s + delay_s) * S), name, f"sensor_msgs/msg/{kind}", make(at_s)))

    add(JOINTS, "JointState", STATE_HZ, 0.002, lambda at: _joints(robot, at, _told(robot, max(at - LAG_S, 0.0))))
    add(COMMANDS, "JointState", COMMAND_HZ, 0.001, lambda at: _joints(robot, at, _told(robot, at)))
    add(CAMERA, "Image", CAMERA_HZ, 0.02, lambda at: _picture(robot, at))
    counts: dict[str, int] = {}
    with Writer(folder, version=9, storage_plugin=storage) as bag:
        connections = {}
        for log_ns, name, kind, message in sorted(messages, key=lambda one: one[0]):
            if name not in connections:
                connections[name] = bag.add_connection(name, kind, typestore=STORE)
            bag.write(connections[name], log_ns, STORE.serialize_cdr(message, kind))
            counts[name] = counts.get(name, 0) + 1
    return counts


def _told(robot: Embodiment, at_s: float) -> NDArray[np.float64]:
    """Where the joints (J,) of the policy are to be [rad]."""
    home = np.array([robot.home.get(name, 0.0) for name in robot.policy_joint_names])
    return home + 0.2 * np.sin(2.0 * at_s + np.arange(len(home)))


def _joints(robot: Embodiment, at_s: float, positions: NDArray[np.float64]) -> object:
    """Backwards, and with wheels in between."""
    names = ["left_wheel", *robot.policy_joint_names[::-1], "right_wheel"]
    values = np.concatenate([[at_s], to_ros(robot, positions)[::-1], [-at_s]])
    return made("sensor_msgs/msg/JointState", header=header(at_s), name=names, position=values,
                velocity=np.zeros(len(names)), effort=np.zeros(0))  # fmt: skip


def _picture(robot: Embodiment, at_s: float) -> object:
    camera = robot.cameras[0]
    rows = np.linspace(20, 200, camera.height)[:, None] + np.zeros(camera.width)
    frame = np.stack([rows, rows * 0.5, np.roll(rows, round(40 * at_s), axis=0)], axis=-1).astype(np.uint8)
    message = picture(np.ascontiguousarray(frame[:, :, ::-1]), at_s)
    message.encoding = "bgr8"  # type: ignore[attr-defined]
    return message
