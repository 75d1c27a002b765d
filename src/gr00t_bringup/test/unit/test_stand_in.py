# SPDX-License-Identifier: Apache-2.0
"""The scripted operator: alone against a robot made of numbers, and driving the simulated one through the whole chain."""

from dataclasses import replace

import numpy as np
import pytest
from stand_in_rig import StandInRig

from gr00t_bringup.bench.operator import OperatorBenchConfig
from gr00t_bringup.stand_in.eyes import Eyes, Sight
from gr00t_bringup.stand_in.operator import ScriptedOperator, comfortable
from gr00t_policy.core.errors import ConfigError
from gr00t_sim.experts.grasp import PICK_YAW_RAD, top_grasp_rotation
from gr00t_teleop.devices.clutch_gesture import ClutchGesture
from gr00t_teleop.person.person import Person, random_build
from gr00t_teleop.retargeting.pose import Pose, pose_from_numbers

HZ = 40  # coarser than any headset, and enough here
_TABLE_M = 0.85


class ObedientRobot:
    """Its hands do what the person's do, at once, along the person's heading; what is grasped near enough comes along."""

    def __init__(self, *, follows: bool = True, slips: int = 0, lapse_s: float = np.inf) -> None:
        """lapse_s: when it stops to follow until the clutch was opened, as after a silence of the network."""
        self.slips, self.lapse_s, self._follows, self._gesture = slips, lapse_s, follows, ClutchGesture()
        self._waits = False
        self.engaged, self.now_s = False, 0.0
        self._origin: dict[str, Pose] = {}
        self._home = {
            side: Pose(np.array([0.29, y, 1.1]), top_grasp_rotation(side, 0.0))
            for side, y in (("left", 0.29), ("right", -0.29))
        }
        centre = np.array([0.37, 0.22, _TABLE_M + 0.025])
        self.sight = Sight(
            wrists=dict(self._home),
            grips={side: self._grip(pose) for side, pose in self._home.items()},
            side="left",
            thing=centre,
            half_height_m=0.025,
            over=np.array([0.42, 0.0, _TABLE_M + 0.025]),
            release_m=0.06,
            delivered=False,
        )
        self._in_hand: np.ndarray | None = None

    def hear(self, sample) -> None:
        self.now_s += 1 / HZ
        read = self._gesture.read(sample, int(self.now_s * 1e9))
        if self.now_s > self.lapse_s:
            self._waits, self.lapse_s = True, np.inf
        self._waits = self._waits and read.clutch
        follows = read.clutch and self._follows and not self._waits
        if follows and not self.engaged:
            self._origin = {"left": pose_from_numbers(read.left_wrist), "right": pose_from_numbers(read.right_wrist)}
            self._home = self.sight.wrists
        self.engaged = follows
        if not self.engaged:
            return
        heading = pose_from_numbers(read.head).rotation
        wrists = {}
        for side, numbers in (("left", read.left_wrist), ("right", read.right_wrist)):
            hand, origin, home = pose_from_numbers(numbers), self._origin[side], self._home[side]
            shift = heading.T @ (hand.position - origin.position)
            turn = heading.T @ hand.rotation @ origin.rotation.T @ heading
            wrists[side] = Pose(home.position + shift, turn @ home.rotation)
        self._take(wrists, closed=_closed(read.left_hand))

    def _take(self, wrists: dict[str, Pose], *, closed: bool) -> None:
        grips = {side: self._grip(pose) for side, pose in wrists.items()}
        grip, thing = grips["left"].position, self.sight.thing
        if not closed:
            self._in_hand = None
            thing = np.array([*thing[:2], _TABLE_M + 0.025])
        elif self._in_hand is None and np.linalg.norm(grip - thing) < 0.04:
            self._in_hand = thing - grip
        if self._in_hand is not None:
            thing = grip + self._in_hand
            if self.slips and thing[2] > _TABLE_M + 0.08:
                self.slips, self._in_hand = self.slips - 1, None
                thing = np.array([*thing[:2], _TABLE_M + 0.025])
        delivered = self._in_hand is None and bool(np.linalg.norm((thing - self.sight.over)[:2]) < 0.05)
        self.sight = replace(self.sight, wrists=wrists, grips=grips, thing=thing, delivered=delivered)

    @staticmethod
    def _grip(wrist: Pose) -> Pose:
        return Pose(wrist.position + wrist.rotation @ [0.1, 0.0, 0.05], wrist.rotation)


def _closed(hand: np.ndarray) -> bool:
    tips = hand[[4, 9], :3]
    return bool(np.linalg.norm(tips[0] - tips[1]) < 0.06)


def driven(robot: ObedientRobot, seed: int, limit_s: float = 90.0) -> ScriptedOperator:
    rng = np.random.default_rng(seed)
    person = Person(random_build(rng, comfortable(robot.sight)), rng)
    operator = ScriptedOperator(person, lambda: robot.sight, lambda: robot.engaged, lambda: robot.now_s)
    for number, _ in enumerate(operator.pick_and_place()):
        person.advance(1 / HZ)
        robot.hear(person.sample(int(robot.now_s * 1e9), number + 1))
        assert robot.now_s < limit_s, "the script never ends"
    return operator


@pytest.mark.parametrize("seed", range(2))
def test_whoever_the_person_is_and_wherever_they_face_the_thing_gets_to_its_place(seed: int) -> None:
    robot = ObedientRobot()
    operator = driven(robot, seed)
    assert robot.sight.delivered and operator.gave_up == "" and operator.tries == 1
    assert not robot.engaged, "the clutch is open in the end"


def test_what_slips_out_of_the_hand_is_taken_again_and_given_up_after_three_grasps() -> None:
    robot = ObedientRobot(slips=1)
    assert driven(robot, 0).tries == 2 and robot.sight.delivered
    robot = ObedientRobot(slips=9)
    operator = driven(robot, 0)
    assert operator.tries == 3 and "not in the hand after 3 grasps" in operator.gave_up and not robot.sight.delivered


def test_a_robot_that_stops_to_follow_on_the_way_is_taken_up_again_where_it_is() -> None:
    robot = ObedientRobot(lapse_s=8.0)
    operator = driven(robot, 0)
    assert robot.lapse_s == np.inf and robot.sight.delivered and operator.gave_up == ""


def test_a_robot_that_does_not_follow_is_not_driven() -> None:
    robot = ObedientRobot(follows=False)
    operator = driven(robot, 0)
    assert operator.gave_up == "the robot did not follow" and operator.tries == 0
    np.testing.assert_array_equal(robot.sight.wrists["left"].position, robot._home["left"].position)


def test_hands_are_held_as_the_robot_holds_its_own() -> None:
    """x along the fingers, z out of the back: of a level right hand with the thumb up the back looks right."""
    turned = {side: Pose(np.zeros(3), top_grasp_rotation(side, PICK_YAW_RAD)) for side in ("left", "right")}
    held = comfortable(replace(ObedientRobot().sight, grips=turned))
    for side, wrist in held.items():
        np.testing.assert_allclose(wrist @ wrist.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(wrist) == pytest.approx(1.0)
        np.testing.assert_array_equal(wrist[:, 0], turned[side].rotation[:, 0])
        assert wrist[2, 2] > 0.5, "palms look down at what is to be taken"


@pytest.mark.parametrize("task", ["pour", "two_step", "lift_box"])
def test_a_task_that_is_no_pick_and_place_of_one_thing_is_refused_by_name(task: str) -> None:
    with pytest.raises(ConfigError, match=f"'{task}' is another kind of task"):
        Eyes(task)


@pytest.mark.parametrize("wrong", [{"scenes": 0}, {"limit_s": 5.0}, {"films": -1}])
def test_numbers_of_the_benchmark_are_checked(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="scenes must be at least 1"):
        OperatorBenchConfig(**wrong)


def test_scenes_of_the_evaluation_are_driven_and_not_recorded(tmp_path) -> None:
    assert OperatorBenchConfig().seed == 10000 and OperatorBenchConfig(seed=9980, record=tmp_path).scenes == 20
    with pytest.raises(ConfigError, match="seeds 9981 to 10000 include some of 10000 to 10099"):
        OperatorBenchConfig(seed=9981, record=tmp_path)


def test_a_person_with_bare_hands_puts_the_cube_into_the_bin_through_retargeter_gate_and_physics() -> None:
    rig = StandInRig("pick_named_object", 10_000)
    assert rig.run(30.0), rig.sim.task_state().detail
    assert rig.operator.tries == 1 and rig.retargeter.pose.arms.unsolved == 0
