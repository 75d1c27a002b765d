# SPDX-License-Identifier: Apache-2.0
"""Which scene of the simulator a recording shows: task, seed, and whether it was solved, for an episode's line.

It comes from ``sim/task_state``, which the recorder keeps. With it an episode can be played again and be multiplied; one
of a robot has none.
"""

from pathlib import Path
from typing import Any

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.bag_damage import BROKEN_MESSAGE
from gr00t_policy.data.convert_clock import TimeLine

SIM_TASK, SEED, SUCCESS = "sim_task", "seed", "success"  # keys of a line of episodes.jsonl
_TYPE = "gr00t_msgs/msg/TaskState"


class SceneHistory:
    """What the simulator said of its scene in one bag. Raises DatasetError for messages that cannot be read.

    line: the clock of the times asked for. A bag with the states of several simulators does not say whose scene it is.
    """

    def __init__(self, bag: Path, line: TimeLine) -> None:
        topics = [topic for topic in bag_topics(bag).values() if topic.type_name == _TYPE]
        self._said: list[tuple[int, str, int, bool]] = []
        if len(topics) != 1:
            return
        try:
            decoder = MessageDecoder({topics[0].name: topics[0]})
            for message in read_bag(bag, [topics[0].name]):
                state, when_ns = decoder.decode(message), line.sent_ns(message)
                if when_ns is not None:
                    self._said.append((when_ns, str(state.task), int(state.seed), bool(state.success)))
        except BROKEN_MESSAGE as error:
            raise DatasetError(f"{bag}: {topics[0].name} does not fit its definition in the bag: {error!r}") from error
        self._said.sort(key=lambda said: said[0])

    def between(self, begin_ns: int, end_ns: int) -> dict[str, Any]:
        """Task, seed and success at the end, of a time all of which is in one scene; else nothing."""
        before = [said for said in self._said if said[0] <= begin_ns][-1:]
        there = before + [said for said in self._said if begin_ns < said[0] <= end_ns]
        if len({said[1:3] for said in there}) != 1:
            return {}
        _, task, seed, success = there[-1]
        return {SIM_TASK: task, SEED: seed, SUCCESS: success}
