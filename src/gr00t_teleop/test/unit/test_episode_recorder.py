# SPDX-License-Identifier: Apache-2.0
"""The recorder without ROS: when an episode starts, what is counted, how it ends, what is refused."""

import math
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
from episode_data import STATE, STRING, cdr, counts_of_two_readers
from mcap.reader import make_reader
from mcap.records import Metadata

from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.bag import BagMessage, BagWriter, read_bag
from gr00t_policy.data.bag_metadata import read_metadata
from gr00t_policy.data.bag_reading import bag_contents
from gr00t_policy.data.convert_source import episode_notes
from gr00t_teleop.recording.bag_thread import BagThread
from gr00t_teleop.recording.config import RecorderConfig
from gr00t_teleop.recording.episode import Decision
from gr00t_teleop.recording.episode_folders import EpisodeFolders
from gr00t_teleop.recording.episode_recorder import EpisodeRecorder
from gr00t_teleop.recording.report import Refusal, RefusedError, State
from gr00t_teleop.recording.requirement import Requirement
from gr00t_teleop.recording.snapshot_ring import SnapshotRing
from gr00t_teleop.recording.topic_watch import TopicWatch

S = 1_000_000_000
REQUIRED = [Requirement(("/language_command",), 100.0)]


class Scene:
    """A recorder whose clock the test turns, and a sender of 100 messages a second."""

    def __init__(self, root: Path, **settings: object) -> None:
        settings = {"start_free_mb": 2, "stop_free_mb": 1, **settings}
        self.folders = EpisodeFolders(root)
        self.recorder = EpisodeRecorder(
            RecorderConfig(**settings), self.folders, ["/state"], REQUIRED, {"embodiment": "gr1"}
        )
        self.now_ns, self.sequence = 10 * S, 0

    def connect(self) -> None:
        self.recorder.add_topic(STRING, latched=False)
        self.recorder.add_topic(STATE, latched=True)

    def send(self, count: int, skip: int = 0) -> None:
        self.sequence += skip
        for _ in range(count):
            self.sequence += 1
            self.now_ns += S // 100
            message = BagMessage(STRING.name, cdr(f"{self.sequence}"), self.now_ns, self.now_ns, self.sequence)
            self.recorder.message(message, self.now_ns)

    def start(self, instruction: str = "pick up the can", **options: object) -> Path:
        return self.recorder.start(self.now_ns, self.now_ns, instruction, "Ada", **options)

    def settle(self, state: State) -> None:
        """Until what is being closed is closed."""
        deadline_s = time.monotonic() + 20
        while self.recorder.report(self.now_ns).state is not state:
            assert time.monotonic() < deadline_s, self.recorder.report(self.now_ns)
            self.recorder.tick(self.now_ns)
            time.sleep(0.005)


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path / "episodes")
    yield made
    made.recorder.close(made.now_ns)
    made.folders.release()


def test_an_episode_starts_only_when_every_required_topic_delivers_and_the_silent_ones_are_named(scene):
    with pytest.raises(RefusedError, match="/language_command has no publisher: start the node") as refused:
        scene.start()
    assert refused.value.reason is Refusal.NO_DATA
    scene.connect()
    with pytest.raises(RefusedError, match="published but nothing came yet"):
        scene.start()
    assert scene.recorder.report(scene.now_ns).state is State.IDLE
    scene.send(1)
    assert scene.recorder.report(scene.now_ns).state is State.READY
    scene.now_ns += 2 * S
    with pytest.raises(RefusedError, match=r"fell silent 2\.0 s ago"):
        scene.start()


def test_an_episode_holds_every_message_its_facts_and_its_outcome(scene):
    scene.connect()
    scene.recorder.message(BagMessage(STATE.name, cdr("latched"), 5 * S, 4 * S, 1), scene.now_ns)
    scene.send(150)
    bag = scene.start()
    scene.send(200)
    assert scene.recorder.report(scene.now_ns).elapsed_s == pytest.approx(2.0)
    scene.recorder.stop(scene.now_ns)
    scene.settle(State.REVIEW)
    assert scene.recorder.decide(scene.now_ns, Decision(keep=True, outcome="success")) == bag
    kept = list(read_bag(bag))
    assert [m.sequence for m in kept if m.topic == STRING.name] == list(range(151, 351))
    assert [(m.publish_ns, m.log_ns >= 11 * S) for m in kept if m.topic == STATE.name] == [(4 * S, True)]
    facts = read_metadata(bag)["custom_data"]
    expected = {"instruction": "pick up the can", "operator": "Ada", "embodiment": "gr1", "outcome": "success"}
    assert facts.items() >= expected.items() and facts["messages_lost"] == "0" and facts["messages"] == "201"
    assert counts_of_two_readers(bag) == (201, 201)
    scene.settle(State.READY)


def test_gaps_in_the_senders_sequence_are_counted_and_raise_the_alarm_during_the_episode(scene):
    scene.connect()
    scene.send(200)
    bag = scene.start()
    scene.send(50)
    assert not scene.recorder.report(scene.now_ns).alarm
    scene.send(50, skip=7)
    report = scene.recorder.report(scene.now_ns)
    assert report.alarm and "/language_command lost 7 messages" in report.detail and report.lost == 7
    scene.send(600)
    assert not scene.recorder.report(scene.now_ns).alarm, "an old loss is counted, but no longer an alarm"
    scene.recorder.stop(scene.now_ns)
    scene.settle(State.REVIEW)
    facts = read_metadata(bag)["custom_data"]
    assert (facts["messages_lost"], facts["lost./language_command"]) == ("7", "7")


def test_a_required_topic_that_slows_down_raises_the_alarm(scene):
    scene.connect()
    scene.send(200)
    scene.start()
    for _ in range(20):
        scene.now_ns += S // 20
        scene.send(1)
    report = scene.recorder.report(scene.now_ns)
    assert report.alarm and "instead of 100" in report.detail


def test_a_discarded_episode_is_moved_and_its_number_is_not_used_again(scene):
    scene.connect()
    scene.send(5)
    first = scene.start()
    scene.send(5)
    scene.recorder.decide(scene.now_ns, Decision(keep=False))
    scene.settle(State.READY)
    moved = scene.folders.root / "discarded" / first.name
    assert not first.exists() and len(list(read_bag(moved))) == 5
    assert read_metadata(moved)["custom_data"]["kept"] == "false"
    assert scene.recorder.end_of(first).bag is None
    assert scene.start().name == "episode_0002"


def test_an_episode_in_review_is_whole_on_disk_and_what_is_decided_is_noted_in_it(scene):
    scene.connect()
    scene.send(5)
    bag = scene.start()
    scene.send(5)
    scene.recorder.stop(scene.now_ns)
    scene.settle(State.REVIEW)
    assert bag_contents(bag).counts.total() == read_metadata(bag)["message_count"] == 5, "a kill now costs nothing"
    scene.recorder.decide(scene.now_ns, Decision(keep=False, outcome="failure"))
    moved = scene.folders.root / "discarded" / bag.name
    facts = read_metadata(moved)["custom_data"]
    assert (facts["outcome"], facts["kept"]) == ("failure", "false")
    assert [part.metadata["serialized_metadata"].count("outcome: failure") for part in inside(moved)] == [0, 1]
    assert counts_of_two_readers(moved) == (5, 5)


def inside(bag: Path) -> list[Metadata]:
    """The copies of metadata.yaml in its only file."""
    with (bag / f"{bag.name}_0.mcap").open("rb") as stream:
        return [record for record in make_reader(stream).iter_metadata() if record.name == "rosbag2"]


def test_starting_again_keeps_the_episode_in_review_and_starting_twice_is_refused(scene):
    scene.connect()
    scene.send(5)
    first = scene.start()
    with pytest.raises(RefusedError, match="an episode is being recorded") as refused:
        scene.start()
    assert refused.value.reason is Refusal.BUSY
    scene.recorder.stop(scene.now_ns)
    scene.settle(State.REVIEW)
    second = scene.start()
    assert first.is_dir() and scene.recorder.report(scene.now_ns).bag == second


def test_an_episode_ends_complete_after_its_time_and_before_the_disk_is_full(scene, monkeypatch):
    scene.connect()
    scene.send(5)
    first = scene.start(max_duration_s=1.0)
    scene.send(110)
    scene.settle(State.REVIEW)
    assert "ended after 1 s" in scene.recorder.report(scene.now_ns).detail
    second = scene.start()
    scene.send(5)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 900_000))
    scene.settle(State.REVIEW)
    report = scene.recorder.report(scene.now_ns)
    assert "less than 1 MB are free" in report.detail and report.alarm
    assert len(list(read_bag(first))) == 110 and len(list(read_bag(second))) == 5
    with pytest.raises(RefusedError, match="an episode needs 2: delete something") as refused:
        scene.start()
    assert refused.value.reason is Refusal.DISK


def test_a_wrong_sentence_or_outcome_and_a_decision_about_nothing_are_refused(scene):
    scene.connect()
    scene.send(1)
    refused_sentences = {
        "  ": "needs a sentence",
        "x" * 513: "has 513 bytes; at most 512",
        "take\tit": "has control characters",
        "take \ufffd": "is not UTF-8",
    }
    for sentence, words in refused_sentences.items():
        with pytest.raises(RefusedError, match=words):
            scene.start(sentence)
    with pytest.raises(RefusedError, match="max_duration_s is nan"):
        scene.start(max_duration_s=math.nan)
    with pytest.raises(RefusedError, match="no episode to keep"):
        scene.recorder.decide(scene.now_ns, Decision(keep=True))
    with pytest.raises(RefusedError, match="'great' is not one of '', 'success', 'failure'"):
        scene.recorder.decide(scene.now_ns, Decision(keep=True, outcome="great"))
    with pytest.raises(RefusedError, match="no episode is being recorded"):
        scene.recorder.stop(scene.now_ns)


def test_a_disk_that_fails_is_said_and_the_next_episode_can_be_tried(scene, monkeypatch):
    scene.connect()
    scene.send(1)
    bag = scene.start()

    def fail(self: BagWriter, message: BagMessage) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(BagWriter, "write", fail)
        scene.send(1)
        scene.settle(State.FAILED)
    report = scene.recorder.report(scene.now_ns)
    assert report.alarm and "No space left on device" in report.detail and "gr00t bag recover" in report.detail
    assert "No space" in scene.recorder.end_of(bag).failure
    scene.start()
    scene.settle(State.RECORDING)


@pytest.fixture
def failed(scene, monkeypatch) -> Path:
    """The bag of an episode that the disk has failed and that no tick has looked at since."""
    scene.connect()
    scene.send(5)
    bag = scene.start()

    def fail(self: BagWriter) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(BagWriter, "flush", fail)
        scene.send(5)
        scene.recorder.stop(scene.now_ns)
        assert scene.recorder._episode.thread.wait(10)
    return bag


@pytest.mark.parametrize("keep", [True, False])
def test_what_the_disk_has_just_failed_can_be_neither_kept_nor_discarded_and_lies_where_it_was(scene, failed, keep):
    with pytest.raises(RefusedError, match="No space left on device.*gr00t bag recover") as refused:
        scene.recorder.decide(scene.now_ns, Decision(keep=keep, outcome="success"))
    assert refused.value.reason is Refusal.DISK
    report = scene.recorder.report(scene.now_ns)
    assert report.state is State.FAILED and report.bag == failed and failed.is_dir()
    assert scene.recorder.end_of(failed).failure


def test_starting_right_after_a_failure_of_the_disk_says_that_the_one_before_is_not_whole(scene, failed):
    scene.start()
    report = scene.recorder.report(scene.now_ns)
    assert report.state is State.RECORDING
    assert f"{failed} could not be written to its end" in report.detail
    assert "No space" in scene.recorder.end_of(failed).failure


def test_a_snapshot_holds_the_last_seconds_also_while_nothing_is_recorded(scene):
    with pytest.raises(RefusedError, match="nothing to save"):
        scene.recorder.snapshot("now")
    scene.connect()
    scene.recorder.message(BagMessage(STATE.name, cdr("latched long ago"), scene.now_ns, 0, 1), scene.now_ns)
    scene.send(1500)
    bag = scene.recorder.snapshot("now")
    scene.recorder.close(scene.now_ns)
    assert [message.sequence for message in read_bag(bag, [STRING.name])] == list(range(500, 1501))
    assert [message.cdr for message in read_bag(bag, [STATE.name])] == [cdr("latched long ago")]
    assert "a snapshot" in episode_notes(bag).reason_to_skip()


def test_the_ring_is_bounded_in_time_and_bytes():
    ring = SnapshotRing(span_s=1.0, most_bytes=100)
    for i in range(50):
        ring.add(BagMessage("/t", bytes(30), 0, 0, i), i * S // 10)
    assert [message.sequence for message in ring.content()] == [47, 48, 49]
    for i in range(50, 90):
        ring.add(BagMessage("/t", b"", 0, 0, i), i * S // 10)
    assert [message.sequence for message in ring.content()] == list(range(79, 90))


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_the_ring_holds_the_same_seconds_when_the_system_clock_is_set(step_s):
    """Messages' times are of the system clock: set back, the ring once grew to its bytes; set forward, it was emptied."""
    ring = SnapshotRing(span_s=1.0, most_bytes=10**9)
    for i in range(50):
        wall_ns = i * S // 10 + (step_s * S if i >= 45 else 0)
        ring.add(BagMessage("/t", b"", wall_ns, wall_ns, i), i * S // 10)
    assert [message.sequence for message in ring.content()] == list(range(39, 50))


def test_two_recorders_on_one_folder_are_refused_also_across_processes_and_a_dead_one_frees_it(scene, tmp_path):
    with pytest.raises(ConfigError, match=r"another recorder \(process \d+\) writes to"):
        EpisodeFolders(scene.folders.root)
    code = "import sys,pathlib,time;from gr00t_teleop.recording.episode_folders import EpisodeFolders as E;"
    code += "e=E(pathlib.Path(sys.argv[1]));print('has it',flush=True);time.sleep(60)"
    command = [sys.executable, "-c", code, str(tmp_path / "other")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "has it\n"
        with pytest.raises(ConfigError, match=f"process {process.pid}"):
            EpisodeFolders(tmp_path / "other")
        process.kill()
    EpisodeFolders(tmp_path / "other").release()


def test_episodes_that_were_cut_off_are_found_until_they_are_recovered(scene):
    (scene.folders.root / "episode_0004").mkdir()
    assert [path.name for path in scene.folders.unfinished()] == ["episode_0004"]
    assert scene.folders.next_episode().name == "episode_0005"
    (scene.folders.root / "episode_0004_recovered").mkdir()
    assert scene.folders.unfinished() == []


def test_a_full_queue_refuses_and_never_holds_more_than_its_bytes(tmp_path, monkeypatch):
    real = BagWriter.write

    def slow(self: BagWriter, message: BagMessage) -> None:
        time.sleep(0.05)
        real(self, message)

    monkeypatch.setattr(BagWriter, "write", slow)
    thread = BagThread(BagWriter(tmp_path / "bag"), queue_bytes=1000)
    thread.put_topic(STRING)
    taken = [thread.put(BagMessage(STRING.name, bytes(100), i, i, i)) for i in range(30)]
    assert taken == [True] * 10 + [False] * 20
    thread.finish()
    assert thread.wait(20) and thread.queue_peak_bytes == 1000
    assert [message.sequence for message in read_bag(tmp_path / "bag")] == list(range(10))


def test_gaps_are_not_counted_of_several_publishers_nor_when_one_starts_again():
    watch = TopicWatch("/t")
    for sequence in (1, 2, 9, 1, 2):
        watch.receive(BagMessage("/t", b"", 0, 0, sequence), S)
    assert watch.lost == 6
    watch.counts_gaps = False
    watch.receive(BagMessage("/t", b"", 0, 0, 50), S)
    assert watch.lost == 6


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="1 numbers for 2 required_topics"):
        RecorderConfig(required_topics=("a", "b"), required_rates_hz=(1.0,))
    with pytest.raises(ConfigError, match=r"start_free_mb \(5\) must be more than stop_free_mb"):
        RecorderConfig(start_free_mb=5, stop_free_mb=5)


def test_a_topic_that_is_found_again_after_a_pause_of_the_receiving_is_recorded_on(scene):
    """A node that was deactivated and activated again tells each topic anew, as it finds it: also in an episode."""
    scene.connect()
    scene.send(200)
    bag = scene.start()
    scene.send(50)
    scene.connect()
    scene.send(50)
    time.sleep(0.1)  # the writer has taken what waited
    scene.recorder.stop(scene.now_ns)
    scene.settle(State.REVIEW)
    assert [m.sequence for m in read_bag(bag)] == list(range(201, 301))
