# SPDX-License-Identifier: Apache-2.0
"""``gr00t bench ik`` for a few people, and its judge of contacts: it sees what it must see."""

import json

import numpy as np
import pytest

from gr00t_bringup.bench.ik import IkBenchConfig, ik_goals, measure
from gr00t_bringup.bench.self_contacts import SelfContacts
from gr00t_bringup.bench.wild_operator import WildOperator
from gr00t_bringup.cli import main
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import ConfigError
from gr00t_safety.config import GateConfig
from gr00t_teleop.retargeting.config import RetargeterConfig
from gr00t_teleop.retargeting.inverse_kinematics import SIDES, InverseKinematics, WristTarget
from gr00t_teleop.retargeting.pose import Pose

GR1 = load_embodiment("gr1")
SEED_OF_A_SILENCE = 3
HOME = GR1.positions_by_name(GR1.home)


@pytest.fixture(scope="module")
def contacts() -> SelfContacts:
    return SelfContacts(GR1)


def pose(**radians: float) -> np.ndarray:
    found = HOME.copy()
    for name, angle in radians.items():
        found[GR1.joint_names.index(f"{name}_joint")] = angle
    return found


def test_mujoco_finds_an_elbow_bent_too_far_and_an_upper_arm_in_the_torso_and_nothing_at_rest(contacts):
    assert contacts.between(HOME) == {} and contacts.touching_at_rest == frozenset()
    assert set(contacts.between(pose(left_elbow_pitch=-2.25))) == {("left_hand_yaw_link", "left_upper_arm_yaw_link")}
    found = contacts.between(pose(right_shoulder_roll=0.5))
    assert found["right_upper_arm_yaw_link", "torso_link"] > 0.02


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shift", [(0.21, 0.3, 0.3), (-0.05, 0.36, 0.32), (0.13, 0.35, 0.22)])
def test_an_arm_pulled_across_the_body_does_not_press_the_upper_arm_into_the_torso(contacts, side, shift):
    solver = InverseKinematics(GR1, 1 / 120, use_waist=False)
    columns = [GR1.joint_names.index(name) for name in solver.names]
    solver.reset(HOME[columns])
    start, inward = solver.wrist(side), np.array([1.0, -1.0 if side == "left" else 1.0, 1.0])
    goal = WristTarget(Pose(start.position + inward * shift, start.rotation))
    for _ in range(240):
        whole = HOME.copy()
        whole[columns] = solver.step({side: goal})
        assert not [pair for pair in contacts.between(whole) if "torso_link" in pair and "upper_arm" in pair[0]]


def test_the_verb_prints_and_writes_its_figures_and_fails_exactly_when_a_goal_is_missed(tmp_path, capsys):
    code = main(["bench", "ik", "--motions", "360", "--seed", "5", "--json", str(tmp_path / "ik.json")])
    figures = json.loads((tmp_path / "ik.json").read_text())
    assert figures["motions"] == figures["judged_by_mujoco"] == 360
    assert 250 < figures["driven"] < figures["commanded"] <= 360
    assert figures["gap_before_m"] > 0.015 and figures["gap_behind_m"] > 0.0
    assert figures["unsolved"] == figures["limits_passed_before"] == figures["limits_passed_behind"] == 0
    printed = capsys.readouterr().out
    assert "smallest gap behind the gate" in printed
    assert code == (1 if "missed" in printed else 0)


def test_what_is_missed_is_told_by_the_goals():
    figures = measure(IkBenchConfig(motions=1), GR1)
    names = {goal.name for goal in ik_goals(figures) if not goal.reached}
    assert names <= {"a step, p99"}  # the first step of a process is slow
    assert figures.driven == 0 and figures.gap_behind_m > 0.015


def test_a_person_is_the_same_from_the_same_seed_and_is_cut_short_now_and_then():
    def ticks(seed: int):
        gate = GateConfig(default_source="teleop", transition_s=0.5)
        return list(WildOperator(GR1, RetargeterConfig(), gate, np.random.default_rng(seed)).ticks(600))

    first, again = ticks(11), ticks(11)
    np.testing.assert_array_equal([tick.given for tick in first], [tick.given for tick in again])
    many = [*first, *ticks(SEED_OF_A_SILENCE)]
    assert any(tick.commanded is None for tick in many)
    assert sum(tick.is_driven for tick in many) > 0.7 * len(many)
    assert np.ptp([tick.given for tick in many], axis=0).max() > 1.0


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ConfigError, match="motions and contacts_every must be 1 or more"):
        IkBenchConfig(motions=0)
