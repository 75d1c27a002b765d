# SPDX-License-Identifier: Apache-2.0
"""Recorded time, of real bags whose clock was set while they were written: what was recorded, in order, without the step."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from gr00t_policy.data.bag import BagLayout, BagMessage, BagTopic, BagWriter
from gr00t_policy.data.bag_clock import RecordedTime, recorded_time
from gr00t_policy.data.bag_reading import bag_contents

S = 1_000_000_000
START = 1_700_000_000 * S
FAST, SLOW = (BagTopic(name, "std_msgs/msg/String", "string data\n") for name in ("/fast", "/slow"))
Clock = Callable[[float], float]
"""What the system clock shows [s] so long after the first message."""


def _write(
    folder: Path,
    clock: Clock,
    seconds: float = 2.0,
    *,
    numbered: bool = True,
    own_times: bool = False,
    silent: tuple[float, float] = (0, 0),
    swapped: int = 0,
    layout: BagLayout | None = None,
) -> list[str]:
    """100 Hz and 10 Hz; the data say in which order they were sent. silent: not recorded; swapped: places out of order."""
    listed = sorted([(i / 100, i, FAST) for i in range(round(100 * seconds))]
                    + [(i / 10 + 0.003, i, SLOW) for i in range(round(10 * seconds))], key=lambda one: one[0])  # fmt: skip
    messages = []
    for at_s, number, topic in listed:
        if not silent[0] <= at_s < silent[1]:
            log_ns = START + round(clock(at_s) * S)
            sent_ns = START + round(at_s * S) if own_times else log_ns
            said = f"{topic.name} {number}".encode()
            messages.append(BagMessage(topic.name, said, log_ns, sent_ns, number + 1 if numbered else 0))
    for i in random.Random(1).sample(range(len(messages) - 1), swapped):
        if messages[i].topic != messages[i + 1].topic:
            messages[i], messages[i + 1] = messages[i + 1], messages[i]
    with BagWriter(folder, layout=layout) as bag:
        for topic in (FAST, SLOW):
            bag.add_topic(topic)
        for message in messages:
            bag.write(message)
    return [message.cdr.decode() for message in messages]


def _set(at_s: float, by_s: float) -> Clock:
    return lambda passed_s: passed_s + (by_s if passed_s >= at_s else 0)


def _found(folder: Path) -> RecordedTime:
    return recorded_time(bag_contents(folder))


def _read(recorded: RecordedTime) -> tuple[list[str], list[int]]:
    pairs = list(recorded.messages())
    return [message.cdr.decode() for _, message in pairs], [stretch for stretch, _ in pairs]


def test_a_clock_that_nobody_sets_is_one_stretch(tmp_path):
    said = _write(tmp_path / "bag", lambda passed_s: passed_s)
    recorded = _found(tmp_path / "bag")
    assert _read(recorded) == (said, [0] * len(said))
    assert (recorded.steps, recorded.gaps) == ((), ()) and recorded.duration_ns == bag_contents(
        tmp_path / "bag"
    ).end_ns - START


@pytest.mark.parametrize("layout", [BagLayout(), BagLayout(300, "zstd", split_bytes=2000)], ids=["one file", "files"])
@pytest.mark.parametrize("by_s", [-3600.0, -0.5, -1e8])
def test_set_back_it_is_two_stretches_in_the_order_of_recording(tmp_path, by_s, layout):
    said = _write(tmp_path / "bag", _set(0.7, by_s), layout=layout)
    recorded = _found(tmp_path / "bag")
    order, stretches = _read(recorded)
    assert order == said and stretches == sorted(stretches)
    assert stretches.count(0) == 77 and len(recorded.stretches) == 2
    assert recorded.duration_ns / S == pytest.approx(1.98, abs=0.011), "the step is not part of it"
    assert recorded.steps == (f"0.7 s in: the clock was set back by {-by_s:.1f} s",)


@pytest.mark.parametrize("facts", [{}, {"numbered": False, "own_times": True}], ids=["by numbers", "by sending times"])
def test_set_forward_it_is_two_stretches(tmp_path, facts):
    said = _write(tmp_path / "bag", _set(0.7, 3600), **facts)
    recorded = _found(tmp_path / "bag")
    order, stretches = _read(recorded)
    assert order == said and stretches == [0] * 77 + [1] * (len(said) - 77)
    assert recorded.duration_ns / S == pytest.approx(1.98, abs=0.011)
    assert len(recorded.steps) == 1 and recorded.steps[0].startswith("0.7 s in: the clock was set forward by 3600.0 s")


def test_each_time_that_it_is_set_counts(tmp_path):
    said = _write(tmp_path / "bag", lambda at_s: at_s + 60 * (at_s > 0.55) - 1000 * (at_s > 1.05) + 7 * (at_s > 1.55))
    recorded = _found(tmp_path / "bag")
    assert _read(recorded)[0] == said
    assert len(recorded.stretches) == 4 and len(recorded.steps) == 3
    assert recorded.duration_ns / S == pytest.approx(1.98, abs=0.031)
    number, at_ns = recorded.at(round(1.2 * S))
    assert number == 2 and at_ns == pytest.approx(START + round((1.2 - 940) * S), abs=0.03 * S)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_recording_that_paused_keeps_its_gap(tmp_path, numbered):
    _write(tmp_path / "bag", lambda passed_s: passed_s, 30.0, silent=(1.0, 25.0), numbered=numbered)
    recorded = _found(tmp_path / "bag")
    assert len(recorded.stretches) == 1 and recorded.steps == ()
    assert recorded.gaps == ("1.0 s in: nothing was recorded for 24.0 s",)


def test_a_topic_that_speaks_now_and_then_is_not_a_clock(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(SLOW)
        for number, at_s in enumerate((0, 1, 40, 41, 300)):
            bag.write(BagMessage(SLOW.name, b"word", START + at_s * S, START + at_s * S, number + 1))
    recorded = _found(tmp_path / "bag")
    assert len(recorded.stretches) == 1 and len(recorded.gaps) == 2


def test_messages_a_little_out_of_order_do_not_multiply_a_step(tmp_path):
    """Recorders with several threads write messages of two topics in another order than they came."""
    said = _write(tmp_path / "bag", _set(0.7, -3600), swapped=150)
    recorded = _found(tmp_path / "bag")
    assert len(recorded.stretches) == 2 and _read(recorded)[0] == said
    assert recorded.duration_ns / S == pytest.approx(1.98, abs=0.03)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_file_sorted_by_topic_is_not_taken_for_a_clock(tmp_path, numbered):
    with BagWriter(tmp_path / "bag") as bag:
        for topic in (FAST, SLOW):
            bag.add_topic(topic)
            for i in range(100):
                bag.write(BagMessage(topic.name, b"word", START + i * S // 10, START + i * S // 10, numbered * (i + 1)))
    recorded = _found(tmp_path / "bag")
    assert len(recorded.stretches) == 1 and recorded.steps == ()
    logs = [message.log_ns for _, message in recorded.messages()]
    assert logs == sorted(logs)


def test_a_file_whose_parts_were_exchanged_is_read_by_its_times(tmp_path):
    """The numbers fall with the times: what came later was written first."""
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(FAST)
        for i in [*range(100, 200), *range(100)]:
            bag.write(BagMessage(FAST.name, b"word", START + i * S // 10, START + i * S // 10, i + 1))
    recorded = _found(tmp_path / "bag")
    assert len(recorded.stretches) == 1
    assert [message.sequence for _, message in recorded.messages()] == list(range(1, 201))


def test_an_empty_bag_has_no_time(tmp_path):
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic(FAST)
    recorded = _found(tmp_path / "bag")
    assert recorded.duration_ns == 0 and list(recorded.messages()) == []
