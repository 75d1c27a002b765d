# SPDX-License-Identifier: Apache-2.0
"""The command gate tells its states and logs from a thread of its own, at once and in order: the one that ticks only commands."""

import os

os.environ["ROS_DOMAIN_ID"] = "147"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from gr00t_msgs.msg import GateState
from watched_node import EXECUTOR, Watched, running, until

from gr00t_policy.core.cdr import STAMP, START
from gr00t_policy.core.command_wire import CommandWriter
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.joint_state_wire import JointStateWriter
from gr00t_policy.core.types import JointCommand
from gr00t_safety.ros.command_gate_node import CommandGateNode

GR1 = load_embodiment("gr1")
HOME = GR1.positions_by_name(GR1.home)
ALL, POLICY = JointOrder(GR1.joints), JointOrder(GR1.policy_joints)
TARGET = HOME[[GR1.joint_names.index(name) for name in POLICY.names]]
ELBOW = np.array([name == "left_elbow_pitch_joint" for name in POLICY.names], float)
LOOP, TELLER, STATE = "command_gate", "command_gate_teller", "command_gate/state"


class WatchedGate(Watched, CommandGateNode):
    """Fed as by its callbacks."""

    def feed(self, *, command: bool, away_rad: float = 0.0) -> None:
        stamp_ns = time.time_ns()
        self._on_joint_state(JointStateWriter(ALL).write(HOME, 0.0 * HOME, stamp_ns))
        if command:
            given = JointCommand(stamp_ns + 8_333_333, POLICY.names, TARGET + away_rad * ELBOW)
            self._on_command("policy", self.reader, CommandWriter(POLICY).write(given, stamp_ns))
        time.sleep(0.004)

    def _listen_to(self, source: str, reader: object) -> None:
        self.reader = reader
        super()._listen_to(source, reader)

    @property
    def states(self) -> list[int]:
        return [message.state for message in self.told(STATE)]

    def feed_until(self, state: int, *, command: bool) -> None:
        def happened() -> bool:
            self.feed(command=command)
            return self.states[-1:] == [state]

        until(happened)


@pytest.fixture(scope="module")
def gate() -> Iterator[WatchedGate]:
    with running(WatchedGate, {"thread_priority": 0, "healthy_s": 0.1, "joint_state_damp_s": 1.0}) as node:
        yield node


def test_the_thread_that_ticks_commands_and_never_logs_nor_tells_a_state(gate, caplog):
    caplog.set_level(logging.DEBUG)
    gate.feed_until(GateState.ACTIVE, command=True)
    gate.feed_until(GateState.HOLD, command=False)  # found by the loop
    gate.feed_until(GateState.ACTIVE, command=True)
    assert gate.threads("joint_trajectory") == {LOOP}
    assert gate.threads(STATE) == {TELLER}
    assert LOOP not in gate.logged and TELLER in gate.logged
    assert LOOP not in {record.threadName for record in caplog.records}
    assert EXECUTOR not in gate.threads("joint_trajectory")


def test_one_joint_state_with_a_damaged_stamp_is_refused_and_the_loop_goes_on(gate):
    gate.feed_until(GateState.ACTIVE, command=True)
    damaged = bytearray(JointStateWriter(ALL).write(HOME, 0.0 * HOME, time.time_ns()))
    STAMP.pack_into(damaged, START, 2**31 - 1, 2**32 - 1)
    ticks = gate._loop.ticks
    gate._on_joint_state(bytes(damaged))
    until(lambda: gate._loop.failure is not None or gate._loop.ticks > ticks + 2)
    assert gate._loop.failure is None
    with gate._lock:
        report = gate.gate.report(time.monotonic_ns())
    assert report.refused == {**report.refused, "joint_state.unreadable": 1}
    assert "a time of 2147483647 s and 4294967295 ns" in report.joint_state_fault


def test_a_distance_that_goes_on_changing_is_told_with_the_regular_states_and_logged_once(gate):
    gate.feed_until(GateState.HOLD, command=False)
    until(lambda: gate.feed(command=True, away_rad=0.7) or "far from the held pose" in _reasons(gate)[-1])
    told, logged = len(gate.states), gate.logged.count(TELLER)
    for tick in range(200):
        gate.feed(command=True, away_rad=0.7 + 0.0004 * tick)
    assert gate.states[-1] == GateState.HOLD and "'left_elbow_pitch_joint' by 0.7" in _reasons(gate)[-1]
    assert len(gate.states) - told <= 6, "two a second"
    assert gate.logged.count(TELLER) == logged


def test_a_change_is_told_as_soon_as_a_tick_finds_it_and_each_once(gate):
    took_s = []
    for number in range(8):
        with gate._lock:  # what a tick finds, as an age that has passed its bound
            gate.gate.stop(f"reason {number}")
        took_s.append(until(lambda number=number: _waiting(f"reason {number}") in _reasons(gate), 5.0))
        gate.feed(command=False)  # else a reset is refused
        with gate._lock:
            assert gate.gate.reset(time.monotonic_ns())[0]
        until(lambda: gate.states[-1:] == [GateState.HOLD])
    assert sorted(took_s)[4] < 0.05, "a tick, and then nobody waits for a time to look"
    reasons = [reason for reason, _ in itertools.groupby(_reasons(gate)) if reason.startswith("reason")]
    assert reasons == [_waiting(f"reason {number}") for number in range(8)]


def test_states_are_told_in_the_order_in_which_they_were_whoever_tells_them(gate):
    done = threading.Event()

    def tell() -> None:
        while not done.is_set():
            gate._tell_state()
            time.sleep(0.0005)

    threads = [threading.Thread(target=tell) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(40):
        with gate._lock:
            gate.gate.stop(f"stop {number}")
            gate.gate.reset(time.monotonic_ns())
        time.sleep(0.009)
    done.set()
    for thread in threads:
        thread.join()
    stamps = [(message.header.stamp.sec, message.header.stamp.nanosec) for message in gate.told(STATE)]
    assert len(stamps) > 100 and stamps == sorted(stamps)


def test_a_gate_that_goes_down_tells_so_last_and_does_not_hang():
    with running(partial(WatchedGate, namespace="beside"), {"thread_priority": 0}) as node:
        until(lambda: GateState.HOLD in node.states)
        began_s = time.monotonic()
        node.stop()
        assert time.monotonic() - began_s < 3.0
        assert node.states[-1] == GateState.INACTIVE
        assert node._teller is not None and not node._teller._thread.is_alive()


def _reasons(gate: WatchedGate) -> list[str]:
    return [message.reason for message in gate.told(STATE)]


def _waiting(reason: str) -> str:
    return f"{reason}; waits for a reset"
