# SPDX-License-Identifier: Apache-2.0
"""The GR-1's joints, written out: their order is that of GR00T N1's GR-1 data and of NVIDIA's checkpoints, so a swap in the joint
table would send each number to another motor. Names and limits are of Fourier's gr1t2_fourier_hand_6dof.urdf.
"""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from gr00t_policy.core.description import urdf_path
from gr00t_policy.core.embodiment import load_embodiment

PI = 3.141592653589793
# Group by group as the policy's vectors have them: name, axis in the URDF, limits in the URDF [rad].
LEFT_ARM = (
    ("left_shoulder_pitch_joint", "0 1 0", -2.79, 1.92),
    ("left_shoulder_roll_joint", "1 0 0", -0.57, 2.53),
    ("left_shoulder_yaw_joint", "0 0 1", -2.97, 2.97),
    ("left_elbow_pitch_joint", "0 1 0", -2.27, 2.27),
    ("left_wrist_yaw_joint", "0 0 1", -2.97, 2.97),
    ("left_wrist_roll_joint", "1 0 0", -0.87, 0.96),
    ("left_wrist_pitch_joint", "0 1 0", -0.61, 0.61),
)
RIGHT_ARM = (
    ("right_shoulder_pitch_joint", "0 1 0", -2.79, 1.92),
    ("right_shoulder_roll_joint", "1 0 0", -2.53, 0.57),
    ("right_shoulder_yaw_joint", "0 0 1", -2.97, 2.97),
    ("right_elbow_pitch_joint", "0 1 0", -2.27, 2.27),
    ("right_wrist_yaw_joint", "0 0 1", -2.97, 2.97),
    ("right_wrist_roll_joint", "1 0 0", -0.96, 0.87),
    ("right_wrist_pitch_joint", "0 1 0", -0.61, 0.61),
)
LEFT_HAND = (  # little, ring, middle, index, thumb rotation, thumb bending; the proximal joints, which have the motors
    ("L_pinky_proximal_joint", "0 0 1", -1.592, 0.0),
    ("L_ring_proximal_joint", "0 0 1", -1.593, 0.0),
    ("L_middle_proximal_joint", "0 0 1", -1.593, 0.0),
    ("L_index_proximal_joint", "0 0 1", -1.592, 0.0),
    ("L_thumb_proximal_yaw_joint", "0 0 1", -1.696, 0.0),
    ("L_thumb_proximal_pitch_joint", "0 0 1", 0.0, 1.143),
)
RIGHT_HAND = (
    ("R_pinky_proximal_joint", "0 0 1", -1.592, 0.0),
    ("R_ring_proximal_joint", "0 0 1", -1.593, 0.0),
    ("R_middle_proximal_joint", "0 0 1", -1.593, 0.0),
    ("R_index_proximal_joint", "0 0 1", -1.592, 0.0),
    ("R_thumb_proximal_yaw_joint", "0 0 1", -1.696, 0.0),
    ("R_thumb_proximal_pitch_joint", "0 0 1", 0.0, 1.143),
)
WAIST = (
    ("waist_yaw_joint", "0 0 1", -1.05, 1.05),
    ("waist_pitch_joint", "0 1 0", -0.52, 1.22),
    ("waist_roll_joint", "1 0 0", -0.7, 0.7),
)
NECK = (  # driven, but no output of the policy; published data have zeros there
    ("head_roll_joint", "1 0 0", -0.35, 0.35),
    ("head_pitch_joint", "0 1 0", -0.87, 0.87),
    ("head_yaw_joint", "0 0 1", -2.71, 2.71),
)
POLICY = (*LEFT_ARM, *RIGHT_ARM, *LEFT_HAND, *RIGHT_HAND, *WAIST)
CLOSES_NEGATIVE = {row[0] for row in (*LEFT_HAND, *RIGHT_HAND) if row[2] < 0}
# What the robot is driven with, far below its motors: [rad/s], [rad/s2].
WORKING = {"shoulder": (2.0, 15.0), "elbow": (2.0, 15.0), "wrist": (3.0, 20.0), "waist": (1.0, 8.0), "head": (1.0, 8.0)}


@pytest.mark.parametrize("robot", ["gr1", "gr1_arms_waist"])
def test_the_policys_vectors_have_the_order_of_gr00t_n1s_data(robot):
    assert load_embodiment(robot).policy_joint_names == tuple(name for name, *_ in POLICY)
    places = {group: (part.start, part.stop) for group, part in load_embodiment(robot).policy_slices.items()}
    assert places == {
        "left_arm": (0, 7), "right_arm": (7, 14), "left_hand": (14, 20), "right_hand": (20, 26), "waist": (26, 29),
    }  # fmt: skip


def test_the_published_variants_leave_out_the_waist_or_add_the_neck_behind_it():
    names = tuple(name for name, *_ in POLICY)
    assert load_embodiment("gr1_arms_only").policy_joint_names == names[:26]
    assert load_embodiment("gr1_full_upper_body").policy_joint_names == (*names, *(name for name, *_ in NECK))


def test_the_limits_are_those_of_the_robot_in_radians_and_hands_close_towards_positive():
    robot = load_embodiment("gr1")
    assert robot.joint_names == tuple(name for name, *_ in (*POLICY, *NECK))
    for name, _, lower_rad, upper_rad in (*POLICY, *NECK):
        joint = robot.joint(name)
        sign = -1 if name in CLOSES_NEGATIVE else 1
        expected = (lower_rad, upper_rad) if sign > 0 else (-upper_rad, -lower_rad)
        assert (joint.sign, (joint.lower_rad, joint.upper_rad)) == (sign, expected), name
        assert max(abs(joint.lower_rad), abs(joint.upper_rad)) < PI, "not degrees"


def test_the_working_limits_are_those_of_a_robot_beside_people():
    for joint in load_embodiment("gr1").joints:
        for part, limits in WORKING.items():
            if part in joint.name:
                assert (joint.max_velocity_rad_s, joint.max_acceleration_rad_s2) == limits, joint.name


def test_the_list_is_that_of_the_manufacturers_file():
    joints = {element.get("name"): element for element in ElementTree.parse(Path(urdf_path())).getroot().iter("joint")}
    for name, axis, lower_rad, upper_rad in (*POLICY, *NECK):
        element = joints[name]
        limit = element.find("limit")
        assert (element.get("type"), element.find("axis").get("xyz")) == ("revolute", axis), name
        assert (float(limit.get("lower")), float(limit.get("upper"))) == (lower_rad, upper_rad), name
        assert float(limit.get("velocity")) == 0 or load_embodiment("gr1").joint(name).max_velocity_rad_s < float(
            limit.get("velocity")
        ), name
