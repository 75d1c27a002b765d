# SPDX-License-Identifier: Apache-2.0
"""The doctor beside a running robot, over real DDS: fresh, stale, incomplete and doubled streams are told apart."""

import threading
import time
from collections.abc import Iterator

import pytest
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from gr00t_bringup.health.finding import Finding
from gr00t_bringup.health.streams import live_findings
from gr00t_bringup.ros.live_view import look
from gr00t_policy.core.embodiment import load_embodiment
from gr00t_policy.core.errors import MessageError
from gr00t_policy.core.joint_order import JointOrder
from gr00t_policy.ros import qos

_ROBOT = load_embodiment("gr1")
_CAMERA = "camera/ego_view/image_raw"


class Robot:
    """Publishes joint states at 100 Hz and pictures at 20 Hz from a thread; what it publishes can be changed."""

    def __init__(self, context: Context, name: str = "robot_driver") -> None:
        self.node = Node(name, context=context, start_parameter_services=False)
        self.age_s = 0.0
        self.frozen_stamp_ns = 0
        self.names = list(_ROBOT.joint_names)
        self.positions: list[float] | None = None
        self.image = Image(height=224, width=224, step=672, encoding="rgb8", data=bytes(224 * 224 * 3))
        self._joints = self.node.create_publisher(JointState, "joint_states", qos.SENSOR)
        self._camera = self.node.create_publisher(Image, _CAMERA, qos.SENSOR)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.node.destroy_node()

    def _run(self) -> None:
        tick = 0
        while not self._stop.wait(0.01):
            state = JointState(name=self.names, position=self.positions or [0.0] * len(self.names))
            self._stamp(state)
            self._joints.publish(state)
            if tick % 5 == 0:
                self._stamp(self.image)
                self._camera.publish(self.image)
            tick += 1

    def _stamp(self, message) -> None:
        stamp_ns = self.frozen_stamp_ns or time.time_ns() - round(self.age_s * 1e9)
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)


@pytest.fixture
def robot(context) -> Iterator[Robot]:
    robot = Robot(context)
    yield robot
    robot.close()


def _findings(demanded: bool = True) -> dict[str, Finding]:
    facts = look(_ROBOT, "", 1.0, demanded=demanded)
    return {finding.name: finding for finding in live_findings(facts, _ROBOT, demanded=demanded)}


def test_an_empty_domain_is_fine_unless_a_robot_is_demanded(context):
    assert _findings(demanded=False)["robot"].level == "ok"
    demanded = _findings()
    assert demanded["joint_states"].level == demanded[_CAMERA].level == "error"
    assert "nobody publishes it" in demanded["joint_states"].found


def test_nodes_that_are_none_of_ours_do_not_make_a_robot(context):
    stranger = Node("turtle", context=context)
    assert "/turtle" in _findings(demanded=False)["robot"].found
    stranger.destroy_node()


def test_a_fresh_robot_is_found_by_itself_and_only_its_nodes_are_missed(robot):
    found = _findings(demanded=False)
    assert found["joint_states"].level == "ok", found["joint_states"]
    assert "32 joints" in found["joint_states"].found
    assert found[_CAMERA].level in ("ok", "warning"), found[_CAMERA]  # a busy machine may be late
    assert "224x224 rgb8" in found[_CAMERA].found
    assert "planner, controller, command_gate" in found["nodes running"].found


def test_stale_and_future_stamps_are_errors_and_say_how_far_off(robot):
    robot.age_s = 1.5
    found = _findings()
    assert found["joint_states"].level == found[_CAMERA].level == "error"
    assert 1450 < float(found["joint_states"].found.split()[0]) < 1700
    robot.age_s = -5.0
    assert "in the future" in _findings()["joint_states"].found


def test_a_clock_that_differs_is_told_from_delay(robot):
    robot.age_s = 3600.0
    finding = _findings()["joint_states"]
    assert "3600 s old" in finding.found
    assert "clock" in finding.fix


def test_a_stamp_that_never_changes_is_an_error(robot):
    robot.frozen_stamp_ns = time.time_ns()
    assert "never changes" in _findings()["joint_states"].found


@pytest.mark.parametrize("name", ["waist_pitch_joint", "head_yaw_joint"], ids=["of the policy", "of the neck"])
def test_a_missing_joint_without_which_the_gate_believes_no_joint_state_is_an_error_that_names_it(robot, name):
    robot.names = [each for each in _ROBOT.joint_names if each != name]
    with pytest.raises(MessageError, match=name):  # as the gate reads them
        JointOrder(_ROBOT.joints).positions(robot.names, [0.0] * len(robot.names), "joint state")
    finding = _findings()["joint_states"]
    assert finding.level == "error"
    assert name in finding.found


def test_a_position_that_is_not_a_number_is_an_error(robot):
    robot.positions = [0.0] * 31 + [float("nan")]
    assert f"not finite: {_ROBOT.joint_names[-1]}" in _findings()["joint_states"].found


def test_a_picture_in_another_colour_format_is_an_error(robot):
    robot.image = Image(height=224, width=224, step=448, encoding="yuv422", data=bytes(224 * 448))
    finding = _findings()[_CAMERA]
    assert finding.level == "error"
    assert "rgb8" in finding.fix


def test_two_publishers_of_a_sensor_or_a_command_are_named(robot, context):
    second = Robot(context, "second_driver")
    gates = [Node(name, context=context) for name in ("gate_a", "gate_b")]
    for gate in gates:
        gate.create_publisher(JointTrajectory, "joint_trajectory", qos.COMMAND)
    found = _findings()
    for topic, names in (("joint_states", "robot_driver, /second_driver"), ("joint_trajectory", "gate_a, /gate_b")):
        assert found[topic].level == "error"
        assert names in found[topic].found
    for gate in gates:
        gate.destroy_node()
    second.close()


def test_a_topic_of_another_type_is_named(context):
    node = Node("wrong", context=context)
    node.create_publisher(String, "joint_states", 1)
    assert "std_msgs/msg/String" in _findings()["joint_states"].found
    node.destroy_node()


def test_lifecycle_states_are_judged(peer: LifecycleNode):
    assert _findings(demanded=False)["planner"].found == "unconfigured"
    peer.trigger_configure()
    inactive = _findings()["planner"]
    assert (inactive.level, inactive.fix) == ("warning", "ros2 lifecycle set /planner activate")
    peer.trigger_activate()
    assert _findings()["nodes active"].found == "planner"


def test_a_node_that_does_not_answer_is_an_error(context):
    silent = LifecycleNode("controller", context=context)  # nobody spins it
    finding = _findings()["controller"]
    assert (finding.level, finding.found) == ("error", "does not answer")
    silent.destroy_node()


def test_the_remedy_for_a_node_names_it_with_its_namespace(context):
    silent = LifecycleNode("controller", context=context, namespace="left/arm")
    facts = look(_ROBOT, "left/arm", 0.5, demanded=True)
    fixes = {finding.name: finding.fix for finding in live_findings(facts, _ROBOT, demanded=True)}
    assert fixes["controller"].endswith("ros2 lifecycle set /left/arm/controller configure")
    assert fixes["nodes running"].endswith("gr1.launch.py namespace:=left/arm")
    silent.destroy_node()


def test_everything_is_looked_for_in_the_namespace(context):
    node = Node("driver", context=context, namespace="left")
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.create_publisher(JointState, "joint_states", qos.SENSOR)
    assert look(_ROBOT, "left", 0.5, demanded=True).joints.publishers == ("/left/driver",)
    assert look(_ROBOT, "", 0.5, demanded=True).joints.publishers == ()
    executor.shutdown()
    node.destroy_node()
