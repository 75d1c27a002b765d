# SPDX-License-Identifier: Apache-2.0
"""The bytes of joint commands against rclpy, which reads and writes the same."""

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from gr00t_policy.core.cdr import STAMP, START
from gr00t_policy.core.command_wire import CommandReader, CommandWriter
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.types import JointCommand
from gr00t_policy.ros.testing import command_message

GR1 = load_embodiment("gr1")
ORDER = JointOrder(GR1.policy_joints)
J = len(ORDER.names)


def reader() -> CommandReader:
    return CommandReader(lambda names: JointOrder(GR1.policy_joints))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31 * 10**9 - 10**10), st.integers(-1, 10**10), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read_back_and_rclpy_reads_the_same(from_ns: int, later_ns: int, seed: int) -> None:
    command = JointCommand(from_ns + later_ns, ORDER.names, np.random.default_rng(seed).normal(size=J))
    data = CommandWriter(ORDER).write(command, from_ns)
    assert deserialize_message(data, JointTrajectory) == command_message(command, ORDER, from_ns)
    read, answers_ns = reader().read(data)
    assert (read.stamp_ns, answers_ns) == (from_ns + max(later_ns, 0), from_ns)
    np.testing.assert_array_equal(read.positions, command.positions)


def test_one_writer_writes_one_command_after_the_other_and_keeps_none() -> None:
    writer, commands = CommandWriter(ORDER), [JointCommand(at, ORDER.names, np.full(J, at)) for at in (1, 2)]
    first, second = [writer.write(command, 0) for command in commands]
    assert first != second and first == CommandWriter(ORDER).write(commands[0], 0)


def test_a_closing_finger_is_negative_in_the_message_where_the_urdf_says_so() -> None:
    message = deserialize_message(
        CommandWriter(ORDER).write(JointCommand(0, ORDER.names, np.ones(J)), 0), JointTrajectory
    )
    values = dict(zip(message.joint_names, message.points[0].positions, strict=True))
    assert (values["L_index_proximal_joint"], values["left_elbow_pitch_joint"]) == (-1.0, 1.0)


def others_command(names: list[str], positions: list[float], **more: list[float]) -> JointTrajectory:
    """As some other node would send it."""
    numbers = {key: array("d", values) for key, values in {"positions": positions, **more}.items()}
    message = JointTrajectory(joint_names=names, points=[JointTrajectoryPoint(**numbers)])
    message.header.frame_id = "a frame"
    return message


def test_names_in_another_turn_and_fields_that_do_not_count_change_nothing() -> None:
    backwards = list(ORDER.names[::-1])
    message = others_command(backwards, list(range(J)), velocities=[1.0] * J, accelerations=[2.0], effort=[3.0] * 2)
    message.points[0].time_from_start.sec = 3
    mixed = reader()
    for _ in range(2):
        read, _ = mixed.read(serialize_message(message))
        np.testing.assert_array_equal(read.positions, ORDER.to_ros(np.arange(J)[::-1]))
        assert read.stamp_ns == 3_000_000_000
        mixed.read(CommandWriter(ORDER).write(JointCommand(0, ORDER.names, np.zeros(J)), 0))


def test_joints_beside_those_that_are_asked_for_are_ignored_where_that_is_wanted() -> None:
    every = JointOrder(GR1.joints)
    data = CommandWriter(every).write(JointCommand(9, every.names, np.arange(float(len(every.names)))), 5)
    some = CommandReader(lambda names: JointOrder(GR1.policy_joints), others=True)
    for _ in range(2):
        command, answers_ns = some.read(data)
        assert (command.joint_names, command.stamp_ns, answers_ns) == (ORDER.names, 9, 5)
        np.testing.assert_array_equal(command.positions, [every.names.index(name) for name in ORDER.names])
    with pytest.raises(MessageError, match="unknown joint"):
        reader().read(data)
    with pytest.raises(MessageError, match=f"missing joint.*{ORDER.names[0]}"):
        some.read(serialize_message(others_command(list(ORDER.names[1:]), [0.0] * (J - 1))))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (others_command(["elbow", *ORDER.names[1:]], [0.0] * J), "unknown joint.*elbow"),
        (others_command(list(ORDER.names[1:]), [0.0] * (J - 1)), f"missing joint.*{ORDER.names[0]}"),
        (others_command([*ORDER.names, ORDER.names[0]], [0.0] * (J + 1)), "named twice"),
        (others_command(list(ORDER.names), [0.0] * 3), f"{J} names but 3 positions"),
        (others_command(list(ORDER.names), [float("inf")] + [0.0] * (J - 1)), f"not finite: {ORDER.names[0]}"),
        (JointTrajectory(joint_names=list(ORDER.names)), "expected one point, got 0"),
        (
            JointTrajectory(joint_names=list(ORDER.names), points=[JointTrajectoryPoint(), JointTrajectoryPoint()]),
            "expected one point, got 2",
        ),
    ],
)
def test_what_is_no_command_for_these_joints_is_refused_each_time(message: JointTrajectory, why: str) -> None:
    used = reader()
    for _ in range(2):
        with pytest.raises(MessageError, match=why):
            used.read(serialize_message(message))


def test_a_stamp_that_is_no_time_is_refused_and_a_point_in_the_past_is_for_the_gate_to_judge() -> None:
    whole = CommandWriter(ORDER).write(JointCommand(9, ORDER.names, np.zeros(J)), 5)
    reach = len(whole) - STAMP.size
    for place, seconds, nanoseconds in [(START, 1, 2**32 - 1), (START, -1, 0), (reach, 1, 10**9)]:
        damaged = bytearray(whole)
        STAMP.pack_into(damaged, place, seconds, nanoseconds)
        with pytest.raises(MessageError, match=f"joint trajectory: .* a time of {seconds} s and {nanoseconds} ns"):
            reader().read(bytes(damaged))
    past = bytearray(whole)
    STAMP.pack_into(past, reach, -1, 0)
    command, answers_ns = reader().read(bytes(past))
    assert command.stamp_ns - answers_ns == -1_000_000_000


def test_bytes_that_end_too_soon_and_bytes_of_chance_are_refused_and_never_crash() -> None:
    whole = CommandWriter(ORDER).write(JointCommand(9, ORDER.names, np.zeros(J)), 5)
    used, rng = reader(), np.random.default_rng(0)
    used.read(whole)
    for length in range(0, len(whole), 7):
        for each in (used, reader()):
            with pytest.raises(MessageError, match="joint trajectory"):
                each.read(whole[:length])
    for _ in range(500):
        broken = bytearray(whole)
        for place in rng.integers(2, len(whole), 4):
            broken[place] = rng.integers(256)
        try:
            command, _ = used.read(bytes(broken))
        except MessageError:
            continue
        assert command.positions.shape == (J,) and np.isfinite(command.positions).all()
    used.read(whole)
