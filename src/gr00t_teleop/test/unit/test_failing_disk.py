# SPDX-License-Identifier: Apache-2.0
"""A disk that takes no more, and a power cut: what is said, what is counted, what comes back."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from episode_data import STRING, cdr, counts_of_two_readers

from gr00t_policy.core.errors import DatasetError
from gr00t_policy.data.bag import BagLayout, BagMessage, BagWriter, read_bag
from gr00t_teleop.recording.bag_thread import BagThread
from gr00t_teleop.recording.config import RecorderConfig
from gr00t_teleop.recording.episode_folders import EpisodeFolders
from gr00t_teleop.recording.episode_recorder import EpisodeRecorder
from gr00t_teleop.recording.recovery import recover_bag
from gr00t_teleop.recording.report import State
from gr00t_teleop.recording.requirement import Requirement

_LIMIT_BYTES = 400_000
_POWER_CUT_S = 1.5


def test_a_write_that_fails_is_said_with_how_much_it_cost_and_all_that_was_written_comes_back(tmp_path):
    """A process of its own, whose files may not grow beyond a size: the write fails as it does on a full disk."""
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert "File too large" in said["detail"] and said["alarm"]
    assert f"at most {said['lost']} messages are lost, and `gr00t bag recover` saves the others" in said["detail"]
    assert said["lost"] == said["lost_of_topic"] > 0
    assert said["sent"] == said["messages"] + said["lost"], "each message is on the disk or counted as lost"
    recovery = recover_bag(Path(said["bag"]))
    kept = list(read_bag(recovery.out))
    assert [message.sequence for message in kept] == list(range(1, len(kept) + 1)), "the first ones, without a gap"
    assert len(kept) >= said["messages"] > 0
    beyond = kept[said["messages"] :]
    assert not beyond or beyond[-1].log_ns - beyond[0].log_ns < 0.5e9, "no more than the chunk that was being written"
    assert counts_of_two_readers(recovery.out) == (len(kept), len(kept))


def test_a_bag_whose_index_cannot_be_written_lost_no_message(tmp_path, monkeypatch):
    def fail(self: BagWriter, custom_data: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(BagWriter, "close", fail)
        thread = _recorded(tmp_path / "bag", 50)
    assert thread.failure is not None and thread.lost.total() == 0
    assert recover_bag(tmp_path / "bag").total == 50


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_episode_that_is_no_longer_written_says_so_whatever_the_reason(tmp_path, monkeypatch):
    def fail(self: BagWriter, message: BagMessage) -> None:
        raise DatasetError("a message of no topic")

    monkeypatch.setattr(BagWriter, "write", fail)
    recorder = EpisodeRecorder(RecorderConfig(), EpisodeFolders(tmp_path), [], [Requirement((STRING.name,))], {})
    recorder.add_topic(STRING, latched=False)
    message = BagMessage(STRING.name, cdr("x"), time.time_ns(), time.time_ns(), 1)
    recorder.message(message, time.monotonic_ns())
    recorder.start(time.monotonic_ns(), time.time_ns(), "pick up the can")
    recorder.message(message, time.monotonic_ns())
    end_s = time.monotonic() + 10
    while (report := recorder.report(time.monotonic_ns())).state is State.RECORDING and time.monotonic() < end_s:
        time.sleep(0.01)
        recorder.tick(time.monotonic_ns())
    assert report.alarm and "could not be written to its end (a message of no topic)" in report.detail
    assert report.lost == 1


def _recorded(bag: Path, count: int) -> BagThread:
    thread = BagThread(BagWriter(bag), queue_bytes=1 << 20)
    thread.put_topic(STRING)
    for number in range(1, count + 1):
        thread.put(BagMessage(STRING.name, cdr(f"{number}"), number, number, number))
    thread.finish()
    assert thread.wait(20)
    return thread


def test_a_power_cut_at_any_moment_costs_at_most_a_second_and_a_half(tmp_path, monkeypatch):
    """Only what was synced outlives a power cut: each time, what is in the file then is read back as it is.

    The messages pause in between, since nothing that comes later may be needed to save them.
    """
    synced: list[tuple[int, Path, int]] = []  # when, which file, how much of it is safe
    real: Callable[[int], None] = os.fdatasync

    def observed(descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        real(descriptor)
        synced.append((time.time_ns(), Path(os.readlink(f"/proc/self/fd/{descriptor}")), size))

    monkeypatch.setattr(os, "fdatasync", observed)
    thread = BagThread(BagWriter(tmp_path / "bag", layout=BagLayout(20_000)), queue_bytes=1 << 20)
    thread.put_topic(STRING)
    sent_ns: list[int] = []

    def send(seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            sent_ns.append(time.time_ns())
            thread.put(BagMessage(STRING.name, cdr("x" * 200), sent_ns[-1], sent_ns[-1], len(sent_ns)))
            time.sleep(0.004)

    send(2.5)
    time.sleep(1.7)
    send(1.0)
    cut_ns, before_end = time.time_ns(), len(synced)
    thread.finish()
    assert thread.wait(20)
    monkeypatch.undo()  # reading back syncs too
    safe = [(at_ns, _messages_in(file, size, tmp_path / f"cut{i}")) for i, (at_ns, file, size) in enumerate(synced)]
    assert before_end >= 3 and [count for _, count in safe] == sorted(count for _, count in safe)
    states = [(sent_ns[0], 0), *safe[:before_end], (cut_ns, 0)]
    for (_, count), (next_ns, _) in pairwise(states):
        if count < len(sent_ns):  # right before the next sync: how old is the oldest message that would be gone?
            assert (next_ns - sent_ns[count]) / 1e9 <= _POWER_CUT_S
    assert safe[-1][1] == len(sent_ns)


def _messages_in(file: Path, size: int, folder: Path) -> int:
    """How many whole messages the first ``size`` bytes of a file hold."""
    folder.mkdir()
    cut = folder / file.name
    cut.write_bytes(file.read_bytes()[:size])
    return recover_bag(cut, folder / "out").total


def main() -> None:
    """Record until the file may not grow any more; print what the recorder says then."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT_BYTES, _LIMIT_BYTES))
    config = RecorderConfig(start_free_mb=2, stop_free_mb=1, chunk_kb=64)
    folders = EpisodeFolders(Path(sys.argv[1]) / "episodes")
    recorder = EpisodeRecorder(config, folders, [], [Requirement((STRING.name,))], {})
    recorder.add_topic(STRING, latched=False)

    def send(number: int) -> None:
        now_ns = time.time_ns()
        recorder.message(BagMessage(STRING.name, cdr("x" * 1000), now_ns, now_ns, number), time.monotonic_ns())

    send(0)
    bag, sent = recorder.start(time.monotonic_ns(), time.time_ns(), "pick up the can"), 0
    while (report := recorder.report(time.monotonic_ns())).state is State.RECORDING:
        sent += 1
        send(sent)
        time.sleep(0.002)
        recorder.tick(time.monotonic_ns())
    said = {"detail": report.detail, "alarm": report.alarm, "messages": report.messages, "lost": report.lost}
    said |= {"lost_of_topic": report.topics[0].lost, "sent": sent, "bag": str(bag)}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
