# SPDX-License-Identifier: Apache-2.0
"""Trackers on wrists and head as geometry_msgs/PoseStamped: Vive, OptiTrack, or whatever has a ROS driver."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.rotation import from_matrix, to_matrix
from gr00t_teleop.devices.device import Clock, Deliver, Device, DeviceSample
from gr00t_teleop.devices.frames import composed, turned_from_y_up
from gr00t_teleop.devices.manus_gloves import ManusGloves
from gr00t_teleop.devices.person_clutch import PersonClutch
from gr00t_teleop.devices.sample_stream import SampleStream
from gr00t_teleop.devices.topics import Heard, SoleSender, Topics, stamp_ns
from gr00t_teleop.devices.tracked_parts import Moment, Part, TrackedParts
from gr00t_teleop.operator_message import pose_numbers
from gr00t_teleop.types import KEYPOINTS, untracked

Array = NDArray[np.float64]

TOPICS: dict[str, Part] = {
    "trackers/left_wrist": "left_wrist",
    "trackers/right_wrist": "right_wrist",
    "trackers/head": "head",
}
_POSE = "geometry_msgs/msg/PoseStamped"
_WAIT_S = 0.02
_QUIET_NS = 500_000_000


@dataclass(frozen=True)
class TrackerOptions:
    """is_y_up: the trackers' axes are x right, y up, z back, else x forward, y left, z up.

    left_mount, right_mount, head_mount: where wrist and head are in their trackers' axes, x y z [m] and roll, pitch, yaw
    [rad]. Raises ConfigError when one is not six numbers.
    """

    is_y_up: bool = False
    left_mount: tuple[float, ...] = (0.0,) * 6
    right_mount: tuple[float, ...] = (0.0,) * 6
    head_mount: tuple[float, ...] = (0.0,) * 6
    max_age_s: float = 0.15
    mounts: Mapping[str, Array] = field(init=False)

    def __post_init__(self) -> None:
        mounts = {
            "left_wrist": mount("left_mount", self.left_mount),
            "right_wrist": mount("right_mount", self.right_mount),
            "head": mount("head_mount", self.head_mount),
        }
        object.__setattr__(self, "mounts", mounts)


def mount(name: str, numbers: tuple[float, ...]) -> Array:
    """The pose (7,) of x y z [m], roll, pitch, yaw [rad]: turns about x, then y, then z of the tracker."""
    if len(numbers) != 6:
        raise ConfigError(f"{name} has {len(numbers)} numbers; give 6: x, y, z [m], roll, pitch, yaw [rad]")
    turn = to_matrix(np.array(numbers[:2:-1]), "euler_angles_ypr")
    return np.concatenate([numbers[:3], from_matrix(turn, "quaternion")[[1, 2, 3, 0]]])


class Trackers(Device):
    """Any of the three may be missing; a wrist that is silent is lost. Fingers come from gloves, if there are any."""

    source = "trackers"

    def __init__(
        self, options: TrackerOptions, topics: Topics, clutch: PersonClutch, gloves: ManusGloves | None, now_ns: Clock
    ) -> None:
        super().__init__()
        self._options, self._topics, self._clutch, self._gloves = options, topics, clutch, gloves
        self._now_ns = now_ns
        self._parts = TrackedParts()
        self._stream = SampleStream(self.source, max_age_s=options.max_age_s, is_dated=True)
        self._senders = SoleSender(topics, time.monotonic_ns)
        self._counts: Counter[str] = Counter({"poses": 0, "other_frame": 0, "several_senders": 0, "without_pose": 0})
        self._frame: str | None = None
        self._epoch = 0
        self._heard_ns: int | None = None
        self._refused: dict[str, tuple[str, int]] = {}  # topic: why, and when

    def open(self) -> None:
        gloves = {} if self._gloves is None else self._gloves.topics
        self._topics.open({**dict.fromkeys(TOPICS, _POSE), **gloves, **self._clutch.topics})
        self._clutch.open()
        if self._gloves is not None:
            self._gloves.reset()
        self._forget()

    def close(self) -> None:
        self._clutch.close()
        self._topics.close()

    def run(self, deliver: Deliver) -> None:
        while not self.stopping.is_set():
            for heard in self._topics.take(_WAIT_S):
                self._hear(heard, deliver)

    def silence(self) -> str:
        if not self.is_running:
            return "the device does not run"
        now_ns, sampled_ns = self._now_ns(), self._stream.last_arrival_ns
        refused = next((why for why, at_ns in list(self._refused.values()) if now_ns - at_ns < _QUIET_NS), "")
        if not refused and (sampled_ns is None or now_ns - sampled_ns > _QUIET_NS):
            return f"no poses of a wrist; send {_POSE} on {' and '.join(list(TOPICS)[:2])}"
        gloves = "" if self._gloves is None else self._gloves.trouble(now_ns)
        return refused or self._clutch.trouble() or gloves

    def counters(self) -> Mapping[str, int]:
        gloves = {} if self._gloves is None else self._gloves.counters()
        return {**self._counts, "repeated_poses": self._parts.repeated, **gloves, **self._stream.counters()}

    def _hear(self, heard: Heard, deliver: Deliver) -> None:
        part = TOPICS.get(heard.topic)
        if heard.topic in self._clutch.topics:
            self._clutch.hear(heard)
        elif part is not None:
            self._hear_pose(part, heard, deliver)
        elif self._gloves is not None:
            self._gloves.hear(heard)

    def _hear_pose(self, part: Part, heard: Heard, deliver: Deliver) -> None:
        """A pose of a tracker that may be believed goes on; the others are counted and told."""
        if crowd := self._senders.crowd(heard.topic):
            self._refuse("several_senders", crowd, heard)
            return
        if self._heard_ns is not None and heard.arrival_ns - self._heard_ns > _QUIET_NS:
            self._forget()  # whoever comes back may have another origin
        frame = heard.message.header.frame_id
        if self._frame is None:
            self._frame = frame
        if frame != self._frame:
            why = f"'{heard.topic}' is in frame '{frame}', the others in '{self._frame}'; send all in one frame"
            self._refuse("other_frame", why, heard)
            return
        self._counts["poses"] += 1
        self._heard_ns = heard.arrival_ns
        pose = self._in_our_axes(part, pose_numbers(heard.message.pose))
        self._counts["without_pose"] += not np.isfinite(pose).all()
        for moment in self._parts.hear(part, pose, stamp_ns(heard.message.header), heard.arrival_ns):
            sample = self._clutch.read(self._sample(moment, heard.arrival_ns))
            self._stream.push(sample, heard.arrival_ns, deliver)

    def _refuse(self, reason: str, why: str, heard: Heard) -> None:
        self._counts[reason] += 1
        self._refused[heard.topic] = why, heard.arrival_ns

    def _in_our_axes(self, part: Part, pose: Array) -> Array:
        with np.errstate(invalid="ignore", over="ignore"):
            turned = turned_from_y_up(pose) if self._options.is_y_up else pose
            return composed(turned, self._options.mounts[part])

    def _sample(self, moment: Moment, arrival_ns: int) -> DeviceSample:
        left_hand, right_hand = untracked(len(KEYPOINTS)), untracked(len(KEYPOINTS))
        if self._gloves is not None:
            left_hand = self._gloves.fingers("left", moment.left_wrist, arrival_ns)
            right_hand = self._gloves.fingers("right", moment.right_wrist, arrival_ns)
        return DeviceSample(
            stamp_ns=moment.stamp_ns,
            sequence=0,
            epoch=self._epoch,
            clutch=False,
            head=moment.head,
            left_wrist=moment.left_wrist,
            right_wrist=moment.right_wrist,
            left_hand=left_hand,
            right_hand=right_hand,
        )

    def _forget(self) -> None:
        self._epoch += 1
        self._frame = self._heard_ns = None
        self._parts.reset()
