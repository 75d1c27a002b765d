# SPDX-License-Identifier: Apache-2.0
"""Retargeting and simulator are two readings of one description: the same joint positions put every link in the same place."""

import mujoco
import numpy as np

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_sim.robot import robot_spec
from gr00t_teleop.retargeting.fingers import FINGERS, hand_followers
from gr00t_teleop.retargeting.robot_model import RobotModel

GR1 = load_embodiment("gr1")


def test_links_are_where_the_simulator_has_them() -> None:
    names = tuple(joint.name for joint in GR1.joints if joint.group in ("left_arm", "right_arm", "waist", "neck"))
    links = ("left_end_effector_link", "right_end_effector_link", "torso_link", "head_yaw_link", "left_hand_yaw_link")
    ours = RobotModel(GR1, names)
    theirs = robot_spec(GR1, kinematic=True).compile()
    data = mujoco.MjData(theirs)
    rng = np.random.default_rng(0)
    for _ in range(50):
        positions = np.array([rng.uniform(GR1.joint(name).lower_rad, GR1.joint(name).upper_rad) for name in names])
        for name, value in zip(names, positions, strict=True):
            data.joint(name).qpos[0] = value
        mujoco.mj_kinematics(theirs, data)
        ours.update(positions)
        base = data.body("base_link").xpos
        for link in links:
            found = ours.pose(ours.frame(link))
            np.testing.assert_allclose(found.position, data.body(link).xpos - base, atol=1e-6)
            np.testing.assert_allclose(found.rotation, data.body(link).xmat.reshape(3, 3), atol=1e-6)


def test_finger_tips_are_where_the_simulator_has_them_with_both_conventions_of_sign() -> None:
    spec = robot_spec(GR1)
    for element in [*spec.geoms, *spec.meshes]:
        spec.delete(element)
    theirs = spec.compile()
    data = mujoco.MjData(theirs)
    rng = np.random.default_rng(1)
    for side in ("left", "right"):
        mark = side[0].upper()
        names = tuple(joint.name for joint in GR1.joints if joint.group == f"{side}_hand")
        followers = hand_followers(mark)
        ours = RobotModel(GR1, names, followers)
        for _ in range(10):
            positions = np.array([rng.uniform(GR1.joint(name).lower_rad, GR1.joint(name).upper_rad) for name in names])
            values = dict(zip(names, positions, strict=True))
            for name in names:
                data.joint(name).qpos[0] = values[name]
            for name, (leader, ratio) in followers.items():
                data.joint(name).qpos[0] = ratio * values[leader]
            mujoco.mj_kinematics(theirs, data)
            ours.update(positions)
            for finger in FINGERS:
                found = ours.pose(ours.frame(f"{mark}_{finger}_tip_link")).position
                place = data.body(f"{mark}_{finger}_tip_link").xpos - data.body("base_link").xpos
                np.testing.assert_allclose(found, place, atol=1e-6)
