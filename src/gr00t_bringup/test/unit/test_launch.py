# SPDX-License-Identifier: Apache-2.0
"""The launch file, executed with the real launch library where that is installed."""

import runpy

import pytest
import yaml

from gr00t_bringup.nodes import RECORD, TASKS, TELEOP, nodes_for, share_folder

launch = pytest.importorskip(
    "launch", reason="the launch library is not on the Python index; run this on a ROS machine"
)
launch_ros = pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed")

_ARGUMENTS = {"robot", "backend", "checkpoint", "dry_run", "namespace", "use_sim_time", "params_file", "autostart"} | {
    "teleop",
    "record",
    "tasks",
    "tokenizer",
}


def _execute(**given: str):
    """(context, nodes) after executing every entity of the description with the arguments given."""
    description = runpy.run_path(str(share_folder() / "launch" / "gr1.launch.py"))["generate_launch_description"]()
    context = launch.LaunchContext(argv=[])
    context.launch_configurations.update(checkpoint="/checkpoint", **given)
    nodes = []
    for entity in description.entities:
        nodes += entity.execute(context) or []
    return context, nodes


def _text(context, substitutions) -> str:
    return launch.utilities.perform_substitutions(context, list(substitutions))


def test_every_argument_has_a_description():
    description = runpy.run_path(str(share_folder() / "launch" / "gr1.launch.py"))["generate_launch_description"]()
    arguments = description.get_launch_arguments()
    assert {argument.name for argument in arguments} == _ARGUMENTS | {"log_level"}
    assert all(len(argument.description) > 5 for argument in arguments)


@pytest.mark.parametrize("backend", ["mujoco", "gazebo", "isaac", "real"])
def test_each_node_of_a_back_end_is_started_once(backend):
    _, nodes = _execute(backend=backend)
    assert all(isinstance(node, launch_ros.LifecycleNode) for node in nodes)
    started = [(node.node_package, node.node_executable) for node in nodes]
    assert started == [(node.package, node.name) for node in nodes_for(backend)]


def test_a_person_a_recorder_and_a_server_of_tasks_are_added_on_request_with_the_device_that_was_named():
    _, nodes = _execute(backend="real", teleop="vision_pro", record="true", tasks="true")
    started = [node.node_executable for node in nodes]
    assert started == [node.name for node in nodes_for("real", (TELEOP, RECORD, TASKS))]
    with pytest.raises(RuntimeError, match="not valid"):
        _execute(teleop="wand")


def test_the_recorder_is_asked_to_end_with_more_patience_than_the_others():
    context, nodes = _execute(record="true")
    given = {node.node_executable: _text(context, node._ExecuteLocal__sigterm_timeout) for node in nodes}
    assert given.pop("recorder") == "20"
    assert set(given.values()) == {"5"}


def test_the_real_robot_gets_a_dry_run_unless_one_insists():
    for given, silenced in (({}, True), ({"dry_run": "false"}, False)):
        context, nodes = _execute(backend="real", **given)
        gate = next(node for node in nodes if node.node_executable == "command_gate")
        decided = yaml.safe_load(_text(context, [f"{gate._Node__parameters[-1]}"]))
        assert decided["dry_run"] == silenced


def test_an_unknown_back_end_is_refused():
    with pytest.raises(RuntimeError, match="not valid"):
        _execute(backend="cardboard")
