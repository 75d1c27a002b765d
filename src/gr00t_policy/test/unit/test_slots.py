# SPDX-License-Identifier: Apache-2.0
"""Which number of the network is which joint of the robot: a permutation or a sign gone wrong shows here, joint by joint.

The lists below are written down a second time on purpose, from the published joint order of the GR-1, not from the files.
"""

import numpy as np
import pytest
from sample_data import small_robot

from gr00t_policy.core.embodiment import Embodiment, load_embodiment
from gr00t_policy.core.encoding import GroupEncoding
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.core.slots import joint_slots
from gr00t_policy.data.key_statistics import KeyStatistics
from gr00t_policy.data.statistics import Statistics
from gr00t_policy.data.transforms import StateActionTransform


def _arm(side: str) -> list[str]:
    parts = ("shoulder_pitch", "shoulder_roll", "shoulder_yaw", "elbow_pitch", "wrist_yaw", "wrist_roll", "wrist_pitch")
    return [f"{side}_{part}_joint" for part in parts]


def _hand(side: str) -> list[str]:
    parts = ("pinky_proximal", "ring_proximal", "middle_proximal", "index_proximal", "thumb_proximal_yaw")
    return [f"{side}_{part}_joint" for part in (*parts, "thumb_proximal_pitch")]


ARMS_AND_HANDS = [_arm("left"), _arm("right"), _hand("L"), _hand("R")]
WAIST = ["waist_yaw_joint", "waist_pitch_joint", "waist_roll_joint"]
NECK = ["head_roll_joint", "head_pitch_joint", "head_yaw_joint"]
GROUPS = {
    "gr1": [*ARMS_AND_HANDS, WAIST],
    "gr1_arms_only": ARMS_AND_HANDS,
    "gr1_arms_waist": [*ARMS_AND_HANDS, WAIST],
    "gr1_full_upper_body": [*ARMS_AND_HANDS, WAIST, NECK],
}
# Joints whose URDF angle is negative when the hand closes; the network's is positive.
TURNED = {name for side in "LR" for name in _hand(side)[:5]}
CONFIGS = list(GROUPS)
JOINTS = [(config, name) for config in CONFIGS for group in GROUPS[config] for name in group]


def transform_of(config: str) -> StateActionTransform:
    """With statistics that differ from joint to joint and from state to action."""
    robot, rng = load_embodiment(config), np.random.default_rng(5)

    def one(width: int) -> KeyStatistics:
        low = rng.uniform(-2, -1, width)
        high = rng.uniform(1, 2, width)
        return KeyStatistics(low, high, (low + high) / 2, high - low, low, high)

    sides = [{group: one(part.stop - part.start) for group, part in robot.policy_slices.items()} for _ in range(2)]
    return StateActionTransform(robot, Statistics(robot.tag, *sides), state_dim=64, action_dim=32)


TRANSFORMS = {config: transform_of(config) for config in CONFIGS}


def from_ros(robot: Embodiment, angles: dict[str, float]) -> np.ndarray:
    """URDF angles by name, as a message of the whole robot gives them in an order of its own -> policy vector."""
    message = {"left_knee_pitch_joint": 9.0, **angles, "R_thumb_distal_joint": -9.0}
    names = sorted(message, key=lambda name: name[::-1])
    assert names != sorted(names)
    return JointOrder(robot.policy_joints).positions(names, [message[name] for name in names], "joint state")


def to_ros(robot: Embodiment, positions: np.ndarray) -> dict[str, float]:
    """Policy vector -> URDF angles by name, as a message carries them."""
    order = JointOrder(robot.policy_joints)
    return dict(zip(order.names, order.to_ros(positions).tolist(), strict=True))


def state_slots(config: str, name: str) -> list[int]:
    """Where a joint's state lies: sine and cosine per group, or one number."""
    start = 0
    for group in GROUPS[config]:
        if name in group:
            place = start + group.index(name)
            return [place] if config == "gr1_full_upper_body" else [place, place + len(group)]
        start += len(group) * (1 if config == "gr1_full_upper_body" else 2)
    raise AssertionError(name)


def action_slot(config: str, name: str) -> int:
    return [joint for group in GROUPS[config] for joint in group].index(name)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_joints_stand_in_the_published_order(config):
    robot = load_embodiment(config)
    assert list(robot.policy_joint_names) == [name for group in GROUPS[config] for name in group]
    assert {joint.name for joint in robot.joints if joint.sign < 0} == TURNED
    widths = {"gr1_arms_only": (52, 26), "gr1_full_upper_body": (32, 32)}.get(config, (58, 29))
    assert (robot.encoded_width("state"), robot.encoded_width("action")) == widths


@pytest.mark.parametrize(("config", "name"), JOINTS)
def test_a_joint_moved_alone_moves_its_own_state_numbers_alone(config, name):
    transform, rng = TRANSFORMS[config], np.random.default_rng(1)
    robot = transform.embodiment
    before = {joint: rng.uniform(-0.5, 0.5) for joint in robot.policy_joint_names}
    after = {**before, name: before[name] + 0.3}
    first, second = (transform.encode_state(from_ros(robot, angles))[0] for angles in (before, after))
    assert np.flatnonzero(first != second).tolist() == sorted(state_slots(config, name))
    angle = after[name] * (-1 if name in TURNED else 1)
    if config != "gr1_full_upper_body":
        assert second[state_slots(config, name)] == pytest.approx([np.sin(angle), np.cos(angle)], abs=1e-6)
    else:
        place = action_slot(config, name)
        low = np.concatenate([key.min for key in transform.statistics.state.values()])[place]
        high = np.concatenate([key.max for key in transform.statistics.state.values()])[place]
        assert second[place] == pytest.approx(2 * (angle - low) / (high - low) - 1, abs=1e-6)


@pytest.mark.parametrize(("config", "name"), JOINTS)
def test_an_action_number_changed_alone_moves_its_own_joint_alone(config, name):
    transform, place = TRANSFORMS[config], action_slot(config, name)
    robot = transform.embodiment
    numbers = np.random.default_rng(2).uniform(-0.9, 0.9, (16, 32))
    changed = numbers.copy()
    changed[3, place] += 0.5
    before, after = (to_ros(robot, transform.decode_actions(one)[3]) for one in (numbers, changed))
    assert [joint for joint in before if before[joint] != after[joint]] == [name]
    low = np.concatenate([key.min for key in transform.statistics.action.values()])[place]
    high = np.concatenate([key.max for key in transform.statistics.action.values()])[place]
    angle = (changed[3, place] + 1) / 2 * (high - low) + low
    assert after[name] == pytest.approx(-angle if name in TURNED else angle)


@pytest.mark.parametrize(("config", "name"), JOINTS)
def test_a_joint_commanded_alone_is_learned_in_its_own_action_number_alone(config, name):
    transform = TRANSFORMS[config]
    robot = transform.embodiment
    before = dict.fromkeys(robot.policy_joint_names, 0.1)
    after = {**before, name: 0.4}
    first, second = (transform.encode_actions(from_ros(robot, angles)) for angles in (before, after))
    assert np.flatnonzero(first != second).tolist() == [action_slot(config, name)]
    assert to_ros(robot, transform.decode_actions(second)) == pytest.approx(after, abs=1e-6)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_table_of_slots_says_the_same(config):
    for slots in joint_slots(load_embodiment(config)):
        assert sorted(slots.state) == sorted(state_slots(config, slots.joint.name))
        assert slots.action == (action_slot(config, slots.joint.name),)


def test_the_table_of_slots_of_a_robot_with_a_rotation_is_what_its_transform_does():
    robot = small_robot(
        {"arm": 2, "wrist": 3, "gripper": 1},
        state_encodings={"wrist": GroupEncoding("none", "axis_angle", "rotation_6d"), "gripper": GroupEncoding("q99")},
        action_encodings={"wrist": GroupEncoding("none", "axis_angle", "quaternion")},
    )
    widths = {group: part.stop - part.start for group, part in robot.policy_slices.items()}
    unit = {
        name: KeyStatistics([-1.0] * n, [1.0] * n, [0.0] * n, [1.0] * n, [-1.0] * n, [1.0] * n)
        for name, n in widths.items()
    }
    transform = StateActionTransform(robot, Statistics("small", unit, unit), 64, 32)
    state = np.array([0.3, -0.2, 0.1, 0.2, 0.3, 0.4])
    for index, slots in enumerate(joint_slots(robot)):
        moved = state + 0.1 * (np.arange(6) == index)
        assert np.flatnonzero(transform.encode_state(moved) != transform.encode_state(state)).tolist() == list(
            slots.state
        )
        changed = transform.encode_actions(moved) != transform.encode_actions(state)
        assert np.flatnonzero(changed).tolist() == list(slots.action)
