# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the arms: signs and order of the joint table, Jacobians against finite differences, names that are not there."""

from dataclasses import replace

import numpy as np
import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import EmbodimentError
from gr00t_teleop.retargeting.pose import rotation_from_vector, rotation_vector
from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.retargeting.self_collision import SelfCollision

GR1 = load_embodiment("gr1")
ARMS = tuple(joint.name for joint in GR1.joints if joint.group in ("left_arm", "right_arm", "waist"))


@pytest.fixture(scope="module")
def model() -> RobotModel:
    return RobotModel(GR1, ARMS)


def random_pose(rng: np.random.Generator) -> np.ndarray:
    joints = [GR1.joint(name) for name in ARMS]
    return rng.uniform([joint.lower_rad for joint in joints], [joint.upper_rad for joint in joints])


def test_a_jacobian_is_what_finite_differences_say(model: RobotModel) -> None:
    rng, frame, small = np.random.default_rng(0), model.frame("left_end_effector_link"), 1e-6
    for _ in range(20):
        pose = random_pose(rng)
        model.update_with_jacobians(pose)
        _, jacobian = model.pose_and_jacobian(frame)
        for column in range(len(ARMS)):
            nudge = np.zeros(len(ARMS))
            nudge[column] = small
            model.update(pose + nudge)
            after = model.pose(frame)
            model.update(pose - nudge)
            before = model.pose(frame)
            moved = (after.position - before.position) / (2 * small)
            turned = rotation_vector(after.rotation @ before.rotation.T) / (2 * small)
            np.testing.assert_allclose(jacobian[:, column], [*moved, *turned], atol=1e-6)


def test_placements_of_joints_follow_every_update(model: RobotModel) -> None:
    """Otherwise parts of the robot would be kept apart where they once were."""
    rng = np.random.default_rng(3)
    link = "left_end_effector_link"
    joint, turned, away = model.attachment(link)
    (rotation,), (origin,) = model.joint_placements([joint])
    for update in (model.update, model.update_with_jacobians) * 3:
        update(random_pose(rng))
        pose = model.pose(model.frame(link))
        np.testing.assert_allclose(rotation @ turned, pose.rotation, atol=1e-12)
        np.testing.assert_allclose(rotation @ away + origin, pose.position, atol=1e-12)


def test_gradients_of_the_gaps_are_what_finite_differences_say(model: RobotModel) -> None:
    rng, collision, small = np.random.default_rng(1), SelfCollision(model), 1e-6
    for _ in range(5):
        pose = 0.4 * random_pose(rng)
        model.update_with_jacobians(pose)
        near = collision.nearest(collision.gaps(), 24, 0.3)
        assert len(near.gaps) > 3
        which = np.argsort(collision.gaps().gaps)[: len(near.gaps)]
        for column in range(len(ARMS)):
            nudge = np.zeros(len(ARMS))
            nudge[column] = small
            model.update(pose + nudge)
            after = collision.gaps().gaps[which]
            model.update(pose - nudge)
            before = collision.gaps().gaps[which]
            np.testing.assert_allclose(near.gradients[:, column], (after - before) / (2 * small), atol=1e-5)


def test_a_mirrored_pose_puts_the_right_wrist_where_the_left_one_was(model: RobotModel) -> None:
    rng = np.random.default_rng(2)
    mirrored = np.array([-1.0 if part in ("roll", "yaw") else 1.0 for part in (name.split("_")[-2] for name in ARMS)])
    half = len([name for name in ARMS if name.startswith("left")])
    for _ in range(10):
        pose = random_pose(rng)
        pose[2 * half :] = 0.0
        model.update(pose)
        left = model.pose(model.frame("left_end_effector_link")).position
        swapped = mirrored * np.concatenate([pose[half : 2 * half], pose[:half], pose[2 * half :]])
        model.update(swapped)
        right = model.pose(model.frame("right_end_effector_link")).position
        np.testing.assert_allclose(right, left * [1, -1, 1], atol=1e-3)  # the description itself is not quite even


def test_the_order_in_which_joints_are_named_does_not_matter(model: RobotModel) -> None:
    rng = np.random.default_rng(3)
    order = rng.permutation(len(ARMS))
    permuted = RobotModel(GR1, tuple(ARMS[index] for index in order))
    pose = random_pose(rng)
    model.update(pose)
    permuted.update(pose[order])
    frame = "right_end_effector_link"
    np.testing.assert_array_equal(
        model.pose(model.frame(frame)).position, permuted.pose(permuted.frame(frame)).position
    )


def test_a_sign_in_the_joint_table_turns_the_joint_and_its_column(model: RobotModel) -> None:
    elbow = "left_elbow_pitch_joint"
    joints = tuple(replace(joint, sign=-1) if joint.name == elbow else joint for joint in GR1.joints)
    flipped = RobotModel(replace(GR1, joints=joints), ARMS)
    pose = 0.2 * random_pose(np.random.default_rng(4))
    other = pose.copy()
    column = ARMS.index(elbow)
    other[column] *= -1
    frame = model.frame("left_end_effector_link")
    model.update_with_jacobians(pose)
    flipped.update_with_jacobians(other)
    np.testing.assert_array_equal(model.pose(frame).position, flipped.pose(frame).position)
    np.testing.assert_array_equal(
        model.pose_and_jacobian(frame)[1][:, column], -flipped.pose_and_jacobian(frame)[1][:, column]
    )


def test_a_joint_or_link_that_the_description_lacks_is_named() -> None:
    tail = replace(GR1.joints[0], name="tail_joint")
    with pytest.raises(EmbodimentError, match="tail_joint of 'gr1' are not in"):
        RobotModel(replace(GR1, joints=(*GR1.joints, tail)), ("tail_joint",))
    with pytest.raises(EmbodimentError, match="link 'tail_link' is not in"):
        RobotModel(GR1, ARMS).frame("tail_link")


def test_rotation_vectors_are_undone() -> None:
    vector = np.array([0.3, -1.1, 0.7])
    np.testing.assert_allclose(rotation_vector(rotation_from_vector(vector)), vector, atol=1e-12)
