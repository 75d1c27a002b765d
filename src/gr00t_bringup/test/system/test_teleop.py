# SPDX-License-Identifier: Apache-2.0
"""``gr00t teleop`` as a person would run it: a headset over its real protocol, keys in a terminal, a policy to correct."""

import asyncio
import contextlib
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from fake_headset import FakeHeadset, frame
from fake_vision_pro import FakeVisionPro
from recorded_person import state_at, write

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.data.bag import MessageDecoder, bag_topics, read_bag
from gr00t_policy.data.bag_metadata import read_metadata

GR1 = load_embodiment("gr1")
_CODE = "paired"
_ACTIVE = 2
_DAMPED_NS = 100_000_000


class Terminal:
    """A terminal with the command in it: what it printed so far, keys to press. Leaving it ends the command.

    reset_key: releases a stop; a capital where small letters move the hand.
    """

    def __init__(self, *words: str, reset_key: str = "r") -> None:
        self._reset_key = reset_key
        self._here, there = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gr00t_bringup.cli", "teleop", *words],
            stdin=there,
            stdout=there,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "180", "LINES": "50"},
        )
        os.close(there)
        self.printed = ""
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """A stack that a failed test left would drive beside those of all tests after it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)  # its nodes end with it
                self.process.wait(10)

    def press(self, key: str) -> None:
        os.write(self._here, key.encode())

    def until(self, pattern: str, timeout_s: float = 90.0) -> re.Match[str]:
        """Wait until it has printed what matches, and forget it."""
        deadline = time.monotonic() + timeout_s
        while (match := re.search(pattern, self.printed)) is None:
            assert self.process.poll() is None and time.monotonic() < deadline, self.printed[-3000:]
            time.sleep(0.05)
        self.printed = self.printed[match.end() :]
        return match

    def until_driven_by(self, who: str, again: Callable[[], object] = lambda: None) -> None:
        """Until the gate passes the commands of ``who`` on. What this machine did by sleeping for a while is put right.

        again: what a person does who is asked to close the clutch once more.
        """
        deadline = time.monotonic() + 90.0
        while re.search(rf"{who} +│ active", self.printed) is None:
            assert self.process.poll() is None and time.monotonic() < deadline, self.printed[-3000:]
            if "damped: no joint states" in self.printed:
                self.press(self._reset_key)
            if "close it again" in self.printed:
                again()
            self.printed = self.printed[-3000:]
            time.sleep(0.5)
        self.printed = ""

    def _read(self) -> None:
        try:
            while data := os.read(self._here, 65536):
                self.printed += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace"))
        except OSError:
            pass  # the process has ended


@dataclass
class HeldKey:
    """A key that repeats as a keyboard's does. It is let go for a moment at first, and whenever the robot asks for that."""

    terminal: Terminal
    key: str
    ended: bool = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._repeat)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        self._thread.join()

    def _repeat(self) -> None:
        while not self.ended:
            time.sleep(1.0 if "close it again" in self.terminal.printed else 0.03)
            self.terminal.press(self.key)


@dataclass
class Headset:
    """Streams a slowly moving person at 90 Hz from a thread."""

    port: int
    certificate: Path
    closed: bool = False
    ended: bool = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._stream()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        self._thread.join()

    def close_again(self) -> None:
        if self.closed:
            self.closed = False
            time.sleep(0.5)
            self.closed = True

    async def _stream(self) -> None:
        async with FakeHeadset(self.port, _CODE, str(self.certificate)) as headset:
            began_s, sequence = time.monotonic(), 0
            while not self.ended:
                sequence, at_s = sequence + 1, time.monotonic() - began_s
                with contextlib.suppress(ConnectionError):  # the command has ended before the headset
                    await headset.send(frame(0.3 * at_s, sequence, clutch=float(self.closed), time_s=at_s))
                await asyncio.sleep(max(0.0, began_s + sequence / 90 - time.monotonic()))


@pytest.fixture(scope="module")
def driven(checkpoint: Path, sentence: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: the policy drives, a person takes over by the clutch and by a key, hands back, keeps the episode."""
    folder = tmp_path_factory.mktemp("teleop")
    out, certificates = folder / "out", folder / "certificates"
    options = ["port=0", f"pairing_code={_CODE}", f"certificate_folder={certificates}"]
    words = [
        "--device", "webxr", "--device-options", *options, "--checkpoint", str(checkpoint), "--say", sentence,
        "--seed", "3", "--episodes", "1", "--out", str(out), "--operator-name", "Ada",
        "--clutch-takes-over",
    ]  # fmt: skip
    with Terminal(*words) as terminal:
        port = int(terminal.until(r"operator page: https://[\d.]+:(\d+)/")[1])
        terminal.until("pairing code: as configured")
        with Headset(port, certificates / "certificate.pem") as headset:
            terminal.until("device +│ webxr")
            terminal.until_driven_by("the policy", headset.close_again)
            terminal.press("s")
            terminal.until("recording episode_0001")
            time.sleep(1.0)  # in which the clutch is seen open
            headset.closed = True  # from then on: it takes over once, then the key has to
            for takes_over in ("", "t"):
                terminal.press(takes_over)
                terminal.until_driven_by("the person", headset.close_again)
                time.sleep(1.0)
                terminal.press("p")
                terminal.until_driven_by("the policy", headset.close_again)
            terminal.press("e")
            terminal.until("ended; keep or discard it")
            terminal.press("k")
            assert terminal.process.wait(60) == 0, terminal.printed[-2000:]
    return out


def _messages(bag: Path, *names: str) -> dict[str, list[tuple[int, object]]]:
    decoder = MessageDecoder(bag_topics(bag))
    found: dict[str, list[tuple[int, object]]] = {f"/{name}": [] for name in names}
    for message in read_bag(bag, list(found)):
        found[message.topic].append((message.publish_ns, decoder.decode(message)))
    return {name: found[f"/{name}"] for name in names}


def test_the_episode_is_final_kept_and_says_who_drove_when(driven):
    custom = read_metadata(driven / "episode_0001")["custom_data"]
    assert (custom["end"], custom["operator"], custom["embodiment"]) == ("stopped", "Ada", "gr1")
    states = [state for _, state in _messages(driven / "episode_0001", "command_gate/state")["command_gate/state"]]
    drivers = [state.source for state in states if state.state == _ACTIVE]
    changes = [drivers[0], *(after for before, after in pairwise(drivers) if before != after)]
    assert changes == ["policy", "teleop", "policy", "teleop", "policy"]


def test_no_takeover_and_no_hand_back_breaks_a_limit_and_the_robot_rests_between(driven):
    recorded = _messages(driven / "episode_0001", "joint_trajectory", "command_gate/state")
    given = [message for _, message in recorded["joint_trajectory"]]
    names = given[0].joint_names
    path = np.array([message.points[0].positions for message in given])
    joints = [GR1.joint(name) for name in names]
    step = np.array([joint.max_velocity_rad_s for joint in joints]) / 120
    change = np.array([joint.max_acceleration_rad_s2 for joint in joints]) / 120**2
    assert np.ptp(path, axis=0).max() > 0.02, "the robot did move"
    sent_ns = np.array([sent for sent, _ in recorded["joint_trajectory"]])
    goes_on = np.diff(sent_ns) < _DAMPED_NS  # a damped robot gets no commands, and then begins where it is
    assert (np.abs(np.diff(path, axis=0)) <= step * (1 + 1e-6))[goes_on].all()
    assert (np.abs(np.diff(path, n=2, axis=0)) <= change * (1 + 1e-6))[goes_on[1:] & goes_on[:-1]].all()
    sources = [(sent, state.source) for sent, state in recorded["command_gate/state"]]
    moments = [at for (_, before), (at, after) in pairwise(sources) if before != after]
    assert len(moments) >= 4
    for at_ns in moments:
        after = np.abs(np.diff(path[(sent_ns > at_ns) & (sent_ns < at_ns + 2 * 10**9)], axis=0)).max(axis=1)
        assert after.min() == 0.0


def test_nothing_is_left_running(driven):
    folder = str(driven)
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            assert folder not in words, words


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = [f"port={taken.getsockname()[1]}", f"certificate_folder={tmp_path}"]
        words = ["teleop", "--headless", "--out", str(tmp_path / "out"), "--device-options", *options]
        command = [sys.executable, "-m", "gr00t_bringup.cli", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1 port" in done.stderr
    assert len(done.stderr.splitlines()) == 2  # what is wrong, and where the log is


def test_a_recorded_person_drives_from_the_beginning_in_each_scene_and_their_episodes_are_kept(tmp_path):
    times = np.arange(0, 30, 1 / 60)  # the clutch is open at the beginning alone
    states = [state_at(t, number, clutch=t > 4.0) for number, t in enumerate(times.tolist(), 1)]
    bag, out = write(tmp_path / "person", states), tmp_path / "out"
    words = [
        "--device",
        "replay",
        "--device-options",
        f"bag={bag}",
        "--seed",
        "3",
        "--episodes",
        "2",
        "--out",
        str(out),
    ]
    with Terminal(*words) as terminal:

        def record() -> None:
            terminal.press("s")
            terminal.until(r"recording episode_\d+")

        def record_again() -> None:  # the recorded person closes the clutch at the beginning alone
            terminal.press("d")
            terminal.until("discarded; again")
            record()

        terminal.until("scene 3: ")
        for kept in (1, 2):
            record()
            terminal.until_driven_by("the person", record_again)
            time.sleep(2.0)
            terminal.press("k")
            if kept == 1:
                terminal.until(r"episodes kept +│ 1 of 2")
        assert terminal.process.wait(60) == 0, terminal.printed[-2000:]
    episodes = sorted(out.glob("episode_*"))
    assert len(episodes) == 2
    for episode in episodes:
        recorded = _messages(episode, "operator_state", "joint_trajectory", "command_gate/state")
        path = np.array([message.points[0].positions for _, message in recorded["joint_trajectory"]])
        assert np.ptp(path, axis=0).max() > 0.02, "the robot did move"
        assert "teleop" in {state.source for _, state in recorded["command_gate/state"] if state.state == _ACTIVE}
        people = [message for _, message in recorded["operator_state"]]
        assert [people[0].engaged, people[-1].engaged] == [False, True]


def test_keys_of_the_terminal_drive_while_they_are_held(tmp_path):
    out = tmp_path / "out"
    words = ["--device", "keyboard", "--seed", "3", "--episodes", "1", "--out", str(out)]
    with Terminal(*words, reset_key="R") as terminal:
        terminal.until("scene 3: ")
        with HeldKey(terminal, "r"):  # the hand goes up
            terminal.until_driven_by("the person")
            terminal.press("S")
            terminal.until("recording episode_0001")
            time.sleep(1.5)
        terminal.until("not following|disengaged")  # nobody holds a key
        terminal.press("K")
        assert terminal.process.wait(60) == 0, terminal.printed[-2000:]
    recorded = _messages(out / "episode_0001", "operator_state", "joint_trajectory")
    people = [message for _, message in recorded["operator_state"]]
    assert people[-1].source == "keyboard"
    assert {person.engaged for person in people} == {True, False}
    path = np.array([message.points[0].positions for _, message in recorded["joint_trajectory"]])
    assert np.ptp(path, axis=0).max() > 0.02, "the robot did move"


def test_a_vision_pro_drives_after_the_gesture_of_the_clutch(tmp_path):
    headset = FakeVisionPro()
    options = ["vision_pro_address=127.0.0.1", f"vision_pro_port={headset.port}"]
    words = ["--device", "visionpro", "--device-options", *options, "--out", str(tmp_path / "out")]
    with contextlib.closing(headset), Terminal(*words) as terminal:
        terminal.until("scene 0: ")
        terminal.until("device +│ vision_pro")
        driven = r"the person +│ active"
        for _ in range(6):  # a person does it again when it was not seen
            if "damped: no joint states" in terminal.printed:
                terminal.press("r")
            headset.touches = True
            time.sleep(1.5)
            headset.touches = False
            with contextlib.suppress(AssertionError):
                terminal.until(driven, timeout_s=6.0)
                break
        else:
            raise AssertionError(terminal.printed[-3000:])
        terminal.press("q")
        assert terminal.process.wait(60) == 0, terminal.printed[-2000:]
