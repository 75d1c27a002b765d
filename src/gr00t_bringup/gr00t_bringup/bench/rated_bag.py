# SPDX-License-Identifier: Apache-2.0
"""A bag as it comes from the recorder under its rated load, made without ROS: two cameras with real pictures, joints, tokens.

Pictures are jpegs of a drawn scene that moves, with texture and a camera's noise: what a decoder and an encoder of video
take for them is what they take for a room, which random bytes or a plain colour would not give.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rosbags.typesys import Stores, get_typestore

from gr00t_policy.core.embodiment import Camera, Embodiment, load_embodiment
from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter

WIDTH, HEIGHT, CAMERA_HZ = 640, 480, 30.0
JOINT_HZ, TOKEN_HZ, TOKEN_BYTES = 120.0, 10.0, 300_000  # as `gr00t bench record` sends
CAMERAS = ("ego_view", "side")
SENTENCE = "pick up the red can"
_COMMANDS = ("joint_trajectory", "teleop/joint_trajectory", "policy/joint_trajectory")
_START_NS = 1_700_000_000 * 10**9
_S_NS = 10**9
_LAG_S, _REACH_S = 0.1, 0.02
_QUALITY, _NOISE = 85, 3.0  # of the jpegs; grey levels: together about 60 kB a picture
_JPEGS = 60  # different pictures of each camera, forth and back


def rated_robot() -> Embodiment:
    """The GR-1 with two cameras of the rated size and rate."""
    robot = load_embodiment("gr1")
    cameras = tuple(Camera(name, WIDTH, HEIGHT, CAMERA_HZ, f"{name}_optical") for name in CAMERAS)
    return replace(robot, cameras=cameras)


@dataclass(frozen=True)
class _Stream:
    """name: of the topic; make: (number, time [s]) -> message; delay_s: from stamp to sending."""

    name: str
    type_name: str
    rate_hz: float
    delay_s: float
    make: Callable[[int, float], Any]


def write_rated_bag(folder: Path, robot: Embodiment, seconds: float) -> Path:
    """Write it; the same bytes each time. Raises DatasetError where the folder is not empty."""
    store = get_typestore(Stores.ROS2_JAZZY)
    streams = _streams(_Messages(store.types, robot))
    with BagWriter(folder) as bag:
        for stream in streams:
            definition = store.generate_msgdef(stream.type_name, ros_version=2)[0]
            bag.add_topic(BagTopic(f"/{stream.name}", stream.type_name, definition))
        for sent_s, number, stream in _in_order(streams, seconds):
            cdr = bytes(store.serialize_cdr(stream.make(number, number / stream.rate_hz), stream.type_name))
            sent_ns = _START_NS + round(sent_s * _S_NS)
            bag.write(BagMessage(f"/{stream.name}", cdr, sent_ns + 200_000, sent_ns, number + 1))
    return folder


def _in_order(streams: list[_Stream], seconds: float) -> Iterator[tuple[float, int, _Stream]]:
    """(sent [s], number, stream) of all messages; a stream without a rate sends once."""
    found = [
        (number / stream.rate_hz + stream.delay_s, number, place)
        for place, stream in enumerate(streams)
        for number in range(max(round(seconds * stream.rate_hz), 1))
    ]
    return ((sent_s, number, streams[place]) for sent_s, number, place in sorted(found))


def _streams(messages: "_Messages") -> list[_Stream]:
    cameras = [_Camera(messages, seed) for seed in range(len(CAMERAS))]
    joint_state = messages.joint_state
    return [
        _Stream("language_command", "std_msgs/msg/String", 0.01, 0.0, messages.sentence),
        _Stream("joint_states", "sensor_msgs/msg/JointState", JOINT_HZ, 0.001, joint_state),
        _Stream("hands/joint_states", "sensor_msgs/msg/JointState", JOINT_HZ, 0.001, joint_state),
        *(_Stream(name, "trajectory_msgs/msg/JointTrajectory", JOINT_HZ, 0.002, messages.command) for name in _COMMANDS),
        *(
            _Stream(f"camera/{name}/image_raw/compressed", "sensor_msgs/msg/CompressedImage", CAMERA_HZ, 0.015, camera.message)
            for name, camera in zip(CAMERAS, cameras, strict=True)
        ),
        _Stream("conditioning_tokens", "std_msgs/msg/UInt8MultiArray", TOKEN_HZ, 0.0, messages.tokens),
    ]  # fmt: skip


class _Messages:
    """Fills in messages of one robot."""

    def __init__(self, types: Any, robot: Embodiment) -> None:
        self._types, self._robot = types, robot
        self._signs = np.array([joint.sign for joint in robot.policy_joints])
        self._home = np.array([robot.home.get(name, 0.0) for name in robot.policy_joint_names])
        self._names = list(robot.policy_joint_names)
        self._tokens = np.random.default_rng(0).integers(0, 256, TOKEN_BYTES).astype(np.uint8)

    def made(self, type_name: str, **fields: Any) -> Any:
        return self._types[type_name](**fields)

    def header(self, at_s: float) -> Any:
        stamp_ns = _START_NS + round(at_s * _S_NS)
        stamp = self.made("builtin_interfaces/msg/Time", sec=stamp_ns // _S_NS, nanosec=stamp_ns % _S_NS)
        return self.made("std_msgs/msg/Header", stamp=stamp, frame_id="")

    def joint_state(self, _number: int, at_s: float) -> Any:
        """Where the joints were told to be ``_LAG_S`` before."""
        positions = self._told(max(at_s - _LAG_S, 0.0))
        return self.made("sensor_msgs/msg/JointState", header=self.header(at_s), name=self._names, position=positions,
                         velocity=0 * positions, effort=0 * positions)  # fmt: skip

    def command(self, _number: int, at_s: float) -> Any:
        positions, empty = self._told(at_s + _REACH_S), np.zeros(0)
        due = self.made("builtin_interfaces/msg/Duration", sec=0, nanosec=round(_REACH_S * _S_NS))
        point = self.made("trajectory_msgs/msg/JointTrajectoryPoint", positions=positions, velocities=empty,
                          accelerations=empty, effort=empty, time_from_start=due)  # fmt: skip
        return self.made("trajectory_msgs/msg/JointTrajectory", header=self.header(at_s), joint_names=self._names,
                         points=[point])  # fmt: skip

    def tokens(self, number: int, _at_s: float) -> Any:
        layout = self.made("std_msgs/msg/MultiArrayLayout", dim=[], data_offset=0)
        return self.made("std_msgs/msg/UInt8MultiArray", layout=layout, data=np.roll(self._tokens, number))

    def sentence(self, _number: int, _at_s: float) -> Any:
        return self.made("std_msgs/msg/String", data=SENTENCE)

    def picture(self, jpeg: bytes, at_s: float) -> Any:
        data = np.frombuffer(jpeg, np.uint8)
        return self.made("sensor_msgs/msg/CompressedImage", header=self.header(at_s), format="jpeg", data=data)

    def _told(self, at_s: float) -> NDArray[np.float64]:
        swing = 0.3 * np.sin(2.0 * at_s + np.arange(len(self._names)))
        return (self._home + swing) * self._signs


class _Camera:
    """Pictures of one camera."""

    def __init__(self, messages: _Messages, seed: int) -> None:
        self._messages = messages
        self._jpegs = [_jpeg(frame) for frame in scene_pictures(_JPEGS, seed)]

    def message(self, number: int, at_s: float) -> Any:
        place = number % (2 * _JPEGS - 2)
        return self._messages.picture(self._jpegs[min(place, 2 * _JPEGS - 2 - place)], at_s)


def scene_pictures(count: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """(HEIGHT, WIDTH, 3) each: a wall and a wooden table with coloured blocks that move, in a light that falls off."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    grain = 14 * np.sin(0.13 * y + 2.5 * np.sin(0.011 * x + seed)) + 6 * rng.normal(size=(HEIGHT, WIDTH)).cumsum(1) / 8
    wood = np.stack([150 + grain, 110 + 0.8 * grain, 70 + 0.5 * grain], -1)
    wall = np.stack([170 - 0.08 * y, 175 - 0.08 * y, 180 - 0.05 * x], -1)
    ground = np.where((y > HEIGHT * 0.42)[..., None], wood, wall)
    light = (1.1 - 0.5 * ((x / WIDTH - 0.5) ** 2 + (y / HEIGHT - 0.4) ** 2))[..., None]
    colours, phases = rng.integers(30, 230, (6, 3)), rng.uniform(0, 6, 6)
    noise = rng.normal(0, _NOISE, (HEIGHT + 64, WIDTH + 64)).astype(np.float32)
    for number in range(count):
        frame = ground.copy()
        for block, (colour, phase) in enumerate(zip(colours, phases, strict=True)):
            left = int(WIDTH * (0.1 + 0.13 * block) + 40 * np.sin(0.05 * number + phase))
            top = int(HEIGHT * 0.55 + 60 * np.sin(0.04 * number + 2 * phase))
            frame[top : top + 70, left : left + 60] = colour
            frame[top : top + 18, left : left + 60] = np.minimum(colour + 50, 255)
        down, right = rng.integers(0, 64, 2)
        noisy = frame * light + noise[down : down + HEIGHT, right : right + WIDTH, None]
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def _jpeg(frame: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "jpeg", quality=_QUALITY)
    return buffer.getvalue()
