# SPDX-License-Identifier: Apache-2.0
"""When a message was sent, on the clock that stamps it: the system's, or that of a simulation.

A bag says when each message was sent and received by the system clock. Of nodes that follow a simulation (use_sim_time)
the stamps are of another clock, which may be slow, fast or paused. Where the bag has /clock, moments of the system clock
become moments of the simulation; where the recorder followed the simulation itself, its times of receipt are of it already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagMessage, BagTopic, read_bag

NS = 1e-9
MAX_AHEAD_S = 0.02  # stamp ahead of sending: as much as live nodes allow (StreamLimits.max_future_s)
MAX_DELAY_S = 1.0  # from taking to sending: no camera is slower, so the clocks differ
CLOCK_TOPIC, _CLOCK_TYPE = "/clock", "rosgraph_msgs/msg/Clock"
_OVERTAKEN_S = 0.001  # two messages on /clock may overtake each other; a simulation that starts again goes back further
_JUDGED = 500  # messages that say which clock the stamps are of


@dataclass(frozen=True)
class TimeLine:
    """From the times in the bag to the clock of the stamps. name: of that clock, for people; '' = the system's.

    system_ns, simulated_ns: the same moments by both clocks (N,) int64, increasing; empty: the times are of it already.
    """

    name: str = ""
    by_receipt: bool = False
    system_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    simulated_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def sent_ns(self, message: BagMessage) -> int | None:
        """When a message was sent; None: while no simulation ran."""
        sent_ns = message.log_ns if self.by_receipt else system_sent_ns(message)
        if not len(self.system_ns):
            return sent_ns
        after = int(np.searchsorted(self.system_ns, sent_ns, side="right"))
        if after == 0 or sent_ns > self.system_ns[-1]:
            return None
        if after == len(self.system_ns):
            return int(self.simulated_ns[-1])
        # In whole numbers: a float holds no nanoseconds of an epoch.
        begin, end = int(self.system_ns[after - 1]), int(self.system_ns[after])
        simulated, gained = (
            int(self.simulated_ns[after - 1]),
            int(self.simulated_ns[after] - self.simulated_ns[after - 1]),
        )
        return simulated + gained * (sent_ns - begin) // (end - begin)


def find_time_line(bag: Path, topics: Mapping[str, BagTopic], stamped: BagTopic) -> TimeLine:
    """The line on which the stamps of ``stamped`` (messages that begin with a header) are of when they were sent.

    The system clock where none fits: the audit then says what is wrong. Raises DatasetError for a simulation that was
    started again within the bag.
    """
    messages = [message for _, message in zip(range(_JUDGED), read_bag(bag, [stamped.name]), strict=False)]
    lines = [TimeLine(), TimeLine("the recorder's, which followed a simulation", by_receipt=True)]
    found = next((line for line in lines if _fits(line, messages)), None)
    clock = topics.get(CLOCK_TOPIC)
    if found is None and clock is not None and clock.type_name == _CLOCK_TYPE:
        line = _by_clock(bag)
        found = line if line is not None and _fits(line, read_bag(bag, [stamped.name])) else None
    return found or lines[0]


def system_sent_ns(message: BagMessage) -> int:
    """Some recorders know only when they received it."""
    return message.publish_ns or message.log_ns


def first_stamp_ns(message: BagMessage) -> int:
    """The time that a message begins with: of its header, or of /clock. Raises DatasetError."""
    if len(message.cdr) < 12:
        raise DatasetError(f"a message of {len(message.cdr)} bytes cannot have a stamp; the bag is damaged")
    return message.stamp_ns


def _fits(line: TimeLine, messages: Iterable[BagMessage]) -> bool:
    delays = [
        (sent_ns - first_stamp_ns(message)) * NS
        for message in messages
        if (sent_ns := line.sent_ns(message)) is not None
    ]
    return bool(delays) and -MAX_AHEAD_S <= float(np.median(delays)) <= MAX_DELAY_S


def _by_clock(bag: Path) -> TimeLine | None:
    """None where /clock has less than two messages."""
    pairs = sorted((system_sent_ns(message), first_stamp_ns(message)) for message in read_bag(bag, [CLOCK_TOPIC]))
    if len(pairs) < 2:
        return None
    system_ns, simulated_ns = np.array(pairs, np.int64).T
    back_s = float(-np.diff(simulated_ns).min()) * NS
    if back_s > _OVERTAKEN_S:
        at_s = float(system_ns[int(np.diff(simulated_ns).argmin())] - system_ns[0]) * NS
        raise DatasetError(
            f"{bag}: {CLOCK_TOPIC} jumps back by {back_s:.3g} s, {at_s:.3g} s after its first message: the simulation was "
            "started again while it was recorded; record a bag for each run"
        )
    system_ns, first = np.unique(system_ns, return_index=True)
    return TimeLine(f"{CLOCK_TOPIC}'s", False, system_ns, np.maximum.accumulate(simulated_ns)[first])
