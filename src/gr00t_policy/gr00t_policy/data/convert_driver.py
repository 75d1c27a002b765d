# SPDX-License-Identifier: Apache-2.0
"""Who drove the robot in each row of a recording: the label by which training can weigh a person's corrections.

It comes from ``command_gate/state``, which names the source whose commands the gate passes on, while it passes any.
"""

from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.bag_damage import BROKEN_MESSAGE
from gr00t_policy.data.convert_clock import TimeLine

COLUMN = "intervention"
DTYPE = "int64"
_TYPE = "gr00t_msgs/msg/GateState"
_ACTIVE = 2  # GateState.ACTIVE


class Driver(IntEnum):
    """Values of the column."""

    NOT_KNOWN = -1  # the bag has no state of a gate
    POLICY = 0
    PERSON = 1
    NOBODY = 2  # the gate held the robot: between two drivers, or for want of commands


_BY_SOURCE = {"policy": Driver.POLICY, "teleop": Driver.PERSON}


def drivers_at(bag: Path, times_ns: NDArray[np.int64], line: TimeLine | None = None) -> NDArray[np.int64]:
    """Who drives at each of ``times_ns`` (N,): a ``Driver`` each, (N,). Raises DatasetError.

    line: the clock of ``times_ns``; none: the system's.

    A bag with the states of several gates does not say whose robot this is: nobody is known then.
    """
    topics = [topic for topic in bag_topics(bag).values() if topic.type_name == _TYPE]
    if len(topics) != 1:
        return np.full(len(times_ns), Driver.NOT_KNOWN, np.int64)
    sent_ns, drivers = [np.iinfo(np.int64).min], [int(Driver.NOT_KNOWN)]
    try:
        decoder = MessageDecoder({topics[0].name: topics[0]})
        for message in read_bag(bag, [topics[0].name]):
            state = decoder.decode(message)
            when_ns = (line or TimeLine()).sent_ns(message)
            if when_ns is None:
                continue
            sent_ns.append(when_ns)
            drivers.append(
                int(_BY_SOURCE.get(state.source, Driver.NOBODY) if state.state == _ACTIVE else Driver.NOBODY)
            )
    except BROKEN_MESSAGE as error:
        raise DatasetError(f"{bag}: {topics[0].name} does not fit its definition in the bag: {error!r}") from error
    order = np.argsort(sent_ns, kind="stable")
    newest = np.searchsorted(np.array(sent_ns)[order], times_ns, side="right") - 1
    return np.array(drivers, np.int64)[order][newest]
