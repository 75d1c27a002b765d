# SPDX-License-Identifier: Apache-2.0
"""Bags of a robot at work, written with the suite's writer from messages that an independent library serialized."""

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rosbags.typesys import Stores, get_typestore
from sample_data import moving_square

from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter

STORE = get_typestore(Stores.ROS2_JAZZY)
S = 1_000_000_000
START = 1_700_000_000 * S
STATE_DELAY_S, COMMAND_DELAY_S, REACH_S = (
    0.001,
    0.004,
    0.012,
)  # stamp to sending; stamp to when the robot is to be there
LAG_S = 0.1  # the robot is where it was told to be so long before
SENTENCE = "pick up the red can"


@dataclass(frozen=True)
class Story:
    """What happened. moving: from when to when [s]; sentences: (time [s], text), not said on any topic when empty."""

    seconds: float = 3.0
    moving: tuple[float, float] = (0.0, 100.0)
    sentences: tuple[tuple[float, str], ...] = ((0.0, SENTENCE),)
    camera_hz: float = 20.0
    state_hz: float = 100.0
    camera_delay_s: float = 0.015
    codec: str = ""  # "jpeg", "png"; "" = raw
    namespace: str = ""
    seed: int = 0


def target(robot: Embodiment, story: Story, time_s: float) -> NDArray[np.float64]:
    """Where the joints (J,) are to be at a time of the story [rad]."""
    begin, end = story.moving
    phase = np.clip(time_s, begin, end) - begin
    return 0.3 * np.sin(2.0 * phase + np.arange(len(robot.policy_joints)) + story.seed)


def picture_number(story: Story, time_s: float) -> int:
    """Which picture was taken at or last before a time of the story."""
    return int(np.floor(time_s * story.camera_hz + 1e-6))


def messages_of(robot: Embodiment, story: Story) -> tuple[dict[str, BagTopic], list[BagMessage]]:
    """All topics and messages, in order of sending."""
    topics, messages = {}, []

    def add(name: str, type_name: str, times_s: NDArray, delay_s: float, make: Callable[[int, float], object]) -> None:
        topic = BagTopic(f"{story.namespace}/{name}", type_name, STORE.generate_msgdef(type_name, ros_version=2)[0])
        topics[topic.name] = topic
        for number, time_s in enumerate(times_s.tolist()):
            sent = START + round((time_s + delay_s) * S)
            cdr = bytes(STORE.serialize_cdr(make(number, time_s), type_name))
            messages.append(BagMessage(topic.name, cdr, sent + 200_000, sent, number + 1))

    states = np.arange(0, story.seconds, 1 / story.state_hz)
    pictures = np.arange(0, story.seconds, 1 / story.camera_hz)
    frames = moving_square(len(pictures), story.seed)
    add(
        "joint_states", "sensor_msgs/msg/JointState", states, STATE_DELAY_S, lambda _, at: joint_state(robot, story, at)
    )
    add("joint_trajectory", "trajectory_msgs/msg/JointTrajectory", states, COMMAND_DELAY_S,
        lambda _, at: trajectory(robot, story, at))  # fmt: skip
    suffix, kind = ("/compressed", "CompressedImage") if story.codec else ("", "Image")
    for camera in robot.cameras:
        add(f"camera/{camera.name}/image_raw{suffix}", f"sensor_msgs/msg/{kind}", pictures, story.camera_delay_s,
            lambda number, at: picture(frames[number], at, story.codec))  # fmt: skip
    for time_s, text in story.sentences:
        add("language_command", "std_msgs/msg/String", np.array([time_s]), 0.0, lambda *_, text=text: string(text))
    return topics, sorted(messages, key=lambda message: message.publish_ns)


def write_bag(
    folder: Path,
    robot: Embodiment,
    story: Story,
    change: Callable[[list[BagMessage]], list[BagMessage]] = list,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """The bag of a story, its messages altered by ``change`` before they are written."""
    topics, messages = messages_of(robot, story)
    with BagWriter(folder) as bag:
        for topic in topics.values():
            bag.add_topic(topic)
        for message in change(messages):
            bag.write(message)
        bag.close(dict(notes) if notes else None)
    return folder


def joint_state(robot: Embodiment, story: Story, time_s: float, names: tuple[str, ...] = ()) -> object:
    """Where the joints were told to be ``LAG_S`` before; named in another order than the policy's."""
    order = np.random.default_rng(1).permutation(len(robot.policy_joints))
    positions = to_ros(robot, target(robot, story, max(time_s - LAG_S, 0.0)))[order]
    listed = [names[i] if names else robot.policy_joints[i].name for i in order]
    empty = np.zeros(0)
    return made("sensor_msgs/msg/JointState", header=header(time_s), name=listed, position=positions,
                velocity=empty, effort=empty)  # fmt: skip


def trajectory(robot: Embodiment, story: Story, time_s: float) -> object:
    """One point, due ``REACH_S`` after the joint state it answers."""
    empty = np.zeros(0)
    point = made("trajectory_msgs/msg/JointTrajectoryPoint", positions=to_ros(robot, target(robot, story, time_s + REACH_S)),
                 velocities=empty, accelerations=empty, effort=empty,
                 time_from_start=made("builtin_interfaces/msg/Duration", sec=0, nanosec=round(REACH_S * S)))  # fmt: skip
    names = list(robot.policy_joint_names)
    return made("trajectory_msgs/msg/JointTrajectory", header=header(time_s), joint_names=names, points=[point])


def picture(frame: NDArray[np.uint8], time_s: float, codec: str = "") -> object:
    """The frame as an Image, or as a CompressedImage."""
    if not codec:
        height, width, _ = frame.shape
        return made("sensor_msgs/msg/Image", header=header(time_s), height=height, width=width, encoding="rgb8",
                    is_bigendian=0, step=3 * width, data=frame.reshape(-1))  # fmt: skip
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, codec)
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    return made(
        "sensor_msgs/msg/CompressedImage", header=header(time_s), format=f"rgb8; {codec} compressed bgr8", data=data
    )


def string(text: str) -> object:
    return made("std_msgs/msg/String", data=text)


def header(time_s: float) -> object:
    stamp_ns = START + round(time_s * S)
    return made("std_msgs/msg/Header", stamp=made("builtin_interfaces/msg/Time", sec=stamp_ns // S, nanosec=stamp_ns % S),
                frame_id="")  # fmt: skip


def made(type_name: str, **fields: object) -> object:
    return STORE.types[type_name](**fields)


def to_ros(robot: Embodiment, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Model convention -> the signs of the robot's description."""
    return positions * np.array([joint.sign for joint in robot.policy_joints])


def cut_short(bag: Path, share: float) -> None:
    """As a full disk or a power cut leaves it."""
    file = next(bag.glob("*.mcap"))
    os.truncate(file, int(file.stat().st_size * share))
