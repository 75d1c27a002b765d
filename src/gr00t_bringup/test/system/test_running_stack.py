# SPDX-License-Identifier: Apache-2.0
"""A healthy stack: it drives, says so, is heard, refuses nonsense, stops on demand."""

import time

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

_BUSY_MACHINE = 0.5  # rates are judged by the benchmark; here a loaded machine may lose half


def test_every_node_is_active_and_the_policy_drives(session):
    status = session.status
    assert (status.planner, status.controller, status.gate) == ("encoding", "running", "active")
    session.stack.processes.check()


def test_the_rates_are_those_of_the_design(session):
    """A rate of the first few ticks may be a little high: where the first of them woke up late."""
    session.wait(lambda status: 10 * _BUSY_MACHINE < status.planner_rate_hz < 11)
    session.wait(lambda status: 120 * _BUSY_MACHINE < status.control_rate_hz < 125)


def test_the_robot_moves_and_stays_within_its_limits(session):
    poses = []
    for _ in range(40):
        message = session.stack.recorder.newest("joint_states")
        poses.append(dict(zip(message.name, message.position, strict=True)))
        time.sleep(0.05)
    spread = {name: np.ptp([pose[name] for pose in poses]) for name in poses[0]}
    assert max(spread.values()) < 1.0
    assert all(np.isfinite(list(pose.values())).all() for pose in poses)


def test_another_sentence_is_heard_at_the_next_tick_of_the_planner(session):
    session.stack.client.say("put the green cube into the white bin")
    took_s = session.wait(lambda status: "green cube" in status.sentence)
    assert took_s < 2.0


def test_a_sentence_of_10_kilobytes_is_refused_and_the_one_before_stays_in_force(session):
    before = session.stack.recorder.newest("planner/state")
    session.stack.client.say("x" * 10_000)
    session.wait(lambda _: session.stack.recorder.newest("planner/state").rejected > before.rejected)
    assert session.status.sentence == before.instruction
    assert session.status.planner == "encoding"


@pytest.mark.parametrize("nothing", ["", "   "], ids=["empty", "blank"])
def test_an_empty_sentence_takes_back_the_one_before_and_the_robot_is_held_until_the_next(session, sentence, nothing):
    session.stack.client.say(nothing)
    session.wait(lambda status: status.planner == "waiting for instruction")
    session.wait(lambda status: status.gate == "hold")
    session.stack.client.say(sentence)
    session.wait_driven(30.0)


def test_a_new_scene_is_laid_out_and_the_robot_goes_on(session):
    sentence = session.stack.client.reset_simulation("pick_named_object", 7, "put the yellow ball into the blue bin")
    assert sentence == "put the yellow ball into the blue bin"
    session.wait(lambda _: session.stack.recorder.newest("sim/task_state").seed == 7)
    session.wait_driven(30.0)


def test_an_unknown_task_is_refused_with_the_known_ones(session):
    with pytest.raises(Exception, match="pick_named_object"):
        session.stack.client.reset_simulation("juggle", 0, "")


def test_stop_stops_the_robot_until_a_person_resets_the_gate(session, trigger):
    assert trigger("command_gate/stop").success
    session.wait(lambda status: status.gate == "stopped", 5.0)
    time.sleep(1.0)
    assert session.status.gate == "stopped"
    velocities = session.stack.recorder.newest("joint_states").velocity
    assert np.abs(velocities).max() < 0.2
    assert trigger("command_gate/reset").success
    session.wait_driven(20.0)


def test_joint_states_that_are_not_numbers_do_not_reach_the_robot(session, joint_state_intruder):
    """A second publisher sends NaN; no command that is not finite leaves the gate, and the refusals are counted."""
    before = session.stack.recorder.newest("controller/state").rejected_inputs
    names = session.stack.recorder.newest("joint_states").name
    for _ in range(30):
        joint_state_intruder.publish(JointState(name=names, position=[float("nan")] * len(names)))
        command = session.stack.recorder.newest("joint_trajectory")
        assert np.isfinite(command.points[0].positions).all()
        time.sleep(0.01)
    session.wait(lambda _: session.stack.recorder.newest("controller/state").rejected_inputs > before)
    session.wait(lambda status: status.gate in ("active", "hold", "damped"))


@pytest.fixture
def trigger(session):
    """Call a std_srvs/Trigger service by name."""
    client = session.stack.client

    def call(name: str) -> Trigger.Response:
        return client.call(Trigger, name, Trigger.Request())

    return call


@pytest.fixture
def joint_state_intruder(session):
    from gr00t_policy.ros import qos

    publisher = session.stack.client.node.create_publisher(JointState, "joint_states", qos.SENSOR)
    deadline = time.monotonic() + 10
    while publisher.get_subscription_count() < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield publisher
    session.stack.client.node.destroy_publisher(publisher)
