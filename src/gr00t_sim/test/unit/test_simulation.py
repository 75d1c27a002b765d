# SPDX-License-Identifier: Apache-2.0
"""The simulated robot is the real one's joint table, and the same seed gives the same world."""

import mujoco
import numpy as np
import pytest

from gr00t_policy.core.description import urdf_path
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_sim.robot import robot_spec
from gr00t_sim.simulation import TabletopSim


@pytest.fixture(scope="module", params=("pick_named_object", "choose_bin"))
def sim(request):
    sim = TabletopSim(request.param)
    yield sim
    sim.close()


def test_model_joints_have_the_names_limits_and_efforts_of_the_joint_table(sim):
    for joint in sim.embodiment.joints:
        row = sim.model.joint(joint.name)
        np.testing.assert_allclose(row.range, [joint.lower_rad, joint.upper_rad])
        actuator = sim.model.actuator(joint.name)
        np.testing.assert_allclose(actuator.ctrlrange, [joint.lower_rad, joint.upper_rad])
    assert sim.model.nu == len(sim.embodiment.joints)


def test_joint_table_agrees_with_the_manufacturers_urdf():
    import xml.etree.ElementTree as ElementTree

    embodiment = load_embodiment("gr1")
    urdf = {joint.get("name"): joint for joint in ElementTree.parse(urdf_path()).getroot().findall("joint")}
    for joint in embodiment.joints:
        limit = urdf[joint.name].find("limit")
        bounds = sorted(joint.sign * float(limit.get(side)) for side in ("lower", "upper"))
        np.testing.assert_allclose(bounds, [joint.lower_rad, joint.upper_rad], atol=5e-3, err_msg=joint.name)


def test_nothing_but_contact_can_hold_an_object(sim):
    kinds = {mujoco.mjtEq(kind) for kind in sim.model.eq_type}
    assert kinds == {mujoco.mjtEq.mjEQ_JOINT}, "only finger linkages may be constrained"
    assert not (sim.model.body_mocapid >= 0).any()
    assert not (sim.model.actuator_trntype == mujoco.mjtTrn.mjTRN_BODY).any(), "no adhesion actuator"


def test_same_seed_gives_the_same_world_and_pictures(sim):
    def run(seed):
        sim.reset(seed)
        sim.set_targets(sim.home + 0.05, 0.1)
        sim.step_physics(60)
        return sim.data.qpos.copy(), sim.render(width=64, height=64), sim.sentence

    first, again, other = run(7), run(7), run(8)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[2] == again[2]
    assert not np.array_equal(first[0], other[0])


def test_targets_ramp_linearly_and_reach_their_value_on_time(sim):
    sim.reset(1)
    start = sim.joint_targets()
    goal = np.clip(
        start + 0.04, [j.lower_rad for j in sim.embodiment.joints], [j.upper_rad for j in sim.embodiment.joints]
    )
    sim.set_targets(goal, 0.02)
    sim.step_physics(5)
    np.testing.assert_allclose(sim.joint_targets(), (start + goal) / 2, atol=1e-12)
    sim.step_physics(5)
    np.testing.assert_allclose(sim.joint_targets(), goal, atol=1e-12)


def test_targets_beyond_the_limits_are_clipped_to_them(sim):
    sim.reset(1)
    sim.set_targets(np.full(len(sim.embodiment.joints), 10.0), 0.002)
    sim.step_physics(1)
    np.testing.assert_allclose(sim.joint_targets(), [joint.upper_rad for joint in sim.embodiment.joints])


def test_robot_stands_still_at_home(sim):
    sim.reset(3, start=sim.home)
    sim.step_physics(500)
    assert np.abs(sim.joint_positions() - sim.home).max() < 0.05
    assert np.abs(sim.joint_velocities()).max() < 0.05


def test_kinematic_model_has_arms_waist_and_neck_and_no_geometry():
    model = robot_spec(load_embodiment("gr1"), kinematic=True).compile()
    assert model.njnt == 20 and model.ngeom == 0 and model.nu == 0
