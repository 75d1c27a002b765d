# SPDX-License-Identifier: Apache-2.0
"""NVIDIA Isaac Teleop as a device: hands and head from the topics of its ROS 2 publisher, whatever headset it has.

It stamps when it publishes, names its poses, marks those it does not see, and by default leaves OpenXR's axes as they are.
"""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.devices.device import Clock, Deliver, Device, DeviceSample
from gr00t_teleop.devices.device_clock import DeviceClock
from gr00t_teleop.devices.frames import turned_from_y_up
from gr00t_teleop.devices.person_clutch import PersonClutch
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.topics import Heard, SoleSender, Topics, stamp_ns
from gr00t_teleop.operator_message import pose_numbers
from gr00t_teleop.types import KEYPOINTS, untracked

Array = NDArray[np.float64]
Side = Literal["left", "right"]
_SIDES: tuple[Side, ...] = ("left", "right")

HAND, ENDS, HEAD = "xr_teleop/hand", "xr_teleop/ee_poses", "xr_teleop/head_pose"
_NAMED = "teleop_ros2_interfaces/msg/NamedPoseArray"
TOPICS: Mapping[str, str] = {HAND: _NAMED, ENDS: _NAMED, HEAD: "geometry_msgs/msg/PoseStamped"}
_WAIT_S = 0.02
_QUIET_NS = 500_000_000
_TOGETHER_NS = 50_000_000  # an older head does not belong to these hands; the publisher sends both in one round


class IsaacTeleop(Device):
    """Hands where they come (mode hand_teleop), else the ends of the arms alone (controllers)."""

    source = "isaac_teleop"

    def __init__(self, is_y_up: bool, max_age_s: float, topics: Topics, clutch: PersonClutch, now_ns: Clock) -> None:
        super().__init__()
        self._is_y_up, self._topics, self._clutch, self._now_ns = is_y_up, topics, clutch, now_ns
        self._stream = SampleStream(self.source, max_age_s=max_age_s, is_dated=True)
        self._senders = SoleSender(topics, time.monotonic_ns)
        self._clocks = {topic: DeviceClock() for topic in TOPICS}
        self._counts: Counter[str] = Counter(
            dict.fromkeys(("messages", "repeated_messages", "malformed", "several_senders"), 0)
        )
        self._refused: dict[str, tuple[str, int]] = {}  # topic: why, and when
        self._epoch = 0
        self._begin()

    def open(self) -> None:
        self._topics.open({**TOPICS, **self._clutch.topics})
        self._clutch.open()
        self._begin()

    def close(self) -> None:
        self._clutch.close()
        self._topics.close()

    def run(self, deliver: Deliver) -> None:
        while not self.stopping.is_set():
            for heard in self._topics.take(_WAIT_S):
                if heard.topic in self._clutch.topics:
                    self._clutch.hear(heard)
                else:
                    self._hear(heard, deliver)

    def silence(self) -> str:
        if not self.is_running:
            return "the device does not run"
        now_ns, sampled_ns = self._now_ns(), self._stream.last_arrival_ns
        refused = next((why for why, at_ns in list(self._refused.values()) if now_ns - at_ns < _QUIET_NS), "")
        if not refused and (sampled_ns is None or now_ns - sampled_ns > _QUIET_NS):
            return f"nothing from Isaac Teleop on '{HAND}' or '{ENDS}'; does its teleop_ros2 node run, on this domain?"
        return refused or self._clutch.trouble()

    def counters(self) -> Mapping[str, int]:
        return {**self._counts, **self._stream.counters()}

    def _begin(self) -> None:
        self._epoch += 1
        self._head, self._head_ns, self._head_frame = untracked(), -(2**62), ""
        self._hand_ns, self._heard_ns = -(2**62), -(2**62)
        self._last: dict[str, int | None] = {}

    def _hear(self, heard: Heard, deliver: Deliver) -> None:
        """A message that may be believed goes on; the others are counted and told."""
        self._counts["messages"] += 1
        if crowd := self._senders.crowd(heard.topic):
            self._refuse("several_senders", crowd, heard)
            return
        if self._heard_ns > 0 and heard.arrival_ns - self._heard_ns > _QUIET_NS:
            self._begin()  # whoever comes back may have another origin
        given_ns = stamp_ns(heard.message.header)
        if given_ns is not None and given_ns == self._last.get(heard.topic):
            self._counts["repeated_messages"] += 1
            return
        self._last[heard.topic] = given_ns
        at_ns = heard.arrival_ns
        if given_ns is not None:
            at_ns = self._clocks[heard.topic].to_receiver_ns(given_ns, heard.arrival_ns)
        self._heard_ns = heard.arrival_ns
        try:
            if heard.topic == HEAD:
                self._head, self._head_ns = self._turned(pose_numbers(heard.message.pose)), at_ns
                self._head_frame = heard.message.header.frame_id
            elif heard.topic == HAND:
                self._hand_ns = heard.arrival_ns
                self._deliver(hands(heard.message), heard, at_ns, deliver)
            elif heard.arrival_ns - self._hand_ns > _QUIET_NS:
                self._deliver(ends(heard.message), heard, at_ns, deliver)
        except MessageError as error:
            self._refuse("malformed", f"'{heard.topic}': {error}", heard)

    def _deliver(self, points: dict[Side, Array], heard: Heard, at_ns: int, deliver: Deliver) -> None:
        left, right = self._turned(points["left"]), self._turned(points["right"])
        belongs = abs(at_ns - self._head_ns) <= _TOGETHER_NS
        if belongs and self._head_frame != (frame := heard.message.header.frame_id):
            raise MessageError(f"is in frame '{frame}', '{HEAD}' in '{self._head_frame}'; send both in one frame")
        sample = DeviceSample(
            stamp_ns=at_ns,
            sequence=0,
            epoch=self._epoch,
            clutch=False,
            head=self._head if belongs else untracked(),
            left_wrist=left[0],
            right_wrist=right[0],
            left_hand=left,
            right_hand=right,
        )
        self._stream.push(self._clutch.read(sample), heard.arrival_ns, deliver)

    def _turned(self, poses: Array) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):
            return turned_from_y_up(poses) if self._is_y_up else poses

    def _refuse(self, reason: str, why: str, heard: Heard) -> None:
        self._counts[reason] += 1
        self._refused[heard.topic] = why, heard.arrival_ns


def hands(message: Any) -> dict[Side, Array]:
    """Key points (25, 7) of both hands, NaN where not valid. Raises MessageError when it does not name them."""
    poses = _by_name(message)
    found: dict[Side, Array] = {}
    for side in _SIDES:
        missing = [name for name in KEYPOINTS if f"{side}_{name}" not in poses]
        if missing:
            raise MessageError(
                f"has no pose '{side}_{missing[0]}' ({len(missing)} of 25 are missing); it has: {', '.join(poses) or 'none'}"
            )
        found[side] = np.array([poses[f"{side}_{name}"] for name in KEYPOINTS])
    return found


def ends(message: Any) -> dict[Side, Array]:
    """The same with wrists alone, of the ends of both arms. Raises MessageError when it does not name them."""
    poses = _by_name(message)
    found: dict[Side, Array] = {}
    for side in _SIDES:
        if side not in poses:
            raise MessageError(f"has no pose '{side}'; it has: {', '.join(poses) or 'none'}")
        found[side] = untracked(len(KEYPOINTS))
        found[side][0] = poses[side]
    return found


def _by_name(message: Any) -> dict[str, Array]:
    """Poses (7,) by their names in small letters; NaN where not valid."""
    count = len(message.name)
    if len(message.pose) != count or len(message.is_valid) != count:
        raise MessageError(
            f"has {count} names, {len(message.pose)} poses and {len(message.is_valid)} is_valid, expected equal"
        )
    return {
        name.lower(): pose_numbers(pose) if is_valid else untracked()
        for name, pose, is_valid in zip(message.name, message.pose, message.is_valid, strict=True)
    }
