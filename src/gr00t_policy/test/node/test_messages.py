# SPDX-License-Identifier: Apache-2.0
"""Core types and messages: round trips, signs, names in any order, and what is refused."""

import numpy as np
import pytest
from gr00t_msgs.msg import ConditioningTokens as ConditioningTokensMsg
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

from gr00t_policy.core.command_wire import CommandWriter
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.joint_state_wire import JointStateReader
from gr00t_policy.core.picture_message import image_to_rgb
from gr00t_policy.core.slots import joint_slots
from gr00t_policy.core.types import ActionChunk, ConditioningTokens, JointCommand
from gr00t_policy.data.key_statistics import KeyStatistics
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.data.transforms import StateActionTransform
from gr00t_policy.ros import messages
from gr00t_policy.ros.testing import joint_state_message

GR1 = load_embodiment("gr1")
ORDER = JointOrder(GR1.policy_joints)
J = len(ORDER.names)


def as_read(message: JointState, robot=GR1) -> np.ndarray:
    positions, _ = JointStateReader(JointOrder(robot.policy_joints)).read(serialize_message(message))
    return positions


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_a_stamp_survives_the_way_through_a_message(stamp_ns):
    assert messages.ns_from_stamp(messages.stamp_from_ns(stamp_ns)) == stamp_ns


@settings(deadline=None, max_examples=25)
@given(st.permutations(list(range(J))), st.integers(0, 2**32 - 1))
def test_joint_positions_do_not_depend_on_the_order_of_names(permutation, seed):
    positions = np.random.default_rng(seed).normal(size=J)
    message = joint_state_message(ORDER, positions, stamp_ns=5)
    shuffled = JointState(
        name=[message.name[i] for i in permutation], position=[message.position[i] for i in permutation]
    )
    read = as_read(shuffled)
    np.testing.assert_array_equal(read, positions)


def test_closing_a_finger_is_negative_in_the_message_where_the_urdf_says_so():
    positions = np.ones(J)
    message = joint_state_message(ORDER, positions, stamp_ns=0)
    values = dict(zip(message.name, message.position, strict=True))
    assert values["L_index_proximal_joint"] == -1.0
    assert values["left_elbow_pitch_joint"] == 1.0


def test_joints_of_a_bigger_robot_are_ignored():
    message = joint_state_message(JointOrder(GR1.joints), np.arange(32.0), stamp_ns=0)
    read = as_read(message)
    expected = [GR1.joint_names.index(name) for name in ORDER.names]
    np.testing.assert_array_equal(read, np.array(expected, float))


def test_joints_that_were_right_once_are_checked_again_when_they_change():
    order = JointOrder(GR1.policy_joints)
    more = (*order.names, "head_yaw_joint")
    order.positions(more, np.zeros(J + 1), "joint state")
    with pytest.raises(MessageError, match="unknown joint.*head_yaw_joint"):
        order.exactly(more, "joint trajectory")
    order.exactly(order.names, "joint trajectory")
    order.exactly(order.names[::-1], "joint trajectory")
    np.testing.assert_array_equal(
        order.positions(order.names[::-1], np.arange(J), "command"), order.to_ros(np.arange(J)[::-1])
    )
    for wrong in (order.names[1:], (*order.names[1:], order.names[1]), (*order.names[1:], "no_joint")):
        with pytest.raises(MessageError, match="missing joint|named twice|unknown joint"):
            order.exactly(wrong, "joint trajectory")
        order.exactly(order.names, "joint trajectory")


@pytest.mark.parametrize("config", ["gr1_arms_only", "gr1_arms_waist", "gr1_full_upper_body"])
def test_a_joint_moved_alone_keeps_its_own_slot_through_the_messages_in_and_out(config):
    """joint_states -> state numbers, action numbers -> joint_trajectory, joint by joint, by the names in the messages alone."""
    robot = load_embodiment(config)
    unit = {
        group: KeyStatistics(-one, one, 0 * one, one, -one, one)
        for group, part in robot.policy_slices.items()
        for one in (np.ones(part.stop - part.start),)
    }
    transform = StateActionTransform(robot, Statistics(robot.tag, unit, unit), 64, 32)
    order = JointOrder(robot.policy_joints)
    whole = JointOrder(robot.joints)  # in the order of the robot's file, and with joints that the policy does not move
    rest = np.zeros(len(robot.joints))
    still = transform.encode_state(as_read(joint_state_message(whole, rest), robot))
    for slots in joint_slots(robot):
        moved = rest + 0.05 * (np.array(whole.names) == slots.joint.name)
        state = transform.encode_state(as_read(joint_state_message(whole, moved), robot))
        assert np.flatnonzero(state[0] != still[0]).tolist() == sorted(slots.state), slots.joint.name
        (place,) = slots.action
        numbers = np.zeros((2, 32))
        numbers[1, place] = 0.5
        before, after = (
            deserialize_message(CommandWriter(order).write(JointCommand(1, order.names, row), 0), JointTrajectory)
            for row in transform.decode_actions(numbers)
        )
        changed = np.array(before.points[0].positions) != np.array(after.points[0].positions)
        assert [name for name, other in zip(after.joint_names, changed, strict=True) if other] == [slots.joint.name]


def test_missing_repeated_and_not_finite_joints_are_named():
    good = joint_state_message(ORDER, np.zeros(J), stamp_ns=0)
    with pytest.raises(MessageError, match="missing joint.*left_shoulder_pitch_joint"):
        as_read(JointState(name=good.name[1:], position=good.position[1:]))
    with pytest.raises(MessageError, match="named twice: left_shoulder_pitch_joint"):
        twice = [*good.name, "left_shoulder_pitch_joint"]
        as_read(JointState(name=twice, position=[*good.position, 0.0]))
    with pytest.raises(MessageError, match="not finite: left_shoulder_roll_joint=nan"):
        bad = np.zeros(J)
        bad[1] = np.nan
        as_read(joint_state_message(ORDER, bad))
    with pytest.raises(MessageError, match="29 names but 3 positions"):
        as_read(JointState(name=good.name, position=[0.0] * 3))


@pytest.mark.parametrize("dtype", [ConditioningTokensMsg.DTYPE_FLOAT32, ConditioningTokensMsg.DTYPE_BFLOAT16])
def test_tokens_survive_the_way_through_a_message(dtype):
    features = np.random.default_rng(0).integers(-8, 8, (42, 256)).astype(np.float32) / 4
    tokens = ConditioningTokens(
        features, np.arange(42) < 30, 123456789012, 7, "pick up the can", 3, "abc", "gr1",
        {"preprocess": 0.5, "encode": 0.25, "wait": 0.125},
    )  # fmt: skip
    message = over_the_wire(messages.tokens_to_message(tokens, dtype, "head"))
    read = messages.tokens_from_message(message)
    np.testing.assert_array_equal(read.features, features)
    np.testing.assert_array_equal(read.mask, tokens.mask)
    for name in ("stamp_ns", "sequence", "instruction", "instruction_id", "checkpoint_hash", "embodiment", "stage_s"):
        assert getattr(read, name) == getattr(tokens, name)


def test_tokens_with_nan_are_refused_on_both_sides():
    tokens = ConditioningTokens(np.zeros((4, 8), np.float32), np.ones(4, bool), 0)
    message = messages.tokens_to_message(tokens, 1, "head")
    broken = np.zeros((4, 8), np.float32)
    broken[2, 3] = np.nan
    message.data = broken.tobytes()
    with pytest.raises(MessageError, match="not finite"):
        messages.tokens_from_message(message)
    with pytest.raises(MessageError, match="not finite"):
        messages.tokens_to_message(ConditioningTokens(broken, tokens.mask, 0), 1, "head")


def test_a_chunk_survives_the_way_through_a_message():
    positions = np.random.default_rng(1).normal(size=(16, J))
    chunk = ActionChunk(10**18, 0.05, ORDER.names, positions, 5, 4, 3, 2, 2**63, 0.25)
    read = messages.chunk_from_message(over_the_wire(messages.chunk_to_message(chunk, ORDER)), ORDER)
    np.testing.assert_array_equal(read.positions, positions)
    assert all(getattr(read, name) == getattr(chunk, name) for name in vars(chunk) if name != "positions")


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_an_image_is_rgb_whatever_its_channel_order_and_row_padding(encoding, padding):
    rgb = np.random.default_rng(2).integers(0, 256, (6, 4, 3), np.uint8)
    pixels = rgb[:, :, ::-1] if encoding.startswith("bgr") else rgb
    if "a" in encoding:
        pixels = np.concatenate([pixels, np.full((6, 4, 1), 9, np.uint8)], axis=2)
    rows = np.pad(pixels.reshape(6, -1), ((0, 0), (0, padding)))
    message = Image(height=6, width=4, encoding=encoding, step=rows.shape[1], data=rows.tobytes())
    np.testing.assert_array_equal(image_to_rgb(message), rgb)


def test_an_image_survives_the_way_through_a_message():
    rgb = np.random.default_rng(3).integers(0, 256, (8, 10, 3), np.uint8)
    message = over_the_wire(messages.rgb_to_image(rgb, 77, "camera"))
    np.testing.assert_array_equal(image_to_rgb(message), rgb)
    assert messages.ns_from_stamp(message.header.stamp) == 77


def test_images_of_wrong_size_or_encoding_are_refused():
    message = messages.rgb_to_image(np.zeros((4, 4, 3), np.uint8), 0, "camera")
    message.data = message.data[:-1]
    with pytest.raises(MessageError, match="needs 48 bytes, got 47"):
        image_to_rgb(message)
    with pytest.raises(MessageError, match="encoding '16UC1' is not supported"):
        image_to_rgb(Image(height=1, width=1, encoding="16UC1", step=2, data=b"\0\0"))
    with pytest.raises(MessageError):
        image_to_rgb(Image(encoding="rgb8"))
