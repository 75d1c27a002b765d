# SPDX-License-Identifier: Apache-2.0
"""The demo with the shipped checkpoint, as a person would run it: from the command line to film, bag and summary."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from read_caption import likeness, likest
from rosbags.highlevel import AnyReader

from gr00t_bringup.nodes import shipped_checkpoint
from gr00t_policy.core.errors import ConfigError
from gr00t_policy.data.video import iterate_frames

_KEYS = {
    *("success", "sentence", "seed", "planner_rate_hz", "control_rate_hz", "head_rate_hz", "deadline_miss_fraction"),
    *("head_ms", "image_to_command_ms", "joint_state_to_command_ms", "machine", "real_time_factor"),
    *("deadline_misses", "ticks", "realtime_scheduling", "command_gaps", "wake_up_lateness_ms", "encode_ms"),
    *("joint_state_rate_hz", "camera_rate_hz", "memory_mb"),
}
_DEFAULT_SENTENCE, _DEFAULT_SEED = "pick up the red can and place it in the blue bin", 10_000
_GOOD_SCORE = 0.6  # what the suite asks of a shipped checkpoint on average
_MEMORY_MB = 6 * 1024  # what the suite allows itself
_TRIES = 3  # of the same scene: a machine that sleeps for a moment may cost one


def _shipped() -> Path | None:
    try:
        return shipped_checkpoint()
    except ConfigError:
        return None


pytestmark = pytest.mark.skipif(_shipped() is None, reason="the shipped checkpoint is not in models/")


def _demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Started from ``folder``, where it leaves out/demo."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "gr00t_bringup.cli", "demo", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """What ``gr00t demo`` leaves and says when it is told nothing: as solved, or the last try.

    A checkpoint whose card claims a good score must solve it; an early one need only run and say how it went.
    """
    card = json.loads((_shipped() / "training_card.json").read_text())
    tries = _TRIES if float(card.get("average_success") or 0.0) >= _GOOD_SCORE else 1
    for _ in range(tries):
        folder = tmp_path_factory.mktemp("demo")
        done = _demo(folder)
        if done.returncode == 0:
            break
    if done.returncode and tries > 1:
        pytest.fail(f"the default demo was not solved in {tries} tries; the last one said:\n{done.stdout[-2000:]}")
    return folder / "out" / "demo", done


def test_told_nothing_it_is_the_red_can_of_the_first_scene_never_trained_on(default):
    out, done = default
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["sentence"], summary["seed"]) == (_DEFAULT_SENTENCE, _DEFAULT_SEED)
    assert summary["success"] is (done.returncode == 0)


def test_the_summary_has_exactly_the_keys_that_are_promised(default):
    summary = json.loads((default[0] / "summary.json").read_text())
    assert set(summary) == _KEYS
    for name in ("head_ms", "image_to_command_ms", "joint_state_to_command_ms"):
        assert set(summary[name]) == {"p50", "p95", "p99"}


def test_all_processes_together_take_less_memory_than_is_promised(default):
    memory = json.loads((default[0] / "summary.json").read_text())["memory_mb"]
    assert set(memory) == {"sim", "planner", "controller", "command_gate", "gr00t demo"}
    assert 500 < sum(each["peak_mb"] for each in memory.values()) < _MEMORY_MB


def test_the_film_shows_the_whole_run_with_sentence_and_rates(default):
    pictures = iterate_frames(default[0] / "video.mp4")
    first = last = next(pictures)
    count = 1
    for picture in pictures:
        last, count = picture, count + 1
    assert count > 40
    assert first.shape == last.shape == (480 + 88, 640 + 480, 3)
    for view in (slice(0, 640), slice(640, 1120)):
        assert first[:480, view].std() > 20 and last[:480, view].std() > 20, "something is to be seen"
        assert np.abs(first[:480, view].astype(int) - last[:480, view]).max() > 60, "and it moves"
    sentences = [f"“{said}”" for said in (_DEFAULT_SENTENCE, "pick up the red ball and place it in the blue bin")]
    assert likest(last, 0, sentences) == sentences[0]
    assert likeness(last, 1, "planner ") > 0.85 and likeness(last, 2, "solved") > 0.85


def test_the_bag_can_be_read_by_others_and_holds_the_sentence(default):
    out, _ = default
    with AnyReader([out / "bag"]) as reader:
        said = [
            reader.deserialize(raw, connection.msgtype).data
            for connection, _, raw in reader.messages()
            if connection.topic == "/language_command"
        ]
    assert said == [json.loads((out / "summary.json").read_text())["sentence"]]


def test_plain_lines_are_printed_where_there_is_no_terminal(default):
    _, done = default
    assert "planner " in done.stdout
    assert _verdict(done) == ("SOLVED" if done.returncode == 0 else "NOT SOLVED")


def test_another_task_is_done_when_its_sentence_is_said_and_the_summary_lies_where_it_was_wished(tmp_path):
    """The door, which the shipped checkpoint shuts in every scene of its table; a second try for a machine that sleeps."""
    said = "close the door"
    for seed in (10_001, 10_002):
        out, copy = tmp_path / str(seed), tmp_path / f"{seed}.json"
        words = ("--seed", str(seed), "--say", said, "--settle-s", "0.2", "--out", str(out), "--json", str(copy))
        done = _demo(tmp_path, *words)
        summary = json.loads((out / "summary.json").read_text())
        assert (summary["sentence"], summary["seed"]) == (said, seed)
        assert summary == json.loads(copy.read_text())
        assert "door hinge" in done.stdout, "it is that task's referee who speaks"
        if done.returncode == 0:
            break
    assert _verdict(done) == "SOLVED", done.stdout[-2000:]


def test_nothing_is_left_running_and_no_shared_memory_is_left_behind(default):
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if b"ROS_DOMAIN_ID=" + os.environ["ROS_DOMAIN_ID"].encode() in environment and b"_node" in command:
                found.append(command)
    assert found == []


def _verdict(done: subprocess.CompletedProcess[str]) -> str:
    """What the demo says of itself before the colon of its one line of verdict; "NOT SOLVED" is no "SOLVED"."""
    (word,) = [line.split(":")[0] for line in done.stdout.splitlines() if line.startswith(("SOLVED:", "NOT SOLVED:"))]
    return word
