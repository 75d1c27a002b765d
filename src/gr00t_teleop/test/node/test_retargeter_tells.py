# SPDX-License-Identifier: Apache-2.0
"""The retargeter tells its states and logs from a thread of its own, at once: the one that ticks only computes and commands."""

import os

os.environ["ROS_DOMAIN_ID"] = "183"
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import logging
import time

from gr00t_msgs.msg import TeleopState
from watched_node import Watched, running, until

from gr00t_teleop.ros.retargeter_node import RetargeterNode

LOOP, TELLER, STATE = "retargeter", "retargeter_teller", "teleop/state"


class WatchedRetargeter(Watched, RetargeterNode):
    """Remembers who told what."""


def test_the_thread_that_ticks_never_logs_nor_tells_a_state_and_changes_are_told_at_once(caplog):
    caplog.set_level(logging.DEBUG)
    with running(WatchedRetargeter, {"thread_priority": 0}) as node:
        until(lambda: node._loop.ticks > 5)
        took_s = []
        for number in range(8):
            with node._lock:  # what a tick finds, as a device that has fallen silent
                node.retargeter.stop(f"reason {'abcdefgh'[number]}")
            told = lambda number=number: f"reason {'abcdefgh'[number]}" in [m.reason for m in node.told(STATE)]  # noqa: E731
            took_s.append(until(told, 5.0))
        assert sorted(took_s)[4] < 0.05
        before = len(node.told(STATE))
        for milliseconds in range(20):  # one that only counts on is no news
            with node._lock:
                node.retargeter.stop(f"silent for {milliseconds} ms")
            time.sleep(0.01)
        assert len(node.told(STATE)) - before <= 4
        node.stop()
        assert node.told(STATE)[-1].state == TeleopState.INACTIVE
        assert not node._teller._thread.is_alive()
    assert node.threads(STATE) == {TELLER}
    assert LOOP not in node.logged and TELLER in node.logged
    assert LOOP not in {record.threadName for record in caplog.records}
