# SPDX-License-Identifier: Apache-2.0
"""Manus gloves over the topics of their ROS 2 driver: fingers only, to be put on a wrist that something else tracks.

manus_ros2_msgs/ManusGlove has no header: it is dated on arrival. Neither the number in a topic's name nor that of a node
says which side or joint it is; the texts beside them do. The driver's axes depend on its settings and may be
left-handed: both are found from the hand itself, once after each start, when the fingers are first bent.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_teleop.devices.frames import composed, inverse, mirrored, wrist_axes_of_hand
from gr00t_teleop.devices.topics import Heard
from gr00t_teleop.operator_message import pose_numbers
from gr00t_teleop.types import KEYPOINTS, tracked, untracked

Array = NDArray[np.float64]
Side = Literal["left", "right"]

GLOVE = "manus_ros2_msgs/msg/ManusGlove"
TOPICS: Mapping[str, str] = {"manus_glove_0": GLOVE, "manus_glove_1": GLOVE}
_SIDES: dict[str, Side] = {"left": "left", "l": "left", "right": "right", "r": "right"}
_FINGERS = {"thumb": "thumb", "index": "index", "middle": "middle", "ring": "ring", "pinky": "little"}
# The driver's words for the nodes of the SDK: its "MCP" is the metacarpal node, one before the knuckle.
_JOINTS = {"mcp": "metacarpal", "pip": "proximal", "ip": "intermediate", "dip": "distal", "tip": "tip"}
_PLACES = {name: place for place, name in enumerate(KEYPOINTS)}
_LONG_FINGERS = ("index", "middle", "ring", "little")
_KNUCKLES = [_PLACES[f"{finger}_proximal"] for finger in _LONG_FINGERS]
_TIPS = [_PLACES[f"{finger}_tip"] for finger in _LONG_FINGERS]
_NO_REACH_M = 0.3  # no finger is so far from its wrist; also what centimetres taken for metres exceed
_BENT_M = 0.04  # tips out of the palm's plane: half a fist, and more than fingers bend backwards
_SILENT_NS, _FROZEN_NS = 100_000_000, 200_000_000
_HEAP_NS = 4_000_000  # what follows sooner was not measured so soon after it: it waited, and its date is none


class ManusGloves:
    """Fingers of both hands relative to their wrists. Used by a device's thread."""

    topics = TOPICS

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(("gloves", "no_side", "same_side", "no_hand", "frozen"), 0))
        self.reset()

    def reset(self) -> None:
        """Forget the hands and how their axes lie."""
        self._hands: dict[Side, _GloveHand] = {"left": _GloveHand("left"), "right": _GloveHand("right")}
        self._why, self._why_ns = "", 0

    def hear(self, heard: Heard) -> None:
        """A message of one of the topics."""
        self._counts["gloves"] += 1
        side = _SIDES.get(str(heard.message.side).lower())
        if side is None:
            self._refuse("no_side", f"'{heard.topic}' has side '{heard.message.side}', expected Left or Right", heard)
            return
        hand = self._hands[side]
        if hand.topic not in ("", heard.topic) and heard.arrival_ns - hand.arrival_ns < _SILENT_NS:
            self._refuse("same_side", f"'{hand.topic}' and '{heard.topic}' are both the {side} hand", heard)
            return
        points = key_points(heard.message.raw_nodes)
        if flaw := _flaw(points):
            self._refuse("no_hand", f"'{heard.topic}': {flaw}", heard)
            return
        hand.hear(heard.topic, points, heard.arrival_ns)

    def fingers(self, side: Side, wrist: Array, now_ns: int) -> Array:
        """Key points (25, 7) in the frame of the wrist's pose (7,); NaN where no glove tells."""
        hand = self._hands[side]
        if not tracked(wrist) or hand.relative is None or hand.waited or now_ns - hand.arrival_ns > _SILENT_NS:
            return untracked(len(KEYPOINTS))
        if now_ns - hand.changed_ns > _FROZEN_NS:
            self._counts["frozen"] += 1
            return untracked(len(KEYPOINTS))
        return composed(np.broadcast_to(wrist, hand.relative.shape), hand.relative)

    def trouble(self, now_ns: int) -> str:
        """What is wrong with the gloves, as one sentence; empty when nothing is."""
        if self._why and now_ns - self._why_ns < 500_000_000:
            return self._why
        silent = [side for side, hand in self._hands.items() if now_ns - hand.arrival_ns > _SILENT_NS]
        if silent:
            return f"no {' and no '.join(silent)} glove on {', '.join(TOPICS)}"
        waiting = [side for side, hand in self._hands.items() if hand.relative is None]
        return (
            f"bend the fingers of the {' and '.join(waiting)} hand once: its glove's axes are not known"
            if waiting
            else ""
        )

    def counters(self) -> Mapping[str, int]:
        return {f"glove_{name}" if name != "gloves" else name: count for name, count in self._counts.items()}

    def _refuse(self, reason: str, why: str, heard: Heard) -> None:
        self._counts[reason] += 1
        self._why, self._why_ns = why, heard.arrival_ns


class _GloveHand:
    """The newest fingers of one side, in our axes of its wrist once these are known."""

    def __init__(self, side: Side) -> None:
        self._side: Side = side
        self._axes: Array | None = None
        self._is_mirrored = False
        self._raw: Array | None = None
        self.topic = ""
        self.waited = False  # what came last may have: it came after a silence, and no pace is seen since
        self.relative: Array | None = None
        self.arrival_ns = self.changed_ns = -(2**62)

    def hear(self, topic: str, points: Array, arrival_ns: int) -> None:
        if self._raw is None or not np.array_equal(points, self._raw, equal_nan=True):
            self.changed_ns = arrival_ns
        gap_ns = arrival_ns - self.arrival_ns
        self.waited = self._raw is not None and (gap_ns > _SILENT_NS or (self.waited and gap_ns < _HEAP_NS))
        self.topic, self._raw, self.arrival_ns = topic, points, arrival_ns
        if self._axes is None:
            self._find_axes(points)
        if self._axes is not None:
            self.relative = _in_axes(mirrored(points) if self._is_mirrored else points, self._axes)

    def _find_axes(self, points: Array) -> None:
        """A hand whose fingers bend out of its back is the mirror image of one."""
        axes = wrist_axes_of_hand(points[:, :3], self._side)
        if axes is None:
            return
        hand = _in_axes(points, axes)
        bend_m = float((hand[_TIPS, 2] - hand[_KNUCKLES, 2]).mean())
        if abs(bend_m) < _BENT_M:
            return
        self._is_mirrored = bend_m > 0
        self._axes = wrist_axes_of_hand(mirrored(points)[:, :3], self._side) if self._is_mirrored else axes


def key_points(nodes: list[Any]) -> Array:
    """Nodes of a glove's message -> key points (25, 7) relative to its wrist, in the driver's axes; NaN for missing ones."""
    points = untracked(len(KEYPOINTS))
    points[0] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    for node in nodes:
        chain, joint = str(node.chain_type).lower(), str(node.joint_type).lower()
        if chain == "hand":
            points[0] = pose_numbers(node.pose)
        elif chain in _FINGERS and joint in _JOINTS:
            name = f"{_FINGERS[chain]}_{_JOINTS[joint]}"
            # Of a thumb's two bones beyond the knuckle, some versions of the SDK call the joint between them "IP".
            points[_PLACES.get(name, _PLACES["thumb_distal"])] = pose_numbers(node.pose)
    with np.errstate(invalid="ignore"):
        return composed(np.broadcast_to(inverse(points[0]), points.shape), points)


def _flaw(points: Array) -> str:
    """Why these are no hand's key points; empty when they are."""
    seen = tracked(points)
    if not seen.all():
        missing = [name for name, good in zip(KEYPOINTS, seen, strict=True) if not good]
        return f"nodes without a finite pose or missing: {', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''}"
    farthest_m = float(np.linalg.norm(points[:, :3], axis=-1).max())
    return (
        f"a finger is {farthest_m:.3g} m from its wrist; are the driver's units metres?"
        if farthest_m > _NO_REACH_M
        else ""
    )


def _in_axes(points: Array, axes: Array) -> Array:
    """Poses (25, 7) of a wrist's frame in other axes of it; axes (3, 3): columns are the new ones in the old."""
    turned = points.copy()
    turned[:, :3], turned[:, 3:6] = points[:, :3] @ axes, points[:, 3:6] @ axes
    return turned
