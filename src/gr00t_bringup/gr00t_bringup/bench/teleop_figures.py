# SPDX-License-Identifier: Apache-2.0
"""How fast a person's hand reaches the robot, from the bag of a run and the headset's own clock. Anyone with both gets the same.

A command counts as the answer to a sample only when it surely is: the tick that made it began after the sample had arrived.
Smoothing delays the motion further, on purpose; how long is in the retargeter's ``target_delay_s``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gr00t_bringup.bench.goals import Goal
from gr00t_bringup.measure import Percentiles, percentiles
from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.bag_metadata import read_metadata

Stamps = NDArray[np.int64]

_HAND_OVER_NS = (
    500_000  # a message sent less than this before a tick counts for the next one: an error to the slow side
)
_LEAST_DRIVEN = 0.95  # of the recording
_STATUS = "retargeter: retargeter"


@dataclass(frozen=True)
class TeleopFigures:
    """headset_to_command_ms: from when the headset took a sample to the gate's first command that was made with it.

    headset_to_operator_ms: of it until ``operator_state`` is sent. retargeter_tick_ms: all that a command takes; ik_ms: of it
    the inverse kinematics of the arms. samples_sent: by the headset during the recording; the rest are losses.
    """

    headset_to_command_ms: Percentiles
    headset_to_operator_ms: Percentiles
    command_rate_hz: float
    command_interval_ms: Percentiles
    ik_ms: Percentiles
    retargeter_tick_ms: Percentiles
    target_delay_ms: float
    samples_sent: int
    samples_lost_on_the_way: int
    messages_recorded: int
    messages_lost_by_recorder: int


def teleop_figures(bag: Path, taken_ns: Sequence[int]) -> TeleopFigures:
    """taken_ns: when the headset took each of its samples. Raises DatasetError when the person did not drive all along."""
    sent, sequences, status = _read(bag)
    taken = np.array(taken_ns, np.int64)
    operator, retargeted, given = (
        sent[name] for name in ("operator_state", "teleop/joint_trajectory", "joint_trajectory")
    )
    if min(len(operator), len(retargeted), len(given)) < 2 or not status or sequences.max() > len(taken):
        raise DatasetError(f"{bag} does not hold a person who drives: nothing can be measured")
    driven = (retargeted[-1] - retargeted[0]) / (given[-1] - given[0])
    if driven < _LEAST_DRIVEN:
        raise DatasetError(f"the person drove in only {driven:.0%} of {bag}; the retargeter's log says why")
    tick_ns = round(1e9 * float(status["solve_p50_s"]))
    answer = _first(retargeted, operator + _HAND_OVER_NS + tick_ns)
    known = answer < len(retargeted)
    command = _first(given, retargeted[answer[known]] + _HAND_OVER_NS)
    sampled = taken[sequences - 1]
    reached = command < len(given)
    custom = read_metadata(bag)["custom_data"]
    return TeleopFigures(
        headset_to_command_ms=percentiles((given[command[reached]] - sampled[known][reached]) / 1e6),
        headset_to_operator_ms=percentiles((operator - sampled) / 1e6),
        command_rate_hz=float((len(given) - 1) / ((given[-1] - given[0]) / 1e9)),
        command_interval_ms=percentiles(np.diff(given) / 1e6),
        ik_ms=_milliseconds(status, "arms"),
        retargeter_tick_ms=_milliseconds(status, "solve"),
        target_delay_ms=1e3 * float(status["target_delay_s"]),
        samples_sent=int(sequences.max() - sequences.min() + 1),
        samples_lost_on_the_way=int(sequences.max() - sequences.min() + 1 - len(np.unique(sequences))),
        messages_recorded=int(custom["messages"]),
        messages_lost_by_recorder=int(custom["messages_lost"]),
    )


def teleop_goals(figures: TeleopFigures) -> list[Goal]:
    """What is to be reached on two cores, beside what was measured."""
    return [
        Goal("headset to command p50", figures.headset_to_command_ms.p50, "ms", 0.0, 8.0),
        Goal("headset to command p99", figures.headset_to_command_ms.p99, "ms", 0.0, 20.0),
        Goal("command rate", figures.command_rate_hz, "Hz", 119.5, 120.5),
        Goal("inverse kinematics p99", figures.ik_ms.p99, "ms", 0.0, 0.5),
        Goal("messages lost by the recorder", figures.messages_lost_by_recorder, "", 0.0, 0.0),
    ]


def _read(bag: Path) -> tuple[dict[str, Stamps], Stamps, dict[str, str]]:
    """When messages of each topic were sent; the sequence number of each sample; the retargeter's newest word on itself."""
    names = ("operator_state", "teleop/joint_trajectory", "joint_trajectory", "diagnostics")
    topics = {name: f"/{name}" for name in names}
    there = bag_topics(bag)
    missing = [topic for topic in topics.values() if topic not in there]
    if missing:
        raise DatasetError(f"{bag} has no topic {', '.join(missing)}; it has: {', '.join(there)}")
    decoder = MessageDecoder(there)
    sent: dict[str, list[int]] = {topic: [] for topic in topics.values()}
    sequences: list[int] = []
    status: dict[str, str] = {}
    for message in read_bag(bag, list(sent)):
        sent[message.topic].append(message.publish_ns)
        if message.topic == topics["operator_state"]:
            sequences.append(int(decoder.decode(message).sequence))
        elif message.topic == topics["diagnostics"]:
            status = _status(decoder.decode(message)) or status
    columns = {name: np.array(sent[topic], np.int64) for name, topic in topics.items()}
    return columns, np.array(sequences, np.int64), status


def _status(message: Any) -> dict[str, str]:
    found = [each for each in message.status if each.name == _STATUS]
    return {pair.key: pair.value for pair in found[0].values} if found else {}


def _first(times: Stamps, wanted: Stamps) -> NDArray[np.intp]:
    """Index of the first of sorted ``times`` not before each of ``wanted``; their number where there is none."""
    return np.searchsorted(times, wanted)


def _milliseconds(status: dict[str, str], what: str) -> Percentiles:
    return Percentiles(*(1e3 * float(status[f"{what}_p{share}_s"]) for share in (50, 95, 99)))
