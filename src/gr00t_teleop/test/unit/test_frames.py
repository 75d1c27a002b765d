# SPDX-License-Identifier: Apache-2.0
"""Headset axes to ours: known directions, and the laws that any change of frame obeys."""

import numpy as np
import pytest
from made_people import moving, open_hand, shift, turn

from gr00t_teleop.devices.frames import (
    ROS_FROM_Y_UP,
    composed,
    inverse,
    mirrored,
    poses_from_matrices,
    poses_from_y_up,
    turned_from_y_up,
    wrist_axes_of_hand,
    wrist_from_grip,
)
from gr00t_teleop.types import KEYPOINTS


def random_poses(count: int) -> np.ndarray:
    numbers = np.random.default_rng(5).normal(size=(count, 7))
    numbers[:, 3:] /= np.linalg.norm(numbers[:, 3:], axis=1, keepdims=True)
    return numbers


def compose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pose b of frame a, both (7,)."""
    w, v = a[6], a[3:6]

    def rotate(x):
        return x + 2 * np.cross(v, np.cross(v, x) + w * x)

    quaternion = np.concatenate([w * b[3:6] + b[6] * v + np.cross(v, b[3:6]), [w * b[6] - v @ b[3:6]]])
    return np.concatenate([a[:3] + rotate(b[:3]), quaternion])


def same_pose(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(a[:3], b[:3], atol=1e-9) and abs(abs(a[3:] @ b[3:]) - 1) < 1e-9


def test_right_up_and_back_of_a_headset_are_minus_y_z_and_minus_x_of_ours():
    moved = [poses_from_y_up(shift(*step))[:3] for step in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert np.allclose(moved, [(0, -1, 0), (0, 0, 1), (-1, 0, 0)])
    assert np.linalg.det(ROS_FROM_Y_UP) == pytest.approx(1)


def test_an_upright_head_that_looks_ahead_has_no_rotation():
    assert np.allclose(poses_from_y_up(np.eye(4)), [0, 0, 0, 0, 0, 0, 1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_rod_held_in_a_fist_ahead_of_the_body_upright_is_a_hand_that_points_ahead_with_its_thumb_up(side):
    """In both hands: the rod along z with the thumb at -z; x out of the back of a right hand, out of the palm of a left one."""
    inwards = turn(2, np.pi / 2 if side == "left" else -np.pi / 2)  # palm to the body's middle, from palm down
    along_rod = turn(0, np.pi / 2)  # -z, where the thumb is, goes up; y comes back
    wrist = wrist_from_grip(shift(0, 1, -0.4) @ along_rod, side)
    assert np.allclose(wrist[:3], [0.4 - 0.065, 0.04 if side == "left" else -0.04, 1.0])
    as_wrist_joint = poses_from_y_up(inwards)
    assert abs(wrist[3:] @ as_wrist_joint[3:]) == pytest.approx(1)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_grip_is_fixed_to_its_wrist_and_what_is_no_rotation_has_none(side):
    rng = np.random.default_rng(4)
    still = wrist_from_grip(np.eye(4), side)
    for _ in range(20):
        moved = turn(1, rng.uniform(-3, 3)) @ shift(*rng.normal(size=3)) @ turn(0, rng.uniform(-3, 3))
        assert same_pose(wrist_from_grip(moved, side), compose(poses_from_y_up(moved), still))
    assert np.isnan(wrist_from_grip(np.full((4, 4), np.nan), side)[3:]).all()


def test_the_right_hand_is_the_mirror_image_of_the_left_one_with_its_grip():
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])  # a headset's x is to the right
    across = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0])  # ours is y, to the left
    for t in np.linspace(0.0, 5.0, 20):
        grip = moving("left", t)
        assert same_pose(wrist_from_grip(flip @ grip @ flip, "right"), across * wrist_from_grip(grip, "left"))


def test_looking_left_is_a_turn_about_z_and_looking_down_one_about_y():
    left, down = poses_from_y_up(turn(1, 0.4)), poses_from_y_up(turn(0, -0.4))
    assert np.allclose(left[3:], [0, 0, np.sin(0.2), np.cos(0.2)])
    assert np.allclose(down[3:], [0, np.sin(0.2), 0, np.cos(0.2)])


def test_turning_the_frame_and_composing_poses_may_be_swapped():
    rng = np.random.default_rng(3)
    for _ in range(50):
        a = shift(*rng.normal(size=3)) @ turn(0, rng.normal()) @ turn(1, rng.normal()) @ turn(2, rng.normal())
        b = shift(*rng.normal(size=3)) @ turn(2, rng.normal()) @ turn(0, rng.normal())
        assert same_pose(poses_from_y_up(a @ b), compose(poses_from_y_up(a), poses_from_y_up(b)))


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1, -1, 1]), 2 * np.eye(4), np.diag([np.inf, 1, 1, 1])],
    ids=["zero", "nan", "reflection", "scaled", "infinite"],
)
def test_what_is_no_rotation_becomes_nan_and_spoils_no_other(wrong):
    poses = poses_from_y_up(np.stack([np.eye(4), wrong, moving("left", 1.0)]))
    assert np.isnan(poses[1, 3:]).all()
    assert np.isfinite(poses[[0, 2]]).all()


def test_fingers_of_a_flat_hand_lie_ahead_of_the_wrist_and_the_right_thumb_to_the_left():
    right, left = poses_from_y_up(open_hand("right")), poses_from_y_up(open_hand("left"))
    tips = [i for i, name in enumerate(KEYPOINTS) if name.endswith("tip")]
    assert (right[tips, 0] > 0.1).all() and (left[tips, 0] > 0.1).all()
    assert right[KEYPOINTS.index("thumb_tip"), 1] > 0 > left[KEYPOINTS.index("thumb_tip"), 1]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_axes_of_an_unknown_wrist_are_found_from_the_hand_itself(side):
    """A device may call any of 24 rotations its wrist; undone, the hand is the same."""
    ours = poses_from_y_up(open_hand(side))[:, :3]
    for x in range(4):
        for y in range(4):
            for z in range(4):
                device = (turn(0, x * np.pi / 2) @ turn(1, y * np.pi / 2) @ turn(2, z * np.pi / 2))[:3, :3].round()
                found = wrist_axes_of_hand(ours @ device.T, side)
                assert found is not None
                assert np.allclose(ours @ device.T @ found, ours)


def test_a_hand_that_is_not_seen_tells_no_axes():
    assert wrist_axes_of_hand(np.full((25, 3), np.nan), "left") is None
    assert wrist_axes_of_hand(np.zeros((25, 3)), "left") is None


def test_without_turning_axes_a_matrix_keeps_its_numbers():
    assert np.allclose(poses_from_matrices(shift(1, 2, 3)), [1, 2, 3, 0, 0, 0, 1])


def test_numbers_are_turned_as_matrices_are():
    rng = np.random.default_rng(4)
    for _ in range(50):
        matrix = shift(*rng.normal(size=3)) @ turn(0, rng.normal()) @ turn(1, rng.normal()) @ turn(2, rng.normal())
        assert same_pose(turned_from_y_up(poses_from_matrices(matrix)), poses_from_y_up(matrix))
    assert np.isnan(turned_from_y_up(np.full(7, np.nan))).all()


def test_poses_compose_as_matrices_do_and_the_inverse_undoes_them():
    poses = random_poses(40)
    for a, b in zip(poses[:20], poses[20:], strict=True):
        assert same_pose(composed(a, b), compose(a, b))
        assert same_pose(composed(inverse(a), composed(a, b)), b)
    one_by_one = [composed(*pair) for pair in zip(poses[:20], poses[20:], strict=True)]
    assert np.allclose(composed(poses[:20], poses[20:]), one_by_one)


def test_a_mirror_image_of_a_composition_is_the_composition_of_the_mirror_images():
    a, b = random_poses(2)
    assert same_pose(mirrored(composed(a, b)), composed(mirrored(a), mirrored(b)))
    assert np.array_equal(mirrored(mirrored(a)), a)
