# SPDX-License-Identifier: Apache-2.0
"""Rows made from a bag: states as old as said, commands in force, pictures not of the future, cuts where they belong."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_bags import (
    COMMAND_DELAY_S,
    LAG_S,
    REACH_S,
    SENTENCE,
    START,
    S,
    Story,
    messages_of,
    picture_number,
    target,
    write_bag,
)
from sample_data import small_robot, square_column

from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.data.bag import BagMessage, MessageDecoder
from gr00t_policy.data.convert_bags import BagReport, Conversion, ages_file, convert_bags
from gr00t_policy.data.convert_episodes import Cutting, cut
from gr00t_policy.data.convert_recording import read_recording
from gr00t_policy.data.convert_rows import Rows, resample, stream_limits
from gr00t_policy.data.convert_source import TopicNames
from gr00t_policy.data.convert_timing import audit
from gr00t_policy.data.reader import LeRobotDataset
from gr00t_policy.data.video import require_regular

ROBOT = small_robot()
ROBOT = replace(ROBOT, joints=(replace(ROBOT.joints[0], sign=-1), *ROBOT.joints[1:]))
CONVERSION = Conversion(ROBOT)
FPS = 20.0


def convert(bags: list[Path], out: Path, **changes) -> list[BagReport]:
    return list(convert_bags(bags, out, replace(CONVERSION, **changes)))


def rows_of(bag: Path) -> Rows:
    recording = read_recording(bag, ROBOT, TopicNames())
    limits = stream_limits(audit(recording), FPS, {camera.name: camera.rate_hz for camera in ROBOT.cameras})
    return resample(recording, FPS, limits, "")


@pytest.mark.parametrize("codec", ["", "png", "jpeg"])
def test_state_action_and_picture_of_each_row_are_those_of_their_times(tmp_path, codec):
    story = Story(codec=codec, namespace="/left")
    out = tmp_path / "data"
    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, story)], out)
    assert report.outcome == "converted", report.detail
    dataset = LeRobotDataset(out)
    episode, ages = dataset.episode(0), pq.read_table(ages_file(out, 0)).to_pydict()
    frames = dataset.frames(0, "head")
    dataset.validate()
    assert episode.task == SENTENCE
    assert len(episode) > 50
    for row in range(len(episode)):
        tick_s = (ages["stamp_ns"][row] - START) / S
        measured = target(ROBOT, story, tick_s - ages["state"][row] - LAG_S)
        np.testing.assert_allclose(episode.states[row], measured, atol=1e-5)
        commanded = target(ROBOT, story, tick_s + 1 / FPS - ages["action"][row])
        np.testing.assert_allclose(episode.actions[row], commanded, atol=1e-5)
        shown = picture_number(story, tick_s - ages["head"][row])
        assert abs(square_column(frames[row]) - 3 * shown % (64 - 12)) <= 1
    assert min(ages["state"]) >= 0 and max(ages["state"]) <= 0.0111
    assert min(ages["action"]) >= 0 and max(ages["action"]) <= 0.0101
    assert min(ages["head"]) >= 0 and max(ages["head"]) <= 0.0651


@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1))
def test_no_value_is_newer_than_its_tick_and_none_is_older_than_the_newest_that_was_there(tmp_path_factory, seed):
    """Against a plain search through all messages, of streams with jitter and losses."""
    rng = np.random.default_rng(seed)

    def disturb(messages: list[BagMessage]) -> list[BagMessage]:
        kept = [m for m in messages if "language" in m.topic or rng.random() > 0.2]
        late = [replace(m, publish_ns=m.publish_ns + int(rng.uniform(0, 0.004) * S)) for m in kept]
        return sorted((replace(m, log_ns=m.publish_ns + 100_000) for m in late), key=lambda m: m.log_ns)

    written: list[BagMessage] = []
    bag = write_bag(
        tmp_path_factory.mktemp("jitter") / "bag", ROBOT, Story(1.5), lambda m: written.extend(disturb(m)) or written
    )
    rows, decoder, order = (
        rows_of(bag),
        MessageDecoder(messages_of(ROBOT, Story(0.1))[0]),
        JointOrder(ROBOT.policy_joints),
    )
    good = [row for row in range(len(rows)) if not rows.why[row]]
    assert good
    for row in good:
        seen = [m for m in written if m.publish_ns <= rows.tick_ns[row]]
        newest = {topic: max((m for m in seen if m.topic == topic), key=stamp_ns) for topic in ("/joint_states",)}
        state = decoder.decode(newest["/joint_states"])
        np.testing.assert_array_equal(
            rows.states[row], order.positions(state.name, state.position, "test").astype(np.float32)
        )
        head = max((m for m in seen if "camera" in m.topic), key=stamp_ns)
        image = decoder.decode(head)
        np.testing.assert_array_equal(rows.images["head"][row].reshape(-1), image.data)
        end = rows.tick_ns[row] + S // 20
        due = [m for m in written if m.topic == "/joint_trajectory" and stamp_ns(m) + round(REACH_S * S) <= end]
        command = decoder.decode(max(due, key=stamp_ns))
        expected = order.positions(command.joint_names, command.points[0].positions, "test")
        np.testing.assert_array_equal(rows.actions[row], expected.astype(np.float32))


def stamp_ns(message: BagMessage) -> int:
    seconds, nanoseconds = struct.unpack_from("<iI", message.cdr, 4)
    return seconds * S + nanoseconds


def test_a_command_to_be_reached_at_once_at_the_end_of_a_tick_belongs_to_the_next(tmp_path):
    """Commands at 20 Hz with the ticks: the one sent when a row begins is the row's own, not the row's before."""
    recording = read_recording(write_bag(tmp_path / "bag", ROBOT, Story()), ROBOT, TopicNames())
    ticks_ns = START + np.arange(20) * (S // 20)
    values = np.repeat(np.arange(20.0)[:, None], len(ROBOT.policy_joints), axis=1)
    stamps = replace(recording.commands.arrivals, stamp_ns=ticks_ns, sent_ns=ticks_ns)
    commands = replace(recording.commands, arrivals=stamps, due_ns=ticks_ns, positions=values)
    states = replace(recording.states.arrivals, sent_ns=recording.states.arrivals.sent_ns - round(0.001 * S))
    moved = replace(recording, commands=commands, states=replace(recording.states, arrivals=states))
    limits = stream_limits(audit(moved), FPS, {"head": 20.0})
    rows = resample(moved, FPS, limits, SENTENCE)
    first = (rows.tick_ns - START) / (S / 20)
    np.testing.assert_array_equal(rows.actions[:, 0], np.ceil(first + 1) - 1)


def test_a_change_of_the_sentence_begins_another_episode(tmp_path):
    story = Story(6.0, sentences=((0.0, "put it left"), (3.0, "put it right")))
    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, story)], tmp_path / "data")
    assert [line["tasks"] for line in report.episodes] == [["put it left"], ["put it right"]]
    changed_s = report.episodes[1]["start_ns"] / S - START / S
    assert 3.0 <= changed_s <= 3.051


def test_idle_ends_are_cut_off_but_for_half_a_second_and_stay_when_asked(tmp_path):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(8.0, moving=(2.0, 5.0)))
    (cut_off,) = convert([bag], tmp_path / "cut")
    (left,) = convert([bag], tmp_path / "left", cutting=Cutting(keep_idle=True))
    (line,) = cut_off.episodes
    assert line["length"] / FPS == pytest.approx(3.0 + LAG_S + 2 * 0.5, abs=0.15)
    assert line["idle_s"][0] == pytest.approx(1.5, abs=0.1)
    assert left.episodes[0]["length"] / FPS == pytest.approx(8.0, abs=0.15)


def test_a_recording_in_which_nothing_moves_is_refused(tmp_path):
    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, Story(moving=(0.0, 0.0)))], tmp_path / "data")
    assert report.outcome == "refused"
    assert "no joint moves by 0.02 rad" in report.detail


@pytest.mark.parametrize("topic", ["/joint_states", "/joint_trajectory", "/camera/head/image_raw"])
def test_a_silent_stream_splits_the_episode_and_no_row_reaches_over_the_gap(tmp_path, topic):
    def silence(messages: list[BagMessage]) -> list[BagMessage]:
        return [m for m in messages if m.topic != topic or not 2.5 <= (stamp_ns(m) - START) / S < 3.5]

    out = tmp_path / "data"
    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, Story(6.0), silence)], out)
    assert len(report.episodes) == 2
    assert any(2.4 < part["from_s"] < 2.8 and 3.3 < part["to_s"] < 3.6 for part in report.dropped)
    for line in report.episodes:
        ages = pq.read_table(ages_file(out, line["episode_index"])).to_pydict()
        assert max(max(ages[name]) for name in ("state", "action", "head")) <= 0.1 + 0.016
    LeRobotDataset(out).validate()


def test_without_a_gap_rows_are_one_piece_whatever_the_rate(tmp_path):
    bag = write_bag(tmp_path / "bag", ROBOT, Story(4.0))
    (report,) = convert([bag], tmp_path / "data", fps=30.0)
    assert len(report.episodes) == 1
    require_regular(LeRobotDataset(tmp_path / "data").video_path(0, "head"), report.episodes[0]["length"], 30.0)


def test_the_lag_between_command_and_state_is_reported(tmp_path):
    (report,) = convert([write_bag(tmp_path / "bag", ROBOT, Story(6.0))], tmp_path / "data")
    assert report.episodes[0]["action_lag_s"] == pytest.approx(LAG_S + 1 / FPS, abs=1 / FPS + 1e-9)
    assert report.timings["head"]["rate_hz"] == pytest.approx(20.0)
    assert report.timings["head"]["delay_s"] == pytest.approx(0.015)
    assert report.timings["state"]["lost"] == 0
    assert report.timings["action"]["delay_s"] == pytest.approx(COMMAND_DELAY_S)


def test_pieces_and_dropped_rows_are_every_row_once_but_for_idle_ends(tmp_path):
    rows = rows_of(write_bag(tmp_path / "bag", ROBOT, Story(3.0, sentences=((1.0, "now"),))))
    pieces, dropped = cut(rows, FPS, Cutting(keep_idle=True))
    covered = sorted([(p.start, p.stop) for p in pieces] + [(d.start, d.stop) for d in dropped])
    assert [row for start, stop in covered for row in range(start, stop)] == list(range(len(rows)))
