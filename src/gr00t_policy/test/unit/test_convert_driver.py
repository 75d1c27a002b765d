# SPDX-License-Identifier: Apache-2.0
"""Who drove in each row: from the gate's state in the bag into the column of the dataset."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rosbags.typesys import get_types_from_msg
from sample_bags import START, STORE, S, Story, header, write_bag
from sample_data import small_robot

from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter, bag_topics, read_bag
from gr00t_policy.data.convert_bags import Conversion, convert_bags
from gr00t_policy.data.convert_driver import COLUMN, Driver, drivers_at
from gr00t_policy.data.reader import LeRobotDataset

ROBOT = small_robot()
TYPE = "gr00t_msgs/msg/GateState"
_TEXT = (Path(__file__).resolve().parents[3] / "gr00t_msgs" / "msg" / "GateState.msg").read_text()
STORE.register({name: kind for name, kind in get_types_from_msg(_TEXT, TYPE).items() if name not in STORE.types})
ACTIVE, HOLD = 2, 3


def with_gate(
    bag: Path, states: list[tuple[float, int, str]], names: tuple[str, ...] = ("/command_gate/state",)
) -> Path:
    """A copy of the bag that holds the states (time [s], state, source) of a gate, too."""
    folder = bag.with_name(f"{bag.name}_driven")
    definition = STORE.generate_msgdef(TYPE, ros_version=2)[0]
    with BagWriter(folder) as writer:
        for topic in (*bag_topics(bag).values(), *(BagTopic(name, TYPE, definition) for name in names)):
            writer.add_topic(topic)
        said = [message_of(name, *state) for name in names for state in states]
        for message in sorted([*read_bag(bag), *said], key=lambda each: each.log_ns):
            writer.write(message)
        writer.close(None)
    return folder


def message_of(topic: str, at_s: float, state: int, source: str) -> BagMessage:
    nan = float("nan")
    made = STORE.types[TYPE](
        header=header(at_s), state=state, reason="", source=source, command_age_s=nan, joint_state_age_s=nan,
        speed_scale=1.0, commands_accepted=0, commands_rejected=0, commands_limited=0, rate_hz=120.0,
    )  # fmt: skip
    sent = START + round(at_s * S)
    return BagMessage(topic, bytes(STORE.serialize_cdr(made, TYPE)), sent + 100_000, sent, 1)


@pytest.fixture
def bag(tmp_path) -> Path:
    return write_bag(tmp_path / "bag", ROBOT, Story(3.0))


STATES = [
    (0.0, ACTIVE, "policy"),
    (1.0, HOLD, "teleop"),
    (1.25, ACTIVE, "teleop"),
    (2.0, HOLD, ""),
    (2.5, ACTIVE, "policy"),
]


def test_the_source_drives_only_while_the_gate_passes_its_commands_on(bag):
    at_s = np.array([-0.5, 0.5, 0.999, 1.0, 1.2, 1.3, 1.99, 2.2, 2.6])
    expected = [
        Driver.NOT_KNOWN,
        *[Driver.POLICY] * 2,
        *[Driver.NOBODY] * 2,
        *[Driver.PERSON] * 2,
        Driver.NOBODY,
        Driver.POLICY,
    ]
    assert drivers_at(with_gate(bag, STATES), START + (at_s * S).astype(np.int64)).tolist() == expected


def test_every_row_of_the_dataset_says_who_drove_when_its_command_was_in_force(bag, tmp_path):
    (report,) = convert_bags([with_gate(bag, STATES)], tmp_path / "data", Conversion(ROBOT))
    assert report.outcome == "converted"
    dataset = LeRobotDataset(tmp_path / "data")
    dataset.validate()
    labels = pq.read_table(dataset.layout.data(0))[COLUMN].to_numpy()
    ends_s = (report.episodes[0]["start_ns"] - START) / S + (np.arange(len(labels)) + 1) / 20
    expected = np.select(
        [ends_s < 1.0, ends_s < 1.25, ends_s < 2.0, ends_s < 2.5],
        [Driver.POLICY, Driver.NOBODY, Driver.PERSON, Driver.NOBODY],
        Driver.POLICY,
    )
    np.testing.assert_array_equal(labels, expected)
    assert set(labels) == {Driver.POLICY, Driver.PERSON, Driver.NOBODY}
    assert dataset.info["features"][COLUMN]["dtype"] == "int64"


@pytest.mark.parametrize("names", [(), ("/a/command_gate/state", "/b/command_gate/state")])
def test_without_one_gate_nobody_is_known_and_the_dataset_has_the_same_columns(bag, names, tmp_path):
    plain = with_gate(bag, STATES, names)
    driven = with_gate(write_bag(tmp_path / "two", ROBOT, Story(3.0, seed=1)), STATES)
    list(convert_bags([plain, driven], tmp_path / "data", Conversion(ROBOT)))
    layout = LeRobotDataset(tmp_path / "data").layout
    assert set(pq.read_table(layout.data(0))[COLUMN].to_numpy()) == {Driver.NOT_KNOWN}
    assert Driver.PERSON in pq.read_table(layout.data(1))[COLUMN].to_numpy()
