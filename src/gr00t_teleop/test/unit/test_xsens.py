# SPDX-License-Identifier: Apache-2.0
"""The Xsens device against a streamer over real UDP, and the protocol's datagrams by their laws."""

import socket
import struct
import time

import numpy as np
import pytest
from fake_mvn import FakeMvn, body_segments, datagrams, finger_segments, true_hand
from fake_topics import FakeTopics
from made_people import sample

from gr00t_policy.core.errors import ConfigError
from gr00t_teleop.devices.person_clutch import TopicClutch
from gr00t_teleop.devices.topics import Heard
from gr00t_teleop.devices.xsens import Xsens, XsensOptions
from gr00t_teleop.devices.xsens_datagram import MvnError, SampleAssembly, read_datagram
from gr00t_teleop.types import tracked


class PressedTopics(FakeTopics):
    """A pedal that says 50 times a second what ``pressed`` is."""

    def __init__(self) -> None:
        super().__init__()
        self.pressed = False
        self._said = 0.0

    def take(self, wait_s: float) -> list[Heard]:
        if time.monotonic() - self._said > 0.02:
            self._said = time.monotonic()
            self.put("clutch", type("Bool", (), {"data": self.pressed})(), time.monotonic_ns())
        return super().take(wait_s)


class Suit:
    """A streamer and the device that listens to it."""

    def __init__(self, **options) -> None:
        self.topics, self.states = PressedTopics(), []
        self.device = Xsens(XsensOptions(port=0, **options), self.topics, TopicClutch(self.topics), time.monotonic_ns)
        self.device.start(self.states.append)
        self.mvn = FakeMvn(self.device.port)

    def until(self, happened, timeout_s: float = 6.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not happened():
            assert time.monotonic() < deadline, (self.device.silence(), self.device.counters())
            time.sleep(0.003)

    def newest(self):
        count = len(self.states) + 3
        self.until(lambda: len(self.states) >= count)
        return self.states[-1]

    def wait_for(self, wanted):
        self.until(lambda: self.states and wanted(self.states[-1]))
        return self.states[-1]

    def engage(self) -> None:
        self.wait_for(lambda state: not state.engaged)
        self.topics.pressed = True
        self.wait_for(lambda state: state.engaged)

    def close(self) -> None:
        self.mvn.close()
        self.device.stop()


@pytest.fixture
def suit(request):
    suit = Suit(**getattr(request, "param", {}))
    yield suit
    suit.close()


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("swaps", [False, True])
def test_head_wrists_and_fingers_arrive_in_our_axes_however_a_sample_is_split(suit, parts, swaps):
    suit.mvn.has_gloves, suit.mvn.props, suit.mvn.parts, suit.mvn.swaps = True, 2, parts, swaps
    state = suit.wait_for(lambda state: tracked(state.left_hand).all() and tracked(state.right_hand).all())
    # Its time, but for what the fastest datagram waited: the truth of that millisecond must fit in all parts.
    times = np.arange(0.0, 0.5, 0.001)
    t = min(state.stamp_ns / 1e9 - times, key=lambda t: np.abs(state.head[:3] - sample(t).head[:3]).max())
    truth = sample(t)
    for name in ("head", "left_wrist", "right_wrist"):
        assert np.allclose(getattr(state, name)[:3], getattr(truth, name)[:3], atol=2e-3), name
        assert abs(getattr(state, name)[3:] @ getattr(truth, name)[3:]) > 0.9999, name
    for side, points in (("left", state.left_hand), ("right", state.right_hand)):
        assert np.allclose(points[:, :3], true_hand(side, t)[:, :3], atol=4e-3), side
    assert state.source == "xsens" and suit.device.counters()["incomplete"] <= 1


def test_a_tip_lies_where_its_last_bone_ends():
    """Exactly, without a network: the stream leaves tips out."""
    from gr00t_teleop.devices.xsens_person import hand

    for side in ("left", "right"):
        for t in np.linspace(0.0, 3.0, 20):
            points, truth = hand(body_segments(t), finger_segments(t), side), true_hand(side, t)
            assert np.allclose(points[:, :3], truth[:, :3], atol=1e-9)


def test_a_stream_without_gloves_has_no_fingers(suit):
    state = suit.newest()
    assert tracked(state.left_wrist) and not tracked(state.left_hand).any() and not tracked(state.right_hand).any()


def test_a_frozen_suit_nan_and_leaps_are_lost(suit):
    suit.wait_for(lambda state: tracked(state.left_wrist))
    suit.mvn.frozen_at = time.monotonic()
    suit.wait_for(lambda state: not tracked(state.left_wrist) and not tracked(state.right_wrist))
    suit.mvn.frozen_at = None
    suit.wait_for(lambda state: tracked(state.left_wrist))
    suit.mvn.is_broken = True
    state = suit.wait_for(lambda state: not tracked(state.left_wrist))
    assert tracked(suit.wait_for(lambda state: tracked(state.right_wrist)).right_wrist)
    suit.mvn.is_broken = False
    suit.wait_for(lambda state: tracked(state.left_wrist))
    suit.mvn.offset_m = 0.7
    state = suit.wait_for(lambda state: not tracked(state.right_wrist))
    assert tracked(state.left_wrist) and suit.device.counters()["jump"] > 0
    suit.wait_for(lambda state: tracked(state.right_wrist))


def test_after_silence_or_a_restart_of_mvn_the_clutch_counts_when_it_was_open(suit):
    suit.engage()
    suit.mvn.is_silent = True
    suit.until(lambda: "nothing from MVN" in suit.device.silence())
    suit.mvn.is_silent = False
    for _ in range(5):
        assert not suit.newest().engaged
    suit.topics.pressed = False
    suit.newest()
    suit.engage()
    suit.mvn.counter = 1
    suit.wait_for(lambda state: not state.engaged)
    for _ in range(5):
        assert not suit.newest().engaged
    assert (np.diff([state.sequence for state in suit.states]) > 0).all()


def test_samples_that_a_network_held_up_are_late_and_what_is_cut_off_is_counted(suit):
    suit.wait_for(lambda state: tracked(state.left_wrist))
    suit.mvn.holds_back = True
    time.sleep(0.8)  # longer than a silence that begins an epoch
    suit.mvn.holds_back = False
    suit.until(lambda: suit.device.counters()["late"] > 15)
    suit.newest()
    suit.mvn.parts, suit.mvn.drops_last = 3, True
    suit.until(lambda: suit.device.counters()["incomplete"] > 5)
    suit.mvn.drops_last = False
    suit.newest()


def test_a_clock_that_stands_still_dates_on_arrival(suit):
    suit.mvn.clock_runs = False
    for _ in range(5):
        state = suit.newest()
        assert 0 <= time.monotonic_ns() - state.stamp_ns < 500e6


@pytest.mark.parametrize(
    ("change", "counter", "why"),
    [
        ({"character": 3}, "other_character", "MVN sends character 3, expected 0"),
        ({"kind": b"01"}, "other_type", "tick 'Position + Orientation (Quaternion)'"),
        ({"scale": 100.0}, "no_person", "centimetres"),
        ({"is_y_up": True, "counter": 1}, "no_person", "choose Z-up"),
    ],
    ids=["character", "type", "centimetres", "y-up"],
)
def test_a_stream_that_is_another_is_refused_and_named(suit, change, counter, why):
    suit.newest()
    for name, value in change.items():
        setattr(suit.mvn, name, value)
    suit.until(lambda: why in suit.device.silence())
    count = len(suit.states)
    time.sleep(0.1)
    assert len(suit.states) == count and suit.device.counters()[counter] > 5


def test_other_types_beside_the_poses_are_counted_and_trouble_nobody(suit):
    suit.mvn.extra = [b"MXTP12" + bytes(18) + b"name:Rose\n", b"MXTP25" + bytes(18) + b"12:00:00.000"]
    suit.until(lambda: suit.device.counters()["other_type"] > 10)
    suit.newest()
    assert suit.device.silence() == ""


def test_garbage_never_ends_the_thread(suit):
    suit.newest()
    rng = np.random.default_rng(1)
    (good,) = datagrams(body_segments(0.0), 1, 1)
    for _ in range(300):
        bad = bytearray(good)
        for place in rng.integers(0, 24 if rng.random() < 0.7 else len(bad), 3):
            bad[place] = int(rng.integers(256))
        suit.mvn.extra = [bytes(bad[: int(rng.integers(len(bad) + 1))]), b""]
        time.sleep(0.001)
    suit.mvn.extra = []
    suit.newest()
    assert suit.device.is_running and suit.device.counters()["not_mvn"] > 0


def test_a_second_sender_is_refused_and_may_follow_when_the_first_is_gone(suit):
    suit.engage()
    other = FakeMvn(suit.device.port)
    try:
        suit.until(lambda: "one MVN at a time" in suit.device.silence())
        assert suit.newest().engaged
        suit.mvn.is_silent = True
        suit.wait_for(lambda state: not state.engaged)
        suit.mvn.is_silent = False
        suit.until(lambda: suit.device.counters()["other_sender"] > 100)
        for _ in range(3):
            assert not suit.newest().engaged
    finally:
        other.close()


def test_an_open_port_names_its_sender_and_a_taken_one_is_said():
    with pytest.raises(ConfigError, match="set xsens_sender"):
        XsensOptions(host="0.0.0.0")
    with pytest.raises(ConfigError, match="'localhost:1' is no address"):
        XsensOptions(host="localhost:1")
    XsensOptions(host="0.0.0.0", sender="192.168.1.7")
    topics = FakeTopics()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        device = Xsens(XsensOptions(port=taken.getsockname()[1]), topics, TopicClutch(topics), time.time_ns)
        with pytest.raises(ConfigError, match="Address already in use"):
            device.start(print)
        device.stop()


@pytest.mark.parametrize("suit", [{"sender": "127.0.0.9"}], indirect=True)
def test_a_sender_that_was_not_named_is_refused(suit):
    suit.until(lambda: suit.device.counters()["other_sender"] > 5)
    assert suit.states == [] and "datagrams come from 127.0.0.1" in suit.device.silence()


def test_a_datagram_reads_back_what_it_holds():
    segments = body_segments(1.3)
    parts = [read_datagram(data) for data in datagrams(segments, 7, 1234, parts=3, character=2)]
    assert [part.index for part in parts] == [0, 1, 2] and [part.is_last for part in parts] == [False, False, True]
    assert {(part.sample, part.time_code_ms, part.character) for part in parts} == {(7, 1234, 2)}
    assert np.allclose(np.concatenate([part.poses for part in parts]), segments, atol=1e-6)


def test_any_order_of_parts_makes_the_sample_once_and_counters_wrap():
    rng = np.random.default_rng(2)
    assembly, made = SampleAssembly(), []
    for n in range(2**32 - 20, 2**32 + 20):
        parts = [read_datagram(data) for data in datagrams(body_segments(0.1), n, 1, parts=4)]
        order = [*rng.permutation(4), *rng.integers(0, 4, 2)]  # some come twice
        made += [sample.sample for part in order if (sample := assembly.add(parts[part])) is not None]
    assert made == [n % 2**32 for n in range(2**32 - 20, 2**32 + 20)]
    assert assembly.restarts == 0 and assembly.counts["incomplete"] == 0


def test_a_part_that_was_overtaken_neither_disturbs_the_next_sample_nor_begins_anew():
    assembly = SampleAssembly()
    old, new = ([read_datagram(data) for data in datagrams(body_segments(0.1), n, 1, parts=2)] for n in (500, 501))
    assert [assembly.add(part) is not None for part in (old[0], new[0], old[1], new[1])] == [False, False, False, True]
    assert assembly.restarts == 0 and assembly.counts == {"incomplete": 1, "outrun": 1}
    begun_anew = [read_datagram(data) for data in datagrams(body_segments(0.1), 1, 1, parts=2)]
    assert [assembly.add(part) is not None for part in begun_anew] == [False, True] and assembly.restarts == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:20], "not_mvn"),
        (lambda data: b"VRPN" + data[4:], "not_mvn"),
        (lambda data: data[:4] + b"05" + data[6:], "other_type"),
        (lambda data: data[:-1], "wrong_length"),
        (lambda data: data + bytes(32), "wrong_length"),
        (lambda data: data[:22] + struct.pack(">H", 99) + data[24:], "wrong_length"),
        (lambda data: data[:17] + bytes([22]) + data[18:], "wrong_segments"),
    ],
)
def test_what_a_datagram_must_not_be_has_a_reason(change, reason):
    (data,) = datagrams(body_segments(0.0), 1, 1)
    with pytest.raises(MvnError) as caught:
        read_datagram(change(data))
    assert caught.value.reason == reason
