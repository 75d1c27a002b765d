# SPDX-License-Identifier: Apache-2.0
"""MVN's segments -> head, wrists and key points in our axes, and whether they are a person at all."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import MessageError
from gr00t_teleop.devices.frames import OURS_FROM_MVN_HAND, composed
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
_SEGMENT_OF = {name: place for place, name in enumerate(name for name in KEYPOINTS if not name.endswith("_tip"))}
_TIP_M = {"thumb": 0.025, "index": 0.02, "middle": 0.02, "ring": 0.02, "little": 0.02}

assert len(_SEGMENT_OF) == _PER_HAND


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
    turned = composed(ours, np.broadcast_to(OURS_FROM_MVN_HAND[side], ours.shape))
    for place, name in enumerate(KEYPOINTS):
        if name in _SEGMENT_OF:
            points[place] = turned[_SEGMENT_OF[name]]
        else:
            points[place] = _tip(points[place - 2], points[place - 1], _TIP_M[name.removesuffix("_tip")])
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


def _tip(before: Array, last: Array, length_m: float) -> Array:
    """The end of a finger's last bone: it lies in its segment as the bone before lies in its own.

    In the T pose, where all segments have the same axes, both are one line. So it holds for thumbs too, which point askew.
    """
    way = last[:3] - before[:3]
    turn_back = before[3:] * np.array([-1.0, -1.0, -1.0, 1.0])
    with np.errstate(invalid="ignore", divide="ignore"):
        along = way / np.linalg.norm(way)
    still = np.zeros(3)
    in_before = composed(np.concatenate([still, turn_back]), np.concatenate([along, [0.0, 0.0, 0.0, 1.0]]))
    in_last = composed(np.concatenate([still, last[3:]]), in_before)
    return np.concatenate([last[:3] + length_m * in_last[:3], last[3:]])
