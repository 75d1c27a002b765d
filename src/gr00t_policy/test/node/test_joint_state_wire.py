# SPDX-License-Identifier: Apache-2.0
"""The bytes of joint states against rclpy, which reads the same out of them."""

import time
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState

from gr00t_policy.core.cdr import STAMP, START
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.joint_state_wire import JointStateReader, JointStateWriter
from gr00t_policy.ros.messages import ns_from_stamp

JOINTS = load_embodiment("gr1").joints[:3]
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
OURS = [joint.name for joint in JOINTS]
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def joint_states(draw) -> JointState:
    """Our joints among others, in any order, under any frame; velocities and efforts may be left out."""
    others = draw(st.lists(TEXT.filter(lambda name: name not in OURS), max_size=6, unique=True))
    names = draw(st.permutations([*OURS, *others]))
    numbers = st.lists(NUMBER, min_size=len(names), max_size=len(names))
    message = JointState(name=names, position=array("d", draw(numbers)))
    message.velocity, message.effort = (array("d", draw(st.just([]) | numbers)) for _ in range(2))
    message.header.frame_id = draw(TEXT)
    message.header.stamp.sec, message.header.stamp.nanosec = (
        draw(st.integers(0, 2**31 - 1)),
        draw(st.integers(0, 999_999_999)),
    )
    return message


def assert_read_as_by_rclpy(reader: JointStateReader, data: bytes) -> None:
    message = deserialize_message(data, JointState)
    positions, stamp_ns = reader.read(data)
    given = dict(zip(message.name, message.position, strict=True))
    np.testing.assert_array_equal(positions, [joint.sign * given[joint.name] for joint in JOINTS])
    assert stamp_ns == ns_from_stamp(message.header.stamp)


@settings(max_examples=60, deadline=None)
@given(st.lists(joint_states(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_whatever_comes_in_whatever_turn_is_read_as_rclpy_reads_it(messages: list[JointState], random) -> None:
    reader, datas = JointStateReader(JointOrder(JOINTS)), [serialize_message(message) for message in messages]
    for data in random.choices(datas, k=8):
        assert_read_as_by_rclpy(reader, data)


def message_of(names: list[str], positions: list[float]) -> bytes:
    return serialize_message(JointState(name=names, position=array("d", positions)))


def test_repeated_names_are_not_read_again_but_one_other_letter_is_noticed() -> None:
    reader = JointStateReader(JointOrder(JOINTS))
    reader.read(message_of(OURS, [1.0, 2.0, 3.0]))
    known = reader._names
    reader.read(message_of(OURS, [3.0, 2.0, 1.0]))
    assert reader._names is known
    other = [OURS[0][:-1] + "X", *OURS[1:]]
    with pytest.raises(MessageError, match=f"missing joint.s. {OURS[0]}"):
        reader.read(message_of(other, [1.0, 2.0, 3.0]))
    assert_read_as_by_rclpy(reader, message_of(OURS[::-1], [1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("names", "positions", "why"),
    [
        (OURS, [1.0, 2.0], "3 names but 2 positions"),
        (OURS, [], "3 names but 0 positions"),
        (OURS[:2], [1.0, 2.0], f"missing joint.s. {OURS[2]}"),
        ([*OURS, OURS[0]], [1.0] * 4, f"named twice: {OURS[0]}"),
        (OURS, [1.0, float("nan"), 3.0], f"not finite: {OURS[1]}"),
        ([], [], "missing joint"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_whether_or_not_the_names_are_known(names, positions, why) -> None:
    reader = JointStateReader(JointOrder(JOINTS))
    for _ in range(2):
        with pytest.raises(MessageError, match=why):
            reader.read(message_of(names, positions))


def test_bytes_that_end_too_soon_are_refused_wherever_they_end() -> None:
    whole = serialize_message(
        JointState(
            name=OURS, position=array("d", [1.0, 2.0, 3.0]), velocity=array("d", [1.0]), effort=array("d", [2.0])
        )
    )
    fresh, used = JointStateReader(JointOrder(JOINTS)), JointStateReader(JointOrder(JOINTS))
    used.read(whole)
    for length in range(len(whole)):
        for reader in (fresh, used):
            with pytest.raises(MessageError, match="joint state"):
                reader.read(whole[:length])
    assert_read_as_by_rclpy(fresh, whole)


def test_more_names_than_any_robot_has_are_refused_before_they_are_read() -> None:
    """The thread that reads them may be the one that commands the robot."""
    reader, legs = JointStateReader(JointOrder(JOINTS)), [f"leg {number}" for number in range(6000)]
    began_s = time.thread_time()
    with pytest.raises(MessageError, match="6003 names; expected at most 1000"):
        reader.read(message_of([*legs, *OURS], [0.0] * 6003))
    assert time.thread_time() - began_s < 0.02, "rclpy's writing of the message included"
    assert_read_as_by_rclpy(reader, message_of([*legs[:997], *OURS], [0.0] * 1000))


def test_another_encoding_and_bytes_of_chance_are_refused_and_never_crash() -> None:
    reader, rng = JointStateReader(JointOrder(JOINTS)), np.random.default_rng(0)
    whole = message_of(OURS, [1.0, 2.0, 3.0])
    with pytest.raises(MessageError, match=r"encoding 0000, expected little-endian CDR \(0001\)"):
        reader.read(b"\x00\x00" + whole[2:])
    for _ in range(500):
        broken = bytearray(whole)
        for place in rng.integers(2, len(whole), 4):
            broken[place] = rng.integers(256)
        try:
            positions, _ = reader.read(bytes(broken))
        except MessageError:
            continue
        assert positions.shape == (3,) and np.isfinite(positions).all()


@pytest.mark.parametrize(("seconds", "nanoseconds"), [(2**31 - 1, 2**32 - 1), (5, 10**9), (-1, 0)])
def test_a_stamp_that_is_no_time_is_refused(seconds: int, nanoseconds: int) -> None:
    """Whoever answered it could not write the answer's stamp."""
    damaged = bytearray(message_of(OURS, [1.0, 2.0, 3.0]))
    STAMP.pack_into(damaged, START, seconds, nanoseconds)
    with pytest.raises(MessageError, match=f"joint state: .* a time of {seconds} s and {nanoseconds} ns"):
        JointStateReader(JointOrder(JOINTS)).read(bytes(damaged))


def test_positions_stay_when_the_message_is_gone() -> None:
    data = bytearray(message_of(OURS, [1.0, 2.0, 3.0]))
    positions, _ = JointStateReader(JointOrder(JOINTS)).read(bytes(data))
    assert positions.base is None and positions.flags.writeable and positions.flags.aligned


def test_rclpy_reads_what_is_written() -> None:
    writer = JointStateWriter(JointOrder(JOINTS))
    for number in range(1, 3):
        positions, velocities = number * np.arange(3.0), -number * np.arange(3.0)
        message = deserialize_message(writer.write(positions, velocities, 5_000_000_007 * number), JointState)
        assert message.name == OURS and not message.header.frame_id and not len(message.effort)
        assert ns_from_stamp(message.header.stamp) == 5_000_000_007 * number
        signs = np.array([joint.sign for joint in JOINTS])
        np.testing.assert_array_equal(message.position, signs * positions)
        np.testing.assert_array_equal(message.velocity, signs * velocities)
