# SPDX-License-Identifier: Apache-2.0
"""Bags of a person: what a recorder would have written of ``operator_state``."""

import os
from collections.abc import Iterable
from pathlib import Path

from made_people import sample

from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.data.message_definitions import message_definition
from gr00t_teleop.operator_wire import state_to_cdr
from gr00t_teleop.types import OperatorState

AGE_NS = 4_000_000
_TYPE = "gr00t_msgs/msg/OperatorState"
_BEGAN_NS = 10**18


def state_at(t: float, sequence: int, *, clutch: bool, **poses: object) -> OperatorState:
    """The moving person at t [s] of the recording; poses replace those of the person."""
    made = sample(t)
    names = ("head", "left_wrist", "right_wrist", "left_hand", "right_hand")
    given = {name: poses.get(name, getattr(made, name)) for name in names}
    return OperatorState(_BEGAN_NS + int(t * 1e9), "operator", "webxr", sequence, clutch, **given)


def write(folder: Path, states: Iterable[OperatorState], topic: str = "/operator_state") -> Path:
    shares = [Path(prefix) / "share" for prefix in os.environ["AMENT_PREFIX_PATH"].split(":")]
    with BagWriter(folder) as bag:
        bag.add_topic(BagTopic(topic, _TYPE, message_definition(_TYPE, shares)))
        for state in states:
            bag.write(BagMessage(topic, state_to_cdr(state), state.stamp_ns + AGE_NS, state.stamp_ns, state.sequence))
    return folder
