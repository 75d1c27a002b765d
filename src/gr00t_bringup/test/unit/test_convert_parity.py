# SPDX-License-Identifier: Apache-2.0
"""A row made from a bag is what the live planner and controller would have had of the same messages at that moment."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sample_bags import START, S, Story, write_bag
from sample_data import small_robot

from gr00t_planner.config import PlannerConfig
from gr00t_planner.planner import Planner
from gr00t_policy.core.embodiment import Embodiment
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.picture_message import compressed_to_rgb, image_to_rgb
from gr00t_policy.core.types import ConditioningTokens, Observation
from gr00t_policy.data.bag import BagMessage, MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.convert_recording import read_recording
from gr00t_policy.data.convert_rows import resample, stream_limits
from gr00t_policy.data.convert_source import TopicNames
from gr00t_policy.data.convert_timing import audit
from gr00t_policy.runtime.config import ControllerConfig
from gr00t_policy.runtime.inputs import ControllerInputs
from gr00t_policy.runtime.policy import HoldPolicy

ROBOT = small_robot()
FPS = 20.0


@dataclass
class Watching(HoldPolicy):
    """A policy that does nothing but keep what it was shown."""

    seen: Observation | None = None

    def encode(self, observation: Observation, sequence: int = 0, instruction_id: int = 0) -> ConditioningTokens:
        self.seen = observation
        return super().encode(observation, sequence, instruction_id)


class LiveStack:
    """The logic of both nodes, fed with a bag's messages as they were sent."""

    def __init__(self, robot: Embodiment, bag: Path) -> None:
        self.policy = Watching(robot)
        self.planner = Planner(self.policy, PlannerConfig(), lambda: 0)
        self.planner.activate()
        self.inputs = ControllerInputs(ControllerConfig(), len(robot.policy_joints))
        self.order = JointOrder(robot.policy_joints)
        self.decoder = MessageDecoder(bag_topics(bag))
        self.waiting = sorted(read_bag(bag), key=lambda message: message.publish_ns)

    def until(self, now_ns: int) -> tuple[Observation | None, np.ndarray]:
        """What the planner encodes at a tick of its loop now, and the state that the controller acts on."""
        while self.waiting and self.waiting[0].publish_ns <= now_ns:
            self.receive(self.waiting.pop(0))
        self.planner.tick(now_ns, now_ns)
        assert self.inputs.state is not None
        return self.policy.seen, self.inputs.state.positions

    def receive(self, message: BagMessage) -> None:
        now_ns, decoded = message.publish_ns, self.decoder.decode(message)
        if message.topic.endswith("language_command"):
            self.planner.instruction(decoded.data)
        elif message.topic.endswith("joint_states"):
            positions = self.order.positions(decoded.name, decoded.position, "joint state")
            self.inputs.offer_state(positions, stamp_of(decoded), now_ns, now_ns)
        elif "camera" in message.topic:
            compressed = message.topic.endswith("compressed")
            rgb = compressed_to_rgb(decoded.data) if compressed else image_to_rgb(decoded)
            self.planner.image("head", rgb, stamp_of(decoded), now_ns)


def stamp_of(decoded) -> int:
    return decoded.header.stamp.sec * S + decoded.header.stamp.nanosec


def overtaken(messages: list[BagMessage]) -> list[BagMessage]:
    """Every tenth message arrives after the one that follows on its topic; a node refuses it as out of order."""
    result = []
    for topic in {message.topic for message in messages}:
        own = [message for message in messages if message.topic == topic]
        for number in range(5, len(own) - 1, 10):
            later = own[number + 1].publish_ns + 1000
            own[number] = replace(own[number], publish_ns=later, log_ns=later + 1000)
        result += own
    return sorted(result, key=lambda message: message.log_ns)


@pytest.mark.parametrize("codec", ["", "jpeg"])
@pytest.mark.parametrize("change", [list, overtaken])
def test_rows_equal_what_the_live_nodes_would_have_had(tmp_path, codec, change):
    story = Story(3.0, codec=codec, sentences=((0.3, "take the can"), (1.7, "take the cup")), camera_delay_s=0.018)
    bag = write_bag(tmp_path / "bag", ROBOT, story, change)
    recording = read_recording(bag, ROBOT, TopicNames())
    limits = stream_limits(audit(recording), FPS, {"head": 20.0})
    rows, live, compared = resample(recording, FPS, limits, ""), LiveStack(ROBOT, bag), 0
    for row, tick_ns in enumerate(rows.tick_ns.tolist()):
        seen, state = live.until(tick_ns)
        if rows.why[row]:
            continue
        assert seen is not None
        np.testing.assert_array_equal(rows.images["head"][row], seen.images["head"])
        np.testing.assert_array_equal(rows.states[row], state.astype(np.float32))
        assert rows.sentences[row] == seen.instruction
        assert rows.ages_s["head"][row] == pytest.approx((tick_ns - seen.image_stamp_ns) / S)
        compared += 1
    assert compared > 45
    assert rows.tick_ns[0] > START
