# SPDX-License-Identifier: Apache-2.0
"""Bags of nodes that follow a simulation (use_sim_time): the same rows as if its clock had been the system's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_bags import START, STORE, S, Story, made, messages_of, write_bag
from sample_data import small_robot

from gr00t_policy.data.bag import BagMessage, BagTopic, BagWriter
from gr00t_policy.data.convert_bags import BagReport, Conversion, convert_bags
from gr00t_policy.data.convert_clock import TimeLine
from gr00t_policy.data.reader import LeRobotDataset

ROBOT = small_robot()
STORY = Story(3.0, sentences=((0.0, "pick up the red can"), (1.5, "put it down")))
SYSTEM = START + 90_000_000 * S  # when the simulation began, by the clock on the wall
CLOCK_TYPE = "rosgraph_msgs/msg/Clock"


def real_time(simulated_s: float) -> float:
    return simulated_s


def slow(simulated_s: float) -> float:
    return 2.5 * simulated_s


def fast_with_a_pause(simulated_s: float) -> float:
    """Twice as fast as time, standing still for 4 s in the middle."""
    return 0.5 * simulated_s + (4.0 if simulated_s > 1.3 else 0.0)


def simulated_bag(
    folder: Path, wall_s: Callable[[float], float], *, clock_hz: float = 100.0, by_receipt: bool = False
) -> Path:
    """STORY, whose stamps are of the simulation, as a recorder on the system's clock has it; clock_hz 0: without /clock.

    by_receipt: the recorder follows the simulation too, so that only the sender's times are the system's.
    """

    def on_wall(simulated_ns: int) -> int:
        return SYSTEM + round(wall_s((simulated_ns - START) / S) * S)

    topics, messages = messages_of(ROBOT, STORY)
    moved = [
        replace(m, publish_ns=on_wall(m.publish_ns), log_ns=m.log_ns if by_receipt else on_wall(m.log_ns))
        for m in messages
    ]
    if clock_hz:
        definition, _ = STORE.generate_msgdef(CLOCK_TYPE, ros_version=2)
        topics["/clock"] = BagTopic("/clock", CLOCK_TYPE, definition)
        for number, at_s in enumerate(np.arange(-0.1, STORY.seconds + 0.1, 1 / clock_hz).tolist()):
            moved.append(clock_message(START + round(at_s * S), on_wall(START + round(at_s * S)), number))
    with BagWriter(folder) as bag:
        for topic in topics.values():
            bag.add_topic(topic)
        for message in sorted(moved, key=lambda message: message.log_ns):
            bag.write(message)
    return folder


def clock_message(simulated_ns: int, wall_ns: int, number: int) -> BagMessage:
    stamp = made("builtin_interfaces/msg/Time", sec=simulated_ns // S, nanosec=simulated_ns % S)
    cdr = bytes(STORE.serialize_cdr(made(CLOCK_TYPE, clock=stamp), CLOCK_TYPE))
    return BagMessage("/clock", cdr, wall_ns, wall_ns, number + 1)


def convert(bag: Path, out: Path) -> BagReport:
    [report] = convert_bags([bag], out, Conversion(ROBOT))
    return report


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> LeRobotDataset:
    """The same story on the system's clock."""
    folder = tmp_path_factory.mktemp("plain")
    assert convert(write_bag(folder / "bag", ROBOT, STORY), folder / "data").outcome == "converted"
    return LeRobotDataset(folder / "data")


@pytest.mark.parametrize("wall_s", [real_time, slow, fast_with_a_pause], ids=lambda each: each.__name__)
def test_with_the_clock_in_the_bag_the_rows_are_those_of_the_simulations_time(tmp_path, plain, wall_s):
    report = convert(simulated_bag(tmp_path / "bag", wall_s), tmp_path / "data")
    assert report.outcome == "converted", report.detail
    assert "times are of another clock than the system's: /clock's" in report.detail
    assert report.timings["state"]["rate_hz"] == pytest.approx(100, abs=0.5)
    assert report.timings["state"]["delay_s"] == pytest.approx(0.001, abs=1e-5)
    _require_equal(LeRobotDataset(tmp_path / "data"), plain)


def test_a_recorder_that_followed_the_simulation_needs_no_clock_in_the_bag(tmp_path, plain):
    report = convert(simulated_bag(tmp_path / "bag", slow, clock_hz=0.0, by_receipt=True), tmp_path / "data")
    assert report.outcome == "converted", report.detail
    assert "the recorder's, which followed a simulation" in report.detail
    assert report.timings["state"]["delay_s"] == pytest.approx(0.0012, abs=1e-5)
    dataset = LeRobotDataset(tmp_path / "data")
    assert [dataset.episode(i).task for i in range(2)] == [plain.episode(i).task for i in range(2)]
    for entry, other in zip(dataset.episodes, plain.episodes, strict=True):
        assert abs(entry.length - other.length) <= 1


def test_without_any_clock_of_the_simulation_the_bag_is_refused_with_the_remedy(tmp_path):
    report = convert(simulated_bag(tmp_path / "bag", real_time, clock_hz=0.0), tmp_path / "data")
    assert report.outcome == "refused"
    assert "of another clock" in report.detail and "of nodes with use_sim_time record /clock too" in report.detail


def test_a_simulation_that_was_started_again_within_a_bag_is_refused(tmp_path):
    def again(simulated_s: float) -> float:
        return simulated_s if simulated_s < 2 else simulated_s - 1.5

    report = convert(simulated_bag(tmp_path / "bag", again), tmp_path / "data")
    assert report.outcome == "refused"
    assert "/clock jumps back by" in report.detail and "record a bag for each run" in report.detail


def test_a_clock_of_the_system_in_the_bag_changes_nothing(tmp_path, plain):
    topics, messages = messages_of(ROBOT, STORY)
    topics["/clock"] = BagTopic("/clock", CLOCK_TYPE, STORE.generate_msgdef(CLOCK_TYPE, ros_version=2)[0])
    ticks = [clock_message(START + i * S // 10, START + i * S // 10, i) for i in range(20)]
    with BagWriter(tmp_path / "bag") as bag:
        for topic in topics.values():
            bag.add_topic(topic)
        for message in sorted([*messages, *ticks], key=lambda message: message.publish_ns):
            bag.write(message)
    report = convert(tmp_path / "bag", tmp_path / "data")
    assert (report.outcome, report.detail) == ("converted", "")
    _require_equal(LeRobotDataset(tmp_path / "data"), plain)


def test_moments_between_ticks_lie_on_a_straight_line_and_none_outside_of_them():
    line = TimeLine("sim", False, np.array([100, 200, 300]) * S, np.array([5, 6, 6]) * S)

    def at(seconds: float) -> int | None:
        return line.sent_ns(BagMessage("/a", b"", 0, round(seconds * S), 1))

    assert [at(s) for s in (100, 150, 200, 250, 300)] == [5 * S, 11 * S // 2, 6 * S, 6 * S, 6 * S]
    assert at(99.9) is None and at(300.1) is None


def _require_equal(one: LeRobotDataset, other: LeRobotDataset) -> None:
    assert [entry.length for entry in one.episodes] == [entry.length for entry in other.episodes]
    assert one.num_frames == other.num_frames > 40
    for index in range(len(one.episodes)):
        mine, theirs = one.episode(index), other.episode(index)
        assert mine.task == theirs.task
        np.testing.assert_array_equal(mine.states, theirs.states)
        np.testing.assert_array_equal(mine.actions, theirs.actions)
        (camera,) = one.cameras
        pictures = zip(one.iterate_frames(index, camera), other.iterate_frames(index, camera), strict=True)
        assert all(np.array_equal(picture, same) for picture, same in pictures)
