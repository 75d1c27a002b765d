# SPDX-License-Identifier: Apache-2.0
"""Which numbers of the network belong to which joint: the embodiment's order and encodings, written out."""

from dataclasses import dataclass

from gr00t_policy.core.embodiment import Embodiment, Joint
from gr00t_policy.core.encoding import GroupEncoding


@dataclass(frozen=True)
class JointSlots:
    """A joint and its places in the network's state and action vectors, counted from 0.

    Where a rotation is converted, its joints share all numbers of the group.
    """

    joint: Joint
    state: tuple[int, ...]
    action: tuple[int, ...]


def joint_slots(embodiment: Embodiment) -> tuple[JointSlots, ...]:
    """One entry per policy joint, in policy order."""
    places = {side: _places(embodiment, side) for side in ("state", "action")}
    return tuple(
        JointSlots(joint, places["state"][index], places["action"][index])
        for index, joint in enumerate(embodiment.policy_joints)
    )


def _places(embodiment: Embodiment, side: str) -> list[tuple[int, ...]]:
    places: list[tuple[int, ...]] = []
    start = 0
    for group, part in embodiment.policy_slices.items():
        encoding, joints = embodiment.encoding(side, group), part.stop - part.start
        places += [tuple(start + place for place in _within(encoding, index, joints)) for index in range(joints)]
        start += encoding.width(joints)
    return places


def _within(encoding: GroupEncoding, index: int, joints: int) -> tuple[int, ...]:
    """Places of one joint inside its group."""
    if encoding.converts:
        return tuple(range(encoding.width(joints)))
    return (index, joints + index) if encoding.mode == "sin_cos" else (index,)
