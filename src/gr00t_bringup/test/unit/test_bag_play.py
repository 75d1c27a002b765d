# SPDX-License-Identifier: Apache-2.0
"""Playing a bag, without ROS: what is played, when, and what is refused. Time is the test's own; the bags are real files."""

import os
import pty
import struct
from collections import Counter
from pathlib import Path

import pytest
from mcap.writer import IndexType, Writer

from gr00t_bringup.cli import main
from gr00t_bringup.playback.controls import Command, Keys, commands
from gr00t_bringup.playback.player import Player, PlayOptions, Progress
from gr00t_bringup.playback.selection import fed, is_command, is_obeyed, select
from gr00t_bringup.playback.timeline import Timeline
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagLayout, BagMessage, BagTopic, BagWriter, OfferedQos
from gr00t_policy.data.bag_clock import recorded_time
from gr00t_policy.data.bag_reading import bag_contents

S = 1_000_000_000
START = 1_700_000_000 * S
WORDS = BagTopic("/words", "std_msgs/msg/String", "string data\n", (OfferedQos(),))
STATE = BagTopic("/state", "std_msgs/msg/String", "string data\n", (OfferedQos(durability="transient_local"),))
DRIVE = BagTopic("/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", "string data\n")


def _cdr(text: str) -> bytes:
    data = text.encode() + b"\0"
    return b"\x00\x01\x00\x00" + struct.pack("<I", len(data)) + data


def _write(folder: Path, layout: BagLayout | None = None, topics=(WORDS, STATE, DRIVE)) -> Path:
    """Two seconds: words at 20 Hz, a state at 0.1 and 1.5 s, commands at 10 Hz."""
    times = [(WORDS, i * S // 20) for i in range(41)] + [(STATE, S // 10), (STATE, 3 * S // 2)]
    times += [(DRIVE, i * S // 10) for i in range(20)]
    with BagWriter(folder, layout=layout) as bag:
        for topic in topics:
            bag.add_topic(topic)
        for topic, at_ns in sorted(times, key=lambda pair: pair[1]):
            if topic in topics:
                bag.write(BagMessage(topic.name, _cdr(f"{topic.name} {at_ns}"), START + at_ns, START + at_ns, 1))
    return folder


class Stage:
    """Sink, keys and clock of a player: time passes only while it waits. presses: (at [s], key); slow_s: each publishing."""

    def __init__(self, presses=(), slow_s: float = 0.0, most_s: float = 1000.0) -> None:
        self.now_ns = self.began_ns = 77 * S
        self.sent: list[tuple[float, BagMessage]] = []
        self.clock: list[tuple[float, float]] = []
        self.told: list[Progress] = []
        self._presses = [(self.began_ns + round(at_s * S), key) for at_s, key in presses]
        self._slow_ns, self._most_ns = round(slow_s * S), round(most_s * S)

    def publish(self, message: BagMessage) -> None:
        self.sent.append((self.passed_s, message))
        self.now_ns += self._slow_ns

    def publish_clock(self, bag_ns: int) -> None:
        self.clock.append((self.passed_s, (bag_ns - START) / S))

    def watch(self) -> None:
        """Nothing else is on this stage."""

    def wait(self, timeout_s: float) -> list[Command]:
        assert timeout_s >= 0
        until_ns = self.now_ns + max(round(timeout_s * S), 1)
        if self._presses and self._presses[0][0] <= until_ns:
            at_ns, key = self._presses.pop(0)
            self.now_ns = max(at_ns, self.now_ns)
            return commands(key)
        self.now_ns = until_ns
        if self.now_ns - self.began_ns > self._most_ns:
            raise KeyboardInterrupt
        return []

    @property
    def passed_s(self) -> float:
        return (self.now_ns - self.began_ns) / S


def _play(bag: Path, stage: Stage, topics=("/words", "/state"), **options) -> Player:
    contents = bag_contents(bag)
    selection = select(contents.topics, wanted=topics)
    player = Player(
        recorded_time(contents),
        selection,
        PlayOptions(**options),
        stage,
        stage,
        lambda: stage.now_ns,
        stage.told.append,
    )
    player.run()
    return player


@pytest.mark.parametrize("rate", [0.25, 1.0, 3.0])
def test_every_message_is_sent_once_in_order_when_it_was_recorded_divided_by_the_rate(tmp_path, rate):
    stage = Stage()
    report = _play(_write(tmp_path / "bag"), stage, rate=rate).report
    assert [message.log_ns for _, message in stage.sent] == sorted(message.log_ns for _, message in stage.sent)
    for at_s, message in stage.sent:
        assert at_s == pytest.approx((message.log_ns - START) / S / rate, abs=1e-6)
    assert report.messages == Counter({"/words": 41, "/state": 2})
    assert report.lateness.max_s < 1e-6 and report.seconds == pytest.approx(2 / rate)
    assert stage.told[-1].played_s == pytest.approx(2.0) and stage.told[-1].messages == 43


def _write_with_a_set_clock(folder: Path, by_s: float, silent: tuple[float, float] = (0, 0)) -> Path:
    """A second of words at 20 Hz, and a state at 0.1 s; the system clock is set at 0.5 s."""
    listed = [(i / 20, WORDS, i + 1) for i in range(21 if silent == (0, 0) else 400)] + [(0.101, STATE, 1)]
    with BagWriter(folder) as bag:
        for topic in (WORDS, STATE):
            bag.add_topic(topic)
        for at_s, topic, number in sorted(listed, key=lambda one: one[0]):
            at_ns = START + round((at_s + (by_s if at_s >= 0.5 else 0)) * S)
            if not silent[0] <= at_s < silent[1]:
                bag.write(BagMessage(topic.name, _cdr(f"{topic.name} {number}"), at_ns, at_ns, number))
    return folder


@pytest.mark.parametrize("rate", [1.0, 4.0])
@pytest.mark.parametrize("by_s", [-3600.0, -0.3, 3600.0])
def test_where_the_system_clock_was_set_nothing_waits_and_all_is_played_in_order(tmp_path, by_s, rate):
    """Log time was once followed blindly: a second with an hour's step took an hour."""
    stage = Stage()
    report = _play(_write_with_a_set_clock(tmp_path / "bag", by_s), stage, rate=rate, clock_at_messages=True).report
    words = [(at_s, message) for at_s, message in stage.sent if message.topic == WORDS.name]
    assert [message.sequence for _, message in words] == list(range(1, 22))
    for number, (at_s, _) in enumerate(words):
        assert at_s == pytest.approx((number - (number >= 10)) / 20 / rate, abs=1e-6), "but for the period of the step"
    assert report.seconds == pytest.approx(0.95 / rate) and stage.told[-1].total_s == pytest.approx(0.95)
    for (_, clock_s), (_, message) in zip(stage.clock, stage.sent, strict=True):
        assert clock_s == pytest.approx((message.log_ns - START) / S, abs=1e-6), "/clock is what the stamps are of"


@pytest.mark.parametrize("by_s", [-3600.0, 3600.0])
def test_an_offset_and_rounds_count_what_was_recorded_not_what_the_clock_was_set_by(tmp_path, by_s):
    bag = _write_with_a_set_clock(tmp_path / "bag", by_s)
    stage = Stage()
    _play(bag, stage, start_offset_s=0.6)
    assert stage.sent[0][1].topic == STATE.name, "the latched message in force comes first"
    assert [message.sequence for _, message in stage.sent[1:]] == list(range(14, 22))
    again = Stage(most_s=2.0)
    with pytest.raises(KeyboardInterrupt):
        _play(bag, again, topics=(WORDS.name,), loop=True)
    assert [message.sequence for _, message in again.sent] == [*range(1, 22), *range(1, 22), *range(1, 4)]
    with pytest.raises(ConfigError, match=r"is 2 s, but .* lasts 0\.950 s"):
        _play(bag, Stage(), start_offset_s=2.0)


def test_a_pause_of_the_recording_is_waited_for(tmp_path):
    stage = Stage()
    bag = _write_with_a_set_clock(tmp_path / "bag", 0.0, silent=(1.0, 12.0))
    assert _play(bag, stage).report.seconds == pytest.approx(19.95)
    assert recorded_time(bag_contents(bag)).gaps == ("0.9 s in: nothing was recorded for 11.1 s",)


def test_a_split_and_compressed_bag_is_played_as_a_whole_one(tmp_path):
    whole, parts = Stage(), Stage()
    _play(_write(tmp_path / "whole"), whole)
    _play(_write(tmp_path / "parts", BagLayout(400, "zstd", split_bytes=1500)), parts)
    assert len(list((tmp_path / "parts").glob("*.mcap"))) > 2
    assert parts.sent == whole.sent


def test_who_is_slow_sends_late_and_catches_up_where_there_is_time(tmp_path):
    stage = Stage(slow_s=0.06)
    report = _play(_write(tmp_path / "bag"), stage, topics=("/words",), rate=1.0).report
    assert stage.passed_s == pytest.approx(41 * 0.06)
    assert report.lateness.max_s == pytest.approx(40 * 0.01 + 0.06)
    stage = Stage(slow_s=0.02)
    report = _play(_write(tmp_path / "again"), stage, topics=("/words",), rate=2.0).report
    assert report.lateness.max_s == pytest.approx(0.02), "a message that is late does not delay the next"


def test_pausing_stops_time_and_going_on_leaves_nothing_out(tmp_path):
    stage = Stage(presses=[(0.52, " "), (10.52, " ")])
    _play(_write(tmp_path / "bag"), stage, clock_hz=10)
    assert len(stage.sent) == 43
    assert [m.log_ns for at, m in stage.sent if 0.52 < at < 10.52] == []
    assert stage.passed_s == pytest.approx(12.0)
    still = {value for at_s, value in stage.clock if 0.6 < at_s < 10.5}
    assert still == {0.52}, "while it is paused, the same time is told again and again"


def test_a_key_sends_the_next_message_of_a_paused_bag_alone(tmp_path):
    presses = [(0.01, " "), (1.0, "s"), (2.0, "\x1b[C"), (3.0, "\x1bOC"), (5.0, " ")]
    stage = Stage(presses=presses)
    _play(_write(tmp_path / "bag"), stage, topics=("/words",))
    times = [at_s for at_s, _ in stage.sent]
    assert times[:4] == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert times[4] == pytest.approx(5.05) and len(times) == 41


def test_the_arrows_change_the_rate_from_then_on(tmp_path):
    stage = Stage(presses=[(1.0, "\x1b[A")])
    _play(_write(tmp_path / "bag"), stage)
    assert stage.passed_s == pytest.approx(1 + 1 / 1.1)
    stage = Stage(presses=[(1.0, "\x1b[B\x1b[B")])
    _play(_write(tmp_path / "again"), stage)
    assert stage.passed_s == pytest.approx(1 + 1.1**2)


def test_from_an_offset_the_latched_message_in_force_comes_first_and_nothing_else_from_before(tmp_path):
    stage = Stage()
    _play(_write(tmp_path / "bag"), stage, start_offset_s=1.0)
    (first_s, first), (_, second) = stage.sent[:2]
    assert (first_s, first.topic, first.log_ns) == (0.0, "/state", START + S // 10)
    assert (second.topic, second.log_ns) == ("/words", START + S)
    assert len(stage.sent) == 1 + 21 + 1 and stage.passed_s == pytest.approx(1.0)


def test_rounds_follow_each_other_without_end_and_without_the_delay(tmp_path):
    stage = Stage(most_s=9.0)
    with pytest.raises(KeyboardInterrupt):
        _play(_write(tmp_path / "bag"), stage, topics=("/state",), loop=True, delay_s=0.5)
    assert [at_s for at_s, _ in stage.sent] == pytest.approx([0.6, 2.0, 2.6, 4.0, 4.6, 6.0, 6.6, 8.0, 8.6])
    assert stage.told[-1].round == 5


def test_the_clock_tells_the_recorded_time_often_and_never_backwards(tmp_path):
    stage = Stage()
    report = _play(_write(tmp_path / "bag"), stage, clock_hz=50, rate=2.0).report
    values = [value for _, value in stage.clock]
    assert values == sorted(values) and report.clock_ticks == len(values) == pytest.approx(50, abs=2)
    assert all(value == pytest.approx(2 * at_s, abs=1e-6) for at_s, value in stage.clock)
    before = Stage()
    _play(tmp_path / "bag", before, clock_at_messages=True)
    assert [value for _, value in before.clock] == [(m.log_ns - START) / S for _, m in before.sent]


def test_the_line_of_time_is_straight_and_never_jumps_when_its_slope_changes():
    line = Timeline(1000 * S, 5 * S, 2.0)
    assert line.bag_at(4 * S) == 1000 * S, "before the start time stands"
    assert line.bag_at(6 * S) == 1002 * S and line.steady_at(1002 * S) == 6 * S
    line.set_rate(0.5, 6 * S)
    assert line.bag_at(6 * S) == 1002 * S and line.bag_at(8 * S) == 1003 * S
    line.pause(8 * S)
    assert line.steady_at(1004 * S) is None and line.bag_at(99 * S) == 1003 * S
    line.resume(20 * S)
    assert line.steady_at(1004 * S) == 22 * S


def test_commands_are_withheld_unless_they_are_asked_for_and_allowed(tmp_path):
    topics = {topic.name: topic for topic in (WORDS, DRIVE)}
    assert select(topics).withheld == ("/joint_trajectory",) and set(select(topics).names) == {"/words"}
    assert set(select(topics, allow_commands=True).names) == {"/words", "/joint_trajectory"}
    for options in ({"wanted": ["joint_trajectory"]}, {"remap": ["/joint_trajectory:=/old/path"]}):
        with pytest.raises(ConfigError, match="would move a robot .* only with --allow-commands"):
            select(topics, **options)
    with pytest.raises(ConfigError, match="/words: playing this would move a robot"):
        select(topics, remap=["/words:=/robot/joint_trajectory"])
    with pytest.raises(ConfigError, match="nothing is left to play"):
        select({DRIVE.name: DRIVE})
    assert is_command("/arm/goal", "trajectory_msgs/msg/JointTrajectory")
    assert is_command("/base/cmd_vel", "geometry_msgs/msg/Twist") and not is_command("/words", WORDS.type_name)


def test_what_feeds_a_stack_that_drives_a_robot_is_known_by_name_and_namespace():
    assert is_obeyed("/joint_trajectory") and is_obeyed("/left/joint_trajectory")
    assert not any(map(is_obeyed, ("/policy/joint_trajectory", "/a/dry_run/joint_trajectory", "/words")))
    played = ["/joint_states", "/left/joint_states", "/left/camera/ego_view/image_raw", "/left/words"]
    assert fed(played, "/left/joint_trajectory") == ["/left/camera/ego_view/image_raw", "/left/joint_states"]


def test_names_that_the_bag_does_not_have_or_that_collide_are_refused_with_those_it_has():
    topics = {topic.name: topic for topic in (WORDS, STATE)}
    for option in ("wanted", "excluded"):
        with pytest.raises(ConfigError, match="no topic /word; it has: /state, /words"):
            select(topics, **{option: ["/word"]})
    with pytest.raises(ConfigError, match="--remap: the bag has no topic /word"):
        select(topics, remap=["/word:=/b"])
    with pytest.raises(ConfigError, match="--remap takes old:=new"):
        select(topics, remap=["/words=/b"])
    with pytest.raises(ConfigError, match="/state and /words would both be played as /state"):
        select(topics, remap=["/words:=/state"])
    assert set(select({**topics, "/clock": WORDS}, with_clock=True).names) == {"/words", "/state"}


def _unindexed(bag: Path) -> None:
    with (bag / "bag_0.mcap").open("wb") as stream:
        writer = Writer(stream, index_types=IndexType.NONE, use_chunking=False)
        writer.start("ros2")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data\n")
        writer.add_message(writer.register_channel("/words", "cdr", schema), 1, _cdr("a"), 1)
        writer.finish()


def _cut(bag: Path) -> None:
    os.truncate(bag / "bag_0.mcap", 2500)


def _empty(bag: Path) -> None:
    for path in list(bag.iterdir()):
        path.unlink()
    with BagWriter(bag) as writer:
        writer.add_topic(WORDS)


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (None, ["--rate", "0"], "--rate must be from 0.001 to 1000, 1 is as recorded; got 0"),
        (None, ["--rate", "-1"], "--rate must be"),
        (None, ["--topics", "/nothing"], "no topic /nothing; it has: /joint_trajectory, /state, /words"),
        (None, ["--start-offset", "9"], "--start-offset is 9 s, but"),
        (None, ["--clock", "0.1"], "--clock must be from 1 to 10000 Hz"),
        (None, ["--loop", "--start-offset", "2"], "a single moment"),
        (_cut, [], "was the recording cut off? `gr00t bag recover` saves what is whole"),
        (_unindexed, [], "has no index; `gr00t bag recover` writes the bag anew with one"),
        (_empty, [], "is an empty bag: it has 1 topics and no message"),
        (lambda bag: (bag / "bag_0.mcap").write_bytes(b"text"), [], "is not an MCAP file"),
        (
            lambda bag: (bag / "bag_0.mcap").rename(bag / "bag_0.db3"),
            [],
            "sqlite3 format; write it anew as MCAP, with ros2 bag convert",
        ),
        (lambda bag: (bag / "bag_0.mcap").unlink(), [], "is not a bag: it holds no .mcap file"),
    ],
)
def test_what_cannot_be_played_is_one_line_that_says_what_to_do(tmp_path, capsys, spoil, options, words):
    bag = _write(tmp_path / "bag")
    if spoil:
        spoil(bag)
    assert main(["bag", "play", str(bag), *options]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.strip().splitlines()) == 1


def test_keys_come_from_a_real_terminal_and_one_that_is_gone_leaves_only_waiting():
    person, terminal = pty.openpty()
    keys = Keys(terminal)
    assert keys.wait(0.0) == []
    os.write(person, b"s \n")  # a terminal that was not prepared hands over whole lines
    assert keys.wait(5.0) == [Command.NEXT, Command.PAUSE]
    os.close(person)
    assert keys.wait(5.0) == [] and keys.wait(0.01) == []
    os.close(terminal)


def test_keys_that_mean_nothing_do_nothing():
    assert commands("xABC\x1b[D\x1b\x1b[1~") == []
    assert commands("S\x1b[A\x1b[B") == [Command.NEXT, Command.FASTER, Command.SLOWER]
