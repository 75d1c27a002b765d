# SPDX-License-Identifier: Apache-2.0
"""The Vision Pro client against a headset over a real gRPC connection."""

import time

import numpy as np
import pytest
from fake_vision_pro import FakeVisionPro
from made_people import sample

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.config import OperatorConfig
from gr00t_teleop.devices.vision_pro import VisionPro, hello
from gr00t_teleop.devices.vision_pro_messages import HandUpdate, to_array
from gr00t_teleop.types import tracked


class Worn:
    """A headset and the device that listens to it."""

    def __init__(self, **options) -> None:
        self.headset = FakeVisionPro(**options)
        self.states: list = []
        self.device = VisionPro("127.0.0.1", self.headset.port, time.monotonic_ns)
        self.device.start(self.states.append)

    def until(self, happened, timeout_s=8.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            assert time.monotonic() < deadline, (self.device.silence(), self.device.counters())
            time.sleep(0.005)

    def newest(self, wait_for: int = 3):
        """A state of after now."""
        count = len(self.states) + wait_for
        self.until(lambda: len(self.states) >= count)
        return self.states[-1]


@pytest.fixture
def worn(request):
    worn = Worn(**getattr(request, "param", {}))
    yield worn
    worn.device.stop()
    worn.headset.close()


@pytest.mark.parametrize("worn", [{"joints": 25}, {"joints": 27}, {"joints": 40}], indirect=True)
def test_head_wrists_and_joints_arrive_in_our_axes_whatever_the_app_calls_its_wrist(worn):
    state = worn.newest()
    expected = sample(state.stamp_ns / 1e9)  # dated on arrival: a few milliseconds later
    for name in ("head", "left_wrist", "right_wrist"):
        assert np.allclose(getattr(state, name)[:3], getattr(expected, name)[:3], atol=0.02), name
        assert abs(getattr(state, name)[3:] @ getattr(expected, name)[3:]) > 0.999, name
    assert np.allclose(state.left_hand[:, :3], expected.left_hand[:, :3], atol=0.02)
    assert np.allclose(state.right_hand[:, :3], expected.right_hand[:, :3], atol=0.02)
    assert state.source == "vision_pro" and worn.device.silence() == ""


def test_it_says_hello_with_its_address_and_version(worn):
    worn.newest()
    asked = worn.headset.asked[0]
    assert asked[0].tolist() == [888.0, 127.0, 0.0, 0.0] and asked[1, 0] == 1.0 and asked[3, 0] == 25_000.0
    assert np.array_equal(asked, to_array(HandUpdate.FromString(hello("127.0.0.1").SerializeToString()).Head))


def test_a_frozen_wrist_is_a_lost_hand_though_its_fingers_move(worn):
    assert tracked(worn.newest().left_wrist)
    worn.headset.freeze("left")
    worn.until(lambda: not tracked(worn.states[-1].left_wrist), timeout_s=2)
    state = worn.newest()
    assert not tracked(state.left_wrist) and not tracked(state.left_hand).any() and tracked(state.right_wrist)
    worn.headset.freeze()
    worn.until(lambda: tracked(worn.states[-1].left_wrist))


def test_nan_and_leaps_cost_that_hand_only(worn):
    worn.newest()
    worn.headset.broken = {"left"}
    worn.headset.offset_m = 0.5
    worn.until(lambda: not tracked(worn.states[-1].left_wrist))
    assert worn.device.counters()["jump"] > 0
    worn.until(lambda: tracked(worn.states[-1].right_wrist), timeout_s=2)
    assert not tracked(worn.states[-1].left_hand).any() and tracked(worn.states[-1].head)


def test_a_refused_version_is_said_clearly_and_nothing_is_published(worn):
    worn.newest()
    worn.headset.refuses = True
    worn.until(lambda: "refuses this client" in worn.device.silence())
    assert "update Tracking Streamer" in worn.device.silence()
    count = len(worn.states)
    time.sleep(0.2)
    assert len(worn.states) == count and worn.device.counters()["refused"] > 0
    worn.headset.refuses = False
    worn.newest()
    assert worn.device.silence() == ""


def test_messages_that_are_no_pose_are_left_out(worn):
    worn.newest()
    worn.headset.marker = 777.0
    worn.until(lambda: worn.device.counters()["other"] > 5)
    worn.headset.marker = 0.0
    assert tracked(worn.newest().head)


def test_a_headset_that_hangs_up_is_connected_again_as_a_new_epoch(worn):
    worn.newest()
    before = worn.states[-1].sequence
    worn.headset.hangs_up = True
    worn.until(lambda: "connecting again" in worn.device.silence())
    worn.headset.hangs_up = False
    worn.until(lambda: len(worn.headset.asked) >= 2)
    assert worn.newest().sequence > before
    assert worn.device.counters()["connections"] >= 2


def test_a_headset_that_stalls_is_told_and_connected_again(worn):
    worn.newest()
    worn.headset.stalls = True
    worn.until(lambda: "sends nothing" in worn.device.silence(), timeout_s=2)
    worn.until(lambda: "sent nothing for 3 s" in worn.device.silence())
    worn.headset.stalls = False
    worn.newest()


@pytest.mark.parametrize("held_back_s", [0.1, 0.8])
def test_of_a_burst_after_a_pause_nothing_stale_is_published_as_new(worn, held_back_s):
    """Each burst holds 12 or 96 samples; on a busy machine it may stand still for a moment, which ends one too early."""
    worn.newest()
    for _ in range(3):
        worn.headset.holds_back = True
        time.sleep(held_back_s)
        worn.headset.holds_back = False
        worn.newest(wait_for=20)
    states, made = list(worn.states), np.array(worn.headset.made)
    poses = np.array([sample(t).head for t in made])
    taken_s = np.array([made[np.abs(poses - state.head).sum(axis=1).argmin()] for state in states])
    ages_s = np.array([state.stamp_ns for state in states]) / 1e9 - taken_s
    assert (ages_s > 0.06).sum() < 3 + 0.05 * 3 * held_back_s * worn.headset.rate_hz, ages_s[ages_s > 0.06]
    assert np.median(ages_s) < 0.03
    assert worn.device.counters()["overtaken"] > 0.5 * 3 * held_back_s * worn.headset.rate_hz


def test_no_headset_at_the_address_is_said_with_what_to_do_and_stopping_is_quick():
    device = VisionPro("127.0.0.1", 9, time.monotonic_ns)
    device.start(print)
    deadline = time.monotonic() + 8
    while "start Tracking Streamer" not in device.silence():
        assert time.monotonic() < deadline, device.silence()
        time.sleep(0.01)
    begin = time.monotonic()
    device.stop()
    assert time.monotonic() - begin < 2 and not device.is_running


def test_an_empty_address_is_refused():
    with pytest.raises(ConfigError, match="vision_pro_address is empty"):
        OperatorConfig(device="vision_pro")


def test_samples_arrive_within_milliseconds_and_repeated_ones_once(worn, record_property):
    """The fake sends at 120 Hz; the bound leaves room for a busy machine."""
    worn.newest(wait_for=120)
    sent = np.array(worn.headset.sent)
    arrived = np.array([state.stamp_ns / 1e9 for state in worn.states[10:]])
    delays = np.array([at - sent[sent <= at].max() for at in arrived]) * 1e3
    p50, p99 = np.percentile(delays, [50, 99])
    record_property("vision_pro", f"p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    assert p50 < 20
