# SPDX-License-Identifier: Apache-2.0
"""Fingers: what the robot's hand can do comes out as it went in, a pinch closes, limits hold, and a hand out of sight is none."""

import numpy as np
import pytest

from gr00t_policy.core.embodiment import load_embodiment
from gr00t_teleop.retargeting.fingers import FINGERS, PINCH_M, TOUCH_M, HandRetargeting, hand_followers
from gr00t_teleop.retargeting.neck import neck_angles, neck_rotation
from gr00t_teleop.retargeting.pose import Pose, rotation_from_vector
from gr00t_teleop.retargeting.robot_model import RobotModel
from gr00t_teleop.testing import RobotShapedHand
from gr00t_teleop.types import KEYPOINTS

GR1 = load_embodiment("gr1")
SIDES = ("left", "right")


def settled(hand: HandRetargeting, keypoints: np.ndarray) -> np.ndarray:
    for _ in range(40):
        found = hand.follow(keypoints)
        assert found is not None
    return found


def random_positions(side: str, rng: np.random.Generator) -> np.ndarray:
    joints = [joint for joint in GR1.joints if joint.group == f"{side}_hand"]
    return rng.uniform([0.1 * joint.upper_rad for joint in joints], [0.9 * joint.upper_rad for joint in joints])


@pytest.mark.parametrize("side", SIDES)
def test_a_hand_of_any_size_anywhere_in_space_gives_the_same_joints(side: str) -> None:
    rng, person, hand = np.random.default_rng(0), RobotShapedHand(GR1, side), HandRetargeting(GR1, side)
    for scale in (0.8, 1.0, 1.25):
        wanted = random_positions(side, rng)
        if min(np.linalg.norm(scale * (tip - hand.tips(wanted)[0])) for tip in hand.tips(wanted)[1:]) < 0.06:
            continue  # a pinch changes the rows on purpose
        place = Pose(rng.uniform(-1, 1, 3), rotation_from_vector(rng.uniform(-2, 2, 3)))
        hand.reset(np.full(6, 0.5))
        found = settled(hand, person.keypoints(wanted, scale, place))
        np.testing.assert_allclose(hand.tips(found), hand.tips(wanted), atol=0.02 if scale != 1.0 else 1e-4)


@pytest.mark.parametrize("side", SIDES)
def test_open_stays_open_and_a_fist_closes(side: str) -> None:
    person, hand = RobotShapedHand(GR1, side), HandRetargeting(GR1, side)
    straight, fist = np.zeros(6), np.array([1.4, 1.4, 1.4, 1.4, 0.0, 0.3])
    assert settled(hand, person.keypoints(fist))[:4].min() > 1.2
    assert settled(hand, person.keypoints(straight))[:4].max() < 0.1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("finger", "best_m"), [("index", 0.0), ("middle", 0.0042)])
def test_a_pinch_closes_as_far_as_the_hand_can(side: str, finger: str, best_m: float) -> None:
    """The person's pads touch, with the tips a finger's thickness apart. best_m: the least gap any joint positions give."""
    person, hand = RobotShapedHand(GR1, side), HandRetargeting(GR1, side)
    keypoints = person.keypoints(np.array([0.3, 0.3, 0.9, 0.9, 1.5, 0.5]))
    thumb, tip = KEYPOINTS.index("thumb_tip"), KEYPOINTS.index(f"{finger}_tip")
    away = keypoints[thumb, :3] - keypoints[tip, :3]
    keypoints[thumb, :3] = keypoints[tip, :3] + away / np.linalg.norm(away) * TOUCH_M
    hand.reset(np.array([0.3, 0.3, 0.9, 0.9, 1.5, 0.5]))
    tips = hand.tips(settled(hand, keypoints))
    assert np.linalg.norm(tips[0] - tips[FINGERS.index(finger)]) < best_m + 0.001


def test_the_closer_a_person_pinches_the_closer_the_robot_does() -> None:
    person, hand = RobotShapedHand(GR1, "left"), HandRetargeting(GR1, "left")
    keypoints = person.keypoints(np.array([0.3, 0.3, 0.3, 0.9, 1.5, 0.5]))
    thumb, tip = KEYPOINTS.index("thumb_tip"), KEYPOINTS.index("index_tip")
    away = keypoints[thumb, :3] - keypoints[tip, :3]
    gaps = []
    for apart in np.linspace(1.8 * PINCH_M, TOUCH_M, 30):
        keypoints[thumb, :3] = keypoints[tip, :3] + away / np.linalg.norm(away) * apart
        tips = hand.tips(settled(hand, keypoints))
        gaps.append(np.linalg.norm(tips[0] - tips[1]))
    assert np.diff(gaps).max() < 1e-3
    assert gaps[-1] < 0.003 < 0.03 < gaps[0]


@pytest.mark.parametrize("side", SIDES)
def test_joints_stay_within_limits_whatever_the_key_points_say(side: str) -> None:
    rng, hand = np.random.default_rng(1), HandRetargeting(GR1, side)
    joints = [GR1.joint(name) for name in hand.names]
    followed = 0
    for _ in range(300):
        keypoints = np.tile([0.0, 0, 0, 0, 0, 0, 1], (len(KEYPOINTS), 1))
        keypoints[:, :3] = rng.normal(0.0, 0.1, (len(KEYPOINTS), 3))
        found = hand.follow(keypoints)
        if found is None:  # three points drawn at random may lie on a line
            continue
        followed += 1
        assert all(joint.lower_rad <= value <= joint.upper_rad for joint, value in zip(joints, found, strict=True))
    assert followed > 290


def test_a_hand_that_lacks_a_tip_is_not_followed_but_a_metacarpal_is_not_missed() -> None:
    person, hand = RobotShapedHand(GR1, "right"), HandRetargeting(GR1, "right")
    keypoints = person.keypoints(np.full(6, 0.5))
    keypoints[KEYPOINTS.index("ring_metacarpal")] = np.nan
    assert hand.follow(keypoints) is not None
    before = hand.positions
    keypoints[KEYPOINTS.index("ring_tip")] = np.nan
    assert hand.follow(keypoints) is None
    np.testing.assert_array_equal(hand.positions, before)


@pytest.mark.parametrize("scale", [0.0, 0.05, 20.0, 1e200], ids=["one place", "a speck", "far apart", "overflowing"])
@pytest.mark.parametrize("side", SIDES)
def test_key_points_that_are_no_hand_are_not_followed_and_the_next_hand_is(side: str, scale: float) -> None:
    person, hand = RobotShapedHand(GR1, side), HandRetargeting(GR1, side)
    good = person.keypoints(np.full(6, 0.5))
    before = settled(hand, good)
    bad = good.copy()
    bad[:, :3] *= scale
    assert hand.follow(bad) is None
    np.testing.assert_array_equal(hand.positions, before)
    np.testing.assert_allclose(settled(hand, good), before, atol=1e-3)


def test_key_points_on_one_line_are_not_followed() -> None:
    hand = HandRetargeting(GR1, "left")
    keypoints = RobotShapedHand(GR1, "left").keypoints(np.full(6, 0.5))
    keypoints[:, :3] = np.linspace(0.0, 0.2, len(KEYPOINTS))[:, None] * [0.6, 0.8, 0.0]
    assert hand.follow(keypoints) is None
    np.testing.assert_array_equal(hand.positions, np.zeros(6))


def test_coupled_joints_turn_as_the_description_says() -> None:
    """The tip of a finger of 0.5 rad has turned by 0.5 (1 + 0.975) rad."""
    for joint, driven, ratio in (("index", "index_proximal", 0.975), ("thumb", "thumb_proximal_pitch", 1.06)):
        model = RobotModel(GR1, (f"L_{driven}_joint",), _only(joint))
        frame = model.frame(f"L_{joint}_tip_link")
        model.update(np.zeros(1))
        straight = model.pose(frame).rotation
        model.update(np.array([0.5]))
        turned = np.arccos((np.trace(model.pose(frame).rotation @ straight.T) - 1) / 2)
        assert turned == pytest.approx(0.5 * (1 + ratio), abs=1e-3)


def test_the_neck_is_undone_by_its_inverse_and_pitch_looks_down() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        angles = rng.uniform([-0.35, -0.87, -2.7], [0.35, 0.87, 2.7])
        np.testing.assert_allclose(neck_angles(neck_rotation(angles)), angles, atol=1e-9)
    assert neck_rotation(np.array([0.0, 0.3, 0.0]))[2, 0] < 0.0


def _only(finger: str) -> dict[str, tuple[str, float]]:
    return {name: value for name, value in hand_followers("L").items() if finger in name}
