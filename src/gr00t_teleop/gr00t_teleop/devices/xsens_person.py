# SPDX-License-Identifier: Apache-2.0
"""MVN's segments -> head, wrists and key points in our axes, and whether they are a person at all."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.devices.frames import OURS_FROM_MVN_HAND, composed, inverse
from gr00t_teleop.types import KEYPOINTS, untracked

Array = NDArray[np.float64]
Side = Literal["left", "right"]

_PELVIS, _HEAD = 0, 6
_FOREARMS: dict[Side, int] = {"left": 13, "right": 9}
_HANDS: dict[Side, int] = {"left": 14, "right": 10}
_PER_HAND = 20
_FOREARM_M = (0.15, 0.45)  # of people; the same in centimetres is far out
_TRUNK_M = 0.3  # from the pelvis up to the head, at least, of a person who sits or stands
# Finger segments begin at their joint nearer to the wrist and come from thumb to little finger: carpus, then three
# of the thumb and four of each finger. The tips are not sent: the last bone of a hand as ``simple_hand`` has it.
_TIPS = [place for place, name in enumerate(KEYPOINTS) if name.endswith("_tip")]
_SENT = [place for place in range(len(KEYPOINTS)) if place not in _TIPS]
_LAST, _BEFORE = [place - 1 for place in _TIPS], [place - 2 for place in _TIPS]
_TIP_M = np.array([[0.025], [0.02], [0.02], [0.02], [0.02]])

assert len(_SENT) == _PER_HAND


def head(body: Array) -> Array:
    """(7,) of the segments (23, 7)."""
    return np.asarray(body[_HEAD])


def wrist(body: Array, side: Side) -> Array:
    """(7,) of the segments (23, 7): a hand's segment begins at its wrist."""
    return composed(body[_HANDS[side]], OURS_FROM_MVN_HAND[side])


def hand(body: Array, fingers: Array, side: Side) -> Array:
    """Key points (25, 7); NaN when the stream has no fingers."""
    points = untracked(len(KEYPOINTS))
    if len(fingers) == 0:
        return points
    ours = fingers[:_PER_HAND] if side == "left" else fingers[_PER_HAND:]
    points[_SENT] = composed(ours, OURS_FROM_MVN_HAND[side])
    points[_TIPS] = _tips(points[_BEFORE], points[_LAST])
    points[0] = wrist(body, side)
    return points


def check_body(body: Array) -> None:
    """Raises MessageError when finite segments (23, 7) are not a person in metres."""
    for side in _HANDS:
        length_m = float(np.linalg.norm(body[_HANDS[side], :3] - body[_FOREARMS[side], :3]))
        if not (_FOREARM_M[0] <= length_m <= _FOREARM_M[1] or np.isnan(length_m)):
            raise MessageError(
                f"the {side} forearm is {length_m:.3g} m long, expected {_FOREARM_M[0]} to {_FOREARM_M[1]}; "
                "is the stream in centimetres, or no person?"
            )


def check_upright(body: Array) -> None:
    """Raises MessageError unless a person who has just begun has the head above the pelvis, along z."""
    x, y, z = body[_HEAD, :3] - body[_PELVIS, :3]
    if not z >= _TRUNK_M:
        raise MessageError(
            f"the head is ({x:.2f}, {y:.2f}, {z:.2f}) m from the pelvis, expected z of {_TRUNK_M} or more; stand or sit "
            "upright to begin, and in MVN's Network Streamer choose Z-up"
        )


def _tips(before: Array, last: Array) -> Array:
    """The ends (5, 7) of the last bones of five fingers: each lies in its segment as the bone before lies in its own.

    In the T pose, where all segments have the same axes, both are one line. So it holds for thumbs too, which point askew.
    """
    ways = last[:, :3] - before[:, :3]
    with np.errstate(invalid="ignore", divide="ignore"):
        along = _TIP_M * ways / np.linalg.norm(ways, axis=1, keepdims=True)
    turn = composed(_turn_alone(last), inverse(_turn_alone(before)))
    ends = composed(turn, np.concatenate([along, np.tile([0.0, 0.0, 0.0, 1.0], (len(along), 1))], axis=1))
    return np.concatenate([last[:, :3] + ends[:, :3], last[:, 3:]], axis=1)


def _turn_alone(poses: Array) -> Array:
    return np.concatenate([np.zeros((len(poses), 3)), poses[:, 3:]], axis=1)
